//! The database and the cluster misbehave; nothing is lost, nothing is done twice, and people are told in words.

use serde_json::json;
use std::time::Duration;
use tests::{api::FINAL, wait, world::World};

const WITHIN: Duration = Duration::from_secs(60);

#[tokio::test]
async fn connections_cut_again_and_again_repeat_nothing() {
    let world = World::with(2).await.expect("a world");
    world.cluster.deployment("checkout", 1).await.expect("a deployment");
    let (ann, at) = (world.api("ann"), world.at());
    let mut ids = Vec::new();
    for round in 0..8 {
        let line = format!("restart deploy/checkout{at}");
        let asked = ann.insist(&format!("cut-{round}"), &line).await;
        let id = asked["request"]["id"].as_str().expect("an id").to_string();
        for _ in 0..3 {
            world.proxy.cut();
            tokio::task::yield_now().await;
        }
        let request = wait::until("the restart to end", WITHIN, || async {
            let request = ann.request(&id).await.ok()?;
            FINAL.contains(&request["state"].as_str()?).then_some(request)
        })
        .await;
        assert_eq!(request["state"], "succeeded", "{request}\n{}", world.logs());
        ids.push(id);
    }
    if world.cluster.is_practice() {
        assert_eq!(world.cluster.effects().len(), ids.len(), "one effect per request");
    }
}

#[tokio::test]
async fn a_database_that_restarts_under_running_requests_loses_and_repeats_nothing() {
    let mut world = World::with_own_database(2).await.expect("a world");
    for n in 0..4 {
        world.cluster.deployment(&format!("app-{n}"), 1).await.expect("a deployment");
    }
    let (ann, at) = (world.api("ann"), world.at());
    let mut ids = Vec::new();
    for round in 0..3 {
        for n in 0..4 {
            let asked = ann.insist(&format!("{round}-{n}"), &format!("restart deploy/app-{n}{at}")).await;
            ids.push(asked["request"]["id"].as_str().expect("an id").to_string());
        }
        world.restart_database().await.expect("the database is back");
    }
    for id in &ids {
        let request = wait::until("the restart to end", WITHIN, || async {
            let request = ann.request(id).await.ok()?;
            FINAL.contains(&request["state"].as_str()?).then_some(request)
        })
        .await;
        assert_eq!(request["state"], "succeeded", "{request}\n{}", world.logs());
    }
    if world.cluster.is_practice() {
        assert_eq!(world.cluster.effects().len(), ids.len(), "one effect per request");
    }
    world.stop_database().await.expect("the database ends");
}

#[tokio::test]
async fn while_the_database_is_away_people_are_told_and_afterwards_it_goes_on() {
    let world = World::with(1).await.expect("a world");
    world.cluster.deployment("checkout", 1).await.expect("a deployment");
    let (ann, bob, at) = (world.api("ann"), world.api("bob"), world.at());
    let asked = ann.ask("before", &format!("scale deploy/checkout 2{at}")).await.expect("an answer");
    let id = asked["request"]["id"].as_str().expect("an id").to_string();

    world.proxy.refuse(true);
    let (status, answer) = ann
        .call(
            reqwest::Method::POST,
            "/ask",
            Some("during"),
            Some(json!({"line": format!("restart deploy/checkout{at}")})),
        )
        .await
        .expect("an answer, even now");
    assert_eq!(status, 503, "{answer}");
    assert!(answer["detail"].as_str().is_some_and(|text| text.contains("database")), "{answer}");
    let ready = reqwest::get(format!("{}/readyz", world.replicas[0].base)).await.expect("an answer");
    assert_eq!(ready.status(), 503, "not ready without its database");

    world.proxy.refuse(false);
    wait::until("the vote to be taken", WITHIN, || async {
        bob.vote(&id, "approve", None).await.ok().filter(|(status, _)| status.is_success()).map(|_| ())
    })
    .await;
    let request = ann.wait_for(&id, &FINAL, WITHIN).await;
    assert_eq!(request["state"], "succeeded", "{request}\n{}", world.logs());
}

#[tokio::test]
async fn a_cluster_that_breaks_the_connection_after_applying_is_asked_again_and_not_written_again() {
    let world = World::with(1).await.expect("a world");
    if !world.cluster.is_practice() {
        return println!("skipped: a real cluster has no fault switches");
    }
    world.cluster.deployment("checkout", 1).await.expect("a deployment");
    let (ann, at) = (world.api("ann"), world.at());
    for round in 0..3 {
        // Dry runs are mutating calls too: one or the other loses its answer.
        world.cluster.fault(json!({"drop_answers": 1 + round % 2})).await.expect("a fault");
        let asked = ann.insist(&format!("drop-{round}"), &format!("restart deploy/checkout{at}")).await;
        let Some(id) = asked["request"]["id"].as_str().map(str::to_string) else { continue };
        let request = ann.wait_for(&id, &FINAL, WITHIN).await;
        assert_eq!(request["state"], "succeeded", "{request}\n{}", world.logs());
        let mine = world
            .cluster
            .effects()
            .into_iter()
            .filter(|effect| effect.body.to_string().contains(&id))
            .count();
        assert_eq!(mine, 1, "the restart was written {mine} times");
    }
}

#[tokio::test]
async fn errors_and_a_dead_cluster_delay_a_run_and_do_not_break_it() {
    let world = World::with(1).await.expect("a world");
    if !world.cluster.is_practice() {
        return println!("skipped: a real cluster has no fault switches");
    }
    world.cluster.deployment("checkout", 1).await.expect("a deployment");
    let (ann, bob, at) = (world.api("ann"), world.api("bob"), world.at());
    let asked = ann.ask("faulty", &format!("scale deploy/checkout 3{at}")).await.expect("an answer");
    let id = asked["request"]["id"].as_str().expect("an id").to_string();
    world
        .cluster
        .fault(json!({"fail_next": 3, "fail_code": 503, "refuse_for_ms": 1500}))
        .await
        .expect("a fault");
    bob.vote(&id, "approve", None).await.expect("a vote");
    let request = ann.wait_for(&id, &FINAL, WITHIN).await;
    assert_eq!(request["state"], "succeeded", "{request}\n{}", world.logs());
    assert_eq!(world.cluster.effects().len(), 1);
}

#[tokio::test]
async fn one_dead_cluster_slows_no_other() {
    let world = World::with(1).await.expect("a world");
    world.cluster.deployment("checkout", 1).await.expect("a deployment");
    let ann = world.api("ann");
    let (_, clusters) = ann.call(reqwest::Method::GET, "/clusters", None, None).await.expect("an answer");
    let of = |name: &str| {
        clusters
            .as_array()
            .expect("a list")
            .iter()
            .find(|one| one["name"] == name)
            .cloned()
            .expect("the cluster")
    };
    assert!(of("test")["version"].is_string(), "{clusters}");
    assert!(of("dead")["trouble"].is_string(), "the dead one says what is wrong: {clusters}");
    let asked = ann.ask("alive", &format!("restart deploy/checkout{}", world.at())).await.expect("an answer");
    let request = ann.wait_for(asked["request"]["id"].as_str().expect("an id"), &FINAL, WITHIN).await;
    assert_eq!(request["state"], "succeeded", "{request}");
    let dead =
        ann.ask("dead", &format!("restart deploy/checkout -n {} -c dead", world.cluster.namespace)).await;
    assert!(format!("{dead:?}").contains("dead"), "names the cluster that does not answer: {dead:?}");
}

#[tokio::test]
async fn a_stopped_replica_gives_its_work_back_at_once() {
    let mut world = World::with(2).await.expect("a world");
    world.cluster.deployment("checkout", 1).await.expect("a deployment");
    let code = world.replicas[0].process.terminate(Duration::from_secs(10)).await;
    assert_eq!(code, Some(0), "a clean stop\n{}", world.logs());
    let ann = world.api("ann");
    let asked = ann.ask("after", &format!("restart deploy/checkout{}", world.at())).await.expect("an answer");
    let request = ann.wait_for(asked["request"]["id"].as_str().expect("an id"), &FINAL, WITHIN).await;
    assert_eq!(request["state"], "succeeded", "{request}\n{}", world.logs());
}
