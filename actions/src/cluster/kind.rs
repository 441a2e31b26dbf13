//! The kinds we know, built in and of Cluster API: what people call them, and where the API server serves them. Anything else (custom
//! resources) is found by discovery.

/// Where a kind is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// `deployments`.
    pub plural: String,
    /// Lives in a namespace.
    pub namespaced: bool,
}

/// A built-in kind.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// `apps/v1`.
    pub api_version: &'static str,
    /// `Deployment`.
    pub kind: &'static str,
    /// `deployments`.
    pub plural: &'static str,
    /// Lives in a namespace.
    pub namespaced: bool,
    /// What people type beside the plural and the kind's own name: `deploy`.
    pub short: &'static [&'static str],
}

const fn kind(
    api_version: &'static str,
    kind: &'static str,
    plural: &'static str,
    namespaced: bool,
    short: &'static [&'static str],
) -> Kind {
    Kind { api_version, kind, plural, namespaced, short }
}

/// The table; what people ask for most comes first.
pub static KINDS: &[Kind] = &[
    kind("apps/v1", "Deployment", "deployments", true, &["deploy"]),
    kind("apps/v1", "StatefulSet", "statefulsets", true, &["sts"]),
    kind("apps/v1", "DaemonSet", "daemonsets", true, &["ds"]),
    kind("v1", "Pod", "pods", true, &["po"]),
    kind("batch/v1", "Job", "jobs", true, &[]),
    kind("batch/v1", "CronJob", "cronjobs", true, &["cj"]),
    kind("apps/v1", "ReplicaSet", "replicasets", true, &["rs"]),
    kind("apps/v1", "ControllerRevision", "controllerrevisions", true, &[]),
    kind("v1", "Node", "nodes", false, &["no"]),
    kind("v1", "Namespace", "namespaces", false, &["ns"]),
    kind("v1", "Service", "services", true, &["svc"]),
    kind("v1", "ConfigMap", "configmaps", true, &["cm"]),
    kind("v1", "Secret", "secrets", true, &[]),
    kind("v1", "Event", "events", true, &["ev"]),
    kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims", true, &["pvc"]),
    kind("v1", "PersistentVolume", "persistentvolumes", false, &["pv"]),
    kind("v1", "ServiceAccount", "serviceaccounts", true, &["sa"]),
    kind("v1", "Endpoints", "endpoints", true, &["ep"]),
    kind("v1", "ResourceQuota", "resourcequotas", true, &["quota"]),
    kind("v1", "LimitRange", "limitranges", true, &["limits"]),
    kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", true, &["hpa"]),
    kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", true, &["pdb"]),
    kind("networking.k8s.io/v1", "Ingress", "ingresses", true, &["ing"]),
    kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", true, &["netpol"]),
    kind("discovery.k8s.io/v1", "EndpointSlice", "endpointslices", true, &[]),
    kind("storage.k8s.io/v1", "StorageClass", "storageclasses", false, &["sc"]),
    kind("coordination.k8s.io/v1", "Lease", "leases", true, &[]),
    kind(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        false,
        &["crd", "crds"],
    ),
    kind(
        "admissionregistration.k8s.io/v1",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        false,
        &[],
    ),
    kind("cluster.x-k8s.io/v1beta1", "MachineDeployment", "machinedeployments", true, &["md"]),
    kind("cluster.x-k8s.io/v1beta1", "Machine", "machines", true, &["ma"]),
    kind("metrics.k8s.io/v1beta1", "PodMetrics", "pods", true, &[]),
    kind("metrics.k8s.io/v1beta1", "NodeMetrics", "nodes", false, &[]),
];

/// A built-in kind by its exact name: `Deployment`.
pub fn by_kind(api_version: &str, name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.kind == name && kind.api_version == api_version)
}

/// A built-in kind by whatever people call it: `deploy`, `deployment`, `Deployments`.
pub fn by_word(word: &str) -> Option<&'static Kind> {
    let word = word.to_ascii_lowercase();
    words().find(|(known, _)| *known == word).map(|(_, kind)| kind)
}

/// The nearest word that people could have meant.
pub fn nearest(word: &str) -> Option<String> {
    let word = word.to_ascii_lowercase();
    words()
        .map(|(known, _)| (strsim::damerau_levenshtein(&known, &word), known))
        .filter(|(distance, known)| *distance <= 1 + known.len() / 4)
        .min()
        .map(|(_, known)| known)
}

fn words() -> impl Iterator<Item = (String, &'static Kind)> {
    KINDS.iter().filter(|kind| !kind.api_version.starts_with("metrics.")).flat_map(|kind| {
        [kind.kind.to_ascii_lowercase(), kind.plural.to_string()]
            .into_iter()
            .chain(kind.short.iter().map(|short| short.to_string()))
            .map(move |word| (word, kind))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_names_one_kind() {
        let mut seen = std::collections::BTreeMap::new();
        for (word, kind) in words() {
            let before = seen.insert(word.clone(), kind.kind);
            assert!(
                before.is_none_or(|before| before == kind.kind),
                "{word} names {before:?} and {}",
                kind.kind
            );
        }
    }

    #[test]
    fn a_slip_of_the_finger_finds_the_word_that_was_meant() {
        assert_eq!(nearest("deplyo").as_deref(), Some("deploy"));
        assert_eq!(nearest("statefullset").as_deref(), Some("statefulset"));
        assert_eq!(nearest("zebra"), None);
    }
}
