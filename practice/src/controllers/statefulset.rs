//! StatefulSets: pods with names and volumes that stay, one after the other.

use super::{Control, Task, pod, revision};
use crate::object::{self, is_deleting, list, number, text};
use crate::store::Place;
use crate::write::Writer;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const SOURCE: &str = "statefulset-controller";

/// A StatefulSet, its pods by number, and its two revisions (their names, which pods carry as label).
struct Set {
    object: Arc<Value>,
    pods: BTreeMap<i64, Arc<Value>>,
    current: String,
    update: String,
}

pub(crate) fn sync(control: &mut Control<'_>, place: &Place) {
    let Some(object) = control.get("statefulsets.apps", place) else { return };
    if is_deleting(&object) {
        return;
    }
    let Some(latest) = revision::current(control, &object) else { return };
    let update = object::name(&latest).to_owned();
    let current = match text(&object, &["status", "currentRevision"]) {
        "" => update.clone(),
        name => name.to_owned(),
    };
    let mut set = Set { pods: pods(control, &object), object, current, update };
    let busy = replicas(control, &set);
    if !busy && text(&set.object, &["spec", "updateStrategy", "type"]) == "RollingUpdate" {
        update_one(control, &set);
    }
    set.pods = pods(control, &set.object);
    write_status(control, place, &set);
    let live: Vec<String> = set
        .pods
        .values()
        .map(|pod| object::labels(pod)[revision::LABEL].as_str().unwrap_or("").to_owned())
        .chain([set.current, set.update])
        .collect();
    revision::truncate(control, &set.object, &live);
}

fn pods(control: &Control<'_>, set: &Value) -> BTreeMap<i64, Arc<Value>> {
    let prefix = format!("{}-", object::name(set));
    let owned = control.store.controlled(object::uid(set), "pods");
    owned
        .into_iter()
        .filter_map(|pod| Some((object::name(&pod).strip_prefix(&prefix)?.parse().ok()?, pod)))
        .collect()
}

fn wanted(set: &Value) -> i64 {
    number(set, &["spec", "replicas"]).unwrap_or(1)
}
fn is_healthy(pod: &Value) -> bool {
    pod::is_ready(pod) && !is_deleting(pod)
}
fn revision_of(pod: &Value) -> &str {
    object::labels(pod)[revision::LABEL].as_str().unwrap_or("")
}

/// Creates what is missing and removes what is too many; true while it waits for something.
fn replicas(control: &mut Control<'_>, set: &Set) -> bool {
    let in_order = text(&set.object, &["spec", "podManagementPolicy"]) != "Parallel";
    let start = number(&set.object, &["spec", "ordinals", "start"]).unwrap_or(0);
    let end = start + wanted(&set.object);
    let mut busy = false;
    for ordinal in start..end {
        match set.pods.get(&ordinal) {
            None => create(control, set, ordinal),
            Some(one) if pod::is_finished(one) && !is_deleting(one) => {
                pod::delete(control, &set.object, one, SOURCE)
            }
            Some(one) if is_healthy(one) => continue,
            Some(_) => {}
        }
        busy = true;
        if in_order {
            return true;
        }
    }
    for (_, condemned) in set.pods.iter().rev().filter(|(ordinal, _)| !(start..end).contains(ordinal)) {
        if !is_deleting(condemned) {
            pod::delete(control, &set.object, condemned, SOURCE);
        }
        busy = true;
        if in_order {
            return true;
        }
    }
    busy
}

/// Replaces the highest pod that has an old revision, when all above it are well.
fn update_one(control: &mut Control<'_>, set: &Set) {
    let partition =
        number(&set.object, &["spec", "updateStrategy", "rollingUpdate", "partition"]).unwrap_or(0);
    for one in set.pods.iter().rev().filter(|(ordinal, _)| **ordinal >= partition).map(|(_, pod)| pod) {
        if revision_of(one) != set.update && !is_deleting(one) {
            return pod::delete(control, &set.object, one, SOURCE);
        }
        if !is_healthy(one) {
            return;
        }
    }
}

fn create(control: &mut Control<'_>, set: &Set, ordinal: i64) {
    let owner = &set.object;
    let partition = number(owner, &["spec", "updateStrategy", "rollingUpdate", "partition"]).unwrap_or(0);
    let rolling = text(owner, &["spec", "updateStrategy", "type"]) == "RollingUpdate";
    let (name, template) = if rolling && ordinal < partition {
        (&set.current, old_template(control, set))
    } else {
        (&set.update, owner["spec"]["template"].clone())
    };
    let mut new = pod::from_template(&template, owner);
    let pod_name = format!("{}-{ordinal}", object::name(owner));
    new["metadata"]["name"] = json!(pod_name);
    for (label, value) in [
        (revision::LABEL, name.clone()),
        ("statefulset.kubernetes.io/pod-name", pod_name.clone()),
        ("apps.kubernetes.io/pod-index", ordinal.to_string()),
    ] {
        object::set(&mut new, &["metadata", "labels", label], json!(value));
    }
    new["spec"]["hostname"] = json!(pod_name);
    if !owner["spec"]["serviceName"].is_null() {
        new["spec"]["subdomain"] = owner["spec"]["serviceName"].clone();
    }
    let mut volumes = list(&new, &["spec", "volumes"]).to_vec();
    for claim in list(owner, &["spec", "volumeClaimTemplates"]) {
        let claim_name = format!("{}-{pod_name}", object::name(claim));
        let resource = control.resource("persistentvolumeclaims");
        let labels = owner["spec"]["selector"]["matchLabels"].clone();
        let made = json!({"metadata": {"name": claim_name, "labels": labels}, "spec": claim["spec"]});
        // It may be there from an earlier life of the pod: that is its point.
        let _ = control.store.create(&resource, object::namespace(owner), made, &Writer::CONTROLLER);
        volumes
            .push(json!({"name": object::name(claim), "persistentVolumeClaim": {"claimName": claim_name}}));
    }
    if !volumes.is_empty() {
        object::set(&mut new, &["spec", "volumes"], Value::Array(volumes));
    }
    pod::create(control, owner, new, SOURCE);
}

/// The template of the current revision; the present one when that is not kept any more.
fn old_template(control: &Control<'_>, set: &Set) -> Value {
    let kept = control.store.get("controllerrevisions.apps", object::namespace(&set.object), &set.current);
    let mut template = kept.map_or_else(
        || set.object["spec"]["template"].clone(),
        |revision| revision["data"]["spec"]["template"].clone(),
    );
    object::remove(&mut template, &["$patch"]);
    template
}

fn write_status(control: &mut Control<'_>, place: &Place, set: &Set) {
    let min_ready = number(&set.object, &["spec", "minReadySeconds"]).unwrap_or(0);
    let living: Vec<&Arc<Value>> = set.pods.values().filter(|pod| !is_deleting(pod)).collect();
    let (mut ready, mut available) = (0, 0);
    for one in &living {
        match pod::until_available(one, min_ready) {
            Some(wait) if wait.is_zero() => (ready, available) = (ready + 1, available + 1),
            Some(wait) => {
                ready += 1;
                control.work.after(wait, Task::StatefulSet(place.clone()), true);
            }
            None => {}
        }
    }
    let updated = living.iter().filter(|pod| revision_of(pod) == set.update).count();
    let mut on_current = living.iter().filter(|pod| revision_of(pod) == set.current).count();
    let mut current = set.current.clone();
    let all = wanted(&set.object) as usize;
    let partition =
        number(&set.object, &["spec", "updateStrategy", "rollingUpdate", "partition"]).unwrap_or(0);
    if updated == all && ready == all && set.pods.len() == all && partition == 0 {
        current = set.update.clone();
        on_current = updated;
    }
    let mut status = json!({"observedGeneration": object::generation(&set.object), "replicas": set.pods.len(), "collisionCount": 0,
        "currentRevision": current, "updateRevision": set.update, "availableReplicas": available});
    for (field, count) in
        [("readyReplicas", ready), ("currentReplicas", on_current), ("updatedReplicas", updated)]
    {
        if count > 0 {
            object::set(&mut status, &[field], json!(count));
        }
    }
    let resource = control.resource("statefulsets.apps");
    control.store.put_status(&resource, &set.object, status);
}
