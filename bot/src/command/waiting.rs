//! `waiting`: what waits for you. Also what a chat's bare `/petrel` means.

use super::Command;
use crate::{
    app::App,
    card::{Card, Table, Tone},
    draw,
    grammar::OwnLine,
    line::{Caller, Reply},
};
use futures::future::BoxFuture;
use ledger::{Decision, LedgerError, Request, RequestFilter, RequestState};

/// The most requests of either kind.
const MOST: u32 = 50;

/// See the module.
pub struct Waiting;

impl Command for Waiting {
    fn name(&self) -> &'static str {
        "waiting"
    }

    fn group(&self) -> &'static str {
        "About"
    }

    fn command(&self) -> clap::Command {
        clap::Command::new("waiting")
            .about("What waits for you: approvals you can give, and your own open requests")
            .after_help("Example: waiting")
    }

    fn is_private(&self) -> bool {
        true
    }

    fn is_recorded(&self) -> bool {
        false
    }

    fn run<'a>(
        &'a self,
        app: &'a App,
        caller: &'a Caller,
        _line: &'a OwnLine,
    ) -> BoxFuture<'a, Result<Reply, LedgerError>> {
        Box::pin(async move {
            let votes = votes(app, caller).await?;
            let open = RequestState::ALL.into_iter().filter(|state| !state.is_final()).collect();
            let filter = RequestFilter {
                states: open,
                person: Some(caller.who.person.clone()),
                limit: MOST,
                ..RequestFilter::default()
            };
            let mine = app.ledger.requests(&filter).await?;
            Ok(Reply::private(card(&votes, &mine)))
        })
    }
}

/// Requests that this person may vote on and has not.
async fn votes(app: &App, caller: &Caller) -> Result<Vec<Request>, LedgerError> {
    let policy = app.policy.current();
    let filter =
        RequestFilter { states: vec![RequestState::Awaiting], limit: MOST, ..RequestFilter::default() };
    let mut found = Vec::new();
    for request in app.ledger.requests(&filter).await? {
        let Decision::Needs { quorum, .. } = &request.decision else { continue };
        let over = request.expires_at.is_some_and(|at| at <= caller.now);
        let own = request.ask.person == caller.who.person || request.ask.actor == caller.actor;
        if over || own || policy.may_vote(&caller.who, quorum).is_err() {
            continue;
        }
        let view = app.ledger.view(request.id).await?;
        let voted = view.is_some_and(|view| {
            view.votes.iter().any(|vote| vote.person == caller.who.person || vote.actor == caller.actor)
        });
        if !voted {
            found.push(request);
        }
    }
    Ok(found)
}

fn card(votes: &[Request], mine: &[Request]) -> Card {
    if votes.is_empty() && mine.is_empty() {
        let text = Some("`help` lists what you can type.".into());
        return Card { text, ..Card::titled(Tone::Neutral, "Nothing waits for you") };
    }
    let row = |request: &Request, what: String| {
        vec![request.id.short(), what, request.plan.target.cluster.clone(), request.plan.summary.clone()]
    };
    let until = |request: &Request| request.expires_at.map(|at| format!(" until {}", draw::time(at)));
    let vote = |request: &Request| row(request, format!("your vote{}", until(request).unwrap_or_default()));
    let own = |request: &Request| row(request, format!("yours: {}", request.state.as_str()));
    let header = ["id", "waits for", "cluster", "what"].map(String::from).to_vec();
    let rows = votes.iter().map(vote).chain(mine.iter().map(own)).collect();
    let links = votes.iter().chain(mine).map(|request| format!("/requests/{}", request.id)).collect();
    let (tone, title) = match votes.len() {
        0 => (Tone::Neutral, "Your open requests".to_string()),
        1 => (Tone::Waiting, "1 request waits for your vote".to_string()),
        n => (Tone::Waiting, format!("{n} requests wait for your vote")),
    };
    Card {
        table: Some(Table { header, rows, links }),
        footer: Some(
            "`request <ID>` shows one, with its buttons; `approve <ID>` and `deny <ID>` decide.".into(),
        ),
        link: Some("/requests".into()),
        ..Card::titled(tone, title)
    }
}
