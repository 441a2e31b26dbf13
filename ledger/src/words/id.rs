//! Newtype ids, all UUIDv7, so that they sort by the time they were made.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id, ordered after all that were made before it.
            #[allow(clippy::new_without_default)]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// The eight characters that people read and type. A UUIDv7 begins with its time, so the random tail
            /// is what tells two of them apart.
            pub fn short(&self) -> String {
                let text = self.0.simple().to_string();
                text[text.len() - 8..].to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Ok(Self(Uuid::from_str(text)?))
            }
        }
    };
}

id!(
    /// One ask for one action.
    RequestId
);
id!(
    /// One execution of an approved plan.
    RunId
);
id!(
    /// One card, shown in one or more places.
    CardId
);
id!(
    /// One line or click that came in through a door.
    InboxId
);
id!(
    /// Trouble at one place.
    IncidentId
);
id!(
    /// A picture on cards.
    PictureId
);
