//! The API through its wire, against a real database. The only cluster is dead: what needs a living one is told in the
//! end-to-end suite.

use bot::{app::App, config::Config, serve};
use jiff::Timestamp;
use ledger::*;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::{path::Path, time::Duration};
use tokio_util::sync::CancellationToken;

const POLICY: &str = r#"
[[person]]
name = "ann"
identities = ["api:ann"]
groups = ["oncall"]

[[person]]
name = "bob"
identities = ["api:bob"]
groups = ["sre"]

[[rule]]
name = "one of sre"
action = "*"
decide = "approve"
votes = 1
from = ["sre"]
within = "30m"
"#;

const CONFIG: &str = r#"
[server]
listen = "127.0.0.1:0"
[database]
private = "unused"
[policy]
file = "unused"
[[cluster]]
name = "prod-eu"
server = "http://127.0.0.1:9"
timeout_s = 2
labels = { production = "true" }
[[api.token]]
name = "ann"
token_env = "ANN"
[[api.token]]
name = "bob"
token_env = "BOB"
[[api.token]]
name = "mallory"
token_env = "MALLORY"
"#;

fn token(name: &str) -> String {
    format!("token-of-{}-0123456789", name.to_lowercase())
}

/// A served router, until it is dropped.
struct World {
    app: App,
    base: String,
    http: reqwest::Client,
}

impl Drop for World {
    fn drop(&mut self) {
        self.app.stop.cancel();
    }
}

impl World {
    async fn new(name: &str) -> World {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let server = private::PrivatePostgres::join(&private::test_dir()).await.unwrap();
        let (url, _) = server.database(name).await.unwrap();
        let ledger = Ledger::connect(&Connect { url, connections: 4 }).await.unwrap();
        let env = |name: &str| ["ANN", "BOB", "MALLORY"].contains(&name).then(|| token(name));
        let config = Config::parse(Path::new("/petrel.toml"), CONFIG, &env).unwrap();
        let policy = actions::policy::Policy::parse("policy.toml", POLICY).unwrap();
        let policy = actions::policy::PolicyHandle::fixed(policy);
        let app = App::new(config, ledger, policy, CancellationToken::new());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let server = axum::serve(listener, serve::router(app.clone()))
            .with_graceful_shutdown(app.stop.clone().cancelled_owned());
        tokio::spawn(async move { server.await.unwrap() });
        World { app, base, http: reqwest::Client::new() }
    }

    async fn call(&self, who: &str, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let mut call = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(token(who));
        if let Some(body) = body {
            call = call.json(&body);
        }
        let answer = call.send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.call("ann", Method::GET, path, None).await
    }

    async fn ask(&self, line: &str) -> (StatusCode, Value) {
        self.call("ann", Method::POST, "/api/v1/ask", Some(json!({ "line": line }))).await
    }

    /// A request of ann's that waits for one vote, planned by hand.
    async fn awaiting(&self) -> Request {
        let target = Target {
            cluster: "prod-eu".into(),
            namespace: Some("shop".into()),
            kind: "Deployment".into(),
            name: "checkout".into(),
            uid: Some("u-1".into()),
        };
        let ask = Ask {
            key: RequestId::new().to_string(),
            actor: "api:ann".parse().unwrap(),
            person: Person("ann".into()),
            place: None,
            line: "restart deploy/checkout".into(),
            action: "restart".into(),
            parameters: json!({}),
            target: Target { uid: None, ..target.clone() },
            why: Some("stale connections".into()),
            break_glass: false,
            dry_run: false,
            with_person: None,
        };
        let plan = Plan {
            action: "restart".into(),
            parameters: json!({}),
            target,
            resource_version: "1".into(),
            summary: "restart Deployment checkout".into(),
            steps: Vec::new(),
            diff: String::new(),
            blast: Blast::default(),
            risk: Risk::Medium,
            prior: json!({}),
            undo: Vec::new(),
            verify: Verify { conditions: Vec::new(), within_s: 60 },
        };
        let quorum = Quorum { votes: 1, groups: vec!["sre".into()], within_s: 1800, type_cluster: false };
        let decision = Decision::Needs { rule: "one of sre".into(), quorum };
        let request = Request::new(RequestId::new(), ask, plan, decision, "test".into(), Timestamp::now());
        self.app.ledger.submit(&request).await.unwrap().0
    }
}

#[tokio::test]
async fn without_a_known_token_nothing_is_told() {
    let world = World::new("api_tokens").await;
    for path in ["/api/v1/requests", "/api/v1/entries", "/api/v1/clusters"] {
        for header in [None, Some("Bearer wrong"), Some("Basic YW5uOmFubg=="), Some("Bearer ")] {
            let mut call = world.http.get(format!("{}{path}", world.base));
            if let Some(header) = header {
                call = call.header("Authorization", header);
            }
            let answer = call.send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path} {header:?}");
            assert_eq!(answer.headers()["content-type"], "application/problem+json");
            assert!(answer.text().await.unwrap().contains("[[api.token]]"), "says what to do");
        }
        let (status, problem) = world.call("mallory", Method::GET, path, None).await;
        assert_eq!(
            status,
            StatusCode::FORBIDDEN,
            "a token whose identity policy does not know: {path} {problem}"
        );
    }
}

#[tokio::test]
async fn a_script_may_be_linked_to_its_person_by_a_code_from_the_command_line() {
    let world = World::new("api_people").await;
    let (status, answer) = world.ask("people link").await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let text = answer.to_string();
    let line = text.split('`').nth(1).unwrap_or_else(|| panic!("no code in {text}")).to_string();
    assert!(line.starts_with("people link "), "{line}");
    let mallory = async |line: &str| {
        world.call("mallory", Method::POST, "/api/v1/ask", Some(json!({ "line": line }))).await
    };
    assert_eq!(mallory("whoami").await.0, StatusCode::FORBIDDEN);
    let (status, linked) = mallory(&line).await;
    assert_eq!(status, StatusCode::OK, "{linked}");
    assert!(linked.to_string().contains("You are ann here, too"), "{linked}");
    assert_eq!(world.call("mallory", Method::GET, "/api/v1/requests", None).await.0, StatusCode::OK);
    assert_eq!(world.ask("people unlink api:mallory").await.0, StatusCode::OK);
    assert_eq!(world.call("mallory", Method::GET, "/api/v1/requests", None).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_wrong_line_gets_a_problem_that_points_at_the_word() {
    let world = World::new("api_wrong").await;
    let (status, problem) = world.ask("scael deploy/checkout 3 -n shop -c prod-eu").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(problem["title"], "there is no command 'scael'");
    assert!(problem["detail"].as_str().unwrap().contains("Did you mean scale?"), "{problem}");
    for (body, part) in [
        (json!({}), "line"),
        (json!({"line": "help", "words": ["help"]}), "one of line"),
        (json!({"lien": "help"}), "unknown field `lien`"),
        (json!({"line": 3}), "expected a string"),
    ] {
        let (status, problem) = world.call("ann", Method::POST, "/api/v1/ask", Some(body)).await;
        assert!(status.is_client_error(), "{status}");
        assert!(problem["detail"].as_str().unwrap().contains(part), "{part}: {problem}");
    }
    let huge = json!({"line": "x".repeat(64 * 1024)});
    let (status, _) = world.call("ann", Method::POST, "/api/v1/ask", Some(huge)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn words_need_no_quoting_and_help_answers_with_a_card() {
    let world = World::new("api_words").await;
    let body = json!({"words": ["help", "scale"]});
    let (status, answer) = world.call("ann", Method::POST, "/api/v1/ask", Some(body)).await;
    assert_eq!(status, StatusCode::OK);
    assert!(answer["card"]["title"].as_str().unwrap().starts_with("scale: "), "{answer}");
    let (_, answer) = world.ask("whoami").await;
    assert_eq!(answer["card"]["title"], "You are ann");
}

#[tokio::test]
async fn a_dead_cluster_is_named_and_the_ask_can_be_sent_again() {
    let world = World::new("api_dead").await;
    let (status, problem) = world.ask("restart deploy/checkout -n shop -c prod-eu --why test").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
    assert!(problem["title"].as_str().unwrap().contains("prod-eu"), "{problem}");
    let (status, clusters) = world.get("/api/v1/clusters").await;
    assert_eq!(status, StatusCode::OK);
    assert!(clusters[0]["trouble"].is_string(), "{clusters}");
}

#[tokio::test]
async fn a_request_is_found_shown_and_voted_on() {
    let world = World::new("api_votes").await;
    let request = world.awaiting().await;
    let path = format!("/api/v1/requests/{}", request.id.short());
    let (status, shown) = world.get(&path).await;
    assert_eq!(
        (status, shown["state"].as_str(), shown["done"].as_bool()),
        (StatusCode::OK, Some("awaiting"), Some(false))
    );
    assert_eq!(shown["card"]["status"], "awaiting 0 of 1");

    let votes = format!("{path}/votes");
    let vote = async |who: &str, body: Value| world.call(who, Method::POST, &votes, Some(body)).await;
    let (status, problem) = vote("ann", json!({"verdict": "approve"})).await;
    assert_eq!(
        (status, problem["refusal"]["refusal"].as_str()),
        (StatusCode::FORBIDDEN, Some("own-request")),
        "{problem}"
    );
    let (status, problem) = vote("bob", json!({"verdict": "approve", "digest": "00"})).await;
    assert_eq!(
        (status, problem["refusal"]["refusal"].as_str()),
        (StatusCode::CONFLICT, Some("plan-changed")),
        "{problem}"
    );
    let (status, problem) = vote("bob", json!({"verdict": "perhaps"})).await;
    assert!(status.is_client_error() && problem["detail"].as_str().unwrap().contains("approve"), "{problem}");
    let (status, approved) =
        vote("bob", json!({"verdict": "approve", "digest": shown["digest"], "reason": "go"})).await;
    assert_eq!((status, approved["state"].as_str()), (StatusCode::OK, Some("approved")), "{approved}");
    assert_eq!(approved["votes"][0]["reason"], "go");
    let (status, problem) = vote("bob", json!({"verdict": "deny"})).await;
    assert_eq!(status, StatusCode::CONFLICT, "too late: {problem}");

    let (status, cancelled) =
        world.call("ann", Method::POST, &format!("{path}/cancel"), Some(json!({"reason": "no"}))).await;
    assert_eq!((status, cancelled["state"].as_str()), (StatusCode::OK, Some("cancelled")), "{cancelled}");

    let (_, list) = world.get("/api/v1/requests?state=cancelled&person=ann&text=stale").await;
    assert_eq!(list["requests"][0]["id"], request.id.to_string());
    let (status, problem) = world.get("/api/v1/requests?state=gone").await;
    assert!(
        status == StatusCode::BAD_REQUEST && problem["detail"].as_str().unwrap().contains("awaiting"),
        "{problem}"
    );
    let (_, entries) = world.get(&format!("/api/v1/entries?request={}&kind=vote.approved", request.id)).await;
    assert_eq!(entries["entries"].as_array().unwrap().len(), 1, "one vote counted, one entry: {entries}");
    let (status, _) = world.get(&format!("/api/v1/requests/{}", RequestId::new())).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_description_lists_every_call_and_probes_and_metrics_answer() {
    let world = World::new("api_probes").await;
    world.awaiting().await;
    let (_, description) = world.get("/api/openapi.json").await;
    let paths = description["paths"].as_object().unwrap();
    for path in [
        "ask",
        "requests",
        "requests/{id}",
        "requests/{id}/votes",
        "requests/{id}/cancel",
        "clusters",
        "entries",
    ] {
        assert!(paths.contains_key(&format!("/api/v1/{path}")), "{path}: {:?}", paths.keys());
    }
    let text = async |path: &str| {
        let answer = world.http.get(format!("{}{path}", world.base)).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    };
    assert_eq!(text("/healthz").await.0, StatusCode::OK);
    assert_eq!(text("/readyz").await.0, StatusCode::OK);
    let (_, metrics) = text("/metrics").await;
    assert!(metrics.contains("petrel_requests{state=\"awaiting\"} 1"), "{metrics}");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    world.app.stop.cancel();
    while world
        .http
        .get(format!("{}/readyz", world.base))
        .send()
        .await
        .is_ok_and(|answer| answer.status().is_success())
    {
        assert!(tokio::time::Instant::now() < deadline, "still ready while it stops");
    }
}
