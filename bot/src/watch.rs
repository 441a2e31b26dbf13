//! Watches autoscalers that were changed by a proposal, for as long as it looked ahead. It asks for the floors of the approved schedule
//! when they are due, and for the last one, which gives the floor back. When the load is not as it was foreseen, or capacity is short, it
//! asks to put the previous autoscaler back instead. Policy decides whether each of these runs at once or waits for a click. What was
//! seen is recorded each hour, and at the end.

use crate::{
    app::App,
    card::{Card, Tone},
    draw,
    grammar::{Context, Line, parse},
    line::own_ask,
};
use actions::{
    catalogue::{Due, PlanError, Seen, Watch},
    gate::Submitted,
};
use jiff::{SignedDuration, Timestamp};
use ledger::{Actor, LedgerError, Place, Refusal, Request, RequestFilter, RequestId, RequestState};
use serde_json::{Value, json};
use std::{
    collections::{HashMap, hash_map::Entry},
    time::Duration,
};

/// How often it is looked, unless it is to be judged so soon that this were late.
const EVERY: Duration = Duration::from_secs(60);
/// One replica at a time.
const LEASE: Duration = Duration::from_secs(180);
/// The newest changes that are looked at.
const MOST: u32 = 200;
/// For so long after the end a floor is still given back, when nobody was there to do it.
const MADE_UP: SignedDuration = SignedDuration::from_hours(24 * 30);
/// How often what was seen is recorded.
const RECORDED: SignedDuration = SignedDuration::from_hours(1);

/// What one replica knows of what it watches; after a restart it is worked out anew.
#[derive(Default)]
pub struct Watching(HashMap<RequestId, State>);

enum State {
    /// Looked at each time.
    Watched(Box<Watched>),
    /// No further look is needed.
    Over,
}

struct Watched {
    watch: Watch,
    /// When what was seen was recorded.
    recorded: Timestamp,
    /// It was outside: of its floors only the giving back is still asked for.
    left: bool,
    /// The newest floor that was asked for.
    asked: Option<Due>,
}

/// Until the app stops.
pub async fn work(app: App) {
    let mut watching = Watching::default();
    let every = (app.config.watch.after / 10).clamp(Duration::from_secs(1), EVERY);
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
        if let Err(error) = look(&app, &mut watching, Timestamp::now()).await {
            tracing::warn!(%error, "could not watch what was proposed");
        }
    }
}

/// One look at everything that was changed lately.
pub async fn look(app: &App, watching: &mut Watching, now: Timestamp) -> Result<(), LedgerError> {
    if app.ledger.take_lease("watch", &app.worker, LEASE).await?.is_none() {
        return Ok(());
    }
    let filter = RequestFilter {
        states: vec![RequestState::Succeeded],
        action: Some("hpa".into()),
        limit: MOST,
        ..RequestFilter::default()
    };
    let changes = app.ledger.requests(&filter).await?;
    watching.0.retain(|id, _| changes.iter().any(|request| request.id == *id));
    for request in &changes {
        if let Err(error) = look_at(app, watching, request, now).await? {
            tracing::info!(%error, request.id = %request.id, "an autoscaler cannot be watched now");
        }
    }
    Ok(())
}

async fn look_at(
    app: &App,
    watching: &mut Watching,
    request: &Request,
    now: Timestamp,
) -> Result<Result<(), PlanError>, LedgerError> {
    let Ok(cluster) = app.clusters.get(&request.plan.target.cluster) else { return Ok(Ok(())) };
    let hours = request.plan.parameters["hours"].as_i64().unwrap_or(0);
    let lasted = now.duration_since(request.updated_at);
    let is_over = lasted >= SignedDuration::from_hours(hours);
    if lasted >= SignedDuration::from_hours(hours) + MADE_UP && !watching.0.contains_key(&request.id) {
        return Ok(Ok(()));
    }
    let state = match watching.0.entry(request.id) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(new) => match Watch::begin(&cluster, request).await {
            // Nobody was there when it ended: only a floor that was taken must still be given back.
            Ok(Some(watch)) if is_over && !watch.is_scheduled() => new.insert(State::Over),
            Ok(Some(watch)) => {
                let recorded = request.updated_at;
                new.insert(State::Watched(Box::new(Watched { watch, recorded, left: false, asked: None })))
            }
            Ok(None) => new.insert(State::Over),
            Err(error) => return Ok(Err(error)),
        },
    };
    let State::Watched(watched) = state else { return Ok(Ok(())) };
    let seen = match watched.watch.look(&cluster, now).await {
        Ok(Some(seen)) => seen,
        Ok(None) => {
            let given_back = watched.asked.is_some_and(|asked| asked.is_last);
            let why = if given_back { "its floor is given back" } else { "it is not as proposed any more" };
            record(app, request, "watch.ended", json!({ "why": why }), now).await?;
            *state = State::Over;
            return Ok(Ok(()));
        }
        Err(error) => return Ok(Err(error)),
    };
    if !is_over
        && !watched.left
        && let Some(why) = seen.record.outside(&app.config.watch)
    {
        let why = why.to_string();
        if put_back(app, request, &why, now).await? {
            watched.left = true;
            record(app, request, "watch.outside", told(&seen, Some(&why)), now).await?;
        }
        return Ok(Ok(()));
    }
    let due = seen.due.filter(|due| watched.asked != Some(*due) && (due.is_last || !watched.left));
    if let Some(due) = due {
        if !step(app, request, due, now).await? {
            return Ok(Ok(()));
        }
        watched.asked = Some(due);
    }
    if is_over {
        record(app, request, "watch.ended", told(&seen, None), now).await?;
        *state = State::Over;
    } else if now.duration_since(watched.recorded) >= RECORDED {
        watched.recorded = now;
        record(app, request, "watch.seen", told(&seen, None), now).await?;
    }
    Ok(Ok(()))
}

fn told(seen: &Seen, why: Option<&str>) -> Value {
    json!({
        "why": why,
        "watched_s": seen.record.watched.as_secs(),
        "error": seen.record.error,
        "short_minutes": seen.record.short_minutes,
        "slowest_start_s": seen.slowest_start.map(|slowest| slowest.as_secs()),
    })
}

async fn record(
    app: &App,
    request: &Request,
    kind: &str,
    body: Value,
    now: Timestamp,
) -> Result<(), LedgerError> {
    app.ledger.record(kind, actor(request).as_str(), Some(request.id), &body, now).await?;
    Ok(())
}

/// `forecast:checkout`.
fn actor(request: &Request) -> Actor {
    let of = |name: &str| format!("forecast:{name}").parse::<Actor>();
    // A name in Kubernetes is one word, so that the first always does.
    of(&request.plan.target.name).or_else(|_| of("workload")).unwrap_or_else(|_| request.ask.actor.clone())
}

/// Where it was asked for, or where a schedule shows its requests.
fn place<'a>(app: &'a App, request: &'a Request) -> Option<&'a Place> {
    let scheduled = || app.config.schedules.iter().find(|scheduled| scheduled.actor == request.ask.actor);
    request.ask.place.as_ref().or_else(|| scheduled().map(|scheduled| &scheduled.place))
}

/// What came of an ask of our own.
enum Asked {
    Request(Box<Request>),
    Refused(Refusal),
    /// To be tried again.
    NoPlan,
}

/// Asks as the forecast, once for each key.
async fn ask(
    app: &App,
    request: &Request,
    command: &str,
    key: &str,
    why: &str,
    now: Timestamp,
) -> Result<Asked, LedgerError> {
    let line = line(request, command);
    let clusters = app.clusters.names();
    let parsed = match parse(&line, &Context { clusters: &clusters, cluster: None, namespace: None }) {
        Ok(Line::Ask(parsed)) => parsed,
        // What was a target once still is one.
        Ok(_) | Err(_) => return Ok(Asked::NoPlan),
    };
    let mut ask = own_ask(&actor(request), key.to_string(), parsed);
    ask.why = Some(why.to_string());
    Ok(match app.gate.submit(ask, now).await? {
        Submitted::Request { request, .. } => Asked::Request(request),
        Submitted::Refused(refusal) => {
            tracing::warn!(%refusal, line, "the forecast may not ask");
            Asked::Refused(refusal)
        }
        Submitted::NoPlan(why) | Submitted::Nothing(why) => {
            tracing::info!(why, line, "an ask of the forecast came to nothing");
            Asked::NoPlan
        }
    })
}

fn line(request: &Request, command: &str) -> String {
    let target = &request.plan.target;
    format!(
        "{command} {}/{} -n {} -c {}",
        target.kind.to_lowercase(),
        target.name,
        target.namespace.as_deref().unwrap_or_default(),
        target.cluster
    )
}

/// Asks for the floor that is due. False: it is to be tried again.
async fn step(app: &App, request: &Request, due: Due, now: Timestamp) -> Result<bool, LedgerError> {
    let key = format!("floor/{}/{}", request.id, due.index);
    let why = format!("step {} of the schedule of {}", due.index + 1, request.id.short());
    match ask(app, request, "floor", &key, &why, now).await? {
        // What policy lets run at once is in the record, and needs no card.
        Asked::Request(asked) if asked.state == RequestState::Awaiting => {
            if let Some(place) = place(app, request) {
                app.ledger.show(asked.id, place).await?;
            }
            Ok(true)
        }
        Asked::Request(_) | Asked::Refused(_) => Ok(true),
        Asked::NoPlan => Ok(false),
    }
}

/// Asks to put the previous autoscaler back. False: it is to be tried again.
async fn put_back(app: &App, request: &Request, why: &str, now: Timestamp) -> Result<bool, LedgerError> {
    let key = format!("watch/{}", request.id);
    let place = place(app, request);
    match ask(app, request, "hpa rollback", &key, why, now).await? {
        Asked::Request(asked) => {
            if let Some(place) = place {
                app.ledger.show(asked.id, place).await?;
            }
        }
        // Nobody in the policy is the forecast: people can still type it.
        Asked::Refused(refusal) => {
            let line = line(request, "hpa rollback");
            let card = Card {
                text: Some(format!("It was not put back by itself: {refusal} Type `{line}` to do it.")),
                ..Card::titled(Tone::Urgent, format!("{}: {why}", request.plan.summary))
            };
            if let Some(place) = place {
                app.ledger.say(&key, place, None, &draw::json(&card)).await?;
            }
        }
        Asked::NoPlan => return Ok(false),
    }
    Ok(true)
}
