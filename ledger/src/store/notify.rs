//! What wakes workers. Whoever waits polls too, so a wake that is lost costs one poll.
//!
//! This process hears of its own changes at once, the others through `LISTEN/NOTIFY`. A transaction that notifies takes a lock that is
//! global to the server until its commit is flushed, so all such transactions would flush one after the other. Changes
//! therefore notify after their commit, in batches, without a flush.

use crate::*;
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// Between attempts to listen again.
const RETRY: Duration = Duration::from_millis(500);
/// Other processes are told no more often: a batch costs the same, whatever its size.
const GATHER: Duration = Duration::from_millis(5);
/// Wakes that a receiver may be behind.
const KEPT: usize = 4096;

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
    /// Something was asked for.
    Asked(RequestId),
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
            Wake::Asked(id) => format!("asked {id}"),
            Wake::Request(id) => format!("request {id}"),
            Wake::Cancelled(id) => format!("cancelled {id}"),
            Wake::Event => "event".into(),
            Wake::Incident => "incident".into(),
            Wake::Lost => "lost".into(),
        }
    }

    /// What a payload says.
    fn parse(payload: &str) -> Option<Wake> {
        let (word, rest) = payload.split_once(' ').unwrap_or((payload, ""));
        let room = || {
            let (message, place) = rest.split_once(' ')?;
            Some(Wake::Room { place: Place(place.into()), message: message.parse().ok()? })
        };
        match word {
            "run" => Some(Wake::Run),
            "card" => Some(Wake::Card),
            "event" => Some(Wake::Event),
            "incident" => Some(Wake::Incident),
            "cancelled" => rest.parse().ok().map(Wake::Cancelled),
            "asked" => rest.parse().ok().map(Wake::Asked),
            "request" => rest.parse().ok().map(Wake::Request),
            "room" => room(),
            // From a newer replica; whoever waits polls too.
            _ => None,
        }
    }
}

/// Tells what was committed: this process at once, the others in batches.
#[derive(Clone, Debug)]
pub(crate) struct Waker {
    /// Before each payload, so that nobody hears of the own changes twice.
    name: Arc<str>,
    heard: broadcast::Sender<Wake>,
    payloads: mpsc::UnboundedSender<String>,
}

impl Waker {
    /// Its task ends with the last clone.
    pub(crate) fn start(pool: PgPool) -> Waker {
        let (payloads, mut waiting) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut batch: Vec<String> = Vec::new();
            while waiting.recv_many(&mut batch, 1000).await > 0 {
                batch.sort_unstable();
                batch.dedup();
                let told = sqlx::query(
                    "select set_config('synchronous_commit', 'off', true), pg_notify('petrel', payload)
                     from unnest($1::text[]) as payload",
                )
                .bind(&batch)
                .execute(&pool)
                .await;
                if let Err(error) = told {
                    tracing::debug!(%error, wakes = batch.len(), "nobody was woken; whoever waits polls");
                }
                batch.clear();
                tokio::time::sleep(GATHER).await;
            }
        });
        let name = Uuid::new_v4().simple().to_string()[..8].into();
        Waker { name, heard: broadcast::Sender::new(KEPT), payloads }
    }

    /// For whoever waits in this process. A request that changed has a card that is due.
    fn hear(&self, wake: Wake) {
        if let Wake::Asked(_) | Wake::Request(_) = wake {
            let _ = self.heard.send(Wake::Card);
        }
        // Nobody waits: nobody misses anything.
        let _ = self.heard.send(wake);
    }
}

/// Hears of what other processes change, as long as it is kept. Reconnects by itself.
pub struct Listening {
    task: JoinHandle<()>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Ledger {
    /// To be called after the commit.
    pub(crate) fn wake(&self, wake: Wake) {
        // Only a runtime that is shutting down has no task to receive it.
        let _ = self.waker.payloads.send(format!("{} {}", self.waker.name, wake.payload()));
        self.waker.hear(wake);
    }

    /// What is committed from now on: by this process and, with [`Ledger::listen`], by others. Who falls behind must look anew.
    pub fn wakes(&self) -> broadcast::Receiver<Wake> {
        self.waker.heard.subscribe()
    }

    /// Opens a connection that listens.
    pub async fn listen(&self) -> Result<Listening, LedgerError> {
        let failed = sql("listen for changes");
        let mut listener = PgListener::connect_with(&self.pool).await.map_err(&failed)?;
        listener.listen("petrel").await.map_err(&failed)?;
        let waker = self.waker.clone();
        let task = tokio::spawn(async move {
            loop {
                match listener.try_recv().await {
                    Ok(Some(note)) => {
                        let others = note.payload().split_once(' ').filter(|(name, _)| **name != *waker.name);
                        if let Some(wake) = others.and_then(|(_, payload)| Wake::parse(payload)) {
                            waker.hear(wake);
                        }
                    }
                    // Lost, and connected again: whoever looks now misses nothing that comes later.
                    Ok(None) => waker.hear(Wake::Lost),
                    Err(sqlx::Error::PoolClosed) => break,
                    Err(error) => {
                        tracing::warn!(%error, "not listening for changes; trying again");
                        tokio::time::sleep(RETRY).await;
                        waker.hear(Wake::Lost);
                    }
                }
            }
        });
        Ok(Listening { task })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_read_and_unknown_ones_ignored() {
        let id = RequestId::new();
        let room = Wake::Room { place: Place("console:the ops room".into()), message: 7 };
        for wake in [
            Wake::Run,
            Wake::Card,
            Wake::Asked(id),
            Wake::Request(id),
            Wake::Cancelled(id),
            Wake::Event,
            Wake::Incident,
            room,
        ] {
            assert_eq!(Wake::parse(&wake.payload()), Some(wake));
        }
        for other in ["", "request", "request 7", "room x y", "weather fine"] {
            assert_eq!(Wake::parse(other), None, "{other}");
        }
    }
}
