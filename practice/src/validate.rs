//! Refusing what is obviously not valid, in the words of the real server.

use crate::failure::Cause;
use crate::object::{self, at, list, name, number, text};
use crate::quantity;
use crate::resource::Resource;
use crate::selector::Labels;
use serde_json::{Value, json};

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const NOT_NEGATIVE: &str = "must be greater than or equal to 0";

/// What is wrong with an object by itself.
pub(crate) fn object(resource: &Resource, new: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    metadata(resource, new, &mut causes);
    match resource.id().as_str() {
        "pods" => pod_spec(&new["spec"], "spec", &mut causes),
        "deployments.apps" => {
            workload(new, &mut causes);
            deployment(new, &mut causes);
        }
        "replicasets.apps" | "statefulsets.apps" | "daemonsets.apps" => workload(new, &mut causes),
        "jobs.batch" => job(&new["spec"], "spec", &mut causes),
        "cronjobs.batch" => {
            if crate::controllers::cronjob::Schedule::parse(text(new, &["spec", "schedule"])).is_none() {
                causes.push(Cause::invalid(
                    "spec.schedule",
                    &new["spec"]["schedule"],
                    "expected exactly 5 fields of a cron expression",
                ));
            }
            job(&new["spec"]["jobTemplate"]["spec"], "spec.jobTemplate.spec", &mut causes);
        }
        "horizontalpodautoscalers.autoscaling" => {
            let (min, max) = (
                number(new, &["spec", "minReplicas"]).unwrap_or(1),
                number(new, &["spec", "maxReplicas"]).unwrap_or(0),
            );
            if max < 1 {
                causes.push(Cause::invalid("spec.maxReplicas", &json!(max), "must be greater than 0"));
            } else if max < min {
                causes.push(Cause::invalid(
                    "spec.maxReplicas",
                    &json!(max),
                    "must be greater than or equal to `minReplicas`",
                ));
            }
        }
        "poddisruptionbudgets.policy"
            if !new["spec"]["minAvailable"].is_null() && !new["spec"]["maxUnavailable"].is_null() =>
        {
            causes.push(Cause::invalid(
                "spec",
                &new["spec"],
                "minAvailable and maxUnavailable cannot be both set",
            ));
        }
        _ => {}
    }
    causes
}

fn metadata(resource: &Resource, new: &Value, causes: &mut Vec<Cause>) {
    let name = name(new);
    if name.is_empty() {
        causes.push(Cause::required("metadata.name", "name or generateName is required"));
    } else if matches!(resource.plural.as_str(), "namespaces" | "services") {
        if !is_label(name) {
            causes.push(Cause::invalid("metadata.name", &json!(name), LABEL));
        }
    } else if resource.group == "rbac.authorization.k8s.io" {
        if name.contains(['/', '%']) {
            causes.push(Cause::invalid("metadata.name", &json!(name), "may not contain '/'"));
        }
    } else if !is_subdomain(name) {
        causes.push(Cause::invalid("metadata.name", &json!(name), SUBDOMAIN));
    }
    labels(object::labels(new), "metadata.labels", causes);
}

fn labels(labels: &Value, field: &str, causes: &mut Vec<Cause>) {
    for value in labels.as_object().into_iter().flatten().map(|(_, value)| value) {
        let good = value.as_str().is_some_and(|text| {
            let edge = |c: char| c.is_ascii_alphanumeric();
            text.is_empty()
                || text.len() <= 63
                    && text.starts_with(edge)
                    && text.ends_with(edge)
                    && text.chars().all(|c| edge(c) || "-_.".contains(c))
        });
        if !good {
            causes.push(Cause::invalid(field, value, LABEL_VALUE));
        }
    }
}

fn is_label(text: &str) -> bool {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    !text.is_empty()
        && text.len() <= 63
        && text.starts_with(edge)
        && text.ends_with(edge)
        && text.chars().all(|c| edge(c) || c == '-')
}

fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// Replicas, selector and template of Deployments, ReplicaSets, StatefulSets and DaemonSets.
fn workload(new: &Value, causes: &mut Vec<Cause>) {
    if number(new, &["spec", "replicas"]).unwrap_or(0) < 0 {
        causes.push(Cause::invalid("spec.replicas", &new["spec"]["replicas"], NOT_NEGATIVE));
    }
    let selector = Labels::of(&new["spec"]["selector"]);
    let template_labels = at(new, &["spec", "template", "metadata", "labels"]);
    match &selector {
        None => causes.push(Cause::required("spec.selector", "")),
        Some(selector) if selector.is_empty() => causes.push(Cause::invalid(
            "spec.selector",
            &new["spec"]["selector"],
            "empty selector is invalid for deployment",
        )),
        Some(selector) if !selector.matches(template_labels) => {
            causes.push(Cause::invalid(
                "spec.template.metadata.labels",
                template_labels,
                "`selector` does not match template `labels`",
            ));
        }
        Some(_) => {}
    }
    labels(template_labels, "spec.template.labels", causes);
    let restart = at(new, &["spec", "template", "spec", "restartPolicy"]);
    if !restart.is_null() && restart != "Always" {
        causes.push(Cause::unsupported("spec.template.spec.restartPolicy", restart, &["Always"]));
    }
    pod_spec(at(new, &["spec", "template", "spec"]), "spec.template.spec", causes);
}

fn deployment(new: &Value, causes: &mut Vec<Cause>) {
    let strategy = at(new, &["spec", "strategy"]);
    match text(strategy, &["type"]) {
        "Recreate" if !strategy["rollingUpdate"].is_null() => {
            causes.push(Cause::forbidden(
                "spec.strategy.rollingUpdate",
                "may not be specified when strategy `type` is 'Recreate'",
            ));
        }
        "Recreate" => {}
        "RollingUpdate" => {
            let amount = |field: &str| quantity::share(&strategy["rollingUpdate"][field], 100, true);
            if amount("maxUnavailable") == Some(0) && amount("maxSurge") == Some(0) {
                causes.push(Cause::invalid(
                    "spec.strategy.rollingUpdate.maxUnavailable",
                    &strategy["rollingUpdate"]["maxUnavailable"],
                    "may not be 0 when `maxSurge` is 0",
                ));
            }
        }
        _ => causes.push(Cause::unsupported(
            "spec.strategy.type",
            &strategy["type"],
            &["Recreate", "RollingUpdate"],
        )),
    }
    let seconds = |field: &str| number(new, &["spec", field]).unwrap_or(0);
    if seconds("progressDeadlineSeconds") <= seconds("minReadySeconds") {
        causes.push(Cause::invalid(
            "spec.progressDeadlineSeconds",
            &new["spec"]["progressDeadlineSeconds"],
            "must be greater than minReadySeconds",
        ));
    }
}

fn job(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    for field in ["parallelism", "completions", "backoffLimit"] {
        if number(spec, &[field]).is_some_and(|value| value < 0) {
            causes.push(Cause::invalid(format!("{path}.{field}"), &spec[field], NOT_NEGATIVE));
        }
    }
    match text(spec, &["template", "spec", "restartPolicy"]) {
        "OnFailure" | "Never" => {}
        _ => causes.push(Cause::required(
            format!("{path}.template.spec.restartPolicy"),
            r#"valid values: "OnFailure", "Never""#,
        )),
    }
    pod_spec(at(spec, &["template", "spec"]), &format!("{path}.template.spec"), causes);
}

fn pod_spec(spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    let containers = list(spec, &["containers"]);
    if containers.is_empty() {
        causes.push(Cause::required(format!("{path}.containers"), ""));
    }
    let mut names: Vec<&str> = Vec::new();
    for field in ["initContainers", "containers"] {
        for (index, container) in list(spec, &[field]).iter().enumerate() {
            let path = format!("{path}.{field}[{index}]");
            let name = text(container, &["name"]);
            if name.is_empty() {
                causes.push(Cause::required(format!("{path}.name"), ""));
            } else if !is_label(name) {
                causes.push(Cause::invalid(format!("{path}.name"), &json!(name), LABEL));
            } else if names.contains(&name) {
                causes.push(Cause::duplicate(format!("{path}.name"), &json!(name)));
            }
            names.push(name);
            one_container(container, spec, &path, causes);
        }
    }
}

fn one_container(container: &Value, spec: &Value, path: &str, causes: &mut Vec<Cause>) {
    if text(container, &["image"]).is_empty() {
        causes.push(Cause::required(format!("{path}.image"), ""));
    }
    if !matches!(text(container, &["imagePullPolicy"]), "" | "Always" | "IfNotPresent" | "Never") {
        causes.push(Cause::unsupported(
            format!("{path}.imagePullPolicy"),
            &container["imagePullPolicy"],
            &["Always", "IfNotPresent", "Never"],
        ));
    }
    for (index, mount) in list(container, &["volumeMounts"]).iter().enumerate() {
        let known = list(spec, &["volumes"]).iter().any(|volume| volume["name"] == mount["name"]);
        // A StatefulSet's claims become volumes of its pods; its template need not name them.
        if !known && path.starts_with("spec.containers") {
            causes.push(Cause {
                field: format!("{path}.volumeMounts[{index}].name"),
                reason: "FieldValueNotFound",
                message: format!("Not found: {}", mount["name"]),
            });
        }
    }
    for (index, port) in list(container, &["ports"]).iter().enumerate() {
        if !number(port, &["containerPort"]).is_some_and(|port| (1..65536).contains(&port)) {
            causes.push(Cause::invalid(
                format!("{path}.ports[{index}].containerPort"),
                &port["containerPort"],
                "must be between 1 and 65535, inclusive",
            ));
        }
    }
    for kind in ["limits", "requests"] {
        for (resource, amount) in at(container, &["resources", kind]).as_object().into_iter().flatten() {
            match quantity::parse(amount) {
                None => causes.push(Cause::invalid(
                    format!("{path}.resources.{kind}.{resource}"),
                    amount,
                    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
                )),
                Some(value) if value < 0.0 => causes.push(Cause::invalid(format!("{path}.resources.{kind}.{resource}"), amount, NOT_NEGATIVE)),
                Some(value) if kind == "requests" => {
                    let limit = at(container, &["resources", "limits", resource]);
                    if quantity::parse(limit).is_some_and(|limit| value > limit) {
                        let why = format!("must be less than or equal to {resource} limit of {}", limit.as_str().unwrap_or_default());
                        causes.push(Cause::invalid(format!("{path}.resources.requests"), amount, &why));
                    }
                }
                Some(_) => {}
            }
        }
    }
}

/// What may not change.
pub(crate) fn change(resource: &Resource, old: &Value, new: &Value, subresource: &str) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut immutable = |path: &[&str]| {
        if at(old, path) != at(new, path) {
            causes.push(Cause::invalid(path.join("."), at(new, path), "field is immutable"));
        }
    };
    match resource.id().as_str() {
        "deployments.apps" | "replicasets.apps" | "daemonsets.apps" => immutable(&["spec", "selector"]),
        "jobs.batch" => {
            for field in ["selector", "template", "completionMode"] {
                immutable(&["spec", field]);
            }
        }
        "statefulsets.apps" => {
            const FREE: &[&str] = &[
                "replicas",
                "ordinals",
                "template",
                "updateStrategy",
                "revisionHistoryLimit",
                "persistentVolumeClaimRetentionPolicy",
                "minReadySeconds",
            ];
            if !same_but(&old["spec"], &new["spec"], FREE) {
                causes.push(Cause::forbidden("spec", "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"));
            }
        }
        "configmaps" | "secrets" if old["immutable"] == true => {
            for field in ["data", "binaryData", "immutable"] {
                if old[field] != new[field] {
                    causes.push(Cause::forbidden(field, "field is immutable when `immutable` is set"));
                }
            }
        }
        "pods" => pod_change(old, new, subresource, &mut causes),
        _ => {}
    }
    causes
}

fn same_but(old: &Value, new: &Value, free: &[&str]) -> bool {
    let bare = |spec: &Value| {
        spec.as_object().map(|map| {
            map.iter()
                .filter(|(field, _)| !free.contains(&field.as_str()))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect::<serde_json::Map<_, _>>()
        })
    };
    bare(old) == bare(new)
}

fn pod_change(old: &Value, new: &Value, subresource: &str, causes: &mut Vec<Cause>) {
    let containers = |pod: &Value| -> Value {
        let free: &[&str] = if subresource == "resize" { &["resources", "resizePolicy"] } else { &["image"] };
        let bare = |list: &[Value]| -> Vec<Value> {
            list.iter()
                .map(|container| {
                    container
                        .as_object()
                        .map(|map| {
                            map.iter()
                                .filter(|(field, _)| !free.contains(&field.as_str()))
                                .map(|(k, v)| (k.clone(), v.clone()))
                                .collect::<serde_json::Map<_, _>>()
                        })
                        .into()
                })
                .collect()
        };
        json!([bare(list(pod, &["spec", "containers"])), bare(list(pod, &["spec", "initContainers"]))])
    };
    let free: &[&str] = match subresource {
        "resize" => &["containers", "initContainers"],
        "ephemeralcontainers" => &["ephemeralContainers"],
        "binding" => &["containers", "initContainers", "nodeName"],
        _ => &[
            "containers",
            "initContainers",
            "activeDeadlineSeconds",
            "tolerations",
            "terminationGracePeriodSeconds",
        ],
    };
    if !same_but(&old["spec"], &new["spec"], free) || containers(old) != containers(new) {
        let why = if subresource == "resize" {
            "only cpu and memory resources are mutable"
        } else {
            "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
        };
        causes.push(Cause::forbidden("spec", why));
    }
}
