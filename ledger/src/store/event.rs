//! Events that were told through an intake: durable in one statement before they are acknowledged, each once.

use super::time::{timestamp, utc};
use crate::*;
use chrono::{DateTime, Utc};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::HashSet;

/// One event as it came in. What it says, the crate `heal` knows.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    /// The same key is the same message about the same event.
    pub key: String,
    /// The event.
    pub body: Value,
}

/// One that is to be folded into incidents.
#[derive(Clone, Debug, PartialEq)]
pub struct WaitingEvent {
    /// Ours, in the order they were told.
    pub id: i64,
    /// The name of the intake.
    pub source: String,
    /// The event.
    pub body: Value,
    /// When it was told.
    pub at: Timestamp,
}

impl Ledger {
    /// Makes a batch durable, in one statement; what is known by its key is left out. Returns how many were new.
    pub async fn receive_events(
        &self,
        source: &str,
        events: &[NewEvent],
        now: Timestamp,
    ) -> Result<u64, LedgerError> {
        let mut once = HashSet::new();
        let events = events.iter().filter(|event| once.insert(event.key.as_str()));
        let (keys, bodies): (Vec<&str>, Vec<String>) =
            events.map(|event| (event.key.as_str(), event.body.to_string())).unzip();
        let done = sqlx::query(
            "/* event.receive */ with told as (
                 select * from unnest($3::text[], $4::text[]) with ordinality as told (key, body, nth)),
             new as (insert into event (key, at) select key, $2 from told on conflict (key) do nothing returning key)
             insert into event_waiting (source, body, at)
             select $1, body::json, $2 from told join new using (key) order by nth",
        )
        .bind(source)
        .bind(utc(now))
        .bind(keys)
        .bind(bodies)
        .execute(&self.pool)
        .await
        .map_err(sql("receive events"))?;
        if done.rows_affected() > 0 {
            self.wake(Wake::Event);
        }
        Ok(done.rows_affected())
    }

    /// Events that nobody has folded, oldest first.
    pub async fn waiting_events(&self, limit: u32) -> Result<Vec<WaitingEvent>, LedgerError> {
        let rows: Vec<(i64, String, String, DateTime<Utc>)> =
            sqlx::query_as("select id, source, body::text, at from event_waiting order by id limit $1")
                .bind(i64::from(limit))
                .fetch_all(&self.pool)
                .await
                .map_err(sql("read events"))?;
        // A body is JSON: the column's type says so.
        let event = |(id, source, body, at): (i64, String, String, DateTime<Utc>)| WaitingEvent {
            id,
            source,
            body: serde_json::from_str(&body).unwrap_or_default(),
            at: timestamp(at),
        };
        Ok(rows.into_iter().map(event).collect())
    }

    /// Clusters, besides these, of which a source that is called by this prefix and the cluster's name said what goes on.
    pub async fn told_of(&self, prefix: &str, besides: &[&str]) -> Result<Vec<String>, LedgerError> {
        sqlx::query_scalar(
            "select distinct cluster from trouble
             where going_on and cluster <> all ($2) and event ->> 'source' = $1 || cluster order by cluster",
        )
        .bind(prefix)
        .bind(besides)
        .fetch_all(&self.pool)
        .await
        .map_err(sql("find clusters that are not watched any more"))
    }

    /// The last word of this source about each trouble of a cluster that goes on, and what it said that nobody has folded yet.
    pub async fn told_by(&self, cluster: &str, source: &str) -> Result<Vec<Value>, LedgerError> {
        let bodies: Vec<String> = sqlx::query_scalar(
            "select event::text from trouble where going_on and cluster = $1 and event ->> 'source' = $2
             union all
             select body::text from event_waiting where source = $2 and body ->> 'state' = 'firing'",
        )
        .bind(cluster)
        .bind(source)
        .fetch_all(&self.pool)
        .await
        .map_err(sql("read what a cluster told"))?;
        Ok(bodies.iter().map(|body| serde_json::from_str(body).unwrap_or_default()).collect())
    }
}
