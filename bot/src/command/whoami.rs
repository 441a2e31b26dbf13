//! `whoami`: who Petrel takes you for.

use super::Command;
use crate::{
    app::App,
    card::{Card, Tone},
    grammar::OwnLine,
    line::{Caller, Reply},
};
use futures::future::BoxFuture;
use ledger::LedgerError;

/// See the module.
pub struct WhoAmI;

impl Command for WhoAmI {
    fn name(&self) -> &'static str {
        "whoami"
    }

    fn group(&self) -> &'static str {
        "About"
    }

    fn command(&self) -> clap::Command {
        clap::Command::new("whoami")
            .about("Who Petrel takes you for, and your groups")
            .after_help("Example: whoami")
    }

    fn is_private(&self) -> bool {
        true
    }

    fn run<'a>(
        &'a self,
        app: &'a App,
        caller: &'a Caller,
        _line: &'a OwnLine,
    ) -> BoxFuture<'a, Result<Reply, LedgerError>> {
        let groups = match caller.who.groups.as_slice() {
            [] => "none".to_string(),
            groups => groups.join(", "),
        };
        let fields = vec![
            ("Identity".to_string(), caller.actor.to_string()),
            ("Groups".to_string(), groups),
            ("Policy".to_string(), app.policy.current().version().to_string()),
        ];
        let card = Card { fields, ..Card::titled(Tone::Neutral, format!("You are {}", caller.who.person)) };
        Box::pin(std::future::ready(Ok(Reply::private(card))))
    }
}
