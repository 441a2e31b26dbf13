//! Verification: walks the whole chain and names exactly what is wrong with it.
//!
//! Two streams out of one snapshot: all entries in the order of their ids, hashed as they come, and all seals in the order
//! of the chain. [`Walk`] joins them; it is plain arithmetic. Memory stays bounded whatever the length of the chain.

mod read;
mod walk;

use crate::*;
use read::{Reader, Snapshots};
use walk::{Claimed, Walk};

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
    /// The chain does not continue from what is before it: a seal was edited or put in.
    Broken {
        /// Position.
        seq: i64,
    },
    /// An entry that should have been sealed long ago and never was: it was put in afterwards, or its seal was removed.
    Foreign {
        /// Row.
        id: i64,
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
    /// Sealed entries that were found and checked.
    pub entries: u64,
    /// The last sealed position.
    pub seq: i64,
    /// Hex of the head's hash.
    pub head: String,
    /// How many are written and not yet sealed.
    pub unsealed_total: u64,
    /// Their ids, the first [`Verified::LISTED`] of them.
    pub unsealed: Vec<i64>,
    /// How many faults there are; none when all is well.
    pub faults_total: u64,
    /// The first [`Verified::LISTED`] of them.
    pub faults: Vec<Fault>,
}

impl Verified {
    /// What is listed one by one; beyond it there are only counts.
    pub const LISTED: usize = 1_000;
}

impl Ledger {
    /// Walks the whole chain in bounded memory; `progress(done, total)` is called now and then. Without a trusted key
    /// (hex) a checkpoint's own key is believed.
    pub async fn verify(
        &self,
        checkpoints: &[Checkpoint],
        trusted_key: Option<&str>,
        mut progress: impl FnMut(u64, u64) + Send,
    ) -> Result<Verified, LedgerError> {
        let mut snapshots = Snapshots::open(&self.pool).await?;
        let total = snapshots.length;
        let mut walk = Walk::new(checkpoints, trusted_key);
        let mut entries = Reader::entries(snapshots.join().await?, &snapshots.progress);
        let mut seals = Reader::seals(snapshots.join().await?);
        let mut reported = 0;
        while let Some(batch) = seals.next().await? {
            for seal in batch {
                walk.begin(&seal);
                for (at, &id) in seal.ids.iter().enumerate() {
                    let claimed = loop {
                        match walk.claim(id) {
                            Claimed::Found(leaf) => break Some(leaf),
                            Claimed::Gone => break None,
                            Claimed::Forgotten => {
                                let leaf = snapshots.leaf(id).await?;
                                leaf.inspect(|_| walk.remember(id));
                                break leaf;
                            }
                            Claimed::NotYet => match entries.next().await? {
                                Some(more) => walk.read(more),
                                None => walk.end_of_entries(),
                            },
                        }
                    };
                    walk.link(&seal, at, claimed);
                }
                walk.end(&seal);
                if walk.length() - reported >= 20_000 {
                    reported = walk.length();
                    progress(reported as u64, total);
                }
            }
        }
        while let Some(more) = entries.next().await? {
            walk.read(more);
            walk.pass();
        }
        progress(total, total);
        Ok(walk.finish())
    }
}
