//! Getting something to Petrel: through a socket or by signed HTTP, with Slack's retries and whatever goes wrong on the way.

use super::{
    Mode, Slack,
    state::{APP, BOT, Kind, Message, SIGNING_SECRET, State, TEAM},
    web,
};
use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What became of an event, command or click.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How long until Petrel acknowledged it; None: it did not in time, and a person sees that something went wrong.
    pub acknowledged: Option<Duration>,
    /// What came with the acknowledgement.
    pub said: Value,
    /// It never left: nobody was there to hear it, or it got lost on the way. Slack itself would not know.
    pub lost: bool,
}

/// A record of it.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// `events_api`, `slash_commands`, `interactive`.
    pub kind: &'static str,
    /// `event_id` or `trigger_id`.
    pub id: String,
    /// Sendings that Petrel did not acknowledge.
    pub failed: u32,
    /// From the last sending to its acknowledgement.
    pub acknowledged: Option<Duration>,
}

/// A signature of `body` at `timestamp`, as `x-slack-signature` has it.
pub(super) fn signature(secret: &str, timestamp: u64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
    mac.update(format!("v0:{timestamp}:{body}").as_bytes());
    format!("v0={}", hex::encode(mac.finalize().into_bytes()))
}

fn form(fields: &Value) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (key, value) in fields.as_object().into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_string);
        form.append_pair(key, &value);
    }
    form.finish()
}

impl Slack {
    /// The seconds of now.
    fn now() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
    }

    /// Tells Petrel, again and again where Slack would.
    pub(super) async fn deliver(&self, kind: &'static str, id: &str, payload: Value) -> Outcome {
        let mut failed = 0;
        let mut reason = "";
        let mut lost = true;
        let (acknowledged, said) = loop {
            let fate = self.shared.faults.fate();
            tokio::time::sleep(fate.delay).await;
            let envelope = uuid::Uuid::new_v4().to_string();
            let started = Instant::now();
            let sent = match fate.lost {
                true => Err("timeout"),
                false => self.send(kind, &envelope, &payload, failed, reason).await,
            };
            lost &= fate.lost || matches!(sent, Err("nobody"));
            if fate.twice {
                lost = false;
                let (slack, payload) = (self.clone(), payload.clone());
                tokio::spawn(async move { slack.send(kind, &envelope, &payload, failed, reason).await });
            }
            match sent {
                Ok(said) => break (Some(started.elapsed()), said),
                Err(why) => {
                    let again = self.shared.rules.retries.get(failed as usize);
                    failed += 1;
                    match again.filter(|_| kind == "events_api" && why != "no_retry") {
                        Some(wait) => tokio::time::sleep(*wait).await,
                        None => break (None, Value::Null),
                    }
                    reason = if why == "nobody" { "timeout" } else { why };
                }
            }
        };
        self.lock().delivered.push(Delivered { kind, id: id.to_string(), failed, acknowledged });
        self.shared.changed.notify_waiters();
        Outcome { acknowledged, said, lost }
    }

    /// Once. The error is Slack's word for the retry's reason.
    async fn send(
        &self,
        kind: &'static str,
        envelope: &str,
        payload: &Value,
        attempt: u32,
        reason: &str,
    ) -> Result<Value, &'static str> {
        let mode = self.shared.mode.lock().expect("mode").clone();
        let (events, commands, interactivity) = match mode {
            Mode::Socket => return self.through_socket(kind, envelope, payload, attempt, reason).await,
            Mode::Http { events, commands, interactivity } => (events, commands, interactivity),
        };
        let (url, content, body) = match kind {
            "events_api" => (events, "application/json", payload.to_string()),
            "slash_commands" => (commands, "application/x-www-form-urlencoded", form(payload)),
            _ => (
                interactivity,
                "application/x-www-form-urlencoded",
                form(&json!({"payload": payload.to_string()})),
            ),
        };
        let timestamp = Slack::now();
        let mut request = self
            .shared
            .http
            .post(url)
            .timeout(self.shared.rules.acknowledge)
            .header("content-type", content)
            .header("user-agent", "Slackbot 1.0 (+https://api.slack.com/robots)")
            .header("x-slack-request-timestamp", timestamp)
            .header("x-slack-signature", signature(SIGNING_SECRET, timestamp, &body));
        if attempt > 0 {
            request = request.header("x-slack-retry-num", attempt).header("x-slack-retry-reason", reason);
        }
        let answer = request.body(body).send().await.map_err(|error| match error.is_timeout() {
            true => "http_timeout",
            false if error.is_connect() => "nobody",
            false => "connection_failed",
        })?;
        if !answer.status().is_success() {
            let never = answer.headers().get("x-slack-no-retry").is_some_and(|value| value == "1");
            return Err(if never { "no_retry" } else { "http_error" });
        }
        let text = answer.text().await.map_err(|_| "http_timeout")?;
        Ok(match serde_json::from_str(&text) {
            Ok(said) => said,
            Err(_) if text.is_empty() => Value::Null,
            Err(_) => json!({"text": text}),
        })
    }

    async fn through_socket(
        &self,
        kind: &'static str,
        envelope: &str,
        payload: &Value,
        attempt: u32,
        reason: &str,
    ) -> Result<Value, &'static str> {
        let mut message = json!({
            "envelope_id": envelope, "type": kind, "payload": payload,
            "accepts_response_payload": kind != "events_api",
        });
        if kind == "events_api" {
            message["retry_attempt"] = json!(attempt);
            message["retry_reason"] = json!(reason);
        }
        let acknowledged = self.shared.sockets.send(&message).ok_or("nobody")?;
        tokio::time::timeout(self.shared.rules.acknowledge, acknowledged)
            .await
            .map_err(|_| "timeout")?
            .map_err(|_| "timeout")
    }

    /// Wraps an event and tells Petrel.
    pub(super) async fn event(&self, event: Value) -> Outcome {
        let id = format!("Ev{:010}", self.lock().next());
        let payload = json!({
            "token": "legacy-verification-token", "team_id": TEAM, "context_team_id": TEAM,
            "context_enterprise_id": null, "api_app_id": APP, "event": event, "type": "event_callback",
            "event_id": id, "event_time": Slack::now(), "is_ext_shared_channel": false, "event_context": "4-stand-in",
            "authorizations": [{"enterprise_id": null, "team_id": TEAM, "user_id": BOT, "is_bot": true,
                "is_enterprise_install": false}],
        });
        self.deliver("events_api", &id, payload).await
    }

    /// Who listens to `message.im` hears its own messages and edits there too.
    pub(super) fn tell_own_message(
        &self,
        state: &mut State,
        channel: &str,
        ts: &str,
        before: Option<&Message>,
    ) {
        let Some(place) = state.channels.get(channel).filter(|place| matches!(place.kind, Kind::Direct(_)))
        else {
            return;
        };
        let Some(message) = place.messages.get(ts) else { return };
        let mut event = message.json(true);
        event["channel"] = json!(channel);
        event["channel_type"] = json!("im");
        event["event_ts"] = json!(ts);
        if let Some(before) = before {
            event = json!({
                "type": "message", "subtype": "message_changed", "channel": channel, "channel_type": "im",
                "hidden": true, "ts": ts, "event_ts": ts, "message": message.json(true),
                "previous_message": before.json(true),
            });
        }
        let slack = self.clone();
        tokio::spawn(async move { slack.event(event).await });
    }

    /// Slack tries an address when it is entered: `url_verification`. True when Petrel gave the challenge back.
    pub async fn verify_url(&self, events: &str) -> bool {
        let challenge = uuid::Uuid::new_v4().simple().to_string();
        let body =
            json!({"token": "legacy-verification-token", "challenge": challenge, "type": "url_verification"})
                .to_string();
        let timestamp = Slack::now();
        let answer = self
            .shared
            .http
            .post(events)
            .header("content-type", "application/json")
            .header("x-slack-request-timestamp", timestamp)
            .header("x-slack-signature", signature(SIGNING_SECRET, timestamp, &body))
            .body(body)
            .send()
            .await;
        let Ok(answer) = answer else { return false };
        let good = answer.status().is_success();
        let text = answer.text().await.unwrap_or_default();
        let json = serde_json::from_str::<Value>(&text).unwrap_or_default();
        good && (text.trim() == challenge || json["challenge"] == challenge)
    }

    /// A request that somebody forged, replayed or kept too long: the status that Petrel answers with.
    pub async fn forge(&self, url: &str, secret: &str, age: Duration, body: &str) -> u16 {
        let timestamp = Slack::now() - age.as_secs();
        let sent = self
            .shared
            .http
            .post(url)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("x-slack-request-timestamp", timestamp)
            .header("x-slack-signature", signature(secret, timestamp, body))
            .body(body.to_string())
            .send()
            .await;
        sent.map_or(0, |answer| answer.status().as_u16())
    }

    /// `POST /response/{id}`.
    pub(super) fn respond(&self, id: &str, body: &[u8]) -> Response {
        let mut state = self.lock();
        let state = &mut *state;
        let rules = self.shared.rules;
        let no =
            |error: &str| (StatusCode::NOT_FOUND, Json(json!({"ok": false, "error": error}))).into_response();
        let Some(url) = state.responses.get_mut(id) else { return no("invalid_url") };
        if url.at.elapsed() > rules.response_url {
            return no("expired_url");
        }
        if url.uses >= rules.response_uses {
            return no("used_url");
        }
        url.uses += 1;
        let (channel, user, message) = (url.channel.clone(), url.user.clone(), url.message.clone());
        let Ok(said) = serde_json::from_slice::<Value>(body) else {
            return (StatusCode::BAD_REQUEST, "invalid_payload").into_response();
        };
        let answered = self.say(state, &channel, &user, message.as_deref(), &said);
        self.shared.changed.notify_waiters();
        match answered {
            Ok(()) => "ok".into_response(),
            Err(error) => (StatusCode::BAD_REQUEST, error).into_response(),
        }
    }

    /// What an acknowledgement or a `response_url` says.
    pub(super) fn say(
        &self,
        state: &mut State,
        channel: &str,
        user: &str,
        message: Option<&str>,
        said: &Value,
    ) -> Result<(), String> {
        let original = message
            .and_then(|ts| state.channels.get_mut(channel)?.messages.get_mut(ts))
            .filter(|message| !message.deleted);
        if said["delete_original"] == true {
            original.ok_or("message_not_found")?.deleted = true;
            return Ok(());
        }
        if said["replace_original"] == true
            && let Some(original) = original
        {
            original.edit(web::content_of(said, None)?);
            return Ok(());
        }
        let content = web::content_of(said, None)?;
        let only_for = (said["response_type"] != "in_channel").then(|| user.to_string());
        state.post(channel, BOT, only_for, content);
        Ok(())
    }
}
