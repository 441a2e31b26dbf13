//! ReplicaSets: as many pods as wanted.

use super::{Control, Task, pod};
use crate::object::{self, at, is_deleting, list, number, text};
use crate::quantity;
use crate::store::Place;
use serde_json::{Value, json};
use std::sync::Arc;

const SOURCE: &str = "replicaset-controller";

pub(crate) fn sync(control: &mut Control<'_>, place: &Place) {
    let Some(set) = control.get("replicasets.apps", place) else { return };
    let wanted = number(&set, &["spec", "replicas"]).unwrap_or(1);
    if !is_deleting(&set) {
        let pods = active(control, &set);
        let missing = wanted - pods.len() as i64;
        for _ in 0..missing.max(0) {
            let mut new = pod::from_template(&set["spec"]["template"], &set);
            new["metadata"]["generateName"] = json!(format!("{}-", object::name(&set)));
            if pod::create(control, &set, new, SOURCE).is_none() {
                break;
            }
        }
        if missing < 0 {
            let mut ranked = pods;
            ranked.sort_by_key(|pod| rank(pod));
            for doomed in ranked.iter().take((-missing) as usize) {
                pod::delete(control, &set, doomed, SOURCE);
            }
        }
    }
    write_status(control, place, &set);
}

fn active(control: &Control<'_>, set: &Value) -> Vec<Arc<Value>> {
    control.store.controlled(object::uid(set), "pods").into_iter().filter(|pod| pod::is_active(pod)).collect()
}

/// Those to delete first come first: not bound, not running, not ready, cheap by annotation, restarted, young.
fn rank(pod: &Value) -> (bool, bool, bool, i64, i64, std::cmp::Reverse<String>, String) {
    let cost = object::annotation(pod, "controller.kubernetes.io/pod-deletion-cost")
        .and_then(|cost| cost.parse().ok())
        .unwrap_or(0);
    let restarts: i64 = list(pod, &["status", "containerStatuses"])
        .iter()
        .filter_map(|status| number(status, &["restartCount"]))
        .sum();
    (
        !text(pod, &["spec", "nodeName"]).is_empty(),
        text(pod, &["status", "phase"]) == "Running",
        pod::is_ready(pod),
        cost,
        -restarts,
        std::cmp::Reverse(text(pod, &["metadata", "creationTimestamp"]).to_owned()),
        object::name(pod).to_owned(),
    )
}

fn write_status(control: &mut Control<'_>, place: &Place, set: &Arc<Value>) {
    let min_ready = number(set, &["spec", "minReadySeconds"]).unwrap_or(0);
    let pods = active(control, set);
    let template_labels = crate::selector::Labels::of(
        &json!({"matchLabels": at(set, &["spec", "template", "metadata", "labels"])}),
    )
    .unwrap_or_default();
    let (mut ready, mut available) = (0, 0);
    for one in &pods {
        match pod::until_available(one, min_ready) {
            Some(wait) if wait.is_zero() => (ready, available) = (ready + 1, available + 1),
            Some(wait) => {
                ready += 1;
                control.work.after(wait, Task::ReplicaSet(place.clone()), true);
            }
            None => {}
        }
    }
    let going =
        control.store.controlled(object::uid(set), "pods").iter().filter(|pod| is_deleting(pod)).count();
    let mut status = json!({"replicas": pods.len(), "terminatingReplicas": going, "observedGeneration": object::generation(set)});
    let labelled = pods.iter().filter(|pod| template_labels.matches(object::labels(pod))).count();
    for (field, count) in
        [("fullyLabeledReplicas", labelled), ("readyReplicas", ready), ("availableReplicas", available)]
    {
        if count > 0 {
            status[field] = json!(count);
        }
    }
    if set["status"]["conditions"].is_array() {
        status["conditions"] = set["status"]["conditions"].clone();
    }
    let resource = control.resource("replicasets.apps");
    control.store.put_status(&resource, set, status);
}

/// `maxSurge` and `maxUnavailable` of a Deployment, as numbers; never both zero.
pub(crate) fn fenceposts(deployment: &Value) -> (i64, i64) {
    let wanted = number(deployment, &["spec", "replicas"]).unwrap_or(1);
    let rolling = at(deployment, &["spec", "strategy", "rollingUpdate"]);
    let surge = quantity::share(&rolling["maxSurge"], wanted, true).unwrap_or(0);
    let unavailable = quantity::share(&rolling["maxUnavailable"], wanted, false).unwrap_or(0);
    if surge == 0 && unavailable == 0 { (0, 1) } else { (surge, unavailable.min(wanted)) }
}
