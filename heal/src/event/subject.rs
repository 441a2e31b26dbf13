//! What an event is about, as far as its labels tell.

use super::LONGEST_NAME;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// Anything may be missing: an alert about a pod names no workload, one about a node no namespace. What owns a pod is
/// looked up in its cluster by who acts, and put in with [`Subject::owned_by`]; a pod's name is no proof of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Subject {
    /// Name in Petrel's registry of clusters.
    pub cluster: Option<String>,
    /// Namespace of workload and pod.
    pub namespace: Option<String>,
    /// What owns the pods.
    pub workload: Option<Workload>,
    /// One pod.
    pub pod: Option<String>,
    /// One node.
    pub node: Option<String>,
}

/// A Deployment, StatefulSet, DaemonSet, Job or CronJob.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// Kubernetes kind.
    pub kind: String,
    /// Object name.
    pub name: String,
}

/// Labels that name a workload of a kind, as kube-state-metrics and its rules write them.
const WORKLOADS: [(&str, &str); 5] = [
    ("deployment", "Deployment"),
    ("statefulset", "StatefulSet"),
    ("daemonset", "DaemonSet"),
    ("cronjob", "CronJob"),
    ("job_name", "Job"),
];

impl Subject {
    /// From labels, as Prometheus and its exporters write them. A value that no object can be called is ignored.
    pub fn from_labels(labels: &BTreeMap<String, String>, cluster: Option<&str>) -> Subject {
        let first = |names: &[&str]| {
            names.iter().filter_map(|name| labels.get(*name)).find(|value| is_name(value)).cloned()
        };
        let by_kind = WORKLOADS
            .iter()
            .find_map(|(label, kind)| Some(Workload { kind: (*kind).into(), name: first(&[label])? }));
        Subject {
            cluster: first(&["cluster", "k8s_cluster"]).or_else(|| cluster.map(String::from)),
            // `exported_` is what Prometheus makes of a label that its own scraping has, too.
            namespace: first(&["exported_namespace", "namespace", "k8s_namespace_name"]),
            workload: by_kind.or_else(|| {
                let kind = labels.get("workload_type").map(|kind| kind.to_ascii_lowercase())?;
                let (_, kind) = WORKLOADS.iter().find(|(_, known)| known.to_ascii_lowercase() == kind)?;
                Some(Workload { kind: (*kind).into(), name: first(&["workload"])? })
            }),
            pod: first(&["exported_pod", "pod", "k8s_pod_name"]),
            node: first(&["exported_node", "node", "nodename", "kubernetes_node"]),
        }
    }

    /// With what owns its pod.
    pub fn owned_by(self, workload: Workload) -> Subject {
        Subject { workload: Some(workload), ..self }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.cluster.as_deref().unwrap_or("?"))?;
        if let Some(namespace) = &self.namespace {
            write!(f, " {namespace}")?;
        }
        if let Some(Workload { kind, name }) = &self.workload {
            write!(f, " {kind} {name}")?;
        }
        if let Some(pod) = &self.pod {
            write!(f, " pod {pod}")?;
        }
        if let Some(node) = &self.node {
            write!(f, " node {node}")?;
        }
        Ok(())
    }
}

/// Whether an object (or a cluster in the registry) can be called so.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() < LONGEST_NAME
        && text.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b'_')
        })
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(labels: &[(&str, &str)]) -> Subject {
        let labels = labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        Subject::from_labels(&labels, Some("prod-eu"))
    }

    #[test]
    fn labels_of_the_usual_exporters_are_understood() {
        let kube_state =
            subject(&[("namespace", "shop"), ("deployment", "checkout"), ("cluster", "prod-us")]);
        assert_eq!(kube_state.to_string(), "prod-us: shop Deployment checkout");
        let mixin = subject(&[("namespace", "shop"), ("workload", "db"), ("workload_type", "statefulset")]);
        assert_eq!(mixin.to_string(), "prod-eu: shop StatefulSet db");
        let pod =
            subject(&[("namespace", "monitoring"), ("exported_namespace", "shop"), ("pod", "checkout-0")]);
        assert_eq!(pod.to_string(), "prod-eu: shop pod checkout-0");
        assert_eq!(subject(&[("node", "worker-7.eu")]).to_string(), "prod-eu: node worker-7.eu");
    }

    #[test]
    fn a_value_that_is_no_objects_name_is_no_subject() {
        let hostile =
            subject(&[("namespace", "../kube-system"), ("pod", "a b"), ("deployment", ""), ("node", "X'")]);
        assert_eq!(hostile, Subject { cluster: Some("prod-eu".into()), ..Subject::default() });
        assert_eq!(subject(&[("workload", "x"), ("workload_type", "gadget")]).workload, None);
    }
}
