//! Effects that do not help: they are undone, and only if nobody has touched the target since (G7).

use super::house::{House, deployment, eventually};
use actions::cluster::ClusterConfig;
use ledger::{Condition, ObjectRef, RequestState, StepState};
use serde_json::json;

#[tokio::test]
async fn an_image_that_crashes_is_undone() {
    let house = House::new("runner_crash_image").await;
    house.deployment("checkout", 2).await;
    let _runner = house.runner("w1").await;
    let id = house.ask("set-image deploy/checkout app=crash").await;
    let (state, note) = house.end(id).await;
    assert_eq!(state, RequestState::RolledBack, "{note}");
    assert!(note.contains("CrashLoopBackOff") && note.contains("Undone"), "{note}");
    assert_eq!(house.image("checkout"), "shop/app:1");
    assert_eq!(house.keys(), [format!("{id}/1/act/0"), format!("{id}/1/undo/0")]);
    let states: Vec<StepState> = house.view(id).await.steps.iter().map(|step| step.state).collect();
    assert_eq!(states, [StepState::Done, StepState::Done]);
}

#[tokio::test]
async fn what_someone_changed_meanwhile_is_not_undone() {
    let house = House::new("runner_changed").await;
    house.deployment("checkout", 2).await;
    let _runner = house.runner("w1").await;
    let id = house.ask("set-image deploy/checkout app=crash").await;
    house.until(id, &[RequestState::Verifying]).await;
    let mut changed = house.get("Deployment", "checkout").expect("it");
    changed["spec"]["replicas"] = json!(5);
    house.practice.apply(changed);
    let (state, note) = house.end(id).await;
    assert_eq!(state, RequestState::Failed, "{note}");
    assert!(
        note.contains("Not undone: someone or something else has changed Deployment checkout since"),
        "{note}"
    );
    assert_eq!((house.image("checkout").as_str(), house.replicas("checkout")), ("crash", 5));
    assert_eq!(house.keys(), [format!("{id}/1/act/0")]);
}

#[tokio::test]
async fn what_someone_put_right_by_hand_is_not_undone_either() {
    let house = House::new("runner_replaced").await;
    house.deployment("checkout", 2).await;
    let _runner = house.runner("w1").await;
    let id = house.ask("set-image deploy/checkout app=crash").await;
    house.until(id, &[RequestState::Verifying]).await;
    // Without our annotation, as a replace from a file would.
    house.practice.apply(deployment("checkout", 2, "shop/app:3"));
    let (state, _) = house.end(id).await;
    assert!(
        [RequestState::Failed, RequestState::Succeeded].contains(&state),
        "healthy again, whoever did it: {state:?}"
    );
    assert_eq!(house.image("checkout"), "shop/app:3");
}

#[tokio::test]
async fn time_that_runs_out_fails_and_is_undone() {
    let house = House::new("runner_late").await;
    house.deployment("checkout", 2).await;
    let never = |plan: &mut ledger::Plan| {
        plan.verify.within_s = 1;
        let object = plan.steps[0].object().clone();
        plan.verify.conditions =
            vec![Condition::Field { object, pointer: "/spec/paused".into(), equals: json!(true) }];
    };
    let id = house.ask_with("scale deploy/checkout 4", never).await;
    let _runner = house.runner("w1").await;
    let (state, note) = house.end(id).await;
    assert_eq!(state, RequestState::RolledBack, "{note}");
    assert!(note.contains("time is up"), "{note}");
    assert_eq!(house.replicas("checkout"), 2);
}

#[tokio::test]
async fn what_cannot_be_looked_at_is_not_a_success() {
    let mut house = House::new("runner_inconclusive").await;
    house.deployment("checkout", 2).await;
    let request = house
        .planned("scale deploy/checkout 4", |plan| {
            plan.verify.within_s = 1;
            let object = ObjectRef { name: "hidden".into(), ..plan.steps[0].object().clone() };
            plan.verify.conditions.push(Condition::RolloutComplete {
                object: ObjectRef { kind: "Secret".into(), api_version: "v1".into(), uid: None, ..object },
            });
        })
        .await;
    // A token that may change deployments and read nothing else.
    let allowed: [(&str, &[&str]); 2] =
        [("deployments", &["get", "list", "patch"]), ("replicasets", &["list"])];
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), house.practice.limited_kubeconfig(&allowed)).expect("written");
    let config = ClusterConfig { kubeconfig: Some(file.path().to_path_buf()), ..house.config.clone() };
    house.config = config;
    let id = house.submit(&request).await;
    let _runner = house.runner("w1").await;
    let (state, note) = house.end(id).await;
    assert_eq!(state, RequestState::RolledBack, "{note}");
    assert!(note.contains("inconclusive") && note.contains("does not allow"), "{note}");
}

#[tokio::test]
async fn a_runner_that_stops_in_the_middle_hands_over_at_once() {
    let house = House::new("runner_stop").await;
    house.deployment("checkout", 2).await;
    let first = house.runner_with("w1", std::time::Duration::from_secs(3600)).await;
    let id = house.ask("set-image deploy/checkout app=crash").await;
    house.until(id, &[RequestState::Verifying]).await;
    first.stop().await;
    assert_eq!(house.view(id).await.request.state, RequestState::Verifying);
    let _second = house.runner("w2").await;
    assert_eq!(house.end(id).await.0, RequestState::RolledBack);
    let run = eventually("the run", || async { house.view(id).await.run }).await;
    assert_eq!(run.attempt, 2);
    assert_eq!(house.keys(), [format!("{id}/1/act/0"), format!("{id}/1/undo/0")], "and no step twice");
}
