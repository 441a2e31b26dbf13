//! `petrel ask "<command>"`: one line through the API, and with `--wait` what becomes of it.

use super::{api::Api, print};
use crate::{card::Card, draw};
use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Value, json};
use std::{process::ExitCode, time::Duration};

/// See the module.
#[derive(Args)]
pub struct Ask {
    /// The command, as typed in chat: one text, or words
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
    /// Where Petrel listens
    #[arg(long, env = "PETREL_URL", default_value = "http://127.0.0.1:8420")]
    url: String,
    /// The same key makes one request, however often it is sent; a new one by default
    #[arg(long)]
    key: Option<String>,
    /// Wait until the request is over, and show its state meanwhile
    #[arg(long)]
    wait: bool,
    /// Print the API's answer as JSON
    #[arg(long)]
    json: bool,
}

/// How often a waiting `ask` looks.
const LOOK_EVERY: Duration = Duration::from_millis(300);

impl Ask {
    /// 0: answered, or the request went well (or is under way, without `--wait`). 1: it did not. 2: it was not taken.
    pub async fn run(self) -> Result<ExitCode> {
        let api = Api::new(&self.url)?;
        let body = match self.command.as_slice() {
            [line] => json!({ "line": line }),
            words => json!({ "words": words }),
        };
        let key = self.key.clone().unwrap_or_else(|| ledger::RequestId::new().to_string());
        let (status, mut answer) = api.insist(&key, &body).await?;
        if !status.is_success() {
            let text = |name| answer[name].as_str().unwrap_or_default();
            eprintln!("{}\n{}", text("title"), text("detail"));
            return Ok(ExitCode::from(2));
        }
        if answer["request"].is_null() {
            self.show(&answer, &answer["card"])?;
            return Ok(ExitCode::SUCCESS);
        }
        let id = answer["request"]["id"].as_str().context("the answer names no request")?.to_string();
        let mut shown = String::new();
        while self.wait && answer["request"]["done"] == false {
            let card: Card = serde_json::from_value(answer["request"]["card"].clone())
                .context("the answer has no card")?;
            let line = progress(&card);
            if line != shown && !self.json {
                eprintln!("{line}");
                shown = line;
            }
            tokio::time::sleep(LOOK_EVERY).await;
            // A replica may stop while we wait; the request goes on.
            if let Ok((status, request)) = api.get(&format!("/requests/{id}")).await
                && status.is_success()
            {
                answer["request"] = request;
            }
        }
        self.show(&answer, &answer["request"]["card"])?;
        Ok(match answer["request"]["state"].as_str() {
            Some("refused" | "denied" | "expired" | "cancelled" | "failed" | "rolled_back" | "unknown") => {
                ExitCode::FAILURE
            }
            _ => ExitCode::SUCCESS,
        })
    }

    fn show(&self, answer: &Value, card: &Value) -> Result<()> {
        if self.json {
            return print(&format!("{answer:#}\n"));
        }
        let card: Card = serde_json::from_value(card.clone()).context("the answer has no card")?;
        print(&draw::text(&card, |path| format!("{}{path}", self.url.trim_end_matches('/'))))
    }
}

/// One line of where it stands.
fn progress(card: &Card) -> String {
    let step = card.steps.iter().find(|step| step.state == "working").map(|step| format!(" · {}", step.text));
    let text = card.text.as_ref().map(|text| format!(" · {text}"));
    format!(
        "[{}] {}{}{}",
        card.status.as_deref().unwrap_or(""),
        card.title,
        step.unwrap_or_default(),
        text.unwrap_or_default()
    )
}
