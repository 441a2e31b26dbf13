//! `metrics.k8s.io/v1beta1`: what nodes and pods use, by the load model.

use super::{Answer, Call};
use crate::cluster::Cluster;
use crate::failure::Failure;
use crate::list::Filter;
use crate::load;
use crate::object::{self, list, text};
use crate::resource::Resource;
use crate::store::Store;
use http::Method;
use serde_json::{Value, json};

pub(crate) fn answer(cluster: &Cluster, call: &Call, rest: &[&str]) -> Result<Answer, Failure> {
    if call.method != Method::GET {
        return Err(Failure::no_method());
    }
    let (plural, namespace, name) = match rest {
        ["nodes"] => ("nodes", "", ""),
        ["nodes", name] => ("nodes", "", *name),
        ["pods"] => ("pods", "", ""),
        ["namespaces", namespace, "pods"] => ("pods", *namespace, ""),
        ["namespaces", namespace, "pods", name] => ("pods", *namespace, *name),
        _ => return Err(Failure::no_resource()),
    };
    let kind = if plural == "pods" { "PodMetrics" } else { "NodeMetrics" };
    let state = cluster.lock();
    let store = &state.store;
    let real = store.registry.of_id(plural).expect("built in");
    let resource = Resource {
        group: "metrics.k8s.io".into(),
        version: "v1beta1".into(),
        kind: kind.into(),
        ..(*real).clone()
    };
    call.user.check(if name.is_empty() { "list" } else { "get" }, &resource, "", namespace, name)?;
    let filter = Filter::read(call, &resource, namespace)?;
    let measured =
        |object: &Value| if plural == "pods" { pod(store, object) } else { Some(node(store, object)) };
    if !name.is_empty() {
        let found = store.get(plural, namespace, name).and_then(|object| measured(&object));
        return found.map(|value| Answer::Json(200, value)).ok_or_else(|| {
            Failure::not_found(
                &resource,
                &if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") },
            )
        });
    }
    let items: Vec<Value> = store
        .list(plural, namespace)
        .filter(|object| filter.matches(object))
        .filter_map(|object| measured(object))
        .collect();
    Ok(Answer::Json(
        200,
        json!({"kind": format!("{kind}List"), "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {}, "items": items}),
    ))
}

/// What a container uses now: cores and bytes.
fn usage(store: &Store, pod: &Value, container: &Value) -> (f64, f64) {
    let uses = load::Meter::read(store, pod, container).at(jiff::Timestamp::now().as_second() as f64);
    (uses.cores, uses.bytes)
}

/// Only running pods are measured.
fn pod(store: &Store, pod: &Value) -> Option<Value> {
    if text(pod, &["status", "phase"]) != "Running" {
        return None;
    }
    let containers: Vec<Value> = list(pod, &["spec", "containers"])
        .iter()
        .map(|container| {
            let used = usage(store, pod, container);
            json!({"name": container["name"], "usage": amounts(used)})
        })
        .collect();
    Some(with_meta("PodMetrics", pod, json!({"containers": containers})))
}

fn node(store: &Store, node: &Value) -> Value {
    let mut sum = (0.15, 600.0 * 1_048_576.0);
    let here = store.list("pods", "").filter(|pod| {
        text(pod, &["spec", "nodeName"]) == object::name(node) && text(pod, &["status", "phase"]) == "Running"
    });
    for (pod, container) in
        here.flat_map(|pod| list(pod, &["spec", "containers"]).iter().map(move |container| (pod, container)))
    {
        let used = usage(store, pod, container);
        sum = (sum.0 + used.0, sum.1 + used.1);
    }
    with_meta("NodeMetrics", node, json!({"usage": amounts(sum)}))
}

fn amounts((cpu, memory): (f64, f64)) -> Value {
    json!({"cpu": format!("{}n", (cpu * 1e9) as u64), "memory": format!("{}Ki", (memory / 1024.0) as u64)})
}

fn with_meta(kind: &str, of: &Value, mut value: Value) -> Value {
    let mut metadata = json!({"name": object::name(of), "creationTimestamp": object::now()});
    if !object::namespace(of).is_empty() {
        metadata["namespace"] = json!(object::namespace(of));
    }
    if object::labels(of).is_object() {
        metadata["labels"] = object::labels(of).clone();
    }
    value["kind"] = json!(kind);
    value["apiVersion"] = json!("metrics.k8s.io/v1beta1");
    value["metadata"] = metadata;
    value["timestamp"] = json!(object::now());
    value["window"] = json!("15s");
    value
}
