//! The runner: claims approved runs and carries them through act, verify and, when it did not help, undo. It makes no
//! choices: the plan has them all. A crash at any point loses nothing and repeats no effect (G5).
//!
//! `effect`, `condition`, `pods` and `words` decide, as pure functions; `hold`, `attempt`, `step`, `verify` and `undo` act.

mod attempt;
mod condition;
mod effect;
mod health;
mod hold;
mod pods;
mod step;
mod undo;
mod verify;
mod words;

pub use health::{Health, health};

use crate::{cluster::Clusters, policy::PolicyHandle};
use attempt::Attempt;
use hold::{Exit, Hold};
use ledger::{Claim, Ledger, RequestId, Wake};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};
use tokio::{
    sync::{
        Notify, Semaphore,
        broadcast::{Receiver, error::RecvError},
    },
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// How often to look for work that nobody woke us for.
const POLL: Duration = Duration::from_secs(1);
/// Runs held at once, waiting ones too: each has its heartbeat and looks at its cluster.
const HELD: usize = 256;

/// How to run.
#[derive(Clone, Debug)]
pub struct RunnerConfig {
    /// This process, unique: `host-pid-random`.
    pub worker: String,
    /// Runs that act at once in this replica. A run that waits, for a rollout or for a silent cluster, leaves its turn to
    /// another.
    pub concurrency: usize,
    /// A worker that is silent for so long is presumed dead.
    pub lease: Duration,
}

/// A worker pool.
pub struct Runner {
    /// The record.
    pub ledger: Ledger,
    /// The clusters.
    pub clusters: Clusters,
    /// For planning anew (G3).
    pub policy: PolicyHandle,
    /// How.
    pub config: RunnerConfig,
}

/// What this replica holds now, to find the hold of a request that changed.
type Held = Mutex<HashMap<RequestId, Weak<Hold>>>;

impl Runner {
    /// Works until `stop`; then finishes the call at hand, gives its claims back and returns. When this future is
    /// dropped, all work is dropped with it, wherever it stands: another runner takes it up when the leases run out.
    pub async fn run(self, stop: CancellationToken) {
        let runner = Arc::new(self);
        let wakes = runner.ledger.wakes();
        let held = Arc::new(Held::default());
        let work = Arc::new(Notify::new());
        let mut listening = JoinSet::new();
        listening.spawn(listen(wakes, work.clone(), held.clone()));
        let turns = Arc::new(Semaphore::new(runner.config.concurrency));
        let mut runs = JoinSet::new();
        while !stop.is_cancelled() {
            while let Some(ended) = runs.try_join_next() {
                report(ended);
            }
            if runs.len() >= HELD {
                tokio::select! {
                    () = stop.cancelled() => {}
                    Some(ended) = runs.join_next() => report(ended),
                }
                continue;
            }
            let first = tokio::select! {
                () = stop.cancelled() => break,
                Ok(turn) = turns.clone().acquire_owned() => turn,
            };
            // As many as there are turns for, in one claim.
            let others = std::iter::from_fn(|| turns.clone().try_acquire_owned().ok());
            let mut free: Vec<_> = std::iter::once(first).chain(others).collect();
            let (asked, most) = (Instant::now(), free.len());
            let RunnerConfig { worker, lease, .. } = &runner.config;
            match runner.ledger.claim_runs(worker, *lease, most, jiff::Timestamp::now()).await {
                Ok(claims) => {
                    let all = claims.len() == most;
                    for (claim, turn) in claims.into_iter().zip(free.drain(..)) {
                        let hold =
                            Hold::new(runner.ledger.clone(), &claim, *lease, asked, turn, stop.clone());
                        runs.spawn(runner.clone().hold(claim, hold, asked, held.clone()));
                    }
                    if all {
                        continue;
                    }
                }
                Err(error) => tracing::warn!(%error, "cannot claim runs; trying again"),
            }
            drop(free);
            tokio::select! {
                () = stop.cancelled() => {}
                () = work.notified() => {}
                () = sleep(POLL) => {}
            }
        }
        while let Some(ended) = runs.join_next().await {
            report(ended);
        }
    }

    /// Carries one claimed run for as long as it is ours.
    async fn hold(self: Arc<Self>, claim: Claim, hold: Hold, asked: Instant, held: Arc<Held>) {
        let request = &claim.request;
        let span = tracing::info_span!(
            "run", request.id = %request.id, run.id = %claim.run.id, cluster = %request.plan.target.cluster,
            action = %request.plan.action, attempt = claim.run.attempt
        );
        let hold = Arc::new(hold);
        let id = request.id;
        held.lock().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::downgrade(&hold));
        async {
            let mut attempt = Attempt::new(&self, &hold, &claim);
            // The heartbeat first: when the run is lost, what is under way is dropped where it stands.
            let exit = tokio::select! {
                biased;
                exit = hold.keep() => exit,
                exit = attempt.carry() => exit,
            };
            let duration_ms = asked.elapsed().as_millis() as u64;
            match exit {
                Exit::Ended(ended) => tracing::info!(duration_ms, ?ended, "the run ended"),
                Exit::Replanned => tracing::info!(duration_ms, "the world had moved; the request was planned anew"),
                Exit::Lost => tracing::warn!(duration_ms, "lost the run to another worker, or cannot tell; dropped it"),
                Exit::Broken(error) => tracing::error!(%error, "cannot go on with the run; it is tried again when its lease runs out"),
                Exit::Stopping => match self.ledger.release_run(&claim.fence).await {
                    Ok(()) => tracing::info!(duration_ms, "gave the run back"),
                    Err(error) => tracing::warn!(%error, "cannot give the run back; it is free when its lease runs out"),
                },
            }
        }
        .instrument(span)
        .await;
        drop(hold);
        held.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, hold| hold.strong_count() > 0);
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a run's task panicked; another attempt follows when its lease runs out");
    }
}

/// Wakes the claim loop for new work, and the heartbeat of a run that was called off.
async fn listen(mut wakes: Receiver<Wake>, work: Arc<Notify>, held: Arc<Held>) {
    let held = || held.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        match wakes.recv().await {
            Ok(Wake::Run) => work.notify_one(),
            Ok(Wake::Cancelled(id)) => {
                held().get(&id).and_then(Weak::upgrade).inspect(|hold| hold.poke());
            }
            Ok(Wake::Lost) | Err(RecvError::Lagged(_)) => {
                work.notify_one();
                held().values().filter_map(Weak::upgrade).for_each(|hold| hold.poke());
            }
            Ok(_) => {}
            Err(RecvError::Closed) => return,
        }
    }
}
