//! The catalogue: one file per action, one line each in [`catalogue`].

use crate::cluster::{Cluster, ClusterError};
use futures::future::BoxFuture;
use jiff::Timestamp;
use ledger::{Plan, RequestId, Target};
use serde_json::Value;

/// What planning may look at. `request` and `at` are frozen for the request's life, so that planning again gives the
/// same plan unless the cluster changed.
#[derive(Clone, Copy)]
pub struct PlanContext<'a> {
    /// Where.
    pub cluster: &'a Cluster,
    /// Without uid.
    pub target: &'a Target,
    /// As `Action::parse` gave them.
    pub parameters: &'a Value,
    /// For deterministic names.
    pub request: RequestId,
    /// For time stamps inside the plan.
    pub at: Timestamp,
}

/// Why there is no plan; every message says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The ask makes no sense for this target.
    #[error("{0}")]
    Invalid(String),
    /// It is already so.
    #[error("nothing to do: {0}")]
    Nothing(String),
    /// The cluster could not be asked, or refused the dry run.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

/// The kind and name in `deploy/checkout`, as parsed by [`parse_target`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Kubernetes kind.
    pub kind: String,
    /// Object name.
    pub name: String,
}

/// A typed entry of the catalogue.
pub trait Action: Send + Sync {
    /// What people type: `scale`.
    fn name(&self) -> &'static str;
    /// The clap command of this action: its arguments without the common ones (`-n`, `-c`, `--why`, `--dry-run`), with
    /// help for each and one example in `after_help`. The grammar adds the common ones.
    fn command(&self) -> clap::Command;
    /// Target and normalised parameters from what clap matched. The error is for people.
    fn parse(&self, matches: &clap::ArgMatches) -> Result<(Named, Value), String>;
    /// What exactly will happen. Reads only; dry runs on the server.
    fn plan<'a>(&'a self, context: PlanContext<'a>) -> BoxFuture<'a, Result<Plan, PlanError>>;
}

/// Every action.
pub fn catalogue() -> &'static [&'static dyn Action] {
    todo!()
}

/// By name.
pub fn action(name: &str) -> Option<&'static dyn Action> {
    catalogue().iter().copied().find(|action| action.name() == name)
}

/// `deploy/checkout`, `deployment/checkout`, `sts/db`, `ds/agent`, `pod/x`, `job/y`, `cj/z` to kind and name. The error
/// names the word that is wrong and what would be right.
pub fn parse_target(_text: &str) -> Result<Named, String> {
    todo!()
}
