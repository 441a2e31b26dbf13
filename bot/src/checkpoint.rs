//! Signed heads of the record, written to a folder that should be outside the reach of the database's administrators.

use crate::config::Audit;
use anyhow::{Context, Result};
use ed25519_dalek::SigningKey;
use jiff::Timestamp;
use ledger::{Checkpoint, Ledger};
use std::{
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// Reads the key, or makes one (mode 0600) when there is none.
pub fn signing_key(file: &Path) -> Result<SigningKey> {
    match fs::read_to_string(file) {
        Ok(text) => {
            let seed: Option<[u8; 32]> = hex::decode(text.trim()).ok().and_then(|seed| seed.try_into().ok());
            let seed = seed.with_context(|| {
                format!("{} is not a signing key: it must be 64 hex digits", file.display())
            })?;
            Ok(SigningKey::from_bytes(&seed))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let key = SigningKey::from_bytes(&rand::random());
            let make = || {
                if let Some(folder) = file.parent() {
                    fs::create_dir_all(folder)?;
                }
                let mut new = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
                new.write_all(hex::encode(key.to_bytes()).as_bytes())?;
                new.sync_all()
            };
            make().with_context(|| format!("make the signing key {}", file.display()))?;
            tracing::info!(file = %file.display(), public_key = public_key(&key), "made a signing key for checkpoints; keep the public key elsewhere");
            Ok(key)
        }
        Err(error) => Err(error).with_context(|| format!("read the signing key {}", file.display())),
    }
}

/// Hex, for `petrel audit verify --key`.
pub fn public_key(key: &SigningKey) -> String {
    hex::encode(key.verifying_key().to_bytes())
}

/// Signs the head and writes it to its own file, whole or not at all. None: nothing is sealed after position `after`.
pub async fn write(
    ledger: &Ledger,
    key: &SigningKey,
    folder: &Path,
    after: i64,
    now: Timestamp,
) -> Result<Option<(Checkpoint, PathBuf)>> {
    let checkpoint = ledger.checkpoint(key, now).await?;
    let Some(checkpoint) = checkpoint.filter(|checkpoint| checkpoint.seq > after) else { return Ok(None) };
    let file = folder.join(format!("{:012}-{}.json", checkpoint.seq, now.strftime("%Y%m%dT%H%M%SZ")));
    let save = || {
        fs::create_dir_all(folder)?;
        let aside = file.with_extension("new");
        let mut new = fs::File::create(&aside)?;
        new.write_all(serde_json::to_string_pretty(&checkpoint)?.as_bytes())?;
        new.write_all(b"\n")?;
        new.sync_all()?;
        fs::rename(&aside, &file)
    };
    save().with_context(|| format!("write the checkpoint {}", file.display()))?;
    Ok(Some((checkpoint, file)))
}

/// All checkpoints in a folder, oldest first. A file that is not one is an error: a broken checkpoint must not pass for
/// a missing one.
pub fn read(folder: &Path) -> Result<Vec<Checkpoint>> {
    let mut checkpoints = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let file = entry?.path();
        if file.extension().is_some_and(|extension| extension == "json") {
            checkpoints.push(read_one(&file)?);
        }
    }
    checkpoints.sort_by_key(|checkpoint| checkpoint.seq);
    Ok(checkpoints)
}

/// One checkpoint.
pub fn read_one(file: &Path) -> Result<Checkpoint> {
    let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not a checkpoint", file.display()))
}

/// Writes one now and every `audit.every`, until `stop`; of several replicas only one does.
pub async fn keep(ledger: Ledger, audit: Audit, key: SigningKey, worker: String, stop: CancellationToken) {
    let mut last = 0;
    // Soon after the start, when there is something to sign, and then on schedule.
    let mut pause = audit.every.min(Duration::from_secs(5));
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = audit.every;
        match once(&ledger, &audit, &key, &worker, last).await {
            Ok(seq) => last = seq,
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "could not write a checkpoint of the record")
            }
        }
    }
}

async fn once(ledger: &Ledger, audit: &Audit, key: &SigningKey, worker: &str, last: i64) -> Result<i64> {
    // Kept a little longer than the pause, so that it stays with one replica while that one lives.
    let Some(_lease) = ledger.take_lease("checkpoint", worker, audit.every + Duration::from_secs(30)).await?
    else {
        return Ok(last);
    };
    match write(ledger, key, &audit.checkpoint_dir, last, Timestamp::now()).await? {
        Some((checkpoint, file)) => {
            tracing::info!(seq = checkpoint.seq, file = %file.display(), "wrote a checkpoint of the record");
            Ok(checkpoint.seq)
        }
        None => Ok(last),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_made_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("audit/key");
        let made = signing_key(&file).unwrap();
        assert_eq!(signing_key(&file).unwrap().to_bytes(), made.to_bytes());
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&file, "not hex").unwrap();
        let error = signing_key(&file).unwrap_err().to_string();
        assert!(error.contains("64 hex digits") && !error.contains("not hex"), "{error}");
    }

    #[test]
    fn a_broken_checkpoint_is_an_error_and_not_a_missing_one() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap(), []);
        fs::write(folder.path().join("1.json"), "{}").unwrap();
        assert!(read(folder.path()).unwrap_err().to_string().contains("is not a checkpoint"));
    }
}
