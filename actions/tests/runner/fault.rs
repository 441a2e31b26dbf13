//! Clusters that misbehave: whatever they do, an effect takes place once, and what cannot be known is said to be so.

use super::{
    act::cron_job,
    house::{House, NAMESPACE, eventually},
};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use ledger::RequestState;
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

#[tokio::test]
async fn an_answer_that_is_lost_after_a_patch_is_read_back_and_not_repeated() {
    let house = House::new("runner_lost_patch").await;
    house.deployment("checkout", 2).await;
    let id = house.ask("scale deploy/checkout 4").await;
    house.practice.faults().drop_answers(1);
    let _runner = house.runner("w1").await;
    assert_eq!(house.end(id).await.0, RequestState::Succeeded, "{}", house.end(id).await.1);
    assert_eq!(house.keys(), [format!("{id}/1/act/0")]);
}

#[tokio::test]
async fn an_answer_that_is_lost_after_a_create_is_read_back_and_not_repeated() {
    let house = House::new("runner_lost_create").await;
    house.practice.apply(cron_job());
    let id = house.ask("run-job cj/nightly").await;
    // The dry run of the look before the first effect loses its answer too.
    house.practice.faults().drop_answers(2);
    let _runner = house.runner("w1").await;
    assert_eq!(house.end(id).await.0, RequestState::Succeeded, "{}", house.end(id).await.1);
    assert_eq!(house.keys(), [format!("{id}/1/act/0")]);
}

#[tokio::test]
async fn an_answer_that_is_lost_after_a_delete_is_read_back_and_not_repeated() {
    let house = House::new("runner_lost_delete").await;
    house.deployment("checkout", 1).await;
    let pods = house
        .cluster()
        .list("v1", "Pod", Some(NAMESPACE), Some("app=checkout"), None, 10)
        .await
        .expect("pods");
    let pod = pods[0]["metadata"]["name"].as_str().expect("a name").to_string();
    let id = house.ask(&format!("delete-pod pod/{pod}")).await;
    house.practice.faults().drop_answers(2);
    let _runner = house.runner("w1").await;
    assert_eq!(house.end(id).await.0, RequestState::Succeeded, "{}", house.end(id).await.1);
    assert_eq!(house.effects().len(), 1);
}

#[tokio::test]
async fn server_errors_and_latency_are_waited_out() {
    let house = House::new("runner_errors").await;
    house.deployment("checkout", 2).await;
    let ids = [house.ask("scale deploy/checkout 4").await, house.ask("restart deploy/checkout").await];
    house.practice.faults().latency(Duration::from_millis(30));
    house.practice.faults().fail_share(0.3, 503);
    let _runner = house.runner("w1").await;
    for id in ids {
        assert_eq!(house.end(id).await.0, RequestState::Succeeded, "{}", house.end(id).await.1);
    }
    assert_eq!(house.keys().len(), 2);
}

#[tokio::test]
async fn a_cluster_that_stays_dead_fails_the_run_with_nothing_done() {
    let house = House::new("runner_dead").await;
    house.deployment("checkout", 2).await;
    let id = house.ask_with("scale deploy/checkout 4", |plan| plan.verify.within_s = 2).await;
    house.practice.faults().refuse(true);
    let _runner = house.runner("w1").await;
    let (state, note) = house.end(id).await;
    assert_eq!(state, RequestState::Failed);
    assert!(note.contains("nothing was done") && note.contains("Ask again"), "{note}");
    assert_eq!(house.keys(), Vec::<String>::new());
}

#[tokio::test]
async fn a_cluster_that_comes_back_in_time_is_waited_for() {
    let house = House::new("runner_back").await;
    house.deployment("checkout", 2).await;
    let id = house.ask("scale deploy/checkout 4").await;
    house.practice.faults().refuse(true);
    let _runner = house.runner("w1").await;
    house.until(id, &[RequestState::Running]).await;
    house.practice.faults().refuse(false);
    assert_eq!(house.end(id).await.0, RequestState::Succeeded, "{}", house.end(id).await.1);
}

#[tokio::test]
async fn an_effect_that_cannot_be_read_back_is_unknown_and_says_where_to_look() {
    let house = House::new("runner_unknown").await;
    house.deployment("checkout", 2).await;
    let id = house.ask_with("scale deploy/checkout 4", |plan| plan.verify.within_s = 2).await;
    // Slow enough that the cluster is dead before the read-back is answered.
    house.practice.faults().latency(Duration::from_millis(300));
    house.practice.faults().drop_answers(1);
    let _runner = house.runner("w1").await;
    eventually("the effect", || async { (!house.keys().is_empty()).then_some(()) }).await;
    house.practice.faults().refuse(true);
    let (state, note) = house.end(id).await;
    assert_eq!(state, RequestState::Unknown, "{note}");
    assert!(
        note.contains(&format!("{id}/1/act/0"))
            && note.contains("describe deployment/checkout -n shop -c prod"),
        "{note}"
    );
}

#[tokio::test]
async fn a_controller_that_writes_ten_times_a_second_does_not_fail_the_run() {
    let house = House::new("runner_busy").await;
    house.deployment("checkout", 2).await;
    let id = house.ask("scale deploy/checkout 4").await;
    house.practice.faults().latency(Duration::from_millis(2));
    let written = Arc::new(AtomicU32::new(0));
    let statuses: Api<Deployment> = Api::namespaced(house.client().await, NAMESPACE);
    let busy = tokio::spawn({
        let written = written.clone();
        async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(100));
            loop {
                ticks.tick().await;
                let status = json!({"status": {"collisionCount": written.load(SeqCst)}});
                let done =
                    statuses.patch_status("checkout", &PatchParams::default(), &Patch::Merge(status)).await;
                written.fetch_add(u32::from(done.is_ok()), SeqCst);
            }
        }
    });
    eventually("its first writes", || async { (written.load(SeqCst) > 3).then_some(()) }).await;
    let _runner = house.runner("w1").await;
    assert_eq!(house.end(id).await.0, RequestState::Succeeded, "{}", house.end(id).await.1);
    assert_eq!(house.view(id).await.request.revision, 1);
    assert_eq!(house.keys(), [format!("{id}/1/act/0")]);
    busy.abort();
}

#[tokio::test]
async fn an_effect_that_is_not_allowed_fails_with_nothing_done() {
    let house = House::new("runner_invalid").await;
    house.deployment("checkout", 2).await;
    let id = house
        .ask_with("scale deploy/checkout 4", |plan| match &mut plan.steps[0] {
            ledger::Step::Patch { body, .. } => *body = json!({"spec": {"replicas": -1}}),
            _ => unreachable!("scale is a patch"),
        })
        .await;
    let _runner = house.runner("w1").await;
    let (state, note) = house.end(id).await;
    assert_eq!(state, RequestState::Failed);
    assert!(note.contains("nothing was done") && note.contains("invalid"), "{note}");
}
