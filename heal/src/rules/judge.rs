//! Whether a rule applies, and why.

use super::{Proposal, Rule, Unresolved, predicate};
use crate::{
    event::{Event, State},
    language::{ast::Scope, condition_text, show_duration, shown},
};
use jiff::Timestamp;
use std::{collections::BTreeMap, fmt, time::Duration};

/// What somebody who looked has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Yes,
    /// It does not.
    No,
    /// It cannot be told. Never counts as yes.
    Unknown,
}

impl From<bool> for Outcome {
    fn from(holds: bool) -> Outcome {
        if holds { Outcome::Yes } else { Outcome::No }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Outcome::Yes => "yes",
            Outcome::No => "no",
            Outcome::Unknown => "unknown",
        })
    }
}

/// One line of a rule, held against the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// As it was written.
    pub text: String,
    /// Whether it holds.
    pub outcome: Outcome,
    /// What was found; may be empty.
    pub why: String,
}

impl Look {
    pub(super) fn new(text: String, outcome: Outcome, why: impl Into<String>) -> Look {
        Look { text, outcome, why: why.into() }
    }
}

/// The answer to one `when` condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether it holds.
    pub outcome: Outcome,
    /// What was measured, or why nothing could be.
    pub why: String,
}

/// When this rule has acted before, on what the event is about. Only what lies within the longest window of the
/// rule needs to be there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// When it last healed the same target.
    pub healed: Option<Timestamp>,
    /// When it asked for something: for the same workload, the same namespace, the same cluster, anywhere.
    pub asked: BTreeMap<Scope, Vec<Timestamp>>,
}

/// Everything a judgement rests on besides rule and event.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// One per `when`, in order. What is missing counts as not asked, and so as unknown.
    pub answers: &'a [Answer],
    /// Of this rule.
    pub past: &'a Past,
    /// How many replicas the workload has, where that is known.
    pub replicas: Option<u32>,
    /// For windows of time.
    pub now: Timestamp,
}

/// What comes of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It does not apply; the next rule is tried.
    Not,
    /// It applies and asks for this. When `alone` is false, something was unknown, and a person must agree whatever policy
    /// says.
    Ask {
        /// Steps, verification, else.
        proposal: Proposal,
        /// Whether policy may let it run at once.
        alone: bool,
    },
    /// It applies, but the event does not say enough to act on. No other rule is tried.
    Stuck(Unresolved),
}

/// A rule held against an event, line by line.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The rule's title.
    pub rule: String,
    /// Where it stands: `shop.heal:12`.
    pub place: String,
    /// In the order of the rule.
    pub looks: Vec<Look>,
    /// What comes of it.
    pub verdict: Verdict,
}

impl Rule {
    /// Whether the rule applies to the event, with every reason.
    pub fn judge(&self, event: &Event, known: Known<'_>) -> Judgement {
        let looks = self.looks(event, known);
        let any = |outcome| looks.iter().any(|look| look.outcome == outcome);
        let verdict = if any(Outcome::No) {
            Verdict::Not
        } else {
            match self.propose(event, known.replicas) {
                Ok(proposal) => Verdict::Ask { proposal, alone: !any(Outcome::Unknown) },
                Err(unresolved) => Verdict::Stuck(unresolved),
            }
        };
        Judgement { rule: self.title.clone(), place: self.place.clone(), looks, verdict }
    }

    fn looks(&self, event: &Event, known: Known<'_>) -> Vec<Look> {
        let rule = &self.text;
        let on = &rule.on.value;
        let same = on.origin.value == event.origin && on.name.value == event.name;
        let listens = format!("on {} \"{}\"", on.origin.value.word(), shown(&on.name.value));
        let is = format!("it is {} \"{}\"", event.origin.word(), shown(&event.name));
        let mut looks = vec![Look::new(listens, same.into(), if same { String::new() } else { is })];
        if event.state == State::Resolved {
            looks.push(Look::new("it goes on".into(), Outcome::No, "it is resolved"));
        }
        looks.extend(on.filter.iter().flat_map(|filter| predicate::explain(filter, event)));
        for (place, condition) in rule.when.iter().enumerate() {
            let text = format!("when {}", condition_text(&condition.value));
            looks.push(match known.answers.get(place) {
                Some(answer) => Look::new(text, answer.outcome, answer.why.clone()),
                None => Look::new(text, Outcome::Unknown, "not asked"),
            });
        }
        if let Some(unless) = &rule.unless {
            looks.push(unless_healed(unless.value.value, known));
        }
        looks.extend(rule.limits.iter().map(|limit| {
            let limit = &limit.value;
            let (count, scope) = (limit.count.value as usize, limit.scope.value);
            let asked = known.past.asked.get(&scope).map_or(&[][..], Vec::as_slice);
            let used = asked.iter().filter(|at| lies_within(**at, limit.per.value, known.now)).count();
            let text = format!("limit {count} per {} per {}", show_duration(limit.per.value), scope.word());
            Look::new(text, (used < count).into(), format!("{used} of {count} used"))
        }));
        looks
    }
}

fn unless_healed(within: Duration, known: Known<'_>) -> Look {
    let text = format!("unless healed within {}", show_duration(within));
    match known.past.healed {
        None => Look::new(text, Outcome::Yes, "it has not been healed before"),
        Some(healed) => {
            let ago = Duration::from_secs(known.now.duration_since(healed).as_secs().max(0).unsigned_abs());
            let why = format!("it was healed {} ago", show_duration(ago));
            Look::new(text, (!lies_within(healed, within, known.now)).into(), why)
        }
    }
}

/// A clock that went back makes the past look like the future; that counts as just now.
fn lies_within(at: Timestamp, window: Duration, now: Timestamp) -> bool {
    now.duration_since(at) < jiff::SignedDuration::try_from(window).unwrap_or(jiff::SignedDuration::MAX)
}

impl fmt::Display for Judgement {
    /// As `petrel heal test` prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "rule \"{}\" ({})", shown(&self.rule), self.place)?;
        for look in &self.looks {
            write!(f, "  {:<7} {}", look.outcome.to_string(), look.text)?;
            if !look.why.is_empty() {
                write!(f, "  ({})", look.why)?;
            }
            writeln!(f)?;
        }
        match &self.verdict {
            Verdict::Not => writeln!(f, "  so it does not apply"),
            Verdict::Stuck(unresolved) => writeln!(f, "  so it applies, but {unresolved}"),
            Verdict::Ask { proposal, alone } => {
                let how = if *alone {
                    "as policy decides"
                } else {
                    "and a person must agree, because not all is known"
                };
                writeln!(f, "  so it would ask for this, {how}:")?;
                for (place, step) in proposal.then.iter().enumerate() {
                    writeln!(f, "    {}. {step}", place + 1)?;
                }
                if let Some(verify) = &proposal.verify {
                    let within = show_duration(verify.within.value);
                    writeln!(f, "  then verify within {within}: {}", verify.shown().join(", "))?;
                }
                if !proposal.otherwise.is_empty() {
                    writeln!(f, "  and if that does not come true:")?;
                }
                for (place, step) in proposal.otherwise.iter().enumerate() {
                    writeln!(f, "    {}. {step}", place + 1)?;
                }
                Ok(())
            }
        }
    }
}
