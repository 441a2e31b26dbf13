//! Alertmanager's webhook as it calls Petrel, without an Alertmanager.

use crate::world::POLICY;
use anyhow::Result;
use jiff::Timestamp;
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;

/// What every intake of these tests is told with.
pub const TOKEN: &str = "hook-token-0123456789abcdef";

/// For `petrel.toml`, beside files `hook.token` and `rules/`: one intake, a room that hears incidents.
pub const CONFIG: &str = r#"
[heal]
rules = "rules"

[[intake]]
name = "prom"
kind = "alertmanager"
token_file = "hook.token"
cluster = "test"

[[room]]
place = "console:alerts"
notices = ["incidents"]
"#;

/// For `policy.toml`: drills, and what rules ask for, need nobody.
pub fn unattended() -> String {
    const ALONE: &str = r#"[[rule]]
name = "what rules ask for, at once"
action = "*"
when = '"machines" in actor.groups'
decide = "allow"

[[rule]]
name = "drills at once"
action = ["drill"]
decide = "allow"

[[rule]]"#;
    // The first rule that matches decides.
    POLICY.replacen("[[rule]]", ALONE, 1)
}

/// Posts alerts.
#[derive(Clone)]
pub struct Hook {
    base: String,
    http: reqwest::Client,
}

impl Hook {
    /// `base` is `http://127.0.0.1:port`.
    pub fn new(base: &str) -> Hook {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().expect("http client");
        Hook { base: base.to_string(), http }
    }

    /// Any body with any token.
    pub async fn post(&self, path: &str, token: &str, body: Vec<u8>) -> Result<(StatusCode, Value)> {
        let call = self.http.post(format!("{}{path}", self.base)).bearer_auth(token).body(body);
        let answer = call.header("content-type", "application/json").send().await?;
        let status = answer.status();
        Ok((status, serde_json::from_str(&answer.text().await?).unwrap_or(Value::Null)))
    }

    /// One message of these alerts.
    pub async fn tell(&self, alerts: &[Value]) -> Result<(StatusCode, Value)> {
        self.post("/hook/alertmanager/prom", TOKEN, message(alerts).to_string().into_bytes()).await
    }
}

/// A message in the form of version 4.
pub fn message(alerts: &[Value]) -> Value {
    json!({
        "version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "status": "firing", "receiver": "petrel",
        "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://alertmanager.example",
        "alerts": alerts,
    })
}

/// One alert that began then; with `ended` it is over.
pub fn alert(labels: Value, began: Timestamp, ended: Option<Timestamp>) -> Value {
    json!({
        "status": if ended.is_some() { "resolved" } else { "firing" },
        "labels": labels,
        "annotations": {"summary": "it crash-loops", "runbook_url": "https://runbooks.example/crash-loop"},
        "startsAt": began.to_string(),
        "endsAt": ended.map_or("0001-01-01T00:00:00Z".to_string(), |at| at.to_string()),
        "generatorURL": "http://prometheus.example/graph",
        "fingerprint": "0000000000000000",
    })
}
