//! One ask for one action, as a state machine that consumes and returns.

use crate::{Actor, Decision, Digest, Person, Place, Plan, Refusal, RequestId, Target, Vote};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What was asked, before anything was looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// The caller's idempotency key: the same key gives the same request, whatever the number of calls.
    pub key: String,
    /// The identity that asked.
    pub actor: Actor,
    /// The human behind it (or the machine's own name for `alert:`, `api:` and such).
    pub person: Person,
    /// Where the card is shown first; None for the API.
    pub place: Option<Place>,
    /// As typed, for the record.
    pub line: String,
    /// Catalogue name.
    pub action: String,
    /// Typed parameters.
    pub parameters: Value,
    /// Without uid.
    pub target: Target,
    /// Why.
    pub why: Option<String>,
    /// Asked with `break-glass`: policy's louder path.
    pub break_glass: bool,
    /// Only plan and show; never run.
    pub dry_run: bool,
}

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestState {
    /// A plan was made and shown; a dry run ends here.
    Planned,
    /// Waiting for votes until `expires_at`.
    Awaiting,
    /// A run is queued.
    Approved,
    /// A worker acts.
    Running,
    /// Acted; watching that it helped.
    Verifying,
    /// Done and verified.
    Succeeded,
    /// Policy said no.
    Refused,
    /// A person said no.
    Denied,
    /// Nobody said yes in time.
    Expired,
    /// Called off.
    Cancelled,
    /// Did not work and was not (or could not be) undone.
    Failed,
    /// Did not help, and the prior state is restored.
    RolledBack,
    /// It cannot be known whether an effect took place; a person must look.
    Unknown,
}

impl RequestState {
    /// All of them, in the order of a request's life.
    pub const ALL: [RequestState; 13] = [
        RequestState::Planned, RequestState::Awaiting, RequestState::Approved, RequestState::Running,
        RequestState::Verifying, RequestState::Succeeded, RequestState::Refused, RequestState::Denied,
        RequestState::Expired, RequestState::Cancelled, RequestState::Failed, RequestState::RolledBack,
        RequestState::Unknown,
    ];

    /// As in SQL and JSON: `rolled_back`.
    pub fn as_str(self) -> &'static str {
        match self {
            RequestState::Planned => "planned",
            RequestState::Awaiting => "awaiting",
            RequestState::Approved => "approved",
            RequestState::Running => "running",
            RequestState::Verifying => "verifying",
            RequestState::Succeeded => "succeeded",
            RequestState::Refused => "refused",
            RequestState::Denied => "denied",
            RequestState::Expired => "expired",
            RequestState::Cancelled => "cancelled",
            RequestState::Failed => "failed",
            RequestState::RolledBack => "rolled_back",
            RequestState::Unknown => "unknown",
        }
    }

    /// Nothing follows.
    pub fn is_final(self) -> bool {
        !matches!(
            self,
            RequestState::Awaiting | RequestState::Approved | RequestState::Running | RequestState::Verifying
        )
    }
}

/// One ask for one action, planned and decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Its name for life.
    pub id: RequestId,
    /// What was asked.
    pub ask: Ask,
    /// Counts plans: 1, then one more each time the world moved and the plan was made anew. Votes and runs belong to
    /// one revision.
    pub revision: u32,
    /// What would happen.
    pub plan: Plan,
    /// Of `plan`.
    pub digest: Digest,
    /// What policy said of this plan.
    pub decision: Decision,
    /// The version (content hash) of the policy that said it.
    pub policy: String,
    /// Where it stands.
    pub state: RequestState,
    /// Why it stands there, for people: `denied by bob: not during the sale`.
    pub note: Option<String>,
    /// While awaiting or approved: after this it can never run (G2).
    pub expires_at: Option<Timestamp>,
    /// Someone called it off while it ran; the runner stops at the next safe point.
    pub cancel: Option<Actor>,
    /// When it was asked; also the time frozen into its plan.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
}

/// How long an approved request may wait for a worker before it can no longer run.
pub const APPROVAL_LASTS_S: i64 = 15 * 60;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ended", rename_all = "snake_case")]
pub enum Ended {
    /// Verified.
    Succeeded,
    /// Not undone; says what was and was not done.
    Failed(String),
    /// Undone; says why.
    RolledBack(String),
    /// A person must look; says at what.
    Unknown(String),
    /// Called off; says what was and was not done.
    Cancelled(String),
}

impl Request {
    /// A planned request with policy's decision applied: refused, approved (allowed at once), awaiting, or planned
    /// (dry run).
    pub fn new(_id: RequestId, _ask: Ask, _plan: Plan, _decision: Decision, _policy: String, _now: Timestamp) -> Request {
        todo!()
    }

    /// Adds one vote. `votes` are the earlier ones on this revision. Refuses late, own, double, unentitled votes, votes
    /// on another digest, and approvals without the typed cluster where that is needed.
    pub fn vote(self, _votes: &[Vote], _vote: &Vote) -> Result<Request, Refusal> {
        todo!()
    }

    /// Calls it off: at once while awaiting or approved; while running or verifying it marks `cancel` for the runner.
    pub fn cancel(self, _by: &Actor, _why: Option<&str>, _now: Timestamp) -> Result<Request, Refusal> {
        todo!()
    }

    /// Awaiting or approved, and past its time.
    pub fn expire(self, _now: Timestamp) -> Result<Request, Refusal> {
        todo!()
    }

    /// A worker starts to act; refuses anything that is not approved, or whose time is over (G2).
    pub fn start(self, _now: Timestamp) -> Result<Request, Refusal> {
        todo!()
    }

    /// The world moved before the first effect: a new plan under a new decision, votes start over (G3).
    pub fn replan(self, _plan: Plan, _decision: Decision, _policy: String, _now: Timestamp) -> Result<Request, Refusal> {
        todo!()
    }

    /// All steps are done; now verify.
    pub fn verify(self, _now: Timestamp) -> Result<Request, Refusal> {
        todo!()
    }

    /// The end of its run.
    pub fn end(self, _ended: Ended, _now: Timestamp) -> Result<Request, Refusal> {
        todo!()
    }
}
