//! The audit trail: every call that asked for a change, whatever became of it. The witness of the crash tests.

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

/// One call that asked for a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Audited {
    /// From 1, without gaps, in the order in which the calls took effect.
    pub seq: u64,
    /// RFC 3339 with microseconds.
    pub at: String,
    /// Who, by their token.
    pub user: String,
    /// `fieldManager`, or else the first word of the user agent, as the real server has it.
    pub field_manager: String,
    /// `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// Plural with group: `deployments.apps`, `pods`.
    pub resource: String,
    /// Empty for what lives outside namespaces.
    pub namespace: String,
    /// Empty for collections and for refused creates without a name.
    pub name: String,
    /// `scale`, `status`, `eviction`, `resize`; empty for the object itself.
    pub subresource: String,
    /// Nothing was written.
    pub dry_run: bool,
    /// HTTP status of the answer.
    pub code: u16,
    /// The body as it was sent: object, patch or delete options.
    pub body: Value,
    /// `metadata.generation` after the call, when it succeeded and the kind has one.
    pub generation: Option<i64>,
    /// `metadata.resourceVersion` before the call; none when the object was not there.
    pub version_before: Option<String>,
    /// `metadata.resourceVersion` after the call; the same as before when nothing changed.
    pub version_after: Option<String>,
}

impl Audited {
    /// True when the call changed an object: it succeeded, was no dry run, and the object's version moved.
    pub fn took_effect(&self) -> bool {
        !self.dry_run && self.code < 300 && self.version_before != self.version_after
    }
}

/// Entries in memory; older ones are only in the files.
const KEPT: usize = 200_000;

/// In memory, and in any number of files.
#[derive(Default)]
pub(crate) struct Trail {
    entries: VecDeque<Audited>,
    next: u64,
    files: Vec<File>,
}

impl Trail {
    /// Takes up the trail that an earlier life left in `path`, and goes on writing there.
    pub fn resume(&mut self, path: &Path) -> anyhow::Result<()> {
        if let Ok(text) = std::fs::read_to_string(path) {
            for line in text.lines() {
                // A torn last line of a killed process is not an entry.
                if let Ok(entry) = serde_json::from_str::<Audited>(line) {
                    self.next = entry.seq;
                    self.keep(entry);
                }
            }
        }
        self.write_to(path)
    }

    pub fn write_to(&mut self, path: &Path) -> anyhow::Result<()> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .with_context(|| format!("open the audit file {}", path.display()))?;
        self.files.push(file);
        Ok(())
    }

    /// Numbers the entry and writes it before the caller answers.
    pub fn record(&mut self, mut entry: Audited) {
        self.next += 1;
        entry.seq = self.next;
        if !self.files.is_empty() {
            let mut line = serde_json::to_vec(&entry).expect("an audit entry is plain data");
            line.push(b'\n');
            for file in &mut self.files {
                if let Err(error) = file.write_all(&line) {
                    tracing::error!(%error, "cannot write the audit trail");
                }
            }
        }
        self.keep(entry);
    }

    pub fn entries(&self) -> Vec<Audited> {
        self.entries.iter().cloned().collect()
    }

    fn keep(&mut self, entry: Audited) {
        if self.entries.len() == KEPT {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }
}
