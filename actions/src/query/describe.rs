//! `describe`: the parts of an object that people look for when something is wrong.

use super::{
    Answer, Query, QueryError, age::age, column, events, place, pod_status::pod_status, redact::redact,
};
use crate::{
    catalogue::{controller, masked, pods_of, yaml},
    cluster::Cluster,
};
use futures::future::BoxFuture;
use jiff::Timestamp;
use ledger::ObjectRef;
use serde_json::{Map, Value, json};

/// Pods of a workload that are shown.
const PODS: usize = 20;

/// See the module.
pub struct Describe;

impl Query for Describe {
    fn name(&self) -> &'static str {
        "describe"
    }

    fn command(&self) -> clap::Command {
        clap::Command::new("describe")
            .about("Show one object: state, conditions, containers, pods, recent events")
            .arg(
                clap::Arg::new("target")
                    .value_name("KIND/NAME")
                    .required(true)
                    .help("What to show: deploy/checkout, pod/x, node/n1"),
            )
            .after_help("Example: describe deploy/checkout -n shop -c prod-eu")
    }

    fn answer<'a>(
        &'a self,
        cluster: &'a Cluster,
        namespace: Option<&'a str>,
        matches: &'a clap::ArgMatches,
    ) -> BoxFuture<'a, Result<Answer, QueryError>> {
        Box::pin(async move {
            let typed = matches.get_one::<String>("target").map(String::as_str).unwrap_or_default();
            describe(cluster, &events::reference(typed, namespace)?).await
        })
    }
}

async fn describe(cluster: &Cluster, target: &ObjectRef) -> Result<Answer, QueryError> {
    let object = cluster.get(target).await?;
    let now = Timestamp::now();
    let workload =
        matches!(target.kind.as_str(), "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job");
    let (events, pods) = futures::join!(
        // An object can be described by someone who may not read events.
        async { events::read(cluster, target.namespace.as_deref(), Some(target)).await.unwrap_or_default() },
        async { if workload { pods_of(cluster, target, &object).await } else { Ok(Vec::new()) } }
    );
    let pods = pods?;
    let mut sections = Vec::new();
    sections.extend(spec_section(&target.kind, &object));
    if !events.is_empty() {
        sections.push(format!("events:\n  {}\n", events::lines(&events, now).join("\n  ")));
    }
    let mut header = vec!["POD".to_string()];
    header.extend(column::columns("Pod").iter().map(|column| column.to_string()));
    let rows: Vec<Vec<String>> = pods
        .iter()
        .take(PODS)
        .map(|pod| {
            let mut row = vec![pod["metadata"]["name"].as_str().unwrap_or_default().to_string()];
            row.extend(column::cells("Pod", pod, now));
            row
        })
        .collect();
    Ok(Answer {
        title: format!("{} {} in {}", target.kind, target.name, place(cluster, target.namespace.as_deref())),
        text: (pods.len() > PODS).then(|| format!("{PODS} of {} pods shown", pods.len())),
        fields: fields(&target.kind, &object, now),
        table: (!rows.is_empty()).then_some((header, rows)),
        code: (!sections.is_empty()).then(|| sections.join("\n")),
        plot: None,
    })
}

/// Label and value; what is absent is left out.
fn fields(kind: &str, object: &Value, now: Timestamp) -> Vec<(String, String)> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let mut fields: Vec<(String, String)> = Vec::new();
    let mut add = |label: &str, value: String| {
        if !value.is_empty() && value != "<none>" {
            // Messages of controllers and programs are in here too.
            fields.push((label.to_string(), redact(&value).replace('\n', " ")));
        }
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    match kind {
        "Pod" => {
            let pod = pod_status(object, now);
            add("Status", format!("{} ({} ready, {} restarts)", pod.status, pod.ready, pod.restarts));
            add("Message", text(&status["message"]));
            add("Node", text(&spec["nodeName"]));
            add("IP", text(&status["podIP"]));
            add("QoS", text(&status["qosClass"]));
        }
        "Node" => {
            add("Status", column::node_status(object));
            for (label, pointer) in [
                ("Kubelet", "kubeletVersion"),
                ("System", "osImage"),
                ("Kernel", "kernelVersion"),
                ("Runtime", "containerRuntimeVersion"),
            ] {
                add(label, text(&status["nodeInfo"][pointer]));
            }
            add("Allocatable", amounts(&status["allocatable"]));
            let taints = spec["taints"].as_array().into_iter().flatten().map(|taint| {
                format!("{}={}:{}", text(&taint["key"]), text(&taint["value"]), text(&taint["effect"]))
            });
            add("Taints", taints.collect::<Vec<_>>().join(", "));
        }
        _ => {
            // What `get` shows of it, under its own words.
            for (label, value) in column::columns(kind).iter().zip(column::cells(kind, object, now)) {
                if !matches!(*label, "AGE" | "IMAGES") {
                    add(&capitalised(label), value);
                }
            }
        }
    }
    add("Age", age(&object["metadata"]["creationTimestamp"], now));
    add("Strategy", strategy(spec));
    if spec["paused"] == true {
        add("Paused", "yes".into());
    }
    if let Some(owner) = controller(object) {
        add("Controlled by", format!("{} {}", text(&owner["kind"]), text(&owner["name"])));
    }
    for container in status["containerStatuses"].as_array().into_iter().flatten() {
        add(&format!("Container {}", text(&container["name"])), container_state(container, now));
    }
    for condition in status["conditions"].as_array().into_iter().flatten() {
        let why = [text(&condition["reason"]), text(&condition["message"])]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(": ");
        let why = if why.is_empty() { why } else { format!(" ({why})") };
        add(
            &format!("Condition {}", text(&condition["type"])),
            format!("{}{why}", text(&condition["status"])),
        );
    }
    fields
}

/// `CrashLoopBackOff: back-off 5m0s; last run ended 2m ago: OOMKilled, exit code 137`.
fn container_state(container: &Value, now: Timestamp) -> String {
    let state = &container["state"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let mut words = if state["running"].is_object() {
        format!(
            "running for {}{}",
            age(&state["running"]["startedAt"], now),
            if container["ready"] == true { "" } else { ", not ready" }
        )
    } else if state["terminated"].is_object() {
        ended(&state["terminated"])
    } else {
        [text(&state["waiting"]["reason"]), text(&state["waiting"]["message"])]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(": ")
    };
    if words.is_empty() {
        words = "waiting".into();
    }
    let last = &container["lastState"]["terminated"];
    if last.is_object() {
        words.push_str(&format!("; last run ended {} ago: {}", age(&last["finishedAt"], now), ended(last)));
    }
    words
}

fn ended(terminated: &Value) -> String {
    format!(
        "{}, exit code {}",
        terminated["reason"].as_str().unwrap_or("ended"),
        terminated["exitCode"].as_i64().unwrap_or(0)
    )
}

fn strategy(spec: &Value) -> String {
    let strategy = if spec["strategy"].is_object() { &spec["strategy"] } else { &spec["updateStrategy"] };
    let detail: Vec<String> = strategy["rollingUpdate"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| {
            format!("{key} {}", value.as_str().map_or_else(|| value.to_string(), String::from))
        })
        .collect();
    let name = strategy["type"].as_str().unwrap_or_default();
    if detail.is_empty() { name.to_string() } else { format!("{name} ({})", detail.join(", ")) }
}

fn amounts(amounts: &Value) -> String {
    amounts
        .as_object()
        .into_iter()
        .flatten()
        .map(|(resource, amount)| format!("{resource} {}", amount.as_str().unwrap_or_default()))
        .collect::<Vec<_>>()
        .join(", ")
}

/// `UP-TO-DATE` to `Up-to-date`.
fn capitalised(label: &str) -> String {
    let mut characters = label.chars();
    characters.next().map_or(String::new(), |first| {
        first.to_uppercase().chain(characters.flat_map(char::to_lowercase)).collect()
    })
}

/// The containers (secrets hidden), or what another kind is about. Never the data of a Secret or ConfigMap.
fn spec_section(kind: &str, object: &Value) -> Option<String> {
    let safe = masked(object);
    let pod_spec = ["/spec/template/spec", "/spec/jobTemplate/spec/template/spec", "/spec"]
        .iter()
        .filter_map(|pointer| safe.pointer(pointer))
        .find(|spec| spec["containers"].is_array());
    if let Some(pod_spec) = pod_spec {
        let mut shown = Map::new();
        for list in ["initContainers", "containers"] {
            let containers: Vec<Value> =
                pod_spec[list].as_array().into_iter().flatten().map(brief_container).collect();
            if !containers.is_empty() {
                shown.insert(list.into(), containers.into());
            }
        }
        return Some(yaml(&Value::Object(shown)));
    }
    match kind {
        "Secret" | "ConfigMap" => {
            let keys: Vec<&String> = ["data", "binaryData"]
                .iter()
                .flat_map(|field| object[*field].as_object().into_iter().flatten())
                .map(|(key, _)| key)
                .collect();
            Some(yaml(&json!({"keys": keys})))
        }
        "Service"
        | "HorizontalPodAutoscaler"
        | "PodDisruptionBudget"
        | "Ingress"
        | "NetworkPolicy"
        | "ResourceQuota"
        | "LimitRange" => Some(yaml(&json!({"spec": object["spec"]}))),
        _ => None,
    }
}

fn brief_container(container: &Value) -> Value {
    const SHOWN: [&str; 11] = [
        "name",
        "image",
        "command",
        "args",
        "ports",
        "resources",
        "env",
        "envFrom",
        "livenessProbe",
        "readinessProbe",
        "startupProbe",
    ];
    let fields = SHOWN
        .iter()
        .filter_map(|field| container.get(*field).map(|value| (field.to_string(), value.clone())));
    Value::Object(fields.filter(|(_, value)| !value.as_object().is_some_and(Map::is_empty)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_its_keys_and_nothing_more() {
        let secret = json!({"type": "Opaque", "data": {"password": "aHVudGVyMg=="}});
        let shown = format!(
            "{:?}{:?}",
            spec_section("Secret", &secret),
            fields("Secret", &secret, Timestamp::UNIX_EPOCH)
        );
        assert!(shown.contains("password") && !shown.contains("aHVud"), "{shown}");
    }

    #[test]
    fn environment_that_looks_secret_is_hidden() {
        let deployment = json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "env": [{"name": "API_TOKEN", "value": "abc123"}, {"name": "LEVEL", "value": "info"}]}]}}}});
        let shown = spec_section("Deployment", &deployment).unwrap();
        assert!(shown.contains("info") && shown.contains("(hidden)") && !shown.contains("abc123"), "{shown}");
    }

    #[test]
    fn a_crashing_container_says_why() {
        let container = json!({"state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}}, "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137, "finishedAt": "2026-01-01T00:58:00Z"}}});
        assert_eq!(
            container_state(&container, "2026-01-01T01:00:00Z".parse().unwrap()),
            "CrashLoopBackOff: back-off 5m0s; last run ended 2m ago: OOMKilled, exit code 137"
        );
    }
}
