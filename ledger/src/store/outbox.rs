//! The outbox: one row per card and place, with the version wanted and the version delivered. A card is drawn from the
//! state of its request when it is delivered, so edits coalesce and order cannot be wrong.

use crate::*;
use serde_json::Value;
use sqlx::PgConnection;
use std::time::Duration;

/// Makes a request's card and shows it in its first place, in the request's own transaction.
pub(crate) async fn open_card(tx: &mut PgConnection, request: RequestId, place: &Place) -> Result<CardId, LedgerError> {
    let id = CardId::new();
    sqlx::query(
        "with made as (insert into card (id, request) values ($1, $2) returning id, version),
              shown as (insert into delivery (card, place, wanted) select id, $3, version from made returning card)
         select pg_notify('petrel', 'request ' || $2::text) from shown",
    )
    .bind(id.0)
    .bind(request.0)
    .bind(&place.0)
    .execute(tx)
    .await
    .map_err(sql("open a card"))?;
    Ok(id)
}

/// A request changed: its card is due again wherever it is shown. Wakes who delivers cards and who watches requests.
pub(crate) async fn bump_card(tx: &mut PgConnection, request: RequestId) -> Result<(), LedgerError> {
    // A claim in progress or a wait after a failure stands: due_at only ever moves forward here.
    sqlx::query(
        "with bumped as (update card set version = version + 1 where request = $1 returning id, version),
              due as (update delivery d set wanted = b.version, attempts = 0, due_at = greatest(due_at, clock_timestamp())
                      from bumped b where d.card = b.id returning d.card)
         select pg_notify('petrel', 'request ' || $1::text) from (select count(*) from due) done",
    )
    .bind(request.0)
    .execute(tx)
    .await
    .map_err(sql("bump a card"))?;
    Ok(())
}

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
