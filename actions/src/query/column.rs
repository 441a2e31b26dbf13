//! The columns of each kind as kubectl shows them (with the useful ones of `-o wide`).
//! Source: kubernetes/pkg/printers/internalversion/printers.go.

use super::{
    age::{age, duration},
    pod_status::pod_status,
};
use jiff::Timestamp;
use serde_json::Value;

/// Header and cells beside NAME, which is always first. Kinds without a row here show NAME and AGE.
pub fn columns(kind: &str) -> &'static [&'static str] {
    match kind {
        "Pod" => &["READY", "STATUS", "RESTARTS", "AGE", "NODE"],
        "Deployment" => &["READY", "UP-TO-DATE", "AVAILABLE", "AGE", "IMAGES"],
        "StatefulSet" => &["READY", "AGE", "IMAGES"],
        "DaemonSet" => &["DESIRED", "CURRENT", "READY", "UP-TO-DATE", "AVAILABLE", "AGE", "IMAGES"],
        "ReplicaSet" => &["DESIRED", "CURRENT", "READY", "AGE", "IMAGES"],
        "Job" => &["STATUS", "COMPLETIONS", "DURATION", "AGE"],
        "CronJob" => &["SCHEDULE", "SUSPEND", "ACTIVE", "LAST SCHEDULE", "AGE"],
        "Node" => &["STATUS", "ROLES", "AGE", "VERSION"],
        "Service" => &["TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"],
        "HorizontalPodAutoscaler" => &["REFERENCE", "TARGETS", "MINPODS", "MAXPODS", "REPLICAS", "AGE"],
        "PodDisruptionBudget" => &["MIN AVAILABLE", "MAX UNAVAILABLE", "ALLOWED DISRUPTIONS", "AGE"],
        "Secret" => &["TYPE", "AGE"],
        "ConfigMap" => &["DATA", "AGE"],
        "Namespace" => &["STATUS", "AGE"],
        "PersistentVolumeClaim" => &["STATUS", "VOLUME", "CAPACITY", "ACCESS MODES", "STORAGECLASS", "AGE"],
        "PersistentVolume" => {
            &["CAPACITY", "ACCESS MODES", "RECLAIM POLICY", "STATUS", "CLAIM", "STORAGECLASS", "AGE"]
        }
        "Ingress" => &["CLASS", "HOSTS", "ADDRESS", "AGE"],
        _ => &["AGE"],
    }
}

/// The cells of one object, one for each of [`columns`].
pub fn cells(kind: &str, object: &Value, now: Timestamp) -> Vec<String> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let number = |value: &Value| value.as_i64().unwrap_or(0).to_string();
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).unwrap_or("<none>").to_string();
    let any = |value: &Value| match value {
        Value::Null => "N/A".to_string(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let wanted = || spec["replicas"].as_i64().unwrap_or(1);
    let ready = || format!("{}/{}", number(&status["readyReplicas"]), wanted());
    let old = age(&object["metadata"]["creationTimestamp"], now);
    let images = || images(&spec["template"]["spec"]);
    let join = |list: &Value| {
        list.as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
    };
    match kind {
        "Pod" => {
            let pod = pod_status(object, now);
            vec![pod.ready, pod.status, pod.restarts, old, text(&spec["nodeName"])]
        }
        "Deployment" => vec![
            ready(),
            number(&status["updatedReplicas"]),
            number(&status["availableReplicas"]),
            old,
            images(),
        ],
        "StatefulSet" => vec![ready(), old, images()],
        "DaemonSet" => {
            let of = |field: &str| number(&status[field]);
            vec![
                of("desiredNumberScheduled"),
                of("currentNumberScheduled"),
                of("numberReady"),
                of("updatedNumberScheduled"),
                of("numberAvailable"),
                old,
                images(),
            ]
        }
        "ReplicaSet" => vec![
            wanted().to_string(),
            number(&status["replicas"]),
            number(&status["readyReplicas"]),
            old,
            images(),
        ],
        "Job" => vec![job_status(object), job_completions(object), job_duration(object, now), old],
        "CronJob" => {
            let suspended = if spec["suspend"] == true { "True" } else { "False" };
            let active = status["active"].as_array().map_or(0, Vec::len).to_string();
            let last = if status["lastScheduleTime"].is_string() {
                age(&status["lastScheduleTime"], now)
            } else {
                "<none>".into()
            };
            vec![text(&spec["schedule"]), suspended.into(), active, last, old]
        }
        "Node" => {
            vec![node_status(object), node_roles(object), old, text(&status["nodeInfo"]["kubeletVersion"])]
        }
        "Service" => {
            vec![text(&spec["type"]), text(&spec["clusterIP"]), external_ip(object), ports(object), old]
        }
        "HorizontalPodAutoscaler" => {
            let reference = format!(
                "{}/{}",
                text(&spec["scaleTargetRef"]["kind"]),
                text(&spec["scaleTargetRef"]["name"])
            );
            let least = spec["minReplicas"].as_i64().map_or("<unset>".into(), |least| least.to_string());
            vec![
                reference,
                hpa_targets(object),
                least,
                number(&spec["maxReplicas"]),
                number(&status["currentReplicas"]),
                old,
            ]
        }
        "PodDisruptionBudget" => vec![
            any(&spec["minAvailable"]),
            any(&spec["maxUnavailable"]),
            number(&status["disruptionsAllowed"]),
            old,
        ],
        "Secret" => vec![text(&object["type"]), old],
        "ConfigMap" => {
            let count = |field: &str| object[field].as_object().map_or(0, |data| data.len());
            vec![(count("data") + count("binaryData")).to_string(), old]
        }
        "Namespace" => vec![text(&status["phase"]), old],
        "PersistentVolumeClaim" => vec![
            text(&status["phase"]),
            text(&spec["volumeName"]),
            text(&status["capacity"]["storage"]),
            join(&status["accessModes"]),
            text(&spec["storageClassName"]),
            old,
        ],
        "PersistentVolume" => {
            let claim = &spec["claimRef"];
            let claim = if claim.is_object() {
                format!("{}/{}", text(&claim["namespace"]), text(&claim["name"]))
            } else {
                "<none>".into()
            };
            vec![
                text(&spec["capacity"]["storage"]),
                join(&spec["accessModes"]),
                text(&spec["persistentVolumeReclaimPolicy"]),
                text(&status["phase"]),
                claim,
                text(&spec["storageClassName"]),
                old,
            ]
        }
        "Ingress" => {
            let hosts: Vec<&str> = spec["rules"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|rule| rule["host"].as_str())
                .collect();
            vec![
                text(&spec["ingressClassName"]),
                if hosts.is_empty() { "*".into() } else { hosts.join(",") },
                addresses(&status["loadBalancer"]["ingress"]),
                old,
            ]
        }
        _ => vec![old],
    }
}

/// `app:1.2,proxy:3`.
pub fn images(pod_spec: &Value) -> String {
    pod_spec["containers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|container| container["image"].as_str())
        .collect::<Vec<_>>()
        .join(",")
}

/// `Complete`, `Failed`, `Running`, `Suspended`.
pub fn job_status(job: &Value) -> String {
    let holds = |name: &str| {
        job["status"]["conditions"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|condition| condition["type"] == name && condition["status"] == "True")
    };
    for (condition, shown) in [
        ("Complete", "Complete"),
        ("Failed", "Failed"),
        ("Suspended", "Suspended"),
        ("FailureTarget", "FailureTarget"),
        ("SuccessCriteriaMet", "SuccessCriteriaMet"),
    ] {
        if holds(condition) {
            return shown.into();
        }
    }
    if job["metadata"]["deletionTimestamp"].is_string() { "Terminating".into() } else { "Running".into() }
}

fn job_completions(job: &Value) -> String {
    let done = job["status"]["succeeded"].as_i64().unwrap_or(0);
    match (job["spec"]["completions"].as_i64(), job["spec"]["parallelism"].as_i64().unwrap_or(1)) {
        (Some(all), _) => format!("{done}/{all}"),
        (None, parallel) if parallel > 1 => format!("{done}/1 of {parallel}"),
        (None, _) => format!("{done}/1"),
    }
}

fn job_duration(job: &Value, now: Timestamp) -> String {
    let time = |field: &str| job["status"][field].as_str().and_then(|text| text.parse::<Timestamp>().ok());
    match (time("startTime"), time("completionTime")) {
        (None, _) => String::new(),
        (Some(start), end) => duration(end.unwrap_or(now).as_second() - start.as_second()),
    }
}

/// `Ready`, `NotReady,SchedulingDisabled`.
pub fn node_status(node: &Value) -> String {
    let ready = node["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == "Ready");
    let mut status = match ready {
        Some(condition) if condition["status"] == "True" => "Ready".to_string(),
        Some(_) => "NotReady".into(),
        None => "Unknown".into(),
    };
    if node["spec"]["unschedulable"] == true {
        status.push_str(",SchedulingDisabled");
    }
    status
}

fn node_roles(node: &Value) -> String {
    let roles: Vec<&str> = node["metadata"]["labels"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(label, value)| {
            label
                .strip_prefix("node-role.kubernetes.io/")
                .or_else(|| (label == "kubernetes.io/role").then(|| value.as_str()).flatten())
        })
        .filter(|role| !role.is_empty())
        .collect();
    if roles.is_empty() { "<none>".into() } else { roles.join(",") }
}

fn external_ip(service: &Value) -> String {
    let spec = &service["spec"];
    match spec["type"].as_str() {
        Some("ExternalName") => spec["externalName"].as_str().unwrap_or("<none>").to_string(),
        Some("LoadBalancer") => match addresses(&service["status"]["loadBalancer"]["ingress"]) {
            none if none.is_empty() => "<pending>".into(),
            some => some,
        },
        _ => match spec["externalIPs"].as_array() {
            Some(ips) if !ips.is_empty() => {
                ips.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
            }
            _ => "<none>".into(),
        },
    }
}

fn addresses(ingress: &Value) -> String {
    ingress
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|entry| entry["ip"].as_str().or(entry["hostname"].as_str()))
        .collect::<Vec<_>>()
        .join(",")
}

fn ports(service: &Value) -> String {
    let ports: Vec<String> = service["spec"]["ports"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|port| {
            let node_port = port["nodePort"]
                .as_i64()
                .filter(|port| *port > 0)
                .map_or(String::new(), |port| format!(":{port}"));
            format!(
                "{}{node_port}/{}",
                port["port"].as_i64().unwrap_or(0),
                port["protocol"].as_str().unwrap_or("TCP")
            )
        })
        .collect();
    if ports.is_empty() { "<none>".into() } else { ports.join(",") }
}

/// `cpu: 43%/80%, memory: <unknown>/70%`.
fn hpa_targets(scaler: &Value) -> String {
    let current = scaler["status"]["currentMetrics"].as_array().map_or(&[][..], Vec::as_slice);
    let targets: Vec<String> = scaler["spec"]["metrics"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|metric| {
            if metric["type"] != "Resource" {
                return metric["type"].as_str().unwrap_or("?").to_string();
            }
            let name = metric["resource"]["name"].as_str().unwrap_or("?");
            let now = &current.iter().find(|known| known["resource"]["name"] == name).unwrap_or(&Value::Null)
                ["resource"]["current"];
            let (now, wanted) = match metric["resource"]["target"]["averageUtilization"].as_i64() {
                Some(wanted) => {
                    (now["averageUtilization"].as_i64().map(|now| format!("{now}%")), format!("{wanted}%"))
                }
                None => (
                    now["averageValue"].as_str().map(String::from),
                    metric["resource"]["target"]["averageValue"].as_str().unwrap_or("?").to_string(),
                ),
            };
            format!("{name}: {}/{wanted}", now.unwrap_or_else(|| "<unknown>".into()))
        })
        .collect();
    if targets.is_empty() { "<none>".into() } else { targets.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_kind_has_a_cell_for_each_column() {
        let now = "2026-01-01T01:00:00Z".parse().unwrap();
        for kind in crate::cluster::KINDS {
            assert_eq!(cells(kind.kind, &json!({}), now).len(), columns(kind.kind).len(), "{}", kind.kind);
        }
    }

    #[test]
    fn cells_read_as_in_kubectl() {
        let now = "2026-01-01T01:00:00Z".parse().unwrap();
        let service = json!({"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": {"type": "NodePort", "clusterIP": "10.0.0.1", "ports": [{"port": 80, "nodePort": 30080}, {"port": 53, "protocol": "UDP"}]}});
        assert_eq!(
            cells("Service", &service, now),
            ["NodePort", "10.0.0.1", "<none>", "80:30080/TCP,53/UDP", "60m"]
        );
        let node = json!({"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"node-role.kubernetes.io/control-plane": ""}}, "spec": {"unschedulable": true},
            "status": {"conditions": [{"type": "Ready", "status": "True"}], "nodeInfo": {"kubeletVersion": "v1.36.1"}}});
        assert_eq!(
            cells("Node", &node, now),
            ["Ready,SchedulingDisabled", "control-plane", "60m", "v1.36.1"]
        );
        let scaler = json!({"spec": {"scaleTargetRef": {"kind": "Deployment", "name": "checkout"}, "minReplicas": 2, "maxReplicas": 10, "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 80}}}]},
            "status": {"currentReplicas": 3, "currentMetrics": [{"resource": {"name": "cpu", "current": {"averageUtilization": 43}}}]}});
        assert_eq!(
            cells("HorizontalPodAutoscaler", &scaler, now)[..5],
            ["Deployment/checkout", "cpu: 43%/80%", "2", "10", "3"]
        );
    }
}
