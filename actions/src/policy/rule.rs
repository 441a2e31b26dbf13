//! Rules and caps, compiled.

use super::condition::Condition;
use ledger::{Activity, Quorum, Share};
use std::collections::BTreeSet;

/// The word for questions in `action = ...`.
pub(super) const QUERY: &str = "query";
/// The word for the loud path in `action = ...` and `except = ...`.
pub(super) const BREAK_GLASS: &str = "break-glass";

/// One rule; the first that matches decides.
#[derive(Debug)]
pub(super) struct Rule {
    pub name: String,
    /// Catalogue names, `query`, `break-glass`.
    pub actions: BTreeSet<String>,
    pub when: Option<Condition>,
    pub then: Then,
    pub needs_why: bool,
}

/// What a rule does.
#[derive(Debug)]
pub(super) enum Then {
    Allow,
    Refuse { message: Option<String> },
    Approve(Quorum),
}

/// How much is too much.
#[derive(Debug)]
pub(super) struct Cap {
    pub name: String,
    pub each: Share,
    pub limit: Limit,
    pub when: Option<Condition>,
    pub except: BTreeSet<String>,
}

/// What a cap limits.
#[derive(Clone, Copy, Debug)]
pub(super) enum Limit {
    /// Requests in the last hour.
    PerHour(u32),
    /// Requests at work now.
    AtOnce(u32),
}

impl Cap {
    /// With its number, if it is a cap at once.
    pub fn at_once(&self) -> Option<(&Cap, u32)> {
        if let Limit::AtOnce(most) = self.limit { Some((self, most)) } else { None }
    }

    /// How many there are, and how many there may be.
    pub fn count(&self, activity: &Activity) -> (u32, u32) {
        match (self.limit, self.each) {
            (Limit::PerHour(most), Share::Person) => (activity.person_last_hour, most),
            (Limit::PerHour(most), Share::Action) => (activity.action_last_hour, most),
            (Limit::PerHour(most), Share::Cluster) => (activity.cluster_last_hour, most),
            (Limit::AtOnce(most), Share::Person) => (activity.person_running, most),
            (Limit::AtOnce(most), Share::Action) => (activity.action_running, most),
            (Limit::AtOnce(most), Share::Cluster) => (activity.cluster_running, most),
        }
    }
}
