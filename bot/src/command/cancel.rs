//! `cancel <ID>`: call a request off, before or while it runs.

use super::{Command, id_argument, named_request};
use crate::{
    app::App,
    grammar::{OwnLine, WHY, why},
    line::{Caller, Reply, cancel},
};
use futures::future::BoxFuture;
use ledger::LedgerError;

/// See the module.
pub struct Cancel;

impl Command for Cancel {
    fn name(&self) -> &'static str {
        "cancel"
    }

    fn group(&self) -> &'static str {
        "Decide"
    }

    fn command(&self) -> clap::Command {
        clap::Command::new("cancel")
            .about("Call a request off; one that runs stops at the next safe point and says what was done")
            .arg(id_argument())
            .arg(why())
            .after_help("Example: cancel 1f3c9a2b --why \"wrong service\"")
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
        Box::pin(async move {
            match named_request(app, line).await? {
                Ok(id) => {
                    let why = line.matches.get_one::<String>(WHY).map(String::as_str);
                    cancel(app, &caller.actor, id, why, caller.now).await
                }
                Err(card) => Ok(Reply::Wrong(card)),
            }
        })
    }
}
