//! HorizontalPodAutoscalers, by cpu and memory.

use super::{Control, Task, event, pod};
use crate::load;
use crate::managed;
use crate::object::{self, at, is_deleting, list, number, text};
use crate::quantity;
use crate::selector::Labels;
use crate::store::{Place, Store};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const SOURCE: &str = "horizontal-pod-autoscaler";
const PERIOD: Duration = Duration::from_secs(15);

pub(crate) fn sync(control: &mut Control<'_>, place: &Place) {
    let Some(hpa) = control.get("horizontalpodautoscalers.autoscaling", place) else { return };
    if is_deleting(&hpa) {
        return;
    }
    control.work.after(PERIOD, Task::Autoscaler(place.clone()), false);
    let resource = control.resource("horizontalpodautoscalers.autoscaling");
    let mut status = hpa["status"].clone();
    if status.is_null() {
        status = json!({});
    }
    let target = at(&hpa, &["spec", "scaleTargetRef"]);
    let of = control.store.registry.of_kind(text(target, &["apiVersion"]), text(target, &["kind"]));
    let found = of.and_then(|of| Some((control.store.get(&of.id(), &place.0, text(target, &["name"]))?, of)));
    let Some((workload, of)) = found else {
        pod::set_condition(
            &mut status,
            "AbleToScale",
            "False",
            "FailedGetScale",
            "the HPA controller was unable to get the target's current scale",
        );
        control.store.put_status(&resource, &hpa, status);
        return;
    };
    pod::set_condition(
        &mut status,
        "AbleToScale",
        "True",
        "ReadyForNewScale",
        "recommended size matches current size",
    );
    let current = number(&workload, &["spec", "replicas"]).unwrap_or(1);
    status["currentReplicas"] = json!(current);
    let pods: Vec<Arc<Value>> = Labels::of(&workload["spec"]["selector"])
        .map(|selector| {
            control
                .store
                .list("pods", &place.0)
                .filter(|one| {
                    selector.matches(object::labels(one)) && pod::is_active(one) && pod::is_ready(one)
                })
                .cloned()
                .collect()
        })
        .unwrap_or_default();
    let (mut wanted, mut metrics) = (None::<i64>, Vec::new());
    for metric in
        list(&hpa, &["spec", "metrics"]).iter().filter(|metric| text(metric, &["type"]) == "Resource")
    {
        if let Some((replicas, shown)) = judge(control.store, metric, &pods, current) {
            wanted = Some(wanted.unwrap_or(0).max(replicas));
            metrics.push(shown);
        }
    }
    if !metrics.is_empty() {
        status["currentMetrics"] = Value::Array(metrics);
    }
    let desired = match wanted {
        _ if current == 0 => {
            pod::set_condition(
                &mut status,
                "ScalingActive",
                "False",
                "ScalingDisabled",
                "scaling is disabled since the replica count of the target is zero",
            );
            0
        }
        None => {
            pod::set_condition(
                &mut status,
                "ScalingActive",
                "False",
                "FailedGetResourceMetric",
                "the HPA was unable to compute the replica count: no metrics",
            );
            current
        }
        Some(wanted) => {
            pod::set_condition(
                &mut status,
                "ScalingActive",
                "True",
                "ValidMetricFound",
                "the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)",
            );
            limit(control, place, &hpa, &mut status, wanted)
        }
    };
    status["desiredReplicas"] = json!(desired);
    if desired != current {
        status["lastScaleTime"] = json!(object::now());
        pod::set_condition(
            &mut status,
            "AbleToScale",
            "True",
            "SucceededRescale",
            &format!("the HPA controller was able to update the target scale to {desired}"),
        );
        let mut new = (*workload).clone();
        object::set(&mut new, &["spec", "replicas"], json!(desired));
        object::set(
            &mut new,
            &["metadata", "generation"],
            json!(object::generation(&workload).unwrap_or(0) + 1),
        );
        // Who scales owns the number: an apply that states another one conflicts, as it should.
        managed::after_update(&workload, &mut new, "kube-controller-manager", "scale", of.custom);
        control.store.commit(&of, Some(workload.clone()), Some(new));
        let why = if desired > current {
            "cpu resource utilization (percentage of request) above target"
        } else {
            "All metrics below target"
        };
        event::record(
            control,
            &hpa,
            SOURCE,
            false,
            "SuccessfulRescale",
            &format!("New size: {desired}; reason: {why}"),
        );
    }
    control.store.put_status(&resource, &hpa, status);
}

/// How many replicas one metric asks for, and how it is shown.
fn judge(store: &Store, metric: &Value, pods: &[Arc<Value>], current: i64) -> Option<(i64, Value)> {
    let resource = text(metric, &["resource", "name"]);
    let target = at(metric, &["resource", "target"]);
    let now = jiff::Timestamp::now().as_second() as f64;
    let (mut used, mut asked) = (0.0, 0.0);
    for (pod, container) in pods
        .iter()
        .flat_map(|pod| list(pod, &["spec", "containers"]).iter().map(move |container| (pod, container)))
    {
        let uses = load::Meter::read(store, pod, container).at(now);
        used += if resource == "cpu" { uses.cores } else { uses.bytes };
        asked += quantity::parse(at(container, &["resources", "requests", resource])).unwrap_or(0.0);
    }
    if pods.is_empty() {
        return None;
    }
    let average = used / pods.len() as f64;
    let mut shown = json!({"averageValue": if resource == "cpu" { format!("{}m", (average * 1000.0) as i64) } else { format!("{}", average as i64) }});
    let ratio = match number(target, &["averageUtilization"]) {
        Some(percent) if asked > 0.0 => {
            let is = used / asked * 100.0;
            shown["averageUtilization"] = json!(is as i64);
            is / percent as f64
        }
        Some(_) => return None,
        None => average / quantity::parse(&target["averageValue"])?,
    };
    let replicas =
        if (ratio - 1.0).abs() <= 0.1 { current } else { (ratio * pods.len() as f64).ceil() as i64 };
    Some((replicas, json!({"type": "Resource", "resource": {"name": resource, "current": shown}})))
}

/// Within the bounds, and down only as far as the highest recommendation of the stabilization window.
fn limit(control: &mut Control<'_>, place: &Place, hpa: &Value, status: &mut Value, wanted: i64) -> i64 {
    let window = number(hpa, &["spec", "behavior", "scaleDown", "stabilizationWindowSeconds"])
        .unwrap_or(300)
        .max(0) as u64;
    let now = Instant::now();
    let lately = control.work.recommendations.entry(place.clone()).or_default();
    lately.retain(|(at, _)| now.duration_since(*at) <= Duration::from_secs(window));
    lately.push((now, wanted));
    let current = number(status, &["currentReplicas"]).unwrap_or(1);
    let highest = lately.iter().map(|(_, replicas)| *replicas).max().unwrap_or(wanted);
    let calm = if wanted < current { highest.min(current).max(wanted) } else { wanted };
    let (min, max) = (
        number(hpa, &["spec", "minReplicas"]).unwrap_or(1),
        number(hpa, &["spec", "maxReplicas"]).unwrap_or(1),
    );
    let bounded = calm.clamp(min.min(max), max);
    match bounded {
        bounded if bounded < calm => pod::set_condition(
            status,
            "ScalingLimited",
            "True",
            "TooManyReplicas",
            "the desired replica count is more than the maximum replica count",
        ),
        bounded if bounded > calm => pod::set_condition(
            status,
            "ScalingLimited",
            "True",
            "TooFewReplicas",
            "the desired replica count is less than the minimum replica count",
        ),
        _ => pod::set_condition(
            status,
            "ScalingLimited",
            "False",
            "DesiredWithinRange",
            "the desired count is within the acceptable range",
        ),
    }
    bounded
}
