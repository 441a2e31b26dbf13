//! Votes and their tally.

use crate::{Actor, Digest, Person, Quorum};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Yes.
    Approve,
    /// No; one is enough.
    Deny,
}

impl Verdict {
    /// As in SQL and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Approve => "approve",
            Verdict::Deny => "deny",
        }
    }
}

/// One person's word on one plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
pub fn tally(quorum: &Quorum, requester: &Person, votes: &[Vote]) -> Tally {
    if let Some(deny) = votes.iter().find(|vote| vote.verdict == Verdict::Deny) {
        return Tally::Denied { by: deny.person.clone() };
    }
    let people: BTreeSet<&Person> = votes
        .iter()
        .filter(|vote| vote.person != *requester && vote.is_entitled(quorum))
        .map(|vote| &vote.person)
        .collect();
    let have = people.len() as u32;
    // A quorum of nobody would be an approval by nobody.
    let need = quorum.votes.max(1);
    if have >= need { Tally::Approved } else { Tally::Waiting { have, need } }
}

impl Vote {
    /// In one of the quorum's groups.
    pub fn is_entitled(&self, quorum: &Quorum) -> bool {
        self.groups.iter().any(|group| quorum.groups.contains(group))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::sample;
    use proptest::prelude::*;

    fn any_vote() -> impl Strategy<Value = Vote> {
        (
            prop::sample::select(vec!["ann", "bob", "cat", "dan", "eve"]),
            any::<bool>(),
            prop::bool::weighted(0.9),
        )
            .prop_map(|(person, entitled, yes)| Vote {
                groups: vec![if entitled { "sre".into() } else { "guests".into() }],
                verdict: if yes { Verdict::Approve } else { Verdict::Deny },
                ..sample::vote(person)
            })
    }

    proptest! {
        #[test]
        fn deny_wins_and_only_distinct_entitled_others_count(need in 0u32..4, votes in prop::collection::vec(any_vote(), 0..8)) {
            let quorum = Quorum { votes: need, ..sample::quorum() };
            let tally = tally(&quorum, &Person("ann".into()), &votes);
            let mut people: Vec<&str> = votes
                .iter()
                .filter(|vote| vote.groups == ["sre"] && vote.person.0 != "ann")
                .map(|vote| vote.person.0.as_str())
                .collect();
            people.sort();
            people.dedup();
            let denied = votes.iter().any(|vote| vote.verdict == Verdict::Deny);
            let enough = !people.is_empty() && people.len() as u32 >= need;
            match tally {
                Tally::Denied { .. } => prop_assert!(denied),
                Tally::Approved => prop_assert!(!denied && enough),
                Tally::Waiting { have, .. } => prop_assert!(!denied && !enough && have == people.len() as u32),
            }
        }
    }
}
