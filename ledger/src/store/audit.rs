//! The record (G10): entries, the chain that seals them, checkpoints, verification and export.

use super::time::utc;
use crate::*;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgConnection;

/// Appends an entry inside the caller's transaction, so that it stands or falls with the change it describes.
pub(crate) async fn append(
    tx: &mut PgConnection,
    kind: &str,
    actor: &str,
    request: Option<RequestId>,
    body: &Value,
    now: Timestamp,
) -> Result<i64, LedgerError> {
    sqlx::query_scalar("insert into entry (at, kind, actor, request, body) values ($1, $2, $3, $4, $5::json) returning id")
        .bind(utc(now))
        .bind(kind)
        .bind(actor)
        .bind(request.map(|id| id.0))
        .bind(body.to_string())
        .fetch_one(tx)
        .await
        .map_err(sql("append an entry"))
}

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

/// A signed head of the chain, to be kept outside the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The last sealed position.
    pub seq: i64,
    /// Hex of the chain hash there.
    pub hash: String,
    /// When it was made.
    pub at: Timestamp,
    /// Hex of the Ed25519 public key.
    pub key: String,
    /// Hex of the Ed25519 signature over the canonical encoding of seq, hash and at.
    pub signature: String,
}

/// What is wrong with the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The entry at this position is not what was sealed.
    Edited {
        /// Position.
        seq: i64,
        /// Row.
        id: i64,
    },
    /// Sealed entries are not there.
    Missing {
        /// First missing position.
        from: i64,
        /// Last.
        to: i64,
    },
    /// The chain does not continue from what is before it.
    Broken {
        /// Position.
        seq: i64,
    },
    /// The chain ends before a checkpoint that was signed.
    CutTail {
        /// Where it ends.
        ends: i64,
        /// What was signed.
        signed: i64,
    },
    /// The chain at a checkpoint's position is another one.
    Replaced {
        /// Position.
        seq: i64,
    },
    /// The checkpoint's signature is not by the given key.
    BadSignature {
        /// Position it claims.
        seq: i64,
    },
}

/// What verification found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Entries checked.
    pub entries: u64,
    /// Hex of the head's hash.
    pub head: String,
    /// Written and not yet sealed: their ids.
    pub unsealed: Vec<i64>,
    /// Empty when all is well.
    pub faults: Vec<Fault>,
}

impl Ledger {
    /// Appends an entry on its own (a query, a rejected ask, a sign-in): its own durable transaction.
    pub async fn record(&self, _kind: &str, _actor: &str, _request: Option<RequestId>, _body: &Value, _now: Timestamp) -> Result<i64, LedgerError> {
        todo!()
    }

    /// Seals what has been committed and is not sealed yet, in commit order; the caller holds the lease `sealer`.
    /// Returns how many.
    pub async fn seal(&self, _lease: &Lease) -> Result<u64, LedgerError> {
        todo!()
    }

    /// Newest first.
    pub async fn entries(&self, _filter: &EntryFilter) -> Result<Vec<Entry>, LedgerError> {
        todo!()
    }

    /// Walks the whole chain in bounded memory; `progress(done, total)` is called now and then.
    pub async fn verify(&self, _checkpoints: &[Checkpoint], _trusted_key: Option<&str>, _progress: impl FnMut(u64, u64) + Send) -> Result<Verified, LedgerError> {
        todo!()
    }

    /// JSON lines of all sealed entries in chain order, with seq and hash, in bounded memory.
    pub async fn export(&self, _since: Option<i64>, _line: impl FnMut(&str) -> std::io::Result<()> + Send) -> Result<u64, LedgerError> {
        todo!()
    }

    /// The head, signed. None while nothing is sealed.
    pub async fn checkpoint(&self, _key: &ed25519_dalek::SigningKey, _now: Timestamp) -> Result<Option<Checkpoint>, LedgerError> {
        todo!()
    }
}
