//! The loop breaker (G8): a healing that does not help is not repeated for ever.
//!
//! A [`Brake`] belongs to one rule and one target: one healing at a time, a pause after each, and after three that did not
//! help a block that only a person lifts. [`Caps`] count all rules together: so many healings an hour per workload,
//! namespace and cluster, and per rule wherever it acts.
//!
//! The target is the place of the incident ([`Group`]): that is what shall get well, whatever a rule does for it.

use super::{Group, Refusal};
use crate::{language::ast::Scope, rules::Past};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How much healing is too much. Beside the `limit`s of rules, not instead of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caps {
    /// Between two healings of one target by one rule.
    pub cooldown: SignedDuration,
    /// How long an effective healing must hold; trouble that comes back sooner makes it an ineffective one.
    pub holds: SignedDuration,
    /// Ineffective healings in a row until the rule is blocked for the target.
    pub ineffective: u32,
    /// The caps below count within this.
    pub window: SignedDuration,
    /// Of one workload (or node, or what else incidents are about), by all rules.
    pub workload: usize,
    /// Of one namespace, by all rules.
    pub namespace: usize,
    /// Of one cluster, by all rules.
    pub cluster: usize,
    /// By one rule, everywhere.
    pub rule: usize,
}

impl Default for Caps {
    fn default() -> Caps {
        Caps {
            cooldown: SignedDuration::from_mins(5),
            holds: SignedDuration::from_mins(30),
            ineffective: 3,
            window: SignedDuration::from_hours(1),
            workload: 4,
            namespace: 10,
            cluster: 20,
            rule: 20,
        }
    }
}

/// One healing that was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// By which rule.
    pub rule: String,
    /// Of what.
    pub target: Group,
    /// When it began.
    pub at: Timestamp,
    /// It healed: what `unless healed within` asks for.
    pub healed: bool,
    /// What a request of it did was taken back, because it did not come true.
    #[serde(default)]
    pub rolled_back: bool,
}

/// Of one rule and one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brake {
    /// The rule's title.
    pub rule: String,
    /// What it heals.
    pub target: Group,
    /// When the healing under way began.
    pub under_way: Option<Timestamp>,
    /// When the last one ended, and whether it helped.
    pub last: Option<(Timestamp, bool)>,
    /// In a row.
    pub ineffective: u32,
    /// Since when only a person can let it go on.
    pub blocked: Option<Timestamp>,
    /// Who lifted the last block, and when.
    pub lifted: Option<(String, Timestamp)>,
}

/// Why a rule may not heal a target just now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Braked {
    /// It is at it.
    #[error("a healing of this target by this rule is under way")]
    UnderWay,
    /// It has just tried.
    #[error("it has just tried; the pause ends at {until}")]
    Cooling {
        /// Until then.
        until: Timestamp,
    },
    /// It does not help.
    #[error("blocked since {since}: it did not help {times} times in a row; only a person can unblock it")]
    Blocked {
        /// Since then.
        since: Timestamp,
        /// So often.
        times: u32,
    },
}

/// A cap is reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Capped {
    /// Of what.
    pub scope: Scope,
    /// The cap.
    pub count: usize,
    /// Within this.
    pub window: SignedDuration,
    /// The next may begin then; None when the cap is 0.
    pub until: Option<Timestamp>,
}

impl fmt::Display for Capped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, scope, window) = (self.count, self.scope.word(), self.window);
        match self.until {
            None => write!(f, "no healing is allowed per {scope}"),
            Some(until) => {
                write!(
                    f,
                    "{count} healings per {scope} are allowed within {window:#}; the next is at {until}"
                )
            }
        }
    }
}

impl Brake {
    /// Of a rule that has never healed the target.
    pub fn new(rule: &str, target: Group) -> Brake {
        Brake {
            rule: rule.to_string(),
            target,
            under_way: None,
            last: None,
            ineffective: 0,
            blocked: None,
            lifted: None,
        }
    }

    /// Whether it may heal now, after [`Brake::again`].
    pub fn allows(&self, now: Timestamp, caps: &Caps) -> Result<(), Braked> {
        if let Some(since) = self.blocked {
            return Err(Braked::Blocked { since, times: self.ineffective });
        }
        if self.under_way.is_some() {
            return Err(Braked::UnderWay);
        }
        if let Some((last, _)) = self.last {
            let until = last.saturating_add(caps.cooldown).unwrap_or(Timestamp::MAX);
            if now < until {
                return Err(Braked::Cooling { until });
            }
        }
        Ok(())
    }

    /// The trouble is there again, whether or not the rule will act. When the last healing had helped only just now, it
    /// had not helped; when it held for long enough, the count begins anew. To be stored before [`Brake::begin`].
    pub fn again(self, now: Timestamp, caps: &Caps) -> Brake {
        match self.last {
            Some((at, true)) if now.duration_since(at) < caps.holds => {
                Brake { last: Some((at, false)), ..self }.missed(now, caps)
            }
            Some((_, true)) if self.blocked.is_none() => Brake { ineffective: 0, ..self },
            _ => self,
        }
    }

    /// A healing begins: with the request, not with the run, so that two requests never wait for a click side by side.
    pub fn begin(self, now: Timestamp, caps: &Caps) -> Result<Brake, Braked> {
        let brake = self.again(now, caps);
        brake.allows(now, caps)?;
        Ok(Brake { under_way: Some(now), ..brake })
    }

    /// It ended. Inconclusive counts as not effective; so does a step that failed. Whether an effective one was, shows when
    /// the trouble stays away: see [`Brake::again`].
    pub fn end(self, effective: bool, now: Timestamp, caps: &Caps) -> Result<Brake, Refusal> {
        if self.under_way.is_none() {
            return Err(Refusal::NoHealing);
        }
        let brake = Brake { under_way: None, last: Some((now, effective)), ..self };
        Ok(if effective { brake } else { brake.missed(now, caps) })
    }

    /// It was denied, expired or cancelled: nothing was done and nothing counts, but the pause is kept, so that people
    /// who said no are not asked again at once.
    pub fn abandon(self, now: Timestamp) -> Result<Brake, Refusal> {
        if self.under_way.is_none() {
            return Err(Refusal::NoHealing);
        }
        Ok(Brake { under_way: None, last: Some((now, false)), ..self })
    }

    fn missed(self, now: Timestamp, caps: &Caps) -> Brake {
        let ineffective = self.ineffective.saturating_add(1);
        let blocked = self.blocked.or((ineffective >= caps.ineffective.max(1)).then_some(now));
        Brake { ineffective, blocked, ..self }
    }

    /// A person lets it go on.
    pub fn unblock(self, by: &str, now: Timestamp) -> Result<Brake, Refusal> {
        if self.blocked.is_none() {
            return Err(Refusal::NotBlocked);
        }
        Ok(Brake { blocked: None, ineffective: 0, lifted: Some((by.to_string(), now)), ..self })
    }
}

impl Caps {
    /// The cap that one more healing would exceed; of several the one that lasts longest. `attempts` are all within the
    /// window, of the cluster and of the rule; more do no harm.
    pub fn reached(
        &self,
        rule: &str,
        target: &Group,
        attempts: &[Attempt],
        now: Timestamp,
    ) -> Option<Capped> {
        let capped = Scope::ALL.iter().filter_map(|scope| {
            let count = match scope {
                Scope::Workload => self.workload,
                Scope::Namespace => self.namespace,
                Scope::Cluster => self.cluster,
                Scope::Rule => self.rule,
            };
            let mut times: Vec<Timestamp> = attempts
                .iter()
                .filter(|attempt| counts(*scope, attempt, rule, target))
                .filter(|attempt| now.duration_since(attempt.at) < self.window)
                .map(|attempt| attempt.at)
                .collect();
            times.sort_unstable();
            // When so many of them have left the window, one more fits.
            let leaves = times.len().checked_sub(count)?;
            let until = times.get(leaves).map(|at| at.saturating_add(self.window).unwrap_or(Timestamp::MAX));
            Some(Capped { scope: *scope, count, window: self.window, until })
        });
        capped.max_by_key(|capped| capped.until.unwrap_or(Timestamp::MAX))
    }
}

/// Whether an attempt counts for what the rule would do to the target.
fn counts(scope: Scope, attempt: &Attempt, rule: &str, target: &Group) -> bool {
    let same_cluster = attempt.target.cluster() == target.cluster();
    match scope {
        Scope::Workload => attempt.target == *target,
        Scope::Namespace => {
            same_cluster && target.namespace().is_some() && attempt.target.namespace() == target.namespace()
        }
        Scope::Cluster => same_cluster,
        Scope::Rule => attempt.rule == rule,
    }
}

/// What `unless` and `limit` of a rule look at, from all attempts within its longest window.
pub fn past(rule: &str, target: &Group, attempts: &[Attempt]) -> Past {
    let mut past = Past::default();
    for attempt in attempts.iter().filter(|attempt| attempt.rule == rule) {
        for scope in Scope::ALL.iter().filter(|scope| counts(**scope, attempt, rule, target)) {
            past.asked.entry(*scope).or_default().push(attempt.at);
        }
        if attempt.healed && attempt.target == *target {
            past.healed = past.healed.max(Some(attempt.at));
        }
    }
    past
}
