//! What people read before they approve: the object as YAML before and after, without noise and without secrets.

use super::mask;
use serde_json::{Map, Value};
use similar::TextDiff;

/// Annotations that controllers and tools keep for themselves.
const NOISY_ANNOTATIONS: [&str; 3] = [
    "petrel.dev/step",
    "kubectl.kubernetes.io/last-applied-configuration",
    "deployment.kubernetes.io/revision",
];

/// A unified diff of an object before and after a change; empty when nothing that matters would change. What moves
/// without meaning (status, managed fields, versions) is left out, and so is `spec.replicas` unless the change is about it:
/// a horizontal autoscaler may move it between two plans.
pub fn diff(before: &Value, after: &Value, about_replicas: bool) -> String {
    let (old, new) = (without_noise(before, about_replicas), without_noise(after, about_replicas));
    let (masked_old, mut masked_new) = (masked(&old), masked(&new));
    mask::mark_changed(&old, &new, &mut masked_new);
    unified(&yaml(&masked_old), &yaml(&masked_new))
}

/// The whole object as added (a creation), without what only the server knows.
pub fn created(object: &Value) -> String {
    unified("", &yaml(&masked(&without_noise(object, true))))
}

/// An object's few telling lines as removed (a deletion).
pub fn deleted(telling: &Value) -> String {
    unified(&yaml(telling), "")
}

fn unified(before: &str, after: &str) -> String {
    TextDiff::from_lines(before, after).unified_diff().context_radius(3).header("before", "after").to_string()
}

/// As YAML, keys sorted, long strings on one line.
pub fn yaml(value: &Value) -> String {
    let options = serde_saphyr::ser_options! { min_fold_chars: usize::MAX, folded_wrap_chars: usize::MAX };
    // JSON is always expressible; should the writer ever disagree, JSON is readable too.
    serde_saphyr::to_string_with_options(value, options).unwrap_or_else(|_| format!("{value:#}\n"))
}

fn without_noise(object: &Value, about_replicas: bool) -> Value {
    let mut object = object.clone();
    let Some(fields) = object.as_object_mut() else { return object };
    fields.remove("status");
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        for noisy in
            ["managedFields", "resourceVersion", "generation", "creationTimestamp", "uid", "selfLink"]
        {
            metadata.remove(noisy);
        }
        clean_annotations(metadata);
    }
    if let Some(spec) = fields.get_mut("spec").and_then(Value::as_object_mut) {
        if !about_replicas {
            spec.remove("replicas");
        }
        if let Some(metadata) = spec
            .get_mut("template")
            .and_then(|template| template.get_mut("metadata"))
            .and_then(Value::as_object_mut)
        {
            metadata.remove("creationTimestamp");
        }
    }
    object
}

fn clean_annotations(metadata: &mut Map<String, Value>) {
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.retain(|name, _| !NOISY_ANNOTATIONS.contains(&name.as_str()));
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
}

/// Hides secret-like values wherever a pod spec can be.
pub fn masked(object: &Value) -> Value {
    let mut object = object.clone();
    for pointer in ["/spec", "/spec/template/spec", "/spec/jobTemplate/spec/template/spec"] {
        // A patch may have some of its lists only.
        if let Some(pod_spec) = object.pointer_mut(pointer) {
            mask::mask_pod_spec(pod_spec);
        }
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment(image: &str, password: &str, replicas: u32, version: &str) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "checkout", "resourceVersion": version, "generation": 4, "annotations": {"deployment.kubernetes.io/revision": version}, "managedFields": [{"manager": version}]},
            "spec": {"replicas": replicas, "template": {"spec": {"containers": [{"name": "app", "image": image, "env": [{"name": "DB_PASSWORD", "value": password}]}]}}},
            "status": {"replicas": replicas}})
    }

    #[test]
    fn noise_alone_is_no_difference() {
        assert_eq!(diff(&deployment("a:1", "x", 3, "1"), &deployment("a:1", "x", 5, "2"), false), "");
        assert_ne!(diff(&deployment("a:1", "x", 3, "1"), &deployment("a:1", "x", 5, "2"), true), "");
    }

    #[test]
    fn a_diff_shows_the_change_and_never_a_secret() {
        let text = diff(&deployment("a:1", "hunter2", 3, "1"), &deployment("a:2", "hunter3", 3, "1"), false);
        assert!(text.contains("-") && text.contains("image: a:1") && text.contains("image: a:2"), "{text}");
        assert!(!text.contains("hunter"), "{text}");
        assert!(text.contains("(hidden, changed)"), "{text}");
    }
}
