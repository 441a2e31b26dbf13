//! What would have been scraped, had the cluster as it stands been there all along.

use super::usage::{self, Count, Running};
use super::{rounded, state};
use crate::cluster::Cluster;
use std::io::{self, Write};
use std::ops::Range;

/// Of what does not change over time; the rest of what kube-state-metrics says is about now.
const STANDING: &[&str] = &[
    "kube_pod_container_resource_requests",
    "kube_deployment_spec_replicas",
    "kube_node_status_allocatable",
];
/// Seconds between samples of what stands, at least: Prometheus looks back five minutes.
const STANDING_EVERY: i64 = 240;

/// A container, and the beginnings of its lines: a past has millions of them.
struct Past {
    running: Running,
    count: Count,
    series: Vec<String>,
}

/// Writes OpenMetrics text with times in Unix seconds, without the line that ends it. `more` labels are those that Prometheus
/// gives to what it scrapes.
pub(crate) fn write(
    cluster: &Cluster,
    times: Range<i64>,
    step: usize,
    more: &[(&'static str, &str)],
    out: &mut impl Write,
) -> io::Result<()> {
    let begin = times.start as f64;
    let (containers, standing) = {
        let state = cluster.lock();
        (Running::all(&state.store), state::samples(&state.store))
    };
    let mut containers: Vec<Past> = containers
        .into_iter()
        .map(|running| {
            let count = Count::from(begin);
            let samples = running.samples(count, running.meter.at(begin));
            let series = samples.iter().map(|sample| sample.series(more)).collect();
            Past { running, count, series }
        })
        .collect();
    let standing: Vec<(String, f64)> = standing
        .iter()
        .filter(|sample| STANDING.contains(&sample.name))
        .map(|sample| (sample.series(more), rounded(sample.value)))
        .collect();
    let mut stood: Option<i64> = None;
    for at in times.step_by(step.max(1)) {
        for Past { running, count, series } in &mut containers {
            let now = running.meter.at(at as f64);
            count.add(now, at as f64);
            for (series, (_, value)) in series.iter().zip(usage::values(*count, now)) {
                writeln!(out, "{series} {} {at}", rounded(value))?;
            }
        }
        if stood.is_none_or(|stood| at - stood >= STANDING_EVERY) {
            stood = Some(at);
            for (series, value) in &standing {
                writeln!(out, "{series} {value} {at}")?;
            }
        }
    }
    Ok(())
}
