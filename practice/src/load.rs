//! What pods use and what they log: made up, but the same for everybody who asks, and moving with the time of day.

use crate::controllers::pod;
use crate::demand::Demand;
use crate::object::{self, annotation, at, list, text};
use crate::quantity;
use crate::store::Store;
use serde_json::Value;
use std::sync::Arc;

/// Overrides what a pod uses: `250m`. For tests of autoscalers.
const CPU: &str = "practice.petrel.dev/cpu";

/// Between 0 and 1, by name and number.
fn chance(seed: &str, number: i64) -> f64 {
    (object::fnv(format!("{seed}/{number}").as_bytes()) >> 11) as f64 / (1_u64 << 53) as f64
}

/// On a workload: the requests a second that its ready pods share on a usual day. Without it a pod's load is its own.
pub(crate) const LOAD: &str = "practice.petrel.dev/load";
/// What a request costs, in seconds of CPU.
const COST: f64 = 0.002;
/// Seconds until an answer on a usual day.
const ANSWER: f64 = 0.04;

/// A container as the load model knows it. Read once, it can be asked for many moments.
pub(crate) struct Meter {
    /// Requests in cores and bytes, or what is usual without.
    asked: (f64, f64),
    /// Always so many cores.
    fixed: Option<f64>,
    pod: String,
    /// The workload's customers, and the share of them that this container answers.
    customers: Option<(Demand, f64)>,
    /// Seconds until an answer.
    takes: f64,
}

/// What a container does at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Use {
    pub cores: f64,
    pub bytes: f64,
    /// A second; none where its workload has no [`LOAD`].
    pub requests: Option<f64>,
    /// How long each waits for its answer, in seconds.
    pub takes: f64,
}

impl Meter {
    pub fn read(store: &Store, pod: &Value, container: &Value) -> Meter {
        let asked = |resource: &str, fallback: f64| {
            quantity::parse(at(container, &["resources", "requests", resource])).unwrap_or(fallback)
        };
        let is_first = list(pod, &["spec", "containers"]).first() == Some(container);
        Meter {
            asked: (asked("cpu", 0.05), asked("memory", 64.0 * 1_048_576.0)),
            fixed: annotation(pod, CPU).and_then(|value| quantity::parse(&value.into())),
            pod: object::name(pod).to_owned(),
            customers: customers(store, pod).filter(|_| is_first),
            takes: ANSWER + delay(store, pod),
        }
    }

    /// At a moment (Unix seconds).
    pub fn at(&self, second: f64) -> Use {
        let (cpu, memory) = self.asked;
        let noise = chance(&self.pod, second as i64 / 30) - 0.5;
        let answers = self.customers.as_ref().map(|(demand, share)| {
            let level = demand.level(second);
            (level, demand.usual * level * share)
        });
        let (requests, takes) = (answers.map(|(_, requests)| requests), self.takes);
        if let Some(fixed) = self.fixed {
            return Use { cores: fixed, bytes: memory * 0.6, requests, takes };
        }
        if let Some((level, requests)) = answers {
            let busy = requests * COST * (1.0 + 0.1 * noise);
            let bytes = memory * (0.45 + 0.12 * level + 0.03 * noise);
            return Use { cores: cpu * 0.02 + busy, bytes, requests: Some(requests), takes };
        }
        // A daily wave around half of what was asked for, with noise per pod and half minute.
        let hour = (second as i64 % 86_400) as f64 / 3600.0;
        let wave = ((hour - 14.0) / 24.0 * std::f64::consts::TAU).cos();
        let share = (0.5 + 0.25 * wave + 0.2 * noise).max(0.02);
        Use { cores: cpu * share, bytes: memory * (0.55 + 0.1 * wave + 0.05 * noise), requests, takes }
    }
}

/// How much longer an answer takes on average, in seconds, by the first route of the VirtualServices of the Services that lead to a pod.
fn delay(store: &Store, pod: &Value) -> f64 {
    let namespace = object::namespace(pod);
    let leads_here = |service: &&Arc<Value>| {
        let selector = at(service, &["spec", "selector"]).as_object().filter(|selector| !selector.is_empty());
        let labels = object::labels(pod);
        selector.is_some_and(|selector| selector.iter().all(|(key, value)| labels.get(key) == Some(value)))
    };
    let mut routes = store.list("virtualservices.networking.istio.io", namespace).peekable();
    if routes.peek().is_none() {
        return 0.0;
    }
    let services: Vec<&str> =
        store.list("services", namespace).filter(leads_here).map(|service| object::name(service)).collect();
    let routes_here = |route: &&Arc<Value>| {
        let hosts = list(route, &["spec", "hosts"]).iter().filter_map(Value::as_str);
        hosts.filter_map(|host| host.split('.').next()).any(|host| services.contains(&host))
    };
    let fault = |route: &Arc<Value>| {
        let delay = list(route, &["spec", "http"]).first()?.pointer("/fault/delay")?.clone();
        let seconds: f64 = text(&delay, &["fixedDelay"]).strip_suffix('s')?.parse().ok()?;
        Some(seconds * at(&delay, &["percentage", "value"]).as_f64().unwrap_or(100.0) / 100.0)
    };
    routes.filter(routes_here).filter_map(fault).sum()
}

/// Who asks a pod's workload for answers, and the pod's share of them; none where the workload has no [`LOAD`].
fn customers(store: &Store, one: &Value) -> Option<(Demand, f64)> {
    let workload = workload(store, one)?;
    let usual: f64 = annotation(&workload, LOAD)?.parse().ok()?;
    let seed = format!("{}/{}", object::namespace(&workload), object::name(&workload));
    let ready = pods(store, &workload).iter().filter(|pod| pod::is_ready(pod)).count();
    // Who is not ready gets no requests.
    let share = if ready > 0 && pod::is_ready(one) { 1.0 / ready as f64 } else { 0.0 };
    Some((Demand { seed, usual, origin: origin(store) }, share))
}

/// The cluster's beginning: the load was usual then.
fn origin(store: &Store) -> i64 {
    let begun = store.get("namespaces", "", "kube-system");
    let begun = begun.and_then(|begun| text(&begun, &["metadata", "creationTimestamp"]).parse().ok());
    begun.map_or(0, |begun: jiff::Timestamp| begun.as_second())
}

/// The Deployment, StatefulSet or DaemonSet that a pod belongs to.
fn workload(store: &Store, pod: &Value) -> Option<Arc<Value>> {
    let namespace = object::namespace(pod);
    let owner = |of: &Value| {
        let owner = object::controller(of)?;
        let table = match text(owner, &["kind"]) {
            "ReplicaSet" => "replicasets.apps",
            "Deployment" => "deployments.apps",
            "StatefulSet" => "statefulsets.apps",
            "DaemonSet" => "daemonsets.apps",
            _ => return None,
        };
        store.get(table, namespace, text(owner, &["name"]))
    };
    let first = owner(pod)?;
    Some(owner(&first).unwrap_or(first))
}

fn pods(store: &Store, workload: &Value) -> Vec<Arc<Value>> {
    let own = store.controlled(object::uid(workload), "pods");
    let sets = store.controlled(object::uid(workload), "replicasets.apps");
    sets.iter().flat_map(|set| store.controlled(object::uid(set), "pods")).chain(own).collect()
}

/// One line of a log, with the second at which it was written.
pub(crate) struct Line {
    pub at: i64,
    pub text: String,
}

/// Seconds between lines.
const PACE: i64 = 3;
/// A log is at most this long; older lines have been rotated away.
const KEPT: i64 = 2000;

/// The lines that a container wrote between two moments.
pub(crate) fn log(pod: &Value, container: &str, from: i64, to: i64, crashed: bool) -> Vec<Line> {
    let from_kept = from.max(to - KEPT * PACE);
    let mut lines = Vec::new();
    if from_kept == from {
        lines.push(Line {
            at: from,
            text: format!("level=info msg=\"starting\" service={container} pod={}", object::name(pod)),
        });
        lines
            .push(Line { at: from, text: "level=info msg=\"configuration loaded\" sources=env,file".into() });
    }
    let first = from_kept + PACE;
    let mut moment = first - first.rem_euclid(PACE) + if first.rem_euclid(PACE) == 0 { 0 } else { PACE };
    while moment <= to {
        lines.push(Line { at: moment, text: sentence(pod, container, moment) });
        moment += PACE;
    }
    if crashed {
        lines.push(Line {
            at: to,
            text: "level=error msg=\"cannot open the database\" error=\"connection refused\" attempts=5"
                .into(),
        });
        lines.push(Line { at: to, text: "panic: giving up: no database".into() });
    }
    lines
}

fn sentence(pod: &Value, container: &str, moment: i64) -> String {
    let name = object::name(pod);
    let roll = chance(name, moment);
    let ms = 3.0 + 90.0 * chance(name, moment + 1).powi(4);
    let number = (chance(name, moment + 2) * 90_000.0) as u32 + 10_000;
    if roll > 0.985 {
        return format!(
            "level=warn msg=\"slow request\" path=/{container}/{number} duration_ms={:.0}",
            ms + 900.0
        );
    }
    match container {
        "db" | "postgres" => match (roll * 3.0) as u32 {
            0 => format!(
                "LOG:  checkpoint complete: wrote {} buffers ({:.1}%); {ms:.3} s total",
                number / 100,
                ms / 10.0
            ),
            1 => format!(
                "LOG:  automatic vacuum of table \"shop.public.orders\": index scans: 1, removed {} tuples",
                number / 50
            ),
            _ => format!("LOG:  duration: {ms:.3} ms  statement: SELECT * FROM orders WHERE id = {number}"),
        },
        "payments" => {
            format!("level=info msg=\"payment captured\" order={number} provider=stripe duration_ms={ms:.0}")
        }
        "checkout" => format!(
            "level=info msg=\"order placed\" order={number} items={} duration_ms={ms:.0}",
            number % 7 + 1
        ),
        "cart" => format!("level=info msg=\"item added\" cart={number:x} duration_ms={ms:.0}"),
        "node-agent" => format!("level=info msg=\"metrics shipped\" samples={number} duration_ms={ms:.0}"),
        _ => format!("level=info msg=\"GET /\" status=200 request={number:x} duration_ms={ms:.0}"),
    }
}

/// The spec of a container by name.
pub(crate) fn container<'a>(pod: &'a Value, name: &str) -> Option<&'a Value> {
    list(pod, &["spec", "containers"])
        .iter()
        .chain(list(pod, &["spec", "initContainers"]))
        .find(|container| text(container, &["name"]) == name)
}
