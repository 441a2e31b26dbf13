//! What the merging needs to know of the types: which lists are maps by key, which maps are replaced whole.
//!
//! From the `x-kubernetes-list-type`, `-list-map-keys`, `-map-type` and `-patch-merge-key` marks of the real API.
//! Field names are nearly unambiguous there; where they are not, the way to them decides.

/// How a value at a path is merged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Shape {
    /// Field by field (maps), or a scalar.
    Granular,
    /// As a whole.
    Atomic,
    /// A list whose entries are told apart by these fields.
    Keyed(&'static [&'static str]),
    /// A list of scalars, each its own.
    Set,
}

/// For server-side apply. `way`: field names from the root, without list entries; custom kinds know only metadata.
pub(crate) fn shape(way: &[&str], is_list: bool, custom: bool) -> Shape {
    let Some((field, before)) = way.split_last() else { return Shape::Granular };
    let parent = before.last().copied().unwrap_or("");
    if is_list {
        return match (*field, parent) {
            ("finalizers", "metadata" | "spec") => Shape::Set,
            ("ownerReferences", "metadata") => Shape::Keyed(&["uid"]),
            _ if custom => Shape::Atomic,
            (
                "containers"
                | "initContainers"
                | "ephemeralContainers"
                | "env"
                | "volumes"
                | "schedulingGates"
                | "resourceClaims",
                _,
            ) => Shape::Keyed(&["name"]),
            ("imagePullSecrets", "spec") => Shape::Keyed(&["name"]),
            ("secrets", "") => Shape::Keyed(&["name"]),
            ("volumeMounts", _) => Shape::Keyed(&["mountPath"]),
            ("volumeDevices", _) => Shape::Keyed(&["devicePath"]),
            ("ports", "spec") => Shape::Keyed(&["port", "protocol"]),
            ("ports", _) => Shape::Keyed(&["containerPort", "protocol"]),
            ("hostAliases", _) | ("podIPs", _) => Shape::Keyed(&["ip"]),
            ("topologySpreadConstraints", _) => Shape::Keyed(&["topologyKey", "whenUnsatisfiable"]),
            ("conditions" | "addresses", "status") => Shape::Keyed(&["type"]),
            _ => Shape::Atomic,
        };
    }
    if custom {
        return Shape::Granular;
    }
    match *field {
        "selector" | "nodeSelector" | "labelSelector" | "namespaceSelector" | "scaleTargetRef"
        | "involvedObject" | "fieldRef" | "resourceFieldRef" | "secretKeyRef" | "configMapKeyRef" => {
            Shape::Atomic
        }
        _ => Shape::Granular,
    }
}

/// Strategic merge: the field that tells the entries of a list apart, if the list is merged at all.
pub(crate) fn merge_key(field: &str, parent: &str) -> Option<&'static str> {
    Some(match (field, parent) {
        (
            "containers"
            | "initContainers"
            | "ephemeralContainers"
            | "env"
            | "volumes"
            | "imagePullSecrets"
            | "resourceClaims"
            | "schedulingGates"
            | "secrets",
            _,
        ) => "name",
        ("volumeMounts", _) => "mountPath",
        ("volumeDevices", _) => "devicePath",
        ("ports", "spec") => "port",
        ("ports", _) => "containerPort",
        ("hostAliases" | "podIPs", _) => "ip",
        ("topologySpreadConstraints", _) => "topologyKey",
        ("conditions" | "addresses", "status") => "type",
        ("ownerReferences", "metadata") => "uid",
        _ => return None,
    })
}

/// Strategic merge: a list of scalars that is merged as a set.
pub(crate) fn merges_as_set(field: &str) -> bool {
    field == "finalizers"
}

/// The value that a key field has when it is left out.
pub(crate) fn key_default(key: &str) -> Option<&'static str> {
    (key == "protocol").then_some("TCP")
}

/// Parts that always exist in the real types, so that nobody owns their mere presence.
pub(crate) fn always_there(field: &str) -> bool {
    matches!(
        field,
        "metadata"
            | "spec"
            | "status"
            | "template"
            | "strategy"
            | "updateStrategy"
            | "jobTemplate"
            | "containers"
            | "resources"
    )
}
