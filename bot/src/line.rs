//! What becomes of a typed line or a click, whichever door it came through.

use crate::{
    app::App,
    card::{Card, Tone},
    command::people,
    config::Room,
    draw,
    grammar::{AskLine, BREAK_GLASS, Context, Line, OwnLine, QueryLine, parse},
    picture,
};
use actions::{
    gate::{Ballot, Submitted},
    policy::Who,
    query::QueryError,
    secret::hide_typed,
};
use jiff::Timestamp;
use ledger::{Actor, Ask, LedgerError, Person, Place, Refusal, Request, RequestId};
use serde_json::json;
use std::time::{Duration, Instant};

/// Who typed it, where, and the key that makes it happen once.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The identity.
    pub actor: Actor,
    /// The human behind it, with groups.
    pub who: Who,
    /// The room; None through the API.
    pub place: Option<Place>,
    /// The same key is the same ask.
    pub key: String,
    /// When.
    pub now: Timestamp,
}

/// What there is to show, and to whom.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// An answer, for the room.
    Said(Box<Card>),
    /// An answer, for the person alone.
    Private(Box<Card>),
    /// The request's own live card shows it.
    Request(Box<Request>),
    /// It could not be done (no plan, a dead cluster); the room sees that.
    Trouble(Box<Card>),
    /// The line makes no sense; for the person alone.
    Wrong(Box<Card>),
    /// Not to be done by this person, or not now; for the person alone.
    Refused(Refusal),
}

impl Reply {
    /// See [`Reply::Said`].
    pub fn said(card: Card) -> Reply {
        Reply::Said(Box::new(card))
    }

    /// See [`Reply::Private`].
    pub fn private(card: Card) -> Reply {
        Reply::Private(Box::new(card))
    }

    /// See [`Reply::Trouble`].
    pub fn trouble(card: Card) -> Reply {
        Reply::Trouble(Box::new(card))
    }

    /// See [`Reply::Wrong`].
    pub fn wrong(card: Card) -> Reply {
        Reply::Wrong(Box::new(card))
    }
}

/// A question that takes longer than this gets an answer that says so.
const QUERY_DEADLINE: Duration = Duration::from_secs(30);

/// Reads a line and does what it says. A stranger is refused before anything is read.
pub async fn answer_line(
    app: &App,
    actor: &Actor,
    place: Option<&Place>,
    key: &str,
    text: &str,
    now: Timestamp,
) -> Result<Reply, LedgerError> {
    let text = meant(text, place);
    // The one line of a stranger that is read.
    if let Some(code) = people::typed_code(text)
        && app.gate.who(actor).await?.is_err()
    {
        return people::redeem(app, actor, code, now).await;
    }
    let who = match app.gate.admit(actor, place, text, now).await? {
        Ok(who) => who,
        Err(refusal) => return Ok(Reply::Refused(refusal)),
    };
    let caller = Caller { actor: actor.clone(), who, place: place.cloned(), key: key.to_string(), now };
    let clusters = app.clusters.names();
    let line = match parse(text, &context(app, place, &clusters)) {
        Ok(line) => line,
        Err(card) => return Ok(Reply::Wrong(card)),
    };
    if let Some(room) = place.and_then(|place| app.config.room(place))
        && let Some(refused) = not_here(room, &line)
    {
        return Ok(Reply::private(refused));
    }
    match line {
        Line::Ask(line) => ask(app, &caller, line, text).await,
        Line::Query(line) => query(app, &caller, line).await,
        Line::Own(line) => own(app, &caller, line).await,
    }
}

/// Why a room does not take a line, if it does not.
fn not_here(room: &Room, line: &Line) -> Option<Card> {
    let names: &[&str] = match line {
        Line::Ask(line) if line.break_glass => &[BREAK_GLASS, line.action],
        Line::Ask(line) => &[line.action],
        Line::Query(line) => &[line.query.name()],
        Line::Own(line) => &[line.command.name()],
    };
    let name = names.iter().find(|name| !room.takes(name))?;
    let taken: Vec<&str> = room.commands.iter().flatten().map(String::as_str).collect();
    let taken = if taken.is_empty() { "no commands".to_string() } else { taken.join(", ") };
    let text = format!("This room takes {taken}. Type it in another room, or in a direct message.");
    Some(Card { text: Some(text), ..Card::titled(Tone::Bad, format!("`{name}` is not for this room")) })
}

/// What a line may leave out in this place.
pub fn context<'a>(app: &'a App, place: Option<&Place>, clusters: &'a [String]) -> Context<'a> {
    let room = place.and_then(|place| app.config.room(place));
    Context {
        clusters,
        cluster: room.and_then(|room| room.cluster.as_deref()),
        namespace: room.and_then(|room| room.namespace.as_deref()),
    }
}

/// Will the answer to this line be known at once, and be for the person alone? For doors that must say before the answer is
/// there who will see it; a refusal that only a plan finds is not foreseen.
pub async fn is_private(
    app: &App,
    actor: &Actor,
    place: &Place,
    text: &str,
    now: Timestamp,
) -> Result<bool, LedgerError> {
    let Ok(who) = app.gate.who(actor).await? else { return Ok(true) };
    let clusters = app.clusters.names();
    let Ok(line) = parse(meant(text, Some(place)), &context(app, Some(place), &clusters)) else {
        return Ok(true);
    };
    if app.config.room(place).is_some_and(|room| not_here(room, &line).is_some()) {
        return Ok(true);
    }
    Ok(match line {
        Line::Ask(_) => false,
        Line::Own(line) => line.command.is_private(),
        Line::Query(line) => {
            let labels = app.labels(&line.cluster);
            app.policy.current().may_query(&who, line.query.name(), &line.cluster, &labels, now).is_err()
        }
    })
}

/// A chat's bare command asks what waits.
fn meant<'a>(text: &'a str, place: Option<&Place>) -> &'a str {
    if place.is_some() && text.trim().is_empty() { "waiting" } else { text }
}

/// The ask that a parsed line makes; also for `policy explain`.
pub fn ask_of(caller: &Caller, line: AskLine, text: &str) -> Ask {
    Ask {
        key: caller.key.clone(),
        actor: caller.actor.clone(),
        person: caller.who.person.clone(),
        place: caller.place.clone(),
        line: text.to_string(),
        action: line.action.to_string(),
        parameters: line.parameters,
        target: line.target,
        why: line.why,
        break_glass: line.break_glass,
        dry_run: line.dry_run,
        with_person: None,
    }
}

/// What Petrel asks for by itself, as one of the machines that the policy knows.
pub fn own_ask(actor: &Actor, key: String, line: AskLine) -> Ask {
    Ask {
        key,
        actor: actor.clone(),
        // The gate puts in who that is.
        person: Person(actor.to_string()),
        place: None,
        line: line.canonical,
        action: line.action.to_string(),
        parameters: line.parameters,
        target: line.target,
        why: line.why,
        break_glass: line.break_glass,
        dry_run: line.dry_run,
        with_person: None,
    }
}

async fn ask(app: &App, caller: &Caller, line: AskLine, text: &str) -> Result<Reply, LedgerError> {
    let canonical = hide_typed(&line.canonical);
    let target = line.target.clone();
    let ask = ask_of(caller, line, text);
    match app.gate.submit(ask, caller.now).await? {
        Submitted::Request { request, .. } => Ok(Reply::Request(request)),
        Submitted::NoPlan(why) | Submitted::Nothing(why) => Ok(Reply::trouble(Card {
            text: Some("Nothing was changed.".into()),
            cluster: Some(draw::badge(&target.cluster, &app.labels(&target.cluster))),
            footer: Some(canonical),
            ..Card::titled(Tone::Bad, why)
        })),
        Submitted::Refused(refusal) => Ok(Reply::Refused(refusal)),
    }
}

async fn query(app: &App, caller: &Caller, line: QueryLine) -> Result<Reply, LedgerError> {
    let name = line.query.name();
    let canonical = hide_typed(&line.canonical);
    let started = Instant::now();
    if let Err(refusal) = may_query(app, caller, name, &line.cluster) {
        record(app, caller, "query.refused", &canonical, started).await?;
        return Ok(Reply::Refused(refusal));
    }
    let badge = draw::badge(&line.cluster, &app.labels(&line.cluster));
    let answer = async {
        let cluster = app.clusters.get(&line.cluster)?;
        line.query.answer(&cluster, line.namespace.as_deref(), &line.matches).await
    };
    let reply = match tokio::time::timeout(QUERY_DEADLINE, answer).await {
        Ok(Ok(mut answer)) => {
            let picture = match answer.plot.take() {
                Some(plot) => picture::keep(&app.ledger, *plot, caller.now).await,
                None => None,
            };
            Reply::said(Card { cluster: Some(badge), picture, ..draw::answer(answer) })
        }
        Ok(Err(QueryError::Invalid(why))) => {
            Reply::wrong(Card { footer: Some(canonical.clone()), ..Card::titled(Tone::Bad, why) })
        }
        Ok(Err(error)) => Reply::trouble(Card {
            cluster: Some(badge),
            footer: Some(canonical.clone()),
            ..Card::titled(Tone::Bad, error.to_string())
        }),
        Err(_) => Reply::trouble(Card {
            cluster: Some(badge),
            text: Some("Ask for less (a namespace, a name), or look at `clusters`.".into()),
            footer: Some(canonical.clone()),
            ..Card::titled(Tone::Bad, format!("no answer within {} s", QUERY_DEADLINE.as_secs()))
        }),
    };
    record(app, caller, "query.answered", &canonical, started).await?;
    Ok(reply)
}

async fn own(app: &App, caller: &Caller, line: OwnLine) -> Result<Reply, LedgerError> {
    let started = Instant::now();
    let reply = line.command.run(app, caller, &line).await?;
    if line.command.is_recorded() {
        record(app, caller, "query.answered", &hide_typed(&line.canonical), started).await?;
    }
    Ok(reply)
}

async fn record(
    app: &App,
    caller: &Caller,
    kind: &str,
    line: &str,
    started: Instant,
) -> Result<(), LedgerError> {
    let took = started.elapsed();
    app.metrics.query(took);
    let body = json!({ "line": line, "place": caller.place, "duration_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX) });
    app.ledger.record(kind, caller.actor.as_str(), None, &body, caller.now).await?;
    Ok(())
}

/// May this person ask this of that cluster?
pub fn may_query(app: &App, caller: &Caller, query: &str, cluster: &str) -> Result<(), Refusal> {
    app.policy.current().may_query(&caller.who, query, cluster, &app.labels(cluster), caller.now)
}

/// One vote, typed or clicked.
pub async fn vote(app: &App, ballot: &Ballot, now: Timestamp) -> Result<Reply, LedgerError> {
    Ok(match app.gate.vote(ballot, now).await? {
        Ok(request) => Reply::Request(Box::new(request)),
        Err(refusal) => Reply::Refused(refusal),
    })
}

/// Called off, typed or clicked.
pub async fn cancel(
    app: &App,
    actor: &Actor,
    request: RequestId,
    why: Option<&str>,
    now: Timestamp,
) -> Result<Reply, LedgerError> {
    Ok(match app.gate.cancel(request, actor, why, now).await? {
        Ok(request) => Reply::Request(Box::new(request)),
        Err(refusal) => Reply::Refused(refusal),
    })
}
