//! `LISTEN/NOTIFY` only wakes workers; whoever waits polls too.
//!
//! A transaction that notifies takes a lock that is global to the server until its commit is flushed, so all such
//! transactions would flush one after the other. Changes therefore notify after their commit, in batches, without a flush.
//! A wake that is lost with its process costs one poll.

use crate::*;
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use std::time::Duration;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Between attempts to listen again.
const RETRY: Duration = Duration::from_millis(500);

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
    /// A person called off a request that is at work.
    Cancelled(RequestId),
    /// An event came in.
    Event,
    /// There is something new of an incident: events, what somebody has done about it, or its request changed.
    Incident,
    /// The connection was lost for a while; anything may have happened.
    Lost,
}

impl Wake {
    fn payload(&self) -> String {
        match self {
            Wake::Run => "run".into(),
            Wake::Card => "card".into(),
            Wake::Room { place, message } => format!("room {message} {place}"),
            Wake::Request(id) => format!("request {id}"),
            Wake::Cancelled(id) => format!("cancelled {id}"),
            Wake::Event => "event".into(),
            Wake::Incident => "incident".into(),
            Wake::Lost => "lost".into(),
        }
    }

    /// What a payload on our channel says. A request that changed has a card that is due.
    fn parse(payload: &str) -> Vec<Wake> {
        let (word, rest) = payload.split_once(' ').unwrap_or((payload, ""));
        let room = || {
            let (message, place) = rest.split_once(' ')?;
            Some(Wake::Room { place: Place(place.into()), message: message.parse().ok()? })
        };
        match word {
            "run" => vec![Wake::Run],
            "card" => vec![Wake::Card],
            "event" => vec![Wake::Event],
            "incident" => vec![Wake::Incident],
            "cancelled" => rest.parse().map(|id| vec![Wake::Cancelled(id)]).unwrap_or_default(),
            "request" => rest.parse().map(|id| vec![Wake::Card, Wake::Request(id)]).unwrap_or_default(),
            "room" => room().into_iter().collect(),
            // From a newer replica; whoever waits polls too.
            _ => Vec::new(),
        }
    }
}

/// Tells all replicas, this one too, what was committed.
#[derive(Clone, Debug)]
pub(crate) struct Waker {
    payloads: mpsc::UnboundedSender<String>,
}

impl Waker {
    /// Its task ends with the last clone.
    pub(crate) fn start(pool: PgPool) -> Waker {
        let (payloads, mut waiting) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut batch = Vec::new();
            // While one batch is on its way the next one grows, so many changes at once cost few notifications.
            while waiting.recv_many(&mut batch, 1000).await > 0 {
                let told = sqlx::query(
                    "select set_config('synchronous_commit', 'off', true), pg_notify('petrel', payload)
                     from (select distinct unnest($1::text[]) as payload) p",
                )
                .bind(&batch)
                .execute(&pool)
                .await;
                if let Err(error) = told {
                    tracing::debug!(%error, wakes = batch.len(), "nobody was woken; whoever waits polls");
                }
                batch.clear();
            }
        });
        Waker { payloads }
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
    /// To be called after the commit.
    pub(crate) fn wake(&self, wake: Wake) {
        // Only a runtime that is shutting down has no task to receive it.
        let _ = self.waker.payloads.send(wake.payload());
    }

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
        assert_eq!(Wake::parse(&Wake::Cancelled(id).payload()), [Wake::Cancelled(id)]);
        assert_eq!(
            Wake::parse("room 7 console:the ops room"),
            [Wake::Room { place: Place("console:the ops room".into()), message: 7 }]
        );
        for other in ["", "request", "request 7", "room x y", "weather fine"] {
            assert_eq!(Wake::parse(other), [], "{other}");
        }
    }
}
