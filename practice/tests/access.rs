//! Who may do what, and who did.

use crate::world::{World, client, config_map, deployment, from, refusal};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

#[tokio::test]
async fn without_a_known_token_nothing_is_answered() {
    let world = World::new().await;
    let forged = world
        .practice
        .kubeconfig()
        .lines()
        .map(|line| if line.trim().starts_with("token:") { "    token: guessed" } else { line })
        .collect::<Vec<_>>()
        .join("\n");
    let maps: Api<ConfigMap> = Api::namespaced(client(&forged).await, "default");
    let status = refusal(maps.list(&ListParams::default()).await);
    assert_eq!((status.code, status.reason.as_str()), (401, "Unauthorized"));
}

#[tokio::test]
async fn a_limited_user_is_refused_in_the_words_of_rbac() {
    let world = World::new().await;
    world.deploy(deployment("checkout", 1)).await;
    let limited = client(
        &world
            .practice
            .limited_kubeconfig(&[("deployments", &["get", "list"]), ("deployments/scale", &["patch"])]),
    )
    .await;
    let deployments: Api<Deployment> = Api::namespaced(limited.clone(), "default");
    deployments.get("checkout").await.unwrap();
    let patch = Patch::Merge(json!({"spec": {"replicas": 2}}));
    let status = refusal(deployments.patch("checkout", &PatchParams::default(), &patch).await);
    assert_eq!((status.code, status.reason.as_str()), (403, "Forbidden"));
    assert_eq!(
        status.message,
        "deployments.apps \"checkout\" is forbidden: User \"limited\" cannot patch resource \"deployments\" in API group \"apps\" in the namespace \"default\""
    );
    deployments.patch_scale("checkout", &PatchParams::default(), &patch).await.unwrap();
    let nodes: Api<k8s_openapi::api::core::v1::Node> = Api::all(limited);
    assert_eq!(
        refusal(nodes.list(&ListParams::default()).await).message,
        "nodes is forbidden: User \"limited\" cannot list resource \"nodes\" in API group \"\" at the cluster scope"
    );
}

#[tokio::test]
async fn every_call_that_asks_for_a_change_is_in_the_audit_trail() {
    let world = World::new().await;
    let file = std::env::temp_dir().join(format!("petrel-practice-audit-{}.jsonl", std::process::id()));
    let _ = std::fs::remove_file(&file);
    world.practice.audit_to(&file).unwrap();
    let maps = world.api::<ConfigMap>();
    maps.create(
        &PostParams { field_manager: Some("tester".into()), ..PostParams::default() },
        &from(config_map("a", json!({}))),
    )
    .await
    .unwrap();
    refusal(maps.create(&PostParams::default(), &from(config_map("a", json!({})))).await);
    maps.patch(
        "a",
        &PatchParams { dry_run: true, ..PatchParams::default() },
        &Patch::Merge(json!({"data": {"x": "1"}})),
    )
    .await
    .unwrap();
    maps.patch("a", &PatchParams::default(), &Patch::Merge(json!({"data": {"x": "1"}}))).await.unwrap();
    maps.patch("a", &PatchParams::default(), &Patch::Merge(json!({"data": {"x": "1"}}))).await.unwrap();
    maps.list(&ListParams::default()).await.unwrap();
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    let trail = world.practice.audit();
    let shown: Vec<String> = trail
        .iter()
        .map(|call| {
            format!(
                "{} {} {} {}{}{}",
                call.seq,
                call.verb,
                call.name,
                call.code,
                if call.dry_run { " dry" } else { "" },
                if call.took_effect() { " effect" } else { "" }
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            "1 create a 201 effect",
            "2 create a 409",
            "3 patch a 200 dry",
            "4 patch a 200 effect",
            "5 patch a 200",
            "6 delete a 200 effect"
        ]
    );
    assert_eq!(
        (
            trail[0].field_manager.as_str(),
            trail[0].user.as_str(),
            trail[0].resource.as_str(),
            trail[0].namespace.as_str()
        ),
        ("tester", "kubernetes-admin", "configmaps", "default")
    );
    assert_eq!(trail[3].body, json!({"data": {"x": "1"}}));
    let written: Vec<practice::Audited> = std::fs::read_to_string(&file)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(written, trail);
    std::fs::remove_file(&file).unwrap();
}
