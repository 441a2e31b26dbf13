//! Discord's REST API, as small as these tests need it: it knows interactions only once they were answered, makes messages, and
//! writes down every call. What a real stand-in refuses is told in the end-to-end suite.

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
};
use tokio::net::TcpListener;

/// One message as it stands.
#[derive(Clone, Debug)]
pub struct Message {
    pub id: String,
    /// A channel, or the token that a hidden one came by.
    pub channel: String,
    pub body: Value,
    pub edits: usize,
    pub hidden: bool,
}

#[derive(Debug, Default)]
pub struct Store {
    pub calls: Vec<String>,
    pub messages: Vec<Message>,
    /// Token to channel, of interactions that were answered with "thinking", and whether for one alone.
    pub thinking: HashMap<String, (String, bool)>,
    /// Token to its first answer.
    pub originals: HashMap<String, String>,
    pub commands: Value,
    /// Where the gateway is; none: it is not there.
    pub gateway: Option<String>,
    pub closed: HashSet<String>,
    nonces: HashMap<String, String>,
    /// Nonces are forgotten at once.
    pub forgetful: bool,
    /// Answers to give instead, by `METHOD path`, once each.
    pub faults: HashMap<String, Vec<(u16, Value)>>,
    /// Do it, and drop the answer.
    pub lose: HashSet<String>,
}

#[derive(Clone, Debug, Default)]
pub struct Fake {
    pub store: Arc<Mutex<Store>>,
    pub url: String,
}

impl Fake {
    pub async fn start() -> Fake {
        let mut fake = Fake::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        fake.url = format!("http://{}/api/v10", listener.local_addr().unwrap());
        let app = Router::new().fallback(answer).with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        fake
    }

    pub fn with<T>(&self, look: impl FnOnce(&mut Store) -> T) -> T {
        look(&mut self.store.lock().unwrap())
    }

    /// Messages that everybody in the channel sees.
    pub fn shown(&self, channel: &str) -> Vec<Message> {
        self.with(|store| {
            store.messages.iter().filter(|m| m.channel == channel && !m.hidden).cloned().collect()
        })
    }
}

impl Store {
    fn make(&mut self, channel: &str, body: Value, hidden: bool) -> Value {
        let id = format!("m{}", self.messages.len() + 1);
        let message = Message { id: id.clone(), channel: channel.into(), body, edits: 0, hidden };
        let shown = json(&message);
        self.messages.push(message);
        shown
    }

    fn edit(&mut self, id: &str, body: Value) -> Option<Value> {
        let message = self.messages.iter_mut().find(|message| message.id == id)?;
        message.body = body;
        message.edits += 1;
        Some(json(message))
    }

    fn call(&mut self, method: &Method, path: &[&str], body: &Value) -> (u16, Value) {
        let unknown = |code: u64| (404, json!({ "code": code, "message": "Unknown" }));
        match (method.as_str(), path) {
            ("POST", ["channels", channel, "messages"]) => {
                let nonce = body["nonce"].as_str().unwrap_or_default().to_string();
                if self.closed.contains(*channel) {
                    return (403, json!({ "code": 50_007, "message": "Cannot send messages to this user" }));
                }
                if let Some(known) = self.nonces.get(&nonce).filter(|_| !self.forgetful) {
                    return (200, json!({ "id": known }));
                }
                let made = self.make(channel, body.clone(), false);
                self.nonces.insert(nonce, made["id"].as_str().unwrap().into());
                (200, made)
            }
            ("PATCH", ["channels", _, "messages", id]) => match self.edit(id, body.clone()) {
                Some(edited) => (200, edited),
                None => unknown(10_008),
            },
            ("GET", ["channels", channel, "messages"]) => {
                (200, self.messages.iter().rev().filter(|m| m.channel == *channel).map(json).collect())
            }
            ("POST", ["users", "@me", "channels"]) => {
                (200, json!({ "id": format!("direct-{}", body["recipient_id"].as_str().unwrap()) }))
            }
            ("PATCH", ["webhooks", _, token, "messages", "@original"]) => {
                if let Some(id) = self.originals.get(*token).cloned() {
                    return self
                        .edit(&id, body.clone())
                        .map_or_else(|| unknown(10_008), |edited| (200, edited));
                }
                let Some((channel, hidden)) = self.thinking.remove(*token) else { return unknown(10_015) };
                let made = self.make(&channel, body.clone(), hidden);
                self.originals.insert((*token).into(), made["id"].as_str().unwrap().into());
                (200, made)
            }
            ("DELETE", ["webhooks", _, token, "messages", "@original"]) => match self.thinking.remove(*token)
            {
                Some(_) => (204, Value::Null),
                None => unknown(10_008),
            },
            ("POST", ["webhooks", _, token]) => {
                // The first follow-up of an answer that is still thinking becomes that answer.
                let hidden = match self.thinking.remove(*token) {
                    Some((_, hidden)) => hidden,
                    None => body["flags"] == 64,
                };
                (200, self.make(token, body.clone(), hidden))
            }
            ("GET", ["applications", _, .., "commands"]) => {
                (200, if self.commands.is_null() { json!([]) } else { self.commands.clone() })
            }
            ("PUT", ["applications", _, .., "commands"]) => {
                self.commands = body.clone();
                (200, body.clone())
            }
            ("GET", ["gateway", "bot"]) => match &self.gateway {
                Some(url) => (
                    200,
                    json!({
                        "url": url, "shards": 1,
                        "session_start_limit": { "total": 1000, "remaining": 999, "reset_after": 0, "max_concurrency": 1 },
                    }),
                ),
                None => (503, json!({ "message": "later" })),
            },
            ("POST", ["interactions", _, token, "callback"]) => {
                if body["type"] == 5 {
                    self.thinking.insert((*token).into(), ("7".into(), body["data"]["flags"] == 64));
                }
                (204, Value::Null)
            }
            ("POST", ["channels", _, "typing"]) => (204, Value::Null),
            _ => (404, json!({ "code": 0, "message": "404: Not Found" })),
        }
    }
}

fn json(message: &Message) -> Value {
    let mut json = message.body.clone();
    json["id"] = json!(message.id);
    json["author"] = json!({ "id": "900", "bot": true });
    json
}

async fn answer(
    State(fake): State<Fake>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().trim_start_matches("/api/v10/").to_string();
    let call = format!("{method} {path}");
    let is_webhook = path.starts_with("webhooks/") || path.starts_with("interactions/");
    let authorized = headers.get("authorization").is_some_and(|value| value == "Bot the-token");
    assert!(is_webhook || authorized, "{call} without the token");
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let lost = fake.with(|store| {
        store.calls.push(call.clone());
        if let Some((status, body)) = store.faults.get_mut(&call).and_then(|faults| faults.pop()) {
            return Ok((status, body));
        }
        let parts: Vec<&str> = path.split('/').collect();
        let answer = store.call(&method, &parts, &body);
        if store.lose.remove(&call) { Err(()) } else { Ok(answer) }
    });
    match lost {
        Ok((status, Value::Null)) => StatusCode::from_u16(status).unwrap().into_response(),
        Ok((status, body)) => (StatusCode::from_u16(status).unwrap(), Json(body)).into_response(),
        Err(()) => StatusCode::BAD_GATEWAY.into_response(),
    }
}
