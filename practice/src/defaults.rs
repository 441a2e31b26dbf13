//! The defaults that the real server fills in, so that dry runs and diffs look the same.

use crate::object::{self, at, set, text};
use crate::resource::Resource;
use base64::Engine;
use serde_json::{Value, json};

/// Counts the templates that a DaemonSet has had; once a field, now an annotation.
pub(crate) const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// Fills what is left out.
pub(crate) fn fill(resource: &Resource, new: &mut Value) {
    match resource.id().as_str() {
        "pods" => {
            pod_spec(new, &["spec"]);
            running_pod(new);
        }
        "deployments.apps" => deployment(new),
        "replicasets.apps" => {
            one(new, &["spec", "replicas"], json!(1));
            template(new, &["spec", "template"]);
        }
        "statefulsets.apps" => stateful_set(new),
        "daemonsets.apps" => daemon_set(new),
        "jobs.batch" => {
            job_spec(new, &["spec"]);
            job_selector(new);
        }
        "cronjobs.batch" => {
            for (field, value) in [
                ("concurrencyPolicy", json!("Allow")),
                ("suspend", json!(false)),
                ("successfulJobsHistoryLimit", json!(3)),
                ("failedJobsHistoryLimit", json!(1)),
            ] {
                one(new, &["spec", field], value);
            }
            template(new, &["spec", "jobTemplate", "spec", "template"]);
        }
        "horizontalpodautoscalers.autoscaling" => {
            one(new, &["spec", "minReplicas"], json!(1));
            one(
                new,
                &["spec", "metrics"],
                json!([{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]),
            );
        }
        "services" => service(new),
        "namespaces" => {
            one(new, &["spec", "finalizers"], json!(["kubernetes"]));
            one(new, &["status", "phase"], json!("Active"));
            let name = object::name(new).to_owned();
            if !name.is_empty() {
                set(new, &["metadata", "labels", "kubernetes.io/metadata.name"], json!(name));
            }
        }
        "secrets" => secret(new),
        "persistentvolumeclaims" => one(new, &["spec", "volumeMode"], json!("Filesystem")),
        _ => {}
    }
}

/// Sets a field that is missing or null.
fn one(object: &mut Value, path: &[&str], value: Value) {
    if at(object, path).is_null() {
        set(object, path, value);
    }
}

fn deployment(new: &mut Value) {
    one(new, &["spec", "replicas"], json!(1));
    one(new, &["spec", "strategy", "type"], json!("RollingUpdate"));
    if text(new, &["spec", "strategy", "type"]) == "RollingUpdate" {
        one(new, &["spec", "strategy", "rollingUpdate", "maxUnavailable"], json!("25%"));
        one(new, &["spec", "strategy", "rollingUpdate", "maxSurge"], json!("25%"));
    }
    one(new, &["spec", "revisionHistoryLimit"], json!(10));
    one(new, &["spec", "progressDeadlineSeconds"], json!(600));
    template(new, &["spec", "template"]);
}

fn stateful_set(new: &mut Value) {
    one(new, &["spec", "replicas"], json!(1));
    one(new, &["spec", "podManagementPolicy"], json!("OrderedReady"));
    one(new, &["spec", "updateStrategy", "type"], json!("RollingUpdate"));
    if text(new, &["spec", "updateStrategy", "type"]) == "RollingUpdate" {
        one(new, &["spec", "updateStrategy", "rollingUpdate", "partition"], json!(0));
    }
    one(new, &["spec", "revisionHistoryLimit"], json!(10));
    one(
        new,
        &["spec", "persistentVolumeClaimRetentionPolicy"],
        json!({"whenDeleted": "Retain", "whenScaled": "Retain"}),
    );
    template(new, &["spec", "template"]);
}

fn daemon_set(new: &mut Value) {
    one(new, &["spec", "updateStrategy", "type"], json!("RollingUpdate"));
    if text(new, &["spec", "updateStrategy", "type"]) == "RollingUpdate" {
        one(new, &["spec", "updateStrategy", "rollingUpdate", "maxUnavailable"], json!(1));
        one(new, &["spec", "updateStrategy", "rollingUpdate", "maxSurge"], json!(0));
    }
    one(new, &["spec", "revisionHistoryLimit"], json!(10));
    one(new, &["metadata", "annotations", TEMPLATE_GENERATION], json!("1"));
    template(new, &["spec", "template"]);
}

fn job_spec(new: &mut Value, path: &[&str]) {
    let mut spec = at(new, path).clone();
    if at(&spec, &["completions"]).is_null() && at(&spec, &["parallelism"]).is_null() {
        set(&mut spec, &["completions"], json!(1));
    }
    for (field, value) in [
        ("parallelism", json!(1)),
        ("backoffLimit", json!(6)),
        ("completionMode", json!("NonIndexed")),
        ("suspend", json!(false)),
        ("manualSelector", json!(false)),
        ("podReplacementPolicy", json!("TerminatingOrFailed")),
    ] {
        one(&mut spec, &[field], value);
    }
    template(&mut spec, &["template"]);
    set(new, path, spec);
}

/// A job's pods are found by the job's uid.
fn job_selector(new: &mut Value) {
    let (uid, name) = (object::uid(new).to_owned(), object::name(new).to_owned());
    if uid.is_empty() || at(new, &["spec", "manualSelector"]) == true {
        return;
    }
    one(new, &["spec", "selector"], json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}));
    for (label, value) in [
        ("batch.kubernetes.io/controller-uid", &uid),
        ("batch.kubernetes.io/job-name", &name),
        ("controller-uid", &uid),
        ("job-name", &name),
    ] {
        one(new, &["spec", "template", "metadata", "labels", label], json!(value));
    }
}

fn service(new: &mut Value) {
    one(new, &["spec", "type"], json!("ClusterIP"));
    one(new, &["spec", "sessionAffinity"], json!("None"));
    one(new, &["spec", "internalTrafficPolicy"], json!("Cluster"));
    let number = object::fnv(format!("{}/{}", object::namespace(new), object::name(new)).as_bytes());
    let address = format!("10.96.{}.{}", number >> 8 & 0xff, (number & 0xff).max(2));
    one(new, &["spec", "clusterIP"], json!(address));
    let address = at(new, &["spec", "clusterIP"]).clone();
    one(new, &["spec", "clusterIPs"], json!([address]));
    one(new, &["spec", "ipFamilies"], json!(["IPv4"]));
    one(new, &["spec", "ipFamilyPolicy"], json!("SingleStack"));
    for port in new.pointer_mut("/spec/ports").and_then(Value::as_array_mut).into_iter().flatten() {
        one(port, &["protocol"], json!("TCP"));
        let number = port["port"].clone();
        one(port, &["targetPort"], number);
    }
    one(new, &["status", "loadBalancer"], json!({}));
}

fn secret(new: &mut Value) {
    one(new, &["type"], json!("Opaque"));
    if let Some(Value::Object(plain)) = object::remove(new, &["stringData"]) {
        for (key, value) in plain {
            let encoded = base64::engine::general_purpose::STANDARD.encode(value.as_str().unwrap_or(""));
            set(new, &["data", &key], json!(encoded));
        }
    }
}

fn template(object: &mut Value, path: &[&str]) {
    let spec: Vec<&str> = path.iter().copied().chain(["spec"]).collect();
    if at(object, &spec).is_object() {
        pod_spec(object, &spec);
    }
}

fn pod_spec(object: &mut Value, path: &[&str]) {
    let mut spec = at(object, path).clone();
    for (field, value) in [
        ("restartPolicy", json!("Always")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("dnsPolicy", json!("ClusterFirst")),
        ("securityContext", json!({})),
        ("schedulerName", json!("default-scheduler")),
    ] {
        one(&mut spec, &[field], value);
    }
    if let Some(account) = spec.get("serviceAccountName").cloned().filter(|account| account != "") {
        one(&mut spec, &["serviceAccount"], account);
    }
    for list in ["containers", "initContainers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            fill_container(container);
        }
    }
    for volume in spec.get_mut("volumes").and_then(Value::as_array_mut).into_iter().flatten() {
        for source in ["configMap", "secret", "projected", "downwardAPI"] {
            if volume[source].is_object() {
                one(volume, &[source, "defaultMode"], json!(420));
            }
        }
        if volume.as_object().is_some_and(|map| map.len() == 1) {
            set(volume, &["emptyDir"], json!({}));
        }
    }
    set(object, path, spec);
}

fn fill_container(container: &mut Value) {
    if !container.is_object() {
        return;
    }
    let image = text(container, &["image"]).to_owned();
    let tag = image.rsplit('/').next().unwrap_or("").split_once(':').map_or("latest", |(_, tag)| tag);
    let pull = if tag == "latest" && !image.contains('@') { "Always" } else { "IfNotPresent" };
    for (field, value) in [
        ("resources", json!({})),
        ("terminationMessagePath", json!("/dev/termination-log")),
        ("terminationMessagePolicy", json!("File")),
        ("imagePullPolicy", json!(pull)),
    ] {
        one(container, &[field], value);
    }
    for port in container.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        one(port, &["protocol"], json!("TCP"));
    }
    for variable in container.get_mut("env").and_then(Value::as_array_mut).into_iter().flatten() {
        if at(variable, &["valueFrom", "fieldRef"]).is_object() {
            one(variable, &["valueFrom", "fieldRef", "apiVersion"], json!("v1"));
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if container[probe].is_object() {
            for (field, value) in [
                ("timeoutSeconds", 1),
                ("periodSeconds", 10),
                ("successThreshold", 1),
                ("failureThreshold", 3),
            ] {
                one(container, &[probe, field], json!(value));
            }
            if at(container, &[probe, "httpGet"]).is_object() {
                one(container, &[probe, "httpGet", "scheme"], json!("HTTP"));
                one(container, &[probe, "httpGet", "path"], json!("/"));
            }
        }
    }
    // What is limited and not requested is requested up to the limit.
    if let Some(limits) = at(container, &["resources", "limits"]).as_object().cloned() {
        for (resource, limit) in limits {
            one(container, &["resources", "requests", &resource], limit);
        }
    }
}

/// What admission adds to a pod itself, but not to templates.
fn running_pod(pod: &mut Value) {
    one(pod, &["spec", "serviceAccountName"], json!("default"));
    one(pod, &["spec", "serviceAccount"], json!("default"));
    one(pod, &["spec", "enableServiceLinks"], json!(true));
    one(pod, &["spec", "priority"], json!(0));
    one(pod, &["spec", "preemptionPolicy"], json!("PreemptLowerPriority"));
    one(
        pod,
        &["spec", "tolerations"],
        json!([
            {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
            {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}]),
    );
    one(pod, &["status", "phase"], json!("Pending"));
    let class = quality(pod);
    one(pod, &["status", "qosClass"], json!(class));
}

fn quality(pod: &Value) -> &'static str {
    let containers = object::list(pod, &["spec", "containers"]);
    let part =
        |container: &Value, kind: &str, resource: &str| at(container, &["resources", kind, resource]).clone();
    if containers.iter().all(|container| {
        at(container, &["resources", "limits"]).is_null()
            && at(container, &["resources", "requests"]).is_null()
    }) {
        "BestEffort"
    } else if containers.iter().all(|container| {
        ["cpu", "memory"].iter().all(|resource| {
            !part(container, "limits", resource).is_null()
                && part(container, "limits", resource) == part(container, "requests", resource)
        })
    }) {
        "Guaranteed"
    } else {
        "Burstable"
    }
}
