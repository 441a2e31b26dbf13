use crate::scene::Scene;
use ledger::{PatchKind, Step};
use serde_json::{Value, json};

/// A line for every action that changes a field, which can be planned in the shop as it is.
const PATCHING: [&str; 9] = [
    "restart deploy/checkout",
    "restart sts/db",
    "restart ds/agent",
    "scale deploy/checkout +2",
    "pause deploy/checkout",
    "set-image deploy/checkout app=registry.example/checkout:1.42 proxy=registry.example/proxy:2.1",
    "set-resources deploy/checkout --container app --requests cpu=1,memory=100Mi --limits cpu=2",
    "set-resources deploy/web --limits memory=1Gi",
    "set-resources sts/db --requests cpu=10m",
];
/// And the others.
const OTHERS: [&str; 2] = ["delete-pod pod/db-1", "run-job cj/nightly-report"];

#[tokio::test]
async fn planning_writes_nothing() {
    let scene = Scene::shop().await;
    for line in PATCHING.iter().chain(&OTHERS) {
        scene.plan(line).await.unwrap_or_else(|error| panic!("{line}: {error}"));
    }
    let audit = scene.practice.audit();
    assert!(audit.len() >= PATCHING.len() + OTHERS.len(), "every plan made a dry run");
    for call in audit {
        assert!(call.dry_run && !call.took_effect(), "{call:?}");
        assert_eq!(call.field_manager, "petrel");
    }
}

#[tokio::test]
async fn the_same_state_gives_the_same_digest() {
    let scene = Scene::shop().await;
    for line in PATCHING.iter().chain(&OTHERS) {
        let (first, second) = (scene.plan(line).await.unwrap(), scene.plan(line).await.unwrap());
        assert_eq!(first, second, "{line}");
        assert_eq!(first.digest(), second.digest(), "{line}");
    }
}

#[tokio::test]
async fn what_moves_without_meaning_does_not_move_the_digest() {
    let scene = Scene::shop().await;
    for line in [
        "restart deploy/web",
        "set-image deploy/web web=registry.example/web:6",
        "pause deploy/web",
        "set-resources deploy/web --requests cpu=1",
    ] {
        let before = scene.plan(line).await.unwrap();
        let replicas = scene.object("Deployment", "web")["spec"]["replicas"].as_u64().unwrap();
        scene.set("Deployment", "web", "/spec/replicas", json!(replicas + 1));
        scene.practice.settled().await;
        let after = scene.plan(line).await.unwrap();
        assert_ne!(before.resource_version, after.resource_version, "{line}");
        assert_eq!(before.digest(), after.digest(), "{line}\n{}\n{}", before.diff, after.diff);
    }
}

#[tokio::test]
async fn what_the_action_is_about_does_move_the_digest() {
    let scene = Scene::shop().await;
    let before = scene.plan("scale deploy/web 5").await.unwrap();
    scene.set("Deployment", "web", "/spec/replicas", json!(3));
    assert_ne!(before.digest(), scene.plan("scale deploy/web 5").await.unwrap().digest());

    let before = scene.plan("set-image deploy/web web=registry.example/web:9").await.unwrap();
    scene.set("Deployment", "web", "/spec/template/spec/containers/0/image", json!("registry.example/web:6"));
    assert_ne!(
        before.digest(),
        scene.plan("set-image deploy/web web=registry.example/web:9").await.unwrap().digest()
    );
}

#[tokio::test]
async fn undo_restores_exactly_what_was_touched() {
    for line in PATCHING {
        let scene = Scene::shop().await;
        let plan = scene.plan(line).await.unwrap();
        let before = scene.object(&plan.target.kind, &plan.target.name)["spec"].clone();
        scene.take(&plan.steps).await;
        let during = scene.object(&plan.target.kind, &plan.target.name)["spec"].clone();
        assert_ne!(before, during, "{line}");
        scene.take(&plan.undo).await;
        assert_eq!(scene.object(&plan.target.kind, &plan.target.name)["spec"], before, "{line}");
    }
}

#[tokio::test]
async fn the_step_does_what_the_dry_run_showed() {
    for line in PATCHING {
        let scene = Scene::shop().await;
        let plan = scene.plan(line).await.unwrap();
        let Step::Patch { object, kind, body } = &plan.steps[0] else { panic!("{line}") };
        let shown = scene.cluster.patch(object, *kind, body, true).await.unwrap();
        let done = scene.cluster.patch(object, *kind, body, false).await.unwrap();
        assert_eq!(shown["spec"], done["spec"], "{line}");
    }
}

#[tokio::test]
async fn a_rollback_and_its_undo_are_exact() {
    let scene = Scene::shop().await;
    let image = "/spec/template/spec/containers/0/image";
    let first = scene.object("Deployment", "checkout")["spec"]["template"].clone();
    scene.set("Deployment", "checkout", image, json!("registry.example/checkout:1.42"));
    let mut variables = scene
        .object("Deployment", "checkout")
        .pointer("/spec/template/spec/containers/0/env")
        .unwrap()
        .clone();
    variables.as_array_mut().unwrap().push(json!({"name": "FEATURE", "value": "on"}));
    scene.set("Deployment", "checkout", "/spec/template/spec/containers/0/env", variables);
    scene.practice.settled().await;
    let second = scene.object("Deployment", "checkout")["spec"]["template"].clone();

    let plan = scene.plan("rollback deploy/checkout --to 1").await.unwrap();
    scene.take(&plan.steps).await;
    assert_eq!(scene.object("Deployment", "checkout")["spec"]["template"], first);
    scene.take(&plan.undo).await;
    assert_eq!(scene.object("Deployment", "checkout")["spec"]["template"], second);
    let all = serde_json::to_string(&plan).unwrap();
    assert!(!all.contains("hunter2"), "a secret that does not change is nowhere in the plan: {all}");
}

#[tokio::test]
async fn no_diff_shows_a_secret() {
    let scene = Scene::shop().await;
    for line in PATCHING.iter().chain(&OTHERS) {
        let plan = scene.plan(line).await.unwrap();
        let shown = format!(
            "{}{}{:?}{}",
            plan.summary,
            plan.diff,
            plan.blast,
            serde_json::to_string(&plan.verify).unwrap()
        );
        assert!(!shown.contains("hunter2") && !shown.contains("s3cr3t"), "{line}: {shown}");
    }
}

#[tokio::test]
async fn every_step_has_room_for_what_the_runner_adds() {
    let scene = Scene::shop().await;
    for line in PATCHING {
        let plan = scene.plan(line).await.unwrap();
        for step in plan.steps.iter().chain(&plan.undo) {
            let Step::Patch { object, kind, body } = step else { panic!("{line}") };
            assert!(matches!(kind, PatchKind::Merge | PatchKind::Strategic));
            assert!(object.uid.is_some() && body.is_object() && body["metadata"] == Value::Null, "{line}");
        }
        assert!(
            !plan.undo.is_empty() && !plan.verify.conditions.is_empty() && plan.verify.within_s > 0,
            "{line}"
        );
    }
}
