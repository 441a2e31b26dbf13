//! Requests and votes.

use crate::*;
use jiff::Timestamp;

/// Which requests to list; every field narrows.
#[derive(Clone, Debug, Default)]
pub struct RequestFilter {
    /// In one of these states; empty: all.
    pub states: Vec<RequestState>,
    /// On this cluster.
    pub cluster: Option<String>,
    /// On this `Target::key`.
    pub target: Option<String>,
    /// Asked by this person.
    pub person: Option<Person>,
    /// Of this action.
    pub action: Option<String>,
    /// Words that the line, the summary, the note or the reason must contain.
    pub text: Option<String>,
    /// Made before this (for paging).
    pub before: Option<Timestamp>,
    /// At most this many, newest first.
    pub limit: u32,
}

/// What a card and a page show of one request.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestView {
    /// The request.
    pub request: Request,
    /// Votes on the standing revision, oldest first.
    pub votes: Vec<Vote>,
    /// The standing revision's run, if there is one.
    pub run: Option<Run>,
    /// Its checkpoints, in order.
    pub steps: Vec<StepRecord>,
}

/// Counts that policy's caps need, from the database, as of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Requests by this person in the last hour.
    pub person_last_hour: u32,
    /// Requests of this action on this cluster in the last hour.
    pub action_last_hour: u32,
    /// Requests on this cluster in the last hour.
    pub cluster_last_hour: u32,
    /// Requests by this person that are at work now (approved, running, verifying).
    pub person_running: u32,
    /// Requests of this action on this cluster that are at work now.
    pub action_running: u32,
    /// Requests on this cluster that are at work now.
    pub cluster_running: u32,
    /// The request that is approved, running or verifying on this very target, if any.
    pub target_busy: Option<RequestId>,
}

impl Ledger {
    /// ONE transaction: request + entry + card (shown in its place) + run, if it is allowed. By key: when the key is
    /// known the stored request is returned and nothing is written; `true` means this call made it.
    pub async fn submit(&self, _request: &Request) -> Result<(Request, bool), LedgerError> {
        todo!()
    }

    /// ONE row-locked transaction: vote + entry + card bump + run, when quorum is reached. `Request::vote` decides.
    pub async fn vote(&self, _id: RequestId, _vote: &Vote) -> Result<Result<Request, Refusal>, LedgerError> {
        todo!()
    }

    /// Row-locked: `Request::cancel` decides.
    pub async fn cancel(&self, _id: RequestId, _by: &Actor, _why: Option<&str>, _now: Timestamp) -> Result<Result<Request, Refusal>, LedgerError> {
        todo!()
    }

    /// Expires up to `limit` requests whose time is over; returns how many. Nothing depends on it being called (G2).
    pub async fn expire(&self, _now: Timestamp, _limit: u32) -> Result<u32, LedgerError> {
        todo!()
    }

    /// The request that the caller's key made, if it has.
    pub async fn request_by_key(&self, _key: &str) -> Result<Option<Request>, LedgerError> {
        todo!()
    }

    /// By full id.
    pub async fn view(&self, _id: RequestId) -> Result<Option<RequestView>, LedgerError> {
        todo!()
    }

    /// By the short form people type (`RequestId::short`); several when it is ambiguous. Newest first, at most 5.
    pub async fn find_request(&self, _short: &str) -> Result<Vec<RequestId>, LedgerError> {
        todo!()
    }

    /// Newest first.
    pub async fn requests(&self, _filter: &RequestFilter) -> Result<Vec<Request>, LedgerError> {
        todo!()
    }

    /// For policy's caps.
    pub async fn activity(&self, _person: &Person, _action: &str, _target: &Target, _now: Timestamp) -> Result<Activity, LedgerError> {
        todo!()
    }
}
