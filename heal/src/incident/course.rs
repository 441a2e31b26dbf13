//! What a rule is doing about an incident: its steps, one after the other, then `verify`, and `else` where that is needed.
//!
//! A course is stored before any of its steps is begun, and each step that asks the gate has the id of its request by then:
//! whoever finds the course after a crash asks for the same request again, and the gate knows it.

use super::HealingResult;
use crate::{
    event::Fingerprint,
    language::ast::Verify,
    rules::{Proposal, Proposed},
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Steps that go to people and not to the gate.
const TO_PEOPLE: [&str; 2] = ["notify", "escalate"];

/// What is remembered of an incident besides itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Handling {
    /// What a rule is doing about it.
    pub course: Option<Course>,
    /// Why nothing (more) is being done just now, for people.
    pub note: Option<String>,
    /// No rule does anything more about this incident, for this reason: people said no, or all was said.
    pub rests: Option<String>,
    /// What people have been called for; each is said once.
    pub called: BTreeSet<String>,
    /// The request shown with the incident: the last one.
    pub request: Option<Uuid>,
    /// The event that opened it, with the workload it is about: what changed rules are tried on.
    pub event: Option<crate::event::Event>,
    /// What was seen of the trouble itself; None: nobody has looked yet.
    pub seen: Option<Seen>,
    /// What the card shows of the event: summary, links.
    pub evidence: Vec<crate::event::Evidence>,
}

/// What was seen of the trouble, in the cluster and in its metrics, soon after it was noticed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// When.
    pub at: Timestamp,
    /// The pod whose log this is.
    pub pod: Option<String>,
    /// Its last lines.
    pub log: Vec<String>,
    /// What the cluster said: `BackOff: Back-off restarting failed container`.
    pub reasons: Vec<String>,
    /// There is a picture under the incident's id; what is to be seen in it.
    pub picture: Option<String>,
}

impl Seen {
    /// Nothing.
    pub fn none(at: Timestamp) -> Seen {
        Seen { at, pod: None, log: Vec::new(), reasons: Vec::new(), picture: None }
    }
}

/// One rule at work on one incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Course {
    /// Of this attempt; the id of its first request.
    pub id: Uuid,
    /// The rule's title.
    pub rule: String,
    /// Version of the rules that began it: a reload does not change a course that is under way.
    pub version: String,
    /// The trouble that the rule was held against.
    pub fingerprint: Fingerprint,
    /// What it does.
    pub then: Vec<Proposed>,
    /// How it is known that it helped.
    pub verify: Option<Verify>,
    /// What it does when it did not.
    pub otherwise: Vec<Proposed>,
    /// Why a person must agree, whatever policy says.
    pub with_person: Option<String>,
    /// In `else`.
    pub failed: bool,
    /// Which step of `then` or `else`.
    pub step: usize,
    /// What that step waits for.
    pub task: Task,
    /// Something was done to the cluster.
    pub acted: bool,
    /// A request of it did not come true and was taken back.
    #[serde(default)]
    pub rolled_back: bool,
}

/// What is to be done now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Ask the gate for the step under this id, and wait until that request has ended.
    Ask {
        /// The request's id.
        request: Uuid,
    },
    /// Write to people.
    Tell,
    /// Do nothing until then.
    Wait {
        /// Until then.
        until: Timestamp,
    },
    /// Look whether it helped, until then.
    Verify {
        /// Until then.
        until: Timestamp,
    },
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepEnd {
    /// Done.
    Done,
    /// It was so already.
    Nothing,
    /// It did not work, or it is not known whether it did.
    Failed,
    /// Denied, expired, cancelled or refused: people or policy said no.
    NotDone,
}

/// What follows.
#[allow(clippy::large_enum_variant, reason = "one per step, and gone at once")]
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Another task.
    Go(Course),
    /// Nothing.
    Over(HealingResult),
}

impl Course {
    /// The first step. `fresh` is the id of the first request, should there be one. Next::Over: there is nothing to do.
    pub fn begin(
        rule: &str,
        version: &str,
        fingerprint: Fingerprint,
        proposal: &Proposal,
        with_person: Option<String>,
        fresh: Uuid,
        now: Timestamp,
    ) -> Next {
        Course {
            id: fresh,
            rule: rule.to_string(),
            version: version.to_string(),
            fingerprint,
            then: proposal.then.clone(),
            verify: proposal.verify.clone(),
            otherwise: proposal.otherwise.clone(),
            with_person,
            failed: false,
            step: 0,
            task: Task::Tell,
            acted: false,
            rolled_back: false,
        }
        .enter(fresh, now)
    }

    /// Whether it asks the gate for anything: only then it is a healing, which brakes and caps count.
    pub fn heals(&self) -> bool {
        self.then.iter().any(|step| matches!(step, Proposed::Action { action, .. } if asks(action)))
    }

    /// The step that is at work; None while it verifies.
    pub fn current(&self) -> Option<&Proposed> {
        let list = if self.failed { &self.otherwise } else { &self.then };
        list.get(self.step)
    }

    /// The step has ended.
    pub fn ended(mut self, end: StepEnd, fresh: Uuid, now: Timestamp) -> Next {
        let asked = matches!(self.task, Task::Ask { .. });
        match end {
            StepEnd::NotDone if !self.failed => {
                Next::Over(if self.acted { HealingResult::Ineffective } else { HealingResult::NotDone })
            }
            StepEnd::Failed if !self.failed => {
                // What failed may have done something.
                self.acted |= asked;
                self.give_up(fresh, now)
            }
            // In `else` the next step is tried whatever became of this one: people are usually called last.
            StepEnd::Done | StepEnd::Nothing | StepEnd::Failed | StepEnd::NotDone => {
                self.acted |= asked && !matches!(end, StepEnd::NotDone | StepEnd::Nothing);
                self.step += 1;
                self.enter(fresh, now)
            }
        }
    }

    /// While it verifies: `holds` is whether all conditions hold now; what could not be answered does not.
    pub fn verified(self, holds: bool, fresh: Uuid, now: Timestamp) -> Next {
        match self.task {
            Task::Verify { .. } if holds && self.heals() && !self.acted => Next::Over(HealingResult::NotDone),
            Task::Verify { .. } if holds => Next::Over(HealingResult::Effective),
            Task::Verify { until } if now >= until => self.give_up(fresh, now),
            _ => Next::Go(self),
        }
    }

    fn give_up(mut self, fresh: Uuid, now: Timestamp) -> Next {
        (self.failed, self.step) = (true, 0);
        self.enter(fresh, now)
    }

    fn enter(mut self, fresh: Uuid, now: Timestamp) -> Next {
        let later = |length| {
            let length = SignedDuration::try_from(length).unwrap_or(SignedDuration::MAX);
            now.saturating_add(length).unwrap_or(Timestamp::MAX)
        };
        self.task = match (self.current(), &self.verify) {
            (Some(Proposed::Wait(length)), _) => Task::Wait { until: later(*length) },
            (Some(Proposed::Action { action, .. }), _) if asks(action) => Task::Ask { request: fresh },
            (Some(Proposed::Action { .. }), _) => Task::Tell,
            (None, _) if self.failed => return Next::Over(HealingResult::Ineffective),
            (None, Some(verify)) => Task::Verify { until: later(verify.within.value) },
            // Each request has verified its own effect; where none was needed, nothing has healed it.
            (None, None) if self.heals() && !self.acted => return Next::Over(HealingResult::NotDone),
            (None, None) => return Next::Over(HealingResult::Effective),
        };
        Next::Go(self)
    }
}

fn asks(action: &str) -> bool {
    !TO_PEOPLE.contains(&action)
}
