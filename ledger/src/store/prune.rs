//! Taking away what is over: chat rows that nobody looks at any more. The record, requests, votes, runs and steps are never
//! touched; the serving role may delete from nothing but the tables named here.

use super::time::utc;
use crate::*;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

/// Since when a thing must be over to be taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Rooms, cards and pictures.
    pub rooms: SignedDuration,
    /// Events and their keys, notices, wrong codes. A platform tries an event again for hours, not for days.
    pub events: SignedDuration,
}

impl Default for Retention {
    fn default() -> Self {
        Retention { rooms: SignedDuration::from_hours(90 * 24), events: SignedDuration::from_hours(7 * 24) }
    }
}

/// A card that is over: said long ago, or its request ended long ago; and nothing of it waits to be shown. `$1` is the
/// moment, `$2` the first id of that moment.
const OVER: &str = "
    select c.id from card c left join request r on r.id = c.request left join incident i on i.id = c.incident
    where c.id < $2
      and (c.request is null or r.updated_at < $1 and r.state in
          ('planned', 'succeeded', 'refused', 'denied', 'expired', 'cancelled', 'failed', 'rolled_back', 'unknown'))
      and (c.incident is null or i.ended_at < $1)
      and not exists (select from delivery d where d.card = c.id and d.shown < d.wanted and d.given_up_at is null)
    order by c.id limit $3";

impl Ledger {
    /// One batch: at most `limit` rows of each kind. Returns how many went; 0: nothing is left that is over.
    pub async fn prune(&self, keep: Retention, limit: u32, now: Timestamp) -> Result<u64, LedgerError> {
        let (rooms, events) = (now - keep.rooms, now - keep.events);
        let limit = i64::from(limit);
        let mut gone = 0;
        for statement in [
            "/* prune.inbox */ delete from inbox where id in (select id from inbox where handled_at < $1 limit $2)",
            "/* prune.notice */ delete from notice where (request, revision, kind) in
                 (select request, revision, kind from notice where posted_at < $1 limit $2)",
            "/* prune.event */ delete from event where key in (select key from event where at < $1 limit $2)",
            "/* prune.trouble */ delete from trouble where fingerprint in
                 (select fingerprint from trouble where not going_on and at < $1 limit $2)",
            "/* prune.link_attempt */ delete from link_attempt where actor in
                 (select actor from link_attempt where since < $1 limit $2)",
        ] {
            gone += self.delete(sqlx::query(statement).bind(utc(events)).bind(limit)).await?;
        }
        for statement in [
            "/* prune.picture */ delete from picture where id in (select id from picture where at < $1 limit $2)",
            // Lines; cards go with their deliveries.
            "/* prune.room */ delete from room_message where id in
                 (select id from room_message where at < $1 and card_id is null limit $2)",
        ] {
            gone += self.delete(sqlx::query(statement).bind(utc(rooms)).bind(limit)).await?;
        }
        gone += self.prune_cards(rooms, limit).await?;
        Ok(gone)
    }

    async fn prune_cards(&self, before: Timestamp, limit: i64) -> Result<u64, LedgerError> {
        let failed = sql("prune cards");
        let mut tx = self.pool.begin().await.map_err(failed)?;
        let over: Vec<Uuid> = sqlx::query_scalar(OVER)
            .bind(utc(before))
            .bind(first_id(before))
            .bind(limit)
            .fetch_all(&mut *tx)
            .await
            .map_err(failed)?;
        if over.is_empty() {
            return Ok(0);
        }
        for statement in [
            "delete from room_message where card_id = any ($1)",
            "delete from delivery where card = any ($1)",
            "/* prune.card */ delete from card where id = any ($1)",
        ] {
            sqlx::query(statement).bind(&over).execute(&mut *tx).await.map_err(failed)?;
        }
        tx.commit().await.map_err(failed)?;
        Ok(over.len() as u64)
    }

    async fn delete(
        &self,
        query: sqlx::query::Query<'_, sqlx::Postgres, sqlx::postgres::PgArguments>,
    ) -> Result<u64, LedgerError> {
        let done = query.execute(&self.pool).await.map_err(sql("prune what is over"))?;
        Ok(done.rows_affected())
    }
}

/// The least UUIDv7 of that moment: ids begin with their time.
fn first_id(at: Timestamp) -> Uuid {
    let millis = u128::try_from(at.as_millisecond()).unwrap_or(0);
    Uuid::from_u128((millis << 80) | (0x7 << 76) | (0b10 << 62))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_a_moment_lie_on_its_side_of_the_border() {
        let id = CardId::new().0;
        let now = Timestamp::now();
        assert!(id < first_id(now + SignedDuration::from_secs(1)));
        assert!(id > first_id(now - SignedDuration::from_secs(1)));
    }
}
