//! What is done about an incident, once a rule has been judged.

use super::{Braked, Capped, Incident, Silence, Storm};
use crate::rules::{Proposal, Unresolved, Verdict};
use std::fmt;

/// Everything that decides.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// What the rule says.
    pub verdict: &'a Verdict,
    /// What it is about.
    pub incident: &'a Incident,
    /// A silence that covers the event.
    pub silence: Option<&'a Silence>,
    /// The node that hides it.
    pub hidden_by: Option<&'a str>,
    /// The trouble cannot make up its mind.
    pub flapping: bool,
    /// The weather in the cluster.
    pub storm: Storm,
    /// What the brake of rule and target says.
    pub brake: Result<(), &'a Braked>,
    /// A cap that is reached.
    pub capped: Option<&'a Capped>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Reaction<'a> {
    /// Nothing, for this reason.
    Rest(Reason),
    /// Ask at the gate. Policy may let it run at once only when `with_person` is empty.
    Propose {
        /// What to ask for.
        proposal: &'a Proposal,
        /// Why a person must agree, whatever policy says.
        with_person: Vec<Reason>,
    },
    /// Call people, once per incident and reason.
    Escalate(Reason),
}

/// Why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The incident has ended.
    Ended,
    /// A line of the rule does not hold.
    DoesNotApply,
    /// Somebody has asked for silence.
    Silenced {
        /// Who.
        by: String,
    },
    /// The node it runs on is down.
    HiddenBy(String),
    /// Somebody has it.
    TakenOver {
        /// Who.
        by: String,
    },
    /// It was not long ago, or it is at it.
    Braked(Braked),
    /// Too much has been healed lately.
    Capped(Capped),
    /// The event says too little.
    Stuck(Unresolved),
    /// It comes and goes.
    Flapping,
    /// Too much is unhealthy at once.
    Storm,
    /// A condition could not be answered.
    Unknown,
}

/// What to do. What forbids counts before what delays, and that before what asks for a person.
pub fn react<'a>(situation: Situation<'a>) -> Reaction<'a> {
    let rest = |reason| Reaction::Rest(reason);
    if situation.incident.end.is_some() {
        return rest(Reason::Ended);
    }
    if let Some(silence) = situation.silence {
        return rest(Reason::Silenced { by: silence.by.clone() });
    }
    if let Some(node) = situation.hidden_by {
        return rest(Reason::HiddenBy(node.to_string()));
    }
    if let Some((by, _)) = &situation.incident.taken {
        return rest(Reason::TakenOver { by: by.clone() });
    }
    let (proposal, alone) = match situation.verdict {
        Verdict::Not => return rest(Reason::DoesNotApply),
        Verdict::Stuck(unresolved) => return Reaction::Escalate(Reason::Stuck(unresolved.clone())),
        Verdict::Ask { proposal, alone } => (proposal, *alone),
    };
    match situation.brake {
        Err(braked @ Braked::Blocked { .. }) => return Reaction::Escalate(Reason::Braked(braked.clone())),
        Err(braked) => return rest(Reason::Braked(braked.clone())),
        Ok(()) => {}
    }
    if let Some(capped) = situation.capped {
        return rest(Reason::Capped(capped.clone()));
    }
    let with_person = [
        (situation.flapping, Reason::Flapping),
        (!situation.storm.allows_acting_alone(), Reason::Storm),
        (!alone, Reason::Unknown),
    ];
    let with_person = with_person.into_iter().filter(|(holds, _)| *holds).map(|(_, reason)| reason).collect();
    Reaction::Propose { proposal, with_person }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Ended => f.write_str("the incident has ended"),
            Reason::DoesNotApply => f.write_str("the rule does not apply"),
            Reason::Silenced { by } => write!(f, "silenced by {by}"),
            Reason::HiddenBy(node) => write!(f, "node {node} is down"),
            Reason::TakenOver { by } => write!(f, "{by} has taken it over"),
            Reason::Braked(braked) => braked.fmt(f),
            Reason::Capped(capped) => capped.fmt(f),
            Reason::Stuck(unresolved) => unresolved.fmt(f),
            Reason::Flapping => f.write_str("it comes and goes"),
            Reason::Storm => f.write_str("too much is unhealthy at once"),
            Reason::Unknown => f.write_str("not every condition could be answered"),
        }
    }
}
