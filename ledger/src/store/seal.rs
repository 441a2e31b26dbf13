//! Sealing: whichever replica holds the lease `sealer` continues the chain over what was committed since, in batches.
//!
//! Writers never wait for it. Two sealers cannot fork the chain: a seal names the one before it, and the database lets
//! that be named once. The lease only keeps them from working twice, and its epoch keeps a paused sealer out.

use super::chain::{Content, GENESIS, Hash, link};
use super::snapshot::{Progress, Snapshot};
use crate::*;
use futures::TryStreamExt;
use sqlx::{AssertSqlSafe, PgConnection, Row, ValueRef, postgres::PgRow};
use std::{future::Future, pin::pin, time::Duration};
use tokio::time::{Instant, sleep};

/// Entries in one seal at most.
const BATCH: usize = 20_000;
/// A tick and its work fit well into the 250 ms that are promised.
const TICK: Duration = Duration::from_millis(100);
const LEASE: Duration = Duration::from_secs(3);
const SEALER: &str = "sealer";

/// The end of the chain.
struct Head {
    seq: i64,
    hash: Hash,
    progress: Progress,
}

/// What the next seal will hold.
struct Batch {
    head: Head,
    progress: Progress,
    ids: Vec<i64>,
    hashes: Vec<u8>,
}

impl Ledger {
    /// Keeps the record sealed within 250 ms, from now until `stop`: holds the lease `sealer` when it is free and seals in
    /// small ticks. `holder` must be different for every process. Errors are logged and tried again.
    pub async fn keep_sealed(&self, holder: &str, stop: impl Future<Output = ()> + Send) {
        let mut stop = pin!(stop);
        let mut held: Option<(Lease, Instant)> = None;
        loop {
            let begun = Instant::now();
            let pause = match self.seal_tick(holder, &mut held).await {
                Ok(Some(sealed)) if sealed == BATCH as u64 => Duration::ZERO,
                Ok(Some(_)) => TICK.saturating_sub(begun.elapsed()),
                Ok(None) => LEASE / 3,
                Err(error) => {
                    tracing::warn!(%error, "could not seal the record; trying again");
                    held = None;
                    LEASE / 3
                }
            };
            tokio::select! {
                biased;
                () = &mut stop => break,
                () = sleep(pause) => {}
            }
        }
        if let Some((lease, _)) = held
            && let Err(error) = self.finish_sealing(&lease).await
        {
            tracing::warn!(%error, "could not seal the last entries and give the lease back; another replica will");
        }
    }

    async fn finish_sealing(&self, lease: &Lease) -> Result<(), LedgerError> {
        self.seal(lease).await?;
        self.give_lease(lease).await
    }

    /// None: someone else seals.
    async fn seal_tick(&self, holder: &str, held: &mut Option<(Lease, Instant)>) -> Result<Option<u64>, LedgerError> {
        if held.as_ref().is_none_or(|(_, renewed)| renewed.elapsed() > LEASE / 3) {
            let now = Instant::now();
            *held = self.take_lease(SEALER, holder, LEASE).await?.map(|lease| (lease, now));
        }
        match held {
            Some((lease, _)) => self.seal(lease).await.map(Some),
            None => Ok(None),
        }
    }

    /// Seals what has been committed and is not sealed yet, oldest first, one batch; the caller holds the lease
    /// `sealer`. Returns how many; 0 also when the lease is lost or another sealer came first.
    pub async fn seal(&self, lease: &Lease) -> Result<u64, LedgerError> {
        let Some(batch) = self.next_batch().await? else { return Ok(0) };
        let done = sqlx::query(
            "/* seal */ with held as (
                 select epoch from lease where name = $1 and holder = $2 and epoch = $3 and until > clock_timestamp() for share
             )
             insert into seal (last_seq, first_seq, prev_seq, prev_hash, entry_id, hash, since, snapshot, cut, floor, epoch)
             select $4, $5, $6, $7, $8, $9, $10::text::pg_snapshot, $11::text::pg_snapshot, $12, $13, epoch from held",
        )
        .bind(&lease.name)
        .bind(&lease.holder)
        .bind(lease.epoch)
        .bind(batch.head.seq + batch.ids.len() as i64)
        .bind(batch.head.seq + 1)
        .bind((batch.head.seq > 0).then_some(batch.head.seq))
        .bind(batch.head.hash)
        .bind(&batch.ids)
        .bind(&batch.hashes)
        .bind(batch.progress.since.to_string())
        .bind(batch.progress.snapshot.to_string())
        .bind(batch.progress.cut)
        .bind(batch.progress.floor)
        .execute(&self.pool)
        .await;
        match done {
            Ok(done) if done.rows_affected() == 1 => Ok(batch.ids.len() as u64),
            Ok(_) => Ok(0),
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(0),
            Err(source) => Err(sql("seal the record")(source)),
        }
    }

    /// The end of the chain and what follows it, as one snapshot shows them.
    async fn next_batch(&self) -> Result<Option<Batch>, LedgerError> {
        let failed = sql("look for what to seal");
        let mut tx =
            self.pool.begin_with("begin isolation level repeatable read read only").await.map_err(&failed)?;
        let now: String =
            sqlx::query_scalar("select pg_current_snapshot()::text").fetch_one(&mut *tx).await.map_err(&failed)?;
        let now: Snapshot = now.parse().map_err(unreadable)?;
        let head = head(&mut tx).await?;
        let batch = head.follow(now, &mut tx).await?;
        tx.commit().await.map_err(&failed)?;
        Ok(batch)
    }
}

/// The last seal.
async fn head(conn: &mut PgConnection) -> Result<Head, LedgerError> {
    let last = sqlx::query(
        "select last_seq, substring(hash from octet_length(hash) - 31) hash, snapshot::text, since::text, cut, floor
         from seal order by last_seq desc limit 1",
    )
    .fetch_optional(conn)
    .await
    .map_err(sql("find the end of the chain"))?;
    let Some(last) = last else { return Ok(Head { seq: 0, hash: GENESIS, progress: Progress::beginning() }) };
    Ok(Head {
        seq: last.get("last_seq"),
        hash: last.get::<Vec<u8>, _>("hash").try_into().map_err(|_| unreadable("a hash is not 32 bytes long".into()))?,
        progress: progress(&last)?,
    })
}

/// Of a seal's row.
pub(crate) fn progress(row: &PgRow) -> Result<Progress, LedgerError> {
    Ok(Progress {
        snapshot: row.get::<String, _>("snapshot").parse().map_err(unreadable)?,
        since: row.get::<String, _>("since").parse().map_err(unreadable)?,
        cut: row.get("cut"),
        floor: row.get("floor"),
    })
}

impl Head {
    /// The batch that continues from here, if anything does.
    async fn follow(self, now: Snapshot, conn: &mut PgConnection) -> Result<Option<Batch>, LedgerError> {
        if self.progress.snapshot.xmax > now.xmax {
            return self.follow_a_restore(now, conn).await;
        }
        if let Some(rest) = self.progress.rest() {
            // Most ids behind the cut are wanted: the primary key is the way. One more than the batch is asked for, to
            // see whether anything is left.
            let found = format!("select id from entry where {rest} order by id limit {}", BATCH + 1);
            let Progress { since, snapshot, floor, .. } = self.progress.clone();
            let (ids, hashes, cut) = self.links(&found, BATCH, conn).await?;
            if !ids.is_empty() {
                return Ok(Some(Batch { progress: Progress { snapshot, since, cut, floor }, head: self, ids, hashes }));
            }
        }
        // Few entries of many are wanted: materialized, so that the planner cannot walk the primary key in search of
        // them just because an order is asked for.
        let found = format!(
            "with new as materialized (select id from entry where {}) select id from new order by id limit {}",
            self.progress.new(),
            BATCH + 1
        );
        let (ids, hashes, cut) = self.links(&found, BATCH, conn).await?;
        let progress = Progress { snapshot: now, since: self.progress.snapshot.clone(), cut, floor: self.progress.floor };
        Ok((!ids.is_empty()).then_some(Batch { progress, head: self, ids, hashes }))
    }

    /// The last seal has seen transactions that this server has not begun yet: the database was restored from a dump into
    /// a server that counts anew. What is not sealed is then: what the last seal did not see, by the old count, and
    /// whatever has a larger id than all that is sealed. From here on the new count holds, above a floor of old ids.
    async fn follow_a_restore(self, now: Snapshot, conn: &mut PgConnection) -> Result<Option<Batch>, LedgerError> {
        let sealed: i64 = sqlx::query_scalar("select max(entry_id[cardinality(entry_id)]) from seal")
            .fetch_one(&mut *conn)
            .await
            .map_err(sql("find the last sealed entry"))?;
        let floor: i64 = sqlx::query_scalar(
            "select greatest($1, (select max(id) from entry where xid >= $2::text::xid8))",
        )
        .bind(sealed)
        .bind(now.xmax.to_string())
        .fetch_one(&mut *conn)
        .await
        .map_err(sql("find the last entry from before the restore"))?;
        let found =
            format!("select id from entry where {} or id > {sealed} order by id", self.progress.unsealed());
        let (ids, hashes, _) = self.links(&found, usize::MAX, conn).await?;
        let progress = Progress { snapshot: now, since: self.progress.snapshot.clone(), cut: None, floor };
        Ok((!ids.is_empty()).then_some(Batch { progress, head: self, ids, hashes }))
    }

    /// Hashes the entries whose ids `found` selects, in the order of their ids. The third: the last id, when there are
    /// more than `limit`.
    async fn links(&self, found: &str, limit: usize, conn: &mut PgConnection) -> Result<(Vec<i64>, Vec<u8>, Option<i64>), LedgerError> {
        let (mut ids, mut hashes) = (Vec::new(), Vec::new());
        let (mut hash, mut buffer, mut cut) = (self.hash, Vec::new(), None);
        let statement = format!("select {COLUMNS} from entry join ({found}) found using (id) order by id");
        let mut rows = sqlx::query(AssertSqlSafe(statement)).persistent(false).fetch(conn);
        while let Some(row) = rows.try_next().await.map_err(sql("read what to seal"))? {
            if ids.len() == limit {
                cut = ids.last().copied();
                continue;
            }
            let columns: Vec<Option<&[u8]>> = (0..6).map(|at| column(&row, at)).collect();
            let content = Content::from_columns(&columns).ok_or_else(|| unreadable("not an entry's row".into()))?;
            hash = link(&hash, self.seq + ids.len() as i64 + 1, &content.leaf(&mut buffer));
            ids.push(content.id);
            hashes.extend(hash);
        }
        Ok((ids, hashes, cut))
    }
}

/// What `Content::from_columns` takes.
pub(crate) const COLUMNS: &str = "id, at, kind, actor, request, body";

/// The bytes as the server sent them (binary, because the statement is prepared).
pub(crate) fn column(row: &PgRow, at: usize) -> Option<&[u8]> {
    row.try_get_raw(at).ok().filter(|value| !value.is_null()).and_then(|value| value.as_bytes().ok())
}

fn unreadable(why: String) -> LedgerError {
    LedgerError::Corrupt { what: "seal the record", why }
}
