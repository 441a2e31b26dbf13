use super::picture;
use crate::scene::Scene;
use serde_json::json;

macro_rules! plan_snapshot {
    ($name:literal, $scene:expr, $line:expr) => {
        plan_snapshot!($name, $scene, $line, &[])
    };
    ($name:literal, $scene:expr, $line:expr, $replace:expr) => {
        let plan = $scene.plan($line).await.unwrap();
        insta::assert_snapshot!($name, picture(&plan, $replace));
    };
}

#[tokio::test]
async fn restart_changes_the_template_and_nothing_else() {
    let scene = Scene::shop().await;
    plan_snapshot!("restart", scene, "restart deploy/checkout");
    plan_snapshot!("restart_daemonset", scene, "restart ds/agent");
}

#[tokio::test]
async fn scale_freezes_an_absolute_number() {
    let scene = Scene::shop().await;
    plan_snapshot!("scale_up", scene, "scale deploy/checkout 6");
    plan_snapshot!("scale_relative_under_hpa", scene, "scale deploy/web -1");
    plan_snapshot!("scale_to_zero_against_a_budget", scene, "scale sts/db 0");
}

#[tokio::test]
async fn rollback_goes_back_to_the_revision_before() {
    let scene = Scene::shop().await;
    scene.set(
        "Deployment",
        "checkout",
        "/spec/template/spec/containers/0/image",
        json!("registry.example/checkout:1.42"),
    );
    scene.practice.settled().await;
    plan_snapshot!("rollback", scene, "rollback deploy/checkout");
    plan_snapshot!("rollback_to", scene, "rollback deploy/checkout --to 1");
}

#[tokio::test]
async fn rollback_of_a_statefulset_goes_by_controller_revisions() {
    let scene = Scene::shop().await;
    scene.set("StatefulSet", "db", "/spec/template/spec/containers/0/image", json!("registry.example/db:17"));
    scene.practice.settled().await;
    plan_snapshot!("rollback_statefulset", scene, "rollback sts/db");
}

#[tokio::test]
async fn pause_and_resume_say_what_waits() {
    let scene = Scene::shop().await;
    plan_snapshot!("pause", scene, "pause deploy/checkout");
    scene.set("Deployment", "checkout", "/spec/paused", json!(true));
    scene.practice.settled().await;
    plan_snapshot!("resume_with_nothing_waiting", scene, "resume deploy/checkout");
    scene.set(
        "Deployment",
        "checkout",
        "/spec/template/spec/containers/0/image",
        json!("registry.example/checkout:1.42"),
    );
    scene.practice.settled().await;
    plan_snapshot!("resume_with_a_changed_template", scene, "resume deploy/checkout");
}

#[tokio::test]
async fn set_image_touches_only_the_containers_named() {
    let scene = Scene::shop().await;
    plan_snapshot!("set_image", scene, "set-image deploy/checkout app=registry.example/checkout:1.42");
    plan_snapshot!(
        "set_image_two_floating",
        scene,
        "set-image deploy/checkout app=registry.example/checkout proxy=registry.example/proxy:latest"
    );
}

#[tokio::test]
async fn set_resources_touches_only_what_is_named() {
    let scene = Scene::shop().await;
    plan_snapshot!(
        "set_resources",
        scene,
        "set-resources deploy/checkout --container app --requests cpu=250m --limits memory=512Mi,cpu=1"
    );
    plan_snapshot!(
        "set_resources_where_there_were_none",
        scene,
        "set-resources deploy/web --requests cpu=250m,memory=64Mi"
    );
}

#[tokio::test]
async fn delete_pod_names_its_workload_and_its_budget() {
    let scene = Scene::shop().await;
    plan_snapshot!(
        "delete_pod",
        scene,
        "delete-pod pod/db-0",
        &[
            (scene.object("StatefulSet", "db")["metadata"]["uid"].as_str().unwrap(), "<uid of db>"),
            (scene.object("Pod", "db-0")["spec"]["nodeName"].as_str().unwrap(), "<node>")
        ]
    );
}

#[tokio::test]
async fn run_job_makes_a_job_from_a_cron_job_and_a_job_once_more() {
    let scene = Scene::shop().await;
    let plan = scene.plan("run-job cj/nightly-report").await.unwrap();
    insta::assert_snapshot!("run_job", picture(&plan, &[]));
    scene.take(&plan.steps).await;
    scene.practice.settled().await;
    let first = scene.object("Job", plan.steps[0].object().name.as_str());
    assert_eq!(first["metadata"]["ownerReferences"][0]["name"], "nightly-report");
    scene.practice.apply(json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate", "namespace": "shop"},
        "spec": {"backoffLimit": 1, "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "migrate", "image": "registry.example/migrate:1"}]}}}}));
    scene.practice.settled().await;
    plan_snapshot!("run_job_once_more", scene, "run-job job/migrate");
}
