//! `petrel heal`: check, format and try rules without a running Petrel; `replay.rs` tries them on what is on record.

use crate::healing::{catalogue, read};
use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use heal::{
    event::{Context, Event},
    language::{format, parse},
    rules::{Answer, Known, Outcome, Past, RuleFile, Rules},
};
use jiff::Timestamp;
use std::{path::PathBuf, process::ExitCode};

/// See the module.
#[derive(Subcommand)]
pub enum Heal {
    /// Check all *.heal files of a folder, as they would come into force
    Check(Check),
    /// Put files into their one form, keeping comments
    Fmt(Fmt),
    /// Hold the rules of a file against an event and say step by step why they apply or not
    Test(Test),
    /// Hold rules against the incidents on record and say what would have been different; exit code 2 when anything
    Replay(super::replay::Replay),
}

/// See [`Heal::Check`].
#[derive(Args)]
pub struct Check {
    /// The folder, or one file
    path: PathBuf,
}

/// See [`Heal::Fmt`].
#[derive(Args)]
pub struct Fmt {
    /// Files
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Only say which would change
    #[arg(long)]
    check: bool,
}

/// See [`Heal::Test`].
#[derive(Args)]
pub struct Test {
    /// A file of rules
    file: PathBuf,
    /// The event: what Alertmanager or Grafana posts, a structured CloudEvent, or an event as Petrel stores it
    #[arg(long)]
    event: PathBuf,
    /// The cluster of an event that names none
    #[arg(long)]
    cluster: Option<String>,
    /// Replicas that the event's workload has
    #[arg(long)]
    replicas: Option<u32>,
    /// What the rule's first, second, ... `when` is taken to be: yes, no or unknown (which it is when left out)
    #[arg(long = "when", value_parser = outcome)]
    when: Vec<Outcome>,
}

fn outcome(text: &str) -> Result<Outcome, String> {
    match text {
        "yes" => Ok(Outcome::Yes),
        "no" => Ok(Outcome::No),
        "unknown" => Ok(Outcome::Unknown),
        _ => Err("write yes, no or unknown".into()),
    }
}

impl Heal {
    /// 0: all is well; for `test`: some rule applies.
    pub async fn run(self) -> Result<ExitCode> {
        match self {
            Heal::Check(check) => check.run(),
            Heal::Fmt(fmt) => fmt.run(),
            Heal::Test(test) => test.run(),
            Heal::Replay(replay) => replay.run().await,
        }
    }
}

/// Tells their mistakes, if they have any: then None.
pub fn load(files: &[RuleFile]) -> Result<Option<Rules>> {
    match Rules::load(files, &catalogue()) {
        Ok(rules) => Ok(Some(rules)),
        Err(refused) => {
            for report in &refused.reports {
                super::print(&format!("{report}\n"))?;
            }
            super::print(&format!("{refused}\n"))?;
            Ok(None)
        }
    }
}

fn one(path: &std::path::Path) -> Result<RuleFile> {
    let source = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    Ok(RuleFile { name: path.display().to_string(), source })
}

impl Check {
    fn run(self) -> Result<ExitCode> {
        let files = if self.path.is_dir() { read(&self.path)? } else { vec![one(&self.path)?] };
        let Some(rules) = load(&files)? else { return Ok(ExitCode::FAILURE) };
        for warning in &rules.warnings {
            super::print(&format!("{warning}\n"))?;
        }
        let (count, files) = (rules.all().len(), files.len());
        super::print(&format!("{count} rules in {files} files, version {}\n", rules.version()))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Fmt {
    fn run(self) -> Result<ExitCode> {
        let mut code = ExitCode::SUCCESS;
        for path in &self.files {
            let RuleFile { name, source } = one(path)?;
            let (file, problems) = parse(&source);
            if !problems.is_empty() {
                for problem in problems {
                    super::print(&format!("{}\n", problem.render(&name, &source, false)))?;
                }
                code = ExitCode::FAILURE;
                continue;
            }
            let tidy = format(&file);
            if tidy == source {
                continue;
            }
            if self.check {
                super::print(&format!("{name} is not in its form\n"))?;
                code = ExitCode::FAILURE;
            } else {
                std::fs::write(path, tidy).with_context(|| format!("write {name}"))?;
                super::print(&format!("{name}\n"))?;
            }
        }
        Ok(code)
    }
}

impl Test {
    fn run(self) -> Result<ExitCode> {
        let Some(rules) = load(&[one(&self.file)?])? else { return Ok(ExitCode::FAILURE) };
        let body = std::fs::read(&self.event).with_context(|| format!("read {}", self.event.display()))?;
        let context = Context { cluster: self.cluster.as_deref(), received: Timestamp::now() };
        let batch = heal::event::read(&body, context)?;
        if let (Some(refused), true) = (batch.refused.first(), batch.events.is_empty()) {
            bail!("not one of its alerts can be read; the first: {}", refused.why);
        }
        let mut applies = false;
        for event in &batch.events {
            applies |= self.hold(&rules, event)?;
        }
        Ok(if applies { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// True: some rule applies to the event.
    fn hold(&self, rules: &Rules, event: &Event) -> Result<bool> {
        super::print(&format!("{} \"{}\" about {}\n", event.origin.word(), event.name, event.subject))?;
        let answers: Vec<Answer> = self
            .when
            .iter()
            .map(|outcome| Answer { outcome: *outcome, why: "as given on the command line".into() })
            .collect();
        let past = Past::default();
        for rule in rules.all() {
            let known =
                Known { answers: &answers, past: &past, replicas: self.replicas, now: Timestamp::now() };
            let judgement = rule.judge(event, known);
            super::print(&judgement.to_string())?;
            if judgement.verdict != heal::rules::Verdict::Not {
                return Ok(true);
            }
        }
        super::print("no rule applies\n")?;
        Ok(false)
    }
}
