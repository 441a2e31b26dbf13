//! `/scale`: the number of replicas as an object of its own.

use super::verbs::{Done, applier, find, patch_value};
use super::{Call, Target};
use crate::cluster::Cluster;
use crate::failure::{Cause, Failure};
use crate::object::{self, at, number, set};
use crate::patch::apply::{Applier, apply};
use crate::resource::Resource;
use crate::selector::Labels;
use crate::store::Store;
use crate::write::Writer;
use serde_json::{Value, json};
use std::sync::Arc;

pub(crate) fn get(cluster: &Cluster, target: &Target) -> Result<Value, Failure> {
    if target.resource.scale.is_none() {
        return Err(Failure::no_resource());
    }
    Ok(shown(&target.resource, &*find(&cluster.lock().store, target)?))
}

fn path(parts: &[String]) -> Vec<&str> {
    parts.iter().map(String::as_str).collect()
}

/// The Scale of an object.
fn shown(resource: &Resource, object: &Value) -> Value {
    let scale = resource.scale.as_ref().expect("only kinds with /scale come here");
    let selector = match &scale.selector {
        Some(parts) => at(object, &path(parts)).as_str().unwrap_or("").to_owned(),
        None => Labels::of(&object["spec"]["selector"]).map(|labels| labels.to_string()).unwrap_or_default(),
    };
    let meta = &object["metadata"];
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"], "resourceVersion": meta["resourceVersion"], "creationTimestamp": meta["creationTimestamp"]},
        "spec": {"replicas": number(object, &path(&scale.spec)).unwrap_or(0)},
        "status": {"replicas": number(object, &path(&scale.status)).unwrap_or(0), "selector": selector},
    })
}

pub(crate) fn update(
    store: &mut Store,
    _call: &Call,
    target: &Target,
    body: &Value,
    writer: &Writer<'_>,
) -> Result<Done, Failure> {
    let old = find(store, target)?;
    if object::name(body) != target.name {
        return Err(Failure::bad_request(format!(
            "the name of the object ({}) does not match the name on the URL ({})",
            object::name(body),
            target.name
        )));
    }
    finish(store, target, &old, body, writer)
}

pub(crate) fn patch(
    store: &mut Store,
    call: &Call,
    target: &Target,
    body: &Value,
    writer: &Writer<'_>,
) -> Result<Done, Failure> {
    let old = find(store, target)?;
    let kind = call.content_type.split(';').next().unwrap_or("").trim();
    if kind != "application/apply-patch+yaml" {
        let mut scale = shown(&target.resource, &old);
        patch_value(&mut scale, kind, body, false)?;
        return finish(store, target, &old, &scale, writer);
    }
    let (manager, force) = applier(call)?;
    check(body)?;
    let mut config =
        json!({"apiVersion": old["apiVersion"], "kind": old["kind"], "metadata": {"name": target.name}});
    let spec = &target.resource.scale.as_ref().expect("checked by the caller").spec;
    set(&mut config, &path(spec), body["spec"]["replicas"].clone());
    let who = Applier { manager, subresource: "scale", force, custom: target.resource.custom };
    let new = apply(&old, &config, &who)?;
    let object = store.replace(&target.resource, &old, new, &Writer { applied: true, ..*writer })?;
    Ok(answer(&target.resource, object))
}

fn check(scale: &Value) -> Result<(), Failure> {
    let replicas = &scale["spec"]["replicas"];
    match replicas.as_i64() {
        Some(count) if count < 0 => Err(Failure::invalid(
            "autoscaling",
            "Scale",
            object::name(scale),
            &[Cause::invalid("spec.replicas", replicas, "must be greater than or equal to 0")],
        )),
        None if !replicas.is_null() => Err(Failure::bad_request(
            "Scale in version \"v1\" cannot be handled as a Scale: json: cannot unmarshal value into Go struct field ScaleSpec.spec.replicas of type int32",
        )),
        _ => Ok(()),
    }
}

fn finish(
    store: &mut Store,
    target: &Target,
    old: &Arc<Value>,
    scale: &Value,
    writer: &Writer<'_>,
) -> Result<Done, Failure> {
    check(scale)?;
    let uid = object::uid(scale);
    if !uid.is_empty() && uid != object::uid(old) {
        return Err(Failure::precondition(
            &target.resource,
            &target.namespace,
            &target.name,
            "UID",
            uid,
            object::uid(old),
        ));
    }
    let mut new = (**old).clone();
    let spec = &target.resource.scale.as_ref().expect("checked by the caller").spec;
    set(&mut new, &path(spec), json!(number(scale, &["spec", "replicas"]).unwrap_or(0)));
    set(&mut new, &["metadata", "resourceVersion"], at(scale, &["metadata", "resourceVersion"]).clone());
    let object = store.replace(&target.resource, old, new, writer)?;
    Ok(answer(&target.resource, object))
}

fn answer(resource: &Resource, object: Arc<Value>) -> Done {
    Done { code: 200, value: shown(resource, &object), after: Some(object), bytes: None }
}
