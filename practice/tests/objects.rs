//! Create, read, list, update, delete.

use crate::world::{World, config_map, deployment, dynamic, from, pod, refusal};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, PostParams, Preconditions, PropagationPolicy};
use serde_json::json;

#[tokio::test]
async fn the_version_and_everything_served_can_be_discovered() {
    let world = World::new().await;
    let version = world.client.apiserver_version().await.unwrap();
    assert_eq!((version.major.as_str(), version.minor.as_str()), ("1", "36"));
    let found = kube::discovery::Discovery::new(world.client.clone()).run().await.unwrap();
    let apps = found.get("apps").unwrap();
    let names: Vec<String> =
        apps.recommended_resources().into_iter().map(|(resource, _)| resource.kind).collect();
    for kind in ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"] {
        assert!(names.contains(&kind.to_owned()), "{kind} in {names:?}");
    }
    let (_, capabilities) = apps.recommended_kind("Deployment").unwrap();
    assert!(capabilities.subresources.iter().any(|(resource, _)| resource.plural == "scale"));
    assert!(found.has_group("metrics.k8s.io"));
}

#[tokio::test]
async fn a_created_object_carries_what_the_server_adds() {
    let world = World::new().await;
    let made: Deployment =
        world.api().create(&PostParams::default(), &from(deployment("a", 2))).await.unwrap();
    assert!(made.uid().is_some() && made.resource_version().is_some() && made.creation_timestamp().is_some());
    assert_eq!(made.metadata.generation, Some(1));
    let spec = made.spec.unwrap();
    assert_eq!(spec.progress_deadline_seconds, Some(600));
    assert_eq!(spec.template.spec.unwrap().containers[0].image_pull_policy.as_deref(), Some("IfNotPresent"));
    let unnamed: ConfigMap = world
        .api()
        .create(&PostParams::default(), &from(json!({"metadata": {"generateName": "gen-"}})))
        .await
        .unwrap();
    assert!(unnamed.name_any().starts_with("gen-") && unnamed.name_any().len() == 9);
}

#[tokio::test]
async fn what_exists_already_or_has_no_namespace_is_refused() {
    let world = World::new().await;
    let maps = world.api::<ConfigMap>();
    maps.create(&PostParams::default(), &from(config_map("a", json!({})))).await.unwrap();
    let again = refusal(maps.create(&PostParams::default(), &from(config_map("a", json!({})))).await);
    assert_eq!(
        (again.code, again.reason.as_str(), again.message.as_str()),
        (409, "AlreadyExists", "configmaps \"a\" already exists")
    );
    let missing = refusal(maps.get("b").await);
    assert_eq!(
        (missing.code, missing.reason.as_str(), missing.message.as_str()),
        (404, "NotFound", "configmaps \"b\" not found")
    );
    let elsewhere: Api<ConfigMap> = Api::namespaced(world.client.clone(), "nowhere");
    let homeless = refusal(elsewhere.create(&PostParams::default(), &from(config_map("a", json!({})))).await);
    assert_eq!((homeless.code, homeless.message.as_str()), (404, "namespaces \"nowhere\" not found"));
    let group = refusal(dynamic(&world.client, "example.com/v1", "Thing", "things").get("a").await);
    assert_eq!((group.code, group.message.trim()), (404, "404 page not found"));
    let unknown = refusal(dynamic(&world.client, "apps/v1", "Thing", "things").get("a").await);
    assert_eq!(
        (unknown.code, unknown.message.as_str()),
        (404, "the server could not find the requested resource")
    );
}

#[tokio::test]
async fn an_obviously_invalid_object_is_refused_with_its_causes() {
    let world = World::new().await;
    let deployments = dynamic(&world.client, "apps/v1", "Deployment", "deployments");
    let mut negative = deployment("a", -1);
    negative["spec"]["template"]["metadata"]["labels"] = json!({"app": "other"});
    negative["spec"]["template"]["spec"]["containers"] =
        json!([{"name": "x", "image": "a:1"}, {"name": "x", "image": "a:1"}]);
    let status = refusal(deployments.create(&PostParams::default(), &from(negative)).await);
    assert_eq!((status.code, status.reason.as_str()), (422, "Invalid"));
    insta::assert_snapshot!(status.message, @r#"Deployment.apps "a" is invalid: [spec.replicas: Invalid value: -1: must be greater than or equal to 0, spec.template.metadata.labels: Invalid value: {"app":"other"}: `selector` does not match template `labels`, spec.template.spec.containers[1].name: Duplicate value: "x"]"#);
    let causes: Vec<String> = status
        .details
        .unwrap()
        .causes
        .into_iter()
        .map(|cause| format!("{} {}", cause.reason, cause.field))
        .collect();
    assert_eq!(
        causes,
        [
            "FieldValueInvalid spec.replicas",
            "FieldValueInvalid spec.template.metadata.labels",
            "FieldValueDuplicate spec.template.spec.containers[1].name"
        ]
    );
    let bad_name =
        refusal(deployments.create(&PostParams::default(), &from(deployment("Not_A_Name", 1))).await);
    assert!(
        bad_name.message.contains("a lowercase RFC 1123 subdomain must consist of"),
        "{}",
        bad_name.message
    );
    let maps = world.api::<ConfigMap>();
    let nameless = refusal(maps.create(&PostParams::default(), &from(json!({}))).await);
    assert_eq!(
        nameless.message,
        "ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required"
    );
}

#[tokio::test]
async fn a_list_takes_label_and_field_selectors() {
    let world = World::new().await;
    let maps = world.api::<ConfigMap>();
    for (name, tier) in [("a", "web"), ("b", "db"), ("c", "web")] {
        let mut map = config_map(name, json!({}));
        map["metadata"]["labels"] = json!({"tier": tier, "name": name});
        maps.create(&PostParams::default(), &from(map)).await.unwrap();
    }
    let names = async |params: ListParams| -> Vec<String> {
        maps.list(&params).await.unwrap().items.iter().map(ResourceExt::name_any).collect()
    };
    assert_eq!(names(ListParams::default().labels("tier=web")).await, ["a", "c"]);
    assert_eq!(names(ListParams::default().labels("tier in (web, cache),name!=a")).await, ["c"]);
    assert_eq!(names(ListParams::default().labels("tier notin (web)")).await, ["b"]);
    assert_eq!(names(ListParams::default().labels("!tier")).await, Vec::<String>::new());
    assert_eq!(names(ListParams::default().fields("metadata.name=b")).await, ["b"]);
    assert_eq!(names(ListParams::default().fields("metadata.name!=b")).await, ["a", "c"]);
    let wrong = refusal(maps.list(&ListParams::default().fields("data.x=1")).await);
    assert_eq!(wrong.code, 400);
    assert!(wrong.message.contains("field label not supported: data.x"), "{}", wrong.message);
}

#[tokio::test]
async fn pages_of_a_list_show_one_moment_whatever_changes_meanwhile() {
    let world = World::new().await;
    let maps = world.api::<ConfigMap>();
    for index in 0..5 {
        maps.create(&PostParams::default(), &from(config_map(&format!("m{index}"), json!({}))))
            .await
            .unwrap();
    }
    let first = maps.list(&ListParams::default().limit(2)).await.unwrap();
    assert_eq!(first.metadata.remaining_item_count, Some(3));
    maps.delete("m3", &DeleteParams::default()).await.unwrap();
    maps.create(&PostParams::default(), &from(config_map("m9", json!({})))).await.unwrap();
    let token = first.metadata.continue_.clone().unwrap();
    let rest = maps.list(&ListParams::default().continue_token(&token)).await.unwrap();
    let names: Vec<String> = rest.items.iter().map(ResourceExt::name_any).collect();
    assert_eq!(names, ["m2", "m3", "m4"]);
    assert_eq!(rest.metadata.resource_version, first.metadata.resource_version);
    for round in 0..5000 {
        world.practice.apply(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m0"}, "data": {"round": round.to_string()}}));
    }
    let late = refusal(maps.list(&ListParams::default().continue_token(&token)).await);
    assert_eq!((late.code, late.reason.as_str()), (410, "Expired"));
}

#[tokio::test]
async fn an_update_with_a_stale_version_or_another_uid_conflicts() {
    let world = World::new().await;
    let maps = world.api::<ConfigMap>();
    let old = maps.create(&PostParams::default(), &from(config_map("a", json!({"x": "1"})))).await.unwrap();
    let mut new = old.clone();
    new.data.as_mut().unwrap().insert("x".into(), "2".into());
    let updated = maps.replace("a", &PostParams::default(), &new).await.unwrap();
    assert_ne!(updated.resource_version(), old.resource_version());
    let stale = refusal(maps.replace("a", &PostParams::default(), &new).await);
    assert_eq!((stale.code, stale.reason.as_str()), (409, "Conflict"));
    assert_eq!(
        stale.message,
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again"
    );
    let mut other = updated.clone();
    other.metadata.uid = Some("another".into());
    let conflict = refusal(maps.replace("a", &PostParams::default(), &other).await);
    assert_eq!(conflict.code, 409);
    assert!(
        conflict.message.contains("Precondition failed: UID in precondition: another"),
        "{}",
        conflict.message
    );
    let same = maps.replace("a", &PostParams::default(), &updated).await.unwrap();
    assert_eq!(
        same.resource_version(),
        updated.resource_version(),
        "an update that changes nothing writes nothing"
    );
}

#[tokio::test]
async fn the_generation_counts_changes_of_the_specification_only() {
    let world = World::new().await;
    let made = world.deploy(deployment("a", 1)).await;
    let deployments = world.api::<Deployment>();
    let mut with_label = deployments.get("a").await.unwrap();
    assert_eq!(with_label.metadata.generation, made.metadata.generation, "the status does not count");
    with_label.labels_mut().insert("x".into(), "1".into());
    let labelled = deployments.replace("a", &PostParams::default(), &with_label).await.unwrap();
    assert_eq!(labelled.metadata.generation, Some(1), "labels do not count");
    let mut scaled = labelled.clone();
    scaled.spec.as_mut().unwrap().replicas = Some(2);
    let scaled = deployments.replace("a", &PostParams::default(), &scaled).await.unwrap();
    assert_eq!(scaled.metadata.generation, Some(2));
    let mut annotated = deployments.get("a").await.unwrap();
    annotated.annotations_mut().insert("note".into(), "x".into());
    annotated.metadata.resource_version = None;
    let annotated = deployments.replace("a", &PostParams::default(), &annotated).await.unwrap();
    assert_eq!(
        annotated.metadata.generation,
        Some(3),
        "annotations of a Deployment count, since its ReplicaSets get them"
    );
}

#[tokio::test]
async fn what_must_not_change_is_refused() {
    let world = World::new().await;
    world.deploy(deployment("a", 1)).await;
    let mut other = deployment("a", 1);
    other["spec"]["selector"]["matchLabels"] = json!({"app": "b"});
    other["spec"]["template"]["metadata"]["labels"] = json!({"app": "b"});
    let status = refusal(world.api::<Deployment>().replace("a", &PostParams::default(), &from(other)).await);
    assert_eq!(status.code, 422);
    assert!(
        status
            .message
            .ends_with("spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"b\"}}: field is immutable"),
        "{}",
        status.message
    );
}

#[tokio::test]
async fn a_dry_run_shows_the_outcome_and_writes_nothing() {
    let world = World::new().await;
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let deployments = world.api::<Deployment>();
    let shown = deployments.create(&dry, &from(deployment("a", 1))).await.unwrap();
    assert_eq!(shown.spec.unwrap().revision_history_limit, Some(10));
    assert_eq!(refusal(deployments.get("a").await).code, 404);
    let made = world.deploy(deployment("a", 1)).await;
    let before = deployments.get("a").await.unwrap();
    let mut more = before.clone();
    more.spec.as_mut().unwrap().replicas = Some(9);
    let shown = deployments.replace("a", &dry, &more).await.unwrap();
    assert_eq!((shown.spec.unwrap().replicas, shown.metadata.generation), (Some(9), Some(2)));
    deployments.delete("a", &DeleteParams { dry_run: true, ..DeleteParams::default() }).await.unwrap();
    let after = deployments.get("a").await.unwrap();
    assert_eq!((after.resource_version(), after.uid()), (before.resource_version(), made.uid()));
    let invalid = PostParams { dry_run: true, ..PostParams::default() };
    assert_eq!(refusal(deployments.create(&invalid, &from(deployment("b", -1))).await).code, 422);
    assert!(world.practice.audit().iter().filter(|call| call.dry_run).all(|call| !call.took_effect()));
}

#[tokio::test]
async fn a_delete_honours_its_preconditions() {
    let world = World::new().await;
    let maps = world.api::<ConfigMap>();
    let made = maps.create(&PostParams::default(), &from(config_map("a", json!({})))).await.unwrap();
    let with = |uid: Option<String>, version: Option<String>| DeleteParams {
        preconditions: Some(Preconditions { uid, resource_version: version }),
        ..DeleteParams::default()
    };
    for wrong in [with(Some("other".into()), None), with(made.uid(), Some("1".into()))] {
        let status = refusal(maps.delete("a", &wrong).await);
        assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
    }
    let gone = maps.delete("a", &with(made.uid(), made.resource_version())).await.unwrap().right().unwrap();
    assert_eq!(gone.details.unwrap().uid, made.uid().unwrap());
    assert_eq!(refusal(maps.delete("a", &DeleteParams::default()).await).code, 404);
}

#[tokio::test]
async fn a_finalizer_holds_an_object_until_it_is_taken_off() {
    let world = World::new().await;
    let maps = world.api::<ConfigMap>();
    let mut map = config_map("a", json!({}));
    map["metadata"]["finalizers"] = json!(["example.com/hold"]);
    maps.create(&PostParams::default(), &from(map)).await.unwrap();
    let held = maps.delete("a", &DeleteParams::default()).await.unwrap().left().unwrap();
    assert!(held.metadata.deletion_timestamp.is_some());
    let mut free = maps.get("a").await.unwrap();
    free.metadata.finalizers = None;
    maps.replace("a", &PostParams::default(), &free).await.unwrap();
    assert_eq!(refusal(maps.get("a").await).code, 404);
}

#[tokio::test]
async fn dependents_follow_their_owner_as_the_propagation_policy_says() {
    let world = World::new().await;
    let deployments = world.api::<Deployment>();
    let sets = world.api::<ReplicaSet>();
    for (name, params) in [
        ("bg", DeleteParams::background()),
        ("fg", DeleteParams::foreground()),
        (
            "orphan",
            DeleteParams { propagation_policy: Some(PropagationPolicy::Orphan), ..DeleteParams::default() },
        ),
    ] {
        world.deploy(deployment(name, 2)).await;
        assert_eq!(world.pods(name).await.len(), 2);
        let answer = deployments.delete(name, &params).await.unwrap();
        assert_eq!(answer.is_left(), name != "bg", "only a background delete is done at once");
        world.practice.settled().await;
        assert_eq!(refusal(deployments.get(name).await).code, 404);
        let left = sets.list(&ListParams::default().labels(&format!("app={name}"))).await.unwrap().items;
        if name == "orphan" {
            assert!(left.len() == 1 && left[0].owner_references().is_empty());
            assert_eq!(world.pods(name).await.len(), 2);
        } else {
            assert!(left.is_empty() && world.pods(name).await.is_empty());
        }
    }
}

#[tokio::test]
async fn a_collection_can_be_deleted_by_selector() {
    let world = World::new().await;
    for name in ["a", "b", "c"] {
        world.api::<Pod>().create(&PostParams::default(), &from(pod(name))).await.unwrap();
    }
    world.practice.settled().await;
    world
        .api::<Pod>()
        .delete_collection(&DeleteParams::default(), &ListParams::default().labels("app in (a, b)"))
        .await
        .unwrap();
    world.practice.settled().await;
    let left = world.api::<Pod>().list(&ListParams::default()).await.unwrap().items;
    assert_eq!(left.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["c"]);
}

#[tokio::test]
async fn a_namespace_takes_everything_in_it_along() {
    let world = World::new().await;
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    let made = namespaces
        .create(&PostParams::default(), &from(json!({"metadata": {"name": "team"}})))
        .await
        .unwrap();
    assert_eq!(made.labels()["kubernetes.io/metadata.name"], "team");
    let deployments: Api<Deployment> = Api::namespaced(world.client.clone(), "team");
    deployments.create(&PostParams::default(), &from(deployment("a", 2))).await.unwrap();
    world.practice.settled().await;
    namespaces.delete("team", &DeleteParams::default()).await.unwrap();
    world.practice.settled().await;
    assert_eq!(refusal(namespaces.get("team").await).code, 404);
    let pods: Api<Pod> = Api::all(world.client.clone());
    assert!(pods.list(&ListParams::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn custom_kinds_are_served_once_they_are_defined() {
    let world = World::new().await;
    let definitions: Api<CustomResourceDefinition> = Api::all(world.client.clone());
    let definition = json!({"metadata": {"name": "widgets.example.com"}, "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"}}}]}});
    definitions.create(&PostParams::default(), &from(definition)).await.unwrap();
    world.practice.settled().await;
    let status = definitions.get("widgets.example.com").await.unwrap().status.unwrap();
    assert!(
        status
            .conditions
            .unwrap()
            .iter()
            .any(|condition| condition.type_ == "Established" && condition.status == "True")
    );
    let widgets = dynamic(&world.client, "example.com/v1", "Widget", "widgets");
    let widget = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 3}, "status": {"size": 9}});
    let made = widgets.create(&PostParams::default(), &from(widget)).await.unwrap();
    assert_eq!(
        (made.metadata.generation, made.data.get("status")),
        (Some(1), None),
        "the status is not the creator's to write"
    );
    assert_eq!(widgets.get_scale("w").await.unwrap().spec.unwrap().replicas, Some(3));
    definitions.delete("widgets.example.com", &DeleteParams::default()).await.unwrap();
    world.practice.settled().await;
    assert_eq!(refusal(widgets.get("w").await).code, 404);
}
