//! One message of a room.

use super::card::{Clicks, card, notice};
use super::{icon, time};
use crate::{card::Card, visible};
use ledger::{Actor, RequestId, RoomMessage};
use maud::{Markup, html};

/// Who looks, and what Petrel has just told them alone.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    /// Their identity.
    pub actor: &'a Actor,
    /// For the buttons.
    pub clicks: Clicks,
    /// About their last click, at that request's card.
    pub notice: Option<&'a (RequestId, Card)>,
}

/// The element's id; the script replaces the message by it when it is edited.
pub fn element_id(message: i64) -> String {
    format!("m{message}")
}

/// A typed line or a card.
pub fn message(message: &RoomMessage, reader: &Reader<'_>) -> Markup {
    let mine = message.author.as_ref() == Some(reader.actor);
    html! {
        li.message id=(element_id(message.id)) data-message=(message.id) data-mine[mine] data-request=[message.request]
            .private[message.only_for.is_some()] {
            (avatar(message.author.as_ref()))
            div.said {
                p.by {
                    strong { (author(message.author.as_ref())) }
                    (time(message.at))
                    @if message.only_for.is_some() { span.only { "only you see this" } }
                }
                @if let Some(text) = &message.text { p.line data-line { (visible::line(text)) } }
                @if let Some(value) = &message.card {
                    @match serde_json::from_value::<Card>(value.clone()) {
                        Ok(drawn) => {
                            @let told = reader.notice.filter(|(request, _)| Some(*request) == drawn.request);
                            (card(&drawn, &reader.clicks, told.map(|(_, card)| card)))
                        }
                        // Written by another version; saying so is better than an empty message.
                        Err(_) => p.line { "This card was written by another version of Petrel and cannot be drawn here." }
                    }
                }
            }
        }
    }
}

/// What Petrel answers to one reader alone; it is not in the room and is gone after a reload.
pub fn whisper(card: &Card) -> Markup {
    html! {
        li.message.private data-whisper {
            (avatar(None))
            div.said { p.by { strong { "Petrel" } } (notice(card)) }
        }
    }
}

fn author(author: Option<&Actor>) -> String {
    match author {
        None => "Petrel".to_string(),
        Some(actor) if actor.kind() == "console" => actor.as_str()["console:".len()..].to_string(),
        Some(actor) => actor.to_string(),
    }
}

fn avatar(who: Option<&Actor>) -> Markup {
    let Some(actor) = who else {
        return html! { span.avatar.petrel aria-hidden="true" { (icon::petrel()) } };
    };
    let name = author(Some(actor));
    let initial: String = name.chars().take(1).flat_map(char::to_uppercase).collect();
    let hue = name.bytes().fold(0u32, |sum, b| sum.wrapping_mul(31).wrapping_add(u32::from(b))) % 6;
    html! { span class={ "avatar hue-" (hue) } aria-hidden="true" { (initial) } }
}
