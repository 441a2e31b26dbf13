//! `LISTEN/NOTIFY` only wakes workers; whoever waits polls too.

use crate::*;
use std::time::Duration;

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
    /// A line or click came in.
    Inbox,
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
