//! The stage: pages, browsers and what runs beside them, in one process.

use axum::{
    Router,
    body::{Body, BodyDataStream},
    http::{Request as HttpRequest, StatusCode, header},
};
use bot::{app::App, config::Config, console, outbox};
use futures::StreamExt;
use jiff::Timestamp;
use ledger::*;
use serde_json::{Value, json};
use std::{path::Path, time::Duration};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

pub const HOSTILE: &str = "\"><img src=x onerror=alert(1)><script>alert(2)</script>\u{202e}gpj.exe";

pub const POLICY: &str = r#"
[[person]]
name = "ann"
identities = ["console:ann"]
groups = ["oncall"]

[[person]]
name = "bob"
identities = ["console:bob"]
groups = ["sre"]

[[rule]]
name = "one of sre"
action = "*"
decide = "approve"
votes = 1
from = ["sre"]
within = "30m"
"#;

pub const CONFIG: &str = r#"
[database]
private = "unused"
[policy]
file = "unused"
[[cluster]]
name = "prod-eu"
server = "http://SILENT"
labels = { production = "true" }
[[room]]
place = "console:ops"
[[console.person]]
person = "ann"
token_env = "ANN"
[[console.person]]
person = "bob"
token_env = "BOB"
[[console.person]]
person = "eve"
token_env = "EVE"
"#;

/// Everything that runs beside the pages, until it is dropped.
pub struct World {
    pub app: App,
    pub router: Router,
    _silent: std::net::TcpListener,
}

impl Drop for World {
    fn drop(&mut self) {
        self.app.stop.cancel();
    }
}

pub async fn world(name: &str) -> World {
    let server = private::PrivatePostgres::join(&private::test_dir()).await.unwrap();
    let (url, _) = server.database(name).await.unwrap();
    let ledger = Ledger::connect(&Connect { url, connections: 4 }).await.unwrap();
    let people = ["ANN", "BOB", "EVE"];
    let env =
        |name: &str| people.contains(&name).then(|| format!("token-of-{}-0123456789", name.to_lowercase()));
    // Takes connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = CONFIG.replace("SILENT", &silent.local_addr().unwrap().to_string());
    let config = Config::parse(Path::new("/petrel.toml"), &config, &env).unwrap();
    let policy = actions::policy::Policy::parse("policy.toml", POLICY).unwrap();
    let app =
        App::new(config, ledger, actions::policy::PolicyHandle::fixed(policy), CancellationToken::new());
    tokio::spawn(outbox::work(app.clone(), std::sync::Arc::new(bot::door::Rooms(app.ledger.clone()))));
    World { router: console::router().with_state(app.clone()), app, _silent: silent }
}

/// What came back.
pub struct Page {
    pub status: StatusCode,
    pub location: String,
    pub cookie: String,
    pub policy: String,
    pub text: String,
}

/// A browser of one person.
#[derive(Clone)]
pub struct Browser {
    pub router: Router,
    pub cookie: String,
}

impl World {
    pub fn stranger(&self) -> Browser {
        Browser { router: self.router.clone(), cookie: String::new() }
    }

    pub async fn sign_in(&self, person: &str) -> Browser {
        let mut browser = self.stranger();
        let page = browser
            .post("/sign-in", &[("token", &format!("token-of-{person}-0123456789"))], "text/html")
            .await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
        browser.cookie = page.cookie.split(';').next().unwrap().to_string();
        browser
    }

    /// A request by ann that waits for one of sre.
    pub async fn request(&self, why: &str) -> Request {
        let now = Timestamp::now();
        let ask = Ask {
            key: RequestId::new().to_string(),
            actor: "console:ann".parse().unwrap(),
            person: Person("ann".into()),
            place: Some(Place("console:ops".into())),
            line: format!("restart deploy/checkout --why \"{why}\""),
            action: "restart".into(),
            parameters: json!({}),
            target: target(),
            why: Some(why.into()),
            break_glass: false,
            dry_run: false,
            with_person: None,
        };
        let quorum = Quorum { votes: 1, groups: vec!["sre".into()], within_s: 1800, type_cluster: false };
        let decision = Decision::Needs { rule: "one of sre".into(), quorum };
        let request = Request::new(RequestId::new(), ask, plan(), decision, "test".into(), now);
        self.app.ledger.submit(&request).await.unwrap().0
    }
}

pub fn target() -> Target {
    Target {
        cluster: "prod-eu".into(),
        namespace: Some("shop".into()),
        kind: "Deployment".into(),
        name: "checkout".into(),
        uid: Some("u1".into()),
    }
}

pub fn plan() -> Plan {
    let object = ObjectRef {
        api_version: "apps/v1".into(),
        kind: "Deployment".into(),
        namespace: Some("shop".into()),
        name: "checkout".into(),
        uid: Some("u1".into()),
    };
    let body = json!({ "spec": { "paused": true } });
    Plan {
        action: "restart".into(),
        parameters: json!({}),
        target: target(),
        resource_version: "1".into(),
        summary: "restart Deployment checkout".into(),
        steps: vec![Step::Patch { object: object.clone(), kind: PatchKind::Merge, body }],
        diff: format!("-old\n+{HOSTILE}\n"),
        blast: Blast { pods: 3, of: 3, notes: vec![HOSTILE.into()], ..Blast::default() },
        risk: Risk::Medium,
        prior: json!({}),
        undo: vec![],
        verify: Verify { conditions: vec![Condition::RolloutComplete { object }], within_s: 60 },
    }
}

impl Browser {
    pub async fn send(&self, request: axum::http::request::Builder, body: Body) -> axum::response::Response {
        let request = request.header(header::COOKIE, &self.cookie).body(body).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub async fn page(response: axum::response::Response) -> Page {
        let header =
            |name| response.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or("").to_string();
        Page {
            status: response.status(),
            location: header(header::LOCATION),
            cookie: header(header::SET_COOKIE),
            policy: header(header::CONTENT_SECURITY_POLICY),
            text: String::from_utf8(
                axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec(),
            )
            .unwrap(),
        }
    }

    pub async fn get(&self, path: &str) -> Page {
        Self::page(self.send(HttpRequest::get(path).header(header::ACCEPT, "text/html"), Body::empty()).await)
            .await
    }

    pub async fn post(&self, path: &str, fields: &[(&str, &str)], accept: &str) -> Page {
        let encode = |text: &str| text.bytes().map(|b| format!("%{b:02X}")).collect::<String>();
        let body: Vec<String> =
            fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let request = HttpRequest::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, accept);
        Self::page(self.send(request, Body::from(body.join("&"))).await).await
    }

    pub async fn csrf(&self) -> String {
        let page = self.get("/").await.text;
        page.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_string()
    }

    /// Clicks a button on the card of a request as the page's script does.
    pub async fn click(&self, request: &Request, button: &str, reason: &str, accept: &str) -> Page {
        let key = RequestId::new().0.simple().to_string();
        let (csrf, id, digest) = (self.csrf().await, request.id.to_string(), request.digest.to_string());
        let fields = [
            ("csrf", csrf.as_str()),
            ("key", &key),
            ("room", "ops"),
            ("from", "room"),
            ("request", &id),
            ("digest", &digest),
            ("button", button),
            ("reason", reason),
        ];
        self.post("/click", &fields, accept).await
    }

    pub async fn events(&self, query: &str) -> Live {
        let response = self.send(HttpRequest::get(format!("/events?{query}")), Body::empty()).await;
        assert_eq!(response.status(), StatusCode::OK);
        Live { frames: response.into_body().into_data_stream(), buffer: String::new() }
    }
}

/// An open stream of events.
pub struct Live {
    pub frames: BodyDataStream,
    pub buffer: String,
}

impl Live {
    /// The drawn HTML of the next event that satisfies a condition.
    pub async fn until(&mut self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        let wait = async {
            loop {
                while let Some((event, rest)) = self.buffer.split_once("\n\n") {
                    let data = event.lines().find_map(|line| line.strip_prefix("data: ")).map(str::to_string);
                    self.buffer = rest.to_string();
                    let html = data.and_then(|data| {
                        Some(serde_json::from_str::<Value>(&data).ok()?["html"].as_str()?.to_string())
                    });
                    if let Some(html) = html.filter(|html| fits(html)) {
                        return html;
                    }
                }
                let frame = self.frames.next().await.expect("the stream ended").unwrap();
                self.buffer.push_str(std::str::from_utf8(&frame).unwrap());
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait)
            .await
            .unwrap_or_else(|_| panic!("no event: {what}"))
    }
}
