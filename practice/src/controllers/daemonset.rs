//! DaemonSets: one pod on every node that is fit for it.

use super::{Control, Task, pod, revision};
use crate::defaults;
use crate::object::{self, at, holds, is_deleting, number, set, text};
use crate::quantity;
use crate::store::Place;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const SOURCE: &str = "daemonset-controller";
/// Pods of a DaemonSet stay on nodes in these states.
const TOLERATED: &[(&str, &str)] = &[
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];

pub(crate) fn sync(control: &mut Control<'_>, place: &Place) {
    let Some(object) = control.get("daemonsets.apps", place) else { return };
    if is_deleting(&object) {
        return;
    }
    let Some(latest) = revision::current(control, &object) else { return };
    let hash = revision::hash(&latest);
    let fit = fit_nodes(control, &object);
    let mut by_node = by_node(control, &object);
    for node in &fit {
        if !by_node.contains_key(node) {
            create(control, &object, node, &hash);
        }
    }
    for (node, pods) in &by_node {
        // One per node; finished ones are replaced.
        let keep = usize::from(fit.contains(node));
        let (finished, good): (Vec<_>, Vec<_>) = pods.iter().partition(|pod| pod::is_finished(pod));
        for doomed in finished.into_iter().chain(good.into_iter().skip(keep)).filter(|pod| !is_deleting(pod))
        {
            pod::delete(control, &object, doomed, SOURCE);
        }
    }
    if text(&object, &["spec", "updateStrategy", "type"]) == "RollingUpdate" {
        by_node = self::by_node(control, &object);
        roll(control, &object, &by_node, fit.len() as i64, &hash);
    }
    write_status(control, place, &object, &fit, &hash);
    let live: Vec<String> = vec![object::name(&latest).to_owned()];
    revision::truncate(control, &object, &live);
}

/// Ready nodes that the node selector wants; a cordon does not keep DaemonSets away.
fn fit_nodes(control: &Control<'_>, daemons: &Value) -> Vec<String> {
    let wanted = crate::selector::Labels::of(
        &json!({"matchLabels": at(daemons, &["spec", "template", "spec", "nodeSelector"])}),
    )
    .unwrap_or_default();
    control
        .store
        .list("nodes", "")
        .filter(|node| holds(node, "Ready") && !is_deleting(node) && wanted.matches(object::labels(node)))
        .map(|node| object::name(node).to_owned())
        .collect()
}

fn by_node(control: &Control<'_>, daemons: &Value) -> BTreeMap<String, Vec<Arc<Value>>> {
    let mut pods: BTreeMap<String, Vec<Arc<Value>>> = BTreeMap::new();
    for one in control.store.controlled(object::uid(daemons), "pods") {
        pods.entry(text(&one, &["spec", "nodeName"]).to_owned()).or_default().push(one);
    }
    pods
}

fn create(control: &mut Control<'_>, daemons: &Value, node: &str, hash: &str) {
    let mut new = pod::from_template(&daemons["spec"]["template"], daemons);
    new["metadata"]["generateName"] = json!(format!("{}-", object::name(daemons)));
    set(&mut new, &["metadata", "labels", revision::LABEL], json!(hash));
    let generation = object::annotation(daemons, defaults::TEMPLATE_GENERATION).unwrap_or("1");
    set(&mut new, &["metadata", "labels", "pod-template-generation"], json!(generation));
    let mut tolerations = object::list(&new, &["spec", "tolerations"]).to_vec();
    tolerations.extend(
        TOLERATED.iter().map(|(key, effect)| json!({"key": key, "operator": "Exists", "effect": effect})),
    );
    set(&mut new, &["spec", "tolerations"], Value::Array(tolerations));
    set(&mut new, &["spec", "nodeName"], json!(node));
    pod::create(control, daemons, new, SOURCE);
}

/// Deletes old pods as far as `maxUnavailable` goes.
fn roll(
    control: &mut Control<'_>,
    daemons: &Value,
    by_node: &BTreeMap<String, Vec<Arc<Value>>>,
    nodes: i64,
    hash: &str,
) {
    let most = quantity::share(
        at(daemons, &["spec", "updateStrategy", "rollingUpdate", "maxUnavailable"]),
        nodes,
        true,
    )
    .unwrap_or(1)
    .max(1);
    let pods = || by_node.values().flatten();
    let good = pods().filter(|pod| pod::is_ready(pod) && !is_deleting(pod)).count() as i64;
    let mut may_go = most - (nodes - good);
    for old in pods().filter(|pod| object::labels(pod)[revision::LABEL] != hash && !is_deleting(pod)) {
        // An old pod that is not ready is no loss.
        if pod::is_ready(old) {
            if may_go <= 0 {
                continue;
            }
            may_go -= 1;
        }
        pod::delete(control, daemons, old, SOURCE);
    }
}

fn write_status(control: &mut Control<'_>, place: &Place, daemons: &Arc<Value>, fit: &[String], hash: &str) {
    let min_ready = number(daemons, &["spec", "minReadySeconds"]).unwrap_or(0);
    let (mut scheduled, mut misplaced, mut ready, mut available, mut updated) = (0, 0, 0, 0, 0);
    for (node, pods) in by_node(control, daemons) {
        if !fit.contains(&node) {
            misplaced += 1;
            continue;
        }
        scheduled += 1;
        let Some(one) = pods.iter().find(|pod| !is_deleting(pod)).or(pods.first()) else { continue };
        updated += i64::from(object::labels(one)[revision::LABEL] == hash);
        match pod::until_available(one, min_ready) {
            Some(wait) if wait.is_zero() => (ready, available) = (ready + 1, available + 1),
            Some(wait) => {
                ready += 1;
                control.work.after(wait, Task::DaemonSet(place.clone()), true);
            }
            None => {}
        }
    }
    let wanted = fit.len() as i64;
    let mut status = json!({"observedGeneration": object::generation(daemons), "desiredNumberScheduled": wanted, "currentNumberScheduled": scheduled,
        "numberMisscheduled": misplaced, "numberReady": ready});
    for (field, count) in [
        ("numberAvailable", available),
        ("numberUnavailable", wanted - available),
        ("updatedNumberScheduled", updated),
    ] {
        if count > 0 {
            status[field] = json!(count);
        }
    }
    let resource = control.resource("daemonsets.apps");
    control.store.put_status(&resource, daemons, status);
}
