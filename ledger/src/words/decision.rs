//! What policy says, and refusals.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Who must approve, and by when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quorum {
    /// How many distinct people.
    pub votes: u32,
    /// Any of these groups; never empty.
    pub groups: Vec<String>,
    /// Seconds until the request expires.
    pub within_s: u32,
    /// The approver must type the cluster's name.
    pub type_cluster: bool,
}

/// Policy's answer. The name of the rule that decided goes with it, for `explain` and the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "lowercase")]
pub enum Decision {
    /// Not at all.
    Refuse {
        /// The rule that decided; `default` when none matched.
        rule: String,
        /// Why, and what to do next.
        reason: String,
    },
    /// At once.
    Allow {
        /// The rule that decided.
        rule: String,
    },
    /// After enough people said yes.
    Needs {
        /// The rule that decided.
        rule: String,
        /// Who, how many, by when.
        quorum: Quorum,
    },
}

/// A refusal is a value, not an error: it is a correct answer that a person reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "refusal", rename_all = "kebab-case")]
pub enum Refusal {
    /// The request is already in a state that does not take this any more.
    TooLate {
        /// The state it is in.
        state: String,
        /// The rest of a sentence: `already approved by bob, 12 s ago`.
        because: String,
    },
    /// Requesters never vote on their own request.
    OwnRequest,
    /// Not in any of the groups that may vote.
    NotEntitled {
        /// Who could.
        groups: Vec<String>,
    },
    /// This person has voted on this plan already.
    VotedAlready,
    /// The cluster's name must be typed to approve, and it was not or wrongly.
    TypeCluster {
        /// What to type.
        cluster: String,
    },
    /// The plan shown on the clicked card is not the plan that stands now.
    PlanChanged,
    /// Nobody by this id.
    NoSuchRequest,
    /// Anything else policy or a limit says, in words.
    Policy {
        /// Why, and what to do next.
        reason: String,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::TooLate { because, .. } => write!(f, "Too late: {because}."),
            Refusal::OwnRequest => write!(f, "You asked for this yourself; someone else must approve it."),
            Refusal::NotEntitled { groups } => {
                write!(f, "Your vote does not count here. Ask someone in {}.", groups.join(" or "))
            }
            Refusal::VotedAlready => write!(f, "You have voted on this plan already."),
            Refusal::TypeCluster { cluster } => {
                write!(f, "This cluster is guarded: type its name, {cluster}, to approve.")
            }
            Refusal::PlanChanged => {
                write!(f, "The plan has changed since that card was drawn; look at the new one.")
            }
            Refusal::NoSuchRequest => write!(f, "There is no such request. `requests` lists the open ones."),
            Refusal::Policy { reason } => f.write_str(reason),
        }
    }
}
