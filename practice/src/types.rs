//! Refusing what cannot be read as the resource's type, before any other part looks at it: they may count on maps where the
//! real types have structs.

use crate::failure::Failure;
use crate::resource::Resource;
use serde_json::Value;

/// Fields with fields of their own, in which we look further.
const STRUCTS: [&str; 5] = ["metadata", "spec", "status", "template", "jobTemplate"];
/// Structs and maps in which we look no further: the keys are the user's own.
const MAPS: [&str; 8] = [
    "labels",
    "annotations",
    "selector",
    "strategy",
    "updateStrategy",
    "rollingUpdate",
    "resources",
    "securityContext",
];
/// Lists of structs.
const LISTS: [&str; 10] = [
    "containers",
    "initContainers",
    "ephemeralContainers",
    "env",
    "ports",
    "volumes",
    "volumeMounts",
    "ownerReferences",
    "managedFields",
    "conditions",
];

/// An error in the words of the real server, for the first field of another type.
pub(crate) fn check(resource: &Resource, body: &Value) -> Result<(), Failure> {
    let misfit = match body.as_object() {
        None => Some((String::new(), body, "struct")),
        // What else a custom resource has is its own affair.
        Some(_) if resource.custom => {
            body.get("metadata").filter(|part| !part.is_null()).and_then(|part| fitting("metadata", part, ""))
        }
        Some(_) => inside(body, ""),
    };
    let Some((field, value, wanted)) = misfit else { return Ok(()) };
    let (kind, version) = (&resource.kind, &resource.version);
    let is = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let part = if field.starts_with("spec.") { "Spec" } else { "" };
    Err(Failure::bad_request(format!(
        "{kind} in version \"{version}\" cannot be handled as a {kind}: json: cannot unmarshal {is} into Go struct field {kind}{part}.{field} of type {wanted}"
    )))
}

type Misfit<'a> = (String, &'a Value, &'static str);

fn inside<'a>(part: &'a Value, way: &str) -> Option<Misfit<'a>> {
    let fields = part.as_object().into_iter().flatten();
    fields.filter(|(_, value)| !value.is_null()).find_map(|(field, value)| fitting(field, value, way))
}

fn fitting<'a>(field: &str, value: &'a Value, way: &str) -> Option<Misfit<'a>> {
    let here = if way.is_empty() { field.to_string() } else { format!("{way}.{field}") };
    match value {
        _ if field == "replicas" => (!value.is_i64()).then_some((here, value, "int32")),
        Value::Object(_) if STRUCTS.contains(&field) => inside(value, &here),
        Value::Object(_) if MAPS.contains(&field) => None,
        Value::Array(entries) if LISTS.contains(&field) => entries.iter().find_map(|entry| match entry {
            // A condition's own status is a text.
            Value::Object(_) if field.ends_with("ontainers") => inside(entry, &here),
            Value::Object(_) => None,
            other => Some((here.clone(), other, "struct")),
        }),
        _ if STRUCTS.contains(&field) || MAPS.contains(&field) => Some((here, value, "struct")),
        _ if LISTS.contains(&field) => Some((here, value, "list")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Registry;
    use serde_json::json;

    #[test]
    fn what_the_types_cannot_hold_is_refused_where_it_stands() {
        let registry = Registry::builtin();
        let deployments = registry.of_kind("apps/v1", "Deployment").unwrap();
        let refusal = |body: Value| check(&deployments, &body).err().map(|failure| failure.message);
        for (body, words) in [
            (json!([]), "array into Go struct field Deployment."),
            (json!({"spec": "x"}), "string into Go struct field Deployment.spec of type struct"),
            (
                json!({"spec": {"replicas": "2"}}),
                "string into Go struct field DeploymentSpec.spec.replicas of type int32",
            ),
            (json!({"metadata": {"labels": [1]}}), "array into Go struct field Deployment.metadata.labels"),
            (
                json!({"spec": {"template": {"spec": {"containers": [{"name": "a"}, 7]}}}}),
                "number into Go struct field DeploymentSpec.spec.template.spec.containers of type struct",
            ),
        ] {
            let is = refusal(body.clone()).unwrap_or_else(|| panic!("{body} is accepted"));
            assert!(is.contains(words), "{is}");
        }
        // Null is nothing, and a label may have any name.
        let fine = json!({"metadata": {"labels": {"spec": "x"}, "annotations": null}, "spec": {"replicas": 2},
            "status": {"conditions": [{"type": "Available", "status": "True"}]}});
        assert_eq!(refusal(fine), None);
    }
}
