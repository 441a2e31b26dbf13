//! The work queue for runs: `SKIP LOCKED` claims, leases with fencing tokens, rescue guarded by state and attempt.

use crate::*;
use jiff::Timestamp;
use serde_json::Value;
use std::time::Duration;

impl Ledger {
    /// Claims the oldest run that is queued, or whose lease ran out, and whose target no other live run holds. A first
    /// claim moves the request to `running` through `Request::start` (an expired one is expired instead and the next is
    /// tried, G2); a rescue keeps the state and adds to `attempt`. None: nothing to do.
    pub async fn claim_run(&self, _worker: &str, _lease: Duration, _now: Timestamp) -> Result<Option<Claim>, LedgerError> {
        todo!()
    }

    /// Keeps the lease. Returns the request's `cancel`, so that a call every few seconds also hears of it.
    pub async fn heartbeat(&self, _fence: &Fence, _lease: Duration) -> Result<Option<Actor>, LedgerError> {
        todo!()
    }

    /// Commits the intent before the effect is tried.
    pub async fn intend_step(&self, _fence: &Fence, _phase: Phase, _index: u32, _intent: &Value, _now: Timestamp) -> Result<(), LedgerError> {
        todo!()
    }

    /// Commits the outcome that was read back.
    pub async fn finish_step(&self, _fence: &Fence, _phase: Phase, _index: u32, _state: StepState, _outcome: &Value, _now: Timestamp) -> Result<(), LedgerError> {
        todo!()
    }

    /// All steps done: the request verifies from now until `until`. A rescue that calls it again gets the first `until`.
    pub async fn begin_verify(&self, _fence: &Fence, _until: Timestamp, _now: Timestamp) -> Result<Timestamp, LedgerError> {
        todo!()
    }

    /// Verification failed: the undo steps follow. The request stays `verifying`.
    pub async fn begin_undo(&self, _fence: &Fence, _because: &str, _now: Timestamp) -> Result<(), LedgerError> {
        todo!()
    }

    /// A line of live progress for the card (`4 of 6 pods ready`); kept on the run, not in the ledger. Bumps the card.
    pub async fn progress(&self, _fence: &Fence, _line: &str) -> Result<(), LedgerError> {
        todo!()
    }

    /// Before the first effect the world had moved: this run is over, the request has a new plan, revision and
    /// decision (`Request::replan`), and a new run if it is allowed at once.
    pub async fn replan(&self, _fence: &Fence, _plan: &Plan, _decision: &Decision, _policy: &str, _now: Timestamp) -> Result<Request, LedgerError> {
        todo!()
    }

    /// The end (`Request::end`); frees the target and the lease.
    pub async fn end_run(&self, _fence: &Fence, _ended: &Ended, _now: Timestamp) -> Result<Request, LedgerError> {
        todo!()
    }

    /// Gives the claim back at once, for a clean stop: another replica may take it without waiting for the lease.
    pub async fn release_run(&self, _fence: &Fence) -> Result<(), LedgerError> {
        todo!()
    }

    /// Runs waiting and held, for metrics: (queued, held).
    pub async fn queue_depth(&self) -> Result<(u64, u64), LedgerError> {
        todo!()
    }
}
