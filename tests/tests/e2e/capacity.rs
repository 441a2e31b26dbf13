//! A proposal from metrics to a changed autoscaler, and back when the load is not as it was foreseen, as people meet it: typed, pictured,
//! clicked, verified, watched.

use axum::{Router, routing::get};
use ledger::{EntryFilter, RequestFilter, RequestId, RequestState};
use serde_json::{Value, json};
use std::{
    f64::consts::TAU,
    fmt::Write,
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use tests::{
    api::FINAL,
    door::{BySlack, Door},
    prometheus::Prometheus,
    wait,
    world::{Inward, Platforms, World},
};

const WITHIN: Duration = Duration::from_secs(90);
const HPA: &str = "HorizontalPodAutoscaler";
const POD: &str = "checkout-7d9f8c5b4-x2k4q";
const DAYS: i64 = 15;
const STEP: i64 = 120;
const PODS: u32 = 12;

/// Cores that are used at a moment: one to five, each day.
fn cores(at: i64) -> f64 {
    3.0 + 2.0 * (at.rem_euclid(86_400) as f64 / 86_400.0 * TAU).sin()
}

/// What is used and how many pods there are, as the usual exporters name it; with a time, or as of now.
fn exposed(namespace: &str, used: f64, at: Option<i64>) -> String {
    let at = at.map(|at| format!(" {at}")).unwrap_or_default();
    let mut text = format!(
        "container_cpu_usage_seconds_total{{namespace=\"{namespace}\",pod=\"{POD}\",container=\"app\"}} {used:.3}{at}\n"
    );
    for name in ["kube_deployment_spec_replicas", "kube_deployment_status_replicas_available"] {
        let _ = writeln!(text, "{name}{{namespace=\"{namespace}\",deployment=\"checkout\"}} {PODS}{at}");
    }
    text
}

/// What the workload uses from now on: as before, or two thousand cores once it surges.
struct Load {
    begun: Instant,
    now: i64,
    used: f64,
    surging: AtomicBool,
}

impl Load {
    /// With its past.
    fn new(namespace: &str) -> (String, Load) {
        let now = jiff::Timestamp::now().as_second();
        let (mut text, mut used) = (String::new(), 0.0);
        // Samples of one series stand together.
        let mut lines: [String; 3] = Default::default();
        for at in (now - DAYS * 86_400..=now).step_by(STEP as usize) {
            used += cores(at) * STEP as f64;
            for (line, all) in exposed(namespace, used, Some(at)).lines().zip(&mut lines) {
                all.push_str(line);
                all.push('\n');
            }
        }
        text.extend(lines);
        (text, Load { begun: Instant::now(), now, used, surging: AtomicBool::new(false) })
    }

    fn used(&self) -> f64 {
        let surge = if self.surging.load(SeqCst) { 1e6 } else { 0.0 };
        self.used + cores(self.now) * self.begun.elapsed().as_secs_f64() + surge
    }
}

/// Serves `/metrics`; its address.
async fn served(namespace: String, load: Arc<Load>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let answer = move || async move { exposed(&namespace, load.used(), None) };
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/metrics", get(answer))).await });
    address
}

async fn shop(world: &World) {
    let cluster = &world.cluster;
    let resources = json!({"requests": {"cpu": "500m"}, "limits": {"cpu": "1"}});
    let template = json!({
        // At the target, so that the cluster's own autoscaler rests.
        "metadata": {"labels": {"app": "checkout"}, "annotations": {"practice.petrel.dev/cpu": "200m"}},
        "spec": {"containers": [{"name": "app", "image": "shop/app:1", "resources": resources}]},
    });
    let spec =
        json!({"replicas": PODS, "selector": {"matchLabels": {"app": "checkout"}}, "template": template});
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "checkout"}, "spec": spec});
    cluster.create(deployment).await.expect("a deployment");
    let metric = json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 40}}});
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"});
    let hpa = json!({"apiVersion": "autoscaling/v2", "kind": HPA, "metadata": {"name": "checkout"},
        "spec": {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 40, "metrics": [metric]}});
    cluster.create(hpa).await.expect("an HPA");
    cluster.ready("Deployment", "checkout", PODS).await;
}

async fn spec(world: &World) -> Value {
    world.cluster.get("autoscaling/v2", HPA, "checkout").await["spec"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proposal_is_typed_pictured_clicked_verified_and_put_back_when_the_load_is_another() {
    if !Prometheus::is_installed() {
        return eprintln!("skipped: prometheus and promtool are not installed (./dev test installs them)");
    }
    let mut world = World::among(Platforms { discord: None, ..Platforms::both(Inward::Connection) })
        .await
        .expect("a world");
    shop(&world).await;
    let namespace = world.cluster.namespace.clone();
    let (past, load) = Load::new(&namespace);
    let load = Arc::new(load);
    let target = served(namespace.clone(), Arc::clone(&load)).await;
    let prometheus = Prometheus::scraping(&past, Some(&target)).await.expect("a prometheus");
    let mut config = std::fs::OpenOptions::new().append(true).open(world.config()).expect("the config");
    write!(
        config,
        "\n[watch]\nafter = \"10s\"\n[[cluster]]\nname = \"measured\"\nkubeconfig = \"{}\"\n[cluster.prometheus]\nurl = \"{}\"\n",
        world.cluster.kubeconfig.display(),
        prometheus.url
    )
    .expect("written");
    world.start().await.expect("a replica");
    world.connected_to_slack().await;
    let before = spec(&world).await;
    let door = BySlack::new(world.slack());

    let line = format!("hpa propose deploy/checkout -n {namespace} -c measured");
    let said = door.say("ann", &line).await;
    let request = said.request.unwrap_or_else(|| panic!("no request: {}\n{}", said.text, world.logs()));
    let card = wait::until("the card with its figures", WITHIN, || async {
        let shown = door.card(&request)?.content.read();
        shown.contains("Proposed").then_some(shown)
    })
    .await;
    for words in ["2 to 40 pods at 40 %", "Last 24 h, replayed", "MAPE", "Floor to come"] {
        assert!(card.contains(words), "'{words}' is not on the card: {card}");
    }
    wait::until("the picture in Slack", WITHIN, || async {
        let message = door.card(&request)?;
        message.content.all_blocks().any(|block| block["type"] == "image").then_some(())
    })
    .await;
    assert_eq!(spec(&world).await, before, "nothing is changed before somebody says so");

    door.click("bob", &request, "approve").await;
    let ended = world.api("ann").wait_for(&request, &FINAL, WITHIN).await;
    assert_eq!(ended["state"], "succeeded", "{ended:#}\n{}", world.logs());
    let after = spec(&world).await;
    let target = &after["metrics"][0]["resource"]["target"]["averageUtilization"];
    assert!(target.as_u64().is_some_and(|target| target > 40), "{after:#}");

    load.surging.store(true, SeqCst);
    let filter = RequestFilter {
        states: vec![RequestState::Awaiting],
        action: Some("hpa".into()),
        limit: 1,
        ..RequestFilter::default()
    };
    let back = wait::until("a rollback that Petrel asks for", WITHIN, || async {
        world.ledger.requests(&filter).await.ok()?.pop()
    })
    .await;
    assert_eq!(back.ask.actor.as_str(), "forecast:checkout");
    let why = back.ask.why.as_deref().unwrap_or_default();
    assert!(why.starts_with("capacity was short for ") || why.starts_with("the load was off"), "{why}");
    let proposal: RequestId = request.parse().expect("an id");
    wait::until("what was seen, in the record", WITHIN, || async {
        let filter = EntryFilter { kind: Some("watch.outside".into()), limit: 5, ..EntryFilter::default() };
        let seen = world.ledger.entries(&filter).await.ok()?.pop()?;
        (seen.request == Some(proposal) && seen.body["watched_s"].as_u64()? >= 10).then_some(())
    })
    .await;

    // Nobody but a person lets it run here.
    let back = back.id.to_string();
    door.card_soon(&back).await;
    door.click("bob", &back, "approve").await;
    let ended = world.api("ann").wait_for(&back, &FINAL, WITHIN).await;
    assert_eq!(ended["state"], "succeeded", "{ended:#}\n{}", world.logs());
    assert_eq!(spec(&world).await, before);
}
