//! The garbage collector: dependents go with their owners, in the way that the delete asked for.

use super::{Control, Task, Work};
use crate::delete::Options;
use crate::object::{self, is_deleting, list, set, text};
use crate::resource::Resource;
use crate::store::{Change, Key, Store};
use serde_json::Value;
use std::sync::Arc;

/// What a change means for owners and dependents.
pub(crate) fn route(store: &Store, work: &mut Work, change: &Change) {
    match &change.new {
        None => {
            let uid = object::uid(&change.shown);
            if !store.dependents(uid).is_empty() {
                work.push(Task::Dependents(uid.to_owned()));
            }
            // An owner that waits for its dependents may be done now.
            for owner in list(&change.shown, &["metadata", "ownerReferences"]) {
                if let Some(resource) =
                    store.registry.of_kind(text(owner, &["apiVersion"]), text(owner, &["kind"]))
                {
                    let namespace =
                        if resource.namespaced { change.key.namespace.clone() } else { String::new() };
                    work.push(Task::Finalize(Key {
                        table: resource.id().into(),
                        namespace,
                        name: text(owner, &["name"]).to_owned(),
                    }));
                }
            }
            if !change.key.namespace.is_empty()
                && store
                    .get("namespaces", "", &change.key.namespace)
                    .is_some_and(|namespace| is_deleting(&namespace))
            {
                work.push(Task::Namespace(change.key.namespace.clone()));
            }
        }
        Some(new) if is_deleting(new) => work.push(Task::Finalize(change.key.clone())),
        Some(_) => {}
    }
}

/// The owner is gone: dependents without another living owner go too.
pub(crate) fn dependents(control: &mut Control<'_>, uid: &str) {
    for key in control.store.dependents(uid) {
        let Some((object, resource)) = find(control, &key) else { continue };
        let others: Vec<Value> = list(&object, &["metadata", "ownerReferences"])
            .iter()
            .filter(|owner| text(owner, &["uid"]) != uid)
            .cloned()
            .collect();
        let lives = |owner: &Value| {
            let of = control.store.registry.of_kind(text(owner, &["apiVersion"]), text(owner, &["kind"]));
            of.is_some_and(|of| {
                control
                    .store
                    .get(&of.id(), if of.namespaced { &key.namespace } else { "" }, text(owner, &["name"]))
                    .is_some_and(|is| object::uid(&is) == text(owner, &["uid"]))
            })
        };
        if others.iter().any(lives) {
            let mut new = (*object).clone();
            set(&mut new, &["metadata", "ownerReferences"], Value::Array(others));
            control.store.commit(&resource, Some(object), Some(new));
        } else {
            let options = Options { propagation: Some("Background".into()), ..Options::default() };
            let _ = control.store.delete(&resource, &key.namespace, &key.name, &options);
        }
    }
}

/// `foregroundDeletion` and `orphan`.
pub(crate) fn finalize(control: &mut Control<'_>, key: &Key) {
    let Some((owner, resource)) = find(control, key) else { return };
    let has = |finalizer: &str| list(&owner, &["metadata", "finalizers"]).iter().any(|is| is == finalizer);
    if !is_deleting(&owner) {
        return;
    }
    let uid = object::uid(&owner).to_owned();
    if has("orphan") {
        for key in control.store.dependents(&uid) {
            let Some((object, of)) = find(control, &key) else { continue };
            let left: Vec<Value> = list(&object, &["metadata", "ownerReferences"])
                .iter()
                .filter(|reference| text(reference, &["uid"]) != uid)
                .cloned()
                .collect();
            let mut new = (*object).clone();
            if left.is_empty() {
                object::remove(&mut new, &["metadata", "ownerReferences"]);
            } else {
                set(&mut new, &["metadata", "ownerReferences"], Value::Array(left));
            }
            control.store.commit(&of, Some(object), Some(new));
        }
        control.store.finalized(&resource, &owner, "orphan");
    } else if has("foregroundDeletion") {
        let mut waits = false;
        for key in control.store.dependents(&uid) {
            let Some((object, of)) = find(control, &key) else { continue };
            let blocks = list(&object, &["metadata", "ownerReferences"])
                .iter()
                .any(|reference| text(reference, &["uid"]) == uid && reference["blockOwnerDeletion"] == true);
            waits |= blocks;
            if !is_deleting(&object) {
                let options = Options { propagation: Some("Foreground".into()), ..Options::default() };
                let _ = control.store.delete(&of, &key.namespace, &key.name, &options);
            }
        }
        // A pod without grace may have gone just now.
        waits &= !control.store.dependents(&uid).is_empty();
        if !waits {
            control.store.finalized(&resource, &owner, "foregroundDeletion");
        }
    }
}

fn find(control: &Control<'_>, key: &Key) -> Option<(Arc<Value>, Arc<Resource>)> {
    Some((control.store.get_key(key)?, control.store.registry.of_id(&key.table)?))
}
