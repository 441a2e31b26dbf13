//! The registry of clusters, and the few wire operations that Petrel needs on any kind of object.

use ledger::{ObjectRef, PatchKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{collections::BTreeMap, path::PathBuf};

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
}

fn ten() -> u64 {
    10
}

/// What can go wrong with a cluster.
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
    /// Anything else (5xx, unreadable answer).
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
pub struct Clusters {}

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

impl Clusters {
    /// Nothing is connected yet: one dead cluster does not keep the others from starting.
    pub fn new(_configs: Vec<ClusterConfig>) -> Clusters {
        todo!()
    }
    /// By name.
    pub fn get(&self, _name: &str) -> Result<Cluster, ClusterError> {
        todo!()
    }
    /// In config order.
    pub fn names(&self) -> Vec<String> {
        todo!()
    }
    /// Asks all at once, each within its own timeout; a slow one delays nobody (R5).
    pub async fn health(&self) -> Vec<Health> {
        todo!()
    }
}

/// One cluster; cheap to clone.
#[derive(Clone)]
pub struct Cluster {}

impl Cluster {
    /// Name in the registry.
    pub fn name(&self) -> &str {
        todo!()
    }
    /// From config.
    pub fn labels(&self) -> &BTreeMap<String, String> {
        todo!()
    }
    /// Label `production = "true"`.
    pub fn is_production(&self) -> bool {
        todo!()
    }
    /// One object as JSON.
    pub async fn get(&self, _object: &ObjectRef) -> Result<Value, ClusterError> {
        todo!()
    }
    /// Objects of a kind, following `continue` up to `limit`. Selectors are built by our code only, never from user text.
    pub async fn list(&self, _api_version: &str, _kind: &str, _namespace: Option<&str>, _labels: Option<&str>, _fields: Option<&str>, _limit: u32) -> Result<Vec<Value>, ClusterError> {
        todo!()
    }
    /// Patch with field manager `petrel`; returns the object after it.
    pub async fn patch(&self, _object: &ObjectRef, _kind: PatchKind, _body: &Value, _dry_run: bool) -> Result<Value, ClusterError> {
        todo!()
    }
    /// Create with field manager `petrel`.
    pub async fn create(&self, _object: &ObjectRef, _body: &Value, _dry_run: bool) -> Result<Value, ClusterError> {
        todo!()
    }
    /// Delete with the uid as precondition.
    pub async fn delete(&self, _object: &ObjectRef, _grace_period_seconds: Option<u32>, _dry_run: bool) -> Result<(), ClusterError> {
        todo!()
    }
    /// The last `lines` of a container's log, cut at `limit_bytes`.
    pub async fn logs(&self, _namespace: &str, _pod: &str, _container: Option<&str>, _previous: bool, _lines: u32, _limit_bytes: u32) -> Result<String, ClusterError> {
        todo!()
    }
}
