//! What cAdvisor measures of containers, and the requests that services count: by the load model.

use super::Sample;
use crate::load;
use crate::object::{self, list, number, text};
use crate::store::Store;
use serde_json::Value;
use std::collections::HashMap;

/// What has grown so far, by container and the number of its restarts: with a restart it begins anew, as the originals do.
#[derive(Default)]
pub(crate) struct Counters(HashMap<(String, String, i64), Count>);

#[derive(Clone, Copy, Default)]
struct Count {
    /// When it was last added to, in Unix seconds.
    at: f64,
    cpu_seconds: f64,
    requests: f64,
}

/// Of all running containers at a moment (Unix seconds). What has passed since the last time is added to the counters; a container
/// that was not there then begins at zero.
pub(crate) fn samples(store: &Store, counters: &mut Counters, now: f64) -> Vec<Sample> {
    let (mut out, mut alive) = (Vec::new(), HashMap::new());
    for pod in store.list("pods", "").filter(|pod| text(pod, &["status", "phase"]) == "Running") {
        for (index, container) in list(pod, &["spec", "containers"]).iter().enumerate() {
            let name = text(container, &["name"]);
            let Some(restarts) = running(pod, name) else { continue };
            let (cpu, memory) = load::usage(store, pod, container, now as i64);
            let traffic = load::traffic(store, pod, now).filter(|_| index == 0);
            let key = (object::uid(pod).to_owned(), name.to_owned(), restarts);
            let mut count = counters.0.get(&key).copied().unwrap_or(Count { at: now, ..Count::default() });
            let passed = (now - count.at).max(0.0);
            count.cpu_seconds += cpu * passed;
            count.requests += traffic.map_or(0.0, |traffic| traffic.requests) * passed;
            count.at = count.at.max(now);
            let base = [("namespace", object::namespace(pod)), ("pod", object::name(pod))];
            let labels =
                super::with(&base, &[("container", name), ("node", text(pod, &["spec", "nodeName"]))]);
            out.push(Sample::new("container_cpu_usage_seconds_total", &labels, count.cpu_seconds));
            out.push(Sample::new("container_memory_working_set_bytes", &labels, memory.round()));
            if traffic.is_some() {
                let labels = super::with(&base, &[("service", text(pod, &["metadata", "labels", "app"]))]);
                out.push(Sample::new("http_requests_total", &labels, count.requests));
            }
            alive.insert(key, count);
        }
    }
    counters.0 = alive;
    out
}

/// How often a container was restarted, if it runs now.
fn running(pod: &Value, container: &str) -> Option<i64> {
    let status =
        list(pod, &["status", "containerStatuses"]).iter().find(|status| status["name"] == container)?;
    status["state"]["running"].is_object().then(|| number(status, &["restartCount"]).unwrap_or(0))
}
