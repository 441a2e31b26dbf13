//! A running Petrel, asked by a command line.

use anyhow::{Context, Result, bail};
use reqwest::StatusCode;
use serde_json::Value;
use std::time::Duration;

/// Its HTTP API, with the token in `PETREL_TOKEN`.
pub struct Api {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Api {
    /// At `http://127.0.0.1:8420`.
    pub fn new(url: &str) -> Result<Api> {
        let token = std::env::var("PETREL_TOKEN")
            .context("PETREL_TOKEN is not set; it holds a token of the config's [[api.token]]")?;
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(60))
            .build()
            .context("make an HTTP client")?;
        Ok(Api { http, base: format!("{}/api/v1", url.trim_end_matches('/')), token })
    }

    /// What is there.
    pub async fn get(&self, path: &str) -> Result<(StatusCode, Value)> {
        self.call(self.http.get(format!("{}{path}", self.base))).await
    }

    async fn call(&self, call: reqwest::RequestBuilder) -> Result<(StatusCode, Value)> {
        let answer = call.bearer_auth(&self.token).send().await.context("ask Petrel")?;
        let status = answer.status();
        let value = answer
            .json()
            .await
            .with_context(|| format!("{status}: the answer is not Petrel's; is --url right?"))?;
        Ok((status, value))
    }

    /// Types a command. A key may be sent again, so a busy or restarting Petrel is asked again for a while.
    pub async fn insist(&self, key: &str, body: &Value) -> Result<(StatusCode, Value)> {
        let mut last = None;
        for pause in [0, 200, 500, 1000, 2000] {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            match self
                .call(self.http.post(format!("{}/ask", self.base)).header("Idempotency-Key", key).json(body))
                .await
            {
                Ok((status, answer)) if status != StatusCode::SERVICE_UNAVAILABLE => {
                    return Ok((status, answer));
                }
                other => last = Some(other),
            }
        }
        match last {
            Some(answer) => answer,
            None => bail!("Petrel was not asked"),
        }
    }
}
