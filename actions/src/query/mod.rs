//! Questions to a cluster, answered at once: `get`, `describe`, `logs`, `events`, `top`. One file per query, one line
//! each in [`queries`]. Queries change nothing and need no approval, but policy may refuse them.

use crate::cluster::{Cluster, ClusterError};
use futures::future::BoxFuture;

/// A platform-neutral answer; the bot makes a card of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// `Pods in prod-eu/shop`.
    pub title: String,
    /// Plain sentence or two, if any.
    pub text: Option<String>,
    /// Label and value.
    pub fields: Vec<(String, String)>,
    /// Header row and rows.
    pub table: Option<(Vec<String>, Vec<Vec<String>>)>,
    /// Monospaced block (logs, YAML).
    pub code: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The question makes no sense; says what would.
    #[error("{0}")]
    Invalid(String),
    /// The cluster could not be asked.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

/// One question.
pub trait Query: Send + Sync {
    /// What people type: `logs`.
    fn name(&self) -> &'static str;
    /// As `Action::command`: without `-n` and `-c`.
    fn command(&self) -> clap::Command;
    /// Answers. `namespace` is None for all namespaces (`-A`) where that makes sense.
    fn answer<'a>(&'a self, cluster: &'a Cluster, namespace: Option<&'a str>, matches: &'a clap::ArgMatches) -> BoxFuture<'a, Result<Answer, QueryError>>;
}

/// Every query to a cluster.
pub fn queries() -> &'static [&'static dyn Query] {
    todo!()
}
