//! Policy: a pure function of `(who, plan, facts, now)`. One TOML file, compiled once, hot-reloaded; a bad file is refused
//! with line and column, and the old one stays in force.

use jiff::Timestamp;
use ledger::{Activity, Actor, Ask, Decision, Person, Plan, Quorum, Refusal};
use std::{collections::BTreeMap, path::Path, sync::Arc};

/// Who an identity is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// The human.
    pub person: Person,
    /// Their groups.
    pub groups: Vec<String>,
}

/// A compiled policy file.
pub struct Policy {}

/// Why a file is not a policy.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct PolicyError {
    /// Path as given.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1.
    pub column: usize,
    /// What is wrong and what would be right.
    pub message: String,
}

/// All that policy may look at, as values.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// Who asks.
    pub who: &'a Who,
    /// What was asked.
    pub ask: &'a Ask,
    /// What would happen.
    pub plan: &'a Plan,
    /// The cluster's labels.
    pub cluster_labels: &'a BTreeMap<String, String>,
    /// Counts for caps.
    pub activity: &'a Activity,
    /// Now.
    pub now: Timestamp,
}

/// A decision and how it came about, rule by rule, for `policy explain` and the card's details.
#[derive(Clone, Debug, PartialEq)]
pub struct Explained {
    /// What policy says.
    pub decision: Decision,
    /// One line per rule looked at: `rule "prod needs two": matched: cluster.labels.production == "true"`.
    pub trace: Vec<String>,
}

impl Policy {
    /// Parses and compiles; `file` is for messages only.
    pub fn parse(_file: &str, _text: &str) -> Result<Policy, PolicyError> {
        todo!()
    }
    /// Content hash, hex, first 12.
    pub fn version(&self) -> &str {
        todo!()
    }
    /// None: a stranger.
    pub fn who(&self, _actor: &Actor) -> Option<Who> {
        todo!()
    }
    /// All people with their identities, for sign-in pages and `petrel check`.
    pub fn people(&self) -> Vec<(Person, Vec<Actor>, Vec<String>)> {
        todo!()
    }
    /// The decision.
    pub fn decide(&self, _facts: Facts<'_>) -> Explained {
        todo!()
    }
    /// May this person ask questions of this cluster? (Rules with `action = "query"`; allowed for known people without one.)
    pub fn may_query(&self, _who: &Who, _query: &str, _cluster: &str, _cluster_labels: &BTreeMap<String, String>, _now: Timestamp) -> Result<(), Refusal> {
        todo!()
    }
    /// Does this person's vote count for this quorum?
    pub fn may_vote(&self, _who: &Who, _quorum: &Quorum) -> Result<(), Refusal> {
        todo!()
    }
}

/// The policy in force; cheap to clone; swapped whole by a reload.
#[derive(Clone)]
pub struct PolicyHandle {}

impl PolicyHandle {
    /// Reads a file.
    pub fn load(_file: &Path) -> Result<PolicyHandle, PolicyError> {
        todo!()
    }
    /// For tests and `explain`.
    pub fn fixed(_policy: Policy) -> PolicyHandle {
        todo!()
    }
    /// The one in force now.
    pub fn current(&self) -> Arc<Policy> {
        todo!()
    }
    /// Reads the file again; on error the old one stays and the error is returned. True when it changed.
    pub fn reload(&self) -> Result<bool, PolicyError> {
        todo!()
    }
    /// Reloads whenever the file changes, until cancelled; logs a refused file.
    pub async fn watch(&self, _stop: tokio_util::sync::CancellationToken) {
        todo!()
    }
}
