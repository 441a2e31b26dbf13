//! What the card of an incident shows of a workload in trouble: the last lines of a pod that fares worst, and what the cluster said
//! about it. What cannot be read is left out: evidence never holds anything up.

use crate::{
    cluster::{Cluster, ClusterError},
    lines,
    owner::object,
    query,
};
use serde_json::Value;

/// Lines of a log.
const LINES: u32 = 6;
/// Letters of a line.
const WIDE: usize = 200;
/// Reasons of events.
const REASONS: usize = 3;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The pod whose log this is.
    pub pod: Option<String>,
    /// Its last lines, without what looks like a secret.
    pub log: Vec<String>,
    /// The newest warnings about it and its workload, oldest first: `BackOff: Back-off restarting failed container`.
    pub reasons: Vec<String>,
}

/// Of a workload or pod.
pub async fn gather(
    cluster: &Cluster,
    namespace: &str,
    kind: &str,
    name: &str,
    pod: Option<&str>,
) -> Evidence {
    let (log, reasons) =
        tokio::join!(log(cluster, namespace, kind, name, pod), reasons(cluster, Some(namespace), kind, name));
    let (pod, log) = log.map_err(left_out).ok().flatten().unzip();
    Evidence { pod, log: log.unwrap_or_default(), reasons }
}

/// Only what the cluster said; of a node too.
pub async fn reasons(cluster: &Cluster, namespace: Option<&str>, kind: &str, name: &str) -> Vec<String> {
    warnings(cluster, namespace, kind, name).await.map_err(left_out).unwrap_or_default()
}

fn left_out(error: ClusterError) {
    tracing::debug!(%error, "a part of the evidence is left out");
}

async fn log(
    cluster: &Cluster,
    namespace: &str,
    kind: &str,
    name: &str,
    pod: Option<&str>,
) -> Result<Option<(String, Vec<String>)>, ClusterError> {
    let pod = match pod {
        Some(pod) => pod.to_string(),
        None => match lines::pods(cluster, namespace, kind, name).await?.into_iter().max_by_key(trouble) {
            Some(worst) => worst["metadata"]["name"].as_str().unwrap_or_default().to_string(),
            None => return Ok(None),
        },
    };
    let log = lines::last(cluster, namespace, &pod, LINES).await?;
    let cut = |line: String| line.chars().take(WIDE).collect();
    Ok(Some((pod, log.into_iter().map(cut).collect())))
}

/// Not ready is worse than ready, and restarts tell them apart.
fn trouble(pod: &Value) -> (bool, u64) {
    let statuses = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    statuses.fold((false, 0), |(unready, restarts), status| {
        (unready || status["ready"] != true, restarts + status["restartCount"].as_u64().unwrap_or(0))
    })
}

async fn warnings(
    cluster: &Cluster,
    namespace: Option<&str>,
    kind: &str,
    name: &str,
) -> Result<Vec<String>, ClusterError> {
    let Some(about) = object(namespace, kind, name) else { return Ok(Vec::new()) };
    let events = query::recent_events(cluster, namespace, Some(&about)).await?;
    let mut said: Vec<String> = Vec::new();
    for event in events.iter().rev().filter(|event| event["type"] == "Warning") {
        let text = |field: &str| event[field].as_str().unwrap_or_default();
        let message = query::redact(text("message")).replace('\n', " ");
        let line: String = format!("{}: {message}", text("reason")).chars().take(WIDE).collect();
        if !said.contains(&line) {
            said.push(line);
        }
        if said.len() == REASONS {
            break;
        }
    }
    said.reverse();
    Ok(said)
}
