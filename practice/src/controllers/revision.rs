//! ControllerRevisions: the templates that StatefulSets and DaemonSets have had.

use super::Control;
use crate::delete::Options;
use crate::object::{self, number, set};
use crate::write::Writer;
use serde_json::{Value, json};
use std::sync::Arc;

/// The label that ties a pod to its revision.
pub(crate) const LABEL: &str = "controller-revision-hash";

/// The revision of the owner's present template, made if need be, and numbered above all others.
pub(crate) fn current(control: &mut Control<'_>, owner: &Value) -> Option<Arc<Value>> {
    let mut template = owner["spec"]["template"].clone();
    template["$patch"] = json!("replace");
    let data = json!({"spec": {"template": template}});
    let all = control.store.controlled(object::uid(owner), "controllerrevisions.apps");
    let last = all.iter().filter_map(|revision| number(revision, &["revision"])).max().unwrap_or(0);
    let resource = control.resource("controllerrevisions.apps");
    if let Some(same) = all.iter().find(|revision| revision["data"] == data) {
        if number(same, &["revision"]) == Some(last) {
            return Some(same.clone());
        }
        let mut new = (**same).clone();
        new["revision"] = json!(last + 1);
        return Some(control.store.commit(&resource, Some(same.clone()), Some(new)));
    }
    let hash = object::hash(&data);
    let mut labels = owner["spec"]["template"]["metadata"]["labels"].clone();
    set(&mut labels, &[own_label(owner)], json!(hash));
    let new = json!({"apiVersion": "apps/v1", "kind": "ControllerRevision",
        "metadata": {"name": format!("{}-{hash}", object::name(owner)), "labels": labels, "annotations": owner["metadata"]["annotations"], "ownerReferences": [object::owner_reference(owner)]},
        "data": data, "revision": last + 1});
    control.store.create(&resource, object::namespace(owner), new, &Writer::CONTROLLER).ok()
}

/// DaemonSets mark their revisions as they mark their pods; StatefulSets do not.
fn own_label(owner: &Value) -> &'static str {
    if owner["kind"] == "DaemonSet" { LABEL } else { "controller.kubernetes.io/hash" }
}

/// The hash part, as the pods of a DaemonSet carry it.
pub(crate) fn hash(revision: &Value) -> String {
    object::text(revision, &["metadata", "labels", LABEL]).to_owned()
}

/// Removes what is beyond the history limit; `live`: names that are in use.
pub(crate) fn truncate(control: &mut Control<'_>, owner: &Value, live: &[String]) {
    let limit = number(owner, &["spec", "revisionHistoryLimit"]).unwrap_or(10).max(0) as usize;
    let mut idle: Vec<Arc<Value>> = control
        .store
        .controlled(object::uid(owner), "controllerrevisions.apps")
        .into_iter()
        .filter(|revision| !live.iter().any(|name| name == object::name(revision)))
        .collect();
    idle.sort_by_key(|revision| number(revision, &["revision"]));
    let surplus = idle.len().saturating_sub(limit);
    let resource = control.resource("controllerrevisions.apps");
    for revision in idle.into_iter().take(surplus) {
        let _ = control.store.delete(
            &resource,
            object::namespace(&revision),
            object::name(&revision),
            &Options::default(),
        );
    }
}
