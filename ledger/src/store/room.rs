//! The console's rooms: a chat platform whose messages live in Postgres. Delivered to through the outbox like any other.

use crate::*;
use jiff::Timestamp;
use serde_json::Value;

/// One message in a console room.
#[derive(Clone, Debug, PartialEq)]
pub struct RoomMessage {
    /// Grows.
    pub id: i64,
    /// Which room.
    pub place: Place,
    /// Who typed it; None: Petrel.
    pub author: Option<Actor>,
    /// Only this actor may see it.
    pub only_for: Option<Actor>,
    /// What was typed, or
    pub text: Option<String>,
    /// the bot's platform-neutral card as JSON.
    pub card: Option<Value>,
    /// Whose card.
    pub request: Option<RequestId>,
    /// First shown.
    pub at: Timestamp,
    /// Last edit.
    pub edited_at: Option<Timestamp>,
}

impl Ledger {
    /// A line that a person typed, by the inbox key: shown once.
    pub async fn room_line(&self, _key: &str, _place: &Place, _author: &Actor, _text: &str, _now: Timestamp) -> Result<i64, LedgerError> {
        todo!()
    }

    /// Posts or edits a card: at most one message per card and place, whatever the number of tries. Returns its id.
    pub async fn room_card(&self, _delivery: &Delivery, _card: &Value, _now: Timestamp) -> Result<i64, LedgerError> {
        todo!()
    }

    /// The newest `limit` messages before `before`, oldest first, that `viewer` may see.
    pub async fn room(&self, _place: &Place, _viewer: &Actor, _before: Option<i64>, _limit: u32) -> Result<Vec<RoomMessage>, LedgerError> {
        todo!()
    }

    /// One message, if `viewer` may see it.
    pub async fn room_message(&self, _id: i64, _viewer: &Actor) -> Result<Option<RoomMessage>, LedgerError> {
        todo!()
    }
}
