//! A door: one chat platform. Inwards it makes an event durable (`Ledger::receive`), acknowledges it and has it handled
//! (`inbox::handle`); outwards it posts and edits the cards that the outbox hands it.

use crate::{card::Card, draw};
use futures::future::BoxFuture;
use ledger::{Delivery, Ledger};
use std::time::Duration;

/// The outward half of a chat platform.
pub trait Door: Send + Sync {
    /// The first part of its places and actors: `slack`.
    fn platform(&self) -> &'static str;

    /// How many messages one room takes at the same time.
    fn at_once(&self) -> u32 {
        1
    }

    /// Posts the card, or edits `delivery.message`; for the person `delivery.only_for` alone where that is set. Gives the
    /// platform's id of the message. It may be asked twice for the same delivery (the answer to the first was lost):
    /// then it must find the message it made instead of making another.
    fn deliver<'a>(
        &'a self,
        delivery: &'a Delivery,
        card: &'a Card,
    ) -> BoxFuture<'a, Result<String, Undelivered>>;
}

/// Why a card is not where it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undelivered {
    /// For the log and the delivery's row; of `never`, also what to do about it.
    pub why: String,
    /// What the platform asks for (`Retry-After`): until then nothing more is sent to this room. None: the outbox backs off.
    pub after: Option<Duration>,
    /// What follows.
    pub kind: Kind,
}

/// What follows from a card's not being delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It is tried again, for a day.
    Later,
    /// Nothing went wrong: it waits its turn.
    Paced,
    /// Somebody deleted the message that was to be edited: it is posted anew, once.
    Gone,
    /// The room takes nothing (archived, not invited) until a person changes that: it is tried again for an hour.
    Never,
}

impl Undelivered {
    fn of(kind: Kind, why: impl ToString) -> Undelivered {
        Undelivered { why: why.to_string(), after: None, kind }
    }

    /// See [`Kind::Later`].
    pub fn later(why: impl ToString) -> Undelivered {
        Undelivered::of(Kind::Later, why)
    }

    /// Tried again after `wait`, when its turn has come: the platform takes only so many messages at a time. A door never
    /// waits inside `deliver`.
    pub fn paced(wait: Duration) -> Undelivered {
        Undelivered { after: Some(wait), ..Undelivered::of(Kind::Paced, "waits its turn") }
    }

    /// See [`Kind::Gone`]. What is delivered again then has no `message`.
    pub fn gone(why: impl ToString) -> Undelivered {
        Undelivered::of(Kind::Gone, why)
    }

    /// See [`Kind::Never`].
    pub fn never(why: impl ToString) -> Undelivered {
        Undelivered::of(Kind::Never, why)
    }
}

/// One line of `petrel check`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// It is right.
    Good {
        /// `slack`, `cluster prod-eu`.
        what: String,
        /// What was found.
        text: String,
    },
    /// It works, but somebody may miss something.
    Mind {
        /// As above.
        what: String,
        /// What was found.
        text: String,
        /// What to do about it.
        mend: String,
    },
    /// It will not work.
    Bad {
        /// As above.
        what: String,
        /// What was found.
        text: String,
        /// What to do about it.
        mend: String,
    },
}

/// The console's rooms: messages are rows.
pub struct Rooms(pub Ledger);

impl Door for Rooms {
    fn platform(&self) -> &'static str {
        "console"
    }

    fn at_once(&self) -> u32 {
        8
    }

    fn deliver<'a>(
        &'a self,
        delivery: &'a Delivery,
        card: &'a Card,
    ) -> BoxFuture<'a, Result<String, Undelivered>> {
        Box::pin(async move {
            // A secret is for the page that asked, not for the table.
            let shown = if card.once { &draw::shown_once() } else { card };
            let posted = self.0.room_card(delivery, &draw::json(shown), jiff::Timestamp::now()).await;
            posted.map(|id| id.to_string()).map_err(Undelivered::later)
        })
    }
}
