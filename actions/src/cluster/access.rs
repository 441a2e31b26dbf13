//! What our credentials may do, as the cluster itself says (SelfSubjectAccessReview).

use super::{Cluster, ClusterError, call::Call};
use http::Method;
use serde_json::json;
use std::collections::HashSet;

/// Verbs, API group, resource and subresource.
type Needed = (&'static [&'static str], &'static str, &'static str, &'static str);

/// What the catalogue's actions need.
const NEEDED: [Needed; 10] = [
    (&["get", "list", "patch"], "apps", "deployments", ""),
    (&["get", "list", "patch"], "apps", "statefulsets", ""),
    (&["get", "list", "patch"], "apps", "daemonsets", ""),
    (&["list"], "apps", "replicasets", ""),
    (&["list"], "apps", "controllerrevisions", ""),
    (&["get", "list", "delete"], "", "pods", ""),
    (&["get"], "", "pods", "log"),
    (&["create"], "", "pods", "exec"),
    (&["get", "create"], "batch", "jobs", ""),
    (&["get"], "batch", "cronjobs", ""),
];

/// The same for watching a cluster for trouble.
const WATCHED: [Needed; 3] = [
    (&["list", "watch"], "", "pods", ""),
    (&["list", "watch"], "", "nodes", ""),
    (&["list", "watch"], "", "events", ""),
];

impl Cluster {
    /// What the catalogue needs, and the lookout where the cluster is watched, and our credentials may not do in every namespace: `delete
    /// pods`, `get pods/log`.
    pub async fn not_allowed(&self) -> Result<Vec<String>, ClusterError> {
        let watched = if self.0.config.watch { &WATCHED[..] } else { &[] };
        let asked = NEEDED.iter().chain(watched).flat_map(|&(verbs, group, resource, subresource)| {
            verbs.iter().map(move |verb| self.may(verb, group, resource, subresource))
        });
        let mut missing: Vec<String> =
            futures::future::try_join_all(asked).await?.into_iter().flatten().collect();
        let mut said = HashSet::new();
        missing.retain(|what| said.insert(what.clone()));
        Ok(missing)
    }

    /// None: it is allowed.
    async fn may(
        &self,
        verb: &str,
        group: &str,
        resource: &str,
        subresource: &str,
    ) -> Result<Option<String>, ClusterError> {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": { "resourceAttributes": { "verb": verb, "group": group, "resource": resource, "subresource": subresource } },
        });
        let answer = self
            .json(Call {
                method: Method::POST,
                path: "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews".into(),
                what: "what we may do",
                body: Some(("application/json", &review)),
                // Nothing is stored.
                writes: false,
                timeout: self.timeout(),
            })
            .await?;
        let slash = if subresource.is_empty() { "" } else { "/" };
        let allowed = answer["status"]["allowed"] == true;
        Ok((!allowed).then(|| format!("{verb} {resource}{slash}{subresource}")))
    }
}
