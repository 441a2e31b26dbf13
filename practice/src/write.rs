//! Creating and replacing objects, with everything that the real server does on the way.

use crate::defaults;
use crate::failure::{Cause, Failure};
use crate::managed;
use crate::object::{self, at, name, set, text};
use crate::resource::Resource;
use crate::store::Store;
use crate::validate;
use serde_json::{Value, json};
use std::sync::Arc;

/// Who writes, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Writer<'a> {
    pub manager: &'a str,
    pub subresource: &'a str,
    pub dry_run: bool,
    /// The managers are in the object already (server-side apply).
    pub applied: bool,
}

impl<'a> Writer<'a> {
    pub fn new(manager: &'a str) -> Writer<'a> {
        Writer { manager, subresource: "", dry_run: false, applied: false }
    }
    /// A controller: its objects carry no managers of their own (they are inferred when somebody asks).
    pub const CONTROLLER: Writer<'static> =
        Writer { manager: "", subresource: "", dry_run: false, applied: false };
}

impl Store {
    /// Creates an object.
    pub fn create(
        &mut self,
        resource: &Resource,
        namespace: &str,
        mut new: Value,
        writer: &Writer<'_>,
    ) -> Result<Arc<Value>, Failure> {
        if !text(&new, &["metadata", "resourceVersion"]).is_empty() {
            return Err(Failure::bad_request("resourceVersion should not be set on objects to be created"));
        }
        if resource.namespaced {
            match self.get("namespaces", "", namespace) {
                None => {
                    return Err(Failure::not_found(
                        &self.registry.of_id("namespaces").expect("built in"),
                        namespace,
                    ));
                }
                Some(space) if object::is_deleting(&space) => {
                    let why = format!(
                        "unable to create new content in namespace {namespace} because it is being terminated"
                    );
                    let mut refused = Failure::forbidden(resource, name(&new), &why);
                    refused.details["causes"] = json!([{"reason": "NamespaceTerminating", "message": format!("namespace {namespace} is being terminated"), "field": "metadata.namespace"}]);
                    return Err(refused);
                }
                Some(_) => {}
            }
        }
        let base = text(&new, &["metadata", "generateName"]).to_owned();
        if name(&new).is_empty() && !base.is_empty() {
            let base: String = base.chars().take(58).collect();
            set(&mut new, &["metadata", "name"], json!(format!("{base}{}", object::random_suffix())));
        }
        prepare_new(resource, namespace, &mut new);
        defaults::fill(resource, &mut new);
        let causes = validate::object(resource, &new);
        if !causes.is_empty() {
            return Err(Failure::invalid(&resource.group, &resource.kind, name(&new), &causes));
        }
        if self.get(&resource.id(), namespace, name(&new)).is_some() {
            return Err(Failure::exists(resource, name(&new)));
        }
        if !writer.applied && !writer.manager.is_empty() {
            object::remove(&mut new, &["metadata", "managedFields"]);
            managed::after_update(&json!({}), &mut new, writer.manager, writer.subresource, resource.custom);
        }
        if writer.dry_run {
            return Ok(Arc::new(new));
        }
        Ok(self.commit(resource, None, Some(new)))
    }

    /// Replaces an object by its next state. `new` carries a resourceVersion only when the writer insists on it.
    pub fn replace(
        &mut self,
        resource: &Resource,
        old: &Arc<Value>,
        mut new: Value,
        writer: &Writer<'_>,
    ) -> Result<Arc<Value>, Failure> {
        let asked = text(&new, &["metadata", "resourceVersion"]);
        if !asked.is_empty() && asked != object::version(old) {
            return Err(Failure::stale(resource, name(old)));
        }
        new["apiVersion"] = old["apiVersion"].clone();
        new["kind"] = old["kind"].clone();
        let mut causes = Vec::new();
        for field in ["name", "namespace", "uid"] {
            let (is, was) = (at(&new, &["metadata", field]).clone(), at(old, &["metadata", field]).clone());
            if !is.is_null() && is != was {
                causes.push(Cause::invalid(format!("metadata.{field}"), &is, "field is immutable"));
            }
        }
        for field in [
            "name",
            "namespace",
            "uid",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "generation",
            "generateName",
            "resourceVersion",
        ] {
            match at(old, &["metadata", field]).clone() {
                Value::Null => drop(object::remove(&mut new, &["metadata", field])),
                kept => set(&mut new, &["metadata", field], kept),
            }
        }
        if writer.subresource == "status" {
            let (status, annotations, finalizers) = (
                new["status"].take(),
                at(&new, &["metadata", "annotations"]).clone(),
                at(&new, &["metadata", "managedFields"]).clone(),
            );
            new = (**old).clone();
            put(&mut new, &["status"], status);
            put(&mut new, &["metadata", "annotations"], annotations);
            put(&mut new, &["metadata", "managedFields"], finalizers);
        } else if resource.status {
            put(&mut new, &["status"], old["status"].clone());
        }
        tidy(&mut new);
        defaults::fill(resource, &mut new);
        if resource.is("daemonsets.apps") && old["spec"]["template"] != new["spec"]["template"] {
            let next = object::annotation(old, defaults::TEMPLATE_GENERATION)
                .and_then(|text| text.parse::<i64>().ok())
                .unwrap_or(1)
                + 1;
            set(
                &mut new,
                &["metadata", "annotations", defaults::TEMPLATE_GENERATION],
                json!(next.to_string()),
            );
        }
        if resource.generation && writer.subresource != "status" && spec_changed(resource, old, &new) {
            set(&mut new, &["metadata", "generation"], json!(object::generation(old).unwrap_or(0) + 1));
        }
        causes.extend(validate::object(resource, &new));
        causes.extend(validate::change(resource, old, &new, writer.subresource));
        if !causes.is_empty() {
            return Err(Failure::invalid(&resource.group, &resource.kind, name(old), &causes));
        }
        if !writer.applied && !writer.manager.is_empty() {
            managed::after_update(old, &mut new, writer.manager, writer.subresource, resource.custom);
        }
        let finished = object::is_deleting(&new)
            && object::list(&new, &["metadata", "finalizers"]).is_empty()
            && object::number(&new, &["metadata", "deletionGracePeriodSeconds"]).unwrap_or(0) == 0;
        if writer.dry_run {
            return Ok(Arc::new(new));
        }
        if finished {
            return Ok(self.commit(resource, Some(old.clone()), None));
        }
        if new == **old {
            return Ok(old.clone());
        }
        Ok(self.commit(resource, Some(old.clone()), Some(new)))
    }

    /// A controller writes the status, and nothing else, if it differs.
    pub fn put_status(&mut self, resource: &Resource, old: &Arc<Value>, status: Value) -> Arc<Value> {
        if old["status"] == status {
            return old.clone();
        }
        let mut new = (**old).clone();
        new["status"] = status;
        self.commit(resource, Some(old.clone()), Some(new))
    }
}

fn put(object: &mut Value, path: &[&str], value: Value) {
    if value.is_null() {
        object::remove(object, path);
    } else {
        set(object, path, value);
    }
}

/// Empty maps that the real types leave out.
fn tidy(object: &mut Value) {
    for field in ["labels", "annotations", "finalizers", "ownerReferences"] {
        let value = at(object, &["metadata", field]);
        if value.is_null() && object["metadata"].get(field).is_some()
            || value.as_object().is_some_and(serde_json::Map::is_empty)
            || value.as_array().is_some_and(Vec::is_empty)
        {
            object::remove(object, &["metadata", field]);
        }
    }
}

fn prepare_new(resource: &Resource, namespace: &str, new: &mut Value) {
    new["apiVersion"] = json!(resource.api_version());
    new["kind"] = json!(resource.kind);
    for field in [
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "resourceVersion",
        "selfLink",
    ] {
        object::remove(new, &["metadata", field]);
    }
    if resource.namespaced {
        set(new, &["metadata", "namespace"], json!(namespace));
    } else {
        object::remove(new, &["metadata", "namespace"]);
    }
    set(new, &["metadata", "uid"], json!(uuid::Uuid::new_v4().to_string()));
    set(new, &["metadata", "creationTimestamp"], json!(object::now()));
    if resource.generation {
        set(new, &["metadata", "generation"], json!(1));
    }
    tidy(new);
    // Status is not the creator's to write; nodes and volumes are the exception, as on the real server.
    if resource.status && !matches!(resource.plural.as_str(), "nodes" | "persistentvolumes" | "namespaces") {
        object::remove(new, &["status"]);
    }
}

/// Whether the change counts as one of the specification.
fn spec_changed(resource: &Resource, old: &Value, new: &Value) -> bool {
    if resource.custom {
        let bare = |object: &Value| {
            let mut object = object.clone();
            if let Some(map) = object.as_object_mut() {
                map.remove("metadata");
                if resource.status {
                    map.remove("status");
                }
            }
            object
        };
        return bare(old) != bare(new);
    }
    // Annotations of a Deployment are copied to its ReplicaSets, so they count there.
    let annotations = resource.is("deployments.apps")
        && at(old, &["metadata", "annotations"]) != at(new, &["metadata", "annotations"]);
    old["spec"] != new["spec"] || annotations
}
