//! What a cluster holds from the start, and the sample shop.

use crate::object::{self, set};
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

struct App {
    namespace: &'static str,
    name: &'static str,
    image: &'static str,
    replicas: u32,
    cpu: &'static str,
    memory: &'static str,
    port: u16,
}

const APPS: &[App] = &[
    App {
        namespace: "shop",
        name: "frontend",
        image: "registry.shop.example/frontend:5.2.0",
        replicas: 3,
        cpu: "100m",
        memory: "128Mi",
        port: 8080,
    },
    App {
        namespace: "shop",
        name: "checkout",
        image: "registry.shop.example/checkout:2.14.1",
        replicas: 3,
        cpu: "250m",
        memory: "256Mi",
        port: 8080,
    },
    App {
        namespace: "shop",
        name: "cart",
        image: "registry.shop.example/cart:1.9.3",
        replicas: 2,
        cpu: "150m",
        memory: "192Mi",
        port: 8080,
    },
    App {
        namespace: "shop",
        name: "payments",
        image: "registry.shop.example/payments:3.0.7",
        replicas: 2,
        cpu: "200m",
        memory: "256Mi",
        port: 8443,
    },
    App {
        namespace: "kube-system",
        name: "coredns",
        image: "registry.k8s.io/coredns/coredns:v1.12.1",
        replicas: 2,
        cpu: "100m",
        memory: "70Mi",
        port: 53,
    },
];

fn pod_template(labels: &Value, name: &str, image: &str, cpu: &str, memory: &str, port: u16) -> Value {
    json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": name, "image": image, "ports": [{"containerPort": port}],
        "env": [{"name": "LOG_LEVEL", "value": "info"}], "resources": {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory}}}]}})
}

/// The shop.
pub(crate) fn shop(store: &mut Store) {
    for name in ["shop", "data"] {
        ensure(store, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
    }
    for app in APPS {
        let labels = json!({"app": app.name});
        let mut deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": app.name, "namespace": app.namespace, "labels": {"app": app.name, "team": app.namespace}},
            "spec": {"replicas": app.replicas, "selector": {"matchLabels": labels}, "template": pod_template(&labels, app.name, app.image, app.cpu, app.memory, app.port)}});
        set(
            &mut deployment,
            &["metadata", "annotations", "kubernetes.io/change-cause"],
            json!(format!("release {}", app.image.rsplit(':').next().unwrap_or(""))),
        );
        ensure(store, deployment);
        ensure(
            store,
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": app.name, "namespace": app.namespace}, "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": app.port}]}}),
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
