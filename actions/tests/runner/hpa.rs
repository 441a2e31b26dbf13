//! Autoscalers: proposed from metrics, changed once, verified, put back.

use super::house::{CLUSTER, House, NAMESPACE, deployment};
use crate::metric::standin::StandIn;
use actions::catalogue::{self, PlanContext, PlanError, Watch};
use forecast::capacity::watch::Bounds;
use ledger::{Plan, RequestId, RequestState, Target};
use serde_json::{Value, json};
use std::{
    f64::consts::TAU,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

/// Cores that a day's wave takes at a moment, with noise of so much around it.
fn cores(at: i64, noise: f64) -> f64 {
    let wobble = ((at / 300).wrapping_mul(2_654_435_761) % 1000) as f64 / 500.0 - 1.0;
    (3.0 + 2.0 * ((at % 86_400) as f64 / 86_400.0 * TAU).sin()) * (1.0 + noise * wobble)
}

/// Answers ranges: cpu as above, requests that cost 2m each, and twelve replicas.
async fn prometheus(noise: f64) -> StandIn {
    surging(noise, Arc::default()).await
}

/// The same; once `surge` is set, what is newer than now is twenty times as much.
async fn surging(noise: f64, surge: Arc<AtomicBool>) -> StandIn {
    let now = jiff::Timestamp::now().as_second();
    StandIn::start(move |line| {
        let cores =
            |at: i64, noise: f64| cores(at, noise) * if at > now && surge.load(SeqCst) { 20.0 } else { 1.0 };
        let number = |name: &str| -> i64 {
            let after = line.split(&format!("{name}=")).nth(1).expect("a range");
            after.split(['&', ' ']).next().and_then(|text| text.parse().ok()).expect("a number")
        };
        let value = |at: i64| match line {
            line if line.contains("http_requests_total") => (cores(at, noise) - 0.3) / 0.002,
            line if line.contains("kube_deployment_") => 12.0,
            _ => cores(at, noise),
        };
        let moments = (number("start")..=number("end")).step_by(number("step") as usize);
        let points: Vec<String> = moments.map(|at| format!(r#"[{at},"{}"]"#, value(at))).collect();
        let data = format!(
            r#"{{"resultType":"matrix","result":[{{"metric":{{}},"values":[{}]}}]}}"#,
            points.join(",")
        );
        (200, format!(r#"{{"status":"success","data":{data}}}"#))
    })
    .await
}

async fn shop(house: &House, hpa: Option<Value>) {
    let mut checkout = deployment("checkout", 6, "shop/app:1");
    checkout["spec"]["template"]["spec"]["containers"][0]["resources"] =
        json!({"requests": {"cpu": "500m"}, "limits": {"cpu": "1"}});
    // So that the practice cluster's own autoscaler rests.
    checkout["spec"]["template"]["metadata"]["annotations"] = json!({"practice.petrel.dev/cpu": "300m"});
    house.practice.apply(checkout);
    if let Some(spec) = hpa {
        house.practice.apply(json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "checkout-hpa", "namespace": NAMESPACE}, "spec": spec}));
    }
    house.practice.settled().await;
}

fn generous() -> Value {
    let target = json!({"type": "Utilization", "averageUtilization": 40});
    json!({"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"},
        "minReplicas": 2, "maxReplicas": 40, "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]})
}

fn spec(house: &House, name: &str) -> Option<Value> {
    let hpa = house.practice.get("autoscaling/v2", "HorizontalPodAutoscaler", Some(NAMESPACE), name)?;
    Some(hpa["spec"].clone())
}

async fn plan(house: &House, line: &str, at: &str) -> Result<Plan, PlanError> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let action = catalogue::action(words[0]).expect("an action");
    let matches = action.command().try_get_matches_from(&words).expect("an understandable line");
    let (named, parameters) = action.parse(&matches).expect("a sensible line");
    let (cluster, namespace) = (CLUSTER.to_string(), Some(NAMESPACE.to_string()));
    let target = Target { cluster, namespace, kind: named.kind, name: named.name, uid: None };
    let context = PlanContext {
        cluster: &house.cluster(),
        target: &target,
        parameters: &parameters,
        request: RequestId::new(),
        at: at.parse().expect("a time"),
    };
    action.plan(context).await
}

#[tokio::test]
async fn a_proposal_changes_the_autoscaler_once_is_verified_and_is_put_back() {
    let surge = Arc::new(AtomicBool::new(false));
    let house = House::measured("runner_hpa", &surging(0.02, Arc::clone(&surge)).await.url).await;
    shop(&house, Some(generous())).await;
    let before = spec(&house, "checkout-hpa").expect("the HPA");
    let _runner = house.runner("w1").await;

    let id = house.ask("hpa propose deploy/checkout").await;
    assert_eq!(house.end(id).await.0, RequestState::Succeeded, "{}", house.end(id).await.1);
    let after = spec(&house, "checkout-hpa").expect("the HPA");
    let target = &after["metrics"][0]["resource"]["target"]["averageUtilization"];
    assert!(target.as_u64().is_some_and(|target| target > 40), "{after}");
    // What carries the load of now at full use of the requests.
    let needed = (cores(jiff::Timestamp::now().as_second(), 0.0) / 0.5 * 0.9).floor() as u64;
    assert!(after["minReplicas"].as_u64().is_some_and(|min| min >= needed), "{after}, needed {needed}");
    assert_eq!(after["maxReplicas"], 40, "a maximum is never lowered");
    assert_eq!(house.keys(), [format!("{id}/1/act/0")]);
    let facts = house.view(id).await.request.plan.blast.facts;
    let labels: Vec<&str> = facts.iter().map(|(label, _)| label.as_str()).collect();
    assert!(labels.starts_with(&["Now", "Proposed", "Floor to come", "Last 24 h, replayed"]), "{labels:?}");
    assert!(
        facts.iter().any(|(label, value)| label == "Forecast" && value.starts_with("MAPE ")),
        "{facts:?}"
    );

    // Asked again a moment later, there is nothing to do; a step later the state before Petrel is still kept.
    let request = house.view(id).await.request;
    let propose =
        async |at: jiff::Timestamp| plan(&house, "hpa propose deploy/checkout", &at.to_string()).await;
    let again = propose(request.created_at).await.unwrap_err();
    assert!(again.to_string().contains("move its floor by a tenth or less"), "{again}");
    // At one of these hours the wave is at another height.
    let mut step = None;
    for hours in [6, 9, 12] {
        step = step.or(propose(request.created_at - jiff::SignedDuration::from_hours(hours)).await.ok());
    }
    let step = step.expect("another floor at another hour");
    assert!(step.blast.facts.iter().any(|(label, _)| label == "Compared with"), "{:?}", step.blast.facts);
    let ledger::Step::Patch { body, .. } = &step.steps[0] else { panic!("{:?}", step.steps) };
    let kept = body["metadata"]["annotations"]["petrel.dev/previous-hpa"].as_str().expect("an annotation");
    assert_eq!(serde_json::from_str::<Value>(kept).expect("a spec"), before);

    // As foreseen, an hour later. Had the load been another, it would be put back.
    let bounds = Bounds::default();
    let hour = request.updated_at + jiff::SignedDuration::from_hours(1);
    let watch = Watch::begin(&house.cluster(), &request).await.unwrap().expect("a forecast");
    let seen = watch.look(&house.cluster(), hour).await.unwrap().expect("as proposed");
    assert_eq!(seen.record.outside(&bounds), None, "{seen:?}");
    assert!(seen.record.watched.as_secs() > 3000 && seen.record.error.unwrap() < 0.1, "{seen:?}");
    surge.store(true, SeqCst);
    let seen = watch.look(&house.cluster(), hour).await.unwrap().expect("as proposed");
    let outside = seen.record.outside(&bounds).expect("drift").to_string();
    assert!(outside.starts_with("capacity was short for "), "{outside}");
    surge.store(false, SeqCst);

    let back = house.ask("hpa rollback deploy/checkout").await;
    assert_eq!(house.end(back).await.0, RequestState::Succeeded, "{}", house.end(back).await.1);
    assert_eq!(spec(&house, "checkout-hpa"), Some(before));
    assert_eq!(
        watch.look(&house.cluster(), hour).await.unwrap(),
        None,
        "put back, it is no business of ours"
    );
    let again = plan(&house, "hpa rollback deploy/checkout", "2026-11-21T12:00:00Z").await.unwrap_err();
    assert!(again.to_string().contains("Petrel has changed no HPA"), "{again}");
}

#[tokio::test]
async fn where_there_is_none_one_is_made_and_its_rollback_takes_it_away() {
    let house = House::measured("runner_hpa_new", &prometheus(0.02).await.url).await;
    shop(&house, None).await;
    let _runner = house.runner("w1").await;
    let id = house.ask("hpa propose deploy/checkout --load qps").await;
    assert_eq!(house.end(id).await.0, RequestState::Succeeded, "{}", house.end(id).await.1);
    assert!(spec(&house, "checkout").is_some());
    let facts = house.view(id).await.request.plan.blast.facts;
    let learnt = facts.iter().find(|(label, _)| label == "Load to cpu").expect("what a request costs");
    assert!(learnt.1.starts_with("2.0m each, a pod without load 25m"), "{learnt:?}");
    let back = house.ask("hpa rollback deploy/checkout").await;
    assert_eq!(house.end(back).await.0, RequestState::Succeeded, "{}", house.end(back).await.1);
    assert_eq!(spec(&house, "checkout"), None);
}

#[tokio::test]
async fn a_load_that_cannot_be_foreseen_keeps_the_autoscaler_that_reacts() {
    let house = House::measured("runner_hpa_keep", &prometheus(0.9).await.url).await;
    shop(&house, Some(generous())).await;
    let kept = plan(&house, "hpa propose deploy/checkout", "2026-11-21T12:00:00Z").await.unwrap_err();
    let said = kept.to_string();
    assert!(
        said.starts_with(
            "nothing to do: HPA checkout-hpa stays at 2 to 40 pods at 40 %: it goes on reacting"
        ),
        "{said}"
    );
    assert!(said.contains("above 15 % nothing is done ahead of time"), "{said}");
}

#[tokio::test]
async fn planning_again_gives_the_same_plan() {
    let house = House::measured("runner_hpa_same", &prometheus(0.02).await.url).await;
    shop(&house, Some(generous())).await;
    let at = "2026-11-21T12:00:07Z";
    let first = plan(&house, "hpa propose deploy/checkout", at).await.unwrap();
    let second = plan(&house, "hpa propose deploy/checkout", at).await.unwrap();
    assert_eq!(first.digest(), second.digest());
}

#[tokio::test]
async fn an_autoscaler_of_another_kind_is_left_alone_and_a_missing_prometheus_is_named() {
    let house = House::measured("runner_hpa_other", &prometheus(0.02).await.url).await;
    let mut memory = generous();
    memory["metrics"][0]["resource"]["name"] = "memory".into();
    shop(&house, Some(memory)).await;
    let at = "2026-11-21T12:00:00Z";
    let refused = plan(&house, "hpa propose deploy/checkout", at).await.unwrap_err().to_string();
    assert!(
        refused.contains("HPA checkout-hpa stays as it is: it does not scale by the utilisation of cpu"),
        "{refused}"
    );
    let unmeasured = House::new("runner_hpa_unmeasured").await;
    shop(&unmeasured, Some(generous())).await;
    let refused = plan(&unmeasured, "hpa propose deploy/checkout", at).await.unwrap_err().to_string();
    assert!(refused.contains("no Prometheus is configured for cluster prod"), "{refused}");
}
