//! Streams entries and seals out of one snapshot of the database, on connections of their own.

use super::walk::{Leaf, Seal};
use crate::store::chain::{Content, Hash};
use crate::store::copy::{CopyReader, NotACopy, bigint_array};
use crate::store::seal::{COLUMNS, column, progress};
use crate::store::snapshot::Progress;
use crate::{LedgerError, sql};
use futures::TryStreamExt;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection, PgPool, Row, postgres::PgConnectOptions};
use std::sync::Arc;
use tokio::sync::mpsc;

const READ: &str = "read the record";

/// One snapshot that several connections see.
pub(super) struct Snapshots {
    options: Arc<PgConnectOptions>,
    exporting: PgConnection,
    name: String,
    /// The last sealed position.
    pub length: u64,
    /// How far sealing had come.
    pub progress: Progress,
}

impl Snapshots {
    pub async fn open(pool: &PgPool) -> Result<Snapshots, LedgerError> {
        let options = pool.connect_options();
        let mut exporting = begin(&options).await?;
        let name = sqlx::query_scalar("select pg_export_snapshot()")
            .fetch_one(&mut exporting)
            .await
            .map_err(sql(READ))?;
        let last = sqlx::query(
            "select last_seq, snapshot::text, since::text, cut, floor from seal order by last_seq desc limit 1",
        )
        .fetch_optional(&mut exporting)
        .await
        .map_err(sql(READ))?;
        let (length, progress) = match last {
            Some(row) => (row.get::<i64, _>("last_seq").unsigned_abs(), progress(&row)?),
            None => (0, Progress::beginning()),
        };
        Ok(Snapshots { options, exporting, name, length, progress })
    }

    /// Another connection that sees the same.
    pub async fn join(&self) -> Result<PgConnection, LedgerError> {
        let mut conn = begin(&self.options).await?;
        // Streams in the order of the index, without sorting the whole table on disk first.
        let join = format!("set transaction snapshot '{}'; set local enable_sort = off", self.name);
        sqlx::raw_sql(AssertSqlSafe(join)).execute(&mut conn).await.map_err(sql(READ))?;
        Ok(conn)
    }

    /// One entry's leaf.
    pub async fn leaf(&mut self, id: i64) -> Result<Option<Hash>, LedgerError> {
        let row = sqlx::query("select id, at, kind, actor, request, body from entry where id = $1")
            .bind(id)
            .fetch_optional(&mut self.exporting)
            .await
            .map_err(sql(READ))?;
        let Some(row) = row else { return Ok(None) };
        let columns: Vec<Option<&[u8]>> = (0..6).map(|at| column(&row, at)).collect();
        let content = Content::from_columns(&columns).ok_or_else(not_a_copy)?;
        Ok(Some(content.leaf(&mut Vec::new())))
    }
}

async fn begin(options: &PgConnectOptions) -> Result<PgConnection, LedgerError> {
    let mut conn = options.connect().await.map_err(sql(READ))?;
    // The exporting connection rests while the others stream.
    let begin =
        "begin isolation level repeatable read read only; set local idle_in_transaction_session_timeout = 0";
    sqlx::raw_sql(begin).execute(&mut conn).await.map_err(sql(READ))?;
    Ok(conn)
}

/// Reads and parses on a task of its own, a few batches ahead.
pub(super) struct Reader<T> {
    batches: mpsc::Receiver<Result<Vec<T>, LedgerError>>,
}

impl<T: Send + 'static> Reader<T> {
    /// The next batch; None at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<T>>, LedgerError> {
        self.batches.recv().await.transpose()
    }

    /// `size` is how much one item counts towards a full batch.
    fn start(
        mut conn: PgConnection,
        select: String,
        size: fn(&T) -> usize,
        mut parse: impl FnMut(&[Option<&[u8]>]) -> Option<T> + Send + 'static,
    ) -> Reader<T> {
        const FULL: usize = 2_000;
        let (sender, batches) = mpsc::channel(4);
        tokio::spawn(async move {
            let read = async {
                let copy = format!("copy ({select}) to stdout (format binary)");
                let mut messages = conn.copy_out_raw(&copy).await.map_err(sql(READ))?;
                let (mut reader, mut batch, mut held) = (CopyReader::default(), Vec::new(), 0);
                while let Some(message) = messages.try_next().await.map_err(sql(READ))? {
                    reader
                        .read(&message, |columns| {
                            let item = parse(columns).ok_or(NotACopy)?;
                            held += size(&item);
                            batch.push(item);
                            Ok(())
                        })
                        .map_err(|NotACopy| not_a_copy())?;
                    if held >= FULL {
                        held = 0;
                        if sender.send(Ok(std::mem::take(&mut batch))).await.is_err() {
                            return Ok(());
                        }
                    }
                }
                // A closed channel means that nobody wants the rest.
                let _ = sender.send(Ok(batch)).await;
                Ok(())
            };
            if let Err(error) = read.await {
                let _ = sender.send(Err(error)).await;
            }
        });
        Reader { batches }
    }
}

impl Reader<Leaf> {
    pub fn entries(conn: PgConnection, sealed: &Progress) -> Reader<Leaf> {
        let mut buffer = Vec::new();
        let select = format!("select {COLUMNS}, {} from entry order by id", sealed.unsealed());
        Reader::start(
            conn,
            select,
            |_| 1,
            move |columns| {
                let (unsealed, columns) = columns.split_last()?;
                let content = Content::from_columns(columns)?;
                Some(Leaf {
                    id: content.id,
                    leaf: content.leaf(&mut buffer),
                    unsealed: *unsealed == Some(&[1]),
                })
            },
        )
    }
}

impl Reader<Seal> {
    pub fn seals(conn: PgConnection) -> Reader<Seal> {
        let select = "select first_seq, last_seq, prev_hash, entry_id, hash from seal order by last_seq";
        Reader::start(
            conn,
            select.into(),
            |seal| seal.ids.len().max(16),
            |columns| {
                let &[Some(first), Some(last), Some(previous), Some(ids), Some(hashes)] = columns else {
                    return None;
                };
                Some(Seal {
                    first: i64::from_be_bytes(first.try_into().ok()?),
                    last: i64::from_be_bytes(last.try_into().ok()?),
                    previous: previous.to_vec(),
                    ids: bigint_array(ids)?,
                    hashes: hashes.to_vec(),
                })
            },
        )
    }
}

fn not_a_copy() -> LedgerError {
    LedgerError::Corrupt {
        what: READ,
        why: "the server sent rows that are not in COPY's binary format".into(),
    }
}
