//! What cAdvisor measures of containers, and the requests that services count: by the load model.

use super::Sample;
use crate::load::{Meter, Use};
use crate::object::{self, list, number, text};
use crate::store::Store;
use serde_json::Value;
use std::collections::HashMap;

const REQUESTS: &str = "http_requests_total";

/// What has grown so far, by container and the number of its restarts: with a restart it begins anew, as the originals do.
#[derive(Default)]
pub(crate) struct Counters(HashMap<(String, String, i64), Count>);

/// What a container has used and answered since a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Count {
    /// When it was last added to, in Unix seconds.
    at: f64,
    pub cpu_seconds: f64,
    pub requests: f64,
    /// That requests have waited for their answers.
    pub seconds: f64,
}

impl Count {
    /// Nothing yet.
    pub fn from(at: f64) -> Count {
        Count { at, cpu_seconds: 0.0, requests: 0.0, seconds: 0.0 }
    }

    /// Adds what has passed until a moment.
    pub fn add(&mut self, now: Use, at: f64) {
        let passed = (at - self.at).max(0.0);
        self.cpu_seconds += now.cores * passed;
        let requests = now.requests.unwrap_or(0.0) * passed;
        self.requests += requests;
        self.seconds += requests * now.takes;
        self.at = self.at.max(at);
    }
}

/// A container that runs.
pub(super) struct Running {
    pub meter: Meter,
    key: (String, String, i64),
    labels: Vec<(&'static str, String)>,
    service: String,
}

impl Running {
    /// All of them.
    pub fn all(store: &Store) -> Vec<Running> {
        let mut all = Vec::new();
        for pod in store.list("pods", "").filter(|pod| text(pod, &["status", "phase"]) == "Running") {
            for container in list(pod, &["spec", "containers"]) {
                let name = text(container, &["name"]);
                let Some(restarts) = restarts(pod, name) else { continue };
                let labels = [
                    ("namespace", object::namespace(pod)),
                    ("pod", object::name(pod)),
                    ("container", name),
                    ("node", text(pod, &["spec", "nodeName"])),
                ];
                all.push(Running {
                    meter: Meter::read(store, pod, container),
                    key: (object::uid(pod).to_owned(), name.to_owned(), restarts),
                    labels: labels.map(|(label, value)| (label, value.to_owned())).into(),
                    service: text(pod, &["metadata", "labels", "app"]).to_owned(),
                });
            }
        }
        all
    }

    /// Its numbers, of which there is a history.
    pub fn samples(&self, count: Count, now: Use) -> Vec<Sample> {
        values(count, now).map(|(name, value)| self.sample(name, value)).collect()
    }

    /// How long its requests took.
    fn durations(&self, count: Count, now: Use) -> Vec<Sample> {
        let all = [
            ("http_request_duration_seconds_sum", count.seconds),
            ("http_request_duration_seconds_count", count.requests),
        ];
        all.into_iter()
            .filter(|_| now.requests.is_some())
            .map(|(name, value)| self.sample(name, value))
            .collect()
    }

    fn sample(&self, name: &'static str, value: f64) -> Sample {
        Sample { name, labels: self.labels(name), value }
    }

    fn labels(&self, name: &str) -> Vec<(&'static str, String)> {
        if !name.starts_with("http_request") {
            return self.labels.clone();
        }
        let mut labels = self.labels[..2].to_vec();
        labels.push(("service", self.service.clone()));
        labels
    }
}

/// Names and values of what a container's numbers are now; always the same names in the same order.
pub(super) fn values(count: Count, now: Use) -> impl Iterator<Item = (&'static str, f64)> {
    [
        Some(("container_cpu_usage_seconds_total", count.cpu_seconds)),
        Some(("container_memory_working_set_bytes", now.bytes.round())),
        now.requests.map(|_| (REQUESTS, count.requests)),
    ]
    .into_iter()
    .flatten()
}

/// Of all running containers at a moment (Unix seconds). What has passed since the last time is added to the counters; a container
/// that was not there then begins at zero.
pub(crate) fn samples(store: &Store, counters: &mut Counters, at: f64) -> Vec<Sample> {
    let (mut out, mut alive) = (Vec::new(), HashMap::new());
    for container in Running::all(store) {
        let now = container.meter.at(at);
        let mut count = counters.0.get(&container.key).copied().unwrap_or(Count::from(at));
        count.add(now, at);
        out.extend(container.samples(count, now));
        out.extend(container.durations(count, now));
        alive.insert(container.key, count);
    }
    counters.0 = alive;
    out
}

/// How often a container was restarted, if it runs now.
fn restarts(pod: &Value, container: &str) -> Option<i64> {
    let status =
        list(pod, &["status", "containerStatuses"]).iter().find(|status| status["name"] == container)?;
    status["state"]["running"].is_object().then(|| number(status, &["restartCount"]).unwrap_or(0))
}
