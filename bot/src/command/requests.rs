//! `requests`: which there are.

use super::Command;
use crate::{
    app::App,
    card::{Card, Table, Tone},
    grammar::{CLUSTER, OwnLine},
    line::{Caller, Reply},
};
use clap::{Arg, ArgAction};
use futures::future::BoxFuture;
use ledger::{LedgerError, Person, Request, RequestFilter, RequestState};

/// See the module.
pub struct Requests;

impl Command for Requests {
    fn name(&self) -> &'static str {
        "requests"
    }

    fn group(&self) -> &'static str {
        "Look"
    }

    fn command(&self) -> clap::Command {
        let states = RequestState::ALL.map(RequestState::as_str);
        let text = |id: &'static str, short: &'static str, name: &'static str, help: &'static str| {
            Arg::new(id).long(short).value_name(name).help(help)
        };
        clap::Command::new("requests")
            .about("Requests, newest first; the open ones unless you say otherwise")
            .arg(Arg::new("all").long("all").action(ArgAction::SetTrue).help("Also those that are over"))
            .arg(
                text("state", "state", "STATE", "In this state; may be repeated")
                    .value_parser(states)
                    .action(ArgAction::Append)
                    .hide_possible_values(true),
            )
            .arg(text(CLUSTER, "cluster", "CLUSTER", "On this cluster").short('c'))
            .arg(text("action", "action", "ACTION", "Of this action"))
            .arg(text("by", "by", "PERSON", "Asked by this person; me for yourself"))
            .arg(text(
                "text",
                "text",
                "WORDS",
                "With these words in the line, the summary, the note or the reason",
            ))
            .arg(
                text("limit", "limit", "N", "At most so many")
                    .value_parser(clap::value_parser!(u32).range(1..=100))
                    .default_value("20"),
            )
            .after_help("Example: requests --by me --state failed --cluster prod-eu")
    }

    fn run<'a>(
        &'a self,
        app: &'a App,
        caller: &'a Caller,
        line: &'a OwnLine,
    ) -> BoxFuture<'a, Result<Reply, LedgerError>> {
        Box::pin(async move {
            let filter = filter(&line.matches, &caller.who.person);
            let found = app.ledger.requests(&filter).await?;
            Ok(Reply::said(draw(
                "Requests",
                &found,
                "None. `requests --all` also shows those that are over.",
            )))
        })
    }
}

fn filter(matches: &clap::ArgMatches, me: &Person) -> RequestFilter {
    let text = |id| matches.get_one::<String>(id).cloned();
    let mut states: Vec<RequestState> = matches
        .get_many::<String>("state")
        .into_iter()
        .flatten()
        .filter_map(|name| RequestState::ALL.into_iter().find(|state| state.as_str() == name))
        .collect();
    if states.is_empty() && !matches.get_flag("all") {
        states = RequestState::ALL.into_iter().filter(|state| !state.is_final()).collect();
    }
    RequestFilter {
        states,
        cluster: text(CLUSTER),
        action: text("action"),
        person: text("by").map(|name| if name == "me" { me.clone() } else { Person(name) }),
        text: text("text"),
        limit: matches.get_one::<u32>("limit").copied().unwrap_or(20),
        ..RequestFilter::default()
    }
}

/// A list of requests, also for `history`.
pub fn draw(title: &str, requests: &[Request], none: &str) -> Card {
    let row = |request: &Request| {
        vec![
            request.id.short(),
            crate::draw::time(request.created_at),
            request.state.as_str().replace('_', " "),
            request.ask.person.to_string(),
            request.plan.target.cluster.clone(),
            request.plan.summary.clone(),
        ]
    };
    let header = ["id", "asked at", "state", "by", "cluster", "what"].map(String::from).to_vec();
    match requests {
        [] => Card { text: Some(none.into()), ..Card::titled(Tone::Neutral, title) },
        some => Card {
            table: Some(Table {
                header,
                rows: some.iter().map(row).collect(),
                links: some.iter().map(|request| format!("/requests/{}", request.id)).collect(),
            }),
            footer: Some("`request <ID>` shows one.".into()),
            link: Some("/requests".into()),
            ..Card::titled(Tone::Neutral, format!("{title} ({})", some.len()))
        },
    }
}
