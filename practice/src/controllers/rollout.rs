//! How a Deployment moves from its old ReplicaSets to the new one, and how it is scaled.

use super::deployment::{DESIRED, Sets, ensure_new, find, scale_set};
use super::{Control, pod, replicaset};
use crate::object::{self, annotation, number, set, text};
use serde_json::{Value, json};
use std::sync::Arc;

fn wanted_of(object: &Value) -> i64 {
    number(object, &["spec", "replicas"]).unwrap_or(0)
}
fn available(object: &Value) -> i64 {
    number(object, &["status", "availableReplicas"]).unwrap_or(0)
}

pub(crate) fn set_annotation(object: &mut Value, key: &str, value: i64) {
    set(object, &["metadata", "annotations", key], json!(value.to_string()));
}

/// True when the Deployment's replicas were changed since its ReplicaSets were last scaled.
pub(crate) fn is_scaling(deployment: &Value, sets: &Sets) -> bool {
    sets.all().filter(|set| wanted_of(set) > 0).any(|set| {
        annotation(set, DESIRED)
            .and_then(|text| text.parse::<i64>().ok())
            .is_some_and(|desired| desired != wanted_of(deployment))
    })
}

/// How many replicas the new ReplicaSet should have now, given what it and all others have.
pub(crate) fn new_replicas(deployment: &Value, new: i64, others: i64) -> i64 {
    let wanted = wanted_of(deployment);
    if text(deployment, &["spec", "strategy", "type"]) == "Recreate" {
        return wanted;
    }
    let (surge, _) = replicaset::fenceposts(deployment);
    let room = wanted + surge - (new + others);
    if room <= 0 { new } else { new + room.min(wanted - new).max(0) }
}

/// Scaling without a rollout: the one active set, or all in proportion.
pub(crate) fn scale(control: &mut Control<'_>, deployment: &Value, sets: &Sets) {
    let wanted = wanted_of(deployment);
    let active: Vec<Arc<Value>> = sets.all().filter(|set| wanted_of(set) > 0).cloned().collect();
    if active.len() <= 1 {
        if let Some(only) = active.first().or(sets.new.as_ref()).or(sets.old.last()) {
            scale_set(control, deployment, only, wanted);
        }
        return;
    }
    if let Some(new) = &sets.new
        && wanted_of(new) == wanted
        && available(new) == wanted
    {
        for old in sets.old.iter().filter(|set| wanted_of(set) > 0) {
            scale_set(control, deployment, old, 0);
        }
        return;
    }
    if text(deployment, &["spec", "strategy", "type"]) != "RollingUpdate" {
        return;
    }
    let (surge, _) = replicaset::fenceposts(deployment);
    let target = if wanted > 0 { wanted + surge } else { 0 };
    let total: i64 = active.iter().map(|set| wanted_of(set)).sum();
    let mut left = target - total;
    let mut largest_first = active;
    largest_first.sort_by_key(|set| std::cmp::Reverse(wanted_of(set)));
    let mut sizes: Vec<i64> = largest_first
        .iter()
        .map(|set| {
            let part = (wanted_of(set) as f64 * target as f64 / total as f64).round() as i64 - wanted_of(set);
            let part = if left >= 0 { part.clamp(0, left) } else { part.clamp(left, 0) };
            left -= part;
            wanted_of(set) + part
        })
        .collect();
    if let Some(first) = sizes.first_mut() {
        *first = (*first + left).max(0);
    }
    for (set, size) in largest_first.iter().zip(sizes) {
        scale_set(control, deployment, set, size);
    }
}

/// First all old pods go, then the new ones come.
pub(crate) fn recreate(control: &mut Control<'_>, deployment: &Value, draft: &mut Value, sets: &Sets) {
    let mut scaled = false;
    for old in sets.old.iter().filter(|set| wanted_of(set) > 0) {
        scale_set(control, deployment, old, 0);
        scaled = true;
    }
    let still_there = sets.old.iter().any(|set| {
        control.store.controlled(object::uid(set), "pods").iter().any(|pod| !pod::is_finished(pod))
    });
    if scaled || still_there {
        return;
    }
    if let Some(new) = ensure_new(control, deployment, draft, sets) {
        scale_set(control, deployment, &new, wanted_of(deployment));
    }
}

/// One step of a rolling update.
pub(crate) fn roll(control: &mut Control<'_>, deployment: &Value, new: Option<Arc<Value>>) {
    let Some(new) = new else { return };
    let sets = find(control, deployment);
    let wanted = wanted_of(deployment);
    let others: i64 = sets.old.iter().map(|set| wanted_of(set)).sum();
    let is = wanted_of(&new);
    let should = if is > wanted { wanted } else { new_replicas(deployment, is, others) };
    scale_set(control, deployment, &new, should);
    if others == 0 {
        return;
    }
    let sets = find(control, deployment);
    let (_, may_miss) = replicaset::fenceposts(deployment);
    let least = wanted - may_miss;
    let total: i64 = sets.all().map(|set| wanted_of(set)).sum();
    let new_missing = sets.new.as_deref().map_or(0, |new| wanted_of(new) - available(new));
    let mut may_go = total - least - new_missing;
    if may_go <= 0 {
        return;
    }
    // First those that are not available anyway.
    for old in sets.old.iter().filter(|set| wanted_of(set) > available(set)) {
        let gone = may_go.min(wanted_of(old) - available(old));
        if gone > 0 {
            scale_set(control, deployment, old, wanted_of(old) - gone);
            may_go -= gone;
        }
    }
    let sets = find(control, deployment);
    let available_now: i64 = sets.all().map(|set| available(set)).sum();
    let mut may_go = available_now - least;
    for old in sets.old.iter().filter(|set| wanted_of(set) > 0) {
        let gone = may_go.min(wanted_of(old));
        if gone <= 0 {
            break;
        }
        scale_set(control, deployment, old, wanted_of(old) - gone);
        may_go -= gone;
    }
}
