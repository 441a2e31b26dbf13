//! `LISTEN/NOTIFY` only wakes workers; whoever waits polls too.
//!
//! A transaction that notifies takes a lock that is global to the server while it commits, so those transactions flush
//! one after the other. Notify where someone waits (a card, a run, a room), at best once per transaction, and never in
//! the plain append path.

use crate::*;
use sqlx::PgConnection;
use std::time::Duration;

/// A run was queued.
pub(crate) async fn wake_runners(tx: &mut PgConnection) -> Result<(), LedgerError> {
    sqlx::query("select pg_notify('petrel', 'run')").execute(tx).await.map_err(sql("wake the runners"))?;
    Ok(())
}

/// What happened, by channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wake {
    /// A run was queued.
    Run,
    /// A card has something to deliver.
    Card,
    /// A room got a new or changed message.
    Room {
        /// The room's place.
        place: Place,
        /// Which message.
        message: i64,
    },
    /// A request changed.
    Request(RequestId),
    /// The connection was lost for a while; anything may have happened.
    Lost,
}

/// A dedicated connection that listens. Reconnects by itself.
pub struct Listener {
    _private: (),
}

impl Listener {
    /// The next wake; `None` after `at_most` without one, which is the time to poll.
    pub async fn next(&mut self, _at_most: Duration) -> Option<Wake> {
        todo!()
    }
}

impl Ledger {
    /// Opens a listening connection for all channels.
    pub async fn listen(&self) -> Result<Listener, LedgerError> {
        todo!()
    }
}
