//! A practice cluster with a small shop in it, reached as any cluster is: through a kubeconfig and the registry.

use actions::{
    catalogue::{self, PlanContext, PlanError},
    cluster::{Bounds, Cluster, ClusterConfig, Clusters, install_tls},
    query::{self, Answer, QueryError},
};
use ledger::{Plan, RequestId, Step, Target};
use practice::{Practice, PracticeConfig};
use serde_json::{Value, json};
use std::time::Duration;
use tempfile::TempDir;

/// See the module.
pub struct Scene {
    /// To look behind the wire, and to disturb it.
    pub practice: Practice,
    /// As production code has it.
    pub cluster: Cluster,
    dir: TempDir,
}

impl Scene {
    /// With the shop, settled.
    pub async fn shop() -> Scene {
        let scene = Scene::empty().await;
        for object in shop() {
            scene.practice.apply(object);
        }
        scene.practice.settled().await;
        scene
    }

    /// Nodes and system namespaces only.
    pub async fn empty() -> Scene {
        install_tls();
        let practice =
            Practice::start(PracticeConfig { name: "practice".into(), ..PracticeConfig::default() })
                .await
                .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let cluster = connect(&dir, "practice", &practice.kubeconfig(), 5);
        Scene { practice, cluster, dir }
    }

    /// The same cluster with another kubeconfig or timeout.
    pub fn also(&self, kubeconfig: &str, timeout_s: u64) -> Cluster {
        connect(&self.dir, "practice", kubeconfig, timeout_s)
    }

    /// The plan of a typed line without the common options, as it would be in namespace `shop`.
    pub async fn plan(&self, line: &str) -> Result<Plan, PlanError> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let action = catalogue::action(words[0]).unwrap();
        let matches = action
            .command()
            .try_get_matches_from(&words)
            .map_err(|error| PlanError::Invalid(error.to_string()))?;
        let (named, parameters) = action.parse(&matches).map_err(PlanError::Invalid)?;
        let target = Target {
            cluster: "practice".into(),
            namespace: Some("shop".into()),
            kind: named.kind,
            name: named.name,
            uid: None,
        };
        let request = RequestId("0190a5a4-0000-7000-8000-00000000beef".parse().unwrap());
        action
            .plan(PlanContext {
                cluster: &self.cluster,
                target: &target,
                parameters: &parameters,
                request,
                at: "2026-11-21T09:30:00Z".parse().unwrap(),
            })
            .await
    }

    /// The answer to a typed line without the common options.
    pub async fn ask(&self, line: &str, namespace: Option<&str>) -> Result<Answer, QueryError> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let query = query::queries().iter().find(|query| query.name() == words[0]).unwrap();
        let matches = query
            .command()
            .try_get_matches_from(&words)
            .map_err(|error| QueryError::Invalid(error.to_string()))?;
        query.answer(&self.cluster, namespace, &matches).await
    }

    /// Takes steps as the runner does, without its records.
    pub async fn take(&self, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Patch { object, kind, body } => {
                    drop(self.cluster.patch(object, *kind, body, false).await.unwrap())
                }
                Step::Create { object, body } => {
                    drop(self.cluster.create(object, body, false).await.unwrap())
                }
                Step::Delete { object, grace_period_seconds } => {
                    self.cluster.delete(object, *grace_period_seconds, false).await.unwrap()
                }
                Step::Exec { object, container, command } => {
                    let bounds = Bounds { takes: Duration::from_secs(20), prints: 1 << 20 };
                    let done = self.cluster.exec(object, Some(container), command, bounds).await.unwrap();
                    drop(done.output().unwrap())
                }
            }
        }
    }

    /// One object of the shop as it stands.
    pub fn object(&self, kind: &str, name: &str) -> Value {
        let api_version = match kind {
            "Pod" | "Secret" => "v1",
            "Job" | "CronJob" => "batch/v1",
            _ => "apps/v1",
        };
        self.practice.get(api_version, kind, Some("shop"), name).unwrap_or_else(|| panic!("no {kind} {name}"))
    }

    /// Names of the pods that have this label.
    pub async fn pods(&self, app: &str) -> Vec<String> {
        let pods = self
            .cluster
            .list("v1", "Pod", Some("shop"), Some(&format!("app={app}")), None, 100)
            .await
            .unwrap();
        pods.iter().map(|pod| pod["metadata"]["name"].as_str().unwrap().to_string()).collect()
    }

    /// Changes one field of an object as someone else would.
    pub fn set(&self, kind: &str, name: &str, pointer: &str, value: Value) {
        let mut object = self.object(kind, name);
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        object.pointer_mut(parent).unwrap()[field] = value;
        self.practice.apply(object);
    }
}

fn connect(dir: &TempDir, name: &str, kubeconfig: &str, timeout_s: u64) -> Cluster {
    let file = dir.path().join(format!("{}.yaml", uuid::Uuid::new_v4()));
    std::fs::write(&file, kubeconfig).unwrap();
    Clusters::new(vec![config(name, &file, timeout_s)]).get(name).unwrap()
}

/// A cluster by kubeconfig.
pub fn config(name: &str, kubeconfig: &std::path::Path, timeout_s: u64) -> ClusterConfig {
    ClusterConfig {
        name: name.into(),
        kubeconfig: Some(kubeconfig.into()),
        context: None,
        server: None,
        token_file: None,
        ca_file: None,
        labels: [("production".to_string(), "true".to_string())].into(),
        timeout_s,
        watch: false,
        pools: Vec::new(),
        prometheus: None,
    }
}

fn pod_template(app: &str, containers: Value) -> Value {
    json!({"metadata": {"labels": {"app": app}}, "spec": {"containers": containers}})
}

/// Six workloads, a budget, a scaler.
fn shop() -> Vec<Value> {
    let meta = |name: &str| json!({"name": name, "namespace": "shop"});
    let select = |app: &str| json!({"matchLabels": {"app": app}});
    let checkout = json!([
        {"name": "app", "image": "registry.example/checkout:1.41", "env": [{"name": "LOG_LEVEL", "value": "info"}, {"name": "DB_PASSWORD", "value": "hunter2"}],
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}}},
        {"name": "proxy", "image": "registry.example/proxy:2.0"}]);
    let job = json!({"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "report", "image": "registry.example/report:7", "env": [{"name": "API_TOKEN", "value": "s3cr3t"}]}]}}});
    vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta("checkout"), "spec": {"replicas": 3, "selector": select("checkout"), "template": pod_template("checkout", checkout)}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta("web"), "spec": {"replicas": 2, "selector": select("web"), "template": pod_template("web", json!([{"name": "web", "image": "registry.example/web:5"}]))}}),
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": meta("db"), "spec": {"replicas": 2, "serviceName": "db", "selector": select("db"), "template": pod_template("db", json!([{"name": "db", "image": "registry.example/db:16"}]))}}),
        json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": meta("agent"), "spec": {"selector": select("agent"), "template": pod_template("agent", json!([{"name": "agent", "image": "registry.example/agent:3"}]))}}),
        json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": meta("nightly-report"), "spec": {"schedule": "0 3 * * *", "jobTemplate": {"spec": job}}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": meta("db-login"), "type": "Opaque", "data": {"password": "aHVudGVyMg=="}}),
        json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": meta("checkout-pdb"), "spec": {"minAvailable": 2, "selector": select("checkout")}}),
        json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": meta("db-pdb"), "spec": {"minAvailable": 2, "selector": select("db")}}),
        json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": meta("web"), "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "minReplicas": 2, "maxReplicas": 10,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]}}),
    ]
}
