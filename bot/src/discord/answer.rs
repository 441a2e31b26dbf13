//! The first answers to an interaction, as Discord's JSON; and what of an interaction is kept with its event, so that whoever
//! delivers the answer later knows how the interaction was answered first.

use super::{draw, escape::plain};
use crate::{card::Card, press::Press};
use serde_json::{Value, json};
use serenity::{
    all::{InputTextStyle, MessageFlags},
    builder::{CreateActionRow, CreateInputText, CreateInteractionResponse, CreateModal},
};

/// The custom ids of a modal's inputs.
pub const REASON: &str = "reason";
/// See [`REASON`].
pub const TYPED: &str = "typed";

/// How an interaction was answered first: what may be done with its token follows from that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// "Petrel is thinking...", for all to see: the answer fills it.
    Public,
    /// The same, for the person alone.
    Private,
    /// Nothing to see, for a click: what is said is a message more.
    Silent,
}

/// Kept as the event's `reply_to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handle {
    /// How it was answered first.
    pub first: First,
    /// The interaction's token.
    pub token: String,
}

impl Handle {
    /// As it is kept.
    pub fn text(&self) -> String {
        let first = match self.first {
            First::Public => "public",
            First::Private => "private",
            First::Silent => "silent",
        };
        format!("{first} {}", self.token)
    }

    /// The other way round.
    pub fn read(text: &str) -> Option<Handle> {
        let (first, token) = text.split_once(' ')?;
        let first = match first {
            "public" => First::Public,
            "private" => First::Private,
            "silent" => First::Silent,
            _ => return None,
        };
        Some(Handle { first, token: token.to_string() })
    }
}

impl First {
    /// Type 5 or 6: the answer follows.
    pub fn response(self) -> Value {
        match self {
            First::Public => json!({ "type": 5 }),
            First::Private => json!({ "type": 5, "data": { "flags": MessageFlags::EPHEMERAL.bits() } }),
            First::Silent => json!({ "type": 6 }),
        }
    }
}

/// Type 1.
pub fn pong() -> Value {
    json!({ "type": 1 })
}

/// Type 4, for the person alone.
pub fn told(card: &Card, address: &dyn Fn(&str) -> String) -> Value {
    json!({ "type": 4, "data": ephemeral(draw::message(card, address)) })
}

/// A message that only the person of the interaction sees.
pub fn ephemeral(mut message: Value) -> Value {
    message["flags"] = json!(MessageFlags::EPHEMERAL.bits());
    message
}

/// Type 8: what could stand in the option that is being typed. Too long ones are left out: cut, they would mean something else.
pub fn choices(choices: Vec<String>) -> Value {
    let fits = |text: &String| !text.is_empty() && text.encode_utf16().count() <= 100;
    let choices: Vec<Value> = choices
        .into_iter()
        .filter(fits)
        .take(25)
        .map(|text| json!({ "name": plain(&text, 100), "value": text }))
        .collect();
    json!({ "type": 8, "data": { "choices": choices } })
}

/// Type 9: asks for what a button wants typed before it counts. None: it wants nothing.
pub fn modal(press: &Press) -> Option<Value> {
    let mut inputs = Vec::new();
    if press.wants_typed {
        inputs.push(
            CreateInputText::new(InputTextStyle::Short, "The cluster's name, as the card shows it", TYPED)
                .max_length(100)
                .required(true),
        );
    }
    if press.wants_reason {
        inputs.push(
            CreateInputText::new(InputTextStyle::Paragraph, "Why? Everybody sees it", REASON)
                .max_length(500)
                .required(true),
        );
    }
    if inputs.is_empty() {
        return None;
    }
    let mut title = press.button.clone();
    title[..1].make_ascii_uppercase();
    let title = format!("{title} request {}", press.request.short());
    let rows = inputs.into_iter().map(CreateActionRow::InputText).collect();
    Some(json!(CreateInteractionResponse::Modal(
        CreateModal::new(press.encode(), plain(&title, 45)).components(rows)
    )))
}

/// A card to say in the first answer's place what the person should do instead.
pub fn hint(title: &str, text: &str) -> Card {
    Card { text: Some(text.to_string()), ..Card::titled(crate::card::Tone::Neutral, title) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::{Digest, RequestId};

    #[test]
    fn what_is_kept_comes_back() {
        for first in [First::Public, First::Private, First::Silent] {
            let handle = Handle { first, token: "aW.x-_".into() };
            assert_eq!(Handle::read(&handle.text()), Some(handle));
        }
        assert_eq!(Handle::read("https://hooks.slack.example/x"), None);
    }

    #[test]
    fn the_first_answers_are_discords_types() {
        assert_eq!(pong(), json!({ "type": 1 }));
        assert_eq!(First::Silent.response(), json!({ "type": 6 }));
        assert_eq!(First::Public.response()["type"], 5);
        assert_eq!(First::Private.response()["data"]["flags"], 64);
        let told = told(&hint("a", "b"), &str::to_string);
        assert_eq!((&told["type"], &told["data"]["flags"]), (&json!(4), &json!(64)));
        let choices = choices((0..40).map(|n| n.to_string()).chain(["x".repeat(101)]).collect());
        assert_eq!(choices["data"]["choices"].as_array().unwrap().len(), 25);
    }

    #[test]
    fn only_a_button_that_wants_something_opens_a_modal_and_it_keeps_the_limits() {
        let press = |wants_reason, wants_typed| Press {
            button: "deny".into(),
            request: RequestId::new(),
            digest: Digest([1; 32]),
            wants_reason,
            wants_typed,
        };
        assert_eq!(modal(&press(false, false)), None);
        let modal = modal(&press(true, true)).unwrap();
        let data = &modal["data"];
        assert_eq!((&modal["type"], data["components"].as_array().unwrap().len()), (&json!(9), 2));
        assert!(
            data["title"].as_str().unwrap().len() <= 45 && data["custom_id"].as_str().unwrap().len() <= 100
        );
        for row in data["components"].as_array().unwrap() {
            let input = &row["components"][0];
            assert_eq!(
                (&row["type"], &input["type"], &input["required"]),
                (&json!(1), &json!(4), &json!(true))
            );
            assert!(input["label"].as_str().unwrap().len() <= 45);
        }
    }
}
