//! Keeping a cluster over restarts: a snapshot, and a log of the changes since.

use crate::store::{Change, Store};
use anyhow::Context;
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

/// A log longer than this is folded into a new snapshot.
const FOLD_AT: u64 = 64 << 20;

/// The open log. Lines are handed to the system at once: they survive the death of this process.
pub(crate) struct Log {
    folder: PathBuf,
    file: File,
    bytes: u64,
}

impl Log {
    pub fn append(&mut self, change: &Change) {
        let mut line = json!({"table": &*change.key.table, "version": change.version, "namespace": change.key.namespace, "name": change.key.name, "object": change.new.as_deref()}).to_string();
        line.push('\n');
        self.bytes += line.len() as u64;
        if let Err(error) = self.file.write_all(line.as_bytes()) {
            tracing::error!(%error, "cannot keep a change of the practice cluster");
        }
    }
    pub fn is_long(&self) -> bool {
        self.bytes > FOLD_AT
    }
}

/// Loads what `folder` keeps into the store, and goes on keeping it there.
pub(crate) fn open(store: &mut Store, folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("make the folder {}", folder.display()))?;
    let mut objects = std::collections::BTreeMap::new();
    let mut version = 0;
    for file in ["snapshot.jsonl", "changes.jsonl"] {
        let Ok(file) = File::open(folder.join(file)) else { continue };
        for line in BufReader::new(file).lines() {
            // The last line of a killed process may be torn.
            let Ok(mut entry) = serde_json::from_str::<Value>(&line?) else { continue };
            version = version.max(entry["version"].as_u64().unwrap_or(0));
            let key = (
                entry["table"].as_str().unwrap_or("").to_owned(),
                entry["namespace"].as_str().unwrap_or("").to_owned(),
                entry["name"].as_str().unwrap_or("").to_owned(),
            );
            match entry["object"].take() {
                Value::Null => objects.remove(&key),
                object => objects.insert(key, object),
            };
        }
    }
    for ((table, _, _), object) in objects.into_iter().filter(|((table, _, _), _)| !table.is_empty()) {
        store.restore(&table, object);
    }
    store.resume_at(version);
    fold(store, folder)
}

/// Writes a new snapshot and starts an empty log.
pub(crate) fn fold_if_long(store: &mut Store) {
    let Some(folder) = store.log.as_ref().filter(|log| log.is_long()).map(|log| log.folder.clone()) else {
        return;
    };
    if let Err(error) = fold(store, &folder) {
        tracing::error!(%error, "cannot fold the log of the practice cluster");
    }
}

fn fold(store: &mut Store, folder: &Path) -> anyhow::Result<()> {
    let fresh = folder.join("snapshot.new");
    let mut out = BufWriter::new(File::create(&fresh).context("write the snapshot")?);
    // The first line only carries the version: objects alone would forget the version of a last deletion.
    writeln!(out, "{}", json!({"table": "", "version": store.version()}))?;
    for (table, object) in store.everything() {
        let line = json!({"table": &**table, "version": 0, "namespace": crate::object::namespace(object), "name": crate::object::name(object), "object": &**object});
        writeln!(out, "{line}")?;
    }
    out.into_inner().context("write the snapshot")?.sync_all()?;
    std::fs::rename(&fresh, folder.join("snapshot.jsonl")).context("replace the snapshot")?;
    let file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .open(folder.join("changes.jsonl"))
        .context("start the log of changes")?;
    store.log = Some(Log { folder: folder.to_owned(), file, bytes: 0 });
    Ok(())
}

/// A text kept in the folder, made by `make` the first time (tokens).
pub(crate) fn kept(folder: &Path, file: &str, make: impl FnOnce() -> String) -> anyhow::Result<String> {
    std::fs::create_dir_all(folder).with_context(|| format!("make the folder {}", folder.display()))?;
    let path = folder.join(file);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(text),
        Err(_) => {
            let text = make();
            std::fs::write(&path, &text).with_context(|| format!("write {}", path.display()))?;
            Ok(text)
        }
    }
}
