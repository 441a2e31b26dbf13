//! `events`: what the cluster said lately, newest last.

use super::{Answer, Query, QueryError, age::age, needed, place, redact::redact};
use crate::{
    catalogue::{parse_target, pods_of},
    cluster::{self, Cluster, ClusterError},
};
use futures::future::BoxFuture;
use jiff::Timestamp;
use ledger::ObjectRef;
use serde_json::Value;

/// Events that are shown.
const SHOWN: usize = 30;
/// Events that are read; the API server has no order.
const READ: u32 = 5_000;

/// See the module.
pub struct Events;

impl Query for Events {
    fn name(&self) -> &'static str {
        "events"
    }

    fn command(&self) -> clap::Command {
        clap::Command::new("events")
            .about("Show what the cluster said lately about a namespace or an object")
            .arg(clap::Arg::new("target").value_name("KIND/NAME").help("Only about this object and its pods"))
            .after_help("Example: events deploy/checkout -n shop -c prod-eu")
    }

    fn answer<'a>(
        &'a self,
        cluster: &'a Cluster,
        namespace: Option<&'a str>,
        matches: &'a clap::ArgMatches,
    ) -> BoxFuture<'a, Result<Answer, QueryError>> {
        Box::pin(async move {
            let target =
                matches.get_one::<String>("target").map(|text| reference(text, namespace)).transpose()?;
            recent(cluster, namespace, target.as_ref()).await
        })
    }
}

/// A typed target as a reference.
pub fn reference(typed: &str, namespace: Option<&str>) -> Result<ObjectRef, QueryError> {
    let named = parse_target(typed).map_err(QueryError::Invalid)?;
    let kind = cluster::by_word(&named.kind)
        .ok_or_else(|| QueryError::Invalid(format!("'{typed}' is not a kind I know")))?;
    let namespace = if kind.namespaced { Some(needed(namespace, typed)?.to_string()) } else { None };
    Ok(ObjectRef {
        api_version: kind.api_version.into(),
        kind: kind.kind.into(),
        namespace,
        name: named.name,
        uid: None,
    })
}

/// The newest events, newest last.
pub async fn recent(
    cluster: &Cluster,
    namespace: Option<&str>,
    target: Option<&ObjectRef>,
) -> Result<Answer, QueryError> {
    let events = read(cluster, namespace, target).await?;
    let now = Timestamp::now();
    let mut header: Vec<String> =
        ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"].map(String::from).into();
    let wide = namespace.is_none() && target.is_none();
    if wide {
        header.insert(0, "NAMESPACE".into());
    }
    let rows: Vec<Vec<String>> = events
        .iter()
        .map(|event| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
            let about = &event["involvedObject"];
            let mut row = vec![
                seen(event, now),
                text(&event["type"]),
                text(&event["reason"]),
                format!("{}/{}", text(&about["kind"]).to_lowercase(), text(&about["name"])),
                message(event),
            ];
            if wide {
                row.insert(0, text(&about["namespace"]));
            }
            row
        })
        .collect();
    let about =
        target.map_or("Events".to_string(), |target| format!("Events of {} {}", target.kind, target.name));
    Ok(Answer {
        title: format!("{about} in {}", place(cluster, namespace)),
        text: rows.is_empty().then(|| "no events lately; a cluster keeps them for an hour or so".to_string()),
        table: (!rows.is_empty()).then_some((header, rows)),
        ..Answer::default()
    })
}

/// The newest events about an object (and, of a workload, its pods), oldest first.
pub async fn read(
    cluster: &Cluster,
    namespace: Option<&str>,
    target: Option<&ObjectRef>,
) -> Result<Vec<Value>, ClusterError> {
    // Events about nodes and other things without a namespace are kept in `default`.
    let namespace = match target {
        Some(target) => target.namespace.as_deref().or(Some("default")),
        None => namespace,
    };
    let mut events = cluster.list("v1", "Event", namespace, None, None, READ).await?;
    if let Some(target) = target {
        let pods = match target.kind.as_str() {
            "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" => {
                pods_of(cluster, target, &cluster.get(target).await?).await?
            }
            _ => Vec::new(),
        };
        events.retain(|event| {
            let about = &event["involvedObject"];
            (about["kind"] == target.kind.as_str() && about["name"] == target.name.as_str())
                || pods.iter().any(|pod| about["kind"] == "Pod" && about["name"] == pod["metadata"]["name"])
        });
    }
    events.sort_by_cached_key(|event| time(event).as_str().and_then(|text| text.parse::<Timestamp>().ok()));
    Ok(events.split_off(events.len().saturating_sub(SHOWN)))
}

/// When it was last seen; old and new writers fill different fields.
pub(crate) fn time(event: &Value) -> &Value {
    [
        &event["series"]["lastObservedTime"],
        &event["lastTimestamp"],
        &event["eventTime"],
        &event["metadata"]["creationTimestamp"],
    ]
    .into_iter()
    .find(|time| time.is_string())
    .unwrap_or(&Value::Null)
}

/// `5m (x12)`.
fn seen(event: &Value, now: Timestamp) -> String {
    let times = event["series"]["count"].as_u64().or(event["count"].as_u64()).unwrap_or(1);
    let age = age(time(event), now);
    if times > 1 { format!("{age} (x{times})") } else { age }
}

fn message(event: &Value) -> String {
    redact(event["message"].as_str().unwrap_or_default().trim()).replace('\n', " ")
}

/// One line per event, for `describe`.
pub fn lines(events: &[Value], now: Timestamp) -> Vec<String> {
    events
        .iter()
        .map(|event| {
            format!(
                "{:<12} {:<8} {:<20} {}",
                seen(event, now),
                event["type"].as_str().unwrap_or_default(),
                event["reason"].as_str().unwrap_or_default(),
                message(event)
            )
        })
        .collect()
}
