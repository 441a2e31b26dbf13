//! The inbox: what came in through a door, made durable before it is acknowledged, deduplicated by the platform's own
//! delivery key, and handled once (G11).

use super::time::{timestamp, utc};
use crate::*;
use chrono::{DateTime, Utc};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use std::time::Duration;
use uuid::Uuid;

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

/// An event as a door hears it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The platform's delivery key, or one the door makes: the same key is the same event.
    pub key: String,
    /// Who.
    pub actor: Actor,
    /// Where.
    pub place: Place,
    /// What.
    pub event: Event,
    /// What the platform gave to answer this event with, for a short time: Slack's response_url, Discord's interaction token.
    pub reply_to: Option<String>,
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
    /// See [`Arrival::reply_to`].
    pub reply_to: Option<String>,
    /// When.
    pub at: Timestamp,
    /// Fencing token of the claim.
    pub token: i64,
}

#[derive(FromRow)]
struct InboxRow {
    id: Uuid,
    key: String,
    actor: String,
    place: String,
    event: String,
    reply_to: Option<String>,
    at: DateTime<Utc>,
    token: i64,
}

impl InboxRow {
    fn inbound(self) -> Result<Inbound, String> {
        Ok(Inbound {
            id: InboxId(self.id),
            key: self.key,
            actor: self.actor.parse().map_err(|error: NotAnActor| error.to_string())?,
            place: Place(self.place),
            event: serde_json::from_str(&self.event).map_err(|error| error.to_string())?,
            reply_to: self.reply_to,
            at: timestamp(self.at),
            token: self.token,
        })
    }
}

impl Ledger {
    /// Makes it durable. None: the key is known (a platform's retry); acknowledge and do nothing. The returned event is
    /// already claimed by `worker` for `lease`, so the caller may handle it at once; if it dies, another takes over.
    pub async fn receive(
        &self,
        arrival: &Arrival,
        worker: &str,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Option<Inbound>, LedgerError> {
        let corrupt = |why: String| LedgerError::Corrupt { what: "receive an event", why };
        let event = serde_json::to_string(&arrival.event).map_err(|error| corrupt(error.to_string()))?;
        let row: Option<InboxRow> = sqlx::query_as(
            "/* inbox.receive */ insert into inbox (id, key, actor, place, event, reply_to, at, worker, process, due_at)
             values ($1, $2, $3, $4, $5::json, $6, $7, $8, current_setting('application_name'),
                     clock_timestamp() + make_interval(secs => $9))
             on conflict (key) do nothing returning id, key, actor, place, event::text, reply_to, at, token",
        )
        .bind(InboxId::new().0)
        .bind(&arrival.key)
        .bind(arrival.actor.as_str())
        .bind(&arrival.place.0)
        .bind(event)
        .bind(&arrival.reply_to)
        .bind(utc(now))
        .bind(worker)
        .bind(lease.as_secs_f64())
        .fetch_optional(&self.pool)
        .await
        .map_err(sql("receive an event"))?;
        row.map(|row| row.inbound().map_err(corrupt)).transpose()
    }

    /// Claims events that nobody handles (`SKIP LOCKED`), oldest first: whose claim has run out, or whose process has no connection to
    /// the database left, as after a `kill -9`. (One that lives and lost the database is overtaken too: handling an event twice does
    /// it once.) One that cannot be read (a newer replica wrote it)
    /// is logged and left out, so that it never holds up the others; after a hundred tries it is left for a person to see.
    pub async fn claim_inbox(
        &self,
        worker: &str,
        lease: Duration,
        limit: u32,
    ) -> Result<Vec<Inbound>, LedgerError> {
        let mut rows: Vec<InboxRow> = sqlx::query_as(
            "/* inbox.claim */ update inbox set worker = $1, token = token + 1,
                    process = current_setting('application_name'), due_at = clock_timestamp() + make_interval(secs => $2)
             where id = any (array(
                 select id from inbox
                 where handled_at is null and token < 100
                   and (due_at <= clock_timestamp() or process is not null
                        and not exists (select from pg_stat_activity where application_name = inbox.process))
                 order by id limit $3 for update skip locked
             )) returning id, key, actor, place, event::text, reply_to, at, token",
        )
        .bind(worker)
        .bind(lease.as_secs_f64())
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(sql("claim events"))?;
        rows.sort_by_key(|row| row.id);
        let readable = |row: InboxRow| {
            let id = row.id;
            row.inbound()
                .inspect_err(|why| tracing::error!(%id, why, "this build cannot read an event; it waits for one that can"))
                .ok()
        };
        Ok(rows.into_iter().filter_map(readable).collect())
    }

    /// It failed too often: it is not tried again, and the record says so. Nothing happens if another worker has claimed it
    /// since.
    pub async fn give_up_event(&self, event: &Inbound, why: &str, now: Timestamp) -> Result<(), LedgerError> {
        let body = serde_json::json!({ "event": event.id, "place": event.place, "because": why });
        sqlx::query(
            "/* inbox.given_up */ with over as (
                 update inbox set handled_at = clock_timestamp(), error = $3 where id = $1 and token = $2 returning actor)
             insert into entry (at, kind, actor, body) select $4, 'event.given_up', actor, $5::json from over",
        )
        .bind(event.id.0)
        .bind(event.token)
        .bind(why)
        .bind(utc(now))
        .bind(body.to_string())
        .execute(&self.pool)
        .await
        .map_err(sql("give an event up"))?;
        Ok(())
    }

    /// It could not be handled: anybody may try again after `wait`. Nothing happens if another worker has claimed it since.
    pub async fn put_back(&self, event: &Inbound, wait: Duration) -> Result<(), LedgerError> {
        sqlx::query(
            "/* inbox.put_back */ update inbox set due_at = clock_timestamp() + make_interval(secs => $3)
             where id = $1 and token = $2 and handled_at is null",
        )
        .bind(event.id.0)
        .bind(event.token)
        .bind(wait.as_secs_f64())
        .execute(&self.pool)
        .await
        .map_err(sql("put an event back"))?;
        Ok(())
    }

    /// It is handled; nothing happens if another worker has claimed it since.
    pub async fn handled(&self, event: &Inbound) -> Result<(), LedgerError> {
        sqlx::query("/* inbox.handled */ update inbox set handled_at = clock_timestamp() where id = $1 and token = $2")
            .bind(event.id.0)
            .bind(event.token)
            .execute(&self.pool)
            .await
            .map_err(sql("mark an event handled"))?;
        Ok(())
    }
}
