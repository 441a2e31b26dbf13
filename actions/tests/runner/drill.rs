//! Drills: what is broken on purpose is given back, whoever dies, changes something else or calls it off; and who heals it is not kept from
//! it.

use super::house::{House, NAMESPACE, eventually};
use ledger::{ObjectRef, RequestId, RequestState};
use serde_json::{Value, json};

/// What a pod of the deployment is made of.
fn template(house: &House) -> Value {
    house.get("Deployment", "checkout").expect("it")["spec"]["template"]["spec"].clone()
}

async fn pods(house: &House) -> Vec<Value> {
    house.cluster().list("v1", "Pod", Some(NAMESPACE), None, None, 100).await.expect("pods")
}

/// A deployment that is drilled, and what it was before.
async fn broken(name: &str, line: &str) -> (House, RequestId, Value) {
    let house = House::new(name).await;
    house.deployment("checkout", 2).await;
    let before = template(&house);
    let id = house.ask(line).await;
    (house, id, before)
}

#[tokio::test]
async fn a_fault_that_nobody_heals_is_given_back_when_its_time_is_over() {
    for (fault, reason) in
        [("crash-loop", "CrashLoopBackOff"), ("oom", "OOMKilled"), ("bad-image", "ImagePull")]
    {
        let (house, id, before) = broken(
            &format!("drill_{}", fault.replace('-', "_")),
            &format!("drill {fault} deploy/checkout --for 6s"),
        )
        .await;
        let _runner = house.runner("w1").await;
        house.until(id, &[RequestState::Verifying]).await;
        assert_ne!(template(&house), before, "{fault}");
        eventually(&format!("a pod with {reason}"), || async {
            pods(&house).await.iter().any(|pod| pod["status"].to_string().contains(reason)).then_some(())
        })
        .await;
        let (state, note) = house.end(id).await;
        assert_eq!(state, RequestState::RolledBack, "{fault}: {note}");
        assert_eq!(template(&house), before, "{fault}");
        assert_eq!(house.keys(), [format!("{id}/1/act/0"), format!("{id}/1/undo/0")], "{fault}");
        house.idle().await;
    }
}

#[tokio::test]
async fn who_heals_it_runs_meanwhile_and_the_drill_ends_well() {
    let (house, id, before) = broken("drill_healed", "drill crash-loop deploy/checkout --for 10m").await;
    let _runner = house.runner("w1").await;
    house.until(id, &[RequestState::Verifying]).await;
    let healing = house.ask("rollback deploy/checkout").await;
    let (state, note) = house.end(healing).await;
    assert_eq!(state, RequestState::Succeeded, "{note}");
    let (state, note) = house.end(id).await;
    assert_eq!(state, RequestState::Succeeded, "{note}");
    assert_eq!(template(&house)["containers"], before["containers"]);
    assert_eq!(house.keys(), [format!("{id}/1/act/0"), format!("{healing}/1/act/0")]);
}

#[tokio::test]
async fn healing_that_did_not_help_does_not_keep_it_from_being_given_back() {
    let (house, id, before) = broken("drill_not_helped", "drill crash-loop deploy/checkout --for 8s").await;
    let _runner = house.runner("w1").await;
    house.until(id, &[RequestState::Verifying]).await;
    let mut changed = house.get("Deployment", "checkout").expect("it");
    changed["spec"]["replicas"] = json!(5);
    house.practice.apply(changed);
    let (state, note) = house.end(id).await;
    assert_eq!(state, RequestState::RolledBack, "{note}");
    assert_eq!(template(&house), before);
    assert_eq!(house.replicas("checkout"), 5);
}

#[tokio::test]
async fn called_off_it_is_given_back() {
    let (house, id, before) = broken("drill_called_off", "drill bad-image deploy/checkout --for 10m").await;
    let _runner = house.runner("w1").await;
    house.until(id, &[RequestState::Verifying]).await;
    house.cancel(id).await;
    let (state, note) = house.end(id).await;
    assert_eq!(state, RequestState::RolledBack, "{note}");
    assert!(note.contains("called off by console:bob"), "{note}");
    assert_eq!(template(&house), before);
}

#[tokio::test]
async fn whoever_is_killed_in_the_middle_of_it_another_gives_it_back() {
    for (name, state) in
        [("drill_killed_acting", RequestState::Running), ("drill_killed_waiting", RequestState::Verifying)]
    {
        let (house, id, before) = broken(name, "drill crash-loop deploy/checkout --for 5s").await;
        house.practice.faults().latency(std::time::Duration::from_millis(100));
        let first = house.runner("w1").await;
        house.until(id, &[state]).await;
        drop(first);
        let _second = house.runner("w2").await;
        let (end, note) = house.end(id).await;
        assert_eq!(end, RequestState::RolledBack, "{name}: {note}");
        assert_eq!(template(&house), before, "{name}");
        assert_eq!(house.keys(), [format!("{id}/1/act/0"), format!("{id}/1/undo/0")], "{name}");
        house.idle().await;
    }
}

#[tokio::test]
async fn a_killed_pod_is_made_anew() {
    let (house, id, _) = broken("drill_pod_kill", "drill pod-kill deploy/checkout --for 1m").await;
    let _runner = house.runner("w1").await;
    let (state, note) = house.end(id).await;
    assert_eq!(state, RequestState::Succeeded, "{note}");
    assert_eq!(pods(&house).await.len(), 2);
}

const WEBHOOK: &str = "ValidatingWebhookConfiguration";

fn webhook(house: &House) -> Option<Value> {
    house.practice.get("admissionregistration.k8s.io/v1", WEBHOOK, None, "petrel-drill-shop")
}

#[tokio::test]
async fn an_api_that_fails_in_one_namespace_fails_there_alone_and_is_given_back() {
    let (house, id, _) = broken("drill_api", "drill erroring-api ns/shop --for 8s").await;
    let first = house.runner("w1").await;
    house.until(id, &[RequestState::Verifying]).await;
    assert_eq!(webhook(&house).expect("it")["webhooks"][0]["failurePolicy"], "Fail");
    // Nobody can change anything there, Petrel neither; elsewhere everybody can.
    let refused = house.refused("scale deploy/checkout 5").await;
    assert!(refused.contains("failed calling webhook"), "{refused}");
    let object = ObjectRef {
        api_version: "v1".into(),
        kind: "ConfigMap".into(),
        namespace: Some("default".into()),
        name: "elsewhere".into(),
        uid: None,
    };
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "elsewhere"}});
    house.cluster().create(&object, &body, false).await.expect("a change elsewhere");
    // Whoever caused it dies; the next one gives it back.
    drop(first);
    let _second = house.runner("w2").await;
    let (state, note) = house.end(id).await;
    assert_eq!(state, RequestState::RolledBack, "{note}");
    assert!(webhook(&house).is_none());
    let healed = house.ask("scale deploy/checkout 3").await;
    assert_eq!(house.end(healed).await.0, RequestState::Succeeded);
    house.idle().await;
}

#[tokio::test]
async fn who_takes_the_webhook_away_ends_the_drill_and_a_slow_api_is_slow_and_not_broken() {
    let (house, id, _) = broken("drill_slow_api", "drill slow-api ns/shop --for 10m").await;
    let _runner = house.runner("w1").await;
    house.until(id, &[RequestState::Verifying]).await;
    assert_eq!(webhook(&house).expect("it")["webhooks"][0]["failurePolicy"], "Ignore");
    let twice = house.refused("drill erroring-api ns/shop --for 1m").await;
    assert!(twice.contains("has a drill of its API already"), "{twice}");
    let slow = house.ask("scale deploy/checkout 3").await;
    assert_eq!(house.end(slow).await.0, RequestState::Succeeded);
    house.practice.delete("admissionregistration.k8s.io/v1", WEBHOOK, None, "petrel-drill-shop");
    let (state, note) = house.end(id).await;
    assert_eq!(state, RequestState::Succeeded, "{note}");
}
