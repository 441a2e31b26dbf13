//! Looking at incidents.

use super::*;

impl Ledger {
    /// Incidents that opened since, oldest first; `after` is the last one of the page before. Their ids are in the order of their opening.
    pub async fn incidents_since(
        &self,
        since: Timestamp,
        after: Option<IncidentId>,
        limit: u32,
    ) -> Result<Vec<StoredIncident>, LedgerError> {
        let rows: Vec<IncidentColumns> = sqlx::query_as(AssertSqlSafe(format!(
            "select {COLUMNS} from incident i where i.opened_at >= $1 and ($2::uuid is null or i.id > $2) order by i.id limit {limit}"
        )))
        .bind(super::super::time::utc(since))
        .bind(after.map(|id| id.0))
        .fetch_all(&self.pool)
        .await
        .map_err(sql("list incidents"))?;
        rows.into_iter().map(IncidentColumns::stored).collect()
    }

    /// One incident.
    pub async fn incident(&self, id: IncidentId) -> Result<Option<StoredIncident>, LedgerError> {
        let row: Option<IncidentColumns> =
            sqlx::query_as(AssertSqlSafe(format!("select {COLUMNS} from incident i where i.id = $1")))
                .bind(id.0)
                .fetch_optional(&self.pool)
                .await
                .map_err(sql("read an incident"))?;
        row.map(IncidentColumns::stored).transpose()
    }

    /// The open ones, or the last ones; newest first.
    pub async fn incidents(&self, open: bool, limit: u32) -> Result<Vec<StoredIncident>, LedgerError> {
        let wanted = if open { "i.ended_at is null" } else { "true" };
        let rows: Vec<IncidentColumns> = sqlx::query_as(AssertSqlSafe(format!(
            "select {COLUMNS} from incident i where {wanted} order by i.opened_at desc, i.id limit {limit}"
        )))
        .fetch_all(&self.pool)
        .await
        .map_err(sql("list incidents"))?;
        rows.into_iter().map(IncidentColumns::stored).collect()
    }

    /// Incidents whose id ends so, newest first, at most 5.
    pub async fn find_incident(&self, short: &str) -> Result<Vec<IncidentId>, LedgerError> {
        let ids = sqlx::query_scalar(
            "select id from incident where right(id::text, 8) = lower($1) order by opened_at desc limit 5",
        )
        .bind(short)
        .fetch_all(&self.pool)
        .await
        .map_err(sql("find an incident"))?;
        Ok(ids.into_iter().map(IncidentId).collect())
    }

    /// Troubles of an incident that go on, each with the last event that said so; the oldest ones, at most 20.
    pub async fn troubles(&self, id: IncidentId) -> Result<Vec<(Value, Value)>, LedgerError> {
        let rows: Vec<(String, String)> =
            sqlx::query_as(AssertSqlSafe(format!("select doc::text, event::text {}", troubles_of("$1"))))
                .bind(id.0)
                .fetch_all(&self.pool)
                .await
                .map_err(sql("read troubles"))?;
        rows.into_iter().map(|(doc, event)| Ok((value(&doc)?, value(&event)?))).collect()
    }

    /// One trouble.
    pub async fn trouble(&self, fingerprint: &str) -> Result<Option<Value>, LedgerError> {
        let doc: Option<String> = sqlx::query_scalar("select doc::text from trouble where fingerprint = $1")
            .bind(fingerprint)
            .fetch_optional(&self.pool)
            .await
            .map_err(sql("read a trouble"))?;
        doc.as_deref().map(value).transpose()
    }

    /// The last event that said that a trouble goes on.
    pub async fn trouble_event(&self, fingerprint: &str) -> Result<Option<Value>, LedgerError> {
        let doc: Option<String> =
            sqlx::query_scalar("select event::text from trouble where fingerprint = $1")
                .bind(fingerprint)
                .fetch_optional(&self.pool)
                .await
                .map_err(sql("read a trouble"))?;
        Ok(doc.as_deref().map(value).transpose()?.filter(|event| !event.is_null()))
    }

    /// Rules that only a person lets go on: rule, where, and the brake.
    pub async fn blocked(&self) -> Result<Vec<(String, String, Value)>, LedgerError> {
        let rows: Vec<(String, String, String)> = sqlx::query_as(
            "select rule, place, doc::text from brake where blocked_at is not null order by blocked_at desc limit 100",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(sql("read brakes"))?;
        rows.into_iter().map(|(rule, place, doc)| Ok((rule, place, value(&doc)?))).collect()
    }
}

/// SQL: troubles of the incident that this parameter names that go on, the oldest ones.
pub(super) fn troubles_of(incident: &str) -> String {
    format!("from trouble where incident = {incident} and going_on order by began_at, fingerprint limit 20")
}
