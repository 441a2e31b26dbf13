//! Which kinds the cluster serves: the built-in ones, and those that CustomResourceDefinitions add.

use crate::object::{list, text};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// One kind that is served.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Resource {
    /// Empty for the core group.
    pub group: String,
    pub version: String,
    pub plural: String,
    pub singular: String,
    pub kind: String,
    pub short: Vec<String>,
    pub namespaced: bool,
    /// Has /status: writes to the object leave the status alone, and the other way round.
    pub status: bool,
    /// Has /scale, with the paths of wanted replicas, actual replicas and (custom kinds) the selector as text.
    pub scale: Option<Scale>,
    /// Comes from a CustomResourceDefinition: no defaults, no strategic merge, lists are atomic.
    pub custom: bool,
    /// Counts `metadata.generation`.
    pub generation: bool,
}

/// Where /scale finds its numbers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scale {
    pub spec: Vec<String>,
    pub status: Vec<String>,
    pub selector: Option<Vec<String>>,
}

impl Resource {
    /// `deployments.apps`, `pods`: names the table in the store, and the resource in messages.
    pub fn id(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }
    /// `apps/v1`, `v1`
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }
    pub fn is(&self, id: &str) -> bool {
        match id.split_once('.') {
            Some((plural, group)) => self.plural == plural && self.group == group,
            None => self.plural == id && self.group.is_empty(),
        }
    }
}

/// All kinds that are served now.
#[derive(Clone, Debug)]
pub(crate) struct Registry {
    /// (group, version, plural)
    served: BTreeMap<(String, String, String), Arc<Resource>>,
    /// By table.
    tables: HashMap<String, Arc<Resource>>,
}

impl Registry {
    pub fn builtin() -> Registry {
        let mut registry = Registry { served: BTreeMap::new(), tables: HashMap::new() };
        for row in BUILTIN.lines().filter(|line| !line.trim().is_empty()) {
            let words: Vec<&str> = row.split_whitespace().collect();
            let (group, version) = words[0].split_once('/').unwrap_or(("", words[0]));
            let has = |flag: char| words[3].contains(flag);
            registry.add(Resource {
                group: group.to_owned(),
                version: version.to_owned(),
                plural: words[1].to_owned(),
                singular: words[2].to_lowercase(),
                kind: words[2].to_owned(),
                short: words[4..].iter().map(|word| (*word).to_owned()).collect(),
                namespaced: has('n'),
                status: has('s'),
                scale: has('c').then(|| Scale {
                    spec: vec!["spec".into(), "replicas".into()],
                    status: vec!["status".into(), "replicas".into()],
                    selector: None,
                }),
                custom: false,
                generation: has('g'),
            });
        }
        registry
    }
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Resource>> {
        self.served.get(&(group.to_owned(), version.to_owned(), plural.to_owned())).cloned()
    }
    pub fn of_kind(&self, api_version: &str, kind: &str) -> Option<Arc<Resource>> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        self.served
            .values()
            .find(|resource| resource.kind == kind && resource.group == group && resource.version == version)
            .cloned()
    }
    /// By table: `deployments.apps`.
    pub fn of_id(&self, id: &str) -> Option<Arc<Resource>> {
        self.tables.get(id).cloned()
    }
    pub fn all(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.served.values()
    }
    fn add(&mut self, resource: Resource) {
        let key = (resource.group.clone(), resource.version.clone(), resource.plural.clone());
        let resource = Arc::new(resource);
        self.tables.insert(resource.id(), resource.clone());
        self.served.insert(key, resource);
    }
    /// Serves what a CustomResourceDefinition describes: every served version, stored once.
    pub fn add_custom(&mut self, definition: &Value) {
        self.remove_custom(definition);
        let spec = &definition["spec"];
        for version in list(spec, &["versions"]).iter().filter(|version| version["served"] == true) {
            let path = |field: &str| {
                text(version, &["subresources", "scale", field])
                    .split('.')
                    .filter(|part| !part.is_empty())
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            };
            let scale = version["subresources"].get("scale").map(|_| Scale {
                spec: path("specReplicasPath"),
                status: path("statusReplicasPath"),
                selector: Some(path("labelSelectorPath")).filter(|parts| !parts.is_empty()),
            });
            let kind = text(spec, &["names", "kind"]).to_owned();
            let singular = text(spec, &["names", "singular"]);
            self.add(Resource {
                group: text(spec, &["group"]).to_owned(),
                version: text(version, &["name"]).to_owned(),
                plural: text(spec, &["names", "plural"]).to_owned(),
                singular: if singular.is_empty() { kind.to_lowercase() } else { singular.to_owned() },
                short: list(spec, &["names", "shortNames"])
                    .iter()
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect(),
                kind,
                namespaced: text(spec, &["scope"]) != "Cluster",
                status: version["subresources"].get("status").is_some(),
                scale,
                custom: true,
                generation: true,
            });
        }
    }
    pub fn remove_custom(&mut self, definition: &Value) {
        let (group, plural) =
            (text(definition, &["spec", "group"]), text(definition, &["spec", "names", "plural"]));
        self.tables
            .retain(|_, resource| !(resource.custom && resource.group == group && resource.plural == plural));
        self.served.retain(|(of, _, name), resource| !(resource.custom && of == group && name == plural));
    }
}

/// apiVersion, plural, kind, flags (n: in namespaces, s: /status, c: /scale, g: counts generation), short names.
const BUILTIN: &str = "
v1 namespaces Namespace s ns
v1 nodes Node s no
v1 pods Pod nsg po
v1 services Service ns svc
v1 configmaps ConfigMap n cm
v1 secrets Secret n
v1 serviceaccounts ServiceAccount n sa
v1 events Event n ev
v1 endpoints Endpoints n ep
v1 persistentvolumes PersistentVolume s pv
v1 persistentvolumeclaims PersistentVolumeClaim ns pvc
v1 limitranges LimitRange n limits
v1 resourcequotas ResourceQuota ns quota
apps/v1 deployments Deployment nscg deploy
apps/v1 replicasets ReplicaSet nscg rs
apps/v1 statefulsets StatefulSet nscg sts
apps/v1 daemonsets DaemonSet nsg ds
apps/v1 controllerrevisions ControllerRevision n
batch/v1 jobs Job nsg
batch/v1 cronjobs CronJob nsg cj
autoscaling/v2 horizontalpodautoscalers HorizontalPodAutoscaler ns hpa
policy/v1 poddisruptionbudgets PodDisruptionBudget nsg pdb
coordination.k8s.io/v1 leases Lease n
admissionregistration.k8s.io/v1 validatingwebhookconfigurations ValidatingWebhookConfiguration g
apiextensions.k8s.io/v1 customresourcedefinitions CustomResourceDefinition sg crd crds
networking.k8s.io/v1 ingresses Ingress nsg ing
networking.k8s.io/v1 networkpolicies NetworkPolicy ng netpol
storage.k8s.io/v1 storageclasses StorageClass - sc
scheduling.k8s.io/v1 priorityclasses PriorityClass g pc
discovery.k8s.io/v1 endpointslices EndpointSlice ng
rbac.authorization.k8s.io/v1 roles Role n
rbac.authorization.k8s.io/v1 rolebindings RoleBinding n
rbac.authorization.k8s.io/v1 clusterroles ClusterRole -
rbac.authorization.k8s.io/v1 clusterrolebindings ClusterRoleBinding -
";
