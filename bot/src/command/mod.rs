//! The commands that Petrel answers itself: one file each, one line each in [`commands`].

mod approve;
mod cancel;
mod clusters;
mod deny;
mod help;
mod history;
mod incidents;
pub mod people;
mod request;
mod requests;
mod stats;
mod take;
mod waiting;
mod whoami;

pub use stats::of_rules as stats_of_rules;

use crate::{
    app::App,
    card::{Card, Tone},
    grammar::OwnLine,
    line::{Caller, Reply},
};
use futures::future::BoxFuture;
use ledger::{LedgerError, RequestId, Verdict};

/// A command that Petrel answers itself.
pub trait Command: Send + Sync {
    /// What people type: `requests`.
    fn name(&self) -> &'static str;
    /// The heading it stands under in `help`.
    fn group(&self) -> &'static str;
    /// Its arguments, with help for each and one example in `after_help`.
    fn command(&self) -> clap::Command;
    /// It names a target: the grammar adds `-n` and `-c`.
    fn wants_target(&self) -> bool {
        false
    }
    /// It says nothing to the room: its answer is for the person alone, or a request's card shows it.
    fn is_private(&self) -> bool {
        false
    }
    /// Whether a line of the record says that it was answered. Votes write their own entries; help says nothing.
    fn is_recorded(&self) -> bool {
        true
    }
    /// Answers.
    fn run<'a>(
        &'a self,
        app: &'a App,
        caller: &'a Caller,
        line: &'a OwnLine,
    ) -> BoxFuture<'a, Result<Reply, LedgerError>>;
}

/// Every one of them, in the order of `help`.
pub fn commands() -> &'static [&'static dyn Command] {
    &[
        &clusters::Clusters,
        &requests::Requests,
        &request::Request,
        &history::History,
        &approve::Approve,
        &deny::Deny,
        &cancel::Cancel,
        &waiting::Waiting,
        &incidents::Incidents,
        &incidents::Incident,
        &take::Take,
        &take::Silence,
        &take::Unblock,
        &stats::Stats,
        &whoami::WhoAmI,
        &people::People,
        &help::Help,
    ]
}

/// `<ID>`: the eight characters on the card, or all of it.
fn id_argument() -> clap::Arg {
    clap::Arg::new("id")
        .value_name("ID")
        .required(true)
        .value_parser(id_text)
        .help("The request, as its card shows it")
}

fn id_text(text: &str) -> Result<String, String> {
    let short = text.len() == 8 && text.bytes().all(|b| b.is_ascii_hexdigit());
    match short || text.parse::<RequestId>().is_ok() {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("a request is named by eight letters and digits, such as 1f3c9a2b".into()),
    }
}

/// The request that `<ID>` names, or a card that says why there is none.
async fn named_request(app: &App, line: &OwnLine) -> Result<Result<RequestId, Box<Card>>, LedgerError> {
    let Some(text) = line.matches.get_one::<String>("id") else {
        return Ok(Err(Box::new(Card::titled(Tone::Bad, "which request?"))));
    };
    if let Ok(id) = text.parse::<RequestId>() {
        return Ok(Ok(id));
    }
    let found = app.ledger.find_request(text).await?;
    Ok(match found.as_slice() {
        [id] => Ok(*id),
        [] => Err(Box::new(Card {
            text: Some("`requests` lists the open ones, `requests --all` all of them.".into()),
            ..Card::titled(Tone::Bad, format!("there is no request {text}"))
        })),
        several => Err(Box::new(Card {
            text: Some("Name one of them in full.".into()),
            fields: several.iter().map(|id| (id.short(), id.to_string())).collect(),
            ..Card::titled(Tone::Bad, format!("{text} is the short name of several requests"))
        })),
    })
}

/// What `approve` and `deny` have in common.
async fn vote(app: &App, caller: &Caller, line: &OwnLine, verdict: Verdict) -> Result<Reply, LedgerError> {
    let request = match named_request(app, line).await? {
        Ok(id) => id,
        Err(card) => return Ok(Reply::Wrong(card)),
    };
    let typed = line.matches.try_get_one::<String>("typed").ok().flatten().cloned();
    let ballot = actions::gate::Ballot {
        request,
        actor: caller.actor.clone(),
        verdict,
        // Typed, so it is about the plan that stands now.
        digest: None,
        reason: line.matches.get_one::<String>(crate::grammar::WHY).cloned(),
        typed,
    };
    crate::line::vote(app, &ballot, caller.now).await
}
