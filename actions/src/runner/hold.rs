//! Holding a run: the heartbeat, what it hears, and the two questions asked before anything is done under the lease: is
//! it still ours beyond doubt, and should we go on?

use ledger::{Actor, Claim, Ended, Fence, Ledger, LedgerError};
use std::{
    future::Future,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, watch},
    time::{Instant, sleep, timeout_at},
};
use tokio_util::sync::CancellationToken;

/// Why an attempt is over.
#[derive(Debug)]
pub(super) enum Exit {
    /// The run is at its end; to be recorded.
    Ended(Ended),
    /// The run is over, and its request has a new plan (recorded).
    Replanned,
    /// This process stops; the claim is to be given back.
    Stopping,
    /// Another worker may hold the run: nothing more may be done or written.
    Lost,
    /// The database refuses for a reason that does not pass by itself.
    Broken(LedgerError),
}

/// A held run.
pub(super) struct Hold {
    ledger: Ledger,
    fence: Fence,
    lease: Duration,
    /// Until then no other worker can have claimed it, by our own monotonic clock.
    ours_until: Mutex<Instant>,
    cancel: watch::Sender<Option<Actor>>,
    stop: CancellationToken,
    /// It may have been called off: ask at once.
    poke: Notify,
    /// Our turn among the runs that act, until we wait for something.
    turn: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Hold {
    /// Of a claim that was asked for at `asked` (the lease began later than that).
    pub fn new(
        ledger: Ledger,
        claim: &Claim,
        lease: Duration,
        asked: Instant,
        turn: OwnedSemaphorePermit,
        stop: CancellationToken,
    ) -> Hold {
        Hold {
            ledger,
            fence: claim.fence,
            lease,
            ours_until: Mutex::new(asked + surely(lease)),
            cancel: watch::Sender::new(claim.request.cancel.clone()),
            stop,
            poke: Notify::new(),
            turn: Mutex::new(Some(turn)),
        }
    }

    /// The right to write.
    pub fn fence(&self) -> &Fence {
        &self.fence
    }

    /// Asks for a heartbeat out of turn.
    pub fn poke(&self) {
        self.poke.notify_one();
    }

    /// Beats every third of the lease, for as long as the run is ours beyond doubt.
    pub async fn keep(&self) -> Exit {
        loop {
            tokio::select! {
                () = sleep(self.lease / 3) => {}
                () = self.poke.notified() => {}
            }
            let mut pace = Pace::new(Duration::from_millis(50), self.lease / 10);
            loop {
                let sent = Instant::now();
                match timeout_at(self.ours_until(), self.ledger.heartbeat(&self.fence, self.lease)).await {
                    Ok(Ok(cancel)) => {
                        *self.ours_until.lock().unwrap_or_else(PoisonError::into_inner) =
                            sent + surely(self.lease);
                        if cancel.is_some() {
                            self.cancel.send_replace(cancel);
                        }
                        break;
                    }
                    Ok(Err(error)) if error.is_passing() => {
                        tracing::warn!(%error, "cannot keep the lease; trying again");
                        sleep(pace.next()).await;
                    }
                    Ok(Err(error)) => return exit(error),
                    Err(_) => return Exit::Lost,
                }
            }
        }
    }

    fn ours_until(&self) -> Instant {
        *self.ours_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be asked right before every effect. The heartbeat runs beside us, but after a long pause of this process
    /// nothing says that it is polled first.
    pub fn ours(&self) -> Result<(), Exit> {
        if Instant::now() < self.ours_until() { Ok(()) } else { Err(Exit::Lost) }
    }

    /// To be asked at every point where the work may be handed to another worker.
    pub fn go_on(&self) -> Result<(), Exit> {
        self.ours()?;
        if self.stop.is_cancelled() { Err(Exit::Stopping) } else { Ok(()) }
    }

    /// Who called it off, if someone did.
    pub fn cancelled(&self) -> Option<Actor> {
        self.cancel.borrow().clone()
    }

    /// Waits, leaving our turn to another run; ends early when this process stops.
    pub async fn pause(&self, wait: Duration) -> Result<(), Exit> {
        drop(self.turn.lock().unwrap_or_else(PoisonError::into_inner).take());
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = sleep(wait) => {}
        }
        self.go_on()
    }

    /// Writes to the database, trying again while the trouble is a passing one and the run is ours. Every write of a
    /// run may be sent twice: the second finds what the first did, or is fenced because the first was the last.
    pub async fn write<T, F>(&self, write: impl Fn() -> F) -> Result<T, Exit>
    where
        F: Future<Output = Result<T, LedgerError>>,
    {
        let mut pace = Pace::new(Duration::from_millis(20), Duration::from_millis(500));
        loop {
            match write().await {
                Ok(value) => return Ok(value),
                Err(error) if error.is_passing() => {
                    tracing::warn!(%error, "cannot write to the database; trying again");
                    self.ours()?;
                    sleep(pace.next()).await;
                }
                Err(error) => return Err(exit(error)),
            }
        }
    }
}

fn exit(error: LedgerError) -> Exit {
    match error {
        LedgerError::Fenced(_) => Exit::Lost,
        error => Exit::Broken(error),
    }
}

/// The part of a lease in which clocks that drift and calls that dawdle cannot make us wrong.
fn surely(lease: Duration) -> Duration {
    lease - lease / 5
}

/// Waits that grow by half, up to a limit.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    next: Duration,
    most: Duration,
}

impl Pace {
    pub fn new(first: Duration, most: Duration) -> Pace {
        Pace { next: first, most }
    }

    pub fn next(&mut self) -> Duration {
        let wait = self.next.min(self.most);
        self.next = (self.next * 3 / 2).min(self.most);
        wait
    }
}
