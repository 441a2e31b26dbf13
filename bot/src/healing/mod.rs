//! The shell around the pure crate `heal`: events are folded into incidents ([`fold`]), it is looked whether it storms ([`weather`]), and something is done about incidents
//! ([`steward`]): conditions are asked ([`condition`]), it is decided ([`decide`]), requests go through the gate (`step.rs`,
//! in the words of `typed.rs`), and what follows from their ends is written (`outcome.rs`).
//! People take incidents over, silence them and unblock rules ([`person`]).
//!
//! A rule never acts: it asks at the gate as `alert:<name>`, and policy decides. Everything is stored before it is begun, so that
//! whoever takes over after a crash goes on where the dead one was.

pub mod condition;
pub mod decide;
mod evidence;
pub mod fold;
pub mod known;
mod outcome;
mod owners;
pub mod person;
mod rules;
mod step;
pub mod steward;
mod typed;
pub mod weather;

pub use owners::Owners;
pub use rules::{RulesError, RulesHandle, catalogue, read};

use crate::{app::App, config::Notice};
use heal::event::Event;
use ledger::{Actor, LedgerError, Place};
use tokio_util::task::TaskTracker;

/// Starts the workers of one replica.
pub fn start(app: &App, tasks: &TaskTracker) {
    let (heard, clusters) = tokio::sync::mpsc::unbounded_channel();
    tasks.spawn(fold::work(app.clone(), heard));
    tasks.spawn(weather::work(app.clone(), clusters));
    tasks.spawn(steward::work(app.clone()));
    let (rules, stop) = (app.rules.clone(), app.stop.clone());
    tasks.spawn(async move { rules.watch(stop).await });
}

/// Where incidents of a cluster are shown, and people of it called.
pub fn rooms(app: &App, cluster: Option<&str>) -> Vec<Place> {
    app.config.hearing(Notice::Incidents, cluster.unwrap_or_default()).cloned().collect()
}

/// The room that a rule calls by this name: one of `[heal.rooms]`, a place as it is, or where incidents are shown.
pub fn room(app: &App, name: &str, cluster: Option<&str>) -> Vec<Place> {
    if let Some(place) = app.config.heal.rooms.get(name) {
        return vec![place.clone()];
    }
    let place = Place(name.to_string());
    if app.config.room(&place).is_some() { vec![place] } else { rooms(app, cluster) }
}

/// Who asks for what a rule says about this event. Names come from outside: what no actor may be called by becomes `_`.
pub fn actor(event_name: &str) -> Actor {
    let name: String =
        event_name.chars().take(150).map(|c| if c.is_ascii_graphic() { c } else { '_' }).collect();
    let name = if name.is_empty() { "unnamed".to_string() } else { name };
    // Graphic letters, at most 200: this is an actor.
    format!("alert:{name}").parse().unwrap_or_else(|_| unreachable!("every such text is an actor"))
}

/// A value that the ledger keeps and does not understand.
fn read_json<T: serde::de::DeserializeOwned>(
    what: &'static str,
    value: serde_json::Value,
) -> Result<T, LedgerError> {
    serde_json::from_value(value).map_err(|error| LedgerError::Corrupt { what, why: error.to_string() })
}

/// As the ledger keeps it. Texts, numbers and lists: there is nothing in there that JSON cannot say.
fn json<T: serde::Serialize>(value: &T) -> serde_json::Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// In one line, for cards and the record.
fn headline(event: &Event) -> String {
    let words = event.evidence.iter().find(|evidence| !evidence.link).map(|evidence| evidence.text.as_str());
    words.unwrap_or(&event.name).chars().take(200).collect()
}
