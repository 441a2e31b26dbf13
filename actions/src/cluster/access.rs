//! What our credentials may do, as the cluster itself says (SelfSubjectAccessReview).

use super::{Cluster, ClusterError, call::Call};
use http::Method;
use serde_json::json;

/// Verbs, API group, resource and subresource that the catalogue's actions need.
const NEEDED: [(&[&str], &str, &str, &str); 10] = [
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

impl Cluster {
    /// What the catalogue needs and our credentials may not do in every namespace: `delete pods`, `get pods/log`.
    pub async fn not_allowed(&self) -> Result<Vec<String>, ClusterError> {
        let asked = NEEDED.iter().flat_map(|&(verbs, group, resource, subresource)| {
            verbs.iter().map(move |verb| self.may(verb, group, resource, subresource))
        });
        Ok(futures::future::try_join_all(asked).await?.into_iter().flatten().collect())
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
