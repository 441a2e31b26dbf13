//! `rightsize`: what the containers of a workload should request and be limited to, from what they used.

use super::{Answer, Query, QueryError, events};
use crate::{
    catalogue::{Quantity, accept, pods_of},
    cluster::Cluster,
    metric::{Prometheus, Range, Scope, amount},
};
use ::forecast::capacity::rightsize::{Advice, Histogram, Resource, advise};
use futures::future::BoxFuture;
use jiff::Timestamp;
use ledger::ObjectRef;
use serde_json::Value;
use std::time::Duration;

/// What counts less than a two-hundredth by then is not asked for.
const BACK: Duration = Duration::from_secs(8 * 86_400);
const STEP: Duration = Duration::from_secs(300);
/// No container is advised to request less.
const LEAST: [(Resource, f64); 2] = [(Resource::Cpu, 0.01), (Resource::Memory, 16.0 * 1_048_576.0)];
const WORKLOADS: &[&str] = &["Deployment", "StatefulSet", "DaemonSet"];

/// See the module.
pub struct Rightsize;

impl Query for Rightsize {
    fn name(&self) -> &'static str {
        "rightsize"
    }

    fn command(&self) -> clap::Command {
        clap::Command::new("rightsize")
            .about("Show what a workload's containers should request, from what they used")
            .arg(
                clap::Arg::new("target")
                    .value_name("KIND/NAME")
                    .required(true)
                    .help("Whose containers: deploy/checkout"),
            )
            .after_help("Example: rightsize deploy/checkout -n shop -c prod-eu")
    }

    fn answer<'a>(
        &'a self,
        cluster: &'a Cluster,
        namespace: Option<&'a str>,
        matches: &'a clap::ArgMatches,
    ) -> BoxFuture<'a, Result<Answer, QueryError>> {
        Box::pin(async move {
            let typed = matches.get_one::<String>("target").map(String::as_str).unwrap_or_default();
            look(cluster, namespace, typed, Timestamp::now()).await
        })
    }
}

/// One container with what is known of one resource.
struct Row {
    container: String,
    resource: Resource,
    now: (Option<f64>, Option<f64>),
    samples: usize,
    advice: Option<Advice>,
}

async fn look(
    cluster: &Cluster,
    namespace: Option<&str>,
    typed: &str,
    now: Timestamp,
) -> Result<Answer, QueryError> {
    let target = events::reference(typed, namespace)?;
    accept(&target.kind, WORKLOADS, "has no pods that go on").map_err(QueryError::Invalid)?;
    let prometheus = cluster.prometheus()?;
    let object = cluster.get(&target).await?;
    let pods = pods_of(cluster, &target, &object).await?;
    let mut rows = Vec::new();
    let mut warnings = Vec::new();
    for resource in [Resource::Cpu, Resource::Memory] {
        let used = used(prometheus, &target, resource, now, &mut warnings).await?;
        for container in object["spec"]["template"]["spec"]["containers"].as_array().into_iter().flatten() {
            rows.push(row(container, resource, &used, &pods, now));
        }
    }
    rows.sort_by(|a, b| a.container.cmp(&b.container));
    let replicas = match object["kind"].as_str() {
        Some("DaemonSet") => &object["status"]["desiredNumberScheduled"],
        _ => &object["spec"]["replicas"],
    };
    let place = super::place(cluster, target.namespace.as_deref());
    Ok(told(&target, &place, cluster.name(), replicas.as_u64().unwrap_or(1), &rows, &warnings))
}

/// What each container used: `(name, age in seconds, amount)`.
async fn used(
    prometheus: &Prometheus,
    target: &ObjectRef,
    resource: Resource,
    now: Timestamp,
    warnings: &mut Vec<String>,
) -> Result<Vec<(String, u64, f64)>, QueryError> {
    let namespace = target.namespace.as_deref().unwrap_or_default();
    let scope = Scope { kind: &target.kind, namespace, name: &target.name };
    let promql = prometheus.each_container(name(resource), scope, STEP);
    let answer = prometheus.range(&promql, Range::before(now, BACK, STEP)).await?;
    warnings.extend(answer.warnings);
    let mut all = Vec::new();
    for line in answer.data {
        let Some(container) = line.labels.get("container") else { continue };
        for (at, value) in line.points {
            all.push((container.clone(), now.as_second().saturating_sub(at).max(0).unsigned_abs(), value));
        }
    }
    Ok(all)
}

fn name(resource: Resource) -> &'static str {
    match resource {
        Resource::Cpu => "cpu",
        Resource::Memory => "memory",
    }
}

fn row(
    container: &Value,
    resource: Resource,
    used: &[(String, u64, f64)],
    pods: &[Value],
    now: Timestamp,
) -> Row {
    let own = container["name"].as_str().unwrap_or_default();
    let amount = |what: &str| {
        let text = container["resources"][what][name(resource)].as_str()?;
        Some(text.parse::<Quantity>().ok()?.millis() as f64 / 1000.0)
    };
    let stands = (amount("requests"), amount("limits"));
    let mut seen = Histogram::new(resource);
    for (_, age, value) in used.iter().filter(|(name, ..)| name == own) {
        seen.add(*value, Duration::from_secs(*age));
    }
    if resource == Resource::Memory {
        for age in killed(pods, own, now) {
            seen.out_of_memory(stands.1.unwrap_or(0.0), age);
        }
    }
    let least = LEAST.iter().find(|(known, _)| *known == resource).map_or(0.0, |(_, least)| *least);
    let advice = advise(&seen, stands, least);
    Row { container: own.to_string(), resource, now: stands, samples: seen.samples(), advice }
}

/// How long ago each pod's container of this name was last killed for want of memory.
fn killed(pods: &[Value], container: &str, now: Timestamp) -> Vec<Duration> {
    let statuses =
        pods.iter().flat_map(|pod| pod["status"]["containerStatuses"].as_array().into_iter().flatten());
    let own = statuses.filter(|status| status["name"] == container);
    own.filter_map(|status| {
        let ended = [&status["state"]["terminated"], &status["lastState"]["terminated"]];
        let ended = ended.into_iter().find(|ended| ended["reason"] == "OOMKilled")?;
        let at: Timestamp = ended["finishedAt"].as_str()?.parse().ok()?;
        Duration::try_from(now.duration_since(at)).ok()
    })
    .collect()
}

fn told(
    target: &ObjectRef,
    place: &str,
    cluster: &str,
    replicas: u64,
    rows: &[Row],
    warnings: &[String],
) -> Answer {
    let say = |resource: Resource, value: Option<f64>| {
        value.map_or_else(|| "none".into(), |value| amount(name(resource), value))
    };
    let header = ["CONTAINER", "RESOURCE", "REQUEST", "ADVISED", "LIMIT", "ADVISED", "BETWEEN", "MOST USED"];
    let table = rows.iter().map(|row| {
        let mut cells = vec![row.container.clone(), name(row.resource).into(), say(row.resource, row.now.0)];
        match &row.advice {
            Some(advice) => cells.extend([
                amount(name(row.resource), advice.request),
                say(row.resource, row.now.1),
                say(row.resource, advice.limit),
                format!(
                    "{} and {}",
                    amount(name(row.resource), advice.between.0),
                    amount(name(row.resource), advice.between.1)
                ),
                amount(name(row.resource), advice.most),
            ]),
            None => cells.extend([
                "too little is known".into(),
                say(row.resource, row.now.1),
                String::new(),
                String::new(),
                format!("{} samples", row.samples),
            ]),
        }
        cells
    });
    let mut text = Vec::new();
    for resource in [Resource::Cpu, Resource::Memory] {
        let change: f64 = rows
            .iter()
            .filter(|row| row.resource == resource)
            .filter_map(|row| Some(row.now.0? - row.advice?.request))
            .sum();
        let all = amount(name(resource), change.abs() * replicas as f64);
        if change > 0.0 {
            text.push(format!("Requests {all} of {} too much over {replicas} replicas.", name(resource)));
        } else if change < 0.0 {
            text.push(format!("Requests {all} of {} too little over {replicas} replicas.", name(resource)));
        }
    }
    if rows.iter().all(|row| row.advice.is_none()) {
        text.push("Less than a day of use is known; nothing is advised yet.".into());
    }
    let lines = commands(target, cluster, rows);
    let mut fields = Vec::new();
    if !lines.is_empty() {
        fields.push(("to ask for it".to_string(), lines.join("\n")));
    }
    if !warnings.is_empty() {
        let words = format!("Prometheus warns that parts may be missing: {}", warnings.join("; "));
        fields.push(("partial".to_string(), words));
    }
    Answer {
        title: format!("Requests of {} {} in {place}, from 8 days of use", target.kind, target.name),
        text: (!text.is_empty()).then(|| text.join(" ")),
        fields,
        table: Some((header.map(String::from).into(), table.collect())),
        ..Answer::default()
    }
}

/// A line to type for each container whose advice differs by a tenth or more.
fn commands(target: &ObjectRef, cluster: &str, rows: &[Row]) -> Vec<String> {
    let kind = crate::cluster::by_word(&target.kind).and_then(|kind| kind.short.first().copied());
    let kind = kind.map_or_else(|| target.kind.to_lowercase(), str::to_string);
    rows.chunk_by(|a, b| a.container == b.container)
        .filter_map(|rows| {
            let (mut requests, mut limits) = (Vec::new(), Vec::new());
            for row in rows {
                let Some(advice) = row.advice else { continue };
                let differs =
                    |now: Option<f64>, then: f64| now.is_none_or(|now| (then / now - 1.0).abs() >= 0.1);
                if differs(row.now.0, advice.request) {
                    requests.push(format!("{}={}", name(row.resource), typed(row.resource, advice.request)));
                    // A request must stay below its limit, so both are set.
                    if let Some(limit) = advice.limit {
                        limits.push(format!("{}={}", name(row.resource), typed(row.resource, limit)));
                    }
                }
            }
            let list = |name: &str, all: &[String]| match all {
                [] => String::new(),
                all => format!(" --{name} {}", all.join(",")),
            };
            (!requests.is_empty()).then(|| {
                format!(
                    "set-resources {kind}/{} --container {}{}{} -n {} -c {cluster}",
                    target.name,
                    rows[0].container,
                    list("requests", &requests),
                    list("limits", &limits),
                    target.namespace.as_deref().unwrap_or_default()
                )
            })
        })
        .collect()
}

/// As a quantity, rounded up to 5 millicores or a mebibyte.
fn typed(resource: Resource, value: f64) -> String {
    match resource {
        Resource::Cpu => format!("{}m", (value * 200.0).ceil() as u64 * 5),
        Resource::Memory => format!("{}Mi", (value / 1_048_576.0).ceil() as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn now() -> Timestamp {
        "2026-11-21T12:00:00Z".parse().unwrap()
    }

    fn target() -> ObjectRef {
        ObjectRef {
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            namespace: Some("shop".into()),
            name: "checkout".into(),
            uid: None,
        }
    }

    fn answer(days: u64) -> Answer {
        let container = json!({"name": "app", "resources": {
            "requests": {"cpu": "1", "memory": "256Mi"}, "limits": {"cpu": "2", "memory": "256Mi"}}});
        let steps = || (0..days * 24).map(|hour| hour * 3600);
        let cpu: Vec<_> = steps().map(|age| ("app".to_string(), age, 0.2)).collect();
        let memory: Vec<_> = steps().map(|age| ("app".to_string(), age, 200.0 * 1_048_576.0)).collect();
        let killed = json!({"status": {"containerStatuses": [{"name": "app", "lastState": {"terminated":
            {"reason": "OOMKilled", "finishedAt": "2026-11-21T11:00:00Z"}}}]}});
        let pods = vec![killed; 20];
        let rows = [
            row(&container, Resource::Cpu, &cpu, &pods, now()),
            row(&container, Resource::Memory, &memory, &pods, now()),
        ];
        told(&target(), "prod-eu/shop", "prod-eu", 3, &rows, &[])
    }

    #[test]
    fn what_is_not_used_is_given_back_and_what_was_killed_for_memory_gets_more() {
        let said = answer(8);
        let text = said.text.unwrap();
        assert!(
            text.starts_with("Requests 2.") && text.contains("of cpu too much over 3 replicas"),
            "{text}"
        );
        assert!(text.contains("of memory too little over 3 replicas"), "{text}");
        let line = &said.fields[0].1;
        assert!(line.starts_with("set-resources deploy/checkout --container app --requests cpu=2"), "{line}");
        let limit: u64 = line.split("memory=").nth(2).unwrap().split("Mi").next().unwrap().parse().unwrap();
        assert!(limit >= 356, "{line}");
        assert!(line.ends_with(" -n shop -c prod-eu"));
        // The line is one that the action understands.
        let words: Vec<&str> = line.split(" -n ").next().unwrap().split(' ').collect();
        let action = crate::catalogue::action("set-resources").unwrap();
        action.parse(&action.command().try_get_matches_from(words).unwrap()).unwrap();
    }

    #[test]
    fn nothing_is_advised_from_half_a_day() {
        let said = answer(0);
        assert_eq!(said.text.unwrap(), "Less than a day of use is known; nothing is advised yet.");
        assert!(said.fields.is_empty());
    }
}
