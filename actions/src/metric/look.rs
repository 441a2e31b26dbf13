//! Does it answer, and does it hold what the usual queries ask for?

use super::{client::Prometheus, error::MetricError};
use jiff::Timestamp;
use std::time::{Duration, Instant};

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Of the slowest question.
    pub latency: Duration,
    /// Metrics without a single series now, and who would write them.
    pub missing: Vec<(&'static str, &'static str)>,
}

/// What the usual queries need.
const NEEDED: &[(&str, &str)] = &[
    ("container_cpu_usage_seconds_total", "cAdvisor (the kubelet)"),
    ("container_memory_working_set_bytes", "cAdvisor (the kubelet)"),
    ("kube_pod_info", "kube-state-metrics"),
    ("kube_pod_container_resource_requests", "kube-state-metrics"),
];

impl Prometheus {
    /// Asks for one count each.
    pub async fn look(&self, now: Timestamp) -> Result<Look, MetricError> {
        let counts = NEEDED.iter().map(async |(metric, source)| {
            let started = Instant::now();
            let found = self.value(&format!("count({metric}{{{}}})", self.labels()), now).await?;
            Ok::<_, MetricError>((
                found.data.value().is_none().then_some((*metric, *source)),
                started.elapsed(),
            ))
        });
        let counts = futures::future::try_join_all(counts).await?;
        Ok(Look {
            latency: counts.iter().map(|(_, took)| *took).max().unwrap_or_default(),
            missing: counts.into_iter().filter_map(|(missing, _)| missing).collect(),
        })
    }
}
