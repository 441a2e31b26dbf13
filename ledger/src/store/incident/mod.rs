//! Incidents and what belongs to them. What they mean is decided by pure functions of the crate `heal`, which are handed in: here
//! are the locks they are asked under, and the statements that write what they say together with the entries of it (G10).
//!
//! Two kinds of change, each one transaction. [`Ledger::fold_events`]: events change troubles and incidents; one at a time among all
//! replicas. [`Ledger::change_incident`]: something is done about one incident; one at a time in its cluster, because caps and
//! storms count all of a cluster.

mod change;
mod figures;
mod fold;
mod read;
mod storm;

pub use fold::Fold;

use super::rows::corrupt;
use super::time::{timestamp, utc};
use crate::*;
use chrono::{DateTime, Utc};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use sqlx::{AssertSqlSafe, FromRow, PgConnection};
use uuid::Uuid;

/// An incident as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredIncident {
    /// Which.
    pub id: IncidentId,
    /// What it is.
    pub doc: Value,
    /// What is being done about it.
    pub handling: Value,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// What belongs into the record along with a change.
#[derive(Clone, Debug, PartialEq)]
pub struct HealingEntry {
    /// `incident.opened`.
    pub kind: &'static str,
    /// Who or what did it.
    pub actor: String,
    /// Of which request.
    pub request: Option<RequestId>,
    /// What there is to know.
    pub body: Value,
}

/// What folding may look at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FoldState {
    /// Of the events asked for, those that nobody has folded meanwhile.
    pub events: Vec<i64>,
    /// Troubles of their fingerprints, and those that come and go and may have calmed down.
    pub troubles: Vec<Value>,
    /// Open incidents of their places, and those that the troubles belong to.
    pub incidents: Vec<Value>,
    /// Clusters in which it storms.
    pub storms: Vec<String>,
}

/// A trouble to be stored.
#[derive(Clone, Debug, PartialEq)]
pub struct TroubleRow {
    /// Its name for life.
    pub fingerprint: String,
    /// Where.
    pub cluster: Option<String>,
    /// The event's name.
    pub name: String,
    /// To which it belongs.
    pub incident: Option<IncidentId>,
    /// Whether it does.
    pub going_on: bool,
    /// While it comes and goes.
    pub settle_at: Option<Timestamp>,
    /// When its episode was first heard of, if that is now.
    pub began_at: Option<Timestamp>,
    /// What it is.
    pub doc: Value,
    /// The event that says so; None keeps the one there is.
    pub event: Option<Value>,
}

/// An incident to be stored.
#[derive(Clone, Debug, PartialEq)]
pub struct IncidentRow {
    /// Which.
    pub id: IncidentId,
    /// Of which only one is open.
    pub place: String,
    /// Where.
    pub cluster: Option<String>,
    /// What it is.
    pub doc: Value,
    /// For a new one: what is being done about it, which is nothing yet.
    pub handling: Value,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// For a new one: where its card is shown.
    pub shown: Vec<Place>,
}

/// What folding has decided.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Folded {
    /// New or changed.
    pub troubles: Vec<TroubleRow>,
    /// New or changed.
    pub incidents: Vec<IncidentRow>,
    /// For the record.
    pub entries: Vec<HealingEntry>,
}

/// Everything that decides about one incident, read under the lock of its cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct HealingState {
    /// It.
    pub incident: StoredIncident,
    /// Its troubles that go on, each with the last event that said so; the oldest ones, at most 20.
    pub troubles: Vec<(Value, Value)>,
    /// Of its place.
    pub brakes: Vec<Value>,
    /// Begun since the moment asked for, of its cluster and of the rules asked for.
    pub attempts: Vec<Value>,
    /// That have not ended.
    pub silences: Vec<Value>,
    /// The weather of its cluster, where there was any.
    pub storm: Option<Value>,
    /// Open incidents of its cluster.
    pub open: u32,
    /// Troubles of its cluster that began within the last minute.
    pub arrivals: u32,
    /// Troubles of nodes of its cluster that go on, by the names asked for.
    pub nodes_down: Vec<Value>,
}

/// What belongs to the place of the incident.
#[derive(Clone, Debug, PartialEq)]
pub struct BrakeRow {
    /// Which rule.
    pub rule: String,
    /// The brake.
    pub doc: Value,
    /// Since when only a person can let it go on.
    pub blocked_at: Option<Timestamp>,
}

/// What has been decided about one incident.
#[derive(Clone, Debug, PartialEq)]
pub struct HealingChange {
    /// It.
    pub doc: Value,
    /// What is being done about it.
    pub handling: Value,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// The request it waits for, and the state that was seen of it.
    pub waits_for: Option<(RequestId, Option<RequestState>)>,
    /// When to look again.
    pub due_at: Timestamp,
    /// Changed or new.
    pub brake: Option<BrakeRow>,
    /// A healing that begins: its id, its rule, and what caps count.
    pub begun: Option<(Uuid, String, Value)>,
    /// A healing that ended: its id, its result, and what caps count.
    pub ended: Option<(Uuid, &'static str, Value)>,
    /// A silence that begins: its id, itself, its end.
    pub silence: Option<(Uuid, Value, Timestamp)>,
    /// For the record.
    pub entries: Vec<HealingEntry>,
    /// Where its card is shown, besides where it is.
    pub shown: Vec<Place>,
    /// What is said along, once by its key: key, place, card.
    pub said: Vec<(String, Place, Value)>,
}

/// What a change is asked for with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Since {
    /// Attempts since then count.
    pub attempts: Option<Timestamp>,
    /// Attempts of these rules count in other clusters too.
    pub rules: Vec<String>,
    /// Names of events that say that a node is down.
    pub node_down: Vec<String>,
}

/// What was heard of since incidents were claimed last.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heard {
    /// Something may have become due.
    pub due: bool,
    /// That have changed.
    pub requests: Vec<RequestId>,
    /// That nobody could claim for a while.
    pub incidents: Vec<IncidentId>,
}

/// How a rule has done.
#[derive(Clone, Debug, PartialEq, FromRow)]
pub struct RuleFigures {
    /// Its title.
    pub rule: String,
    /// Healings begun.
    pub begun: i64,
    /// That helped.
    pub healed: i64,
    /// That did not.
    pub ineffective: i64,
    /// Of which a request did not come true, so that what it did was taken back.
    pub rolled_back: i64,
    /// That were denied, expired or cancelled.
    pub not_done: i64,
    /// Median seconds from detection to the first request, of incidents it healed.
    pub propose_s: Option<f64>,
    /// From there to the approval.
    pub approve_s: Option<f64>,
    /// From the approval to the first step.
    pub act_s: Option<f64>,
    /// From detection until it was over.
    pub recover_s: Option<f64>,
}

#[derive(FromRow)]
struct IncidentColumns {
    id: Uuid,
    doc: String,
    handling: String,
    ended_at: Option<DateTime<Utc>>,
}

const COLUMNS: &str = "i.id, i.doc::text, i.handling::text, i.ended_at";

impl IncidentColumns {
    fn stored(self) -> Result<StoredIncident, LedgerError> {
        Ok(StoredIncident {
            id: IncidentId(self.id),
            doc: value(&self.doc)?,
            handling: value(&self.handling)?,
            ended_at: self.ended_at.map(timestamp),
        })
    }
}

fn value(text: &str) -> Result<Value, LedgerError> {
    serde_json::from_str(text).map_err(|error| corrupt("read an incident", error))
}

fn values(texts: Vec<String>) -> Result<Vec<Value>, LedgerError> {
    texts.iter().map(|text| value(text)).collect()
}

async fn record_all(
    tx: &mut PgConnection,
    entries: &[HealingEntry],
    now: Timestamp,
) -> Result<(), LedgerError> {
    if entries.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into entry (at, kind, actor, request, body)
         select $1, kind, actor, request, body::json
         from unnest($2::text[], $3::text[], $4::uuid[], $5::text[]) as g (kind, actor, request, body)",
    )
    .bind(utc(now))
    .bind(entries.iter().map(|entry| entry.kind).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.actor.as_str()).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.request.map(|id| id.0)).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.body.to_string()).collect::<Vec<_>>())
    .execute(tx)
    .await
    .map_err(sql("record healing"))?;
    Ok(())
}
