//! The status of PodDisruptionBudgets: how many pods may be evicted now.

use super::{Control, pod};
use crate::object::{self, at, is_deleting, number, set, text};
use crate::quantity;
use crate::selector::Labels;
use crate::store::Place;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

pub(crate) fn sync(control: &mut Control<'_>, place: &Place) {
    let Some(budget) = control.get("poddisruptionbudgets.policy", place) else { return };
    let selector = Labels::of(&budget["spec"]["selector"]).filter(|selector| !selector.is_empty());
    let pods: Vec<Arc<Value>> = selector
        .map(|selector| {
            control
                .store
                .list("pods", &place.0)
                .filter(|pod| selector.matches(object::labels(pod)) && !pod::is_finished(pod))
                .cloned()
                .collect()
        })
        .unwrap_or_default();
    let expected = expected(control, &pods);
    let wanted = match (at(&budget, &["spec", "minAvailable"]), at(&budget, &["spec", "maxUnavailable"])) {
        (Value::Null, Value::Null) => expected - 1,
        (Value::Null, most) => expected - quantity::share(most, expected, true).unwrap_or(0),
        (least, _) if least.is_i64() => least.as_i64().unwrap_or(0),
        (least, _) => quantity::share(least, expected, true).unwrap_or(0),
    }
    .max(0);
    // Pods whose eviction was granted no longer count, even before they are seen going.
    let granted = at(&budget, &["status", "disruptedPods"]).as_object().cloned().unwrap_or_default();
    let still: serde_json::Map<String, Value> = granted
        .into_iter()
        .filter(|(name, _)| pods.iter().any(|pod| object::name(pod) == name && !is_deleting(pod)))
        .collect();
    let healthy = pods
        .iter()
        .filter(|pod| pod::is_ready(pod) && !is_deleting(pod) && !still.contains_key(object::name(pod)))
        .count() as i64;
    let allowed = if expected > 0 { (healthy - wanted).max(0) } else { 0 };
    let mut status = json!({"observedGeneration": object::generation(&budget), "currentHealthy": healthy, "desiredHealthy": wanted, "expectedPods": expected, "disruptionsAllowed": allowed});
    if !still.is_empty() {
        status["disruptedPods"] = Value::Object(still);
    }
    if let Some(conditions) = budget["status"].get("conditions") {
        status["conditions"] = conditions.clone();
    }
    let (is, reason) = if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    pod::set_condition(&mut status, "DisruptionAllowed", is, reason, "");
    let condition = status["conditions"]
        .as_array_mut()
        .into_iter()
        .flatten()
        .find(|condition| text(condition, &["type"]) == "DisruptionAllowed");
    if let Some(condition) = condition {
        set(condition, &["observedGeneration"], json!(object::generation(&budget)));
        set(condition, &["message"], json!(""));
    }
    let resource = control.resource("poddisruptionbudgets.policy");
    control.store.put_status(&resource, &budget, status);
}

/// How many pods the owners of these pods want; a pod without an owner counts as itself.
fn expected(control: &Control<'_>, pods: &[Arc<Value>]) -> i64 {
    let mut owners = BTreeSet::new();
    let mut sum = 0;
    for pod in pods {
        let Some(owner) = object::controller(pod) else {
            sum += 1;
            continue;
        };
        let mut owner = (text(owner, &["kind"]).to_owned(), text(owner, &["name"]).to_owned());
        if owner.0 == "ReplicaSet"
            && let Some(set) = control.store.get("replicasets.apps", object::namespace(pod), &owner.1)
            && let Some(above) = object::controller(&set)
        {
            owner = (text(above, &["kind"]).to_owned(), text(above, &["name"]).to_owned());
        }
        if owners.insert(owner.clone()) {
            let table = match owner.0.as_str() {
                "Deployment" => "deployments.apps",
                "ReplicaSet" => "replicasets.apps",
                "StatefulSet" => "statefulsets.apps",
                _ => {
                    // Owners without a scale count by their pods.
                    sum += pods
                        .iter()
                        .filter(|pod| {
                            object::controller(pod).is_some_and(|of| text(of, &["name"]) == owner.1)
                        })
                        .count() as i64;
                    continue;
                }
            };
            sum += control
                .store
                .get(table, object::namespace(pod), &owner.1)
                .and_then(|owner| number(&owner, &["spec", "replicas"]))
                .unwrap_or(0);
        }
    }
    sum
}
