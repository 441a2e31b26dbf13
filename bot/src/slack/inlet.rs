//! The way in, the same for HTTP and sockets: what came is made durable, then acknowledged, then handled. Whatever Slack sends
//! twice is handled once (the inbox keeps its `event_id` or `trigger_id`).

use super::{
    api::Api,
    draw,
    payload::{self, Command, Form, INPUT, Taken},
};
use crate::{app::App, inbox};
use jiff::Timestamp;
use ledger::Arrival;
use serde_json::{Value, json};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Slack waits three seconds for an answer; some of it is the way there and back.
const DURABLE: Duration = Duration::from_millis(2_300);
/// A click is acknowledged after this long, also when its form is not open yet.
const FORM: Duration = Duration::from_millis(1_500);
/// Said when a command or click could not be kept.
const NOT_TAKEN: &str =
    "This was not taken in: Petrel's database does not answer. Nothing was done; try again in a moment.";
/// Said when nobody knows.
const UNSURE: &str = "Petrel's database is slow, and it is not sure that this was taken in. Look here for an answer before you try again.";

/// Something that came in.
#[derive(Debug)]
pub enum Parcel {
    /// The body of an Events API request.
    Event(Value),
    /// A slash command's fields.
    Command(Box<Command>),
    /// The payload of an interaction.
    Interaction(Value),
}

/// What Slack gets.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It is taken care of.
    Ack,
    /// The same, with something for the person or for Slack.
    Say(Value),
    /// It is not; Slack is to send it again.
    Again,
}

/// The one handler.
pub struct Inlet {
    app: App,
    api: Arc<Api>,
}

impl Inlet {
    /// For one workspace.
    pub fn new(app: App, api: Arc<Api>) -> Inlet {
        Inlet { app, api }
    }

    /// Takes one thing in. Returns when it is durable, or when it cannot be.
    pub async fn take(&self, parcel: Parcel) -> Answer {
        let started = Instant::now();
        let kind = match &parcel {
            Parcel::Event(_) => "event",
            Parcel::Command(_) => "command",
            Parcel::Interaction(_) => "interaction",
        };
        let is_form = matches!(&parcel, Parcel::Interaction(payload) if payload["type"] == "view_submission");
        let taken = match parcel {
            Parcel::Event(payload) => payload::event(payload),
            Parcel::Command(command) => payload::command(*command),
            Parcel::Interaction(payload) => payload::interaction(payload),
        };
        match taken {
            Ok(Taken::Arrival(arrival)) => {
                let kept = self.keep(&arrival).await;
                tracing::debug!(slack.kind = kind, inbox.key = arrival.key, actor = %arrival.actor, ?kept,
                    duration_ms = started.elapsed().as_millis(), "took something in from Slack");
                match kept {
                    Kept::Durable => Answer::Ack,
                    Kept::No | Kept::Unsure if kind == "event" => Answer::Again,
                    Kept::No => self.sorry(NOT_TAKEN, kind, is_form, &arrival),
                    Kept::Unsure => self.sorry(UNSURE, kind, is_form, &arrival),
                }
            }
            Ok(Taken::Form(form)) => {
                self.open(*form).await;
                Answer::Ack
            }
            Ok(Taken::Challenge(challenge)) => Answer::Say(json!({ "challenge": challenge })),
            Ok(Taken::Tell { url, why }) => {
                self.tell(url, why);
                Answer::Ack
            }
            Ok(Taken::Nothing(why)) => {
                tracing::debug!(slack.kind = kind, why, "left aside what Slack sent");
                Answer::Ack
            }
            // It will not be readable the next time either.
            Err(error) => {
                tracing::warn!(slack.kind = kind, %error, "left aside what Slack sent");
                Answer::Ack
            }
        }
    }

    async fn keep(&self, arrival: &Arrival) -> Kept {
        let receive = self.app.ledger.receive(arrival, &self.app.worker, inbox::LEASE, Timestamp::now());
        match tokio::time::timeout(DURABLE, receive).await {
            Ok(Ok(Some(inbound))) => {
                inbox::spawn(&self.app, inbound);
                Kept::Durable
            }
            Ok(Ok(None)) => {
                tracing::info!(inbox.key = arrival.key, "Slack sent this again; it is handled once");
                Kept::Durable
            }
            Ok(Err(error)) => {
                tracing::warn!(inbox.key = arrival.key, %error, "could not keep what Slack sent");
                Kept::No
            }
            Err(_) => {
                tracing::warn!(inbox.key = arrival.key, "the database took too long to keep what Slack sent");
                Kept::Unsure
            }
        }
    }

    /// Slack sends events again, but not commands and clicks: the person must know.
    fn sorry(&self, why: &str, kind: &str, is_form: bool, arrival: &Arrival) -> Answer {
        match kind {
            "command" => Answer::Say(json!({ "response_type": "ephemeral", "text": why })),
            // The form stays open with what was typed.
            _ if is_form => Answer::Say(json!({ "response_action": "errors", "errors": { INPUT.0: why } })),
            _ => {
                let reply = arrival.reply_to.as_deref().and_then(|text| serde_json::from_str(text).ok());
                self.tell(reply.and_then(|reply: super::reply::ReplyWith| reply.url), why.to_string());
                Answer::Ack
            }
        }
    }

    /// Opening a form decides nothing, so nothing needs to be durable; the trigger is good for three seconds. The click is
    /// acknowledged when the form is open, or soon.
    async fn open(&self, form: Form) {
        let opened = tokio::spawn(open(self.api.clone(), form));
        let _ = tokio::time::timeout(FORM, opened).await;
    }

    fn tell(&self, url: Option<String>, why: String) {
        let api = self.api.clone();
        tokio::spawn(async move { tell(&api, url, &why).await });
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    Durable,
    No,
    Unsure,
}

async fn open(api: Arc<Api>, form: Form) {
    let Err(failure) = api.open_form(&form.trigger, &draw::form(&form)).await else { return };
    // One click that is delivered twice opens one form.
    if failure.code() == "exchanged_trigger_id" {
        return;
    }
    tracing::warn!(request.id = %form.press.request, "{}", failure.words("could not open a form"));
    let (button, request) = (&form.press.button, form.press.request);
    let why = match form.press.wants_reason {
        true => {
            format!("Slack did not open the form. Click again, or type: {button} {request} --why \"...\"")
        }
        false => "Slack did not open the form. Click again, or decide in the console.".to_string(),
    };
    tell(&api, form.memo.url, &why).await;
}

async fn tell(api: &Api, url: Option<String>, why: &str) {
    let Some(url) = url else { return };
    if let Err(failure) = api.respond(&url, &draw::words(why), false).await {
        tracing::warn!("{}", failure.words("could not tell a person on Slack what went wrong"));
    }
}
