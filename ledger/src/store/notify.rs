//! `LISTEN/NOTIFY` only wakes workers; whoever waits polls too.
//!
//! A transaction that notifies takes a lock that is global to the server while it commits, so those transactions flush
//! one after the other. Notify where someone waits (a card, a run, a room), at best once per transaction, and never in
//! the plain append path.

use crate::*;
use sqlx::PgConnection;
use sqlx::postgres::PgListener;
use std::time::Duration;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::task::JoinHandle;

/// Between attempts to listen again.
const RETRY: Duration = Duration::from_millis(500);

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

impl Wake {
    /// What a payload on our channel says; one transaction notifies once, so it may say two things.
    fn parse(payload: &str) -> Vec<Wake> {
        let (word, rest) = payload.split_once(' ').unwrap_or((payload, ""));
        let room = || {
            let (message, place) = rest.split_once(' ')?;
            Some(Wake::Room { place: Place(place.into()), message: message.parse().ok()? })
        };
        match word {
            "run" => vec![Wake::Run],
            "card" => vec![Wake::Card],
            "request" => rest.parse().map(|id| vec![Wake::Card, Wake::Request(id)]).unwrap_or_default(),
            "room" => room().into_iter().collect(),
            // From a newer replica; whoever waits polls too.
            _ => Vec::new(),
        }
    }
}

/// A dedicated connection that listens. Reconnects by itself.
pub struct Listener {
    wakes: broadcast::Receiver<Wake>,
    listening: JoinHandle<()>,
}

impl Listener {
    /// The next wake; `None` after `at_most` without one, which is the time to poll. May be cancelled.
    pub async fn next(&mut self, at_most: Duration) -> Option<Wake> {
        match tokio::time::timeout(at_most, self.wakes.recv()).await {
            Ok(Ok(wake)) => Some(wake),
            // Too slow: some were dropped.
            Ok(Err(RecvError::Lagged(_))) => Some(Wake::Lost),
            // The pool is closed: polling is all that is left.
            Ok(Err(RecvError::Closed)) => {
                tokio::time::sleep(at_most).await;
                None
            }
            Err(_) => None,
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Ledger {
    /// Opens a listening connection for all channels.
    pub async fn listen(&self) -> Result<Listener, LedgerError> {
        let failed = sql("listen for changes");
        let mut listener = PgListener::connect_with(&self.pool).await.map_err(&failed)?;
        listener.listen("petrel").await.map_err(&failed)?;
        let (sender, wakes) = broadcast::channel(1024);
        // On a task of its own, so that `next` can be cancelled in the middle of a message.
        let listening = tokio::spawn(async move {
            loop {
                match listener.try_recv().await {
                    Ok(Some(note)) => {
                        for wake in Wake::parse(note.payload()) {
                            let _ = sender.send(wake);
                        }
                    }
                    // Lost, and connected again: whoever looks now misses nothing that comes later.
                    Ok(None) => {
                        let _ = sender.send(Wake::Lost);
                    }
                    Err(sqlx::Error::PoolClosed) => break,
                    Err(error) => {
                        tracing::warn!(%error, "not listening for changes; trying again");
                        tokio::time::sleep(RETRY).await;
                        let _ = sender.send(Wake::Lost);
                    }
                }
            }
        });
        Ok(Listener { wakes, listening })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_read_and_unknown_ones_ignored() {
        let id = RequestId::new();
        assert_eq!(Wake::parse("run"), [Wake::Run]);
        assert_eq!(Wake::parse(&format!("request {id}")), [Wake::Card, Wake::Request(id)]);
        assert_eq!(Wake::parse("room 7 console:the ops room"), [Wake::Room { place: Place("console:the ops room".into()), message: 7 }]);
        for other in ["", "request", "request 7", "room x y", "weather fine"] {
            assert_eq!(Wake::parse(other), [], "{other}");
        }
    }
}
