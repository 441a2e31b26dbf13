//! Questions to a cluster, answered at once: `get`, `describe`, `logs`, `events`, `top`, `forecast`, `rightsize`,
//! `nodes`. One file per query, one line
//! each in [`queries`]. Queries change nothing and need no approval, but policy may refuse them.
//!
//! What people type never reaches a selector or a path as it is: selectors are parsed and written anew, names are
//! checked (G12). Values of Secrets are never shown, and what looks like a secret elsewhere is hidden.

pub(crate) mod age;
mod column;
mod describe;
mod events;
mod forecast;
mod get;
mod logs;
mod nodes;
mod pod_status;
mod pool;
mod redact;
mod rightsize;
mod selector;
mod top;

pub use self::forecast::{Expected, expected};
pub(crate) use nodes::{Need, need, nodes_of_pool};

pub(crate) use events::{read as recent_events, time as event_time};
pub(crate) use redact::redact;

use crate::{
    cluster::{Cluster, ClusterError},
    metric::{MetricError, NoForecast},
};
use futures::future::BoxFuture;

/// A platform-neutral answer; the bot makes a card of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// `Pods in prod-eu/shop`.
    pub title: String,
    /// Plain sentence or two, if any.
    pub text: Option<String>,
    /// Label and value.
    pub fields: Vec<(String, String)>,
    /// Header row and rows.
    pub table: Option<(Vec<String>, Vec<Vec<String>>)>,
    /// Monospaced block (logs, YAML).
    pub code: Option<String>,
    /// A picture to draw.
    pub plot: Option<Box<Plot>>,
}

/// A forecast as it is to be drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Plot {
    /// What it is about.
    pub title: String,
    /// What is to be seen, for who cannot see it.
    pub alt: String,
    /// The history.
    pub series: ::forecast::Series,
    /// What is expected.
    pub forecast: ::forecast::Forecast,
    /// What there is room for, in the unit of the series.
    pub capacity: Option<f64>,
    /// What there would be room for after a proposed change, each from so many steps ahead on; empty: nothing is proposed.
    pub proposal: Vec<(usize, f64)>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The question makes no sense; says what would.
    #[error("{0}")]
    Invalid(String),
    /// The cluster could not be asked.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Prometheus could not be asked.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// There is no forecast to rely on.
    #[error(transparent)]
    NoForecast(#[from] NoForecast),
}

/// One question.
pub trait Query: Send + Sync {
    /// What people type: `logs`.
    fn name(&self) -> &'static str;
    /// As `Action::command`: without `-n` and `-c`.
    fn command(&self) -> clap::Command;
    /// Answers. `namespace` is None for all namespaces (`-A`) where that makes sense.
    fn answer<'a>(
        &'a self,
        cluster: &'a Cluster,
        namespace: Option<&'a str>,
        matches: &'a clap::ArgMatches,
    ) -> BoxFuture<'a, Result<Answer, QueryError>>;
}

/// Every query to a cluster.
pub fn queries() -> &'static [&'static dyn Query] {
    &[
        &get::Get,
        &describe::Describe,
        &logs::Logs,
        &events::Events,
        &top::Top,
        &forecast::ForecastLoad,
        &rightsize::Rightsize,
        &nodes::Nodes,
    ]
}

/// `prod-eu/shop`, or `prod-eu` for all namespaces and for what lives in none.
fn place(cluster: &Cluster, namespace: Option<&str>) -> String {
    match namespace {
        Some(namespace) => format!("{}/{namespace}", cluster.name()),
        None => cluster.name().to_string(),
    }
}

/// A query about one object needs its namespace.
fn needed<'a>(namespace: Option<&'a str>, about: &str) -> Result<&'a str, QueryError> {
    namespace.ok_or_else(|| QueryError::Invalid(format!("say the namespace of {about} with -n")))
}
