//! One trouble, by its fingerprint: whether it goes on, and whether it cannot make up its mind.

use super::IncidentId;
use crate::{
    event::{Event, Fingerprint, Severity, State, Subject},
    language::ast::Origin,
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Turns that are remembered; more than any sensible damping counts.
const MOST_TURNS: usize = 64;

/// When a trouble counts as flapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damping {
    /// So many changes between firing and resolved,
    pub turns: usize,
    /// within so long.
    pub window: SignedDuration,
    /// It has calmed down when nothing changed for so long.
    pub calm: SignedDuration,
}

impl Default for Damping {
    /// Three times there and back within half an hour; calm after a quarter of an hour.
    fn default() -> Damping {
        Damping { turns: 6, window: SignedDuration::from_mins(30), calm: SignedDuration::from_mins(15) }
    }
}

/// What is known about one fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// Which one.
    pub fingerprint: Fingerprint,
    /// Alert, event, log or finding.
    pub origin: Origin,
    /// The event's name.
    pub name: String,
    /// What it is about.
    pub subject: Subject,
    /// The worst of this episode.
    pub severity: Severity,
    /// What the sender said last.
    pub firing: bool,
    /// When this episode, or the last one, began.
    pub since: Timestamp,
    /// When the last episode ended.
    pub until: Option<Timestamp>,
    /// How often it was told, sendings of the same included.
    pub told: u64,
    /// It comes and goes: it counts as going on, whatever was said last.
    pub flapping: bool,
    /// When it changed lately, oldest first.
    pub turns: Vec<Timestamp>,
    /// The incident it belongs, or belonged last, to.
    pub incident: Option<IncidentId>,
}

/// What a message changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It goes on now, and did not before.
    Began,
    /// It goes on as before.
    Again,
    /// It goes on, and is worse than it was.
    Worse,
    /// It is over now.
    Over,
    /// It is said to be over, but it comes and goes: it counts as going on until it calms down.
    Flaps,
    /// The message is older than what is known, or changes nothing.
    Stale,
}

impl Trouble {
    /// From its first message. A trouble that is first heard of when it is over is over.
    pub fn first(event: &Event, now: Timestamp) -> (Trouble, Change) {
        let firing = event.state == State::Firing;
        let trouble = Trouble {
            fingerprint: event.fingerprint,
            origin: event.origin,
            name: event.name.clone(),
            subject: event.subject.clone(),
            severity: event.severity,
            firing,
            since: event.started,
            until: event.ended,
            told: 1,
            flapping: false,
            turns: if firing { vec![now] } else { Vec::new() },
            incident: None,
        };
        (trouble, if firing { Change::Began } else { Change::Stale })
    }

    /// Whether it goes on, for an incident.
    pub fn goes_on(&self) -> bool {
        self.firing || self.flapping
    }

    /// With one more message about it. Messages may come twice, late, and in the wrong order.
    pub fn hear(mut self, event: &Event, now: Timestamp, damping: &Damping) -> (Trouble, Change) {
        self.told = self.told.saturating_add(1);
        match event.state {
            // A late copy of a message of an episode that is known to be over.
            State::Firing if !self.firing && self.until.is_some_and(|until| event.started < until) => {
                (self, Change::Stale)
            }
            State::Firing if self.firing => {
                let worse = event.severity > self.severity;
                self.severity = self.severity.max(event.severity);
                // A new episode whose end before was never told.
                self.since = self.since.max(event.started);
                (self, if worse { Change::Worse } else { Change::Again })
            }
            State::Firing => {
                let went_on = self.goes_on();
                self.firing = true;
                self.since = event.started;
                self.severity = if went_on { self.severity.max(event.severity) } else { event.severity };
                self.turn(now, damping, if went_on { Change::Again } else { Change::Began })
            }
            State::Resolved if !self.firing => (self, Change::Stale),
            // The end of an episode before this one.
            State::Resolved if event.ended.is_some_and(|ended| ended < self.since) => (self, Change::Stale),
            State::Resolved => {
                self.firing = false;
                self.until = event.ended.or(Some(now));
                self.turn(now, damping, Change::Over)
            }
        }
    }

    /// Counts a turn; `otherwise` is what changed unless it flaps.
    fn turn(mut self, now: Timestamp, damping: &Damping, otherwise: Change) -> (Trouble, Change) {
        self.turns.retain(|turn| now.duration_since(*turn) < damping.window);
        if self.turns.len() == MOST_TURNS {
            self.turns.remove(0);
        }
        self.turns.push(now);
        let flapped = self.flapping;
        self.flapping |= self.turns.len() >= damping.turns.clamp(2, MOST_TURNS);
        let change = match otherwise {
            Change::Over if flapped => Change::Again,
            Change::Over if self.flapping => Change::Flaps,
            other => other,
        };
        (self, change)
    }

    /// As time passes: what flapped and has not changed for a while has calmed down, this way or that. The change is to be
    /// filed ([`file`](super::file)) as one that a message made.
    pub fn settle(mut self, now: Timestamp, damping: &Damping) -> (Trouble, Option<Change>) {
        let quiet = self.turns.last().is_none_or(|last| now.duration_since(*last) >= damping.calm);
        if !self.flapping || !quiet {
            return (self, None);
        }
        self.flapping = false;
        self.turns.clear();
        let change = if self.firing { Change::Again } else { Change::Over };
        (self, Some(change))
    }
}
