//! `top`: what pods and nodes use now, from metrics.k8s.io.

use super::{Answer, Query, QueryError, place, selector};
use crate::{
    catalogue::Quantity,
    cluster::{Cluster, ClusterError},
};
use futures::future::BoxFuture;
use serde_json::Value;

/// Rows that a chat message can hold.
const ROWS: usize = 50;
/// Objects that are read.
const READ: u32 = 5_000;

/// See the module.
pub struct Top;

impl Query for Top {
    fn name(&self) -> &'static str {
        "top"
    }

    fn command(&self) -> clap::Command {
        clap::Command::new("top")
            .about("Show what pods or nodes use, most CPU first")
            .arg(
                clap::Arg::new("what")
                    .value_name("KIND")
                    .required(true)
                    .value_parser(["pods", "pod", "po", "nodes", "node", "no"])
                    .hide_possible_values(true)
                    .help("pods or nodes"),
            )
            .arg(
                clap::Arg::new("selector")
                    .short('l')
                    .long("selector")
                    .value_name("LABELS")
                    .help("Only with these labels: app=checkout"),
            )
            .after_help("Example: top pods -n shop -c prod-eu")
    }

    fn answer<'a>(
        &'a self,
        cluster: &'a Cluster,
        namespace: Option<&'a str>,
        matches: &'a clap::ArgMatches,
    ) -> BoxFuture<'a, Result<Answer, QueryError>> {
        Box::pin(async move {
            let labels = matches
                .get_one::<String>("selector")
                .map(|text| selector::parse(text).map(|selector| selector.to_string()))
                .transpose()
                .map_err(QueryError::Invalid)?;
            let is_nodes = matches.get_one::<String>("what").is_some_and(|what| what.starts_with("no"));
            if is_nodes {
                nodes(cluster, labels.as_deref()).await
            } else {
                pods(cluster, namespace, labels.as_deref()).await
            }
        })
    }
}

async fn metrics(
    cluster: &Cluster,
    kind: &str,
    namespace: Option<&str>,
    labels: Option<&str>,
) -> Result<Vec<Value>, QueryError> {
    match cluster.list("metrics.k8s.io/v1beta1", kind, namespace, labels, None, READ).await {
        Err(ClusterError::NotFound { .. }) => Err(QueryError::Invalid(format!(
            "metrics are not installed in {}; install metrics-server there to use top",
            cluster.name()
        ))),
        Err(ClusterError::Other { message, .. }) if message.ends_with("(503)") => {
            Err(QueryError::Invalid(format!(
                "metrics are installed in {}, but do not answer now; look at get pods -n kube-system",
                cluster.name()
            )))
        }
        metrics => Ok(metrics?),
    }
}

async fn pods(
    cluster: &Cluster,
    namespace: Option<&str>,
    labels: Option<&str>,
) -> Result<Answer, QueryError> {
    let metrics = metrics(cluster, "PodMetrics", namespace, labels).await?;
    let mut used: Vec<(Quantity, Quantity, &Value)> = metrics
        .iter()
        .map(|pod| {
            let sum = |resource: &str| {
                pod["containers"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|container| quantity(&container["usage"][resource]))
                    .sum()
            };
            (sum("cpu"), sum("memory"), &pod["metadata"])
        })
        .collect();
    used.sort_by_key(|(cpu, memory, metadata)| {
        (std::cmp::Reverse((*cpu, *memory)), metadata["name"].as_str())
    });
    let wide = namespace.is_none();
    let rows = used.iter().take(ROWS).map(|(cpu, memory, metadata)| {
        let text = |field: &str| metadata[field].as_str().unwrap_or_default().to_string();
        let mut row = vec![text("name"), cpu.cores(), memory.mebibytes()];
        if wide {
            row.insert(0, text("namespace"));
        }
        row
    });
    let header: &[&str] = if wide {
        &["NAMESPACE", "NAME", "CPU(cores)", "MEMORY(bytes)"]
    } else {
        &["NAME", "CPU(cores)", "MEMORY(bytes)"]
    };
    Ok(table(format!("Use of pods in {}", place(cluster, namespace)), header, rows.collect(), used.len()))
}

async fn nodes(cluster: &Cluster, labels: Option<&str>) -> Result<Answer, QueryError> {
    let metrics = metrics(cluster, "NodeMetrics", None, labels).await?;
    let nodes = cluster.list("v1", "Node", None, labels, None, READ).await?;
    let mut rows: Vec<(Quantity, Vec<String>)> = metrics
        .iter()
        .map(|metric| {
            let name = metric["metadata"]["name"].as_str().unwrap_or_default();
            let node = nodes.iter().find(|node| node["metadata"]["name"] == name).unwrap_or(&Value::Null);
            let share = |resource: &str| {
                let (used, of) = (
                    quantity(&metric["usage"][resource]).millis(),
                    quantity(&node["status"]["allocatable"][resource]).millis(),
                );
                if of > 0 { format!("{}%", used * 100 / of) } else { "<unknown>".into() }
            };
            let cpu = quantity(&metric["usage"]["cpu"]);
            (
                cpu,
                vec![
                    name.to_string(),
                    cpu.cores(),
                    share("cpu"),
                    quantity(&metric["usage"]["memory"]).mebibytes(),
                    share("memory"),
                ],
            )
        })
        .collect();
    rows.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let count = rows.len();
    let rows = rows.into_iter().take(ROWS).map(|(_, row)| row).collect();
    Ok(table(
        format!("Use of nodes in {}", cluster.name()),
        &["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"],
        rows,
        count,
    ))
}

fn table(title: String, header: &[&str], rows: Vec<Vec<String>>, count: usize) -> Answer {
    Answer {
        title,
        text: match count {
            0 => Some("no metrics for any of them yet".into()),
            _ if count > ROWS => Some(format!("the first {ROWS} of {count}; narrow it with -l")),
            _ => None,
        },
        table: (count > 0).then(|| (header.iter().map(|column| column.to_string()).collect(), rows)),
        ..Answer::default()
    }
}

/// Zero where there is none.
fn quantity(value: &Value) -> Quantity {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_default()
}
