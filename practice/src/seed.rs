//! What a cluster holds from the start, and the sample shop.

use crate::load;
use crate::object;
use crate::store::Store;
use crate::write::Writer;
use serde_json::{Value, json};
use std::sync::Arc;

/// Creates an object, or replaces it. Panics when it is not valid: seeds are ours.
pub(crate) fn put(store: &mut Store, object: Value, writer: &Writer<'_>) -> Arc<Value> {
    let (version, kind) =
        (object["apiVersion"].as_str().unwrap_or(""), object["kind"].as_str().unwrap_or(""));
    let resource = store
        .registry
        .of_kind(version, kind)
        .unwrap_or_else(|| panic!("the practice cluster does not serve {version} {kind}"));
    let namespace = if !resource.namespaced {
        ""
    } else {
        Some(object::namespace(&object)).filter(|name| !name.is_empty()).unwrap_or("default")
    }
    .to_owned();
    let result = match store.get(&resource.id(), &namespace, object::name(&object)) {
        Some(old) => {
            let mut new = object.clone();
            object::remove(&mut new, &["metadata", "resourceVersion"]);
            store.replace(&resource, &old, new, writer)
        }
        None => store.create(&resource, &namespace, object.clone(), writer),
    };
    result.unwrap_or_else(|failure| panic!("seed {kind}: {}", failure.message))
}

/// Only what is missing: a cluster that has been kept stays as it was left.
fn ensure(store: &mut Store, object: Value) {
    let resource = store
        .registry
        .of_kind(object["apiVersion"].as_str().unwrap_or(""), object["kind"].as_str().unwrap_or(""))
        .expect("seeds are of built-in kinds");
    if store.get(&resource.id(), object::namespace(&object), object::name(&object)).is_none() {
        put(store, object, &Writer::new("kubectl-client-side-apply"));
    }
}

/// Nodes and system namespaces.
pub(crate) fn system(store: &mut Store, nodes: u32) {
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        ensure(store, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
    }
    for index in 1..=nodes {
        let name = format!("node-{index}");
        let zone = ["a", "b", "c"][index as usize % 3];
        let condition = |kind: &str, is: &str, reason: &str, message: &str| json!({"type": kind, "status": is, "reason": reason, "message": message, "lastHeartbeatTime": object::now(), "lastTransitionTime": object::now()});
        let room = json!({"cpu": "16", "memory": "64Gi", "pods": "250", "ephemeral-storage": "100Gi"});
        ensure(
            store,
            json!({"apiVersion": "v1", "kind": "Node",
                "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", "topology.kubernetes.io/zone": zone}},
                "spec": {"podCIDR": format!("10.244.{index}.0/24")},
                "status": {
                    "capacity": room, "allocatable": room,
                    "conditions": [
                        condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
                        condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
                        condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
                        condition("Ready", "True", "KubeletReady", "kubelet is posting ready status")],
                    "addresses": [{"type": "InternalIP", "address": format!("10.0.0.{}", index + 1)}, {"type": "Hostname", "address": name}],
                    "nodeInfo": {"kubeletVersion": "v1.36.1", "kubeProxyVersion": "", "osImage": "Debian GNU/Linux 12 (bookworm)", "containerRuntimeVersion": "containerd://2.1.4",
                        "kernelVersion": "6.1.0-40-amd64", "architecture": "amd64", "operatingSystem": "linux", "machineID": "", "systemUUID": "", "bootID": ""}}}),
        );
    }
}

/// A deployment of the shop, and its release before the present one.
struct App {
    namespace: &'static str,
    name: &'static str,
    image: &'static str,
    before: &'static str,
    now: &'static str,
    replicas: u32,
    cpu: &'static str,
    memory: &'static str,
    port: u16,
    /// Requests a second on a usual day.
    load: &'static str,
}

const FRONTEND: App = App {
    namespace: "shop",
    name: "frontend",
    image: "registry.shop.example/frontend",
    before: "5.1.4",
    now: "5.2.0",
    replicas: 3,
    cpu: "100m",
    memory: "128Mi",
    port: 8080,
    load: "60",
};
const APPS: &[App] = &[
    FRONTEND,
    App {
        name: "checkout",
        image: "registry.shop.example/checkout",
        before: "2.13.0",
        now: "2.14.1",
        cpu: "250m",
        memory: "256Mi",
        load: "150",
        ..FRONTEND
    },
    App {
        name: "cart",
        image: "registry.shop.example/cart",
        before: "1.9.2",
        now: "1.9.3",
        replicas: 2,
        cpu: "150m",
        memory: "192Mi",
        load: "60",
        ..FRONTEND
    },
    App {
        name: "payments",
        image: "registry.shop.example/payments",
        before: "3.0.6",
        now: "3.0.7",
        replicas: 2,
        cpu: "200m",
        memory: "256Mi",
        port: 8443,
        load: "80",
        ..FRONTEND
    },
    App {
        namespace: "kube-system",
        name: "coredns",
        image: "registry.k8s.io/coredns/coredns",
        before: "v1.12.0",
        now: "v1.12.1",
        replicas: 2,
        memory: "70Mi",
        port: 53,
        load: "40",
        ..FRONTEND
    },
];

impl App {
    fn deployment(&self, tag: &str) -> Value {
        let labels = json!({"app": self.name});
        let image = format!("{}:{tag}", self.image);
        json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": self.name, "namespace": self.namespace, "labels": {"app": self.name, "team": self.namespace},
                "annotations": {"kubernetes.io/change-cause": format!("release {tag}"), load::LOAD: self.load}},
            "spec": {"replicas": self.replicas, "selector": {"matchLabels": labels},
                "template": pod_template(&labels, self.name, &image, self.cpu, self.memory, self.port)}})
    }
}

/// The deployments of the shop as they were one release ago; only those that are not there at all.
pub(crate) fn earlier(store: &mut Store) {
    namespaces(store);
    for app in APPS {
        ensure(store, app.deployment(app.before));
    }
}

/// Puts the present release where the earlier one still is.
pub(crate) fn release(store: &mut Store) {
    for app in APPS {
        let Some(is) = store.get("deployments.apps", app.namespace, app.name) else { continue };
        if is["spec"]["template"]["spec"]["containers"][0]["image"] == format!("{}:{}", app.image, app.before)
        {
            put(store, app.deployment(app.now), &Writer::new("kubectl-client-side-apply"));
        }
    }
}

fn namespaces(store: &mut Store) {
    for name in ["shop", "data"] {
        ensure(store, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
    }
}

fn pod_template(labels: &Value, name: &str, image: &str, cpu: &str, memory: &str, port: u16) -> Value {
    json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": name, "image": image, "ports": [{"containerPort": port}],
        "env": [{"name": "LOG_LEVEL", "value": "info"}], "resources": {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory}}}]}})
}

/// Istio's routes. Practice clusters delay what these delay.
fn virtual_services() -> Value {
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "virtualservices.networking.istio.io"},
        "spec": {"group": "networking.istio.io", "scope": "Namespaced",
            "names": {"plural": "virtualservices", "singular": "virtualservice", "kind": "VirtualService", "listKind": "VirtualServiceList", "shortNames": ["vs"]},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}})
}

/// The shop, in a service mesh.
pub(crate) fn shop(store: &mut Store) {
    namespaces(store);
    ensure(store, virtual_services());
    for app in APPS {
        ensure(store, app.deployment(app.now));
        ensure(
            store,
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": app.name, "namespace": app.namespace},
                "spec": {"selector": {"app": app.name}, "ports": [{"port": 80, "targetPort": app.port}]}}),
        );
    }
    let labels = json!({"app": "db"});
    ensure(
        store,
        json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db", "namespace": "data", "labels": labels},
            "spec": {"replicas": 3, "serviceName": "db", "selector": {"matchLabels": labels}, "template": pod_template(&labels, "postgres", "docker.io/library/postgres:16.4", "500m", "1Gi", 5432),
                "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "20Gi"}}}}]}}),
    );
    let labels = json!({"app": "node-agent"});
    ensure(
        store,
        json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "node-agent", "namespace": "kube-system", "labels": labels},
            "spec": {"selector": {"matchLabels": labels}, "template": pod_template(&labels, "node-agent", "registry.shop.example/node-agent:0.8.2", "50m", "64Mi", 9100)}}),
    );
    for (name, namespace, least) in [("checkout", "shop", 2), ("db", "data", 2)] {
        ensure(
            store,
            json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name, "namespace": namespace},
                "spec": {"minAvailable": least, "selector": {"matchLabels": {"app": name}}}}),
        );
    }
    ensure(
        store,
        json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "frontend", "namespace": "shop"},
            "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "frontend"}, "minReplicas": 3, "maxReplicas": 8,
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]}}),
    );
    ensure(
        store,
        json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "nightly-report", "namespace": "shop"},
            "spec": {"schedule": "30 2 * * *", "timeZone": "Etc/UTC", "concurrencyPolicy": "Forbid", "jobTemplate": {"spec": {"backoffLimit": 2, "template": {"spec": {"restartPolicy": "Never",
                "containers": [{"name": "report", "image": "registry.shop.example/report:1.1.0", "command": ["/report", "--day", "yesterday"]}]}}}}}}),
    );
    ensure(
        store,
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "checkout", "namespace": "shop"}, "data": {"currency": "EUR", "feature.express": "on"}}),
    );
}
