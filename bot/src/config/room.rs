//! `[[room]]`: what is special about a chat room, on whichever platform.

use crate::grammar;
pub use ledger::Notice;
use ledger::Place;
use serde::Deserialize;
use std::collections::BTreeSet;

/// A chat room. Rooms of Slack and Discord need not be listed: one that is not has no defaults, hears no notices, and takes
/// every command. The console has those that are listed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Room {
    /// `console:ops`, `slack:T1:C9`, `discord:G1:C7`.
    pub place: Place,
    /// Meant when a command has no `-c`. The card always shows it.
    pub cluster: Option<String>,
    /// Meant when a command has no `-n`.
    pub namespace: Option<String>,
    /// What may be typed here; None: everything. Help and the like always may.
    pub commands: Option<BTreeSet<String>>,
    /// What is also posted here, whoever asked and wherever.
    #[serde(default = "loud")]
    pub notices: BTreeSet<Notice>,
    /// Only for these clusters; None: for all.
    pub notice_clusters: Option<BTreeSet<String>>,
}

/// What nobody should miss is posted unless the room says otherwise.
fn loud() -> BTreeSet<Notice> {
    BTreeSet::from([Notice::BreakGlass, Notice::Unknown])
}

impl Room {
    /// A room of the console with nothing special.
    pub(super) fn console(name: &str) -> Room {
        let place = Place(format!("console:{name}"));
        Room { place, cluster: None, namespace: None, commands: None, notices: loud(), notice_clusters: None }
    }

    /// The platform's own name of it: `ops`.
    pub fn name(&self) -> &str {
        self.place.room()
    }

    /// May this be typed here? `help` and what else is about Petrel itself always may.
    pub fn takes(&self, command: &str) -> bool {
        self.commands.as_ref().is_none_or(|commands| commands.contains(command)) || grammar::is_about(command)
    }

    /// Is this notice of that cluster posted here?
    pub fn hears(&self, notice: Notice, cluster: &str) -> bool {
        self.notices.contains(&notice)
            && self.notice_clusters.as_ref().is_none_or(|clusters| clusters.contains(cluster))
    }

    pub(super) fn check(&self, clusters: &BTreeSet<&str>) -> Result<(), String> {
        let place = &self.place;
        let wrong = |why: String| Err(format!("room {place}: {why}"));
        let id =
            |part: &str| (1..=64).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric());
        let fits = match place.platform() {
            "console" => super::file::is_name(place.room()),
            "slack" | "discord" => {
                place.room().split_once(':').is_some_and(|(server, room)| id(server) && id(room))
            }
            _ => false,
        };
        if !fits {
            return wrong(
                "a place is console:name, slack:workspace:channel or discord:guild:channel, by their ids, such as \
                 console:ops or slack:T024BE7LD:C061EG9SL"
                    .into(),
            );
        }
        let named = self.cluster.iter().chain(self.notice_clusters.iter().flatten());
        for cluster in named {
            if !clusters.contains(cluster.as_str()) {
                return wrong(format!("there is no [[cluster]] named {cluster}"));
            }
        }
        for command in self.commands.iter().flatten() {
            if !grammar::is_command(command) {
                return wrong(format!("there is no command {command}; `petrel docs commands` lists them"));
            }
        }
        Ok(())
    }
}
