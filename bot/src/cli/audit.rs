//! `petrel audit`: verify the record, export it, sign its head.

use super::Configured;
use crate::{checkpoint, config::Config, database};
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use ledger::{Checkpoint, Fault, Verified};
use std::{
    fs,
    io::{BufWriter, Write},
    path::PathBuf,
    process::ExitCode,
};

/// See the module.
#[derive(Subcommand)]
pub enum Audit {
    /// Walk the whole chain, and hold it against every checkpoint
    Verify(Verify),
    /// Write all sealed entries as JSON lines
    Export(Export),
    /// Sign the head of the chain now
    Checkpoint(Sign),
}

/// See [`Audit::Verify`].
#[derive(Args)]
pub struct Verify {
    #[command(flatten)]
    configured: Configured,
    /// More checkpoints, beside those in [audit] checkpoint_dir
    #[arg(long = "checkpoint", value_name = "FILE")]
    checkpoints: Vec<PathBuf>,
    /// The public key that checkpoints must be signed with, 64 hex digits; by default that of [audit] signing_key_file
    #[arg(long)]
    key: Option<String>,
}

/// See [`Audit::Export`].
#[derive(Args)]
pub struct Export {
    #[command(flatten)]
    configured: Configured,
    /// Only entries after this position
    #[arg(long)]
    since: Option<i64>,
    /// To this file instead of standard output
    #[arg(long, short)]
    out: Option<PathBuf>,
}

/// See [`Audit::Checkpoint`].
#[derive(Args)]
pub struct Sign {
    #[command(flatten)]
    configured: Configured,
}

impl Audit {
    /// 0 when all is well, 1 when the record has a fault.
    pub async fn run(self) -> Result<ExitCode> {
        match self {
            Audit::Verify(verify) => verify.run().await,
            Audit::Export(export) => export.run().await,
            Audit::Checkpoint(sign) => sign.run().await,
        }
    }
}

impl Verify {
    async fn run(self) -> Result<ExitCode> {
        let config = self.configured.load()?;
        let (checkpoints, key) = self.trusted(&config)?;
        let database = database::open_once(&config.database).await?;
        let bar = ProgressBar::new(0);
        if let Ok(style) =
            ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} entries, {per_sec}, {eta} left")
        {
            bar.set_style(style);
        }
        let found = database.ledger.verify(&checkpoints, key.as_deref(), |done, total| {
            bar.set_length(total);
            bar.set_position(done);
        });
        let found = found.await;
        bar.finish_and_clear();
        database.close().await?;
        let found = found?;
        report(&found, checkpoints.len(), key.is_some());
        Ok(if found.faults_total == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn trusted(&self, config: &Config) -> Result<(Vec<Checkpoint>, Option<String>)> {
        let mut checkpoints = Vec::new();
        let mut key = self.key.clone();
        if let Some(audit) = &config.audit {
            if audit.checkpoint_dir.exists() {
                checkpoints = checkpoint::read(&audit.checkpoint_dir)?;
            }
            if key.is_none() && audit.signing_key_file.exists() {
                key = Some(checkpoint::public_key(&checkpoint::signing_key(&audit.signing_key_file)?));
            }
        }
        for file in &self.checkpoints {
            checkpoints.push(checkpoint::read_one(file)?);
        }
        checkpoints.sort_by_key(|checkpoint| checkpoint.seq);
        Ok((checkpoints, key))
    }
}

fn report(found: &Verified, checkpoints: usize, keyed: bool) {
    println!("{} entries, sealed to position {}, head {}", found.entries, found.seq, found.head);
    match (checkpoints, keyed) {
        (0, _) => println!("held against no checkpoint: a cut tail or a replaced chain would not show"),
        (n, true) => println!("held against {} with the trusted signature", count(n, "checkpoint")),
        (n, false) => {
            println!("held against {} whose signer is not known: give --key", count(n, "checkpoint"))
        }
    }
    match found.unsealed_total {
        0 => {}
        n => println!("{n} written and not yet sealed: {}", list(&found.unsealed, n)),
    }
    if found.faults_total == 0 {
        println!("no fault found");
        return;
    }
    for fault in &found.faults {
        println!("FAULT: {}", describe(fault));
    }
    let unlisted = found.faults_total.saturating_sub(u64::try_from(found.faults.len()).unwrap_or(u64::MAX));
    if unlisted > 0 {
        println!("and {unlisted} more");
    }
    println!(
        "{}: the record is not what was written. Keep the database as it is, and compare with a backup.",
        count(usize::try_from(found.faults_total).unwrap_or(usize::MAX), "fault")
    );
}

fn count(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

fn list(ids: &[i64], total: u64) -> String {
    let shown = ids.iter().take(10).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if total > 10 { format!("entries {shown}, ...") } else { format!("entries {shown}") }
}

fn describe(fault: &Fault) -> String {
    match fault {
        Fault::Edited { seq, id } => format!("entry {id} at position {seq} is not what was sealed"),
        Fault::Missing { from, to } if from == to => format!("the entry at position {from} is gone"),
        Fault::Missing { from, to } => format!("the entries at positions {from} to {to} are gone"),
        Fault::Broken { seq } => format!("the chain does not continue at position {seq}"),
        Fault::CutTail { ends, signed } => format!("the chain ends at {ends}, but {signed} was signed"),
        Fault::Replaced { seq } => format!("at position {seq} another chain was signed"),
        Fault::BadSignature { seq } => {
            format!("the checkpoint of position {seq} is not signed with the trusted key")
        }
        other => format!("{other:?}"),
    }
}

impl Export {
    async fn run(self) -> Result<ExitCode> {
        let config = self.configured.load()?;
        let database = database::open_once(&config.database).await?;
        let mut out: Box<dyn Write + Send> = match &self.out {
            Some(file) => {
                Box::new(fs::File::create(file).with_context(|| format!("write {}", file.display()))?)
            }
            None => Box::new(std::io::stdout()),
        };
        let mut out = BufWriter::new(&mut out);
        let count = database.ledger.export(self.since, |line| {
            out.write_all(line.as_bytes())?;
            if line.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") }
        });
        let count = count.await;
        let flushed = out.flush();
        database.close().await?;
        let count = count.context("export the record")?;
        flushed.context("write the export")?;
        eprintln!("{count} entries");
        Ok(ExitCode::SUCCESS)
    }
}

impl Sign {
    async fn run(self) -> Result<ExitCode> {
        let config = self.configured.load()?;
        let audit = config
            .audit
            .as_ref()
            .context("the config has no [audit]; it needs checkpoint_dir and signing_key_file")?;
        let key = checkpoint::signing_key(&audit.signing_key_file)?;
        let database = database::open_once(&config.database).await?;
        let written =
            checkpoint::write(&database.ledger, &key, &audit.checkpoint_dir, 0, Timestamp::now()).await;
        database.close().await?;
        match written? {
            Some((checkpoint, file)) => println!(
                "position {} signed: {}\npublic key {}",
                checkpoint.seq,
                file.display(),
                checkpoint.key
            ),
            None => println!("nothing is sealed yet"),
        }
        Ok(ExitCode::SUCCESS)
    }
}
