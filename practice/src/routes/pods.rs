//! Eviction and binding of pods.

use super::Target;
use super::verbs::{Done, find};
use crate::controllers::pod::set_condition;
use crate::delete::{Gone, Options};
use crate::failure::Failure;
use crate::object::{self, at, holds, is_deleting, number, set, text};
use crate::selector::Labels;
use crate::store::Store;
use crate::write::Writer;
use serde_json::{Value, json};
use std::sync::Arc;

/// Deletes the pod if its disruption budget allows that.
pub(crate) fn evict(
    store: &mut Store,
    target: &Target,
    body: &Value,
    dry_run: bool,
) -> Result<Done, Failure> {
    if object::name(body) != target.name {
        return Err(Failure::bad_request("name in URL does not match name in Eviction object"));
    }
    let mut options = Options::read(&body["deleteOptions"]);
    options.dry_run |= dry_run;
    let pod = find(store, target)?;
    let settled =
        matches!(text(&pod, &["status", "phase"]), "Succeeded" | "Failed" | "Pending") || is_deleting(&pod);
    if !settled {
        let budgets: Vec<Arc<Value>> = store
            .list("poddisruptionbudgets.policy", &target.namespace)
            .filter(|budget| {
                Labels::of(&budget["spec"]["selector"])
                    .is_some_and(|selector| !selector.is_empty() && selector.matches(object::labels(&pod)))
            })
            .cloned()
            .collect();
        match &budgets[..] {
            [] => {}
            [budget] => take_from(store, budget, &pod, options.dry_run)?,
            _ => {
                return Err(Failure::new(
                    500,
                    "",
                    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
                ));
            }
        }
    }
    let meant = options.uid.as_deref().is_none_or(|uid| uid == object::uid(&pod))
        && options.version.as_deref().is_none_or(|version| version == object::version(&pod));
    if !options.dry_run && !settled && meant {
        // The pod says why it goes.
        let mut status = pod["status"].clone();
        set_condition(
            &mut status,
            "DisruptionTarget",
            "True",
            "EvictionByEvictionAPI",
            "Eviction API: evicting",
        );
        let told = store.put_status(&target.resource, &pod, status);
        // Who insisted on a version insisted on the one before that.
        if options.version.is_some() {
            options.version = Some(object::version(&told).to_owned());
        }
    }
    let after = match store.delete(&target.resource, &target.namespace, &target.name, &options)? {
        Gone::Now(_) => None,
        Gone::Later(pod) => Some(pod),
    };
    Ok(Done {
        code: 201,
        value: json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}),
        after,
        bytes: None,
    })
}

fn take_from(store: &mut Store, budget: &Arc<Value>, pod: &Value, dry_run: bool) -> Result<(), Failure> {
    let status = |field: &str| number(budget, &["status", field]).unwrap_or(0);
    let name = object::name(budget);
    let (healthy, wanted) = (status("currentHealthy"), status("desiredHealthy"));
    // A pod that is not ready does not count, so it may go while the others suffice (or always, if the budget says so).
    if !holds(pod, "Ready")
        && (healthy >= wanted && wanted > 0
            || text(budget, &["spec", "unhealthyPodEvictionPolicy"]) == "AlwaysAllow")
    {
        return Ok(());
    }
    if status("observedGeneration") < object::generation(budget).unwrap_or(0) {
        return Err(Failure::budget(
            format!("The disruption budget {name} is still being processed by the server."),
            10,
        ));
    }
    if status("disruptionsAllowed") <= 0 {
        return Err(Failure::budget(
            format!("The disruption budget {name} needs {wanted} healthy pods and has {healthy} currently"),
            0,
        ));
    }
    if dry_run {
        return Ok(());
    }
    let mut new = budget["status"].clone();
    set(&mut new, &["disruptionsAllowed"], json!(status("disruptionsAllowed") - 1));
    set(&mut new, &["disruptedPods", object::name(pod)], json!(object::now()));
    let resource = store.registry.of_id("poddisruptionbudgets.policy").expect("built in");
    store.put_status(&resource, budget, new);
    Ok(())
}

/// What a scheduler posts.
pub(crate) fn bind(
    store: &mut Store,
    target: &Target,
    body: &Value,
    writer: &Writer<'_>,
) -> Result<Done, Failure> {
    let pod = find(store, target)?;
    let node = text(body, &["target", "name"]);
    let is = text(&pod, &["spec", "nodeName"]);
    if !is.is_empty() {
        return Err(Failure::conflict(
            &target.resource,
            &target.name,
            &format!("pod {} is already assigned to node \"{is}\"", target.name),
        ));
    }
    let mut new = (*pod).clone();
    set(&mut new, &["spec", "nodeName"], json!(node));
    object::remove(&mut new, &["metadata", "resourceVersion"]);
    let object = store.replace(&target.resource, &pod, new, writer)?;
    debug_assert_eq!(at(&object, &["spec", "nodeName"]), node);
    Ok(Done {
        code: 201,
        value: json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}),
        after: Some(object),
        bytes: None,
    })
}
