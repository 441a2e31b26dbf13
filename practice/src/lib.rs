//! A practice cluster: an in-process Kubernetes API server over loopback HTTP, with small live controllers.
//!
//! For the demo and for fast fault injection; never part of `petrel serve`. It speaks the real wire protocol to the
//! unmodified client, as a 1.36 control plane would answer; where the two differ, this crate has a bug.
//!
//! Not in it: TLS, protobuf, Table output, OpenAPI, admission webhooks, schema validation of custom resources.

mod audit;
mod faults;

pub use audit::Audited;
pub use faults::{FaultRequest, Faults};

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How a practice cluster is.
#[derive(Clone, Debug)]
pub struct PracticeConfig {
    /// Name of the cluster, and of the context in its kubeconfig.
    pub name: String,
    /// Time for a pod to become ready; zero: at once.
    pub speed: Duration,
    /// How many nodes it has.
    pub nodes: u32,
    /// Port on loopback; 0: any free one.
    pub port: u16,
    /// Folder that keeps objects, tokens and the audit trail over restarts; none: memory only.
    pub data: Option<PathBuf>,
}

impl Default for PracticeConfig {
    fn default() -> Self {
        PracticeConfig { name: "practice".into(), speed: Duration::ZERO, nodes: 3, port: 0, data: None }
    }
}

/// One practice cluster, listening on a loopback port. Cheap to clone.
#[derive(Clone)]
pub struct Practice {}

impl Practice {
    /// Starts listening; the nodes and the system namespaces are there, nothing else.
    pub async fn start(_config: PracticeConfig) -> anyhow::Result<Practice> {
        todo!()
    }
    /// `http://127.0.0.1:port`
    pub fn url(&self) -> String {
        todo!()
    }
    /// A kubeconfig (YAML) whose context has the cluster's name and whose token may do everything.
    pub fn kubeconfig(&self) -> String {
        todo!()
    }
    /// A kubeconfig for user `limited` who may only do this: resource (`pods`, `deployments`, `deployments/scale`) to verbs
    /// (`get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, `*`). Anything else is 403 as RBAC words it.
    pub fn limited_kubeconfig(&self, _allow: &[(&str, &[&str])]) -> String {
        todo!()
    }
    /// Creates the object, or replaces it when it exists (keeping its status), as an administrator would. Panics when it is not valid.
    pub fn apply(&self, _object: Value) -> Value {
        todo!()
    }
    /// Deletes an object without grace, with its dependents in the background; false when it is not there.
    pub fn delete(&self, _api_version: &str, _kind: &str, _namespace: Option<&str>, _name: &str) -> bool {
        todo!()
    }
    /// One object as it stands.
    pub fn get(&self, _api_version: &str, _kind: &str, _namespace: Option<&str>, _name: &str) -> Option<Value> {
        todo!()
    }
    /// Every call that asked for a change, oldest first. `apply`, `delete` and the controllers are not calls.
    pub fn audit(&self) -> Vec<Audited> {
        todo!()
    }
    /// Also appends each audited call to this file (JSON lines), before it is answered.
    pub fn audit_to(&self, _path: &Path) -> anyhow::Result<()> {
        todo!()
    }
    /// The switches.
    pub fn faults(&self) -> &Faults {
        todo!()
    }
    /// Waits until the controllers have nothing to do and no pod is on its way up or down. Waiting for a crash loop's next
    /// try, a schedule or a deadline counts as idle.
    pub async fn settled(&self) {
        todo!()
    }
    /// Puts a believable shop into the cluster: deployments, a database, an agent on every node, budgets, a scaler, a nightly job.
    pub fn seed_shop(&self) {
        todo!()
    }
    /// Closes the port, ends the controllers, writes what is to be kept.
    pub async fn stop(self) {
        todo!()
    }
}
