//! Runs that go well, and plans that do not hold any more.

use super::house::{CLUSTER, House, NAMESPACE, deployment, eventually};
use ledger::{RequestState, StepState};
use practice::PracticeConfig;
use serde_json::json;

#[tokio::test]
async fn every_change_of_a_workload_takes_effect_once_and_is_verified() {
    let house = House::new("runner_actions").await;
    house.deployment("checkout", 3).await;
    let _runner = house.runner("w1").await;
    let lines = [
        "scale deploy/checkout 5",
        "restart deploy/checkout",
        "pause deploy/checkout",
        "resume deploy/checkout",
        "set-image deploy/checkout app=shop/app:2",
        "set-resources deploy/checkout --container app --requests cpu=100m",
        "rollback deploy/checkout",
    ];
    for line in lines {
        let id = house.ask(line).await;
        assert_eq!(house.end(id).await.0, RequestState::Succeeded, "{line}: {}", house.end(id).await.1);
        let keys: Vec<String> =
            house.keys().into_iter().filter(|key| key.starts_with(&id.to_string())).collect();
        assert_eq!(keys, [format!("{id}/1/act/0")], "{line}");
        let view = house.view(id).await;
        assert_eq!(view.steps.iter().map(|step| step.state).collect::<Vec<_>>(), [StepState::Done], "{line}");
    }
    assert_eq!(house.effects().len(), lines.len(), "and nothing else was written");
    assert_eq!(house.replicas("checkout"), 5);
    house.idle().await;
}

#[tokio::test]
async fn a_pod_is_deleted_once_and_its_successor_is_left_alone() {
    let house = House::new("runner_delete_pod").await;
    house.deployment("checkout", 2).await;
    let pods = house
        .cluster()
        .list("v1", "Pod", Some(NAMESPACE), Some("app=checkout"), None, 10)
        .await
        .expect("pods");
    let pod = pods[0]["metadata"]["name"].as_str().expect("a name");
    let _runner = house.runner("w1").await;
    let id = house.ask(&format!("delete-pod pod/{pod}")).await;
    assert_eq!(house.end(id).await.0, RequestState::Succeeded, "{}", house.end(id).await.1);
    assert!(house.get("Pod", pod).is_none());
    assert_eq!(house.effects().iter().map(|call| call.verb.as_str()).collect::<Vec<_>>(), ["delete"]);
}

#[tokio::test]
async fn a_job_is_created_once_and_watched_to_its_end() {
    let house = House::new("runner_job").await;
    house.practice.apply(cron_job());
    let _runner = house.runner("w1").await;
    let id = house.ask("run-job cj/nightly").await;
    assert_eq!(house.end(id).await.0, RequestState::Succeeded, "{}", house.end(id).await.1);
    assert_eq!(house.keys(), [format!("{id}/1/act/0")]);
}

pub fn cron_job() -> serde_json::Value {
    let container = json!({"name": "app", "image": "shop/report:1"});
    json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "nightly", "namespace": NAMESPACE},
        "spec": {"schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}}},
    })
}

#[tokio::test]
async fn a_plan_that_would_differ_now_is_asked_again_and_nothing_is_done() {
    let house = House::new("runner_replan_asks").await;
    house.deployment("checkout", 2).await;
    let id = house.ask("set-image deploy/checkout app=shop/app:2").await;
    house.practice.apply(deployment("checkout", 2, "shop/app:9"));
    let _runner = house.runner("w1").await;
    let view = house.until(id, &[RequestState::Awaiting]).await;
    assert_eq!(view.request.state, RequestState::Awaiting, "policy wants a vote on this one");
    assert_eq!(view.request.revision, 2);
    assert_eq!(house.keys(), Vec::<String>::new());
    assert_eq!(house.image("checkout"), "shop/app:9");
    house.idle().await;
}

#[tokio::test]
async fn a_plan_that_would_differ_now_and_is_allowed_runs_anew() {
    let house = House::new("runner_replan_runs").await;
    house.deployment("checkout", 2).await;
    let id = house.ask("scale deploy/checkout 6").await;
    house.deployment("checkout", 4).await;
    let _runner = house.runner("w1").await;
    assert_eq!(house.end(id).await.0, RequestState::Succeeded);
    let view = house.view(id).await;
    assert_eq!(
        (view.request.revision, view.request.plan.summary.contains("from 4")),
        (2, true),
        "{}",
        view.request.plan.summary
    );
    assert_eq!(house.keys(), [format!("{id}/2/act/0")]);
}

#[tokio::test]
async fn a_status_that_moved_does_not_make_another_plan() {
    let speed = std::time::Duration::from_millis(30);
    let house = House::with(
        "runner_status_moves",
        PracticeConfig { name: CLUSTER.into(), speed, ..PracticeConfig::default() },
    )
    .await;
    house.deployment("checkout", 3).await;
    let id = house.ask("scale deploy/checkout 4").await;
    let planned = house.view(id).await.request.plan.resource_version;
    let pods = house
        .cluster()
        .list("v1", "Pod", Some(NAMESPACE), Some("app=checkout"), None, 10)
        .await
        .expect("pods");
    assert!(house.practice.delete(
        "v1",
        "Pod",
        Some(NAMESPACE),
        pods[0]["metadata"]["name"].as_str().expect("a name")
    ));
    house.practice.settled().await;
    let now = house.get("Deployment", "checkout").expect("it")["metadata"]["resourceVersion"].clone();
    assert_ne!(now, json!(planned), "its status has been written");
    let _runner = house.runner("w1").await;
    assert_eq!(house.end(id).await.0, RequestState::Succeeded);
    assert_eq!(house.view(id).await.request.revision, 1);
}

#[tokio::test]
async fn a_target_that_is_gone_fails_with_nothing_done() {
    let house = House::new("runner_gone").await;
    house.deployment("checkout", 1).await;
    let id = house.ask("restart deploy/checkout").await;
    assert!(house.practice.delete("apps/v1", "Deployment", Some(NAMESPACE), "checkout"));
    let _runner = house.runner("w1").await;
    let (state, note) = house.end(id).await;
    assert_eq!(state, RequestState::Failed);
    assert!(note.contains("nothing was done") && note.contains("does not exist"), "{note}");
}

#[tokio::test]
async fn what_is_so_already_fails_with_nothing_done() {
    let house = House::new("runner_already").await;
    house.deployment("checkout", 1).await;
    let id = house.ask("scale deploy/checkout 3").await;
    house.deployment("checkout", 3).await;
    let _runner = house.runner("w1").await;
    let (state, note) = house.end(id).await;
    assert_eq!(state, RequestState::Failed);
    assert!(note.contains("nothing was done") && note.contains("nothing to do"), "{note}");
}

#[tokio::test]
async fn three_runners_share_one_queue() {
    let house = House::new("runner_three").await;
    let names: Vec<String> = (0..8).map(|n| format!("app{n}")).collect();
    for name in &names {
        house.practice.apply(deployment(name, 1, "shop/app:1"));
    }
    house.practice.settled().await;
    let mut ids = Vec::new();
    for round in 0..4 {
        for name in &names {
            let line = if round == 0 {
                format!("restart deploy/{name}")
            } else {
                format!("scale deploy/{name} {}", 2 + round)
            };
            ids.push(house.ask(&line).await);
        }
    }
    let _runners = (house.runner("w1").await, house.runner("w2").await, house.runner("w3").await);
    house.idle().await;
    for id in &ids {
        // A later request was planned against what an earlier one has changed since, and may have been planned anew.
        assert_eq!(house.end(*id).await.0, RequestState::Succeeded, "{}", house.end(*id).await.1);
    }
    let mut requests: Vec<String> =
        house.keys().iter().map(|key| key.split('/').next().unwrap_or_default().to_string()).collect();
    requests.sort();
    let mut expected: Vec<String> = ids.iter().map(ToString::to_string).collect();
    expected.sort();
    assert_eq!(requests, expected, "one effect for each");
}

#[tokio::test]
async fn progress_is_shown_while_it_is_verified() {
    let house = House::new("runner_progress").await;
    house.deployment("checkout", 1).await;
    let _runner = house.runner("w1").await;
    let id = house.ask("set-image deploy/checkout app=crash").await;
    let line =
        eventually("a line of progress", || async { house.view(id).await.run.and_then(|run| run.progress) })
            .await;
    assert!(!line.is_empty());
}
