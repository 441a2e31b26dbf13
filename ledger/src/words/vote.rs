//! Votes and their tally.

use crate::{Actor, Digest, Person, Quorum};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Yes.
    Approve,
    /// No; one is enough.
    Deny,
}

/// One person's word on one plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vote {
    /// One vote per person, whatever the number of their identities.
    pub person: Person,
    /// The identity that clicked.
    pub actor: Actor,
    /// The person's groups when they voted.
    pub groups: Vec<String>,
    /// Yes or no.
    pub verdict: Verdict,
    /// The plan they saw.
    pub digest: Digest,
    /// Why; shown on the card.
    pub reason: Option<String>,
    /// The cluster name they typed, where the quorum asks for it.
    pub typed: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// Where the votes stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tally {
    /// Not enough yet.
    Waiting {
        /// Distinct people for.
        have: u32,
        /// Needed.
        need: u32,
    },
    /// Enough.
    Approved,
    /// Someone said no.
    Denied {
        /// Who.
        by: Person,
    },
}

/// Counts votes: deny wins; approvals count once per person, only from the quorum's groups, never the requester's.
pub fn tally(_quorum: &Quorum, _requester: &Person, _votes: &[Vote]) -> Tally {
    todo!()
}
