//! What alerts do not say: whose a pod is, where it runs, and how many replicas a workload has.

use crate::{
    catalogue::{controller, pods_of},
    cluster::{Cluster, ClusterError, by_word},
};
use ledger::ObjectRef;
use serde_json::Value;
use std::collections::BTreeMap;

/// Pods of one namespace that are looked at.
const MOST_PODS: u32 = 5_000;

/// Where a pod belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// Kind and name of what people would act on: a Deployment, StatefulSet, DaemonSet or Job. None: a pod of its own.
    pub workload: Option<(String, String)>,
    /// The node it runs on, once it does.
    pub node: Option<String>,
}

/// Of all pods of a namespace, by name, in one list.
pub async fn homes(cluster: &Cluster, namespace: &str) -> Result<BTreeMap<String, Home>, ClusterError> {
    let pods = cluster.list("v1", "Pod", Some(namespace), None, None, MOST_PODS).await?;
    Ok(pods
        .iter()
        .filter_map(|pod| Some((pod["metadata"]["name"].as_str()?.to_string(), home(pod))))
        .collect())
}

/// Of one pod.
pub(crate) fn home(pod: &Value) -> Home {
    let workload = controller(pod).and_then(|owner| {
        let (kind, name) = (owner["kind"].as_str()?, owner["name"].as_str()?);
        // A Deployment owns its pods through a ReplicaSet that is called after it and the hash of its template.
        let hash = pod["metadata"]["labels"]["pod-template-hash"].as_str();
        match (kind, hash) {
            ("ReplicaSet", Some(hash)) => {
                let deployment = name.strip_suffix(hash)?.strip_suffix('-')?;
                Some(("Deployment".to_string(), deployment.to_string()))
            }
            ("StatefulSet" | "DaemonSet" | "Job", _) => Some((kind.to_string(), name.to_string())),
            _ => None,
        }
    });
    Home { workload, node: pod["spec"]["nodeName"].as_str().map(String::from) }
}

/// Kinds of workload that have an object of this name.
pub async fn called(
    cluster: &Cluster,
    namespace: Option<&str>,
    name: &str,
) -> Result<Vec<&'static str>, ClusterError> {
    const KINDS: [&str; 5] = ["Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job"];
    let asked = KINDS.into_iter().map(|kind| async move {
        let Some(object) = object(namespace, kind, name) else { return Ok(None) };
        match cluster.get(&object).await {
            Ok(_) => Ok(Some(kind)),
            // What we may not see we may not change either.
            Err(ClusterError::NotFound { .. } | ClusterError::Forbidden { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    });
    Ok(futures::future::try_join_all(asked).await?.into_iter().flatten().collect())
}

/// A pod of a workload that runs, the first by name.
pub async fn running_pod(
    cluster: &Cluster,
    namespace: Option<&str>,
    kind: &str,
    name: &str,
) -> Result<Option<String>, ClusterError> {
    let Some(reference) = object(namespace, kind, name) else { return Ok(None) };
    let seen = cluster.get(&reference).await?;
    let pods = pods_of(cluster, &reference, &seen).await?;
    let running = pods
        .iter()
        .filter(|pod| pod["status"]["phase"] == "Running" && pod["metadata"]["deletionTimestamp"].is_null());
    Ok(running.filter_map(|pod| pod["metadata"]["name"].as_str()).min().map(String::from))
}

/// Replicas that are wanted of a workload; None of a kind that has none.
pub async fn replicas(
    cluster: &Cluster,
    namespace: Option<&str>,
    kind: &str,
    name: &str,
) -> Result<Option<u32>, ClusterError> {
    let Some(object) = object(namespace, kind, name) else { return Ok(None) };
    if !["Deployment", "StatefulSet", "ReplicaSet"].contains(&object.kind.as_str()) {
        return Ok(None);
    }
    let seen = cluster.get(&object).await?;
    Ok(Some(seen["spec"]["replicas"].as_u64().and_then(|count| u32::try_from(count).ok()).unwrap_or(1)))
}

/// A condition in an object's status: `True`, `False` or `Unknown`; None when it has no such condition.
pub async fn status(
    cluster: &Cluster,
    namespace: Option<&str>,
    kind: &str,
    name: &str,
    condition: &str,
) -> Result<Option<String>, ClusterError> {
    let Some(object) = object(namespace, kind, name) else { return Ok(None) };
    let seen = cluster.get(&object).await?;
    let conditions = seen["status"]["conditions"].as_array();
    let found = conditions.into_iter().flatten().find(|one| one["type"] == condition);
    Ok(found.and_then(|one| one["status"].as_str()).map(String::from))
}

pub(crate) fn object(namespace: Option<&str>, kind: &str, name: &str) -> Option<ObjectRef> {
    let kind = by_word(&kind.to_ascii_lowercase())?;
    Some(ObjectRef {
        api_version: kind.api_version.into(),
        kind: kind.kind.into(),
        namespace: kind.namespaced.then(|| namespace.map(String::from)).flatten(),
        name: name.into(),
        uid: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(kind: &str, owner: &str, hash: Option<&str>) -> Option<(String, String)> {
        let owners = json!([{"kind": kind, "name": owner, "controller": true}]);
        let labels = hash.map_or(json!({}), |hash| json!({"pod-template-hash": hash}));
        home(&json!({"metadata": {"labels": labels, "ownerReferences": owners}})).workload
    }

    #[test]
    fn a_deployments_pods_are_found_through_their_replica_set_and_others_by_their_owner() {
        let named = |kind: &str, name: &str| Some((kind.to_string(), name.to_string()));
        assert_eq!(pod("ReplicaSet", "check-out-7d4b9", Some("7d4b9")), named("Deployment", "check-out"));
        assert_eq!(pod("StatefulSet", "db", None), named("StatefulSet", "db"));
        // A ReplicaSet that no Deployment made, or that only looks like it.
        assert_eq!(pod("ReplicaSet", "checkout", None), None);
        assert_eq!(pod("ReplicaSet", "other-1", Some("7d4b9")), None);
        assert_eq!(
            home(&json!({"metadata": {}, "spec": {"nodeName": "n1"}})),
            Home { workload: None, node: Some("n1".into()) }
        );
    }
}
