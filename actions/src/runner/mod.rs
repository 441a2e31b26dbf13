//! The runner: claims approved runs and carries them through act, verify and, when it did not help, undo. It makes no
//! choices: the plan has them all. A crash at any point loses nothing and repeats no effect (G5).

use crate::{cluster::Clusters, policy::PolicyHandle};
use ledger::Ledger;
use tokio_util::sync::CancellationToken;

/// How to run.
#[derive(Clone, Debug)]
pub struct RunnerConfig {
    /// This process, unique: `host-pid-random`.
    pub worker: String,
    /// Runs at once in this replica.
    pub concurrency: usize,
    /// A worker that is silent for so long is presumed dead.
    pub lease: std::time::Duration,
}

/// A worker pool.
pub struct Runner {
    /// The record.
    pub ledger: Ledger,
    /// The clusters.
    pub clusters: Clusters,
    /// For planning anew (G3).
    pub policy: PolicyHandle,
    /// How.
    pub config: RunnerConfig,
}

impl Runner {
    /// Works until `stop`; then finishes the step at hand, gives its claims back and returns.
    pub async fn run(self, _stop: CancellationToken) {
        todo!()
    }
}
