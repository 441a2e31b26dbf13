//! A practice cluster: an in-process Kubernetes API server over loopback HTTP, with small live controllers.
//!
//! For the demo and for fast fault injection; never part of `petrel serve`. It speaks the real wire protocol to the
//! unmodified client, as a 1.36 control plane would answer; where the two differ, this crate has a bug.
//!
//! Not in it: TLS, protobuf, Table output, OpenAPI, admission webhooks that answer, schema validation of custom resources.

mod admission;
mod audit;
mod auth;
mod cluster;
mod controllers;
mod defaults;
mod delete;
mod demand;
mod discovery;
mod exec;
mod exposition;
mod failure;
mod faults;
mod fields;
mod list;
mod load;
mod managed;
mod object;
mod patch;
mod persist;
mod port;
mod quantity;
mod resource;
mod routes;
mod schema;
mod seed;
mod selector;
mod server;
mod store;
mod types;
mod validate;
mod watch;
mod write;

pub use audit::Audited;
pub use exec::{Exec, Executed};
pub use faults::{FaultRequest, Faults};
pub use port::free_port;

use anyhow::Context;
use cluster::{Cluster, State};
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use write::Writer;

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
pub struct Practice {
    cluster: Arc<Cluster>,
}

impl Practice {
    /// Starts listening; the nodes and the system namespaces are there, nothing else.
    pub async fn start(config: PracticeConfig) -> anyhow::Result<Practice> {
        let mut state = State {
            store: store::Store::default(),
            work: controllers::Work::default(),
            trail: audit::Trail::default(),
        };
        let mut token = auth::new_token();
        if let Some(folder) = &config.data {
            token = persist::kept(folder, "token", || token)?;
            state.trail.resume(&folder.join("audit.jsonl"))?;
            persist::open(&mut state.store, folder)?;
        }
        seed::system(&mut state.store, config.nodes);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, config.port));
        let listener = server::listen(address).with_context(|| format!("listen on {address}"))?;
        let address = listener.local_addr()?;
        let cluster = Cluster::new(config.name, address.to_string(), config.speed, token, state);
        let tasks = [
            tokio::spawn(server::serve(cluster.clone(), listener, address)),
            tokio::spawn(controllers::run(cluster.clone())),
        ];
        cluster.tasks.lock().expect("nobody panics while holding it").extend(tasks);
        Ok(Practice { cluster })
    }

    /// `http://127.0.0.1:port`
    pub fn url(&self) -> String {
        format!("http://{}", self.cluster.address)
    }

    /// A kubeconfig (YAML) whose context has the cluster's name and whose token may do everything.
    pub fn kubeconfig(&self) -> String {
        self.kubeconfig_with("admin", &self.cluster.admin_token)
    }

    /// A kubeconfig for user `limited` who may only do this: resource (`pods`, `deployments`, `deployments/scale`) to verbs
    /// (`get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, `*`). Anything else is 403 as RBAC words it.
    pub fn limited_kubeconfig(&self, allow: &[(&str, &[&str])]) -> String {
        self.kubeconfig_with("limited", &self.cluster.tokens.add_limited(allow))
    }

    fn kubeconfig_with(&self, user: &str, token: &str) -> String {
        let (name, url) = (&self.cluster.name, self.url());
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: {name}\nclusters:\n- name: {name}\n  cluster:\n    server: {url}\nusers:\n- name: {name}-{user}\n  user:\n    token: {token}\ncontexts:\n- name: {name}\n  context:\n    cluster: {name}\n    user: {name}-{user}\n    namespace: default\n"
        )
    }

    /// Creates the object, or replaces it when it exists (keeping its status), as an administrator would. Panics when it is not valid.
    pub fn apply(&self, object: Value) -> Value {
        let mut state = self.cluster.lock();
        let applied = seed::put(&mut state.store, object, &Writer::new("practice"));
        drop(state);
        self.cluster.wake.notify_one();
        (*applied).clone()
    }

    /// Deletes an object without grace, with its dependents in the background; false when it is not there.
    pub fn delete(&self, api_version: &str, kind: &str, namespace: Option<&str>, name: &str) -> bool {
        let mut state = self.cluster.lock();
        let Some(resource) = state.store.registry.of_kind(api_version, kind) else { return false };
        let options = delete::Options {
            grace: Some(0),
            propagation: Some("Background".into()),
            ..delete::Options::default()
        };
        let done = state.store.delete(&resource, namespace.unwrap_or(""), name, &options).is_ok();
        drop(state);
        self.cluster.wake.notify_one();
        done
    }

    /// One object as it stands.
    pub fn get(&self, api_version: &str, kind: &str, namespace: Option<&str>, name: &str) -> Option<Value> {
        let state = self.cluster.lock();
        let resource = state.store.registry.of_kind(api_version, kind)?;
        state.store.get(&resource.id(), namespace.unwrap_or(""), name).map(|object| (*object).clone())
    }

    /// Every call that asked for a change, oldest first. `apply`, `delete` and the controllers are not calls.
    pub fn audit(&self) -> Vec<Audited> {
        self.cluster.lock().trail.entries()
    }

    /// Also appends each audited call to this file (JSON lines), before it is answered.
    pub fn audit_to(&self, path: &Path) -> anyhow::Result<()> {
        self.cluster.lock().trail.write_to(path)
    }

    /// What commands in containers do from now on. Until then, and for those that it knows nothing of, no container has any program.
    pub fn on_exec(&self, run: impl Fn(&Exec) -> Option<Executed> + Send + Sync + 'static) {
        self.cluster.programs.set(run);
    }

    /// The switches.
    pub fn faults(&self) -> &Faults {
        &self.cluster.faults
    }

    /// Waits until the controllers have nothing to do and no pod is on its way up or down. Waiting for a crash loop's next
    /// try, a schedule or a deadline counts as idle.
    pub async fn settled(&self) {
        let mut rest = self.cluster.rest.subscribe();
        loop {
            {
                let state = self.cluster.lock();
                if state.store.unseen.is_empty() && state.work.is_idle() {
                    return;
                }
            }
            self.cluster.wake.notify_one();
            // The sender lives as long as the cluster, which we hold.
            let _ = rest.changed().await;
        }
    }

    /// Puts a believable shop into the cluster: deployments, a database, an agent on every node, budgets, a scaler, a nightly job.
    /// What is there already stays as it is.
    pub fn seed_shop(&self) {
        seed::shop(&mut self.cluster.lock().store);
        self.cluster.wake.notify_one();
    }

    /// The shop as if it had been there for a while: with a release before the present one to go back to. Returns when all is up.
    pub async fn seed_shop_with_history(&self) {
        seed::earlier(&mut self.cluster.lock().store);
        self.settled().await;
        seed::release(&mut self.cluster.lock().store);
        self.seed_shop();
        self.settled().await;
    }

    /// What Prometheus would have scraped every `step` seconds of that time (Unix seconds), had the cluster as it stands been
    /// there: OpenMetrics text, without its `# EOF`. The labels are those that scraping adds.
    pub fn write_history(
        &self,
        times: std::ops::Range<i64>,
        step: usize,
        labels: &[(&'static str, &str)],
        out: &mut impl std::io::Write,
    ) -> std::io::Result<()> {
        exposition::write_history(&self.cluster, times, step, labels, out)
    }

    /// Closes the port, ends the controllers, cuts all connections. What is kept is on disk already.
    pub async fn stop(self) {
        self.cluster.stop.cancel();
        let tasks = std::mem::take(&mut *self.cluster.tasks.lock().expect("nobody panics while holding it"));
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a part of the practice cluster had failed");
            }
        }
    }
}
