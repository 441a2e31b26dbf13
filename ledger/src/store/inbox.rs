//! The inbox: what came in through a door, made durable before it is acknowledged, deduplicated by the platform's own
//! delivery key, and handled once (G11).

use crate::*;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a person did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "did", rename_all = "snake_case")]
pub enum Event {
    /// Typed a line.
    Line {
        /// As typed.
        text: String,
    },
    /// Clicked a button on a request's card.
    Click {
        /// `approve`, `deny`, `cancel`, `details`.
        button: String,
        /// Which request.
        request: RequestId,
        /// Hex digest of the plan on the clicked card.
        digest: String,
        /// Typed along: a reason, or the cluster's name.
        reason: Option<String>,
        /// The cluster's name, where it is asked for.
        typed: Option<String>,
    },
}

/// One event that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inbound {
    /// Ours.
    pub id: InboxId,
    /// The platform's delivery key, or one the door made: the same key is the same event.
    pub key: String,
    /// Who.
    pub actor: Actor,
    /// Where.
    pub place: Place,
    /// What.
    pub event: Event,
    /// When.
    pub at: Timestamp,
    /// Fencing token of the claim.
    pub token: i64,
}

impl Ledger {
    /// Makes it durable. None: the key is known (a platform's retry); acknowledge and do nothing. The returned event is
    /// already claimed by `worker` for `lease`, so the caller may handle it at once; if it dies, another takes over.
    pub async fn receive(&self, _key: &str, _actor: &Actor, _place: &Place, _event: &Event, _worker: &str, _lease: Duration, _now: Timestamp) -> Result<Option<Inbound>, LedgerError> {
        todo!()
    }

    /// Claims events that nobody handles (`SKIP LOCKED`), oldest first.
    pub async fn claim_inbox(&self, _worker: &str, _lease: Duration, _limit: u32) -> Result<Vec<Inbound>, LedgerError> {
        todo!()
    }

    /// It is handled.
    pub async fn handled(&self, _event: &Inbound) -> Result<(), LedgerError> {
        todo!()
    }
}
