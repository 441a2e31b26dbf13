//! The registry of clusters, and the few wire operations that Petrel needs on any kind of object. Each cluster has its
//! own client, timeout, circuit breaker and share of calls: a slow or dead one delays no other.

mod access;
mod answer;
mod breaker;
mod call;
mod connect;
mod exec;
mod kind;
mod object;
mod path;
mod pool;

pub use connect::install_tls;
pub use exec::{Bounds, Executed};
pub use kind::{KINDS, Kind, by_kind, by_word, nearest};
pub use path::{is_dns_label, is_dns_subdomain};
pub use pool::PoolConfig;

pub(crate) use answer::chain;

use crate::metric::{MetricError, Prometheus, PrometheusConfig};
use breaker::Breaker;
use kind::Served;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{Arc, Mutex, RwLock, atomic::AtomicU64},
    time::Duration,
};

/// How to reach one cluster. A table `[[cluster]]` of the config file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterConfig {
    /// What people type after `-c`.
    pub name: String,
    /// A kubeconfig file; none of kubeconfig and server: in-cluster.
    pub kubeconfig: Option<PathBuf>,
    /// Its context; none: its current one.
    pub context: Option<String>,
    /// `https://host:port` with `token_file` (and `ca_file`).
    pub server: Option<String>,
    /// Bearer token, read again when the file changes.
    pub token_file: Option<PathBuf>,
    /// PEM.
    pub ca_file: Option<PathBuf>,
    /// `production = "true"`, `region = "eu"`: seen by policy and shown on cards.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Seconds for one call; watches and logs have their own.
    #[serde(default = "ten")]
    pub timeout_s: u64,
    /// Whether Petrel itself looks out for trouble in it: conditions of pods and nodes, and warnings, become events, as webhooks bring
    /// them. Needs the right to list and watch pods, nodes and events.
    #[serde(default)]
    pub watch: bool,
    /// Objects that say how many nodes its pools have.
    #[serde(default, rename = "pool")]
    pub pools: Vec<PoolConfig>,
    /// Who has measured it; none: no forecasts, no conditions on metrics.
    pub prometheus: Option<PrometheusConfig>,
}

fn ten() -> u64 {
    10
}

/// What can go wrong with a cluster. After a write every error but `Unreachable` says that it did not take place.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Not in the registry.
    #[error("there is no cluster '{name}'{}", suggestion.as_ref().map(|s| format!("; did you mean '{s}'?")).unwrap_or_default())]
    Unknown {
        /// As typed.
        name: String,
        /// Nearest name.
        suggestion: Option<String>,
    },
    /// The object is not there.
    #[error("{what} does not exist")]
    NotFound {
        /// Which.
        what: String,
    },
    /// 409: it changed under us, or it exists already.
    #[error("conflict: {message}")]
    Conflict {
        /// The server's words.
        message: String,
        /// The server's reason: `Conflict`, `AlreadyExists`.
        reason: String,
    },
    /// 401 or 403.
    #[error("the cluster does not allow this: {message}")]
    Forbidden {
        /// The server's words.
        message: String,
    },
    /// 400 or 422: the change is not valid.
    #[error("the cluster refuses this as invalid: {message}")]
    Invalid {
        /// The server's words.
        message: String,
    },
    /// 429 by a disruption budget.
    #[error("a disruption budget does not allow this now: {message}")]
    Budget {
        /// The server's words.
        message: String,
    },
    /// A command in a container did not run or did not end well.
    #[error("{message}")]
    Command {
        /// What it said.
        message: String,
    },
    /// Not answered: it is not known whether a write took place.
    #[error("cluster {cluster} did not answer: {why}")]
    Unreachable {
        /// Which.
        cluster: String,
        /// Why.
        why: String,
    },
    /// The circuit breaker is open: not tried.
    #[error("cluster {cluster} has not answered lately; next try in {retry_in_s} s")]
    Open {
        /// Which.
        cluster: String,
        /// Seconds.
        retry_in_s: u64,
    },
    /// Anything else (cannot connect, busy, a read answered with 5xx or not readable).
    #[error("cluster {cluster}: {message}")]
    Other {
        /// Which.
        cluster: String,
        /// The server's words.
        message: String,
    },
}

/// The registry; cheap to clone.
#[derive(Clone)]
pub struct Clusters(Arc<Vec<Cluster>>);

/// Health of one cluster, as last seen or just asked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Health {
    /// Name.
    pub name: String,
    /// `v1.36.1`; none when it does not answer.
    pub version: Option<String>,
    /// Milliseconds of the last answered call.
    pub latency_ms: Option<u64>,
    /// Nodes ready and in all; none when not allowed or not answered.
    pub nodes: Option<(u32, u32)>,
    /// Why it is not healthy.
    pub trouble: Option<String>,
    /// From config.
    pub labels: BTreeMap<String, String>,
}

/// Calls to one cluster at once; more wait for their turn.
const CALLS_AT_ONCE: usize = 32;
/// Nodes that `health` counts at most.
const NODES_COUNTED: u32 = 10_000;

impl Clusters {
    /// Nothing is connected yet: one dead cluster does not keep the others from starting.
    pub fn new(configs: Vec<ClusterConfig>) -> Clusters {
        Clusters(Arc::new(configs.into_iter().map(Cluster::new).collect()))
    }
    /// By name.
    pub fn get(&self, name: &str) -> Result<Cluster, ClusterError> {
        self.0.iter().find(|cluster| cluster.name() == name).cloned().ok_or_else(|| ClusterError::Unknown {
            name: name.to_string(),
            suggestion: self
                .0
                .iter()
                .map(|cluster| (strsim::damerau_levenshtein(cluster.name(), name), cluster.name()))
                .filter(|(distance, known)| *distance <= 1 + known.len() / 4)
                .min()
                .map(|(_, known)| known.to_string()),
        })
    }
    /// In config order.
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|cluster| cluster.name().to_string()).collect()
    }
    /// Asks all at once, each within its own timeout; a slow one delays nobody (R5).
    pub async fn health(&self) -> Vec<Health> {
        futures::future::join_all(self.0.iter().map(Cluster::health)).await
    }
}

/// One cluster; cheap to clone.
#[derive(Clone)]
pub struct Cluster(Arc<Inner>);

struct Inner {
    config: ClusterConfig,
    /// Made by the first call, and made anew after a 401, which reads rotated credentials.
    client: tokio::sync::Mutex<Option<kube::Client>>,
    breaker: Mutex<Breaker>,
    turns: tokio::sync::Semaphore,
    /// Kinds that are not built in, once found.
    discovered: RwLock<HashMap<(String, String), Served>>,
    /// Of the last answered call; `u64::MAX` before there is one.
    latency_ms: AtomicU64,
    prometheus: Option<Prometheus>,
}

impl Cluster {
    fn new(config: ClusterConfig) -> Cluster {
        let prometheus =
            config.prometheus.clone().map(|prometheus| Prometheus::new(&config.name, prometheus));
        Cluster(Arc::new(Inner {
            prometheus,
            config,
            client: tokio::sync::Mutex::new(None),
            breaker: Mutex::new(Breaker::new()),
            turns: tokio::sync::Semaphore::new(CALLS_AT_ONCE),
            discovered: RwLock::default(),
            latency_ms: AtomicU64::new(u64::MAX),
        }))
    }
    /// Name in the registry.
    pub fn name(&self) -> &str {
        &self.0.config.name
    }
    /// From config.
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.0.config.labels
    }
    /// From config.
    pub fn pools(&self) -> &[PoolConfig] {
        &self.0.config.pools
    }
    /// Who has measured it.
    pub fn prometheus(&self) -> Result<&Prometheus, MetricError> {
        let none = || MetricError::NotConfigured { cluster: self.name().to_string() };
        self.0.prometheus.as_ref().ok_or_else(none)
    }
    /// Label `production = "true"`.
    pub fn is_production(&self) -> bool {
        self.labels().get("production").is_some_and(|value| value == "true")
    }
    fn timeout(&self) -> Duration {
        Duration::from_secs(self.0.config.timeout_s.max(1))
    }
    /// Version and nodes, both within one timeout.
    pub async fn health(&self) -> Health {
        let mut health = Health {
            name: self.name().to_string(),
            version: None,
            latency_ms: None,
            nodes: None,
            trouble: None,
            labels: self.labels().clone(),
        };
        let asked = tokio::time::timeout(self.timeout(), async {
            match self.version().await {
                Ok(version) => health.version = Some(version),
                Err(error) => {
                    health.trouble = Some(error.to_string());
                    return;
                }
            }
            match self.list("v1", "Node", None, None, None, NODES_COUNTED).await {
                Ok(nodes) => {
                    let ready = nodes.iter().filter(|node| is_ready(node)).count();
                    health.nodes = Some((ready as u32, nodes.len() as u32));
                    if ready < nodes.len() {
                        health.trouble =
                            Some(format!("{} of {} nodes are not ready", nodes.len() - ready, nodes.len()));
                    }
                }
                // Not being allowed to see nodes is no trouble of the cluster's.
                Err(ClusterError::Forbidden { .. }) => {}
                Err(error) => health.trouble = Some(error.to_string()),
            }
        })
        .await;
        if asked.is_err() {
            health.trouble = Some(format!("no answer within {} s", self.timeout().as_secs()));
        }
        health.latency_ms = Some(self.0.latency_ms.load(std::sync::atomic::Ordering::Relaxed))
            .filter(|known| *known != u64::MAX);
        health
    }
}

fn is_ready(node: &serde_json::Value) -> bool {
    node["status"]["conditions"].as_array().is_some_and(|conditions| {
        conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
    })
}
