//! What a workload's containers have logged lately: counted for rules, shown as evidence. Read in bounded memory; what could not be read
//! whole says so.

use crate::{
    catalogue::pods_of,
    cluster::{Cluster, ClusterError},
    owner::object,
    query::redact,
};
use futures::{StreamExt, TryStreamExt, stream};
use regex::Regex;
use serde_json::Value;
use std::time::Duration;

/// Pods that are looked at.
const MOST_PODS: usize = 30;
/// Bytes of each container's log.
const MOST_BYTES: u32 = 512 << 10;
/// Logs that are read at once.
const AT_ONCE: usize = 6;

/// How many lines match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Matching {
    /// In what was read.
    pub lines: u64,
    /// All of it was read.
    pub whole: bool,
}

/// Lines of a pod's or workload's containers, of the last `since`, that match. What a container wrote before it crashed counts too.
pub async fn matching(
    cluster: &Cluster,
    namespace: &str,
    kind: &str,
    name: &str,
    since: Duration,
    pattern: &Regex,
) -> Result<Matching, ClusterError> {
    let pods = pods(cluster, namespace, kind, name).await?;
    let lives: Vec<Life> = pods.iter().take(MOST_PODS).flat_map(lives).collect();
    let asked = lives.into_iter().map(|life| written(cluster, namespace, life, since));
    let texts: Vec<Option<String>> = stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
    let mut found = Matching { lines: 0, whole: pods.len() <= MOST_PODS };
    for text in texts.into_iter().flatten() {
        found.lines += text.lines().filter(|line| pattern.is_match(line)).count() as u64;
        found.whole &= text.len() < MOST_BYTES as usize;
    }
    Ok(found)
}

/// None: it has not begun to write, or what it wrote is kept no longer.
async fn written(
    cluster: &Cluster,
    namespace: &str,
    life: Life,
    since: Duration,
) -> Result<Option<String>, ClusterError> {
    let Life { pod, container, previous } = life;
    match cluster.recent_logs(namespace, &pod, &container, previous, since, MOST_BYTES).await {
        Ok(text) => Ok(Some(text)),
        Err(ClusterError::Invalid { .. } | ClusterError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The last lines of a pod, of its life before the last crash where it has just crashed; without what looks like a secret.
pub async fn last(
    cluster: &Cluster,
    namespace: &str,
    pod: &str,
    lines: u32,
) -> Result<Vec<String>, ClusterError> {
    let seen = pods(cluster, namespace, "Pod", pod).await?;
    let Some(life) = seen.first().and_then(|pod| lives(pod).pop()) else { return Ok(Vec::new()) };
    let text = cluster
        .logs(namespace, &life.pod, Some(&life.container), life.previous, lines, MOST_BYTES / 8)
        .await?;
    Ok(redact(&text).lines().map(String::from).collect())
}

/// A run of a container.
struct Life {
    pod: String,
    container: String,
    previous: bool,
}

/// Of each container the run of now and, when it has crashed, the one before; what crashed comes last.
fn lives(pod: &Value) -> Vec<Life> {
    let mut lives = Vec::new();
    let mut crashed = Vec::new();
    for status in pod["status"]["containerStatuses"].as_array().into_iter().flatten() {
        let (Some(pod), Some(container)) = (pod["metadata"]["name"].as_str(), status["name"].as_str()) else {
            continue;
        };
        let life = |previous| Life { pod: pod.to_string(), container: container.to_string(), previous };
        lives.push(life(false));
        if status["restartCount"].as_u64().unwrap_or(0) > 0 {
            crashed.push(life(true));
        }
    }
    lives.append(&mut crashed);
    lives
}

/// The pods of a workload that have not ended; the pod itself where it is one.
pub(crate) async fn pods(
    cluster: &Cluster,
    namespace: &str,
    kind: &str,
    name: &str,
) -> Result<Vec<Value>, ClusterError> {
    let Some(reference) = object(Some(namespace), kind, name) else { return Ok(Vec::new()) };
    let seen = cluster.get(&reference).await?;
    if reference.kind == "Pod" { Ok(vec![seen]) } else { pods_of(cluster, &reference, &seen).await }
}
