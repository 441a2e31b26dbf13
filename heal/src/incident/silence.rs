//! Silence, asked for in chat, always with an end.

use super::Refusal;
use crate::event::Event;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Longest silence; who needs longer mends the alert.
pub const LONGEST_SILENCE: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What is silenced: everything that fits all that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Matcher {
    /// The event's name.
    pub name: Option<String>,
    /// Where.
    pub cluster: Option<String>,
    /// Where.
    pub namespace: Option<String>,
    /// The workload's name.
    pub workload: Option<String>,
    /// The node's name.
    pub node: Option<String>,
}

/// Its incidents open and close, but nothing is asked for and nobody is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Which one.
    pub id: Uuid,
    /// What.
    pub matcher: Matcher,
    /// From when.
    pub from: Timestamp,
    /// Until when; not at that moment any more.
    pub until: Timestamp,
    /// Who asked for it.
    pub by: String,
    /// Why.
    pub why: String,
}

impl Silence {
    /// From now on. A silence needs something to fit and an end.
    pub fn new(
        id: Uuid,
        matcher: Matcher,
        now: Timestamp,
        lasts: SignedDuration,
        by: &str,
        why: &str,
    ) -> Result<Silence, Refusal> {
        if matcher == Matcher::default() {
            return Err(Refusal::Silence(
                "say what to silence: a name, a workload, a node, a namespace or a cluster",
            ));
        }
        if lasts <= SignedDuration::ZERO {
            return Err(Refusal::Silence("a silence that has ended silences nothing"));
        }
        if lasts > LONGEST_SILENCE {
            return Err(Refusal::Silence("a silence lasts at most 7 days"));
        }
        let until = now.saturating_add(lasts).unwrap_or(Timestamp::MAX);
        Ok(Silence { id, matcher, from: now, until, by: by.to_string(), why: why.to_string() })
    }

    /// Ended early.
    pub fn lift(self, now: Timestamp) -> Silence {
        Silence { until: self.until.min(now), ..self }
    }

    /// Whether it is about this event, now.
    pub fn covers(&self, event: &Event, now: Timestamp) -> bool {
        let fits = |wanted: &Option<String>, attribute: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == event.text(attribute, None))
        };
        let Matcher { name, cluster, namespace, workload, node } = &self.matcher;
        (self.from..self.until).contains(&now)
            && fits(name, "name")
            && fits(cluster, "cluster")
            && fits(namespace, "namespace")
            && fits(workload, "workload")
            && fits(node, "node")
    }
}
