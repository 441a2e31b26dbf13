//! The record (G10): entries, and how they are listed and exported. `seal` chains them, `verify` checks the chain,
//! `checkpoint` signs its head.

use super::time::{timestamp, utc};
use crate::*;
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::{FromRow, Postgres, QueryBuilder};
use std::collections::HashMap;
use uuid::Uuid;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Order of writing; gaps are transactions that were rolled back.
    pub id: i64,
    /// Position in the chain, gapless from 1; None while it waits to be sealed.
    pub seq: Option<i64>,
    /// When.
    pub at: Timestamp,
    /// `request.submitted`, `vote.approved`, `step.intended`, ...
    pub kind: String,
    /// Who.
    pub actor: String,
    /// Which request it belongs to.
    pub request: Option<RequestId>,
    /// What, as exact JSON text.
    pub body: Value,
}

/// Which entries to list.
#[derive(Clone, Debug, Default)]
pub struct EntryFilter {
    /// Of this request.
    pub request: Option<RequestId>,
    /// By this actor.
    pub actor: Option<String>,
    /// Of this kind, or of its family when it ends with a dot.
    pub kind: Option<String>,
    /// With a smaller id (for paging).
    pub before: Option<i64>,
    /// At most, newest first.
    pub limit: u32,
}

#[derive(FromRow)]
struct EntryRow {
    id: i64,
    seq: Option<i64>,
    at: DateTime<Utc>,
    kind: String,
    actor: String,
    request: Option<Uuid>,
    body: String,
}

impl Ledger {
    /// Appends an entry on its own (a query, a rejected ask, a sign-in): its own durable transaction.
    pub async fn record(
        &self,
        kind: &str,
        actor: &str,
        request: Option<RequestId>,
        body: &Value,
        now: Timestamp,
    ) -> Result<i64, LedgerError> {
        // One statement, one round trip, one flush; and nothing that writers would wait for each other over.
        sqlx::query_scalar(
            "/* entry.record */ insert into entry (at, kind, actor, request, body) values ($1, $2, $3, $4, $5::json) returning id",
        )
        .bind(utc(now))
        .bind(kind)
        .bind(actor)
        .bind(request.map(|id| id.0))
        .bind(body.to_string())
        .fetch_one(&self.pool)
        .await
        .map_err(sql("record an entry"))
    }

    /// Newest first.
    pub async fn entries(&self, filter: &EntryFilter) -> Result<Vec<Entry>, LedgerError> {
        let mut query = QueryBuilder::<Postgres>::new(
            "select e.id, s.seq, e.at, e.kind, e.actor, e.request, e.body::text body from (select * from entry where true",
        );
        if let Some(request) = filter.request {
            query.push(" and request = ").push_bind(request.0);
        }
        if let Some(actor) = &filter.actor {
            query.push(" and actor = ").push_bind(actor);
        }
        if let Some(kind) = &filter.kind {
            match kind.ends_with('.') {
                true => query.push(" and starts_with(kind, ").push_bind(kind).push(")"),
                false => query.push(" and kind = ").push_bind(kind),
            };
        }
        if let Some(before) = filter.before {
            query.push(" and id < ").push_bind(before);
        }
        query.push(" order by id desc limit ").push(filter.limit);
        // Ids ascend within a seal, so it can only be in one whose last id is not smaller; nearly always the first such.
        query.push(
            ") e left join lateral (
                 select first_seq + array_position(entry_id, e.id) - 1 seq from seal
                 where entry_id[cardinality(entry_id)] >= e.id and entry_id[1] <= e.id and e.id = any (entry_id)
                 order by entry_id[cardinality(entry_id)] limit 1
             ) s on true order by e.id desc",
        );
        let rows: Vec<EntryRow> = query
            .build_query_as()
            .persistent(false)
            .fetch_all(&self.pool)
            .await
            .map_err(sql("list entries"))?;
        rows.into_iter()
            .map(|row| {
                Ok(Entry {
                    id: row.id,
                    seq: row.seq,
                    at: timestamp(row.at),
                    kind: row.kind,
                    actor: row.actor,
                    request: row.request.map(RequestId),
                    body: serde_json::from_str(&row.body).map_err(|error| LedgerError::Corrupt {
                        what: "list entries",
                        why: error.to_string(),
                    })?,
                })
            })
            .collect()
    }

    /// JSON lines of all sealed entries in chain order after position `since`, with seq and hash, in bounded memory. An
    /// entry that is gone has a line that says so. Returns how many lines.
    pub async fn export(
        &self,
        since: Option<i64>,
        mut line: impl FnMut(&str) -> std::io::Result<()> + Send,
    ) -> Result<u64, LedgerError> {
        /// Positions that are looked up together.
        const PAGE: usize = 2_000;
        let since = since.unwrap_or(0);
        let (mut page, mut count) = (Vec::new(), 0);
        let mut seals = sqlx::query_as::<_, (i64, Vec<i64>, Vec<u8>)>(
            "select first_seq, entry_id, hash from seal where last_seq > $1 order by last_seq",
        )
        .bind(since)
        .fetch(&self.pool);
        loop {
            let seal = seals.try_next().await.map_err(sql("export the record"))?;
            let ended = seal.is_none();
            if let Some((first, ids, hashes)) = seal {
                let positions = ids.iter().zip(hashes.chunks(32)).zip(first..);
                page.extend(
                    positions
                        .filter(|(_, seq)| *seq > since)
                        .map(|((&id, hash), seq)| (seq, id, hex::encode(hash))),
                );
            }
            if ended || page.len() >= PAGE {
                for positions in page.chunks(PAGE) {
                    count += self.export_page(positions, &mut line).await?;
                }
                page.clear();
            }
            if ended {
                return Ok(count);
            }
        }
    }

    async fn export_page(
        &self,
        positions: &[(i64, i64, String)],
        line: &mut (impl FnMut(&str) -> std::io::Result<()> + Send),
    ) -> Result<u64, LedgerError> {
        let ids: Vec<i64> = positions.iter().map(|(_, id, _)| *id).collect();
        let rows: Vec<EntryRow> = sqlx::query_as(
            "select id, null::bigint seq, at, kind, actor, request, body::text body from entry where id = any ($1)",
        )
        .bind(ids)
        .fetch_all(&self.pool)
        .await
        .map_err(sql("export the record"))?;
        let rows: HashMap<i64, EntryRow> = rows.into_iter().map(|row| (row.id, row)).collect();
        for (seq, id, hash) in positions {
            let text = match rows.get(id) {
                // The body goes out as it is stored, for its exact text is what was hashed; a line break in JSON can only
                // stand between tokens.
                Some(row) => format!(
                    r#"{{"seq":{seq},"id":{id},"at":"{}","kind":{},"actor":{},"request":{},"body":{},"hash":"{hash}"}}"#,
                    timestamp(row.at),
                    json!(row.kind),
                    json!(row.actor),
                    json!(row.request),
                    row.body.replace(['\n', '\r'], " "),
                ),
                None => format!(r#"{{"seq":{seq},"id":{id},"missing":true,"hash":"{hash}"}}"#),
            };
            line(&text).map_err(|error| sql("write the export")(error.into()))?;
        }
        Ok(positions.len() as u64)
    }
}
