//! Refusals in the words of the real server: `kind: Status` objects.

use crate::resource::Resource;
use serde_json::{Value, json};

/// The reason of a refusal that is plain text.
pub(crate) const PLAIN: &str = "(plain)";

/// A call that fails, as the client will see it.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub code: u16,
    pub reason: &'static str,
    pub message: String,
    pub details: Value,
    /// Only for the expired list: the token with which the client may go on anyway.
    pub continue_: Option<String>,
}

/// One thing wrong with an object.
#[derive(Clone, Debug)]
pub(crate) struct Cause {
    pub field: String,
    pub reason: &'static str,
    pub message: String,
}

impl Cause {
    pub fn invalid(field: impl Into<String>, value: &Value, why: &str) -> Cause {
        Cause {
            field: field.into(),
            reason: "FieldValueInvalid",
            message: format!("Invalid value: {value}: {why}"),
        }
    }
    pub fn required(field: impl Into<String>, why: &str) -> Cause {
        let why = if why.is_empty() { String::new() } else { format!(": {why}") };
        Cause { field: field.into(), reason: "FieldValueRequired", message: format!("Required value{why}") }
    }
    pub fn duplicate(field: impl Into<String>, value: &Value) -> Cause {
        Cause {
            field: field.into(),
            reason: "FieldValueDuplicate",
            message: format!("Duplicate value: {value}"),
        }
    }
    pub fn unsupported(field: impl Into<String>, value: &Value, allowed: &[&str]) -> Cause {
        let allowed: Vec<String> = allowed.iter().map(|word| format!("{word:?}")).collect();
        Cause {
            field: field.into(),
            reason: "FieldValueNotSupported",
            message: format!("Unsupported value: {value}: supported values: {}", allowed.join(", ")),
        }
    }
    pub fn forbidden(field: impl Into<String>, why: &str) -> Cause {
        Cause { field: field.into(), reason: "FieldValueForbidden", message: format!("Forbidden: {why}") }
    }
}

impl Failure {
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Failure {
        Failure { code, reason, message: message.into(), details: Value::Null, continue_: None }
    }
    fn with(mut self, details: Value) -> Failure {
        self.details = details;
        self
    }
    pub fn bad_request(message: impl Into<String>) -> Failure {
        Failure::new(400, "BadRequest", message)
    }
    pub fn unauthorized() -> Failure {
        Failure::new(401, "Unauthorized", "Unauthorized")
    }
    /// Nothing is served at this path.
    pub fn no_resource() -> Failure {
        Failure::new(404, "NotFound", "the server could not find the requested resource").with(json!({}))
    }
    /// Not even the group is served: answered without a Status object.
    pub fn no_path() -> Failure {
        Failure::new(404, PLAIN, "404 page not found\n")
    }
    pub fn no_method() -> Failure {
        Failure::new(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
        .with(json!({}))
    }
    pub fn media_type(accepted: &str) -> Failure {
        Failure::new(
            415,
            "UnsupportedMediaType",
            format!(
                "the body of the request was in an unknown format - accepted media types include: {accepted}"
            ),
        )
    }
    pub fn internal(message: impl std::fmt::Display) -> Failure {
        Failure::new(500, "InternalError", format!("Internal error occurred: {message}"))
            .with(json!({"causes": [{"message": message.to_string()}]}))
    }
    pub fn expired(message: impl Into<String>) -> Failure {
        Failure::new(410, "Expired", message)
    }
    pub fn not_found(resource: &Resource, name: &str) -> Failure {
        Failure::new(404, "NotFound", format!("{} \"{name}\" not found", resource.id()))
            .with(about(resource, name))
    }
    pub fn exists(resource: &Resource, name: &str) -> Failure {
        Failure::new(409, "AlreadyExists", format!("{} \"{name}\" already exists", resource.id()))
            .with(about(resource, name))
    }
    pub fn conflict(resource: &Resource, name: &str, why: &str) -> Failure {
        Failure::new(
            409,
            "Conflict",
            format!("Operation cannot be fulfilled on {} \"{name}\": {why}", resource.id()),
        )
        .with(about(resource, name))
    }
    /// The resourceVersion that the client sent is not the current one.
    pub fn stale(resource: &Resource, name: &str) -> Failure {
        Failure::conflict(
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }
    /// A uid or resourceVersion precondition that does not hold.
    pub fn precondition(
        resource: &Resource,
        namespace: &str,
        name: &str,
        what: &str,
        asked: &str,
        is: &str,
    ) -> Failure {
        let place = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: /registry/{}/{place}{name}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: {what} in precondition: {asked}, {what} in object meta: {is}",
            resource.plural
        );
        Failure::conflict(resource, name, &why)
    }
    pub fn forbidden(resource: &Resource, name: &str, why: &str) -> Failure {
        let message = if name.is_empty() {
            format!("{} is forbidden: {why}", resource.id())
        } else {
            format!("{} \"{name}\" is forbidden: {why}", resource.id())
        };
        Failure::new(403, "Forbidden", message).with(about(resource, name))
    }
    pub fn invalid(group: &str, kind: &str, name: &str, causes: &[Cause]) -> Failure {
        let of = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let texts: Vec<String> =
            causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
        let what = if texts.len() == 1 { texts[0].clone() } else { format!("[{}]", texts.join(", ")) };
        let list: Vec<Value> = causes
            .iter()
            .map(|cause| json!({"reason": cause.reason, "message": cause.message, "field": cause.field}))
            .collect();
        let mut details = json!({"kind": kind, "causes": list});
        if !name.is_empty() {
            details["name"] = json!(name);
        }
        if !group.is_empty() {
            details["group"] = json!(group);
        }
        Failure::new(422, "Invalid", format!("{of} \"{name}\" is invalid: {what}")).with(details)
    }
    /// A patch that cannot be carried out (a failed JSON patch test, say).
    pub fn unprocessable() -> Failure {
        Failure::new(422, "Invalid", "the server rejected our request due to an error in our request")
            .with(json!({}))
    }
    pub fn budget(cause: String, retry_after: u32) -> Failure {
        let mut details = json!({"causes": [{"reason": "DisruptionBudget", "message": cause}]});
        if retry_after > 0 {
            details["retryAfterSeconds"] = json!(retry_after);
        }
        Failure::new(
            429,
            "TooManyRequests",
            "Cannot evict pod as it would violate the pod's disruption budget.",
        )
        .with(details)
    }
    /// Fields of an apply that others own: (manager as printed, path as printed).
    pub fn apply_conflict(conflicts: &[(String, String)]) -> Failure {
        let message = match conflicts {
            [(manager, path)] => format!("Apply failed with 1 conflict: conflict with {manager}: {path}"),
            many => {
                let mut managers: Vec<&String> = many.iter().map(|(manager, _)| manager).collect();
                managers.sort();
                managers.dedup();
                let lines: Vec<String> = managers
                    .into_iter()
                    .flat_map(|manager| {
                        std::iter::once(format!("conflicts with {manager}:")).chain(
                            many.iter()
                                .filter(move |(of, _)| of == manager)
                                .map(|(_, path)| format!("- {path}")),
                        )
                    })
                    .collect();
                format!("Apply failed with {} conflicts: {}", many.len(), lines.join("\n"))
            }
        };
        let causes: Vec<Value> =
            conflicts.iter().map(|(manager, path)| json!({"reason": "FieldManagerConflict", "message": format!("conflict with {manager}"), "field": path})).collect();
        Failure::new(409, "Conflict", message).with(json!({"causes": causes}))
    }
    /// What a switched-on fault answers.
    pub fn fault(code: u16) -> Failure {
        match code {
            429 => Failure::new(429, "TooManyRequests", "the server has received too many requests and has asked us to try again later").with(json!({"retryAfterSeconds": 1})),
            503 => Failure::new(503, "ServiceUnavailable", "the server is currently unable to handle the request").with(json!({})),
            504 => Failure::new(504, "Timeout", "the server was unable to return a response in the time allotted, but may still be processing the request").with(json!({})),
            500 => Failure::internal("fault switched on"),
            other => Failure::new(other, "", format!("fault switched on ({other})")),
        }
    }
    /// The Status object.
    pub fn status(&self) -> Value {
        let mut status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message, "code": self.code});
        if !self.reason.is_empty() {
            status["reason"] = json!(self.reason);
        }
        if !self.details.is_null() {
            status["details"] = self.details.clone();
        }
        if let Some(token) = &self.continue_ {
            status["metadata"]["continue"] = json!(token);
        }
        status
    }
}

fn about(resource: &Resource, name: &str) -> Value {
    let mut details = json!({"kind": resource.plural});
    if !name.is_empty() {
        details["name"] = json!(name);
    }
    if !resource.group.is_empty() {
        details["group"] = json!(resource.group);
    }
    details
}

/// What a delete answers when nothing of the object is left.
pub(crate) fn deleted(resource: &Resource, name: &str, uid: &str) -> Value {
    let mut details = about(resource, name);
    details["uid"] = json!(uid);
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
}
