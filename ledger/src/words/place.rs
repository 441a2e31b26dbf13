//! Where a card is shown.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A room on a chat platform: `console:ops`, `slack:T1:C9`, `discord:G1:C7`. The part before the first colon names
/// the platform, the rest is that platform's own immutable id of the room.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Place(pub String);

impl Place {
    /// The platform that must deliver here.
    pub fn platform(&self) -> &str {
        self.0.split_once(':').map_or(self.0.as_str(), |(platform, _)| platform)
    }

    /// The platform's id of the room.
    pub fn room(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, room)| room)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
