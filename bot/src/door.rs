//! A door: one chat platform. Inwards it makes an event durable (`Ledger::receive`), acknowledges it and has it handled
//! (`inbox::handle`); outwards it posts and edits the cards that the outbox hands it.

use crate::card::Card;
use futures::future::BoxFuture;
use ledger::{Delivery, Ledger};
use std::time::Duration;

/// The outward half of a chat platform.
pub trait Door: Send + Sync {
    /// The first part of its places and actors: `slack`.
    fn platform(&self) -> &'static str;

    /// Posts the card, or edits `delivery.message`; for the person `delivery.only_for` alone where that is set. Gives the
    /// platform's id of the message. It may be asked twice for the same delivery (the answer to the first was lost):
    /// then it must find the message it made instead of making another.
    fn deliver<'a>(
        &'a self,
        delivery: &'a Delivery,
        card: &'a Card,
    ) -> BoxFuture<'a, Result<String, Undelivered>>;
}

/// Why a card is not where it should be; it is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undelivered {
    /// For the log and the delivery's row.
    pub why: String,
    /// What the platform asks for (`Retry-After`); None: the outbox backs off.
    pub after: Option<Duration>,
    /// Nothing went wrong: it waits its turn.
    pub paced: bool,
}

impl Undelivered {
    /// Tried again when the outbox sees fit.
    pub fn later(why: impl ToString) -> Undelivered {
        Undelivered { why: why.to_string(), after: None, paced: false }
    }

    /// Tried again after `wait`, when its turn has come: the platform takes only so many messages at a time.
    pub fn paced(wait: Duration) -> Undelivered {
        Undelivered { why: "waits its turn".into(), after: Some(wait), paced: true }
    }
}

/// The console's rooms: messages are rows.
pub struct Rooms(pub Ledger);

impl Door for Rooms {
    fn platform(&self) -> &'static str {
        "console"
    }

    fn deliver<'a>(
        &'a self,
        delivery: &'a Delivery,
        card: &'a Card,
    ) -> BoxFuture<'a, Result<String, Undelivered>> {
        Box::pin(async move {
            let posted = self.0.room_card(delivery, &crate::draw::json(card), jiff::Timestamp::now()).await;
            posted.map(|id| id.to_string()).map_err(Undelivered::later)
        })
    }
}
