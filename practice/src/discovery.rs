//! What is served: versions, groups, resources.

use crate::resource::{Registry, Resource};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(crate) fn version() -> Value {
    json!({"major": "1", "minor": "36", "emulationMajor": "1", "emulationMinor": "36", "minCompatibilityMajor": "1", "minCompatibilityMinor": "35",
        "gitVersion": "v1.36.1", "gitCommit": "practice", "gitTreeState": "clean", "buildDate": "2026-05-12T00:00:00Z", "goVersion": "go1.25.0", "compiler": "gc", "platform": "linux/amd64"})
}

pub(crate) fn core_versions(address: &str) -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]})
}

/// Groups that are answered by code, not by tables.
const VIRTUAL: &[(&str, &str)] =
    &[("metrics.k8s.io", "v1beta1"), ("authorization.k8s.io", "v1"), ("authentication.k8s.io", "v1")];

pub(crate) fn groups(registry: &Registry) -> Value {
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": by_group(registry).iter().map(|(name, versions)| group_entry(name, versions)).collect::<Vec<_>>()})
}

pub(crate) fn group(registry: &Registry, name: &str) -> Option<Value> {
    let mut entry = group_entry(name, by_group(registry).get(name)?);
    entry["kind"] = json!("APIGroup");
    entry["apiVersion"] = json!("v1");
    Some(entry)
}

fn by_group(registry: &Registry) -> BTreeMap<String, Vec<String>> {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let virtual_ones = VIRTUAL.iter().map(|(group, version)| ((*group).to_owned(), (*version).to_owned()));
    for (group, version) in registry
        .all()
        .map(|resource| (resource.group.clone(), resource.version.clone()))
        .chain(virtual_ones)
        .filter(|(group, _)| !group.is_empty())
    {
        let versions = groups.entry(group).or_default();
        if !versions.contains(&version) {
            versions.push(version);
        }
    }
    groups
}

fn group_entry(name: &str, versions: &[String]) -> Value {
    let entry = |version: &String| json!({"groupVersion": format!("{name}/{version}"), "version": version});
    json!({"name": name, "versions": versions.iter().map(entry).collect::<Vec<_>>(), "preferredVersion": versions.last().map(entry)})
}

/// The resources of one group and version.
pub(crate) fn resources(registry: &Registry, group: &str, version: &str) -> Option<Value> {
    let mut entries = Vec::new();
    for resource in registry.all().filter(|resource| resource.group == group && resource.version == version) {
        entries.extend(resource_entries(resource));
    }
    let reader = |name: &str, kind: &str, namespaced: bool| json!({"name": name, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": ["get", "list"]});
    let creator = |name: &str, kind: &str| json!({"name": name, "singularName": "", "namespaced": false, "kind": kind, "verbs": ["create"]});
    match (group, version) {
        ("metrics.k8s.io", "v1beta1") => {
            entries.extend([reader("nodes", "NodeMetrics", false), reader("pods", "PodMetrics", true)])
        }
        ("authorization.k8s.io", "v1") => {
            entries.push(creator("selfsubjectaccessreviews", "SelfSubjectAccessReview"))
        }
        ("authentication.k8s.io", "v1") => entries.push(creator("selfsubjectreviews", "SelfSubjectReview")),
        _ => {}
    }
    if entries.is_empty() {
        return None;
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Some(
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": entries}),
    )
}

fn resource_entries(resource: &Resource) -> Vec<Value> {
    let verbs = json!(["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]);
    let mut entry = json!({"name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced, "kind": resource.kind, "verbs": verbs});
    if !resource.short.is_empty() {
        entry["shortNames"] = json!(resource.short);
    }
    if matches!(
        resource.plural.as_str(),
        "pods"
            | "services"
            | "deployments"
            | "replicasets"
            | "statefulsets"
            | "daemonsets"
            | "jobs"
            | "cronjobs"
            | "horizontalpodautoscalers"
    ) {
        entry["categories"] = json!(["all"]);
    }
    let mut entries = vec![entry];
    let mut sub = |name: &str, kind: &str, verbs: &[&str]| {
        entries.push(json!({"name": format!("{}/{name}", resource.plural), "singularName": "", "namespaced": resource.namespaced, "kind": kind, "verbs": verbs}));
    };
    if resource.status {
        sub("status", &resource.kind, &["get", "patch", "update"]);
    }
    if resource.is("pods") {
        sub("binding", "Binding", &["create"]);
        sub("eviction", "Eviction", &["create"]);
        sub("log", "Pod", &["get"]);
        sub("resize", "Pod", &["get", "patch", "update"]);
    }
    if resource.scale.is_some() {
        sub("scale", "Scale", &["get", "patch", "update"]);
        let last = entries.last_mut().expect("just pushed");
        last["group"] = json!("autoscaling");
        last["version"] = json!("v1");
    }
    entries
}
