//! What came of drills.

use super::time::{timestamp, utc};
use crate::*;
use chrono::{DateTime, Utc};
use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

/// What came of one drill.
#[derive(Clone, Debug, PartialEq)]
pub struct DrillRow {
    /// Its request.
    pub request: RequestId,
    /// Which fault of what; the same key is the same drill once more.
    pub key: String,
    /// The report.
    pub doc: Value,
    /// When the fault was gone.
    pub ended_at: Timestamp,
}

type Row = (Uuid, String, String, DateTime<Utc>);

fn drill((request, key, doc, ended_at): Row) -> DrillRow {
    // The column's type says that it is JSON.
    let doc = serde_json::from_str(&doc).unwrap_or_default();
    DrillRow { request: RequestId(request), key, doc, ended_at: timestamp(ended_at) }
}

impl Ledger {
    /// Drills that are over and have no report, oldest first.
    pub async fn drills_to_report(&self, limit: u32) -> Result<Vec<RequestId>, LedgerError> {
        let ids: Vec<Uuid> = sqlx::query_scalar(
            "select r.id from request r join run u on u.request = r.id and u.revision = r.revision
             where r.action = 'drill' and u.started_at is not null and u.ended_at is not null
               and not exists (select from drill d where d.request = r.id)
             order by r.created_at limit $1",
        )
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(sql("find drills without a report"))?;
        Ok(ids.into_iter().map(RequestId).collect())
    }

    /// Keeps a report; the first one stays.
    pub async fn keep_drill(&self, row: &DrillRow) -> Result<(), LedgerError> {
        sqlx::query(
            "/* drill.keep */ insert into drill (request, key, doc, ended_at) values ($1, $2, $3::json, $4) on conflict do nothing",
        )
        .bind(row.request.0)
        .bind(&row.key)
        .bind(row.doc.to_string())
        .bind(utc(row.ended_at))
        .execute(&self.pool)
        .await
        .map_err(sql("keep a drill's report"))?;
        Ok(())
    }

    /// The report of one drill, once there is one.
    pub async fn drill(&self, request: RequestId) -> Result<Option<DrillRow>, LedgerError> {
        let row: Option<Row> =
            sqlx::query_as("select request, key, doc::text, ended_at from drill where request = $1")
                .bind(request.0)
                .fetch_optional(&self.pool)
                .await
                .map_err(sql("read a drill's report"))?;
        Ok(row.map(drill))
    }

    /// The report of the same drill the last time before.
    pub async fn drill_before(&self, key: &str, at: Timestamp) -> Result<Option<DrillRow>, LedgerError> {
        let row: Option<Row> = sqlx::query_as(
            "select request, key, doc::text, ended_at from drill where key = $1 and ended_at < $2 order by ended_at desc limit 1",
        )
        .bind(key)
        .bind(utc(at))
        .fetch_optional(&self.pool)
        .await
        .map_err(sql("read an earlier drill's report"))?;
        Ok(row.map(drill))
    }

    /// Incidents of a cluster that were opened between two moments, oldest first.
    pub async fn incidents_between(
        &self,
        cluster: &str,
        from: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<Value>, LedgerError> {
        let docs: Vec<String> = sqlx::query_scalar(
            "select doc::text from incident where cluster = $1 and opened_at between $2 and $3 order by opened_at limit $4",
        )
        .bind(cluster)
        .bind(utc(from))
        .bind(utc(until))
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(sql("read incidents"))?;
        Ok(docs.iter().map(|doc| serde_json::from_str(doc).unwrap_or_default()).collect())
    }
}
