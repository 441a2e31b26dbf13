//! The outbox: one row per card and place, with the version wanted and the version delivered. A card is drawn from the
//! state of its request when it is delivered, so edits coalesce and order cannot be wrong.

use crate::*;
use serde_json::Value;
use std::time::Duration;

/// What a card shows.
#[derive(Clone, Debug, PartialEq)]
pub enum CardSubject {
    /// A request, drawn from its state at the time of delivery.
    Request(RequestId),
    /// A card that is said once and never changes: the answer to a query, help, a notice. The value is the bot's own
    /// platform-neutral card as JSON.
    Said(Value),
}

/// One card due in one place.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Which card.
    pub card: CardId,
    /// Where.
    pub place: Place,
    /// Only this actor may see it (a private refusal).
    pub only_for: Option<Actor>,
    /// What it shows.
    pub subject: CardSubject,
    /// The version to deliver.
    pub version: i64,
    /// The platform's id of the message to edit; None: post it.
    pub message: Option<String>,
    /// Tries so far at this version.
    pub attempts: u32,
    /// Fencing token of this claim.
    pub token: i64,
}

impl Ledger {
    /// Says something once in a place, by the caller's key (the same key says it once).
    pub async fn say(&self, _key: &str, _place: &Place, _only_for: Option<&Actor>, _card: &Value) -> Result<CardId, LedgerError> {
        todo!()
    }

    /// Shows a request's card in one more place.
    pub async fn show(&self, _request: RequestId, _place: &Place) -> Result<CardId, LedgerError> {
        todo!()
    }

    /// Claims up to `limit` deliveries that are due on one platform (`SKIP LOCKED`), oldest first.
    pub async fn claim_deliveries(&self, _platform: &str, _worker: &str, _lease: Duration, _limit: u32) -> Result<Vec<Delivery>, LedgerError> {
        todo!()
    }

    /// It is there: remembers the platform's message id and the version shown. Fenced; false when the claim was lost.
    pub async fn delivered(&self, _delivery: &Delivery, _message: &str) -> Result<bool, LedgerError> {
        todo!()
    }

    /// It is not: tries again after `wait`.
    pub async fn undelivered(&self, _delivery: &Delivery, _why: &str, _wait: Duration) -> Result<(), LedgerError> {
        todo!()
    }
}
