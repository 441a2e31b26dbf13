//! From a request to an answer: paths, permissions, verbs.

pub(crate) mod admin;
pub(crate) mod exec;
pub(crate) mod log;
pub(crate) mod metrics;
pub(crate) mod pods;
pub(crate) mod scale;
pub(crate) mod verbs;

use crate::admission;
use crate::auth::User;
use crate::cluster::Cluster;
use crate::discovery;
use crate::failure::Failure;
use crate::list;
use crate::resource::Resource;
use crate::watch;
use bytes::Bytes;
use futures::stream::BoxStream;
use http::Method;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io;
use std::sync::Arc;

/// One request, taken apart.
pub(crate) struct Call {
    pub method: Method,
    pub path: Vec<String>,
    pub query: HashMap<String, String>,
    pub user: User,
    pub agent: String,
    pub content_type: String,
    pub body: Bytes,
}

/// What the client gets.
pub(crate) enum Answer {
    Json(u16, Value),
    Bytes(Vec<u8>),
    Text(String),
    Stream { content_type: &'static str, body: BoxStream<'static, io::Result<Bytes>> },
}

/// What a path under a group version means.
pub(crate) struct Target {
    pub resource: Arc<Resource>,
    pub namespace: String,
    /// Empty: the collection.
    pub name: String,
    pub subresource: String,
}

impl Call {
    /// A query parameter; empty when missing.
    pub fn query(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }
    pub fn dry_run(&self) -> Result<bool, Failure> {
        match self.query("dryRun") {
            "" => Ok(false),
            "All" => Ok(true),
            other => {
                let cause = crate::failure::Cause::unsupported("dryRun", &json!(other), &["All"]);
                Err(Failure::invalid("meta.k8s.io", "CreateOptions", "", &[cause]))
            }
        }
    }
    /// `fieldManager`, or the first word of the user agent.
    pub fn manager(&self) -> String {
        match self.query("fieldManager") {
            "" => self.agent.split('/').next().unwrap_or("").chars().take(128).collect(),
            manager => manager.to_owned(),
        }
    }
    /// The body as JSON, or as YAML where that is allowed; null when empty.
    pub fn value(&self) -> Result<Value, Failure> {
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        let wrong = |why: String| {
            Failure::bad_request(format!(
                "the object provided is unrecognized (must be of type Object): couldn't get version/kind; json parse error: {why}"
            ))
        };
        match serde_json::from_slice(&self.body) {
            Ok(value) => Ok(value),
            Err(_) if self.content_type.contains("yaml") => {
                serde_saphyr::from_slice(&self.body).map_err(|error| wrong(error.to_string()))
            }
            Err(error) => Err(wrong(error.to_string())),
        }
    }
}

/// Answers a call of the API proper.
pub(crate) async fn route(cluster: &Arc<Cluster>, call: &Call) -> Result<Answer, Failure> {
    let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
    let read_only = || if call.method == Method::GET { Ok(()) } else { Err(Failure::no_method()) };
    match path[..] {
        ["version"] => read_only().map(|()| Answer::Json(200, discovery::version())),
        ["api"] => read_only().map(|()| Answer::Json(200, discovery::core_versions(&cluster.address))),
        ["apis"] => {
            read_only().map(|()| Answer::Json(200, discovery::groups(&cluster.lock().store.registry)))
        }
        ["apis", group] => read_only().and_then(|()| {
            discovery::group(&cluster.lock().store.registry, group)
                .map(|value| Answer::Json(200, value))
                .ok_or_else(Failure::no_path)
        }),
        ["api", version] => resources(cluster, "", version),
        ["apis", group, version] => resources(cluster, group, version),
        ["apis", "metrics.k8s.io", "v1beta1", ..] => metrics::answer(cluster, call, &path[3..]),
        ["apis", "authorization.k8s.io", "v1", "selfsubjectaccessreviews"] => access_review(call),
        ["apis", "authentication.k8s.io", "v1", "selfsubjectreviews"] => Ok(Answer::Json(
            201,
            json!({"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1", "metadata": {}, "status": {"userInfo": {"username": call.user.name}}}),
        )),
        ["api", version, ref rest @ ..] => object(cluster, call, &target(cluster, "", version, rest)?).await,
        ["apis", group, version, ref rest @ ..] => {
            object(cluster, call, &target(cluster, group, version, rest)?).await
        }
        _ => Err(Failure::no_path()),
    }
}

fn resources(cluster: &Cluster, group: &str, version: &str) -> Result<Answer, Failure> {
    discovery::resources(&cluster.lock().store.registry, group, version)
        .map(|value| Answer::Json(200, value))
        .ok_or_else(Failure::no_path)
}

fn access_review(call: &Call) -> Result<Answer, Failure> {
    let mut review = call.value()?;
    let asked = review["spec"]["resourceAttributes"].clone();
    let part = |field: &str| asked[field].as_str().unwrap_or("");
    let allowed = call.user.may(part("verb"), part("group"), part("resource"), part("subresource"));
    review["status"] = json!({"allowed": allowed});
    Ok(Answer::Json(201, review))
}

pub(crate) fn target(
    cluster: &Cluster,
    group: &str,
    version: &str,
    rest: &[&str],
) -> Result<Target, Failure> {
    let find = |plural: &str| {
        let state = cluster.lock();
        let registry = &state.store.registry;
        registry.find(group, version, plural).ok_or_else(|| {
            let known = registry.all().any(|resource| resource.group == group && resource.version == version);
            if known { Failure::no_resource() } else { Failure::no_path() }
        })
    };
    let of = |resource, namespace: &str, rest: &[&str]| Target {
        resource,
        namespace: namespace.to_owned(),
        name: rest.first().copied().unwrap_or("").to_owned(),
        subresource: rest.get(1..).unwrap_or(&[]).join("/"),
    };
    match rest {
        // A namespace itself, not something in it.
        ["namespaces"] | ["namespaces", _] | ["namespaces", _, "status" | "finalize"] if group.is_empty() => {
            Ok(of(find("namespaces")?, "", &rest[1..]))
        }
        ["namespaces", namespace, plural, rest @ ..] => {
            let resource = find(plural)?;
            if resource.namespaced { Ok(of(resource, namespace, rest)) } else { Err(Failure::no_resource()) }
        }
        [plural, rest @ ..] => {
            let resource = find(plural)?;
            // Something in a namespace can only be listed without naming it.
            if resource.namespaced && !rest.is_empty() {
                Err(Failure::no_resource())
            } else {
                Ok(of(resource, "", rest))
            }
        }
        [] => Err(Failure::no_resource()),
    }
}

async fn object(cluster: &Arc<Cluster>, call: &Call, target: &Target) -> Result<Answer, Failure> {
    let collection = target.name.is_empty();
    let watching = matches!(call.query("watch"), "true" | "1");
    let verb = match (&call.method, collection) {
        (&Method::GET, true) if watching => "watch",
        (&Method::GET, true) => "list",
        (&Method::GET, false) => "get",
        (&Method::POST, _) => "create",
        (&Method::PUT, false) => "update",
        (&Method::PATCH, false) => "patch",
        (&Method::DELETE, true) => "deletecollection",
        (&Method::DELETE, false) => "delete",
        _ => return Err(Failure::no_method()),
    };
    call.user.check(verb, &target.resource, &target.subresource, &target.namespace, &target.name)?;
    let resource = &target.resource;
    match (verb, target.subresource.as_str()) {
        ("watch", _) => watch::start(cluster, call, resource, &target.namespace),
        ("list", _) => {
            list::answer(&cluster.lock().store, call, resource, &target.namespace).map(Answer::Bytes)
        }
        ("get", "log") if resource.is("pods") => log::answer(cluster, call, target),
        ("get", "scale") => scale::get(cluster, target).map(|value| Answer::Json(200, value)),
        ("get", "" | "status") => verbs::get(cluster, target),
        ("get", "resize") if resource.is("pods") => verbs::get(cluster, target),
        ("get", _) => Err(Failure::no_resource()),
        _ => {
            admit(cluster, target, verb).await?;
            verbs::mutate(cluster, call, target, verb)
        }
    }
}

/// Asks the webhooks that want to be asked, one after the other.
async fn admit(cluster: &Cluster, target: &Target, verb: &str) -> Result<(), Failure> {
    let Some(operation) = admission::operation(verb) else { return Ok(()) };
    let Target { resource, namespace, subresource, .. } = target;
    let hooks = admission::asked(&cluster.lock().store, resource, namespace, subresource, operation);
    for hook in hooks {
        tokio::time::sleep(hook.timeout).await;
        hook.unanswered(&mut cluster.lock().store, operation)?;
    }
    Ok(())
}
