//! `kill -9` at every named commit boundary, for every action, and at random under load. The cluster's audit trail is
//! the witness: each approved effect exactly once, no unapproved effect ever, nothing left taken (G5, G6).

use std::{collections::BTreeMap, time::Duration};
use tests::{
    api::{Api, FINAL},
    long,
    proxy::{Side, Trap},
    wait,
    world::World,
};

const WITHIN: Duration = Duration::from_secs(60);

/// How often each request's step has taken effect on the cluster, by request id.
fn effects(world: &World) -> BTreeMap<String, usize> {
    let mut count = BTreeMap::new();
    for effect in world.cluster.effects() {
        let key = effect.body.pointer("/metadata/annotations/petrel.dev~1step").and_then(|key| key.as_str());
        if let Some((request, _)) = key.and_then(|key| key.split_once('/')) {
            *count.entry(request.to_string()).or_default() += 1;
        }
    }
    count
}

/// Pods that Petrel has deleted. A delete carries no annotation; its precondition is the pod's uid.
fn deletes(world: &World) -> usize {
    world.cluster.effects().iter().filter(|effect| effect.verb == "delete").count()
}

fn fresh_key() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Asks (insisting), gives the votes it takes (insisting), and waits for the end; the request.
async fn carry_through(ask: &Api, vote: &[Api], key: &str, line: &str) -> serde_json::Value {
    let id = ask.insist(key, line).await["request"]["id"].as_str().expect("an id").to_string();
    wait::until(&format!("'{line}' to end"), WITHIN, || async {
        let request = ask.request(&id).await.ok()?;
        let state = request["state"].as_str()?.to_string();
        if state == "awaiting" {
            for voter in vote {
                let _ = voter.vote(&id, "approve", None).await;
            }
        }
        FINAL.contains(&state.as_str()).then_some(request)
    })
    .await
}

/// Every commit boundary that this line passes, both sides of it, each with a death and a resurrection.
async fn die_everywhere(world: &mut World, line: impl Fn(usize) -> String) -> usize {
    let (ann, bob, cat) = (world.api("ann"), world.api("bob"), world.api("cat"));
    let before = world.proxy.seen();
    let undisturbed = carry_through(&ann, &[bob, cat], &fresh_key(), &line(0)).await;
    assert_eq!(undisturbed["state"], "succeeded", "{undisturbed}\n{}", world.logs());
    let boundaries: Vec<String> = world
        .proxy
        .seen()
        .into_iter()
        .filter(|(label, count)| before.get(label).unwrap_or(&0) < count)
        .map(|(label, _)| label)
        .filter(|label| ["request.", "run.", "step."].iter().any(|family| label.starts_with(family)))
        .collect();
    assert!(boundaries.len() >= 5, "too few named commit boundaries: {boundaries:?}");

    let mut deaths = 0;
    for (round, (label, side)) in
        boundaries.iter().flat_map(|label| [(label, Side::Before), (label, Side::After)]).enumerate()
    {
        let (round, key) = (round + 1, fresh_key());
        let deleted = deletes(world);
        world.proxy.arm(Trap { label: label.clone(), side, skip: 0 });
        let doomed = tokio::spawn({
            let (ann, voters) = (world.api("ann"), [world.api("bob"), world.api("cat")]);
            let (key, line) = (key.clone(), line(round));
            async move { carry_through(&ann, &voters, &key, &line).await }
        });
        wait::until(&format!("death at {label} {side:?}, or the end"), WITHIN, || async {
            (world.proxy.sprung() || doomed.is_finished()).then_some(())
        })
        .await;
        doomed.abort();
        if world.proxy.disarm() {
            deaths += 1;
            world.replace_the_dead().await.expect("a new replica");
        }
        let voters = [world.api("bob"), world.api("cat")];
        let request = carry_through(&world.api("ann"), &voters, &key, &line(round)).await;
        assert_eq!(request["state"], "succeeded", "killed {side:?} {label}: {request}\n{}", world.logs());
        let id = request["id"].as_str().expect("an id");
        if line(round).starts_with("delete-pod") {
            assert_eq!(deletes(world), deleted + 1, "killed {side:?} {label}: not exactly one pod deleted");
        } else {
            assert_eq!(effects(world).get(id), Some(&1), "killed {side:?} {label}: not exactly one effect");
        }
    }
    deaths
}

async fn nothing_is_left_taken_and_the_record_is_whole(world: &World) {
    let (queued, held) = world.ledger.queue_depth().await.expect("queue depth");
    assert_eq!((queued, held), (0, 0), "runs left queued or held");
    wait::until("everything sealed", WITHIN, || async {
        let verified = world.ledger.verify(&[], None, |_, _| {}).await.expect("verify");
        assert_eq!(verified.faults, vec![], "faults in the record");
        verified.unsealed.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_scale_survives_death_at_every_commit() {
    let mut world = World::with(1).await.expect("a world");
    if !world.cluster.is_practice() {
        return println!("skipped: the audit trail is the practice cluster's");
    }
    world.cluster.deployment("checkout", 1).await.expect("a deployment");
    let at = world.at();
    let deaths =
        die_everywhere(&mut world, |round| format!("scale deploy/checkout {}{at}", 2 + round % 3)).await;
    assert!(deaths >= 10, "only {deaths} deaths: the traps do not reach the commits");
    nothing_is_left_taken_and_the_record_is_whole(&world).await;
}

#[tokio::test]
async fn a_death_at_any_commit_is_made_good_by_two_other_replicas() {
    if !long() {
        return println!("skipped: runs with ./dev test --long");
    }
    let mut world = World::with(3).await.expect("a world");
    if !world.cluster.is_practice() {
        return println!("skipped: the audit trail is the practice cluster's");
    }
    world.cluster.deployment("checkout", 1).await.expect("a deployment");
    let at = world.at();
    let deaths =
        die_everywhere(&mut world, |round| format!("scale deploy/checkout {}{at}", 2 + round % 3)).await;
    assert!(deaths >= 10, "only {deaths} deaths: the traps do not reach the commits");
    nothing_is_left_taken_and_the_record_is_whole(&world).await;
}

#[tokio::test]
async fn a_restart_survives_death_at_every_commit() {
    let mut world = World::with(1).await.expect("a world");
    if !world.cluster.is_practice() {
        return println!("skipped: the audit trail is the practice cluster's");
    }
    world.cluster.deployment("checkout", 1).await.expect("a deployment");
    let at = world.at();
    let deaths = die_everywhere(&mut world, |_| format!("restart deploy/checkout{at}")).await;
    assert!(deaths >= 8, "only {deaths} deaths: the traps do not reach the commits");
    nothing_is_left_taken_and_the_record_is_whole(&world).await;
}

/// The other actions, each at every boundary.
#[tokio::test]
async fn every_action_survives_death_at_every_commit() {
    if !long() {
        return println!("skipped: runs with ./dev test --long");
    }
    let mut world = World::with(1).await.expect("a world");
    if !world.cluster.is_practice() {
        return println!("skipped: the audit trail is the practice cluster's");
    }
    world.cluster.deployment("checkout", 2).await.expect("a deployment");
    world.cluster.workload("StatefulSet", "db", 2).await.expect("a stateful set");
    world.cluster.workload("DaemonSet", "agent", 0).await.expect("a daemon set");
    world.cluster.create(serde_json::json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "nightly"},
        "spec": {"schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "job", "image": "registry.example/shop/job:1.0"}]}}}}}
    })).await.expect("a cron job");
    let at = world.at();
    for (name, line) in [
        (
            "set-image",
            Box::new(|round| format!("set-image deploy/checkout app=registry.example/shop/app:2.{round}{at}"))
                as Box<dyn Fn(usize) -> String>,
        ),
        (
            "set-resources",
            Box::new(|round| {
                format!("set-resources sts/db --container app --requests cpu={}m{at}", 20 + round)
            }),
        ),
        (
            "pause and resume",
            Box::new(|round| {
                format!("{} deploy/checkout{at}", if round % 2 == 0 { "pause" } else { "resume" })
            }),
        ),
        ("rollback", Box::new(|_| format!("rollback sts/db{at}"))),
        ("restart a daemon set", Box::new(|_| format!("restart ds/agent{at}"))),
        ("delete-pod", Box::new(|_| format!("delete-pod pod/db-0{at}"))),
        ("run-job", Box::new(|_| format!("run-job cj/nightly{at}"))),
    ] {
        let deaths = die_everywhere(&mut world, line).await;
        assert!(deaths >= 8, "{name}: only {deaths} deaths");
    }
    nothing_is_left_taken_and_the_record_is_whole(&world).await;
}

#[tokio::test]
async fn random_kills_under_load_repeat_no_effect_and_lose_nothing() {
    let (kills, replicas, submitters) = if long() { (500, 3, 8) } else { (15, 3, 4) };
    let mut world = World::with(replicas).await.expect("a world");
    if !world.cluster.is_practice() {
        return println!("skipped: the audit trail is the practice cluster's");
    }
    for n in 0..submitters {
        world.cluster.deployment(&format!("app-{n}"), 1).await.expect("a deployment");
    }
    let bases: std::sync::Arc<std::sync::Mutex<Vec<String>>> = std::sync::Arc::new(std::sync::Mutex::new(
        world.replicas.iter().map(|replica| replica.base.clone()).collect(),
    ));
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let tasks: Vec<_> = (0..submitters)
        .map(|n| {
            let (at, bases, stop) = (world.at(), bases.clone(), stop.clone());
            let (ann, bob) = (world.api("ann"), world.api("bob"));
            tokio::spawn(async move {
                let mut ended = Vec::new();
                for round in 0.. {
                    if stop.load(std::sync::atomic::Ordering::SeqCst) {
                        break;
                    }
                    let (key, line) = (
                        format!("load-{n}-{round}"),
                        format!("scale deploy/app-{n} {}{at}", 1 + (round + 1) % 3),
                    );
                    // Every try goes to whichever replica, as a load balancer would send it.
                    let mut turn = n + round;
                    let request = wait::until(&format!("'{line}' to end"), Duration::from_secs(120), || {
                        turn += 1;
                        let base = {
                            let bases = bases.lock().unwrap();
                            bases[turn % bases.len()].clone()
                        };
                        let (ann, bob, key, line) = (ann.at(&base), bob.at(&base), key.clone(), line.clone());
                        async move {
                            let request = ann.ask(&key, &line).await.ok()?["request"].clone();
                            let id = request["id"].as_str()?.to_string();
                            if request["state"] == "awaiting" {
                                let _ = bob.vote(&id, "approve", None).await;
                            }
                            let request = ann.request(&id).await.ok()?;
                            FINAL.contains(&request["state"].as_str()?).then_some(request)
                        }
                    })
                    .await;
                    ended.push(request);
                }
                ended
            })
        })
        .collect();

    for n in 0..kills {
        let index = world.replicas.len() - replicas + n % replicas;
        world.replicas[index].process.kill().await;
        let fresh = world.spawn().expect("a new replica");
        let replica = world.replicas.pop().expect("the new replica");
        debug_assert_eq!(fresh, world.replicas.len());
        replica.ready(WITHIN).await;
        bases.lock().unwrap()[n % replicas] = replica.base.clone();
        world.replicas[index] = replica;
    }
    stop.store(true, std::sync::atomic::Ordering::SeqCst);

    let mut requests = Vec::new();
    for task in tasks {
        requests.extend(task.await.expect("a submitter"));
    }
    let effects = effects(&world);
    for request in &requests {
        let id = request["id"].as_str().expect("an id");
        assert_eq!(request["state"], "succeeded", "{request}\n{}", world.logs());
        assert_eq!(effects.get(id), Some(&1), "request {id}: not exactly one effect");
    }
    assert_eq!(effects.len(), requests.len(), "an effect that no finished request accounts for");
    println!("{kills} kills, {} requests, each effect exactly once", requests.len());
    nothing_is_left_taken_and_the_record_is_whole(&world).await;
}
