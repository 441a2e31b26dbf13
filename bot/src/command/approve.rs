//! `approve <ID>`: the button, typed.

use super::{Command, id_argument, vote};
use crate::{
    app::App,
    grammar::{OwnLine, why},
    line::{Caller, Reply},
};
use clap::Arg;
use futures::future::BoxFuture;
use ledger::{LedgerError, Verdict};

/// See the module.
pub struct Approve;

impl Command for Approve {
    fn name(&self) -> &'static str {
        "approve"
    }

    fn group(&self) -> &'static str {
        "Decide"
    }

    fn command(&self) -> clap::Command {
        clap::Command::new("approve")
            .about("Say yes to a request, to the plan as it stands now")
            .arg(id_argument())
            .arg(
                Arg::new("typed")
                    .value_name("CLUSTER")
                    .help("The cluster's name again, where the card asks for it"),
            )
            .arg(why())
            .after_help("Example: approve 1f3c9a2b prod-eu")
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
        Box::pin(vote(app, caller, line, Verdict::Approve))
    }
}
