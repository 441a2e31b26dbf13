//! What Prometheus scrapes: the metrics of kube-state-metrics and cAdvisor, those of the API server about webhooks, and requests as
//! services count them, by the names and labels of the originals. And the same for the past, as if it had been scraped all along.

mod history;
mod state;
mod usage;

pub(crate) use history::write as write_history;
pub(crate) use usage::Counters;

use crate::admission;
use crate::cluster::Cluster;
use std::fmt::Write;

/// One number with its name.
pub(crate) struct Sample {
    pub name: &'static str,
    pub labels: Vec<(&'static str, String)>,
    pub value: f64,
}

impl Sample {
    pub(crate) fn new(name: &'static str, labels: &[(&'static str, &str)], value: f64) -> Sample {
        let labels = labels.iter().map(|(label, value)| (*label, (*value).to_owned())).collect();
        Sample { name, labels, value }
    }

    /// `name{a="b"}`, with more labels.
    fn series(&self, more: &[(&'static str, &str)]) -> String {
        let mut out = self.name.to_owned();
        let own = self.labels.iter().map(|(name, value)| (*name, value.as_str()));
        for (index, (name, value)) in own.chain(more.iter().copied()).enumerate() {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(out, "{}{name}=\"{value}\"", if index == 0 { '{' } else { ',' });
        }
        if !self.labels.is_empty() || !more.is_empty() {
            out.push('}');
        }
        out
    }
}

/// Ten-thousandths are finer than anybody looks, and shorter to keep.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

type Label<'a> = (&'static str, &'a str);

/// Labels and more of them.
fn with<'a>(labels: &[Label<'a>], more: &[Label<'a>]) -> Vec<Label<'a>> {
    [labels, more].concat()
}

/// The page that is scraped at a moment (Unix seconds).
pub(crate) fn page(cluster: &Cluster, now: f64) -> String {
    let mut samples = {
        let state = cluster.lock();
        let mut counters = cluster.counters.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut samples = state::samples(&state.store);
        samples.extend(usage::samples(&state.store, &mut counters, now));
        samples.extend(admission::samples(&state.store));
        samples
    };
    // The format wants a metric's samples together, after its type.
    samples.sort_by_key(|sample| sample.name);
    let (mut out, mut before) = (String::new(), "");
    for sample in &samples {
        if sample.name != before {
            let grows = ["_total", "_sum", "_count"].iter().any(|end| sample.name.ends_with(end));
            let kind = if grows { "counter" } else { "gauge" };
            let _ = writeln!(out, "# TYPE {} {kind}", sample.name);
            before = sample.name;
        }
        let _ = writeln!(out, "{} {}", sample.series(&[]), rounded(sample.value));
    }
    out
}
