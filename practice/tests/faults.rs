//! The switches.

use crate::world::{World, config_map, from, refusal, until};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, PostParams};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

#[tokio::test]
async fn the_next_calls_fail_before_anything_is_applied() {
    let world = World::new().await;
    let maps = world.api::<ConfigMap>();
    world.practice.faults().fail_next(2, 409);
    for _ in 0..2 {
        assert_eq!(
            refusal(maps.create(&PostParams::default(), &from(config_map("a", json!({})))).await).code,
            409
        );
    }
    assert!(world.practice.audit().is_empty());
    maps.create(&PostParams::default(), &from(config_map("a", json!({})))).await.unwrap();
}

#[tokio::test]
async fn a_share_of_calls_can_fail_and_all_can_be_slow() {
    let world = World::new().await;
    let maps = world.api::<ConfigMap>();
    world.practice.faults().fail_share(1.0, 404);
    assert_eq!(refusal(maps.list(&ListParams::default()).await).code, 404);
    world.practice.faults().clear();
    world.practice.faults().latency(Duration::from_millis(80));
    let start = Instant::now();
    maps.list(&ListParams::default()).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(80));
}

#[tokio::test]
async fn a_dropped_answer_comes_after_the_change_is_applied() {
    let world = World::new().await;
    let maps = world.api::<ConfigMap>();
    world.practice.faults().drop_answers(1);
    let broken = maps.create(&PostParams::default(), &from(config_map("a", json!({})))).await;
    assert!(!matches!(broken, Ok(_) | Err(kube::Error::Api(_))), "{broken:?}");
    assert_eq!(world.practice.audit().iter().filter(|call| call.took_effect()).count(), 1);
    maps.get("a").await.unwrap();
}

#[tokio::test]
async fn a_dead_cluster_refuses_connections_and_comes_back_on_the_same_port() {
    let world = World::new().await;
    let maps = world.api::<ConfigMap>();
    let address = world.practice.url().trim_start_matches("http://").to_owned();
    world.practice.faults().refuse(true);
    until("connections are refused", async || tokio::net::TcpStream::connect(&address).await.is_err()).await;
    assert!(!matches!(maps.list(&ListParams::default()).await, Ok(_) | Err(kube::Error::Api(_))));
    world.practice.faults().refuse(false);
    until("it answers again", async || maps.list(&ListParams::default()).await.is_ok()).await;
}

#[tokio::test]
async fn faults_and_audit_are_reached_over_http_for_clusters_in_another_process() {
    let world = World::new().await;
    let request = http::Request::post("/practice/faults")
        .body(json!({"fail_next": 1, "fail_code": 418}).to_string().into_bytes())
        .unwrap();
    let answer: Value = world.client.request(request).await.unwrap();
    assert_eq!(answer, json!({"ok": true}));
    let maps = world.api::<ConfigMap>();
    assert_eq!(
        refusal(maps.create(&PostParams::default(), &from(config_map("a", json!({})))).await).code,
        418
    );
    maps.create(&PostParams::default(), &from(config_map("a", json!({})))).await.unwrap();
    let audit: Value =
        world.client.request(http::Request::get("/practice/audit").body(Vec::new()).unwrap()).await.unwrap();
    assert_eq!((audit.as_array().unwrap().len(), &audit[0]["verb"]), (1, &json!("create")));
    let unknown = http::Request::post("/practice/faults").body(b"{\"explode\": true}".to_vec()).unwrap();
    assert_eq!(refusal(world.client.request::<Value>(unknown).await).code, 400);
}
