//! What rules ask the world, by the code that asks it in `petrel serve`: a practice cluster, a stand-in for Prometheus, a real database.

use axum::{Router, extract::RawQuery, routing::get};
use bot::{app::App, config::Config, healing::Owners, healing::condition, healing::fold, healing::steward};
use heal::{
    event::{Context, Event, alert},
    language::{ast::Condition, parse},
    rules::{Answer, Outcome},
};
use jiff::{SignedDuration, Timestamp};
use ledger::{private, *};
use practice::{Executed, Practice, PracticeConfig};
use serde_json::json;
use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

const POLICY: &str = "[[machine]]\nname = \"healer\"\nidentities = [\"alert:*\"]\n[[rule]]\nname = \"at once\"\naction = \"*\"\ndecide = \"allow\"\n";

struct World {
    app: App,
    practice: Practice,
    folder: tempfile::TempDir,
    event: Event,
}

/// A value for `up`, ten samples of it for a time, a series that stopped, and nothing else.
async fn prometheus() -> String {
    let answer = |RawQuery(query): RawQuery| async move {
        let query = query.unwrap_or_default();
        let number = |name: &str| {
            let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            value.and_then(|value| value.parse::<f64>().ok()).unwrap_or(0.0)
        };
        let (start, end, step) = (number("start"), number("end"), number("step").max(1.0));
        let all: Vec<f64> = (0..).map(|n| start + step * f64::from(n)).take_while(|at| *at <= end).collect();
        let samples =
            |keep: usize| -> Vec<_> { all.iter().take(keep).map(|at| json!([at, "0.2"])).collect() };
        let result = match (query.contains("query=up"), query.contains("query=gone"), all.len() > 1) {
            (true, _, false) => json!([{"metric": {}, "value": [1.0, "0.2"]}]),
            (true, _, true) => json!([{"metric": {}, "values": samples(all.len())}]),
            (_, true, true) => json!([{"metric": {}, "values": samples(2)}]),
            _ => json!([]),
        };
        let kind = if all.len() > 1 { "matrix" } else { "vector" };
        axum::Json(json!({"status": "success", "data": {"resultType": kind, "result": result}}))
    };
    let router = Router::new().route("/api/v1/query", get(answer)).route("/api/v1/query_range", get(answer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

impl World {
    async fn new(name: &str, rules: &str) -> World {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let server = private::PrivatePostgres::join(&private::test_dir()).await.unwrap();
        let (url, _) = server.database(name).await.unwrap();
        let practice = Practice::start(PracticeConfig { name: "live".into(), ..PracticeConfig::default() })
            .await
            .unwrap();
        practice.seed_shop();
        practice.settled().await;
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        std::fs::write(&kubeconfig, practice.kubeconfig()).unwrap();
        std::fs::create_dir(folder.path().join("rules")).unwrap();
        std::fs::write(folder.path().join("rules/a.heal"), rules).unwrap();
        let config = format!(
            "[database]\nprivate = \"unused\"\n[policy]\nfile = \"unused\"\n[heal]\nrules = \"{}\"\n\
             rooms = {{ \"#ops\" = \"console:ops\" }}\n\
             [[cluster]]\nname = \"live\"\nkubeconfig = \"{}\"\nprometheus = {{ url = \"{}\" }}\n\
             [[room]]\nplace = \"console:ops\"\n",
            folder.path().join("rules").display(),
            kubeconfig.display(),
            prometheus().await,
        );
        let config = Config::parse(Path::new("/petrel.toml"), &config, &|_| None).unwrap();
        let policy = actions::policy::Policy::parse("policy.toml", POLICY).unwrap();
        let ledger = Ledger::connect(&Connect { url, connections: 8 }).await.unwrap();
        let app =
            App::new(config, ledger, actions::policy::PolicyHandle::fixed(policy), CancellationToken::new());
        app.rules.reload().unwrap();
        World { event: event(), app, practice, folder }
    }

    /// The answer to a condition as a rule writes it.
    async fn ask(&self, written: &str) -> Answer {
        condition::answer(&self.app, &condition(written), &self.event).await
    }

    async fn outcome(&self, written: &str) -> Outcome {
        self.ask(written).await.outcome
    }
}

fn event() -> Event {
    let body = json!({"version": "4", "alerts": [{"status": "firing", "startsAt": "2026-03-01T11:59:00Z", "endsAt": "0001-01-01T00:00:00Z",
        "labels": {"alertname": "Sick", "namespace": "shop", "deployment": "checkout", "cluster": "live"}, "annotations": {}}]});
    let context = Context { cluster: None, received: "2026-03-01T12:00:00Z".parse().unwrap() };
    alert::read(body.to_string().as_bytes(), context).unwrap().events.remove(0)
}

fn condition(written: &str) -> Condition {
    let (file, problems) = parse(&format!("on alert \"A\" {{ {written}\n then [] }}"));
    assert!(problems.is_empty(), "{problems:?}");
    file.rules[0].value.when[0].value.clone()
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < give_up, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_bound_must_hold_now_or_for_a_time_and_a_missing_metric_says_nothing() {
    let world = World::new("condition_promql", "").await;
    assert_eq!(world.outcome(r#"promql("up") > 0.1"#).await, Outcome::Yes);
    assert_eq!(world.outcome(r#"promql("up") > 0.3"#).await, Outcome::No);
    assert_eq!(world.outcome(r#"promql("up") > 0.1 for 2m"#).await, Outcome::Yes);
    assert_eq!(world.outcome(r#"promql("up") > 0.3 for 2m"#).await, Outcome::No);
    for missing in
        [r#"promql("nothing") > 0"#, r#"promql("nothing") > 0 for 2m"#, r#"promql("gone") > 0 for 2m"#]
    {
        assert_eq!(world.outcome(missing).await, Outcome::Unknown, "{missing}");
    }
}

#[tokio::test]
async fn a_command_runs_in_the_workloads_pod_and_the_record_has_no_output_of_it() {
    let world = World::new("condition_exec", "").await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let asked = seen.clone();
    world.practice.on_exec(move |exec| {
        asked.lock().unwrap().push(exec.clone());
        match exec.command[0].as_str() {
            "df" => Some(Executed {
                stdout: "Filesystem Size Used Avail Use% Mounted on\n/dev/sda 20G 19G 1G 97% /data\n".into(),
                ..Executed::default()
            }),
            "false" => Some(Executed { code: 1, ..Executed::default() }),
            _ => None,
        }
    });
    let full = r#"exec in pod(workload) "df -h '/da ta'" -> parse("Use%: ([0-9]+)%") > 95"#;
    assert_eq!(world.ask(full).await, Answer { outcome: Outcome::Yes, why: "it is 97".into() });
    let exec = seen.lock().unwrap()[0].clone();
    assert!(exec.pod.starts_with("checkout-"), "{exec:?}");
    assert_eq!(exec.command, ["df", "-h", "/da ta"]);
    for unknown in ["false", "missing"] {
        let answer = world.ask(&format!(r#"exec in pod(workload) "{unknown}" -> parse("x") > 1"#)).await;
        assert_eq!(answer.outcome, Outcome::Unknown, "{answer:?}");
    }
    // The event names no pod.
    assert_eq!(world.outcome(r#"exec in pod(pod) "df" -> parse("x") > 1"#).await, Outcome::Unknown);
    let entries =
        world.app.ledger.entries(&EntryFilter { limit: 10, ..EntryFilter::default() }).await.unwrap();
    let ran: Vec<_> = entries.iter().filter(|entry| entry.kind == "script.ran").collect();
    assert_eq!(ran.len(), 3);
    assert!(!ran.iter().any(|entry| entry.body.to_string().contains("97%")));
    assert!(ran.iter().any(|entry| entry.body["command"] == "df -h '/da ta'" && entry.body["code"] == 0));
}

#[tokio::test]
async fn lines_of_the_workloads_pods_are_counted_and_silence_is_a_condition_too() {
    let world = World::new("condition_log", "").await;
    assert_eq!(world.outcome(r#"log(".", within: 1h) >= 1"#).await, Outcome::Yes);
    assert_eq!(world.outcome(r#"log("never-logged-[0-9]{40}", within: 2m) == 0"#).await, Outcome::Yes);
    assert_eq!(world.outcome(r#"log("never-logged-[0-9]{40}", within: 2m) >= 1"#).await, Outcome::No);
    world.practice.faults().fail_next(1_000, 500);
    assert_eq!(world.outcome(r#"log(".", within: 1h) == 0"#).await, Outcome::Unknown, "unread is not silent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn no_more_than_four_commands_of_rules_run_at_once() {
    let world = World::new("condition_cap", "").await;
    let begun = Arc::new(AtomicUsize::new(0));
    let (go, wait) = mpsc::channel::<()>();
    let (wait, count) = (Mutex::new(wait), begun.clone());
    world.practice.on_exec(move |_| {
        count.fetch_add(1, SeqCst);
        // Blocks a thread of this test: there are enough of them for those that may run.
        let _ = tokio::task::block_in_place(|| wait.lock().unwrap().recv());
        Some(Executed { stdout: "1".into(), ..Executed::default() })
    });
    let world = Arc::new(world);
    let asked: Vec<_> = (0..6)
        .map(|_| {
            let world = world.clone();
            tokio::spawn(
                async move { world.outcome(r#"exec in pod(workload) "one" -> parse("1") > 0"#).await },
            )
        })
        .collect();
    until("all turns to be taken", || world.app.scripts.available_permits() == 0 && begun.load(SeqCst) == 4)
        .await;
    for _ in 0..6 {
        go.send(()).unwrap();
    }
    for one in asked {
        assert_eq!(one.await.unwrap(), Outcome::Yes);
    }
    assert_eq!(begun.load(SeqCst), 6);
}

#[tokio::test]
async fn a_rule_tells_people_waits_and_only_then_asks() {
    let rules = "rule \"slowly\" {\n on alert \"Sick\"\n then [ notify(\"#ops\", \"wait and see\"), wait 5m, restart(workload) ]\n}\n";
    let world = World::new("condition_wait", rules).await;
    let (ledger, begin) = (&world.app.ledger, Timestamp::now());
    let stored = NewEvent { key: "k".into(), body: serde_json::to_value(&world.event).unwrap() };
    ledger.receive_events("test", &[stored], begin).await.unwrap();
    fold::fold(&world.app, &Owners::default(), begin).await.unwrap();
    let look = async |now: Timestamp| {
        for stored in ledger.claim_incidents(10, &[], None, SignedDuration::from_secs(1), now).await.unwrap()
        {
            steward::look_after(&world.app, stored, now).await.unwrap();
        }
        ledger.requests(&RequestFilter { limit: 10, ..RequestFilter::default() }).await.unwrap().len()
    };
    assert_eq!(look(begin).await, 0, "it waits");
    let take = Take { limit: 10, per_room: 10, except: vec![] };
    let due = ledger.claim_deliveries("console", "test", Duration::from_secs(60), &take).await.unwrap();
    let told = due.iter().any(|one| match &one.subject {
        CardSubject::Said(card) => card.to_string().contains("wait and see") && one.place.0 == "console:ops",
        _ => false,
    });
    assert!(told, "{due:?}");
    assert_eq!(look(begin + SignedDuration::from_mins(4)).await, 0, "it waits still");
    assert_eq!(look(begin + SignedDuration::from_mins(6)).await, 1, "now it asks");
}

#[tokio::test]
async fn rules_come_into_force_when_their_files_change_and_a_mistake_leaves_the_old_ones() {
    let world =
        World::new("condition_reload", "rule \"one\" {\n on alert \"A\"\n then [ restart(workload) ]\n}\n")
            .await;
    let (rules, stop) = (world.app.rules.clone(), CancellationToken::new());
    let watching = tokio::spawn({
        let (rules, stop) = (rules.clone(), stop.clone());
        async move { rules.watch(stop).await }
    });
    let file = world.folder.path().join("rules/b.heal");
    std::fs::write(&file, "rule \"two\" {\n on alert \"B\"\n then [ restart(workload) ]\n}\n").unwrap();
    until("two rules", || rules.current().all().len() == 2).await;
    let version = rules.current().version().to_string();
    std::fs::write(&file, "rule \"two\" {\n on alert \"B\"\n then [ restrat(workload) ]\n}\n").unwrap();
    assert!(rules.reload().unwrap_err().to_string().contains("did you mean `restart`?"));
    assert_eq!(rules.current().version(), version);
    std::fs::write(&file, "").unwrap();
    until("one rule", || rules.current().all().len() == 1).await;
    stop.cancel();
    watching.await.unwrap();
}
