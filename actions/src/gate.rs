//! The one gate. Plan, policy, one transaction. Everything that changes a cluster passes here, whoever asked.

use crate::{cluster::Clusters, policy::{PolicyHandle, Explained, Who}};
use jiff::Timestamp;
use ledger::{Actor, Ask, Ledger, LedgerError, Plan, Refusal, Request, RequestId, Verdict};

/// The gate; cheap to clone.
#[derive(Clone)]
pub struct Gate {
    /// The record.
    pub ledger: Ledger,
    /// The clusters.
    pub clusters: Clusters,
    /// The policy in force.
    pub policy: PolicyHandle,
}

/// What became of an ask.
#[derive(Clone, Debug, PartialEq)]
pub enum Submitted {
    /// A request: look at its state (refused, awaiting, approved, planned).
    Request {
        /// As stored.
        request: Box<Request>,
        /// False: this key was known, and this is what it made then.
        fresh: bool,
    },
    /// No plan could be made (no such target, invalid, nothing to do, cluster down); recorded, for people to read.
    NoPlan(String),
    /// A stranger, or an action nobody knows.
    Refused(Refusal),
}

/// One click, or the same typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ballot {
    /// On what.
    pub request: RequestId,
    /// By whom.
    pub actor: Actor,
    /// Yes or no.
    pub verdict: Verdict,
    /// Hex digest of the plan on the card; None: the one that stands (typed commands).
    pub digest: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// The cluster's name, where it must be typed.
    pub typed: Option<String>,
}

impl Gate {
    /// Who an identity is; a stranger gets a friendly refusal that says whom to ask.
    pub fn who(&self, _actor: &Actor) -> Result<Who, Refusal> {
        todo!()
    }
    /// Plan, decide, one transaction. Idempotent by `ask.key`.
    pub async fn submit(&self, _ask: Ask, _now: Timestamp) -> Result<Submitted, LedgerError> {
        todo!()
    }
    /// Plan and decide without writing anything: `policy explain`.
    pub async fn explain(&self, _ask: &Ask, _now: Timestamp) -> Result<Result<(Plan, Explained), String>, LedgerError> {
        todo!()
    }
    /// One row-locked transaction.
    pub async fn vote(&self, _ballot: &Ballot, _now: Timestamp) -> Result<Result<Request, Refusal>, LedgerError> {
        todo!()
    }
    /// The requester, or whoever could vote, may call it off.
    pub async fn cancel(&self, _request: RequestId, _actor: &Actor, _why: Option<&str>, _now: Timestamp) -> Result<Result<Request, Refusal>, LedgerError> {
        todo!()
    }
}
