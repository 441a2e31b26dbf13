//! Whether a workload is well, for who asks from outside of a run: healing asks it to know whether something helped.

use super::{
    condition::{self, Holding},
    pods,
};
use crate::{
    catalogue::pods_of,
    cluster::{Cluster, ClusterError, by_word},
};
use ledger::{Condition, ObjectRef};
use serde_json::Value;

/// What one look says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Its rollout is complete, and none of its pods crash-loops or cannot pull its image.
    Healthy,
    /// It is not, for this reason.
    Ailing(String),
    /// It could not be looked at, or is of a kind that rolls nothing out.
    Unknown(String),
}

/// Looks once.
pub async fn health(cluster: &Cluster, namespace: Option<&str>, kind: &str, name: &str) -> Health {
    let Some(kind) = by_word(&kind.to_ascii_lowercase()) else {
        return Health::Unknown(format!("{kind} is not a kind I know"));
    };
    if !["Deployment", "StatefulSet", "DaemonSet"].contains(&kind.kind) {
        return Health::Unknown(format!("a {} has no rollout", kind.kind));
    }
    let object = ObjectRef {
        api_version: kind.api_version.into(),
        kind: kind.kind.into(),
        namespace: namespace.map(String::from),
        name: name.into(),
        uid: None,
    };
    let looked = async {
        let seen = cluster.get(&object).await?;
        let pods = pods_of(cluster, &object, &seen).await?;
        Ok::<(Value, Vec<Value>), ClusterError>((seen, pods))
    };
    let (seen, all) = match looked.await {
        Ok(looked) => looked,
        Err(error) => return Health::Unknown(error.to_string()),
    };
    if let Some(pod) = all.iter().find(|pod| pods::in_trouble(pod)) {
        let pod = pod["metadata"]["name"].as_str().unwrap_or("one of its pods");
        return Health::Ailing(format!("{pod} crash-loops or cannot pull its image"));
    }
    match condition::look(&Condition::RolloutComplete { object }, Some(&seen)) {
        Holding::Holds => Health::Healthy,
        Holding::Waiting(why) | Holding::Fails(why) => Health::Ailing(why),
        Holding::Inconclusive(why) => Health::Unknown(why),
    }
}
