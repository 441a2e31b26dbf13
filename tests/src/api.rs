//! Petrel's HTTP API as a script uses it.

use crate::wait;
use anyhow::{Context, Result};
use reqwest::{StatusCode, header};
use serde_json::{Value, json};
use std::time::Duration;

/// A caller with a token.
#[derive(Clone)]
pub struct Api {
    base: String,
    token: String,
    http: reqwest::Client,
}

/// Ends of a request's life.
pub const FINAL: [&str; 8] =
    ["succeeded", "refused", "denied", "expired", "cancelled", "failed", "rolled_back", "unknown"];

impl Api {
    /// `base` is `http://127.0.0.1:port`.
    pub fn new(base: &str, token: &str) -> Api {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().expect("http client");
        Api { base: base.to_string(), token: token.to_string(), http }
    }

    /// The same caller at another replica.
    pub fn at(&self, base: &str) -> Api {
        Api { base: base.to_string(), ..self.clone() }
    }

    /// Any call; the status and the JSON answer.
    pub async fn call(
        &self,
        method: reqwest::Method,
        path: &str,
        key: Option<&str>,
        body: Option<Value>,
    ) -> Result<(StatusCode, Value)> {
        let mut call = self
            .http
            .request(method, format!("{}/api/v1{path}", self.base))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        if let Some(key) = key {
            call = call.header("Idempotency-Key", key);
        }
        if let Some(body) = body {
            call = call.json(&body);
        }
        let answer = call.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        let value = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).with_context(|| text.clone())?
        };
        Ok((status, value))
    }

    /// Types a command line.
    pub async fn ask(&self, key: &str, line: &str) -> Result<Value> {
        let (status, answer) =
            self.call(reqwest::Method::POST, "/ask", Some(key), Some(json!({"line": line}))).await?;
        anyhow::ensure!(status.is_success(), "{line}: {status}: {answer}");
        Ok(answer)
    }

    /// Types a command line again and again until a replica takes it, with the same key.
    pub async fn insist(&self, key: &str, line: &str) -> Value {
        let last = std::sync::Mutex::new(String::new());
        let answer = tokio::time::timeout(Duration::from_secs(60), async {
            loop {
                match self.ask(key, line).await {
                    Ok(answer) => return answer,
                    Err(error) => *last.lock().unwrap() = format!("{error:#}"),
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        answer.unwrap_or_else(|_| {
            panic!("no answer to '{line}' in a minute; the last was: {}", last.lock().unwrap())
        })
    }

    /// One request.
    pub async fn request(&self, id: &str) -> Result<Value> {
        let (status, answer) =
            self.call(reqwest::Method::GET, &format!("/requests/{id}"), None, None).await?;
        anyhow::ensure!(status.is_success(), "request {id}: {status}: {answer}");
        Ok(answer)
    }

    /// Votes on a request.
    pub async fn vote(&self, id: &str, verdict: &str, reason: Option<&str>) -> Result<(StatusCode, Value)> {
        self.call(
            reqwest::Method::POST,
            &format!("/requests/{id}/votes"),
            None,
            Some(json!({"verdict": verdict, "reason": reason})),
        )
        .await
    }

    /// Calls a request off.
    pub async fn cancel(&self, id: &str) -> Result<(StatusCode, Value)> {
        self.call(reqwest::Method::POST, &format!("/requests/{id}/cancel"), None, Some(json!({}))).await
    }

    /// Waits until the request's state is one of these; the request.
    pub async fn wait_for(&self, id: &str, states: &[&str], within: Duration) -> Value {
        wait::until(&format!("request {id} in {states:?}"), within, || async {
            let request = self.request(id).await.ok()?;
            states.contains(&request["state"].as_str()?).then_some(request)
        })
        .await
    }
}
