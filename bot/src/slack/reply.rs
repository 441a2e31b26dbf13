//! What an event of Slack's gave to answer it with, as it is kept beside the event (`Arrival::reply_to`).

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Slack takes answers at a `response_url` for 30 minutes; a minute is left for clocks and queues.
const FRESH: Duration = Duration::from_secs(29 * 60);

/// How to answer one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyWith {
    /// Slack's id of the person, to write to them directly where the app is not in the channel.
    pub user: String,
    /// Takes five messages, also where the app is not in the channel. Commands and clicks have one, messages have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl ReplyWith {
    /// As it is kept.
    pub fn encode(&self) -> String {
        serde_json::json!(self).to_string()
    }

    /// What a delivery carries, as far as it is still good at `now`.
    pub fn of(delivery: &ledger::Delivery, now: jiff::Timestamp) -> Option<ReplyWith> {
        let reply = delivery.reply.as_ref()?;
        let mut with: ReplyWith = serde_json::from_str(&reply.to).ok()?;
        let age = now.duration_since(reply.at);
        if age >= jiff::SignedDuration::try_from(FRESH).unwrap_or_default() {
            with.url = None;
        }
        Some(with)
    }
}
