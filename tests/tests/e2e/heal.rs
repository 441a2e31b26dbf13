//! From an alert to a healed workload, through the gate and the record; and everything that goes wrong on the way.

use jiff::{SignedDuration, Timestamp};
use ledger::{Request, RequestFilter, RequestState};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};
use tests::{
    alerting::Alerting,
    console::Console,
    hook::{self, Hook, alert},
    proxy::{Side, Trap},
    wait,
    world::{Platforms, World, token},
};

pub const WITHIN: Duration = Duration::from_secs(60);

/// Scaling needs one yes, restarting is allowed at once.
const RULES: &str = r#"
rule "one more" {
  on alert "KubePodCrashLooping" where labels.severity == "warning"
  then [ scale(workload, replicas: +1, max: 5) ]
  verify within 30s { alert resolved, rollout healthy }
}
rule "again" {
  on alert "KubePodCrashLooping" where labels.severity == "critical"
  then [ restart(workload) ]
  verify within 30s { alert resolved, rollout healthy }
  else [ escalate("console:alerts") ]
}
rule "back" {
  on alert "NewPodsCrash"
  then [ rollback(workload) ]
  verify within 2m { alert resolved, rollout healthy }
  else [ escalate("console:alerts") ]
}
rule "dark" {
  on alert "HighLatency"
  when promql("up") > 0
  then [ restart(workload) ]
  verify within 30s { alert resolved }
}
"#;

/// A world that is told what happens, with `replicas` of Petrel.
async fn world(replicas: usize) -> World {
    let platforms = Platforms { config: hook::CONFIG.into(), ..Platforms::default() };
    let mut world = World::among(platforms).await.expect("a world");
    std::fs::write(world.folder().join("hook.token"), hook::TOKEN).expect("a token");
    std::fs::create_dir(world.folder().join("rules")).expect("a folder");
    std::fs::write(world.folder().join("rules/shop.heal"), RULES).expect("rules");
    for _ in 0..replicas {
        world.start().await.expect("a replica");
    }
    world
}

fn hook(world: &World) -> Hook {
    Hook::new(&world.replicas.last().expect("a replica").base)
}

/// The labels of an alert about a pod of a workload; which workload, it does not say.
async fn about_a_pod(world: &World, name: &str, severity: &str) -> Value {
    let pods = wait::until("its pods", WITHIN, || async {
        let pods = world.cluster.names("v1", "Pod").await.ok()?;
        pods.into_iter().find(|pod| pod.starts_with("checkout-"))
    })
    .await;
    json!({"alertname": name, "namespace": world.cluster.namespace, "pod": pods, "severity": severity})
}

pub async fn requests(world: &World) -> Vec<Request> {
    world.ledger.requests(&RequestFilter { limit: 100, ..RequestFilter::default() }).await.expect("requests")
}

async fn request_in(world: &World, state: RequestState) -> Request {
    wait::until(&format!("a request that is {}", state.as_str()), WITHIN, || async {
        requests(world).await.into_iter().find(|request| request.state == state)
    })
    .await
}

/// The one incident, once this is true of it.
pub async fn incident(world: &World, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    wait::until(what, WITHIN, || async {
        let all = world.ledger.incidents(false, 10).await.ok()?;
        all.into_iter().map(|stored| stored.doc).find(|doc| is(doc))
    })
    .await
}

pub async fn kinds(world: &World) -> Vec<String> {
    let pool = sqlx::PgPool::connect(&world.owner_url).await.expect("the owner");
    sqlx::query_scalar("select kind from entry order by id").fetch_all(&pool).await.expect("entries")
}

#[tokio::test]
async fn an_alert_is_healed_after_one_click_and_everything_is_recorded() {
    let world = world(1).await;
    world.cluster.deployment("checkout", 2).await.expect("a deployment");
    world.cluster.ready("Deployment", "checkout", 2).await;
    let (hook, labels, began) =
        (hook(&world), about_a_pod(&world, "KubePodCrashLooping", "warning").await, Timestamp::now());

    let (status, answer) = hook.tell(&[alert(labels.clone(), began, None)]).await.expect("an answer");
    assert_eq!((status.as_u16(), &answer["new"]), (200, &json!(1)), "{answer}");

    let request = request_in(&world, RequestState::Awaiting).await;
    assert_eq!(request.ask.actor.as_str(), "alert:KubePodCrashLooping");
    assert_eq!(
        (request.ask.target.kind.as_str(), request.ask.target.name.as_str()),
        ("Deployment", "checkout")
    );
    assert_eq!(request.ask.parameters, json!({"replicas": 3}));
    let why = request.ask.why.clone().unwrap_or_default();
    assert!(why.contains("rule \"one more\"") && why.contains("incident "), "{why}");

    // The incident and the request stand in the room that hears incidents, and people can click there.
    let console = Console::sign_in(&world.replicas[0].base, &token("bob")).await.expect("a console");
    let page = wait::until("both cards in the room", WITHIN, || async {
        let page = console.page("/?room=alerts").await.ok()?;
        (page.contains("KubePodCrashLooping at") && page.contains("awaiting 0 of 1")).then_some(page)
    })
    .await;
    assert!(page.contains("I have it") && page.contains("https://runbooks.example/crash-loop"), "{page}");

    let (status, answer) =
        world.api("bob").vote(&request.id.to_string(), "approve", None).await.expect("a vote");
    assert!(status.is_success(), "{answer}");
    request_in(&world, RequestState::Succeeded).await;
    // Done, and not yet proven: the alert goes on.
    incident(&world, "the healing to be under way", |doc| {
        doc["healings"][0]["result"].is_null() && doc["end"].is_null()
    })
    .await;
    hook.tell(&[alert(labels, began, Some(Timestamp::now()))]).await.expect("an answer");
    let ended = incident(&world, "the incident to end", |doc| !doc["end"].is_null()).await;
    assert_eq!(ended["end"], json!({"healed": {"request": request.id}}), "{ended}\n{}", world.logs());
    for time in ["began", "detected", "proposed", "approved", "acted", "recovered"] {
        assert!(ended["times"][time].is_string(), "no time of {time}: {ended}");
    }
    assert_eq!(requests(&world).await.len(), 1, "one request per incident and step");
    let kinds = kinds(&world).await;
    for kind in [
        "incident.opened",
        "incident.proposed",
        "request.submitted",
        "vote.approved",
        "incident.helped",
        "incident.ended",
    ] {
        assert_eq!(kinds.iter().filter(|known| *known == kind).count(), 1, "{kind} in {kinds:?}");
    }
    wait::until("the card to say so", WITHIN, || async {
        console.page("/?room=alerts").await.ok()?.contains("healed by").then_some(())
    })
    .await;
}

#[tokio::test]
async fn where_policy_allows_it_an_alert_is_healed_with_nobody_at_hand() {
    let world = world(2).await;
    world.cluster.deployment("checkout", 2).await.expect("a deployment");
    world.cluster.ready("Deployment", "checkout", 2).await;
    let (hook, labels, began) =
        (hook(&world), about_a_pod(&world, "KubePodCrashLooping", "critical").await, Timestamp::now());
    hook.tell(&[alert(labels.clone(), began, None)]).await.expect("an answer");
    let request = request_in(&world, RequestState::Succeeded).await;
    hook.tell(&[alert(labels, began, Some(Timestamp::now()))]).await.expect("an answer");
    let ended = incident(&world, "the incident to end", |doc| !doc["end"].is_null()).await;
    assert_eq!(ended["end"], json!({"healed": {"request": request.id}}), "{ended}\n{}", world.logs());
    assert_eq!(requests(&world).await.len(), 1);
}

#[tokio::test]
async fn what_cannot_be_measured_is_never_acted_on_alone() {
    let world = world(1).await;
    world.cluster.deployment("checkout", 1).await.expect("a deployment");
    let labels = about_a_pod(&world, "HighLatency", "critical").await;
    hook(&world).tell(&[alert(labels, Timestamp::now(), None)]).await.expect("an answer");
    // A person who restarts is allowed at once; the rule, whose metric is missing, is not.
    let request = request_in(&world, RequestState::Awaiting).await;
    assert!(
        request.ask.with_person.as_deref().is_some_and(|why| why.contains("answered")),
        "{:?}",
        request.ask.with_person
    );
}

#[tokio::test]
async fn trouble_that_goes_away_calls_its_request_off_and_ends_by_itself() {
    let world = world(1).await;
    world.cluster.deployment("checkout", 1).await.expect("a deployment");
    let (hook, labels, began) =
        (hook(&world), about_a_pod(&world, "KubePodCrashLooping", "warning").await, Timestamp::now());
    hook.tell(&[alert(labels.clone(), began, None)]).await.expect("an answer");
    request_in(&world, RequestState::Awaiting).await;
    hook.tell(&[alert(labels, began, Some(Timestamp::now()))]).await.expect("an answer");
    request_in(&world, RequestState::Cancelled).await;
    let ended = incident(&world, "the incident to end", |doc| !doc["end"].is_null()).await;
    assert_eq!(ended["end"], json!("itself"), "{ended}");
}

#[tokio::test]
async fn whoever_takes_an_incident_over_stops_its_rules() {
    let world = world(1).await;
    let labels = json!({"alertname": "KubePodCrashLooping", "namespace": "shop", "deployment": "gone", "severity": "warning", "cluster": "test"});
    let (hook, began) = (hook(&world), Timestamp::now());
    hook.tell(&[alert(labels.clone(), began, None)]).await.expect("an answer");
    let id = wait::until("an incident", WITHIN, || async {
        world.ledger.incidents(true, 10).await.ok()?.first().map(|stored| stored.id)
    })
    .await;
    let answer = world.api("bob").ask("take-1", &format!("take {}", id.short())).await.expect("an answer");
    assert!(answer.to_string().contains("You have incident"), "{answer}");
    incident(&world, "bob to have it", |doc| doc["taken"][0] == "bob").await;
    let list = world.api("eve").ask("list-1", "incidents").await.expect("an answer").to_string();
    assert!(list.contains("bob has it"), "{list}");
    hook.tell(&[alert(labels, began, Some(Timestamp::now()))]).await.expect("an answer");
    let ended = incident(&world, "the incident to end", |doc| !doc["end"].is_null()).await;
    assert_eq!(ended["end"], json!({"taken_over": {"by": "bob"}}), "{ended}");
}

#[tokio::test]
async fn what_is_forged_too_large_or_broken_is_refused_and_a_replay_does_nothing_twice() {
    let world = world(1).await;
    let hook = hook(&world);
    let labels = json!({"alertname": "Nobody", "namespace": "shop", "deployment": "x"});
    let body = hook::message(&[alert(labels, Timestamp::now(), None)]).to_string().into_bytes();
    let path = "/hook/alertmanager/prom";
    for (path, token, body, status) in [
        (path, "wrong-token", body.clone(), 401),
        (path, "", body.clone(), 401),
        ("/hook/alertmanager/other", hook::TOKEN, body.clone(), 401),
        ("/hook/grafana/prom", hook::TOKEN, body.clone(), 401),
        (path, hook::TOKEN, b"{".to_vec(), 400),
        (path, hook::TOKEN, b"[]".to_vec(), 400),
        (path, hook::TOKEN, br#"{"version": "3", "alerts": []}"#.to_vec(), 400),
        (path, hook::TOKEN, hook::message(&[json!({"status": "odd"})]).to_string().into_bytes(), 422),
    ] {
        let shown = String::from_utf8_lossy(&body).chars().take(40).collect::<String>();
        let (got, answer) = hook.post(path, token, body).await.expect("an answer");
        assert_eq!(got.as_u16(), status, "{path} {token} {shown}: {answer}");
        assert!(answer["detail"].is_string(), "{answer}");
    }
    // Whether the sender reads the answer before its connection is closed is not ours to say.
    if let Ok((status, _)) = hook.post(path, hook::TOKEN, vec![b' '; 17 * 1024 * 1024]).await {
        assert_eq!(status.as_u16(), 413);
    }
    assert!(
        world.ledger.incidents(false, 10).await.expect("incidents").is_empty(),
        "nothing of it was taken"
    );
    // Not over a connection that is just being closed.
    let hook = Hook::new(&world.replicas[0].base);
    for (round, fresh) in [(0, 1), (1, 0), (2, 0)] {
        let (status, answer) = hook.post(path, hook::TOKEN, body.clone()).await.expect("an answer");
        assert_eq!((status.as_u16(), &answer["new"]), (200, &json!(fresh)), "round {round}: {answer}");
    }
    incident(&world, "one incident", |doc| doc["going_on"] == 1).await;
    assert_eq!(world.ledger.incidents(false, 10).await.expect("incidents").len(), 1);
}

#[tokio::test]
async fn a_storm_of_ten_thousand_alerts_is_few_incidents_and_nothing_is_done_alone() {
    let world = world(2).await;
    // Policy would allow to restart these at once. Of them, two run on the node that is up.
    for n in 0..5 {
        world.cluster.deployment(&format!("app-{n}"), 1).await.expect("a deployment");
    }
    let hooks: Vec<Hook> = world.replicas.iter().map(|replica| Hook::new(&replica.base)).collect();
    let began = Timestamp::now() - SignedDuration::from_secs(60);
    let node = json!({"alertname": "KubeNodeNotReady", "node": "node-1", "severity": "critical"});
    hooks[0].tell(&[alert(node, began, None)]).await.expect("an answer");
    let one = |n: usize| {
        let labels = json!({
            "alertname": "KubePodCrashLooping", "namespace": world.cluster.namespace, "deployment": format!("app-{}", n % 200),
            "pod": format!("app-{}-{n}", n % 200), "node": if n.is_multiple_of(2) { "node-1" } else { "node-2" },
            "severity": if n % 200 < 5 { "critical" } else { "info" },
        });
        alert(labels, began, None)
    };
    let alerts: Vec<Value> = (0..10_000).map(one).collect();
    let mut sent = Vec::new();
    for (n, part) in alerts.chunks(1_000).enumerate() {
        let (hook, part) = (hooks[n % 2].clone(), part.to_vec());
        sent.push(tokio::spawn(async move { hook.tell(&part).await }));
    }
    let mut taken = 0;
    for part in sent {
        let (status, answer) = part.await.expect("a sender").expect("an answer");
        assert!(status.is_success(), "{answer}");
        taken += answer["new"].as_u64().unwrap_or(0);
    }
    assert_eq!(taken, 10_000, "nothing is lost");
    let pool = sqlx::PgPool::connect(&world.owner_url).await.expect("the owner");
    wait::until("all of it to be folded", Duration::from_secs(120), || async {
        let left: i64 =
            sqlx::query_scalar("select count(*) from event_waiting").fetch_one(&pool).await.ok()?;
        (left == 0).then_some(())
    })
    .await;
    let (troubles, incidents, rages): (i64, i64, bool) = sqlx::query_as(
        "select (select count(*) from trouble where going_on), (select count(*) from incident), (select bool_or(rages) from storm)",
    )
    .fetch_one(&pool)
    .await
    .expect("figures");
    assert_eq!(
        (troubles, incidents, rages),
        (10_001, 201, true),
        "one incident per workload and one for the node"
    );
    // What runs on the dead node is not news. What is asked for besides waits for a person, although policy would allow it.
    let asked = wait::until("the requests that wait", WITHIN, || async {
        let asked = requests(&world).await;
        (asked.len() >= 2).then_some(asked)
    })
    .await;
    let mut names: Vec<&str> = asked.iter().map(|request| request.ask.target.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["app-1", "app-3"]);
    for request in &asked {
        assert_eq!(request.state, RequestState::Awaiting, "nothing is done alone in a storm");
        assert!(
            request.ask.with_person.as_deref().is_some_and(|why| why.contains("too much")),
            "{:?}",
            request.ask.with_person
        );
    }
    let cards: i64 = sqlx::query_scalar("select count(*) from card").fetch_one(&pool).await.expect("cards");
    assert!(cards <= 50, "{cards} cards in the room");
}

/// Commits on the way from an alert to its request. Ten deaths in one namespace: more than ten healings an hour are not begun there.
const BOUNDARIES: [(&str, u32); 5] = [
    ("event.receive", 0),
    ("incident.fold", 0),
    ("incident.claim", 0),
    ("incident.change", 0),
    ("request.submit", 0),
];

#[tokio::test]
async fn a_death_between_incident_and_request_makes_exactly_one_request() {
    let mut world = world(1).await;
    if !world.cluster.is_practice() {
        return println!("skipped: it would leave too much on a real cluster");
    }
    let rounds: Vec<_> =
        BOUNDARIES.into_iter().flat_map(|at| [(at, Side::Before), (at, Side::After)]).collect();
    for n in 0..rounds.len() {
        world.cluster.deployment(&format!("app-{n}"), 1).await.expect("a deployment");
    }
    let mut deaths = 0;
    for (n, ((label, skip), side)) in rounds.iter().enumerate() {
        let labels = json!({
            "alertname": "KubePodCrashLooping", "namespace": world.cluster.namespace, "deployment": format!("app-{n}"), "severity": "warning",
        });
        let told = [alert(labels, Timestamp::now(), None)];
        world.proxy.arm(Trap { label: label.to_string(), side: *side, skip: *skip });
        let _ = hook(&world).tell(&told).await;
        wait::until(&format!("death at {label} {side:?}, or a request"), WITHIN, || async {
            let there =
                requests(&world).await.iter().any(|request| request.ask.target.name == format!("app-{n}"));
            (world.proxy.sprung() || there).then_some(())
        })
        .await;
        if world.proxy.disarm() {
            deaths += 1;
            world.replace_the_dead().await.expect("a new replica");
        }
        // As Alertmanager does until it is acknowledged; and once more, which is a replay.
        for _ in 0..2 {
            wait::until("an acknowledgement", WITHIN, || async {
                hook(&world).tell(&told).await.ok().filter(|(status, _)| status.is_success())
            })
            .await;
        }
        wait::until(&format!("the request of app-{n}, killed {side:?} {label}"), WITHIN, || async {
            requests(&world).await.into_iter().find(|request| {
                request.ask.target.name == format!("app-{n}") && request.state == RequestState::Awaiting
            })
        })
        .await;
    }
    assert!(deaths >= 8, "only {deaths} deaths: the traps do not reach the commits");
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for request in requests(&world).await {
        *count.entry(request.ask.target.name).or_default() += 1;
    }
    assert_eq!(count.len(), rounds.len());
    assert!(count.values().all(|requests| *requests == 1), "{count:?}");
}

/// As in the kubernetes-mixin, without its quarter of an hour.
const ALERTS: &str = r#"
groups:
- name: practice
  rules:
  - alert: NewPodsCrash
    expr: max by (namespace, pod) (kube_pod_container_status_waiting_reason{reason="CrashLoopBackOff"}) > 0
    labels: {severity: critical}
    annotations: {summary: "{{ $labels.pod }} crash-loops"}
"#;

#[tokio::test]
async fn a_real_prometheus_finds_a_bad_release_and_one_click_heals_it() {
    a_real_prometheus_finds_a_bad_release(false).await;
}

#[tokio::test]
async fn a_real_prometheus_finds_a_bad_release_and_where_policy_allows_it_nobody_has_to_click() {
    a_real_prometheus_finds_a_bad_release(true).await;
}

/// What policy says when rules may roll back alone; above all other rules.
const ALONE: &str = r#"[[rule]]
name = "healing rolls back at once"
action = ["rollback"]
when = '"machines" in actor.groups'
decide = "allow"

[[rule]]
name = "guests only look"
"#;

async fn a_real_prometheus_finds_a_bad_release(alone: bool) {
    if !Alerting::is_installed() {
        return println!("skipped: prometheus and prometheus-alertmanager are not installed");
    }
    let mut world = world(0).await;
    if alone {
        let file = world.folder().join("policy.toml");
        let policy = std::fs::read_to_string(&file).expect("the policy");
        let policy = policy.replacen("[[rule]]\nname = \"guests only look\"\n", ALONE, 1);
        assert!(policy.contains("healing rolls back at once"));
        std::fs::write(&file, policy).expect("a policy");
    }
    world.start().await.expect("a replica");
    let Some(cluster) = world.cluster.metrics().await else {
        return println!("skipped: this cluster cannot be scraped at /practice/metrics");
    };
    world.cluster.deployment("checkout", 2).await.expect("a deployment");
    world.cluster.ready("Deployment", "checkout", 2).await;
    let alerting = Alerting::start(&cluster, &world.replicas[0].base, ALERTS).await.expect("alerting");
    let bad = json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "registry.example/shop/app:crash"}]}}}});
    world.cluster.meddle("apps/v1", "Deployment", "checkout", bad).await.expect("a bad release");

    let request = wait::until("a request to roll back", Duration::from_secs(90), || async {
        requests(&world).await.into_iter().find(|one| alone || one.state == RequestState::Awaiting)
    })
    .await;
    assert_eq!((request.ask.action.as_str(), request.ask.target.name.as_str()), ("rollback", "checkout"));
    if !alone {
        let (status, answer) =
            world.api("bob").vote(&request.id.to_string(), "approve", None).await.expect("a vote");
        assert!(status.is_success(), "{answer}");
    }
    let ended = wait::until("the incident to end", Duration::from_secs(120), || async {
        let all = world.ledger.incidents(false, 10).await.ok()?;
        all.into_iter().find(|stored| !stored.doc["end"].is_null())
    })
    .await;
    assert_eq!(
        ended.doc["end"],
        json!({"healed": {"request": request.id}}),
        "{}\n{}\n{}",
        ended.doc,
        world.logs(),
        alerting.logs()
    );
    let image = world.cluster.get("apps/v1", "Deployment", "checkout").await["spec"]["template"]["spec"]["containers"][0]["image"].clone();
    assert_eq!(image, json!("registry.example/shop/app:1.0"));
    let votes = world.ledger.view(request.id).await.expect("a view").expect("it").votes.len();
    assert_eq!(votes, usize::from(!alone));
    // The card shows what was seen of the trouble itself.
    let seen = &ended.handling["seen"];
    assert!(seen["reasons"].to_string().contains("BackOff"), "{seen}");
    assert!(seen["log"].as_array().is_some_and(|lines| !lines.is_empty()), "{seen}");
}

/// Its image is not there, so its request is taken back.
const WRONG: &str = r#"
rule "wrong image" {
  on alert "Old"
  then [ set_image(workload, container: "app", image: "registry.example/missing:1") ]
  verify within 30s { alert resolved }
  else [ notify("console:alerts", "it did not work") ]
}
"#;

#[tokio::test]
async fn figures_tell_what_was_rolled_back() {
    let mut world = world(0).await;
    std::fs::write(world.folder().join("rules/shop.heal"), WRONG).expect("rules");
    std::fs::write(world.folder().join("policy.toml"), hook::unattended()).expect("a policy");
    world.start().await.expect("a replica");
    world.cluster.deployment("checkout", 1).await.expect("a deployment");
    world.cluster.ready("Deployment", "checkout", 1).await;
    let labels = about_a_pod(&world, "Old", "critical").await;
    hook(&world).tell(&[alert(labels, Timestamp::now(), None)]).await.expect("an answer");
    request_in(&world, RequestState::RolledBack).await;
    incident(&world, "the healing to have ended", |doc| doc["healings"][0]["result"] == "ineffective").await;
    let told = world.api("bob").ask("stats-1", "stats --days 1").await.expect("an answer");
    let table = &told["card"]["table"];
    let column = |name: &str| {
        let header = table["header"].as_array().and_then(|header| header.iter().position(|one| one == name));
        table["rows"][0][header.unwrap_or_else(|| panic!("no {name}: {told}"))].clone()
    };
    assert_eq!(
        (column("rule"), column("did not"), column("rolled back")),
        (json!("wrong image"), json!("1"), json!("1"))
    );
    let console = Console::sign_in(&world.replicas[0].base, &token("bob")).await.expect("a console");
    assert!(console.page("/incidents").await.expect("a page").contains("rolled back"));
}
