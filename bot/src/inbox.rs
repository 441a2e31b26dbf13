//! Handles what came in through a door: once, whoever's process dies in between.

use crate::{app::App, card::Card};
use ledger::Inbound;

/// What became of a line or click.
#[derive(Clone, Debug, PartialEq)]
pub enum Handled {
    /// The answer is in the room, or will be in a moment: a request's card, or something said.
    Shown,
    /// Show this to the person alone, now; it is not in the room.
    Private(Card),
}

/// What a door calls for a line or click right after `Ledger::receive` gave it. Marks the event as handled.
pub async fn handle(_app: &App, _inbound: &Inbound) -> Handled {
    todo!()
}
