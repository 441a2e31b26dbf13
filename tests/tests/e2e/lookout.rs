//! Clusters with `watch = true` tell of their trouble themselves: once, whatever happens to watches and to who watches.

use ledger::{Request, RequestFilter, RequestState, StoredIncident};
use serde_json::{Value, json};
use std::{fs, time::Duration};
use tests::{
    cluster::deployment,
    hook,
    proxy::{Side, Trap},
    wait,
    world::{Platforms, World},
};

const WITHIN: Duration = Duration::from_secs(60);

const RULES: &str = r#"
rule "back" {
  on event "CrashLoopBackOff" where severity >= 4
  then [ rollback(workload) ]
  verify within 2m { alert resolved, rollout healthy }
  else [ escalate("console:alerts") ]
}
"#;

/// A world whose cluster is watched, with so many replicas.
async fn world(replicas: usize) -> World {
    let platforms = Platforms { config: hook::CONFIG.into(), ..Platforms::default() };
    let mut world = World::among(platforms).await.expect("a world");
    fs::write(world.folder().join("hook.token"), hook::TOKEN).expect("a token");
    fs::create_dir(world.folder().join("rules")).expect("a folder");
    fs::write(world.folder().join("rules/shop.heal"), RULES).expect("rules");
    let config = fs::read_to_string(world.config()).expect("the config");
    let config = config.replacen("[[cluster]]", "[[cluster]]\nwatch = true", 1);
    fs::write(world.config(), config).expect("the config");
    for _ in 0..replicas {
        world.start().await.expect("a replica");
    }
    world
}

/// Whose pods never come up.
async fn broken(world: &World, name: &str) -> anyhow::Result<()> {
    let mut broken = deployment(name, 1);
    broken["spec"]["template"]["spec"]["containers"][0]["image"] = json!("registry.example/missing:1");
    world.cluster.create(broken).await.map(drop)
}

async fn mend(world: &World, name: &str) {
    let good = json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "registry.example/shop/app:1.0"}]}}}});
    world.cluster.meddle("apps/v1", "Deployment", name, good).await.expect("a release");
}

/// The incident of a workload in this test's namespace, once this is true of it.
async fn incident(world: &World, workload: &str, what: &str, is: impl Fn(&Value) -> bool) -> StoredIncident {
    wait::until(&format!("the incident of {workload} {what}"), WITHIN, || async {
        let all = world.ledger.incidents(false, 50).await.ok()?;
        all.into_iter().find(|stored| {
            let of = &stored.doc["group"]["workload"];
            of["workload"]["name"] == workload
                && of["namespace"] == world.cluster.namespace
                && is(&stored.doc)
        })
    })
    .await
}

fn is_open(doc: &Value) -> bool {
    doc["end"].is_null()
}

async fn requests(world: &World) -> Vec<Request> {
    world.ledger.requests(&RequestFilter { limit: 100, ..RequestFilter::default() }).await.expect("requests")
}

#[tokio::test]
async fn a_crash_loop_that_nobody_reports_is_found_once_and_healed_after_one_click() {
    let world = world(2).await;
    world.cluster.deployment("checkout", 2).await.expect("a deployment");
    let bad = json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "registry.example/shop/app:crash"}]}}}});
    world.cluster.meddle("apps/v1", "Deployment", "checkout", bad).await.expect("a bad release");

    let request = wait::until("a request to roll back", WITHIN, || async {
        requests(&world).await.into_iter().find(|request| request.state == RequestState::Awaiting)
    })
    .await;
    assert_eq!(request.ask.actor.as_str(), "alert:CrashLoopBackOff");
    assert_eq!((request.ask.action.as_str(), request.ask.target.name.as_str()), ("rollback", "checkout"));
    let (status, answer) =
        world.api("bob").vote(&request.id.to_string(), "approve", None).await.expect("a vote");
    assert!(status.is_success(), "{answer}");
    let ended = incident(&world, "checkout", "to end", |doc| !is_open(doc)).await.doc;
    assert_eq!(ended["end"], json!({"healed": {"request": request.id}}), "{ended}\n{}", world.logs());
    assert_eq!(requests(&world).await.len(), 1, "one request");
    let troubles = ended["troubles"].as_u64().expect("a number");
    assert!((1..=2).contains(&troubles), "one trouble per pod that crashed: {ended}");
}

#[tokio::test]
async fn nothing_is_missed_when_watches_break_or_their_holder_dies() {
    let mut world = world(2).await;
    if !world.cluster.is_practice() {
        return println!("skipped: a real cluster has no fault switches");
    }
    broken(&world, "first").await.expect("a deployment");
    incident(&world, "first", "to open", is_open).await;
    let faults = [
        ("dropped", json!({"drop_watches": true})),
        ("expired", json!({"expire_watches": true})),
        ("away", json!({"refuse_for_ms": 1500})),
    ];
    for (name, fault) in faults {
        world.cluster.fault(fault).await.expect("a fault");
        // While connections are refused this client's are as well.
        wait::until("the cluster to take it", WITHIN, || async { broken(&world, name).await.ok() }).await;
        incident(&world, name, "to open", is_open).await;
    }
    assert_eq!(world.ledger.incidents(true, 50).await.expect("incidents").len(), 4, "each once");

    // The next watcher takes over, whichever it was; what happened meanwhile it learns from the cluster.
    world.replicas[0].process.kill().await;
    // It may still be away, if all that is above took less.
    wait::until("the cluster to take it", WITHIN, || async { broken(&world, "later").await.ok() }).await;
    incident(&world, "later", "to open", is_open).await;
    world.replicas[1].process.kill().await;
    mend(&world, "first").await;
    wait::until("first to be up", WITHIN, || async {
        let status = world.cluster.get("apps/v1", "Deployment", "first").await["status"].clone();
        (status["readyReplicas"] == 1 && status["replicas"] == 1).then_some(())
    })
    .await;
    world.start().await.expect("a replica");
    let ended = incident(&world, "first", "to end", |doc| !is_open(doc)).await;
    assert_eq!(ended.doc["end"], json!("itself"));
    for name in ["dropped", "expired", "away", "later"] {
        incident(&world, name, "to be open still", is_open).await;
    }
}

/// What a controller or kubelet would say about an object of this test's namespace.
async fn warn(world: &World, reason: &str, kind: &str, name: &str, message: &str) {
    let now = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second()).expect("a time");
    let namespace = &world.cluster.namespace;
    let event = json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": format!("{name}.{}", reason.to_lowercase()), "namespace": namespace},
        "involvedObject": {"apiVersion": "apps/v1", "kind": kind, "namespace": namespace, "name": name},
        "reason": reason, "message": message, "type": "Warning", "source": {"component": "controller"},
        "firstTimestamp": now, "lastTimestamp": now, "count": 1});
    world.cluster.create(event).await.expect("an event");
}

#[tokio::test]
async fn pods_that_may_not_be_made_are_found_by_the_warning_alone_and_it_ends_with_the_next_pod() {
    let mut world = world(1).await;
    world.cluster.deployment("checkout", 1).await.expect("a deployment");
    let sets = world.cluster.names("apps/v1", "ReplicaSet").await.expect("a list");
    let message = "exceeded quota: pods, requested: pods=1, used: pods=1, limited: pods=1";
    warn(&world, "FailedCreate", "ReplicaSet", &sets[0], message).await;
    // What other tests are about, and what conditions show better, is not taken from warnings.
    warn(&world, "Unhealthy", "ReplicaSet", &sets[0], "probe failed").await;
    let found = incident(&world, "checkout", "to open", is_open).await;
    assert_eq!(found.doc["names"], json!(["FailedCreate"]));
    assert!(found.handling["event"]["evidence"].to_string().contains("exceeded quota"), "{}", found.handling);
    assert_eq!(found.handling["event"]["labels"]["replicaset"], json!(sets[0]));
    // The next watcher knows it by what was told, not by the warning.
    world.replicas[0].process.kill().await;
    world.start().await.expect("a replica");
    let more = json!({"spec": {"replicas": 2}});
    world.cluster.meddle("apps/v1", "Deployment", "checkout", more).await.expect("one more");
    let ended = incident(&world, "checkout", "to end", |doc| !is_open(doc)).await;
    assert_eq!((ended.id, &ended.doc["end"]), (found.id, &json!("itself")));
}

#[tokio::test]
async fn who_stops_watching_a_cluster_leaves_no_incident_open_for_ever() {
    let mut world = world(1).await;
    broken(&world, "first").await.expect("a deployment");
    let found = incident(&world, "first", "to open", is_open).await;
    world.replicas[0].process.kill().await;
    let config = fs::read_to_string(world.config()).expect("the config");
    fs::write(world.config(), config.replacen("watch = true", "watch = false", 1)).expect("the config");
    world.start().await.expect("a replica");
    let ended = incident(&world, "first", "to end", |doc| !is_open(doc)).await;
    assert_eq!((ended.id, &ended.doc["end"]), (found.id, &json!("itself")));
}

#[tokio::test]
async fn a_death_while_a_cluster_tells_of_its_trouble_loses_nothing_and_counts_nothing_twice() {
    let mut world = world(1).await;
    if !world.cluster.is_practice() {
        return println!("skipped: it would leave too much on a real cluster");
    }
    for (name, side) in [("before", Side::Before), ("after", Side::After)] {
        let trap = || Trap { label: "event.receive".into(), side, skip: 0 };
        world.proxy.arm(trap());
        broken(&world, name).await.expect("a deployment");
        die(&mut world, "telling that it began").await;
        let opened = incident(&world, name, "to open", is_open).await;
        world.proxy.arm(trap());
        mend(&world, name).await;
        die(&mut world, "telling that it is over").await;
        let ended = incident(&world, name, "to end", |doc| !is_open(doc)).await;
        assert_eq!(ended.id, opened.id);
        assert_eq!(
            (&ended.doc["end"], &ended.doc["troubles"]),
            (&json!("itself"), &json!(1)),
            "{}",
            ended.doc
        );
    }
    assert_eq!(world.ledger.incidents(false, 50).await.expect("incidents").len(), 2, "each once");
}

/// The replica dies at the trap, and another one takes its place.
async fn die(world: &mut World, at: &str) {
    wait::until(&format!("a death while {at}"), WITHIN, || async { world.proxy.sprung().then_some(()) })
        .await;
    assert!(world.proxy.disarm());
    world.replace_the_dead().await.expect("a new replica");
}
