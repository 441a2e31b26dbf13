//! What every door needs, in one value.

use crate::{config::Config, healing::RulesHandle, intake::Rates, metrics::Metrics, names::Names};
use actions::{cluster::Clusters, gate::Gate, policy::PolicyHandle};
use ledger::Ledger;
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Commands of rules that one replica runs at once: an alert storm does not become a storm of processes.
const SCRIPTS_AT_ONCE: usize = 4;

/// Everything a door needs; cheap to clone.
#[derive(Clone)]
pub struct App {
    /// The record.
    pub ledger: Ledger,
    /// The registry of clusters.
    pub clusters: Clusters,
    /// The policy in force.
    pub policy: PolicyHandle,
    /// The healing rules in force.
    pub rules: RulesHandle,
    /// The one way to a change.
    pub gate: Gate,
    /// As loaded.
    pub config: Arc<Config>,
    /// This process, unique: `host-pid-random`.
    pub worker: String,
    /// What intakes may still send.
    pub rates: Arc<Rates>,
    /// Commands of rules that may run at once.
    pub scripts: Arc<Semaphore>,
    /// Of this process.
    pub metrics: Arc<Metrics>,
    /// What clusters have, for completion.
    pub names: Names,
    /// Cancelled when the process stops: long answers (event streams) must end then.
    pub stop: CancellationToken,
}

impl App {
    /// Puts the parts together; nothing is started and nothing is asked.
    pub fn new(config: Config, ledger: Ledger, policy: PolicyHandle, stop: CancellationToken) -> App {
        let clusters = Clusters::new(config.clusters.clone());
        let gate = Gate { ledger: ledger.clone(), clusters: clusters.clone(), policy: policy.clone() };
        let rules = RulesHandle::new(config.heal.rules.clone());
        let (config, metrics) = (Arc::new(config), Arc::default());
        App {
            ledger,
            clusters,
            policy,
            rules,
            gate,
            config,
            worker: worker_name(),
            rates: Arc::default(),
            scripts: Arc::new(Semaphore::new(SCRIPTS_AT_ONCE)),
            metrics,
            names: Names::default(),
            stop,
        }
    }

    /// A cluster's labels; none for one that is not in the registry any more.
    pub fn labels(&self, cluster: &str) -> BTreeMap<String, String> {
        let config = self.config.clusters.iter().find(|config| config.name == cluster);
        config.map(|config| config.labels.clone()).unwrap_or_default()
    }
}

fn worker_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "petrel" } else { host.trim() };
    format!("{host}-{}-{:04x}", std::process::id(), rand::random::<u16>())
}
