//! What would have been scraped, had the cluster as it stands been there all along.

use super::{Counters, Sample, state, usage};
use crate::cluster::Cluster;
use std::io::{self, Write};
use std::ops::Range;

/// Of what does not change over time; the rest of what kube-state-metrics says is about now.
const STANDING: &[&str] = &[
    "kube_pod_container_resource_requests",
    "kube_deployment_spec_replicas",
    "kube_node_status_allocatable",
];

/// Writes OpenMetrics text with times in Unix seconds, without the line that ends it. `more` labels are those that Prometheus
/// gives to what it scrapes.
pub(crate) fn write(
    cluster: &Cluster,
    times: Range<i64>,
    step: usize,
    more: &[(&'static str, &str)],
    out: &mut impl Write,
) -> io::Result<()> {
    let mut counters = Counters::default();
    let standing: Vec<Sample> = state::samples(&cluster.lock().store)
        .into_iter()
        .filter(|sample| STANDING.contains(&sample.name))
        .collect();
    let mut text = String::new();
    for at in times.step_by(step.max(1)) {
        text.clear();
        let used = usage::samples(&cluster.lock().store, &mut counters, at as f64);
        for sample in used.iter().chain(&standing) {
            sample.write(&mut text, more, Some(at));
            text.push('\n');
        }
        out.write_all(text.as_bytes())?;
    }
    Ok(())
}
