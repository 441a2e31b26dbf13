use crate::scene::Scene;
use serde_json::json;

async fn refusal(scene: &Scene, line: &str) -> String {
    match scene.plan(line).await {
        Ok(plan) => panic!("{line} was planned: {}", plan.summary),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn a_plan_that_makes_no_sense_says_why_and_what_would() {
    let scene = Scene::shop().await;
    for (line, words) in [
        (
            "scale ds/agent 3",
            "a DaemonSet has no replicas, it runs one pod on every node that it selects; this works on Deployments and StatefulSets",
        ),
        ("pause sts/db", "a StatefulSet cannot be paused; this works on Deployments"),
        (
            "restart pod/db-0",
            "a Pod cannot be restarted; this works on Deployments, StatefulSets and DaemonSets",
        ),
        ("delete-pod deploy/checkout", "a Deployment is not a pod; this works on Pods"),
        ("scale deploy/checkout 3", "nothing to do: Deployment checkout has 3 replicas"),
        (
            "scale deploy/checkout -4",
            "Deployment checkout: it has 3 replicas; -4 more would be less than none",
        ),
        ("scale deploy/checkout six", "'six' is not a number of replicas; write 6, +2 or -1"),
        ("resume deploy/checkout", "nothing to do: Deployment checkout is not paused"),
        ("rollback deploy/checkout", "Deployment checkout: there is no earlier revision"),
        ("rollback deploy/checkout --to 9", "Deployment checkout: there is no revision 9; there are 1"),
        (
            "set-image deploy/checkout app=registry.example/checkout:1.41",
            "nothing to do: Deployment checkout runs these images",
        ),
        (
            "set-image deploy/checkout web=nginx:1",
            "Deployment checkout has no container 'web'; it has app, proxy",
        ),
        (
            "set-resources deploy/checkout --requests cpu=1",
            "Deployment checkout has 2 containers; say which with --container: app, proxy",
        ),
        (
            "set-resources deploy/checkout --container app --requests memory=512Mi",
            "container app would request more memory (512Mi) than its limit allows (256Mi); set both",
        ),
        (
            "set-resources deploy/checkout --container app --requests cpu=0.1",
            "nothing to do: container app of Deployment checkout has these resources",
        ),
        ("restart deploy/chekout", "Deployment shop/chekout does not exist"),
    ] {
        assert_eq!(refusal(&scene, line).await, words, "{line}");
    }
}

#[tokio::test]
async fn a_paused_deployment_is_neither_restarted_nor_rolled_back() {
    let scene = Scene::shop().await;
    scene.set("Deployment", "checkout", "/spec/paused", json!(true));
    assert_eq!(
        refusal(&scene, "restart deploy/checkout").await,
        "Deployment checkout is paused and would not restart; resume it first"
    );
    assert_eq!(
        refusal(&scene, "rollback deploy/checkout").await,
        "Deployment checkout is paused and would not roll back; resume it first"
    );
    assert_eq!(
        refusal(&scene, "pause deploy/checkout").await,
        "nothing to do: Deployment checkout is paused"
    );
}

#[tokio::test]
async fn a_workload_that_updates_on_delete_is_not_restarted() {
    let scene = Scene::shop().await;
    scene.set("StatefulSet", "db", "/spec/updateStrategy", json!({"type": "OnDelete"}));
    assert!(refusal(&scene, "restart sts/db").await.contains("delete them one by one with delete-pod"));
    let plan = scene.plan("set-image sts/db db=registry.example/db:17").await.unwrap();
    assert_eq!(plan.blast.pods, 0);
    assert!(plan.blast.notes.iter().any(|note| note.contains("OnDelete")), "{:?}", plan.blast.notes);
}
