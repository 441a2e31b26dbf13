//! `help`: the list of commands, or one of them.

use super::Command;
use crate::{
    app::App,
    grammar::{OwnLine, command_help},
    line::{Caller, Reply},
};
use futures::future::BoxFuture;
use ledger::LedgerError;

/// See the module.
pub struct Help;

impl Command for Help {
    fn name(&self) -> &'static str {
        "help"
    }

    fn group(&self) -> &'static str {
        "About"
    }

    fn command(&self) -> clap::Command {
        clap::Command::new("help")
            .about("What can be typed; with a command's name, all about it")
            .arg(clap::Arg::new("command").value_name("COMMAND").help("A command's name"))
            .after_help("Example: help scale")
    }

    fn is_recorded(&self) -> bool {
        false
    }

    fn is_private(&self) -> bool {
        true
    }

    fn run<'a>(
        &'a self,
        _app: &'a App,
        _caller: &'a Caller,
        line: &'a OwnLine,
    ) -> BoxFuture<'a, Result<Reply, LedgerError>> {
        let card = command_help(&line.matches.get_one::<String>("command").cloned());
        Box::pin(std::future::ready(Ok(Reply::private(card))))
    }
}
