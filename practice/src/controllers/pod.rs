//! What the controllers that own pods share.

use super::{Control, Task, event};
use crate::admission;
use crate::delete::Options;
use crate::object::{self, at, condition, holds, is_deleting, list, set, text};
use crate::write::Writer;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// A pod that could not be created is tried again after so long.
const AGAIN: Duration = Duration::from_secs(1);

/// Neither going away nor finished.
pub(crate) fn is_active(pod: &Value) -> bool {
    !is_deleting(pod) && !is_finished(pod)
}
pub(crate) fn is_finished(pod: &Value) -> bool {
    matches!(text(pod, &["status", "phase"]), "Succeeded" | "Failed")
}
pub(crate) fn is_ready(pod: &Value) -> bool {
    holds(pod, "Ready")
}

/// How long until a ready pod counts as available: zero, it does already; none, it is not ready.
pub(crate) fn until_available(pod: &Value, min_ready_seconds: i64) -> Option<Duration> {
    if !is_ready(pod) {
        return None;
    }
    if min_ready_seconds == 0 {
        return Some(Duration::ZERO);
    }
    let ready_for = object::age_seconds(condition(pod, "Ready")?, &["lastTransitionTime"])?;
    Some(Duration::from_secs((min_ready_seconds - ready_for).max(0) as u64))
}

/// A pod made from a template, still without a name.
pub(crate) fn from_template(template: &Value, owner: &Value) -> Value {
    let mut metadata = json!({"ownerReferences": [object::owner_reference(owner)]});
    for field in ["labels", "annotations", "finalizers"] {
        if !at(template, &["metadata", field]).is_null() {
            metadata[field] = at(template, &["metadata", field]).clone();
        }
    }
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})
}

/// Creates a pod for its owner, and says so.
pub(crate) fn create(
    control: &mut Control<'_>,
    owner: &Value,
    pod: Value,
    source: &str,
) -> Option<Arc<Value>> {
    let resource = control.resource("pods");
    let namespace = object::namespace(owner).to_owned();
    // A webhook that lets everything pass costs a controller nothing here: it would hold up all others.
    let hooks = admission::asked(control.store, &resource, &namespace, "", "CREATE");
    let admitted = hooks.iter().try_for_each(|hook| hook.unanswered(control.store, "CREATE"));
    let created =
        admitted.and_then(|()| control.store.create(&resource, &namespace, pod, &Writer::CONTROLLER));
    match created {
        Ok(pod) => {
            let message = match source {
                "statefulset-controller" => format!(
                    "create Pod {} in StatefulSet {} successful",
                    object::name(&pod),
                    object::name(owner)
                ),
                _ => format!("Created pod: {}", object::name(&pod)),
            };
            event::record(control, owner, source, false, "SuccessfulCreate", &message);
            Some(pod)
        }
        Err(failure) => {
            event::record(
                control,
                owner,
                source,
                true,
                "FailedCreate",
                &format!("Error creating: {}", failure.message),
            );
            if let Some(task) = Task::of(owner) {
                control.work.after(AGAIN, task, false);
            }
            None
        }
    }
}

/// Deletes a pod for its owner, and says so.
pub(crate) fn delete(control: &mut Control<'_>, owner: &Value, pod: &Value, source: &str) {
    let resource = control.resource("pods");
    if control.store.delete(&resource, object::namespace(pod), object::name(pod), &Options::default()).is_ok()
    {
        let message = match source {
            "statefulset-controller" => {
                format!("delete Pod {} in StatefulSet {} successful", object::name(pod), object::name(owner))
            }
            _ => format!("Deleted pod: {}", object::name(pod)),
        };
        event::record(control, owner, source, false, "SuccessfulDelete", &message);
    }
}

/// Sets a condition; its transition time moves only when its status does.
pub(crate) fn set_condition(status: &mut Value, kind: &str, is: &str, reason: &str, message: &str) {
    let mut new = json!({"type": kind, "status": is, "lastTransitionTime": object::now()});
    if !reason.is_empty() {
        new["reason"] = json!(reason);
    }
    if !message.is_empty() {
        new["message"] = json!(message);
    }
    let mut conditions = list(status, &["conditions"]).to_vec();
    match conditions.iter_mut().find(|condition| text(condition, &["type"]) == kind) {
        Some(old) => {
            if old["status"] == is {
                new["lastTransitionTime"] = old["lastTransitionTime"].clone();
            }
            for field in ["lastProbeTime", "observedGeneration"] {
                if let Some(kept) = old.get(field) {
                    new[field] = kept.clone();
                }
            }
            *old = new;
        }
        None => conditions.push(new),
    }
    set(status, &["conditions"], Value::Array(conditions));
}
