//! Sealing: whichever replica holds the lease `sealer` continues the chain over what was committed since, in batches.
//!
//! Writers never wait for it. Two sealers cannot fork the chain: a seal names the one before it, and the database lets
//! that be named once. The lease only keeps them from working twice, and its epoch keeps a paused sealer out.

use super::chain::{Content, GENESIS, Hash, link};
use super::copy::{CopyReader, NotACopy};
use super::snapshot::{Progress, Snapshot};
use crate::*;
use futures::TryStreamExt;
use sqlx::{ConnectOptions, PgConnection, Row, ValueRef, postgres::PgRow};
use std::{future::Future, pin::pin, time::Duration};
use tokio::time::{Instant, sleep};

/// Entries in one seal at most.
const BATCH: usize = 20_000;
/// A tick and its work fit well into the 250 ms that are promised, on a machine that is busy, too.
const TICK: Duration = Duration::from_millis(50);
const LEASE: Duration = Duration::from_secs(3);
const SEALER: &str = "sealer";
const SEAL: &str = "seal the record";

impl Ledger {
    /// Keeps the record sealed within 250 ms, from now until `stop`: holds the lease `sealer` when it is free and seals in
    /// small ticks. `holder` must be different for every process. Errors are logged and tried again.
    pub async fn keep_sealed(&self, holder: &str, stop: impl Future<Output = ()> + Send) {
        let mut stop = pin!(stop);
        let mut sealer = Sealer::new(self);
        let mut held: Option<(Lease, Instant)> = None;
        loop {
            let begun = Instant::now();
            let pause = match sealer.tick(holder, &mut held).await {
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
            && let Err(error) = sealer.finish(&lease).await
        {
            tracing::warn!(%error, "could not seal the last entries and give the lease back; another replica will");
        }
    }

    /// Seals what has been committed and is not sealed yet, oldest first, one batch; the caller holds the lease
    /// `sealer`. Returns how many; 0 also when the lease is lost or another sealer came first.
    pub async fn seal(&self, lease: &Lease) -> Result<u64, LedgerError> {
        Sealer::new(self).seal(lease).await
    }
}

/// Seals again and again. A tick without news is one round trip, another one two.
struct Sealer<'a> {
    ledger: &'a Ledger,
    /// Its own, so that it never waits for the writers' pool. Gone after an error.
    conn: Option<PgConnection>,
    /// As we left it; gone when someone else may have moved it.
    head: Option<Head>,
}

/// The end of the chain.
#[derive(Clone, Debug)]
struct Head {
    seq: i64,
    hash: Hash,
    progress: Progress,
}

/// What the next seal will hold.
struct Batch {
    ids: Vec<i64>,
    hashes: Vec<u8>,
    progress: Progress,
}

impl<'a> Sealer<'a> {
    fn new(ledger: &'a Ledger) -> Self {
        Sealer { ledger, conn: None, head: None }
    }

    /// None: someone else holds the lease.
    async fn tick(
        &mut self,
        holder: &str,
        held: &mut Option<(Lease, Instant)>,
    ) -> Result<Option<u64>, LedgerError> {
        if held.as_ref().is_none_or(|(_, renewed)| renewed.elapsed() > LEASE / 3) {
            let now = Instant::now();
            *held = self.ledger.take_lease(SEALER, holder, LEASE).await?.map(|lease| (lease, now));
        }
        match held {
            Some((lease, _)) => self.seal(lease).await.map(Some),
            None => Ok(None),
        }
    }

    async fn finish(mut self, lease: &Lease) -> Result<(), LedgerError> {
        self.seal(lease).await?;
        self.ledger.give_lease(lease).await
    }

    async fn seal(&mut self, lease: &Lease) -> Result<u64, LedgerError> {
        // Taken out while they are used: an error, or a caller that stops waiting, leaves neither behind.
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => self.ledger.pool.connect_options().connect().await.map_err(sql(SEAL))?,
        };
        let head = match self.head.take() {
            Some(head) => head,
            None => head(&mut conn).await?,
        };
        let Some(batch) = head.next_batch(&mut conn).await? else {
            (self.conn, self.head) = (Some(conn), Some(head));
            return Ok(0);
        };
        let next = head.insert(&batch, lease, &mut conn).await?;
        let sealed = next.as_ref().map_or(0, |_| batch.ids.len() as u64);
        (self.conn, self.head) = (Some(conn), next);
        Ok(sealed)
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
    .map_err(sql(SEAL))?;
    let Some(last) = last else { return Ok(Head { seq: 0, hash: GENESIS, progress: Progress::beginning() }) };
    Ok(Head {
        seq: last.get("last_seq"),
        hash: last
            .get::<Vec<u8>, _>("hash")
            .try_into()
            .map_err(|_| unreadable("a hash is not 32 bytes long".into()))?,
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
    /// What continues from here, if anything does. Whatever happens meanwhile: it is right as long as this is the end
    /// of the chain, and the database refuses it otherwise.
    async fn next_batch(&self, conn: &mut PgConnection) -> Result<Option<Batch>, LedgerError> {
        if let Some(rest) = self.progress.rest() {
            // Most ids behind the cut are wanted: the primary key is the way. One more than the batch is asked for, to
            // see whether anything is left.
            let select = format!("select {COLUMNS} from entry where {rest} order by id limit {}", BATCH + 1);
            let found = self.links(&select, BATCH, conn).await?;
            if !found.ids.is_empty() {
                return Ok(Some(found.batch(|_| self.progress.clone())));
            }
        }
        // Few entries of many are wanted: materialized, so that the planner cannot walk the primary key in search of
        // them just because an order is asked for.
        let select = format!(
            "with new as materialized (select {COLUMNS} from entry where {}) select * from new order by id limit {}",
            self.progress.added(),
            BATCH + 1
        );
        let found = self.links(&select, BATCH, conn).await?;
        if found.now.xmax < self.progress.snapshot.xmax {
            return self.next_batch_after_a_restore(conn).await;
        }
        let (since, floor) = (self.progress.snapshot.clone(), self.progress.floor);
        Ok((!found.ids.is_empty())
            .then(|| found.batch(|snapshot| Progress { snapshot, since, cut: None, floor })))
    }

    /// The last seal has seen transactions that this server has not begun yet: the database was restored from a dump into
    /// a server that counts anew. What is not sealed is then: what the last seal did not see, by the old count, and
    /// whatever has a larger id than all that is sealed. From here on the new count holds, above a floor of old ids.
    async fn next_batch_after_a_restore(
        &self,
        conn: &mut PgConnection,
    ) -> Result<Option<Batch>, LedgerError> {
        let (sealed, floor): (i64, i64) = sqlx::query_as(
            "with sealed as (select max(entry_id[cardinality(entry_id)]) id from seal)
             select id, greatest(id, (select max(id) from entry where xid >= pg_snapshot_xmax(pg_current_snapshot())))
             from sealed",
        )
        .fetch_one(&mut *conn)
        .await
        .map_err(sql(SEAL))?;
        let select = format!(
            "select {COLUMNS} from entry where {} or id > {sealed} order by id",
            self.progress.unsealed()
        );
        let found = self.links(&select, usize::MAX, conn).await?;
        let since = self.progress.snapshot.clone();
        Ok((!found.ids.is_empty())
            .then(|| found.batch(|snapshot| Progress { snapshot, since, cut: None, floor })))
    }

    /// Hashes the entries that `select` finds, `limit` at most, in the order of their ids.
    async fn links(&self, select: &str, limit: usize, conn: &mut PgConnection) -> Result<Found, LedgerError> {
        // COPY, because it is one round trip for a statement that is another one each time, with rows as stored. One
        // more row, without an id, says what this statement's snapshot sees.
        let copy = format!(
            "copy (select * from (
                 select null::bigint id, null::timestamptz at, pg_current_snapshot()::text kind, null actor, null::uuid request, null::json body
                 union all (select * from ({select}) entry)
             ) entry order by id nulls first) to stdout (format binary)"
        );
        let mut messages = conn.copy_out_raw(&copy).await.map_err(sql(SEAL))?;
        let (mut reader, mut buffer) = (CopyReader::default(), Vec::new());
        let mut found = Found { now: Snapshot::beginning(), ids: Vec::new(), hashes: Vec::new(), cut: None };
        let mut hash = self.hash;
        while let Some(message) = messages.try_next().await.map_err(sql(SEAL))? {
            let read = reader.read(&message, |columns| {
                if let [None, _, Some(snapshot), ..] = columns {
                    found.now = std::str::from_utf8(snapshot)
                        .ok()
                        .and_then(|text| text.parse().ok())
                        .ok_or(NotACopy)?;
                } else if found.ids.len() == limit {
                    found.cut = found.ids.last().copied();
                } else {
                    let content = Content::from_columns(columns).ok_or(NotACopy)?;
                    hash = link(&hash, self.seq + found.ids.len() as i64 + 1, &content.leaf(&mut buffer));
                    found.ids.push(content.id);
                    found.hashes.extend(hash);
                }
                Ok(())
            });
            read.map_err(|NotACopy| unreadable("the server sent rows that are not entries".into()))?;
        }
        Ok(found)
    }

    /// Continues the chain. None: the lease is lost, or another sealer came first.
    async fn insert(
        &self,
        batch: &Batch,
        lease: &Lease,
        conn: &mut PgConnection,
    ) -> Result<Option<Head>, LedgerError> {
        let seq = self.seq + batch.ids.len() as i64;
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
        .bind(seq)
        .bind(self.seq + 1)
        .bind((self.seq > 0).then_some(self.seq))
        .bind(self.hash)
        .bind(&batch.ids)
        .bind(&batch.hashes)
        .bind(batch.progress.since.to_string())
        .bind(batch.progress.snapshot.to_string())
        .bind(batch.progress.cut)
        .bind(batch.progress.floor)
        .execute(conn)
        .await;
        match done {
            Ok(done) if done.rows_affected() == 1 => {
                let hash = batch.hashes.last_chunk().copied().unwrap_or(self.hash);
                Ok(Some(Head { seq, hash, progress: batch.progress.clone() }))
            }
            Ok(_) => Ok(None),
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(None),
            Err(source) => Err(sql(SEAL)(source)),
        }
    }
}

/// What a statement found, and when.
struct Found {
    now: Snapshot,
    ids: Vec<i64>,
    hashes: Vec<u8>,
    /// The last id, when there was more than fits.
    cut: Option<i64>,
}

impl Found {
    fn batch(self, progress: impl FnOnce(Snapshot) -> Progress) -> Batch {
        Batch {
            ids: self.ids,
            hashes: self.hashes,
            progress: Progress { cut: self.cut, ..progress(self.now) },
        }
    }
}

/// What `Content::from_columns` takes.
pub(crate) const COLUMNS: &str = "id, at, kind, actor, request, body";

/// The bytes as the server sent them (binary, because the statement is prepared).
pub(crate) fn column(row: &PgRow, at: usize) -> Option<&[u8]> {
    row.try_get_raw(at).ok().filter(|value| !value.is_null()).and_then(|value| value.as_bytes().ok())
}

fn unreadable(why: String) -> LedgerError {
    LedgerError::Corrupt { what: SEAL, why }
}
