//! A small Slack: the calls that Petrel makes, over real HTTP, with trouble on order. The whole of Slack stands in `tests/`.

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::any,
};
use serde_json::{Value, json};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
};

/// What goes wrong with one call.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// It is done, and nobody hears so.
    LoseAnswer,
    /// Too much; seconds.
    Limited(u32),
    /// Slack's code for why not.
    Refused(&'static str),
}

#[derive(Default)]
pub struct Inner {
    /// Method, arguments.
    pub calls: Vec<(String, Value)>,
    /// Channel, ts -> the message as it is now.
    pub messages: Vec<(String, String, Value)>,
    /// What was said to one person, or at a response_url.
    pub private: Vec<Value>,
    troubles: HashMap<String, VecDeque<Trouble>>,
    /// Channels that Petrel is not in.
    pub closed: Vec<String>,
    /// Where sockets connect.
    pub socket: Option<String>,
    /// Our own address.
    base: String,
}

#[derive(Clone, Default)]
pub struct Fake(Arc<Mutex<Inner>>);

impl Fake {
    /// Serves; gives the base address of the API.
    pub async fn start() -> (Fake, String) {
        let fake = Fake::default();
        let router = Router::new()
            .route("/api/{method}", any(call))
            .route("/respond/{id}", any(respond))
            .route("/upload", any(async || "OK - 4"))
            .with_state(fake.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        fake.lock().base.clone_from(&base);
        tokio::spawn(async move { axum::serve(listener, router).await });
        (fake, base)
    }

    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// Makes trouble for the next calls of a method, one each.
    pub fn trouble(&self, method: &str, troubles: impl IntoIterator<Item = Trouble>) {
        self.lock().troubles.entry(method.into()).or_default().extend(troubles);
    }

    pub fn called(&self, method: &str) -> Vec<Value> {
        let state = self.lock();
        state
            .calls
            .iter()
            .filter(|(name, _)| name == method)
            .map(|(_, arguments)| arguments.clone())
            .collect()
    }
}

async fn call(
    State(fake): State<Fake>,
    Path(method): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let token = if method == "apps.connections.open" { "Bearer xapp-1-test" } else { "Bearer xoxb-1-test" };
    assert_eq!(headers["authorization"], token);
    let arguments = match query.is_empty() {
        true => serde_json::from_slice(&body).unwrap_or(Value::Null),
        false => json!(query),
    };
    let mut state = fake.lock();
    state.calls.push((method.clone(), arguments.clone()));
    let trouble = state.troubles.get_mut(&method).and_then(VecDeque::pop_front);
    match trouble {
        Some(Trouble::Limited(seconds)) => {
            let retry = [("retry-after", seconds.to_string())];
            let body = Json(json!({ "ok": false, "error": "ratelimited" }));
            return (StatusCode::TOO_MANY_REQUESTS, retry, body).into_response();
        }
        Some(Trouble::Refused(code)) => return Json(json!({ "ok": false, "error": code })).into_response(),
        Some(Trouble::LoseAnswer) | None => {}
    }
    let mut answer = state.answer(&method, &arguments);
    if answer.get("ok").is_none() {
        answer["ok"] = json!(true);
    }
    match trouble {
        Some(_) => StatusCode::BAD_GATEWAY.into_response(),
        None => Json(answer).into_response(),
    }
}

impl Inner {
    fn answer(&mut self, method: &str, arguments: &Value) -> Value {
        let text = |name: &str| arguments[name].as_str().unwrap_or_default().to_string();
        let channel = text("channel");
        if self.closed.contains(&channel) {
            return json!({ "ok": false, "error": "not_in_channel" });
        }
        match method {
            "auth.test" => json!({ "user_id": "U0BOT", "team_id": "T1", "team": "Test" }),
            "chat.postMessage" => {
                let ts = format!("17000000{:02}.000100", self.messages.len());
                self.messages.push((channel.clone(), ts.clone(), arguments.clone()));
                json!({ "channel": channel, "ts": ts })
            }
            "chat.update" => {
                let ts = text("ts");
                let found = self.messages.iter_mut().find(|(at, id, _)| *at == channel && *id == ts);
                match found {
                    Some((_, _, message)) => {
                        let metadata = message["metadata"].clone();
                        *message = arguments.clone();
                        message["metadata"] = metadata;
                        json!({ "channel": channel, "ts": ts })
                    }
                    None => json!({ "ok": false, "error": "message_not_found" }),
                }
            }
            "chat.postEphemeral" => {
                self.private.push(arguments.clone());
                json!({ "message_ts": "1.1" })
            }
            "conversations.history" => {
                let here = self.messages.iter().rev().filter(|(at, _, _)| *at == channel);
                let messages: Vec<Value> = here
                    .map(|(_, ts, message)| json!({ "ts": ts, "text": message["text"], "metadata": message["metadata"] }))
                    .collect();
                json!({ "messages": messages, "has_more": false })
            }
            "conversations.open" => json!({ "channel": { "id": format!("D{}", text("users")) } }),
            "files.getUploadURLExternal" => {
                json!({ "upload_url": format!("{}/upload", self.base), "file_id": "F1" })
            }
            "files.completeUploadExternal" => json!({ "files": [{ "id": "F1" }] }),
            "views.open" => json!({ "view": { "id": "V1" } }),
            "apps.connections.open" => json!({ "url": self.socket }),
            _ => json!({ "ok": false, "error": "unknown_method" }),
        }
    }
}

async fn respond(State(fake): State<Fake>, headers: HeaderMap, Json(body): Json<Value>) -> &'static str {
    assert!(headers.get("authorization").is_none(), "a response_url gets no token");
    fake.lock().private.push(body);
    "ok"
}
