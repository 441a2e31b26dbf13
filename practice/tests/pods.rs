//! Pods: eviction, logs, resize, metrics, misbehaviour.

use crate::world::{World, deployment, dynamic, from, pod, refusal};
use k8s_openapi::api::core::v1::{Event, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, EvictParams, ListParams, LogParams, Patch, PatchParams, PostParams};
use practice::PracticeConfig;
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn an_eviction_is_refused_when_the_budget_is_used_up() {
    let world = World::new().await;
    world.deploy(deployment("a", 2)).await;
    let budgets = world.api::<PodDisruptionBudget>();
    let budget = json!({"metadata": {"name": "a"}, "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "a"}}}});
    budgets.create(&PostParams::default(), &from(budget)).await.unwrap();
    world.practice.settled().await;
    let status = budgets.get("a").await.unwrap().status.unwrap();
    assert_eq!(
        (status.current_healthy, status.desired_healthy, status.expected_pods, status.disruptions_allowed),
        (Some(2), Some(2), Some(2), Some(0))
    );
    let pods = world.api::<Pod>();
    let name = world.pods("a").await[0].name_any();
    let refused = refusal(pods.evict(&name, &EvictParams::default()).await);
    assert_eq!(
        (refused.code, refused.reason.as_str(), refused.message.as_str()),
        (429, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.")
    );
    let cause = &refused.details.unwrap().causes[0];
    assert_eq!(
        (cause.reason.as_str(), cause.message.as_str()),
        ("DisruptionBudget", "The disruption budget a needs 2 healthy pods and has 2 currently")
    );
    budgets
        .patch("a", &PatchParams::default(), &Patch::Merge(json!({"spec": {"minAvailable": 1}})))
        .await
        .unwrap();
    world.practice.settled().await;
    let dry = EvictParams {
        post_options: PostParams { dry_run: true, ..PostParams::default() },
        ..EvictParams::default()
    };
    pods.evict(&name, &dry).await.unwrap();
    assert!(pods.get(&name).await.unwrap().metadata.deletion_timestamp.is_none());
    pods.evict(&name, &EvictParams::default()).await.unwrap();
    world.practice.settled().await;
    assert!(world.practice.audit().iter().any(|call| call.subresource == "eviction" && call.took_effect()));
    let left: Vec<String> = world.pods("a").await.iter().map(ResourceExt::name_any).collect();
    assert!(left.len() == 2 && !left.contains(&name), "it went, and another came: {left:?}");
}

#[tokio::test]
async fn a_deleted_pod_has_its_grace_before_it_goes() {
    let world =
        World::with(PracticeConfig { speed: Duration::from_millis(200), ..PracticeConfig::default() }).await;
    let pods = world.api::<Pod>();
    pods.create(&PostParams::default(), &from(pod("a"))).await.unwrap();
    world.practice.settled().await;
    let going = pods.delete("a", &DeleteParams::default()).await.unwrap().left().unwrap();
    assert_eq!(going.metadata.deletion_grace_period_seconds, Some(30));
    assert!(pods.get("a").await.unwrap().metadata.deletion_timestamp.is_some());
    world.practice.settled().await;
    assert_eq!(refusal(pods.get("a").await).code, 404);
    pods.create(&PostParams::default(), &from(pod("b"))).await.unwrap();
    world.practice.settled().await;
    pods.delete("b", &DeleteParams::default().grace_period(0)).await.unwrap();
    assert_eq!(refusal(pods.get("b").await).code, 404, "without grace it goes at once");
}

#[tokio::test]
async fn logs_can_be_cut_by_lines_and_bytes_and_must_name_the_container() {
    let world = World::new().await;
    let pods = world.api::<Pod>();
    let mut two = pod("two");
    two["spec"]["containers"] = json!([{"name": "app", "image": "a:1"}, {"name": "proxy", "image": "p:1"}]);
    for value in [pod("one"), two] {
        pods.create(&PostParams::default(), &from(value)).await.unwrap();
    }
    world.practice.settled().await;
    let all = pods.logs("one", &LogParams::default()).await.unwrap();
    assert!(all.lines().count() >= 2 && all.starts_with("level=info msg=\"starting\""), "{all}");
    let last = pods.logs("one", &LogParams { tail_lines: Some(1), ..LogParams::default() }).await.unwrap();
    assert_eq!(last.lines().count(), 1);
    let short = pods.logs("one", &LogParams { limit_bytes: Some(10), ..LogParams::default() }).await.unwrap();
    assert_eq!(short.len(), 10);
    let unnamed = refusal(pods.logs("two", &LogParams::default()).await);
    assert_eq!(
        (unnamed.code, unnamed.message.as_str()),
        (400, "a container name must be specified for pod two, choose one of: [app proxy]")
    );
    let wrong =
        refusal(pods.logs("two", &LogParams { container: Some("x".into()), ..LogParams::default() }).await);
    assert_eq!(wrong.message, "container x is not valid for pod two");
    let previous = refusal(pods.logs("one", &LogParams { previous: true, ..LogParams::default() }).await);
    assert_eq!(previous.message, "previous terminated container \"app\" in pod \"one\" not found");
}

#[tokio::test]
async fn a_crashing_image_loops_and_leaves_the_log_of_its_end() {
    let world = World::new().await;
    let mut crashing = deployment("a", 1);
    crashing["spec"]["template"]["spec"]["containers"][0]["image"] = json!("shop/crash:1");
    world.deploy(crashing).await;
    let pod = &world.pods("a").await[0];
    let status = &pod.status.as_ref().unwrap().container_statuses.as_ref().unwrap()[0];
    assert_eq!(
        status.state.as_ref().unwrap().waiting.as_ref().unwrap().reason.as_deref(),
        Some("CrashLoopBackOff")
    );
    assert_eq!(
        (status.restart_count, status.last_state.as_ref().unwrap().terminated.as_ref().unwrap().exit_code),
        (1, 1)
    );
    let previous = world
        .api::<Pod>()
        .logs(&pod.name_any(), &LogParams { previous: true, ..LogParams::default() })
        .await
        .unwrap();
    assert!(previous.contains("panic: giving up"), "{previous}");
    let reasons: Vec<String> = world
        .api::<Event>()
        .list(&ListParams::default().fields(&format!("involvedObject.name={}", pod.name_any())))
        .await
        .unwrap()
        .items
        .into_iter()
        .filter_map(|event| event.reason)
        .collect();
    for reason in ["Scheduled", "Pulled", "Created", "Started", "BackOff"] {
        assert!(reasons.contains(&reason.to_owned()), "{reason} in {reasons:?}");
    }
}

#[tokio::test]
async fn a_missing_image_cannot_be_pulled_until_another_one_is_set() {
    let world = World::new().await;
    let mut missing = pod("a");
    missing["spec"]["containers"][0]["image"] = json!("shop/app:nope");
    let pods = world.api::<Pod>();
    pods.create(&PostParams::default(), &from(missing)).await.unwrap();
    world.practice.settled().await;
    let object = world.object("v1", "Pod", "a");
    assert_eq!(object["status"]["phase"], "Pending");
    assert_eq!(object["status"]["containerStatuses"][0]["state"]["waiting"]["reason"], "ImagePullBackOff");
    pods.patch(
        "a",
        &PatchParams::default(),
        &Patch::Strategic(json!({"spec": {"containers": [{"name": "app", "image": "shop/app:2"}]}})),
    )
    .await
    .unwrap();
    world.practice.settled().await;
    assert_eq!(world.object("v1", "Pod", "a")["status"]["phase"], "Running");
}

#[tokio::test]
async fn resources_of_a_running_pod_change_through_resize_only() {
    let world = World::new().await;
    let pods = world.api::<Pod>();
    let made = pods.create(&PostParams::default(), &from(pod("a"))).await.unwrap();
    assert_eq!(made.metadata.generation, Some(1));
    world.practice.settled().await;
    let patch =
        json!({"spec": {"containers": [{"name": "app", "resources": {"requests": {"cpu": "200m"}}}]}});
    let refused = refusal(pods.patch("a", &PatchParams::default(), &Patch::Strategic(patch.clone())).await);
    assert!(
        refused.code == 422 && refused.message.contains("pod updates may not change fields other than"),
        "{}",
        refused.message
    );
    let resized = pods
        .patch_subresource("resize", "a", &PatchParams::default(), &Patch::Strategic(patch))
        .await
        .unwrap();
    assert_eq!(resized.metadata.generation, Some(2));
    world.practice.settled().await;
    assert_eq!(
        world.object("v1", "Pod", "a")["status"]["containerStatuses"][0]["resources"]["requests"]["cpu"],
        "200m"
    );
}

#[tokio::test]
async fn metrics_tell_what_nodes_and_running_pods_use() {
    let world = World::new().await;
    world.deploy(deployment("a", 2)).await;
    let pods = dynamic(&world.client, "metrics.k8s.io/v1beta1", "PodMetrics", "pods")
        .list(&ListParams::default())
        .await
        .unwrap()
        .items;
    assert_eq!(pods.len(), 2);
    let usage = &pods[0].data["containers"][0]["usage"];
    assert!(
        usage["cpu"].as_str().unwrap().ends_with('n') && usage["memory"].as_str().unwrap().ends_with("Ki"),
        "{usage}"
    );
    let request = http::Request::get("/apis/metrics.k8s.io/v1beta1/nodes").body(Vec::new()).unwrap();
    let nodes: Value = world.client.request(request).await.unwrap();
    assert_eq!(nodes["items"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn a_cordoned_or_full_cluster_leaves_pods_pending_until_there_is_room() {
    let world = World::with(PracticeConfig { nodes: 1, ..PracticeConfig::default() }).await;
    let nodes: Api<k8s_openapi::api::core::v1::Node> = Api::all(world.client.clone());
    nodes.cordon("node-1").await.unwrap();
    world.practice.settled().await;
    assert_eq!(
        world.practice.get("v1", "Node", None, "node-1").unwrap()["spec"]["taints"][0]["key"],
        "node.kubernetes.io/unschedulable"
    );
    let mut greedy = pod("a");
    greedy["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "10"}});
    world.api::<Pod>().create(&PostParams::default(), &from(greedy.clone())).await.unwrap();
    world.practice.settled().await;
    let scheduled = |name: &str| {
        world.object("v1", "Pod", name)["status"]["conditions"]
            .as_array()
            .unwrap()
            .iter()
            .find(|is| is["type"] == "PodScheduled")
            .unwrap()
            .clone()
    };
    assert!(
        scheduled("a")["message"]
            .as_str()
            .unwrap()
            .starts_with("0/1 nodes are available: 1 node(s) were unschedulable.")
    );
    nodes.uncordon("node-1").await.unwrap();
    world.practice.settled().await;
    assert_eq!(scheduled("a")["status"], "True");
    greedy["metadata"]["name"] = json!("b");
    world.api::<Pod>().create(&PostParams::default(), &from(greedy)).await.unwrap();
    world.practice.settled().await;
    assert!(scheduled("b")["message"].as_str().unwrap().contains("Insufficient cpu"));
    world.api::<Pod>().delete("a", &DeleteParams::default()).await.unwrap();
    world.practice.settled().await;
    assert_eq!(scheduled("b")["status"], "True");
}
