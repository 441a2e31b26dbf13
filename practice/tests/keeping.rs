//! A cluster that is kept over restarts, and one that is kept busy.

use crate::world::{World, client, config_map, deployment, from, refusal};
use futures::future::try_join_all;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use practice::PracticeConfig;
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test]
async fn objects_tokens_versions_and_the_audit_trail_survive_a_restart() {
    let folder = std::env::temp_dir().join(format!("petrel-practice-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    let config = PracticeConfig { data: Some(folder.clone()), ..PracticeConfig::default() };
    let world = World::with(config.clone()).await;
    world.deploy(deployment("a", 2)).await;
    let maps = world.api::<ConfigMap>();
    maps.create(&PostParams::default(), &from(config_map("gone", json!({})))).await.unwrap();
    maps.delete("gone", &DeleteParams::default()).await.unwrap();
    let before: Vec<String> = world.pods("a").await.iter().map(ResourceExt::name_any).collect();
    let (trail, version) = (
        world.practice.audit(),
        maps.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap(),
    );
    let token = world.practice.kubeconfig();
    world.practice.stop().await;

    let again = World::with(config).await;
    assert_eq!(
        again.practice.kubeconfig().lines().find(|line| line.contains("token")),
        token.lines().find(|line| line.contains("token"))
    );
    assert_eq!(again.practice.audit(), trail);
    assert_eq!(again.pods("a").await.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), before);
    let maps = again.api::<ConfigMap>();
    assert_eq!(refusal(maps.get("gone").await).code, 404);
    let now = maps.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    assert!(now.parse::<u64>().unwrap() >= version.parse::<u64>().unwrap());
    again
        .api::<Deployment>()
        .patch("a", &PatchParams::default(), &Patch::Merge(json!({"spec": {"replicas": 3}})))
        .await
        .unwrap();
    again.practice.settled().await;
    assert_eq!(again.pods("a").await.len(), 3);
    assert!(again.practice.audit().last().unwrap().seq > trail.last().unwrap().seq);
    again.practice.stop().await;
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn the_sample_shop_comes_up_and_is_put_there_only_once() {
    let world = World::new().await;
    world.practice.seed_shop();
    world.practice.settled().await;
    let everywhere: Api<Pod> = Api::all(world.client.clone());
    let pods = everywhere.list(&ListParams::default()).await.unwrap().items;
    assert!(pods.iter().all(|pod| pod.status.as_ref().unwrap().phase.as_deref() == Some("Running")));
    let shop: Api<Deployment> = Api::namespaced(world.client.clone(), "shop");
    shop.patch("checkout", &PatchParams::default(), &Patch::Merge(json!({"spec": {"replicas": 5}})))
        .await
        .unwrap();
    world.practice.seed_shop();
    world.practice.settled().await;
    assert_eq!(shop.get("checkout").await.unwrap().status.unwrap().ready_replicas, Some(5));
    let budget = world.practice.get("policy/v1", "PodDisruptionBudget", Some("data"), "db").unwrap();
    assert_eq!(budget["status"]["disruptionsAllowed"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_controllers_keep_up_with_hundreds_of_changes_a_second() {
    let world = World::new().await;
    let names: Vec<String> = (0..50).map(|index| format!("d{index}")).collect();
    for name in &names {
        world.practice.apply(deployment(name, 1));
    }
    world.practice.settled().await;
    let clients =
        try_join_all((0..4).map(async |_| Ok::<_, kube::Error>(client(&world.practice.kubeconfig()).await)))
            .await
            .unwrap();
    let start = Instant::now();
    let rounds: i32 = 8;
    try_join_all(clients.iter().enumerate().map(async |(index, client)| {
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), "default");
        for round in 0..rounds {
            for name in names.iter().skip(index).step_by(4) {
                deployments
                    .patch(
                        name,
                        &PatchParams::default(),
                        &Patch::Merge(json!({"spec": {"replicas": round % 3 + 1}})),
                    )
                    .await?;
            }
        }
        Ok::<_, kube::Error>(())
    }))
    .await
    .unwrap();
    world.practice.settled().await;
    let took = start.elapsed();
    let changes = 50 * rounds;
    println!("{changes} changes in {took:?}");
    // Far below what it does, so that a busy machine does not fail it.
    assert!(took < Duration::from_secs(20), "{changes} changes took {took:?}");
    let ready = names
        .iter()
        .map(|name| {
            world.object("apps/v1", "Deployment", name)["status"]["readyReplicas"].as_i64().unwrap_or(0)
        })
        .sum::<i64>();
    assert_eq!(ready, 50 * i64::from((rounds - 1) % 3 + 1));
}
