//! An incident: what belongs to it, what was tried, and how it ended.

use super::{Change, Group, Refusal, Trouble};
use crate::event::Severity;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Names of troubles that an incident shows.
const MOST_NAMES: usize = 50;

/// Which incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IncidentId(pub Uuid);

/// Trouble at one place, from its first event to its end. It ends once, and nothing changes it afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Which one.
    pub id: IncidentId,
    /// Where.
    pub group: Group,
    /// The worst that was told.
    pub severity: Severity,
    /// How many troubles belong or belonged to it. Which ones, the troubles know: an incident of ten thousand alerts is
    /// as small as one of one.
    pub troubles: u64,
    /// How many of them go on.
    pub going_on: u64,
    /// What they are called; of too many, the first ones.
    pub names: BTreeSet<String>,
    /// Who said "I have it", and when. Nothing is done automatically then.
    pub taken: Option<(String, Timestamp)>,
    /// Whom it was escalated to.
    pub escalated: Option<String>,
    /// What was tried, in order.
    pub healings: Vec<Healing>,
    /// How it ended.
    pub end: Option<End>,
    /// When what happened.
    pub times: Times,
}

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Healing {
    /// By which rule.
    pub rule: String,
    /// The request at the gate.
    pub request: Uuid,
    /// When it was asked for.
    pub asked: Timestamp,
    /// What came of it; None while it is under way.
    pub result: Option<Result>,
}

/// What came of a healing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Result {
    /// Done and verified.
    Effective,
    /// Done, and it did not help; or not done to the end.
    Ineffective,
    /// Denied, expired or cancelled: nothing was done.
    NotDone,
}

/// How an incident ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// By a healing that was verified.
    Healed {
        /// Its request.
        request: Uuid,
    },
    /// Somebody had taken it over.
    TakenOver {
        /// Who.
        by: String,
    },
    /// People were called.
    Escalated {
        /// Which room.
        to: String,
    },
    /// By itself.
    Itself,
}

/// When what happened, for "how long did it take".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// The first event says that it began then.
    pub began: Timestamp,
    /// It was heard of.
    pub detected: Timestamp,
    /// Something was first asked for.
    pub proposed: Option<Timestamp>,
    /// The first of it was agreed to.
    pub approved: Option<Timestamp>,
    /// The first of it was begun.
    pub acted: Option<Timestamp>,
    /// It was over.
    pub recovered: Option<Timestamp>,
}

type Changed = std::result::Result<Incident, Refusal>;

impl Incident {
    /// For a trouble that began and finds no open incident in its group.
    fn open(id: IncidentId, group: Group, began: Timestamp, now: Timestamp) -> Incident {
        let times =
            Times { began, detected: now, proposed: None, approved: None, acted: None, recovered: None };
        Incident {
            id,
            group,
            severity: Severity::INFORMATION,
            troubles: 0,
            going_on: 0,
            names: BTreeSet::new(),
            taken: None,
            escalated: None,
            healings: Vec::new(),
            end: None,
            times,
        }
    }

    /// With what a message has changed; the last trouble that ends, ends the incident.
    fn hear(mut self, trouble: &Trouble, change: Change, now: Timestamp) -> Incident {
        self.severity = self.severity.max(trouble.severity);
        match change {
            Change::Began => {
                self.going_on += 1;
                self.troubles += u64::from(trouble.incident != Some(self.id));
                if self.names.len() < MOST_NAMES {
                    self.names.insert(trouble.name.clone());
                }
                self
            }
            Change::Over => {
                self.going_on = self.going_on.saturating_sub(1);
                self.maybe_over(now)
            }
            Change::Again | Change::Worse | Change::Flaps | Change::Stale => self,
        }
    }

    fn not_ended(self) -> Changed {
        if self.end.is_some() { Err(Refusal::Ended) } else { Ok(self) }
    }

    fn maybe_over(mut self, now: Timestamp) -> Incident {
        // While something is being done, its verification says whether that was what helped.
        let under_way = self.healings.iter().any(|healing| healing.result.is_none());
        if self.going_on > 0 || under_way {
            return self;
        }
        let healed = self.healings.iter().rev().find(|healing| healing.result != Some(Result::NotDone));
        self.end = Some(match (healed, &self.taken, &self.escalated) {
            (_, Some((by, _)), _) => End::TakenOver { by: by.clone() },
            (Some(Healing { request, result: Some(Result::Effective), .. }), ..) => {
                End::Healed { request: *request }
            }
            (_, None, Some(to)) => End::Escalated { to: to.clone() },
            (_, None, None) => End::Itself,
        });
        self.times.recovered = Some(now);
        self
    }

    /// "I have it": nothing is done automatically from now on.
    pub fn take(self, by: &str, now: Timestamp) -> Changed {
        let mut incident = self.not_ended()?;
        if let Some((by, _)) = incident.taken {
            return Err(Refusal::Taken { by });
        }
        incident.taken = Some((by.to_string(), now));
        Ok(incident)
    }

    /// "I have it no longer."
    pub fn give_back(self) -> Changed {
        let mut incident = self.not_ended()?;
        incident.taken.take().ok_or(Refusal::NotTaken)?;
        Ok(incident)
    }

    /// A rule has asked for something.
    pub fn proposed(self, rule: &str, request: Uuid, now: Timestamp) -> Changed {
        let mut incident = self.not_ended()?;
        incident.healings.push(Healing { rule: rule.to_string(), request, asked: now, result: None });
        incident.times.proposed.get_or_insert(now);
        Ok(incident)
    }

    /// It was agreed to.
    pub fn approved(self, request: Uuid, now: Timestamp) -> Changed {
        let mut incident = self.under_way(request)?;
        incident.times.approved.get_or_insert(now);
        Ok(incident)
    }

    /// It was begun.
    pub fn acted(self, request: Uuid, now: Timestamp) -> Changed {
        let mut incident = self.under_way(request)?;
        incident.times.acted.get_or_insert(now);
        Ok(incident)
    }

    /// What came of it. When its troubles are over by then, so is the incident.
    pub fn concluded(self, request: Uuid, result: Result, now: Timestamp) -> Changed {
        let mut incident = self.under_way(request)?;
        for healing in incident.healings.iter_mut().filter(|healing| healing.request == request) {
            healing.result = Some(result);
        }
        Ok(incident.maybe_over(now))
    }

    fn under_way(self, request: Uuid) -> Changed {
        let incident = self.not_ended()?;
        if incident.healings.iter().any(|healing| healing.request == request && healing.result.is_none()) {
            return Ok(incident);
        }
        Err(Refusal::NoHealing)
    }

    /// People were called.
    pub fn escalate(self, to: &str) -> Changed {
        let mut incident = self.not_ended()?;
        incident.escalated = Some(to.to_string());
        Ok(incident)
    }
}

/// What a change of a trouble means for incidents: the trouble, which knows its incident then, and the incident as it is
/// to be stored, if it changed. `open` is the one that the trouble belongs to while that is open, else the open one of
/// its group; a new one gets `fresh` as its id. To be stored together with the trouble, or a change would count twice or
/// never.
pub fn file(
    trouble: Trouble,
    change: Change,
    open: Option<Incident>,
    group: Group,
    fresh: IncidentId,
    now: Timestamp,
) -> (Trouble, Option<Incident>) {
    let open = open.filter(|incident| incident.end.is_none());
    match (change, open) {
        (Change::Stale, _) => (trouble, None),
        (Change::Began, open) => {
            let incident = open.unwrap_or_else(|| Incident::open(fresh, group, trouble.since, now));
            let incident = incident.hear(&trouble, change, now);
            (Trouble { incident: Some(incident.id), ..trouble }, Some(incident))
        }
        (_, Some(incident)) if trouble.incident == Some(incident.id) => {
            let incident = incident.hear(&trouble, change, now);
            (trouble, Some(incident))
        }
        // It belonged to one that has ended, or to another: nothing here changes by it.
        (_, _) => (trouble, None),
    }
}
