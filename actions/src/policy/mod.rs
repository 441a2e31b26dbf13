//! Policy: a pure function of `(who, plan, facts, now)`. One TOML file, compiled once, hot-reloaded; a bad file is refused
//! with line and column, and the old one stays in force. `docs/POLICY.md` is the reference for its readers.

mod check;
mod condition;
mod decide;
mod file;
mod freeze;
mod handle;
mod read;
mod rule;
mod source;
mod vocabulary;

pub(crate) use check::which;
pub use decide::DEFAULT_RULE;
pub(crate) use decide::refused_by;
pub use handle::PolicyHandle;

use crate::catalogue::catalogue;
use jiff::Timestamp;
use ledger::{Activity, Actor, Ask, Decision, Person, Plan};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// Who an identity is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// The human.
    pub person: Person,
    /// Their groups.
    pub groups: Vec<String>,
}

/// A compiled policy file.
pub struct Policy {
    version: String,
    contact: Option<String>,
    zone: chrono_tz::Tz,
    members: Vec<read::Member>,
    by_identity: HashMap<Actor, usize>,
    rules: Vec<rule::Rule>,
    freezes: Vec<freeze::Freeze>,
    caps: Vec<rule::Cap>,
    env: Arc<cel::Env>,
}

/// Why a file is not a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct PolicyError {
    /// Path as given.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong and what would be right.
    pub message: String,
}

/// All that policy may look at, as values.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// Who asks.
    pub who: &'a Who,
    /// What was asked.
    pub ask: &'a Ask,
    /// What would happen.
    pub plan: &'a Plan,
    /// The cluster's labels.
    pub cluster_labels: &'a BTreeMap<String, String>,
    /// Counts for caps, without this request itself when its plan is made anew.
    pub activity: &'a Activity,
    /// Now.
    pub now: Timestamp,
}

/// A decision and how it came about, rule by rule, for `policy explain` and the card's details.
#[derive(Clone, Debug, PartialEq)]
pub struct Explained {
    /// What policy says.
    pub decision: Decision,
    /// One line per freeze, cap and rule looked at: `rule "prod needs two": matched: cluster.labels.production == "true"`.
    pub trace: Vec<String>,
}

/// `alert:*` stands for every alert; people and scripts are always named.
fn every(actor: &Actor) -> Option<Actor> {
    let kind = actor.kind();
    matches!(kind, "alert" | "schedule" | "forecast").then(|| format!("{kind}:*").parse().ok()).flatten()
}

impl Policy {
    /// Parses and compiles; `file` is for messages only.
    pub fn parse(file: &str, text: &str) -> Result<Policy, PolicyError> {
        let source = source::Source { file, text };
        let actions: Vec<&str> = catalogue().iter().map(|action| action.name()).collect();
        condition::with_big_stack(|| read::read(&source, &actions)).unwrap_or_else(|| {
            Err(source.error(0, "the policy file could not be read to its end; please report this as a bug"))
        })
    }

    /// Content hash, hex, first 12.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Whether the file names them as a machine.
    pub fn is_machine(&self, person: &Person) -> bool {
        self.members.iter().any(|member| member.person == *person && !member.human)
    }

    /// Whom a stranger should ask, in the file's own words.
    pub fn contact(&self) -> Option<&str> {
        self.contact.as_deref()
    }

    /// None: a stranger.
    pub fn who(&self, actor: &Actor) -> Option<Who> {
        let index = self.by_identity.get(actor).or_else(|| self.by_identity.get(&every(actor)?))?;
        let member = &self.members[*index];
        Some(Who { person: member.person.clone(), groups: member.groups.clone() })
    }

    /// Somebody by name, for an identity that they linked themselves. None: the file does not name them.
    pub fn person(&self, person: &Person) -> Option<Who> {
        let member = self.members.iter().find(|member| member.person == *person)?;
        Some(Who { person: member.person.clone(), groups: member.groups.clone() })
    }

    /// All people and machines with their identities and groups, for sign-in pages and `petrel check`.
    pub fn people(&self) -> Vec<(Person, Vec<Actor>, Vec<String>)> {
        let members = self.members.iter();
        members
            .map(|member| (member.person.clone(), member.identities.clone(), member.groups.clone()))
            .collect()
    }
}
