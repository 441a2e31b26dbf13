//! The cluster under test: a practice cluster as its own process, or the real one named by `PETREL_TEST_KUBECONFIG`.
//! Either way it is prepared and looked at through the unmodified Kubernetes client.

use crate::{process::Process, wait};
use anyhow::{Context, Result};
use kube::{
    Api, Client, Config,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// A cluster and the namespace that this test owns in it; cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    /// For `petrel.toml`.
    pub kubeconfig: PathBuf,
    /// Made for this test; deleted with it on a real cluster.
    pub namespace: String,
    client: Client,
    practice: Option<(Arc<Process>, PathBuf)>,
}

/// A mutating call as the practice cluster's audit trail has it.
#[derive(Clone, Debug, Deserialize)]
pub struct Audited {
    /// RFC 3339 with microseconds.
    pub at: String,
    /// Who wrote: `petrel`, `someone-else`.
    pub field_manager: String,
    /// `patch`, `create`, `delete`.
    pub verb: String,
    /// `deployments.apps`.
    pub resource: String,
    /// Empty for what lives outside namespaces.
    pub namespace: String,
    /// Object name.
    pub name: String,
    /// Dry runs are no effects.
    pub dry_run: bool,
    /// HTTP status of the answer.
    pub code: u16,
    /// The patch, object or delete options that were sent.
    pub body: Value,
}

impl Cluster {
    /// Starts a practice cluster called `name` of so many nodes in `folder`, or connects to the real one.
    pub async fn start(name: &str, folder: &Path, nodes: u32) -> Result<Cluster> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (kubeconfig, practice) = match std::env::var_os("PETREL_TEST_KUBECONFIG") {
            Some(path) => (PathBuf::from(path), None),
            None => {
                let kubeconfig = folder.join(format!("{name}.kubeconfig"));
                let audit = folder.join(format!("{name}.audit.jsonl"));
                let nodes = nodes.to_string();
                let args = [
                    "--name",
                    name,
                    "--nodes",
                    &nodes,
                    "--port",
                    "0",
                    "--speed",
                    "20ms",
                    "--kubeconfig",
                    kubeconfig.to_str().context("path")?,
                    "--audit",
                    audit.to_str().context("path")?,
                ];
                let process = Process::spawn("practice", &args, &[], &folder.join(format!("{name}.log")))?;
                wait::until("the practice cluster's kubeconfig", Duration::from_secs(20), || async {
                    std::fs::read_to_string(&kubeconfig).ok().filter(|text| text.contains("current-context"))
                })
                .await;
                (kubeconfig, Some((Arc::new(process), audit)))
            }
        };
        let config = Config::from_custom_kubeconfig(
            Kubeconfig::read_from(&kubeconfig)?,
            &KubeConfigOptions::default(),
        )
        .await?;
        let client = Client::try_from(config)?;
        let namespace = format!("petrel-{}", &uuid::Uuid::new_v4().simple().to_string()[..10]);
        let cluster = Cluster { kubeconfig, namespace: namespace.clone(), client, practice };
        cluster
            .create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}))
            .await?;
        Ok(cluster)
    }

    /// Whether faults and the audit trail are to be had.
    pub fn is_practice(&self) -> bool {
        self.practice.is_some()
    }

    fn api(&self, api_version: &str, kind: &str) -> Api<DynamicObject> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let cluster_wide =
            ["Namespace", "Node", "CustomResourceDefinition", "ValidatingWebhookConfiguration"];
        if cluster_wide.contains(&kind) {
            Api::all_with(self.client.clone(), &resource)
        } else {
            Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
        }
    }

    /// Creates an object in this test's namespace.
    pub async fn create(&self, object: Value) -> Result<Value> {
        let api = self.api(
            object["apiVersion"].as_str().context("apiVersion")?,
            object["kind"].as_str().context("kind")?,
        );
        let made = api.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
        Ok(serde_json::to_value(made)?)
    }

    /// Reads an object; null when it is not there.
    pub async fn get(&self, api_version: &str, kind: &str, name: &str) -> Value {
        match self.api(api_version, kind).get_opt(name).await {
            Ok(Some(object)) => serde_json::to_value(object).unwrap_or_default(),
            _ => Value::Null,
        }
    }

    /// Somebody else changes an object (field manager `someone-else`).
    pub async fn meddle(&self, api_version: &str, kind: &str, name: &str, patch: Value) -> Result<()> {
        let params = PatchParams { field_manager: Some("someone-else".into()), ..PatchParams::default() };
        self.api(api_version, kind).patch(name, &params, &Patch::Merge(patch)).await?;
        Ok(())
    }

    /// Names of the objects of a kind in this test's namespace.
    pub async fn names(&self, api_version: &str, kind: &str) -> Result<Vec<String>> {
        let list = self.api(api_version, kind).list(&Default::default()).await?;
        Ok(list.items.into_iter().filter_map(|object| object.metadata.name).collect())
    }

    /// A deployment, and waits until it is ready.
    pub async fn deployment(&self, name: &str, replicas: u32) -> Result<()> {
        self.workload("Deployment", name, replicas).await
    }

    /// A Deployment, StatefulSet or DaemonSet, and waits until it is ready.
    pub async fn workload(&self, kind: &str, name: &str, replicas: u32) -> Result<()> {
        let mut object = deployment(name, replicas);
        object["kind"] = json!(kind);
        match kind {
            "StatefulSet" => object["spec"]["serviceName"] = json!(name),
            "DaemonSet" => {
                object["spec"].as_object_mut().context("a spec")?.remove("replicas");
            }
            _ => {}
        }
        self.create(object).await?;
        self.ready(kind, name, replicas).await;
        Ok(())
    }

    /// Waits until a workload is ready.
    pub async fn ready(&self, kind: &str, name: &str, replicas: u32) {
        wait::until(&format!("{kind} {name} ready"), Duration::from_secs(60), || async {
            let status = self.get("apps/v1", kind, name).await["status"].clone();
            let ready = match kind {
                "DaemonSet" => {
                    status["numberReady"].as_u64() > Some(0)
                        && status["numberReady"] == status["desiredNumberScheduled"]
                }
                _ => status["readyReplicas"].as_u64() == Some(u64::from(replicas)),
            };
            ready.then_some(())
        })
        .await;
    }

    /// Effects on this namespace by Petrel: answered mutating calls that were no dry run. Practice clusters only.
    pub fn effects(&self) -> Vec<Audited> {
        let Some((_, audit)) = &self.practice else { return Vec::new() };
        std::fs::read_to_string(audit)
            .unwrap_or_default()
            .lines()
            .filter_map(|line| serde_json::from_str::<Audited>(line).ok())
            .filter(|call| call.namespace == self.namespace && call.field_manager == "petrel")
            .filter(|call| !call.dry_run && call.code < 300)
            .collect()
    }

    /// Throws fault switches of the practice cluster.
    pub async fn fault(&self, switches: Value) -> Result<()> {
        self.practice("faults", switches).await
    }

    /// What commands in containers of the practice cluster answer: `[{contains, answer: {stdout, stderr, code}}]`.
    pub async fn programs(&self, answers: Value) -> Result<()> {
        self.practice("exec", answers).await
    }

    async fn practice(&self, what: &str, body: Value) -> Result<()> {
        let config = Config::from_custom_kubeconfig(
            Kubeconfig::read_from(&self.kubeconfig)?,
            &KubeConfigOptions::default(),
        )
        .await?;
        let url = format!("{}practice/{what}", config.cluster_url);
        reqwest::Client::new().post(url).json(&body).send().await?.error_for_status()?;
        Ok(())
    }

    /// Host and port of the practice cluster, where it can be scraped; None where it has no metrics.
    pub async fn metrics(&self) -> Option<String> {
        let kubeconfig = Kubeconfig::read_from(&self.kubeconfig).ok()?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.ok()?;
        let answer = reqwest::get(format!("{}practice/metrics", config.cluster_url)).await.ok()?;
        answer.status().is_success().then(|| {
            let (host, port) = (config.cluster_url.host().unwrap_or_default(), config.cluster_url.port_u16());
            format!("{host}:{}", port.unwrap_or(80))
        })
    }

    /// Gives a real cluster its namespace back.
    pub async fn finish(&self) {
        if !self.is_practice() {
            let _ = self.api("v1", "Namespace").delete(&self.namespace, &DeleteParams::default()).await;
        }
    }
}

/// A deployment of one small container called `app`.
pub fn deployment(name: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{
                    "name": "app", "image": "registry.example/shop/app:1.0",
                    "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}}
                }]}
            }
        }
    })
}
