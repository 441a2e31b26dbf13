//! The weather of clusters.

use super::super::time::utc;
use super::*;

impl Ledger {
    /// How it looks in a cluster, for `decide` to say whether it storms; None writes nothing.
    pub async fn change_storm<T, E: From<LedgerError>>(
        &self,
        cluster: &str,
        now: Timestamp,
        decide: impl FnOnce(
            Option<Value>,
            u32,
            u32,
        ) -> Result<(Option<(Value, bool, Option<HealingEntry>)>, T), E>,
    ) -> Result<T, E> {
        let wrong = sql("look at the weather");
        let mut tx = self.pool.begin().await.map_err(wrong)?;
        sqlx::query("select pg_advisory_xact_lock(hashtext('petrel.heal'), hashtext($1))")
            .bind(cluster)
            .execute(&mut *tx)
            .await
            .map_err(wrong)?;
        let (storm, open, arrivals): (Option<String>, i64, i64) =
            sqlx::query_as(AssertSqlSafe(weather("$1", "$2")))
                .bind(cluster)
                .bind(utc(now - ARRIVALS_WITHIN))
                .fetch_one(&mut *tx)
                .await
                .map_err(wrong)?;
        let storm = storm.as_deref().map(value).transpose()?;
        let (changed, outcome) = decide(storm, open as u32, arrivals as u32)?;
        if let Some((doc, rages, entry)) = changed {
            sqlx::query(
                "/* incident.storm */ insert into storm (cluster, doc, rages) values ($1, $2::json, $3)
                 on conflict (cluster) do update set doc = excluded.doc, rages = excluded.rages",
            )
            .bind(cluster)
            .bind(doc.to_string())
            .bind(rages)
            .execute(&mut *tx)
            .await
            .map_err(wrong)?;
            record_all(&mut tx, entry.as_slice(), now).await?;
            tx.commit().await.map_err(wrong)?;
        }
        Ok(outcome)
    }

    /// The weather of a cluster, where there was any.
    pub async fn storm(&self, cluster: &str) -> Result<Option<Value>, LedgerError> {
        let doc: Option<String> = sqlx::query_scalar("select doc::text from storm where cluster = $1")
            .bind(cluster)
            .fetch_optional(&self.pool)
            .await
            .map_err(sql("look at the weather"))?;
        doc.as_deref().map(value).transpose()
    }

    /// Clusters with open incidents or a storm.
    pub async fn troubled_clusters(&self) -> Result<Vec<String>, LedgerError> {
        sqlx::query_scalar(
            "select cluster from storm where rages
             union select cluster from incident where ended_at is null and cluster is not null",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(sql("list clusters in trouble"))
    }
}

/// Troubles that began within this are arrivals.
pub(super) const ARRIVALS_WITHIN: SignedDuration = SignedDuration::from_mins(1);

/// SQL: the weather of the cluster that this parameter names, with what arrived since that one.
pub(super) fn weather(cluster: &str, since: &str) -> String {
    format!(
        "select (select doc::text from storm where cluster = {cluster}) as storm,
             (select count(*) from incident where cluster = {cluster} and ended_at is null) as open,
             (select count(*) from trouble where cluster = {cluster} and began_at > {since}) as arrivals"
    )
}
