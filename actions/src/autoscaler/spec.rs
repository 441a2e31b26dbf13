//! A HorizontalPodAutoscaler as an object, and as what decides.

use super::floors::{FLOORS, Floors};
use crate::cluster::{Cluster, ClusterError};
use forecast::capacity::replay::{Autoscaler, Change, Policy, Rules, Select};
use ledger::ObjectRef;
use serde_json::{Value, json};
use std::time::Duration;

/// What the HPA was before Petrel changed it, as JSON: its `spec`, or `null` where there was none.
pub(crate) const PREVIOUS: &str = "petrel.dev/previous-hpa";
const API: &str = "autoscaling/v2";
const KIND: &str = "HorizontalPodAutoscaler";
/// Objects of one kind that we look at in a namespace.
const MOST: u32 = 5_000;

/// The HPAs that set this workload's replicas, as read.
pub(crate) async fn of_workload(cluster: &Cluster, workload: &ObjectRef) -> Result<Vec<Value>, ClusterError> {
    let mut all = cluster.list(API, KIND, workload.namespace.as_deref(), None, None, MOST).await?;
    all.retain(|hpa| {
        let target = &hpa["spec"]["scaleTargetRef"];
        target["kind"] == workload.kind.as_str() && target["name"] == workload.name.as_str()
    });
    Ok(all)
}

/// What decides, if it scales by the utilisation of this resource and nothing else. The error says by what it scales.
pub(crate) fn autoscaler(hpa: &Value, resource: &str) -> Result<Autoscaler, String> {
    let spec = &hpa["spec"];
    let metrics = spec["metrics"].as_array().map(Vec::as_slice).unwrap_or_default();
    let [metric] = metrics else {
        return Err(format!("it scales by {} metrics, and a proposal is for one", metrics.len()));
    };
    let percent = metric["resource"]["target"]["averageUtilization"].as_u64();
    let Some(percent) = percent.filter(|_| metric["resource"]["name"] == resource) else {
        return Err(format!("it does not scale by the utilisation of {resource}"));
    };
    let number = |field: &str| spec[field].as_u64().and_then(|count| u32::try_from(count).ok()).unwrap_or(1);
    let behavior = &spec["behavior"];
    Ok(Autoscaler {
        min: number("minReplicas"),
        max: number("maxReplicas"),
        target: u32::try_from(percent).unwrap_or(u32::MAX),
        up: rules(&behavior["scaleUp"], Rules::up()),
        down: rules(&behavior["scaleDown"], Rules::down()),
    })
}

fn rules(behavior: &Value, usual: Rules) -> Rules {
    let policies = behavior["policies"].as_array().map(|all| all.iter().filter_map(policy).collect());
    Rules {
        window: behavior["stabilizationWindowSeconds"].as_u64().map_or(usual.window, Duration::from_secs),
        policies: policies.unwrap_or(usual.policies),
        select: match behavior["selectPolicy"].as_str() {
            Some("Min") => Select::Min,
            Some("Disabled") => Select::Disabled,
            Some(_) => Select::Max,
            None => usual.select,
        },
    }
}

fn policy(policy: &Value) -> Option<Policy> {
    let value = policy["value"].as_u64().and_then(|value| u32::try_from(value).ok())?;
    let change = match policy["type"].as_str()? {
        "Pods" => Change::Pods(value),
        "Percent" => Change::Percent(value),
        _ => return None,
    };
    Some(Policy { change, period: Duration::from_secs(policy["periodSeconds"].as_u64()?) })
}

/// The fields that a proposal sets. What else the HPA says stays.
pub(crate) fn changed(wanted: &Autoscaler, resource: &str) -> Value {
    let target = json!({"type": "Utilization", "averageUtilization": wanted.target});
    json!({
        "minReplicas": wanted.min.max(1),
        "maxReplicas": wanted.max.max(1),
        "metrics": [{"type": "Resource", "resource": {"name": resource, "target": target}}],
    })
}

/// A whole new HPA for a workload.
pub(crate) fn written(
    workload: &ObjectRef,
    wanted: &Autoscaler,
    floors: Option<&Floors>,
    resource: &str,
) -> (ObjectRef, Value) {
    let object = ObjectRef {
        api_version: API.into(),
        kind: KIND.into(),
        namespace: workload.namespace.clone(),
        name: workload.name.clone(),
        uid: None,
    };
    let mut spec = changed(wanted, resource);
    spec["scaleTargetRef"] =
        json!({"apiVersion": workload.api_version, "kind": workload.kind, "name": workload.name});
    let mut metadata =
        json!({"name": object.name, "namespace": object.namespace, "annotations": {PREVIOUS: "null"}});
    if let Some(floors) = floors {
        metadata["annotations"][FLOORS] = floors.text().into();
    }
    let body = json!({"apiVersion": API, "kind": KIND, "metadata": metadata, "spec": spec});
    (object, body)
}

/// What was before Petrel's last change: `Some(Null)` is that there was none, `None` that Petrel has not changed it.
pub(crate) fn previous(hpa: &Value) -> Option<Value> {
    let text = hpa["metadata"]["annotations"][PREVIOUS].as_str()?;
    serde_json::from_str(text).ok().filter(|spec: &Value| spec.is_null() || spec["maxReplicas"].is_u64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hpa(behavior: Value) -> Value {
        json!({"spec": {"minReplicas": 2, "maxReplicas": 20, "behavior": behavior, "metrics": [
            {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}}]}})
    }

    #[test]
    fn an_hpa_without_behaviour_has_the_usual_one() {
        assert_eq!(autoscaler(&hpa(Value::Null), "cpu"), Ok(Autoscaler::new(2, 20, 70)));
    }

    #[test]
    fn behaviour_is_read_as_it_stands() {
        let read = autoscaler(
            &hpa(json!({"scaleDown": {"stabilizationWindowSeconds": 60, "selectPolicy": "Min",
                "policies": [{"type": "Pods", "value": 2, "periodSeconds": 120}]}})),
            "cpu",
        )
        .unwrap();
        let policy = Policy { change: Change::Pods(2), period: Duration::from_secs(120) };
        assert_eq!(
            read.down,
            Rules { window: Duration::from_secs(60), policies: vec![policy], select: Select::Min }
        );
        assert_eq!(read.up, Rules::up());
    }

    #[test]
    fn an_hpa_by_something_else_is_left_alone() {
        assert!(autoscaler(&hpa(Value::Null), "memory").unwrap_err().contains("utilisation of memory"));
        let mut two = hpa(Value::Null);
        two["spec"]["metrics"].as_array_mut().unwrap().push(json!({"type": "External"}));
        assert!(autoscaler(&two, "cpu").unwrap_err().contains("2 metrics"));
    }

    #[test]
    fn what_was_before_is_read_back_only_where_it_is_an_hpa() {
        let of = |text: &str| previous(&json!({"metadata": {"annotations": {PREVIOUS: text}}}));
        assert_eq!(of("null"), Some(Value::Null));
        assert_eq!(of(r#"{"maxReplicas":5}"#), Some(json!({"maxReplicas": 5})));
        assert_eq!(of(r#"{"replicas":5}"#), None);
        assert_eq!(of("nonsense"), None);
        assert_eq!(previous(&json!({"metadata": {}})), None);
    }
}
