//! `deny <ID> --why "..."`: the button, typed.

use super::{Command, id_argument, vote};
use crate::{
    app::App,
    grammar::{OwnLine, why},
    line::{Caller, Reply},
};
use futures::future::BoxFuture;
use ledger::{LedgerError, Verdict};

/// See the module.
pub struct Deny;

impl Command for Deny {
    fn name(&self) -> &'static str {
        "deny"
    }

    fn group(&self) -> &'static str {
        "Decide"
    }

    fn command(&self) -> clap::Command {
        clap::Command::new("deny")
            .about("Say no to a request; one no is enough")
            .arg(id_argument())
            .arg(why().required(true))
            .after_help("Example: deny 1f3c9a2b --why \"not during the sale\"")
    }

    fn is_recorded(&self) -> bool {
        false
    }

    fn is_private(&self) -> bool {
        true
    }

    fn run<'a>(
        &'a self,
        app: &'a App,
        caller: &'a Caller,
        line: &'a OwnLine,
    ) -> BoxFuture<'a, Result<Reply, LedgerError>> {
        Box::pin(vote(app, caller, line, Verdict::Deny))
    }
}
