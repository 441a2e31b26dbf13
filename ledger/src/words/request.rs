//! One ask for one action, as a state machine that consumes and returns.

use crate::{
    Actor, Decision, Digest, Person, Place, Plan, Refusal, RequestId, Tally, Target, Verdict, Vote, tally,
};
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
    /// Why a person must agree, whatever policy says: a healing in a storm, or one that not all is known for.
    pub with_person: Option<String>,
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
        RequestState::Planned,
        RequestState::Awaiting,
        RequestState::Approved,
        RequestState::Running,
        RequestState::Verifying,
        RequestState::Succeeded,
        RequestState::Refused,
        RequestState::Denied,
        RequestState::Expired,
        RequestState::Cancelled,
        RequestState::Failed,
        RequestState::RolledBack,
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
    pub fn new(
        id: RequestId,
        ask: Ask,
        plan: Plan,
        decision: Decision,
        policy: String,
        now: Timestamp,
    ) -> Request {
        let now = to_the_microsecond(now);
        let request = Request {
            id,
            ask,
            revision: 1,
            digest: plan.digest(),
            plan,
            decision,
            policy,
            state: RequestState::Planned,
            note: None,
            expires_at: None,
            cancel: None,
            created_at: now,
            updated_at: now,
        };
        request.decided(now)
    }

    /// Adds one vote. `votes` are the earlier ones on this revision. Refuses late, own, double, unentitled votes, votes
    /// on another digest, and approvals without the typed cluster where that is needed.
    pub fn vote(self, votes: &[Vote], vote: &Vote) -> Result<Request, Refusal> {
        self.in_time(vote.at)?;
        let (RequestState::Awaiting, Decision::Needs { quorum, .. }) = (self.state, &self.decision) else {
            return Err(self.too_late(vote.at));
        };
        if vote.person == self.ask.person || vote.actor == self.ask.actor {
            return Err(Refusal::OwnRequest);
        }
        if vote.digest != self.digest {
            return Err(Refusal::PlanChanged);
        }
        if !vote.is_entitled(quorum) {
            return Err(Refusal::NotEntitled { groups: quorum.groups.clone() });
        }
        // An identity that went to another person has voted all the same (G4).
        if votes.iter().any(|earlier| earlier.person == vote.person || earlier.actor == vote.actor) {
            return Err(Refusal::VotedAlready);
        }
        let cluster = &self.plan.target.cluster;
        if vote.verdict == Verdict::Approve && quorum.type_cluster && vote.typed.as_ref() != Some(cluster) {
            return Err(Refusal::TypeCluster { cluster: cluster.clone() });
        }
        let all: Vec<Vote> = votes.iter().chain([vote]).cloned().collect();
        let tally = tally(quorum, &self.ask.person, &all);
        Ok(match tally {
            Tally::Waiting { .. } => Request { updated_at: to_the_microsecond(vote.at), ..self },
            Tally::Denied { by } => self.to(
                RequestState::Denied,
                Some(with_reason(format!("denied by {by}"), vote.reason.as_deref())),
                vote.at,
            ),
            Tally::Approved => {
                let names: Vec<&str> = all.iter().map(|vote| vote.person.0.as_str()).collect();
                self.approved(format!("approved by {}", names.join(" and ")), vote.at)
            }
        })
    }

    /// Calls it off: at once while awaiting or approved; while running or verifying it marks `cancel` for the runner.
    pub fn cancel(self, by: &Actor, why: Option<&str>, now: Timestamp) -> Result<Request, Refusal> {
        self.in_time(now)?;
        let note = Some(with_reason(format!("called off by {by}"), why));
        match (self.state, &self.cancel) {
            (RequestState::Awaiting | RequestState::Approved, _) => {
                Ok(self.to(RequestState::Cancelled, note, now))
            }
            (RequestState::Running | RequestState::Verifying, None) => {
                Ok(Request { cancel: Some(by.clone()), note, updated_at: to_the_microsecond(now), ..self })
            }
            _ => Err(self.too_late(now)),
        }
    }

    /// Awaiting or approved, and past its time.
    pub fn expire(self, now: Timestamp) -> Result<Request, Refusal> {
        let note = match (self.state, self.in_time(now)) {
            (RequestState::Awaiting, Err(_)) => "nobody approved it in time",
            (RequestState::Approved, Err(_)) => "no worker took it in time",
            (_, Err(refusal)) => return Err(refusal),
            (RequestState::Awaiting | RequestState::Approved, Ok(())) => {
                return Err(Refusal::Policy { reason: "The request's time is not over yet.".into() });
            }
            (_, Ok(())) => return Err(self.too_late(now)),
        };
        Ok(self.to(RequestState::Expired, Some(note.into()), now))
    }

    /// A worker starts to act; refuses anything that is not approved, or whose time is over (G2).
    pub fn start(self, now: Timestamp) -> Result<Request, Refusal> {
        self.in_time(now)?;
        match self.state {
            RequestState::Approved => {
                let note = self.note.clone();
                Ok(self.to(RequestState::Running, note, now))
            }
            _ => Err(self.too_late(now)),
        }
    }

    /// The world moved before the first effect: a new plan under a new decision, votes start over (G3). Refuses when it
    /// was called off meanwhile: then it ends instead.
    pub fn replan(
        self,
        plan: Plan,
        decision: Decision,
        policy: String,
        now: Timestamp,
    ) -> Result<Request, Refusal> {
        if self.state != RequestState::Running || self.cancel.is_some() {
            return Err(self.too_late(now));
        }
        let revision = self.revision + 1;
        Ok(Request { revision, digest: plan.digest(), plan, decision, policy, ..self }.decided(now))
    }

    /// All steps are done; now verify.
    pub fn verify(self, now: Timestamp) -> Result<Request, Refusal> {
        match self.state {
            RequestState::Running => {
                let note = self.note.clone();
                Ok(self.to(RequestState::Verifying, note, now))
            }
            _ => Err(self.too_late(now)),
        }
    }

    /// The end of its run. Only what was verified succeeds.
    pub fn end(self, ended: Ended, now: Timestamp) -> Result<Request, Refusal> {
        let (state, note) = match (self.state, ended) {
            (RequestState::Verifying, Ended::Succeeded) => {
                (RequestState::Succeeded, "done and verified".to_string())
            }
            (RequestState::Running | RequestState::Verifying, Ended::Failed(note)) => {
                (RequestState::Failed, note)
            }
            (RequestState::Running | RequestState::Verifying, Ended::RolledBack(note)) => {
                (RequestState::RolledBack, note)
            }
            (RequestState::Running | RequestState::Verifying, Ended::Unknown(note)) => {
                (RequestState::Unknown, note)
            }
            (RequestState::Running | RequestState::Verifying, Ended::Cancelled(note)) => {
                (RequestState::Cancelled, note)
            }
            _ => return Err(self.too_late(now)),
        };
        Ok(self.to(state, Some(note), now))
    }

    /// Policy's decision on the standing plan.
    fn decided(self, now: Timestamp) -> Request {
        match self.decision.clone() {
            Decision::Refuse { reason, .. } => self.to(RequestState::Refused, Some(reason), now),
            _ if self.ask.dry_run => {
                self.to(RequestState::Planned, Some("a dry run: shown, not run".into()), now)
            }
            Decision::Allow { rule } => self.approved(format!("allowed by rule {rule}"), now),
            Decision::Needs { quorum, .. } => Request {
                expires_at: Some(later(now, quorum.within_s.into())),
                ..self.to(RequestState::Awaiting, None, now)
            },
        }
    }

    fn approved(self, note: String, now: Timestamp) -> Request {
        Request {
            expires_at: Some(later(now, APPROVAL_LASTS_S)),
            ..self.to(RequestState::Approved, Some(note), now)
        }
    }

    /// The one place where the state changes; what waits sets its `expires_at` afterwards.
    fn to(self, state: RequestState, note: Option<String>, now: Timestamp) -> Request {
        Request { state, note, expires_at: None, updated_at: to_the_microsecond(now), ..self }
    }

    /// Refuses what has waited for too long, whatever its stored state still says (G2).
    fn in_time(&self, now: Timestamp) -> Result<(), Refusal> {
        match self.expires_at {
            Some(end) if now >= end => Err(Refusal::TooLate {
                state: "expired".into(),
                because: format!("its time was over {}", ago(end, now)),
            }),
            _ => Ok(()),
        }
    }

    /// Says the state, who and when.
    fn too_late(&self, now: Timestamp) -> Refusal {
        let when = ago(self.updated_at, now);
        let note = self.note.as_deref().unwrap_or_default();
        let because = match self.state {
            RequestState::Running | RequestState::Verifying if self.cancel.is_some() => {
                format!("already {note}, {when}; it stops at the next safe point")
            }
            RequestState::Running => format!("it started {when}"),
            RequestState::Verifying => format!("all its steps were done {when}"),
            RequestState::Succeeded => format!("it succeeded {when}"),
            RequestState::Awaiting => format!("it has been waiting since {when}"),
            RequestState::Approved | RequestState::Denied => format!("already {note}, {when}"),
            state => format!("it is {}: {note}, {when}", state.as_str().replace('_', " ")),
        };
        Refusal::TooLate { state: self.state.as_str().into(), because }
    }
}

fn with_reason(what: String, why: Option<&str>) -> String {
    match why {
        Some(why) => format!("{what}: {why}"),
        None => what,
    }
}

/// The database keeps microseconds, and a request is the same before and after it was stored.
fn to_the_microsecond(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}

fn later(now: Timestamp, seconds: i64) -> Timestamp {
    to_the_microsecond(now).saturating_add(jiff::SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

/// `12 s ago`.
fn ago(then: Timestamp, now: Timestamp) -> String {
    match now.duration_since(then).as_secs() {
        ..1 => "just now".into(),
        s @ 1..120 => format!("{s} s ago"),
        s @ 120..7200 => format!("{} min ago", s / 60),
        s @ 7200..172_800 => format!("{} h ago", s / 3600),
        s => format!("{} days ago", s / 86_400),
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
