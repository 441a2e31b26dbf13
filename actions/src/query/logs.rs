//! `logs`: the last lines of a container.

use super::{
    Answer, Query, QueryError, events::reference, needed, place, pod_status::pod_status, redact::redact,
};
use crate::{
    catalogue::pods_of,
    cluster::{Cluster, ClusterError, is_dns_label},
};
use futures::future::BoxFuture;
use jiff::Timestamp;
use ledger::ObjectRef;
use serde_json::Value;

/// Lines when none are asked for.
const USUAL_LINES: &str = "50";
/// Bytes that are read at most.
const BYTES: u32 = 256 * 1024;

/// See the module.
pub struct Logs;

impl Query for Logs {
    fn name(&self) -> &'static str {
        "logs"
    }

    fn command(&self) -> clap::Command {
        clap::Command::new("logs")
            .about("Show the last lines that a container wrote")
            .arg(
                clap::Arg::new("target")
                    .value_name("KIND/NAME")
                    .required(true)
                    .help("pod/<name>, or a workload: one of its pods is picked"),
            )
            .arg(
                clap::Arg::new("container")
                    .long("container")
                    .value_name("NAME")
                    .help("Which container; the first when left out"),
            )
            .arg(
                clap::Arg::new("previous")
                    .long("previous")
                    .action(clap::ArgAction::SetTrue)
                    .help("Of the run before the last restart"),
            )
            .arg(
                clap::Arg::new("tail")
                    .long("tail")
                    .value_name("LINES")
                    .default_value(USUAL_LINES)
                    .value_parser(clap::value_parser!(u32).range(1..=1000))
                    .help("How many lines"),
            )
            .after_help("Example: logs deploy/checkout --tail 100 --previous -n shop -c prod-eu")
    }

    fn answer<'a>(
        &'a self,
        cluster: &'a Cluster,
        namespace: Option<&'a str>,
        matches: &'a clap::ArgMatches,
    ) -> BoxFuture<'a, Result<Answer, QueryError>> {
        Box::pin(answer(cluster, namespace, matches))
    }
}

async fn answer(
    cluster: &Cluster,
    namespace: Option<&str>,
    matches: &clap::ArgMatches,
) -> Result<Answer, QueryError> {
    let typed = matches.get_one::<String>("target").map(String::as_str).unwrap_or_default();
    let namespace = needed(namespace, typed)?;
    let target = reference(typed, Some(namespace))?;
    let previous = matches.get_flag("previous");
    let lines = matches.get_one::<u32>("tail").copied().unwrap_or(50);
    let (pod, picked) = match target.kind.as_str() {
        "Pod" => (cluster.get(&target).await?, None),
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" => {
            let (pod, of) = pick(cluster, &target, previous).await?;
            (pod, Some(of))
        }
        kind => {
            return Err(QueryError::Invalid(format!("a {kind} writes no logs; name a pod or a workload")));
        }
    };
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let containers: Vec<&str> = ["containers", "initContainers"]
        .iter()
        .flat_map(|list| pod["spec"][*list].as_array().into_iter().flatten())
        .filter_map(|container| container["name"].as_str())
        .collect();
    let container = match matches.get_one::<String>("container") {
        Some(name) if is_dns_label(name) && containers.contains(&name.as_str()) => name.as_str(),
        Some(name) => {
            return Err(QueryError::Invalid(format!(
                "there is no container '{}' in it; there is {}",
                name.escape_debug(),
                containers.join(", ")
            )));
        }
        None => default_container(&pod, &containers),
    };
    let log = match cluster.logs(namespace, name, Some(container), previous, lines, BYTES).await {
        // The server's words are clear: `container "app" in pod "x" is waiting to start: ContainerCreating`.
        Err(ClusterError::Invalid { message }) => return Err(QueryError::Invalid(message)),
        log => log?,
    };
    let mut notes = Vec::new();
    if let Some(of) = picked {
        notes.push(format!("picked Pod {name}, one of {of}"));
    }
    if containers.len() > 1 {
        notes.push(format!("container {container} of {}", containers.join(", ")));
    }
    if log.is_empty() {
        notes.push("it has written nothing".into());
    }
    Ok(Answer {
        title: format!(
            "{} of {name} in {}",
            if previous { "Previous log" } else { "Log" },
            place(cluster, Some(namespace))
        ),
        text: (!notes.is_empty()).then(|| notes.join("; ")),
        code: (!log.is_empty()).then(|| redact(&log)),
        ..Answer::default()
    })
}

/// The pod of a workload that has most to tell: with `previous` the one that restarted most, else one that is not ready,
/// else the newest. By name where they are alike, so that the same question gets the same pod.
async fn pick(cluster: &Cluster, target: &ObjectRef, previous: bool) -> Result<(Value, usize), QueryError> {
    let pods = pods_of(cluster, target, &cluster.get(target).await?).await?;
    let (of, now) = (pods.len(), Timestamp::now());
    pods.into_iter()
        .max_by_key(|pod| {
            let status = pod_status(pod, now);
            let restarts = if previous { status.restart_count } else { 0 };
            let text = |field: &str| pod["metadata"][field].as_str().unwrap_or_default().to_string();
            (restarts, !status.is_ready, text("creationTimestamp"), text("name"))
        })
        .map(|pod| (pod, of))
        .ok_or_else(|| QueryError::Invalid(format!("{} {} has no pods now", target.kind, target.name)))
}

fn default_container<'a>(pod: &'a Value, containers: &[&'a str]) -> &'a str {
    let named = pod["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"].as_str();
    named.filter(|name| containers.contains(name)).or(containers.first().copied()).unwrap_or_default()
}
