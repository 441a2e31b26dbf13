//! What kube-state-metrics says of objects. Names and labels: <https://github.com/kubernetes/kube-state-metrics/tree/main/docs>.

use super::Sample;
use crate::object::{self, at, list, number, text};
use crate::quantity;
use crate::store::Store;
use serde_json::Value;

/// Of all pods, workloads, autoscalers and nodes.
pub(crate) fn samples(store: &Store) -> Vec<Sample> {
    let mut out = Vec::new();
    store.list("pods", "").for_each(|one| pod(&mut out, one));
    store.list("nodes", "").for_each(|one| node(&mut out, one));
    for one in store.list("horizontalpodautoscalers.autoscaling", "") {
        let labels = [("namespace", object::namespace(one)), ("horizontalpodautoscaler", object::name(one))];
        whole(
            &mut out,
            one,
            &labels,
            &[
                ("kube_horizontalpodautoscaler_spec_min_replicas", "/spec/minReplicas"),
                ("kube_horizontalpodautoscaler_spec_max_replicas", "/spec/maxReplicas"),
                ("kube_horizontalpodautoscaler_status_current_replicas", "/status/currentReplicas"),
                ("kube_horizontalpodautoscaler_status_desired_replicas", "/status/desiredReplicas"),
            ],
        );
    }
    for one in store.list("deployments.apps", "") {
        let labels = [("namespace", object::namespace(one)), ("deployment", object::name(one))];
        whole(
            &mut out,
            one,
            &labels,
            &[
                ("kube_deployment_spec_replicas", "/spec/replicas"),
                ("kube_deployment_status_replicas", "/status/replicas"),
                ("kube_deployment_status_replicas_available", "/status/availableReplicas"),
                ("kube_deployment_status_replicas_unavailable", "/status/unavailableReplicas"),
            ],
        );
    }
    for one in store.list("statefulsets.apps", "") {
        let labels = [("namespace", object::namespace(one)), ("statefulset", object::name(one))];
        whole(
            &mut out,
            one,
            &labels,
            &[
                ("kube_statefulset_replicas", "/spec/replicas"),
                ("kube_statefulset_status_replicas_ready", "/status/readyReplicas"),
            ],
        );
    }
    for one in store.list("daemonsets.apps", "") {
        let labels = [("namespace", object::namespace(one)), ("daemonset", object::name(one))];
        whole(
            &mut out,
            one,
            &labels,
            &[
                ("kube_daemonset_status_desired_number_scheduled", "/status/desiredNumberScheduled"),
                ("kube_daemonset_status_number_ready", "/status/numberReady"),
            ],
        );
    }
    out
}

/// Numbers of an object; in a status that says nothing they are zero.
fn whole(
    out: &mut Vec<Sample>,
    of: &Value,
    labels: &[(&'static str, &str)],
    fields: &[(&'static str, &str)],
) {
    for (name, pointer) in fields {
        let value = of.pointer(pointer).and_then(Value::as_f64).unwrap_or(0.0);
        out.push(Sample::new(name, labels, value));
    }
}

fn yes(is: bool) -> f64 {
    f64::from(u8::from(is))
}

fn pod(out: &mut Vec<Sample>, pod: &Value) {
    let base = [("namespace", object::namespace(pod)), ("pod", object::name(pod)), ("uid", object::uid(pod))];
    let with = |more: (&'static str, &'static str)| super::with(&base, &[more]);
    let node = text(pod, &["spec", "nodeName"]);
    let (mut kind, mut owner) = ("", "");
    if let Some(controller) = object::controller(pod) {
        (kind, owner) = (text(controller, &["kind"]), text(controller, &["name"]));
    }
    let info = [
        ("node", node),
        ("pod_ip", text(pod, &["status", "podIP"])),
        ("created_by_kind", kind),
        ("created_by_name", owner),
    ];
    out.push(Sample::new("kube_pod_info", &super::with(&base, &info), 1.0));
    let owned = [("owner_kind", kind), ("owner_name", owner), ("owner_is_controller", "true")];
    out.push(Sample::new("kube_pod_owner", &super::with(&base, &owned), 1.0));
    for phase in ["Pending", "Running", "Succeeded", "Failed", "Unknown"] {
        let is = yes(text(pod, &["status", "phase"]) == phase);
        out.push(Sample::new("kube_pod_status_phase", &with(("phase", phase)), is));
    }
    for (condition, is) in [("true", object::holds(pod, "Ready")), ("false", !object::holds(pod, "Ready"))] {
        out.push(Sample::new("kube_pod_status_ready", &with(("condition", condition)), yes(is)));
    }
    for status in list(pod, &["status", "containerStatuses"]) {
        let labels = super::with(&base, &[("container", text(status, &["name"]))]);
        let restarts = number(status, &["restartCount"]).unwrap_or(0) as f64;
        out.push(Sample::new("kube_pod_container_status_restarts_total", &labels, restarts));
        out.push(Sample::new("kube_pod_container_status_ready", &labels, yes(status["ready"] == true)));
        let reasons = [
            ("kube_pod_container_status_waiting_reason", text(status, &["state", "waiting", "reason"])),
            (
                "kube_pod_container_status_last_terminated_reason",
                text(status, &["lastState", "terminated", "reason"]),
            ),
        ];
        for (name, reason) in reasons.into_iter().filter(|(_, reason)| !reason.is_empty()) {
            out.push(Sample::new(name, &super::with(&labels, &[("reason", reason)]), 1.0));
        }
    }
    for container in list(pod, &["spec", "containers"]) {
        let labels = super::with(&base, &[("container", text(container, &["name"])), ("node", node)]);
        for (name, what) in [
            ("kube_pod_container_resource_requests", "requests"),
            ("kube_pod_container_resource_limits", "limits"),
        ] {
            amounts(out, name, &labels, at(container, &["resources", what]));
        }
    }
}

fn node(out: &mut Vec<Sample>, node: &Value) {
    let base = [("node", object::name(node))];
    let unschedulable = yes(node["spec"]["unschedulable"] == true);
    out.push(Sample::new("kube_node_info", &base, 1.0));
    out.push(Sample::new("kube_node_spec_unschedulable", &base, unschedulable));
    for condition in list(node, &["status", "conditions"]) {
        let is = text(condition, &["status"]).to_lowercase();
        for status in ["true", "false", "unknown"] {
            let labels = [base[0], ("condition", text(condition, &["type"])), ("status", status)];
            out.push(Sample::new("kube_node_status_condition", &labels, yes(is == status)));
        }
    }
    amounts(out, "kube_node_status_capacity", &base, at(node, &["status", "capacity"]));
    amounts(out, "kube_node_status_allocatable", &base, at(node, &["status", "allocatable"]));
}

/// CPU in cores, memory in bytes, pods by number.
fn amounts(out: &mut Vec<Sample>, name: &'static str, labels: &[(&'static str, &str)], of: &Value) {
    for (resource, unit) in [("cpu", "core"), ("memory", "byte"), ("pods", "integer")] {
        if let Some(value) = quantity::parse(&of[resource]) {
            let labels = super::with(labels, &[("resource", resource), ("unit", unit)]);
            out.push(Sample::new(name, &labels, value));
        }
    }
}
