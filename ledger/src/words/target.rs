//! What an action acts on. There is no current context: every target names its cluster.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Cluster + namespace + kind + name (+ uid once it has been looked up).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Target {
    /// Name in Petrel's registry of clusters.
    pub cluster: String,
    /// None for cluster-scoped kinds.
    pub namespace: Option<String>,
    /// Kubernetes kind: `Deployment`, `StatefulSet`, `DaemonSet`, `Pod`, `Job`, `CronJob`.
    pub kind: String,
    /// Object name.
    pub name: String,
    /// Object uid as read while planning.
    pub uid: Option<String>,
}

impl Target {
    /// What two runs must not hold at once: `cluster/namespace/kind/name`.
    pub fn key(&self) -> String {
        format!("{}/{}/{}/{}", self.cluster, self.namespace.as_deref().unwrap_or("-"), self.kind, self.name)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.cluster)?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        write!(f, "{} {}", self.kind, self.name)
    }
}
