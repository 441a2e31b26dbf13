//! The four kinds of patch, /scale and /status.

use crate::world::{World, config_map, deployment, dynamic, from, refusal};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

#[tokio::test]
async fn a_merge_patch_sets_and_removes_fields() {
    let world = World::new().await;
    let maps = world.api::<ConfigMap>();
    maps.create(&PostParams::default(), &from(config_map("a", json!({"x": "1", "y": "2"})))).await.unwrap();
    let patched = maps
        .patch("a", &PatchParams::apply("tester"), &Patch::Merge(json!({"data": {"x": null, "z": "3"}})))
        .await
        .unwrap();
    assert_eq!(json!(patched.data), json!({"y": "2", "z": "3"}));
}

#[tokio::test]
async fn a_patch_may_insist_on_the_version_and_the_uid() {
    let world = World::new().await;
    let maps = world.api::<ConfigMap>();
    let made = maps.create(&PostParams::default(), &from(config_map("a", json!({})))).await.unwrap();
    let patch = |meta: Value| Patch::Merge(json!({"metadata": meta, "data": {"x": "1"}}));
    let stale =
        refusal(maps.patch("a", &PatchParams::default(), &patch(json!({"resourceVersion": "1"}))).await);
    assert_eq!((stale.code, stale.reason.as_str()), (409, "Conflict"));
    // The real server finds another uid in a patch invalid, and only in a PUT a conflict.
    let other = refusal(maps.patch("a", &PatchParams::default(), &patch(json!({"uid": "other"}))).await);
    assert_eq!(
        (other.code, other.message.as_str()),
        (422, "ConfigMap \"a\" is invalid: metadata.uid: Invalid value: \"other\": field is immutable")
    );
    maps.patch(
        "a",
        &PatchParams::default(),
        &patch(json!({"resourceVersion": made.resource_version(), "uid": made.uid()})),
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn a_json_patch_tests_before_it_changes() {
    let world = World::new().await;
    world.deploy(deployment("a", 2)).await;
    let patches = dynamic(&world.client, "apps/v1", "Deployment", "deployments");
    let body = |test: i32| -> Patch<Value> {
        Patch::Json::<Value>(from(
            json!([{"op": "test", "path": "/spec/replicas", "value": test}, {"op": "replace", "path": "/spec/replicas", "value": 5}]),
        ))
    };
    let failed = refusal(patches.patch("a", &PatchParams::default(), &body(3)).await);
    assert_eq!(
        (failed.code, failed.reason.as_str(), failed.message.as_str()),
        (422, "Invalid", "the server rejected our request due to an error in our request")
    );
    let done = patches.patch("a", &PatchParams::default(), &body(2)).await.unwrap();
    assert_eq!(done.data["spec"]["replicas"], 5);
}

#[tokio::test]
async fn a_strategic_patch_finds_containers_by_name() {
    let world = World::new().await;
    let mut two = deployment("a", 1);
    two["spec"]["template"]["spec"]["containers"] = json!([{"name": "app", "image": "a:1", "env": [{"name": "X", "value": "1"}]}, {"name": "proxy", "image": "p:1"}]);
    world.deploy(two).await;
    let patch = json!({"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}, "spec": {"containers": [{"name": "app", "image": "a:2", "env": [{"name": "Y", "value": "2"}]}]}}}});
    let patched = world
        .api::<Deployment>()
        .patch("a", &PatchParams::default(), &Patch::Strategic(patch))
        .await
        .unwrap();
    let containers = patched.spec.unwrap().template.spec.unwrap().containers;
    let images: Vec<_> = containers.iter().map(|container| container.image.clone().unwrap()).collect();
    assert_eq!(images, ["a:2", "p:1"]);
    assert_eq!(
        containers[0].env.as_ref().unwrap().iter().map(|variable| variable.name.as_str()).collect::<Vec<_>>(),
        ["X", "Y"]
    );
}

#[tokio::test]
async fn an_apply_creates_owns_conflicts_and_can_be_forced() {
    let world = World::new().await;
    let deployments = world.api::<Deployment>();
    let one = PatchParams::apply("one");
    let made = deployments.patch("a", &one, &Patch::Apply(deployment("a", 2))).await.unwrap();
    let managers = made.metadata.managed_fields.unwrap();
    assert_eq!(
        (managers.len(), managers[0].manager.as_deref(), managers[0].operation.as_deref()),
        (1, Some("one"), Some("Apply"))
    );
    let again = deployments.patch("a", &one, &Patch::Apply(deployment("a", 2))).await.unwrap();
    assert_eq!(again.metadata.generation, Some(1));
    let only_replicas = |count: i32| json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": {"replicas": count}});
    let conflict =
        refusal(deployments.patch("a", &PatchParams::apply("two"), &Patch::Apply(only_replicas(5))).await);
    assert_eq!((conflict.code, conflict.reason.as_str()), (409, "Conflict"));
    assert_eq!(conflict.message, "Apply failed with 1 conflict: conflict with \"one\": .spec.replicas");
    let cause = &conflict.details.unwrap().causes[0];
    assert_eq!((cause.reason.as_str(), cause.field.as_str()), ("FieldManagerConflict", ".spec.replicas"));
    let forced = deployments
        .patch("a", &PatchParams::apply("two").force(), &Patch::Apply(only_replicas(5)))
        .await
        .unwrap();
    assert_eq!(forced.spec.unwrap().replicas, Some(5));
    let nameless =
        refusal(deployments.patch("a", &PatchParams::default(), &Patch::Apply(only_replicas(5))).await);
    assert!(
        nameless.message.contains("fieldManager: Required value: is required for apply patch"),
        "{}",
        nameless.message
    );
}

#[tokio::test]
async fn an_apply_that_no_longer_names_a_field_removes_it() {
    let world = World::new().await;
    let deployments = world.api::<Deployment>();
    let one = PatchParams::apply("one");
    let mut config = deployment("a", 1);
    config["metadata"]["labels"] = json!({"team": "shop", "tier": "web"});
    config["spec"]["template"]["spec"]["containers"][0]["env"] =
        json!([{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]);
    deployments.patch("a", &one, &Patch::Apply(config.clone())).await.unwrap();
    config["metadata"]["labels"] = json!({"team": "shop"});
    config["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "Y", "value": "2"}]);
    let less = deployments.patch("a", &one, &Patch::Apply(config)).await.unwrap();
    assert_eq!(json!(less.labels()), json!({"team": "shop"}));
    let env = less.spec.unwrap().template.spec.unwrap().containers[0].env.clone().unwrap();
    assert_eq!(env.iter().map(|variable| variable.name.as_str()).collect::<Vec<_>>(), ["Y"]);
}

#[tokio::test]
async fn who_updates_a_field_becomes_its_manager() {
    let world = World::new().await;
    let deployments = world.api::<Deployment>();
    deployments.patch("a", &PatchParams::apply("gitops"), &Patch::Apply(deployment("a", 2))).await.unwrap();
    let by_hand = PatchParams { field_manager: Some("kubectl-edit".into()), ..PatchParams::default() };
    deployments.patch("a", &by_hand, &Patch::Merge(json!({"spec": {"replicas": 7}}))).await.unwrap();
    let conflict = refusal(
        deployments.patch("a", &PatchParams::apply("gitops"), &Patch::Apply(deployment("a", 2))).await,
    );
    assert_eq!(
        conflict.message,
        "Apply failed with 1 conflict: conflict with \"kubectl-edit\" using apps/v1: .spec.replicas"
    );
}

#[tokio::test]
async fn the_scale_is_an_object_of_its_own() {
    let world = World::new().await;
    world.deploy(deployment("a", 2)).await;
    let deployments = world.api::<Deployment>();
    let scale = deployments.get_scale("a").await.unwrap();
    assert_eq!(
        (
            scale.spec.unwrap().replicas,
            scale.status.as_ref().unwrap().replicas,
            scale.status.unwrap().selector.unwrap()
        ),
        (Some(2), 2, "app=a".to_owned())
    );
    let scaler = PatchParams { field_manager: Some("scaler".into()), ..PatchParams::default() };
    let patched =
        deployments.patch_scale("a", &scaler, &Patch::Merge(json!({"spec": {"replicas": 4}}))).await.unwrap();
    assert_eq!(patched.spec.unwrap().replicas, Some(4));
    let after = deployments.get("a").await.unwrap();
    let manager = after
        .metadata
        .managed_fields
        .unwrap()
        .into_iter()
        .find(|manager| manager.manager.as_deref() == Some("scaler"))
        .unwrap();
    assert_eq!(
        (manager.subresource.as_deref(), json!(manager.fields_v1)),
        (Some("scale"), json!({"f:spec": {"f:replicas": {}}}))
    );
    let stale = refusal(
        deployments
            .patch_scale(
                "a",
                &scaler,
                &Patch::Merge(json!({"metadata": {"resourceVersion": "1"}, "spec": {"replicas": 5}})),
            )
            .await,
    );
    assert_eq!(stale.code, 409);
    let negative = refusal(
        deployments.patch_scale("a", &scaler, &Patch::Merge(json!({"spec": {"replicas": -1}}))).await,
    );
    assert_eq!(negative.code, 422);
    world.practice.settled().await;
    assert_eq!(world.pods("a").await.len(), 4);
}

#[tokio::test]
async fn status_and_specification_are_written_through_their_own_paths() {
    let world = World::new().await;
    let deployments = dynamic(&world.client, "apps/v1", "Deployment", "deployments");
    deployments.create(&PostParams::default(), &from(deployment("a", 0))).await.unwrap();
    world.practice.settled().await;
    let both = json!({"spec": {"paused": true}, "status": {"collisionCount": 7}});
    let by_status =
        deployments.patch_status("a", &PatchParams::default(), &Patch::Merge(both.clone())).await.unwrap();
    assert_eq!(
        (&by_status.data["spec"]["paused"], &by_status.data["status"]["collisionCount"]),
        (&json!(null), &json!(7))
    );
    let by_object = deployments
        .patch(
            "a",
            &PatchParams::default(),
            &Patch::Merge(json!({"spec": {"paused": true}, "status": {"collisionCount": 8}})),
        )
        .await
        .unwrap();
    assert_eq!(by_object.data["spec"]["paused"], json!(true));
    assert_ne!(by_object.data["status"]["collisionCount"], json!(8));
}

#[tokio::test]
async fn a_patch_of_an_unknown_sort_or_of_nothing_is_refused() {
    let world = World::new().await;
    let maps = world.api::<ConfigMap>();
    assert_eq!(
        refusal(maps.patch("none", &PatchParams::default(), &Patch::Merge(json!({"data": {}}))).await).code,
        404
    );
    let request = http::Request::patch("/api/v1/namespaces/default/configmaps/kube-root-ca.crt")
        .header("content-type", "text/plain")
        .body(b"{}".to_vec())
        .unwrap();
    maps.create(&PostParams::default(), &from(config_map("kube-root-ca.crt", json!({})))).await.unwrap();
    assert_eq!(refusal(world.client.request::<Value>(request).await).code, 415);
}
