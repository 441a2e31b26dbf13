//! The controllers.

use crate::world::{World, deployment, from, until};
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Event, PersistentVolumeClaim, Pod};
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use practice::PracticeConfig;
use serde_json::{Value, json};
use std::time::Duration;

fn condition<'a>(object: &'a Value, kind: &str) -> &'a Value {
    object["status"]["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .find(|condition| condition["type"] == kind)
        .unwrap_or(&Value::Null)
}

fn new_image(image: &str) -> Patch<Value> {
    Patch::Strategic(
        json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "image": image}]}}}}),
    )
}

async fn patch(world: &World, name: &str, patch: &Patch<Value>) {
    world.api::<Deployment>().patch(name, &PatchParams::default(), patch).await.unwrap();
    world.practice.settled().await;
}

#[tokio::test]
async fn a_deployment_becomes_available_and_says_so_in_its_status() {
    let world = World::new().await;
    world.deploy(deployment("a", 3)).await;
    let object = world.object("apps/v1", "Deployment", "a");
    let status = &object["status"];
    assert_eq!(
        (
            &status["observedGeneration"],
            &status["replicas"],
            &status["updatedReplicas"],
            &status["readyReplicas"],
            &status["availableReplicas"],
            &status["unavailableReplicas"]
        ),
        (&json!(1), &json!(3), &json!(3), &json!(3), &json!(3), &json!(null))
    );
    assert_eq!(
        (&condition(&object, "Available")["status"], &condition(&object, "Available")["reason"]),
        (&json!("True"), &json!("MinimumReplicasAvailable"))
    );
    assert_eq!(condition(&object, "Progressing")["reason"], "NewReplicaSetAvailable");
    assert_eq!(object["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "1");
    assert_eq!(object["metadata"]["generation"], 1);
    let events: Vec<String> = world
        .api::<Event>()
        .list(&ListParams::default().fields("involvedObject.kind=Deployment"))
        .await
        .unwrap()
        .items
        .into_iter()
        .filter_map(|event| event.message)
        .collect();
    assert!(
        events[0].starts_with("Scaled up replica set a-") && events[0].ends_with(" from 0 to 3"),
        "{events:?}"
    );
}

#[tokio::test]
async fn a_new_template_makes_a_new_revision_and_going_back_reuses_the_old_replica_set() {
    let world = World::new().await;
    world.deploy(deployment("a", 3)).await;
    patch(&world, "a", &new_image("shop/app:2")).await;
    let sets = async || world.api::<ReplicaSet>().list(&ListParams::default()).await.unwrap().items;
    let of = |sets: &[ReplicaSet], revision: &str| {
        sets.iter()
            .find(|set| set.annotations()["deployment.kubernetes.io/revision"] == revision)
            .map(|set| (set.name_any(), set.spec.as_ref().unwrap().replicas))
    };
    let now = sets().await;
    let (first, second) = (of(&now, "1").unwrap(), of(&now, "2").unwrap());
    assert_eq!((first.1, second.1), (Some(0), Some(3)));
    assert!(world.pods("a").await.iter().all(|pod| pod.labels().contains_key("pod-template-hash")));
    patch(&world, "a", &new_image("shop/app:1")).await;
    let now = sets().await;
    assert_eq!(now.len(), 2);
    assert_eq!(of(&now, "3").unwrap(), (first.0, Some(3)));
    assert_eq!(
        world.object("apps/v1", "Deployment", "a")["metadata"]["annotations"]["deployment.kubernetes.io/revision"],
        "3"
    );
}

#[tokio::test]
async fn a_rolling_update_never_has_fewer_available_or_more_pods_than_it_may() {
    let world =
        World::with(PracticeConfig { speed: Duration::from_millis(50), ..PracticeConfig::default() }).await;
    let mut four = deployment("a", 4);
    four["spec"]["strategy"] =
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}});
    world.deploy(four).await;
    world.api::<Deployment>().patch("a", &PatchParams::default(), &new_image("shop/app:2")).await.unwrap();
    let mut steps = 0;
    until("the rollout is complete", async || {
        let pods = world.pods("a").await;
        let living: Vec<_> = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect();
        let ready = living
            .iter()
            .filter(|pod| {
                pod.status
                    .as_ref()
                    .unwrap()
                    .conditions
                    .iter()
                    .flatten()
                    .any(|is| is.type_ == "Ready" && is.status == "True")
            })
            .count();
        assert!(living.len() <= 5 && ready >= 3, "{} pods, {ready} ready", living.len());
        steps += 1;
        let status = world.object("apps/v1", "Deployment", "a")["status"].clone();
        status["updatedReplicas"] == 4 && status["replicas"] == 4 && status["availableReplicas"] == 4
    })
    .await;
    assert!(steps > 2);
}

#[tokio::test]
async fn a_bad_image_stops_the_rollout_and_the_deadline_is_noticed() {
    let world = World::new().await;
    let mut short = deployment("a", 2);
    short["spec"]["progressDeadlineSeconds"] = json!(1);
    world.deploy(short).await;
    patch(&world, "a", &new_image("shop/app:nope")).await;
    let object = world.object("apps/v1", "Deployment", "a");
    assert_eq!(object["status"]["availableReplicas"], 2, "the old ones stay");
    assert_eq!(
        (&object["status"]["updatedReplicas"], &object["status"]["unavailableReplicas"]),
        (&json!(1), &json!(1))
    );
    until("the deadline is exceeded", async || {
        condition(&world.object("apps/v1", "Deployment", "a"), "Progressing")["reason"]
            == "ProgressDeadlineExceeded"
    })
    .await;
    assert_eq!(condition(&world.object("apps/v1", "Deployment", "a"), "Progressing")["status"], "False");
    patch(&world, "a", &new_image("shop/app:1")).await;
    assert_eq!(
        condition(&world.object("apps/v1", "Deployment", "a"), "Progressing")["reason"],
        "NewReplicaSetAvailable"
    );
}

#[tokio::test]
async fn a_paused_deployment_scales_but_does_not_roll_out() {
    let world = World::new().await;
    world.deploy(deployment("a", 2)).await;
    patch(&world, "a", &Patch::Merge(json!({"spec": {"paused": true}}))).await;
    assert_eq!(
        condition(&world.object("apps/v1", "Deployment", "a"), "Progressing")["reason"],
        "DeploymentPaused"
    );
    patch(&world, "a", &new_image("shop/app:2")).await;
    patch(&world, "a", &Patch::Merge(json!({"spec": {"replicas": 3}}))).await;
    let images = async || -> Vec<String> {
        world
            .pods("a")
            .await
            .iter()
            .map(|pod| pod.spec.as_ref().unwrap().containers[0].image.clone().unwrap())
            .collect()
    };
    assert_eq!(images().await, vec!["shop/app:1"; 3]);
    patch(&world, "a", &Patch::Merge(json!({"spec": {"paused": null}}))).await;
    assert_eq!(images().await, vec!["shop/app:2"; 3]);
}

#[tokio::test]
async fn recreate_ends_all_old_pods_before_it_starts_new_ones() {
    let world =
        World::with(PracticeConfig { speed: Duration::from_millis(60), ..PracticeConfig::default() }).await;
    let mut recreate = deployment("a", 2);
    recreate["spec"]["strategy"] = json!({"type": "Recreate"});
    world.deploy(recreate).await;
    world.api::<Deployment>().patch("a", &PatchParams::default(), &new_image("shop/app:2")).await.unwrap();
    until("the new pods are there", async || {
        let images: Vec<String> = world
            .pods("a")
            .await
            .iter()
            .map(|pod| pod.spec.as_ref().unwrap().containers[0].image.clone().unwrap())
            .collect();
        assert!(images.iter().all(|image| *image == images[0]), "old and new at once: {images:?}");
        images == ["shop/app:2", "shop/app:2"]
    })
    .await;
}

#[tokio::test]
async fn old_replica_sets_go_beyond_the_history_limit() {
    let world = World::new().await;
    let mut short = deployment("a", 1);
    short["spec"]["revisionHistoryLimit"] = json!(2);
    world.deploy(short).await;
    for version in 2..7 {
        patch(&world, "a", &new_image(&format!("shop/app:{version}"))).await;
    }
    assert_eq!(world.api::<ReplicaSet>().list(&ListParams::default()).await.unwrap().items.len(), 3);
}

#[tokio::test]
async fn a_deleted_pod_is_replaced() {
    let world = World::new().await;
    world.deploy(deployment("a", 2)).await;
    let gone = world.pods("a").await[0].name_any();
    world.api::<Pod>().delete(&gone, &DeleteParams::default()).await.unwrap();
    world.practice.settled().await;
    let left: Vec<String> = world.pods("a").await.iter().map(ResourceExt::name_any).collect();
    assert!(left.len() == 2 && !left.contains(&gone));
    assert_eq!(world.object("apps/v1", "Deployment", "a")["status"]["readyReplicas"], 2);
}

fn stateful_set(replicas: i32) -> Value {
    json!({"metadata": {"name": "db"}, "spec": {"replicas": replicas, "serviceName": "db", "selector": {"matchLabels": {"app": "db"}},
        "template": {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "app", "image": "db:1"}]}},
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}]}})
}

#[tokio::test]
async fn a_stateful_set_starts_updates_and_shrinks_in_order() {
    let world =
        World::with(PracticeConfig { speed: Duration::from_millis(20), ..PracticeConfig::default() }).await;
    let sets = world.api::<StatefulSet>();
    sets.create(&PostParams::default(), &from(stateful_set(3))).await.unwrap();
    until("three are ready", async || {
        let names: Vec<String> = world.pods("db").await.iter().map(ResourceExt::name_any).collect();
        assert_eq!(names, ["db-0", "db-1", "db-2"][..names.len()]);
        world.object("apps/v1", "StatefulSet", "db")["status"]["readyReplicas"] == 3
    })
    .await;
    assert_eq!(
        world.api::<PersistentVolumeClaim>().get("data-db-2").await.unwrap().status.unwrap().phase.as_deref(),
        Some("Bound")
    );
    let before = world.object("apps/v1", "StatefulSet", "db")["status"]["currentRevision"].clone();
    sets.patch("db", &PatchParams::default(), &new_image("db:2")).await.unwrap();
    until("the update is complete", async || {
        let new: Vec<String> = world
            .pods("db")
            .await
            .iter()
            .filter(|pod| pod.spec.as_ref().unwrap().containers[0].image.as_deref() == Some("db:2"))
            .map(ResourceExt::name_any)
            .collect();
        assert!(
            ["db-2", "db-1", "db-0"][..new.len()].iter().all(|name| new.contains(&(*name).to_owned())),
            "from the top: {new:?}"
        );
        let status = world.object("apps/v1", "StatefulSet", "db")["status"].clone();
        status["updatedReplicas"] == 3
            && status["readyReplicas"] == 3
            && status["currentRevision"] == status["updateRevision"]
            && status["updateRevision"] != before
    })
    .await;
    let revisions = world.api::<ControllerRevision>().list(&ListParams::default()).await.unwrap().items;
    assert_eq!(revisions.iter().map(|revision| revision.revision).max(), Some(2));
    let label = world.pods("db").await[0].labels()["controller-revision-hash"].clone();
    assert_eq!(world.object("apps/v1", "StatefulSet", "db")["status"]["updateRevision"], label.as_str());
    sets.patch("db", &PatchParams::default(), &Patch::Merge(json!({"spec": {"replicas": 1}}))).await.unwrap();
    world.practice.settled().await;
    assert_eq!(world.pods("db").await.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["db-0"]);
}

#[tokio::test]
async fn a_daemon_set_has_one_pod_on_every_node_and_updates_them_one_by_one() {
    let world = World::new().await;
    let daemons = json!({"metadata": {"name": "agent"}, "spec": {"selector": {"matchLabels": {"app": "agent"}}, "template": {"metadata": {"labels": {"app": "agent"}}, "spec": {"containers": [{"name": "app", "image": "agent:1"}]}}}});
    let sets = world.api::<DaemonSet>();
    sets.create(&PostParams::default(), &from(daemons)).await.unwrap();
    world.practice.settled().await;
    let nodes = async || -> Vec<String> {
        let mut nodes: Vec<String> = world
            .pods("agent")
            .await
            .iter()
            .map(|pod| pod.spec.as_ref().unwrap().node_name.clone().unwrap())
            .collect();
        nodes.sort();
        nodes
    };
    assert_eq!(nodes().await, ["node-1", "node-2", "node-3"]);
    sets.patch("agent", &PatchParams::default(), &new_image("agent:2")).await.unwrap();
    world.practice.settled().await;
    let status = world.object("apps/v1", "DaemonSet", "agent")["status"].clone();
    assert_eq!(
        (
            &status["desiredNumberScheduled"],
            &status["numberReady"],
            &status["updatedNumberScheduled"],
            &status["observedGeneration"]
        ),
        (&json!(3), &json!(3), &json!(3), &json!(2))
    );
    assert!(
        world
            .pods("agent")
            .await
            .iter()
            .all(|pod| pod.spec.as_ref().unwrap().containers[0].image.as_deref() == Some("agent:2"))
    );
    assert_eq!(world.api::<ControllerRevision>().list(&ListParams::default()).await.unwrap().items.len(), 2);
}

fn job(name: &str, command: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {"completions": 2, "backoffLimit": 1, "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "app", "image": "job:1", "command": ["sh", "-c", command]}]}}}})
}

#[tokio::test]
async fn a_job_completes_or_fails_at_its_backoff_limit() {
    let world = World::new().await;
    let jobs = world.api::<Job>();
    for (name, command) in [("good", "echo hello"), ("bad", "echo oh; exit 1")] {
        jobs.create(&PostParams::default(), &from(job(name, command))).await.unwrap();
    }
    world.practice.settled().await;
    let good = world.object("batch/v1", "Job", "good");
    assert_eq!(
        (&condition(&good, "Complete")["status"], &good["status"]["succeeded"]),
        (&json!("True"), &json!(2))
    );
    let bad = world.object("batch/v1", "Job", "bad");
    assert_eq!(
        (&condition(&bad, "Failed")["reason"], &bad["status"]["failed"]),
        (&json!("BackoffLimitExceeded"), &json!(2))
    );
    let pods = world
        .api::<Pod>()
        .list(&ListParams::default().labels("batch.kubernetes.io/job-name=good"))
        .await
        .unwrap()
        .items;
    assert!(
        pods.len() == 2
            && pods.iter().all(|pod| pod.status.as_ref().unwrap().phase.as_deref() == Some("Succeeded"))
    );
}

#[tokio::test]
async fn a_cron_job_that_was_due_starts_its_job() {
    let world = World::new().await;
    let mut spec = job("x", "true")["spec"].clone();
    spec["completions"] = json!(1);
    let cron = json!({"metadata": {"name": "tick"}, "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": spec}}});
    let crons = world.api::<CronJob>();
    crons.create(&PostParams::default(), &from(cron)).await.unwrap();
    // As if it had last run a while ago.
    let past = json!({"status": {"lastScheduleTime": "2026-01-01T00:00:00Z"}});
    crons.patch_status("tick", &PatchParams::default(), &Patch::Merge(past)).await.unwrap();
    world.practice.settled().await;
    let jobs = world.api::<Job>().list(&ListParams::default()).await.unwrap().items;
    assert_eq!(jobs.len(), 1, "missed times make one job");
    assert_eq!(jobs[0].owner_references()[0].kind, "CronJob");
    assert!(world.object("batch/v1", "CronJob", "tick")["status"]["lastSuccessfulTime"].is_string());
}

#[tokio::test]
async fn an_autoscaler_scales_by_use_and_owns_the_number_of_replicas() {
    let world = World::new().await;
    let mut busy = deployment("a", 2);
    busy["spec"]["template"]["metadata"]["annotations"] = json!({"practice.petrel.dev/cpu": "180m"});
    busy["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "100m"}});
    world.deploy(busy).await;
    let hpa = json!({"metadata": {"name": "a"}, "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "a"}, "maxReplicas": 3}});
    world.api::<HorizontalPodAutoscaler>().create(&PostParams::default(), &from(hpa)).await.unwrap();
    world.practice.settled().await;
    let object = world.object("apps/v1", "Deployment", "a");
    assert_eq!((&object["spec"]["replicas"], &object["status"]["readyReplicas"]), (&json!(3), &json!(3)));
    let status = world.object("autoscaling/v2", "HorizontalPodAutoscaler", "a");
    assert_eq!(
        (&status["status"]["desiredReplicas"], &condition(&status, "ScalingLimited")["reason"]),
        (&json!(3), &json!("TooManyReplicas"))
    );
    let managers = object["metadata"]["managedFields"].as_array().unwrap();
    assert!(
        managers
            .iter()
            .any(|manager| manager["manager"] == "kube-controller-manager"
                && manager["subresource"] == "scale"),
        "{managers:?}"
    );
}
