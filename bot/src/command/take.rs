//! `take <ID>`, `silence <ID>`, `unblock <ID>`: what people decide about incidents.

use super::{
    Command,
    incidents::{id_argument, named},
};
use crate::{
    app::App,
    grammar::{OwnLine, WHY, why},
    healing::{
        fold, known,
        person::{self, Deed},
    },
    line::{Caller, Reply},
};
use clap::{Arg, ArgAction};
use futures::future::BoxFuture;
use jiff::SignedDuration;
use ledger::LedgerError;

/// See the module.
pub struct Take;

impl Command for Take {
    fn name(&self) -> &'static str {
        "take"
    }

    fn group(&self) -> &'static str {
        "Heal"
    }

    fn command(&self) -> clap::Command {
        clap::Command::new("take")
            .about("\"I have it\": rules do nothing more about an incident until you give it back")
            .arg(id_argument())
            .arg(Arg::new("back").long("back").action(ArgAction::SetTrue).help("Give it back"))
            .after_help("Example: take 1f3c9a2b")
    }

    // The record says who took it.
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
        let deed = if line.matches.get_flag("back") { Deed::GiveBack } else { Deed::Take };
        Box::pin(act(app, caller, line, deed))
    }
}

/// See the module.
pub struct Silence;

impl Command for Silence {
    fn name(&self) -> &'static str {
        "silence"
    }

    fn group(&self) -> &'static str {
        "Heal"
    }

    fn command(&self) -> clap::Command {
        clap::Command::new("silence")
            .about("Ask for nothing and call nobody about an incident's place, for a while")
            .arg(id_argument())
            .arg(
                Arg::new("lasts")
                    .value_name("DURATION")
                    .default_value("1h")
                    .value_parser(|text: &str| {
                        text.parse::<SignedDuration>().map_err(|error| error.to_string())
                    })
                    .help("How long, at most 7 days: 30m, 2h, 1d"),
            )
            .arg(why())
            .after_help("Example: silence 1f3c9a2b 2h --why \"known, ticket 17\"")
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
        let lasts =
            line.matches.get_one::<SignedDuration>("lasts").copied().unwrap_or(SignedDuration::from_hours(1));
        let why = line.matches.get_one::<String>(WHY).cloned().unwrap_or_default();
        Box::pin(act(app, caller, line, Deed::Silence { lasts, why }))
    }
}

async fn act(app: &App, caller: &Caller, line: &OwnLine, deed: Deed) -> Result<Reply, LedgerError> {
    match named(app, line).await? {
        Ok(id) => person::act(app, &caller.actor, id, &deed, caller.now).await,
        Err(card) => Ok(Reply::Wrong(card)),
    }
}

/// See the module.
pub struct Unblock;

impl Command for Unblock {
    fn name(&self) -> &'static str {
        "unblock"
    }

    fn group(&self) -> &'static str {
        "Heal"
    }

    fn command(&self) -> clap::Command {
        clap::Command::new("unblock")
            .about("Let rules that did not help at an incident's place act there again")
            .arg(id_argument())
            .arg(Arg::new("rule").long("rule").value_name("RULE").help("Only this rule"))
            .after_help("Example: unblock 1f3c9a2b --rule \"checkout crash loop\"")
    }

    fn is_recorded(&self) -> bool {
        false
    }

    fn run<'a>(
        &'a self,
        app: &'a App,
        caller: &'a Caller,
        line: &'a OwnLine,
    ) -> BoxFuture<'a, Result<Reply, LedgerError>> {
        Box::pin(async move {
            let id = match named(app, line).await? {
                Ok(id) => id,
                Err(card) => return Ok(Reply::Wrong(card)),
            };
            let Some(stored) = app.ledger.incident(id).await? else {
                return Ok(Reply::wrong(person::no_such()));
            };
            let (incident, _) = known::incident(&stored)?;
            let rule = line.matches.get_one::<String>("rule").map(String::as_str);
            let place = fold::place(&incident.group);
            person::unblock(app, &caller.actor, &caller.who, &place, rule, caller.now).await
        })
    }
}
