//! Who asked.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// An identity as one platform knows it: `slack:T1:U2`, `discord:G1:U2`, `console:ann`, `api:ci`, `alert:HighCPU`,
/// `schedule:nightly`, `forecast:checkout`. Immutable platform ids only, never a display name or an e-mail address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Actor(String);

/// Why a text is not an actor.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is not an actor; write kind:name, such as console:ann or slack:T1:U2")]
pub struct NotAnActor(String);

impl Actor {
    /// What kind of identity: `slack`, `discord`, `console`, `api`, `alert`, `schedule`, `forecast`.
    pub fn kind(&self) -> &str {
        self.0.split_once(':').map_or("", |(kind, _)| kind)
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Actor {
    type Err = NotAnActor;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || NotAnActor(text.chars().take(80).collect());
        let (kind, name) = text.split_once(':').ok_or_else(wrong)?;
        let kind_ok = !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_lowercase());
        let name_ok = !name.is_empty() && text.len() <= 200 && name.chars().all(|c| c.is_ascii_graphic());
        if kind_ok && name_ok { Ok(Self(text.to_string())) } else { Err(wrong()) }
    }
}

impl TryFrom<String> for Actor {
    type Error = NotAnActor;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Actor> for String {
    fn from(actor: Actor) -> Self {
        actor.0
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One human, named once in the policy file, with several actor identities, groups and roles.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Person(pub String);

impl fmt::Display for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
