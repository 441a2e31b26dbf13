//! A cluster and a client for one test.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DynamicObject, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::Status;
use kube::discovery::ApiResource;
use kube::{Client, Config};
use practice::{Practice, PracticeConfig};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::time::Duration;

pub struct World {
    pub practice: Practice,
    pub client: Client,
}

impl World {
    pub async fn new() -> World {
        World::with(PracticeConfig::default()).await
    }
    pub async fn with(config: PracticeConfig) -> World {
        let practice = Practice::start(config).await.unwrap();
        let client = client(&practice.kubeconfig()).await;
        practice.settled().await;
        World { practice, client }
    }
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), "default")
    }
    pub async fn deploy(&self, value: Value) -> Deployment {
        let made = self.api::<Deployment>().create(&PostParams::default(), &from(value)).await.unwrap();
        self.practice.settled().await;
        made
    }
    pub fn object(&self, api_version: &str, kind: &str, name: &str) -> Value {
        self.practice
            .get(api_version, kind, Some("default"), name)
            .unwrap_or_else(|| panic!("there is no {kind} {name}"))
    }
    /// Pods of an app, by name.
    pub async fn pods(&self, app: &str) -> Vec<Pod> {
        self.api::<Pod>()
            .list(&kube::api::ListParams::default().labels(&format!("app={app}")))
            .await
            .unwrap()
            .items
    }
}

pub async fn client(kubeconfig: &str) -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig).unwrap();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    // Refusals are what we want to see, not their fifteenth repetition.
    config.default_retry = false;
    Client::try_from(config).unwrap()
}

pub fn from<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// Objects of any kind in namespace `default`.
pub fn dynamic(client: &Client, api_version: &str, kind: &str, plural: &str) -> Api<DynamicObject> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let resource = ApiResource {
        group: group.into(),
        version: version.into(),
        api_version: api_version.into(),
        kind: kind.into(),
        plural: plural.into(),
    };
    Api::namespaced_with(client.clone(), "default", &resource)
}

pub fn deployment(name: &str, replicas: i32) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "app", "image": "shop/app:1"}]}}}})
}

pub fn pod(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": {"containers": [{"name": "app", "image": "shop/app:1"}]}})
}

pub fn config_map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

/// The refusal of the server.
pub fn refusal<T: std::fmt::Debug>(result: Result<T, kube::Error>) -> Status {
    match result {
        Err(kube::Error::Api(status)) => *status,
        other => panic!("a refusal was expected, not {other:?}"),
    }
}

/// Waits until something holds; never longer than ten seconds.
pub async fn until<F: AsyncFnMut() -> bool>(what: &str, mut holds: F) {
    let end = tokio::time::Instant::now() + Duration::from_secs(10);
    while !holds().await {
        assert!(tokio::time::Instant::now() < end, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
