//! The mutating verbs, each audited under the same lock that applies it.

use super::{Answer, Call, Target, pods, scale};
use crate::audit::Audited;
use crate::cluster::{Cluster, State};
use crate::delete::{Gone, Options};
use crate::failure::{self, Cause, Failure};
use crate::list::{self, Filter};
use crate::object::{self, name, set, text};
use crate::patch;
use crate::store::Store;
use crate::types;
use crate::write::Writer;
use serde_json::{Value, json};
use std::sync::Arc;

/// What a mutating verb did.
pub(crate) struct Done {
    pub code: u16,
    pub value: Value,
    /// The object after it; none when it is gone, or there is not one object.
    pub after: Option<Arc<Value>>,
    /// Answers as these bytes instead (collections).
    pub bytes: Option<Vec<u8>>,
}

impl Done {
    pub fn object(code: u16, object: Arc<Value>) -> Done {
        Done { code, value: (*object).clone(), after: Some(object), bytes: None }
    }
    pub fn value(code: u16, value: Value) -> Done {
        Done { code, value, after: None, bytes: None }
    }
}

pub(crate) fn get(cluster: &Cluster, target: &Target) -> Result<Answer, Failure> {
    let object = find(&cluster.lock().store, target)?;
    Ok(Answer::Json(200, (*object).clone()))
}

pub(crate) fn find(store: &Store, target: &Target) -> Result<Arc<Value>, Failure> {
    store
        .get(&target.resource.id(), &target.namespace, &target.name)
        .ok_or_else(|| Failure::not_found(&target.resource, &target.name))
}

/// Runs a mutating verb and writes it into the audit trail, whatever comes of it.
pub(crate) fn mutate(
    cluster: &Arc<Cluster>,
    call: &Call,
    target: &Target,
    verb: &str,
) -> Result<Answer, Failure> {
    let body = call.value()?;
    let dry_run = call.dry_run()?
        || object::list(&body, &["dryRun"]).iter().any(|word| word == "All") && verb.starts_with("delete")
        || target.subresource == "eviction"
            && object::list(&body, &["deleteOptions", "dryRun"]).iter().any(|word| word == "All");
    let manager = call.manager();
    let mut state = cluster.lock();
    let before = if target.name.is_empty() {
        None
    } else {
        state.store.get(&target.resource.id(), &target.namespace, &target.name)
    };
    let result = dispatch(&mut state, call, target, verb, &body, &manager, dry_run);
    let (code, after) = match &result {
        Ok(done) => (done.code, done.after.clone()),
        Err(failure) => (failure.code, before.clone()),
    };
    let version = |object: &Arc<Value>| object::version(object).to_owned();
    state.trail.record(Audited {
        seq: 0,
        at: object::now_precise(),
        user: call.user.name.clone(),
        field_manager: manager,
        verb: verb.to_owned(),
        resource: target.resource.id(),
        namespace: target.namespace.clone(),
        name: if target.name.is_empty() {
            after.as_deref().map_or_else(|| name(&body).to_owned(), |object| name(object).to_owned())
        } else {
            target.name.clone()
        },
        subresource: target.subresource.clone(),
        dry_run,
        code,
        generation: after.as_deref().filter(|_| result.is_ok()).and_then(object::generation),
        version_before: before.as_ref().map(version),
        version_after: after.as_ref().map(version).filter(|version| !version.is_empty()),
        body,
    });
    drop(state);
    cluster.wake.notify_one();
    result.map(|done| match done.bytes {
        Some(bytes) => Answer::Bytes(bytes),
        None => Answer::Json(done.code, done.value),
    })
}

fn dispatch(
    state: &mut State,
    call: &Call,
    target: &Target,
    verb: &str,
    body: &Value,
    manager: &str,
    dry_run: bool,
) -> Result<Done, Failure> {
    let store = &mut state.store;
    let writer = Writer { manager, subresource: &target.subresource, dry_run, applied: false };
    let resource = &target.resource;
    let has_status = target.subresource == "status" && resource.status;
    match (verb, target.subresource.as_str()) {
        ("create", "") if target.name.is_empty() => create(store, target, body, &writer),
        ("create", "eviction") if resource.is("pods") => pods::evict(store, target, body, dry_run),
        ("create", "binding") if resource.is("pods") => pods::bind(store, target, body, &writer),
        ("create", "") => Err(Failure::no_method()),
        ("update", "scale") if resource.scale.is_some() => scale::update(store, call, target, body, &writer),
        ("patch", "scale") if resource.scale.is_some() => scale::patch(store, call, target, body, &writer),
        ("update", _) if target.subresource.is_empty() || has_status || is_pod_part(target) => {
            update(store, target, body, &writer)
        }
        ("patch", _) if target.subresource.is_empty() || has_status || is_pod_part(target) => {
            patched(store, call, target, body, &writer)
        }
        ("delete", "") => delete(store, call, target, body, dry_run),
        ("deletecollection", "") => delete_collection(store, call, target, body, dry_run),
        _ => Err(Failure::no_resource()),
    }
}

/// Parts of a pod that are written through their own path.
fn is_pod_part(target: &Target) -> bool {
    target.resource.is("pods") && matches!(target.subresource.as_str(), "resize" | "ephemeralcontainers")
        || target.resource.is("namespaces") && target.subresource == "finalize"
}

/// The body must be what the path says.
fn check_body(target: &Target, body: &Value) -> Result<(), Failure> {
    let (version, kind) = (target.resource.api_version(), &target.resource.kind);
    if !body.is_object() {
        return Err(Failure::bad_request(
            "the object provided is unrecognized (must be of type Object): couldn't get version/kind",
        ));
    }
    let (is_version, is_kind) = (text(body, &["apiVersion"]), text(body, &["kind"]));
    if !is_version.is_empty() && is_version != version {
        return Err(Failure::bad_request(format!(
            "the API version in the data ({is_version}) does not match the expected API version ({version})"
        )));
    }
    if !is_kind.is_empty() && is_kind != kind {
        return Err(Failure::bad_request(format!(
            "{is_kind} in version \"{}\" cannot be handled as a {kind}: converting ({version}).{is_kind} to ({version}).{kind}: unknown conversion",
            target.resource.version
        )));
    }
    let namespace = object::namespace(body);
    if !namespace.is_empty() && namespace != target.namespace {
        return Err(Failure::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    types::check(&target.resource, body)
}

fn create(store: &mut Store, target: &Target, body: &Value, writer: &Writer<'_>) -> Result<Done, Failure> {
    check_body(target, body)?;
    store
        .create(&target.resource, &target.namespace, body.clone(), writer)
        .map(|object| Done::object(201, object))
}

fn update(store: &mut Store, target: &Target, body: &Value, writer: &Writer<'_>) -> Result<Done, Failure> {
    check_body(target, body)?;
    let resource = &target.resource;
    if name(body) != target.name {
        return Err(Failure::bad_request(format!(
            "the name of the object ({}) does not match the name on the URL ({})",
            name(body),
            target.name
        )));
    }
    let old = find(store, target)?;
    let uid = object::uid(body);
    if !uid.is_empty() && uid != object::uid(&old) {
        return Err(Failure::precondition(
            resource,
            &target.namespace,
            &target.name,
            "UID",
            uid,
            object::uid(&old),
        ));
    }
    if object::version(body).is_empty()
        && (resource.custom
            || matches!(resource.plural.as_str(), "poddisruptionbudgets" | "customresourcedefinitions"))
    {
        let cause = Cause {
            field: "metadata.resourceVersion".into(),
            reason: "FieldValueInvalid",
            message: "Invalid value: 0x0: must be specified for an update".into(),
        };
        return Err(Failure::invalid(&resource.group, &resource.plural, &target.name, &[cause]));
    }
    store.replace(resource, &old, body.clone(), writer).map(|object| Done::object(200, object))
}

fn patched(
    store: &mut Store,
    call: &Call,
    target: &Target,
    body: &Value,
    writer: &Writer<'_>,
) -> Result<Done, Failure> {
    let resource = &target.resource;
    let kind = call.content_type.split(';').next().unwrap_or("").trim();
    if kind == "application/apply-patch+yaml" {
        return applied(store, call, target, body, writer);
    }
    if !call.query("force").is_empty() {
        let cause = Cause::forbidden("force", "may not be specified for non-apply patch");
        return Err(Failure::invalid("meta.k8s.io", "PatchOptions", "", &[cause]));
    }
    let old = find(store, target)?;
    let mut new = (*old).clone();
    patch_value(&mut new, kind, body, resource.custom)?;
    types::check(resource, &new)?;
    store.replace(resource, &old, new, writer).map(|object| Done::object(200, object))
}

/// Patches a value in one of the three ways that need no manager.
pub(crate) fn patch_value(value: &mut Value, kind: &str, body: &Value, custom: bool) -> Result<(), Failure> {
    match kind {
        "application/merge-patch+json" => patch::merge::merge(value, body),
        "application/json-patch+json" => patch::json::patch(value, body)?,
        "application/strategic-merge-patch+json" if !custom => patch::strategic::patch(value, body)?,
        _ if custom => {
            return Err(Failure::media_type(
                "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
            ));
        }
        _ => {
            return Err(Failure::media_type(
                "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml",
            ));
        }
    }
    Ok(())
}

/// The manager of an apply; it must be named.
pub(crate) fn applier(call: &Call) -> Result<(&str, bool), Failure> {
    match call.query("fieldManager") {
        "" => Err(Failure::invalid(
            "meta.k8s.io",
            "PatchOptions",
            "",
            &[Cause::required("fieldManager", "is required for apply patch")],
        )),
        manager => Ok((manager, matches!(call.query("force"), "true" | "1"))),
    }
}

fn applied(
    store: &mut Store,
    call: &Call,
    target: &Target,
    body: &Value,
    writer: &Writer<'_>,
) -> Result<Done, Failure> {
    let (manager, force) = applier(call)?;
    let resource = &target.resource;
    check_body(target, body)?;
    if text(body, &["apiVersion"]).is_empty() || text(body, &["kind"]).is_empty() {
        return Err(Failure::bad_request("Object 'Kind' is missing in the applied configuration"));
    }
    let mut config = body.clone();
    match name(&config) {
        "" => set(&mut config, &["metadata", "name"], json!(target.name)),
        called if called != target.name => {
            return Err(Failure::bad_request(format!(
                "the name of the object ({called}) does not match the name on the URL ({})",
                target.name
            )));
        }
        _ => {}
    }
    if let Some(map) = config.as_object_mut() {
        // Through each path only its own half is written, so only that half can be owned.
        match target.subresource.as_str() {
            "status" => {
                map.retain(|field, _| matches!(field.as_str(), "apiVersion" | "kind" | "metadata" | "status"))
            }
            _ if resource.status => drop(map.remove("status")),
            _ => {}
        }
    }
    let who =
        patch::apply::Applier { manager, subresource: writer.subresource, force, custom: resource.custom };
    let writer = Writer { applied: true, ..*writer };
    match store.get(&resource.id(), &target.namespace, &target.name) {
        Some(old) => {
            let mut new = patch::apply::apply(&old, &config, &who)?;
            if new["metadata"]["resourceVersion"].is_null() {
                new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"].clone();
            }
            store.replace(resource, &old, new, &writer).map(|object| Done::object(200, object))
        }
        None if !target.subresource.is_empty() => Err(Failure::not_found(resource, &target.name)),
        None => {
            let uid = object::uid(&config);
            if !uid.is_empty() {
                return Err(Failure::conflict(
                    resource,
                    &target.name,
                    &format!(
                        "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
                    ),
                ));
            }
            let new = patch::apply::apply(&json!({}), &config, &who)?;
            store.create(resource, &target.namespace, new, &writer).map(|object| Done::object(201, object))
        }
    }
}

fn delete_options(call: &Call, body: &Value, dry_run: bool) -> Options {
    let mut options = Options::read(body);
    if let Ok(seconds) = call.query("gracePeriodSeconds").parse() {
        options.grace = Some(seconds);
    }
    if !call.query("propagationPolicy").is_empty() {
        options.propagation = Some(call.query("propagationPolicy").to_owned());
    }
    options.dry_run |= dry_run;
    options
}

fn delete(
    store: &mut Store,
    call: &Call,
    target: &Target,
    body: &Value,
    dry_run: bool,
) -> Result<Done, Failure> {
    let resource = &target.resource;
    match store.delete(resource, &target.namespace, &target.name, &delete_options(call, body, dry_run))? {
        Gone::Now(last)
            if matches!(
                resource.plural.as_str(),
                "pods" | "serviceaccounts" | "persistentvolumes" | "persistentvolumeclaims"
            ) =>
        {
            Ok(Done::value(200, (*last).clone()))
        }
        Gone::Now(last) => Ok(Done::value(200, failure::deleted(resource, &target.name, object::uid(&last)))),
        Gone::Later(object) => Ok(Done::object(200, object)),
    }
}

fn delete_collection(
    store: &mut Store,
    call: &Call,
    target: &Target,
    body: &Value,
    dry_run: bool,
) -> Result<Done, Failure> {
    let resource = &target.resource;
    let filter = Filter::read(call, resource, &target.namespace)?;
    let options = delete_options(call, body, dry_run);
    let doomed: Vec<Arc<Value>> = store
        .list(&resource.id(), &target.namespace)
        .filter(|object| filter.matches(object))
        .cloned()
        .collect();
    for object in &doomed {
        store.delete(resource, object::namespace(object), name(object), &options)?;
    }
    let metadata = json!({"resourceVersion": store.version().to_string()});
    let bytes = list::write(resource, &metadata, &doomed.iter().collect::<Vec<_>>());
    Ok(Done { code: 200, value: Value::Null, after: None, bytes: Some(bytes) })
}
