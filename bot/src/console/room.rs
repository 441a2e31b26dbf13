//! The chat room: read it, type a line, click a button.

use super::{
    draw::{
        card::{BUTTONS, Clicks, notice},
        message,
        message::Reader,
        room::Room,
    },
    problem::Problem,
    requests,
    session::{Signed, Viewer},
};
use crate::{
    app::App,
    card::Card,
    config,
    inbox::{self, Handled},
};
use axum::{
    Json,
    extract::{Query, State},
    http::{HeaderMap, header},
    response::{IntoResponse, Redirect, Response},
};
use jiff::Timestamp;
use ledger::{Arrival, Event, Inbound, Place, RequestId};
use maud::Markup;
use serde::Deserialize;
use serde_json::json;

/// Messages on one page.
const PAGE: u32 = 50;
/// The longest line that is taken.
const LINE: usize = 2_000;
/// The longest reason that is taken.
const REASON: usize = 500;

#[derive(Deserialize)]
pub(super) struct Which {
    room: Option<String>,
    before: Option<i64>,
}

/// The place of a room, if the console has it.
pub(super) fn place(app: &App, room: &str) -> Result<Place, Problem> {
    let place = Place(format!("console:{room}"));
    app.config.room(&place).map(|_| place).ok_or(Problem::NotFound("There is no such room."))
}

/// The room shown first.
fn first(app: &App) -> &str {
    app.config.console_rooms().next().map_or("ops", config::Room::name)
}

/// `GET /`.
pub(super) async fn page(
    State(app): State<App>,
    viewer: Viewer,
    Query(which): Query<Which>,
) -> Result<Markup, Problem> {
    let room = which.room.as_deref().unwrap_or_else(|| first(&app));
    draw(&app, &viewer, room, which.before, Told::default()).await
}

/// What only the reader sees, after a form without JavaScript.
#[derive(Default)]
struct Told {
    notice: Option<(RequestId, Card)>,
    whisper: Option<Card>,
}

async fn draw(
    app: &App,
    viewer: &Viewer,
    room: &str,
    before: Option<i64>,
    told: Told,
) -> Result<Markup, Problem> {
    let place = place(app, room)?;
    // Before reading, so that what changes while we read is drawn again and not missed.
    let since = Timestamp::now();
    let messages = app.ledger.room(&place, &viewer.actor, before, PAGE).await?;
    let clicks = Clicks { csrf: viewer.csrf.clone(), room: room.to_string(), from: "room" };
    Ok(Room {
        viewer,
        room,
        rooms: app.config.console_rooms().map(config::Room::name).collect(),
        cluster: app.config.room(&place).and_then(|room| room.cluster.as_deref()),
        clusters: &app.clusters.names(),
        reader: Reader { actor: &viewer.actor, clicks, notice: told.notice.as_ref() },
        older: (messages.len() == PAGE as usize).then(|| messages[0].id),
        messages: &messages,
        is_newest: before.is_none(),
        whisper: told.whisper.as_ref(),
        since,
    }
    .draw())
}

#[derive(Deserialize)]
pub(super) struct Say {
    key: String,
    room: String,
    text: String,
}

fn wants_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|a| a.contains("application/json"))
}

/// The inbox key: what the page made up, within this person's own.
fn key(viewer: &Viewer, key: &str) -> Result<String, Problem> {
    let fits = (8..=64).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_alphanumeric());
    if fits {
        Ok(format!("{}:{key}", viewer.actor))
    } else {
        Err(Problem::Bad("the form has no usable key".into()))
    }
}

/// Makes it durable; `None` when the key is known: then it has been handled, or is being.
async fn receive(
    app: &App,
    viewer: &Viewer,
    key: &str,
    place: &Place,
    event: &Event,
    now: Timestamp,
) -> Result<Option<Inbound>, Problem> {
    let (key, actor, place, event) = (key.to_string(), viewer.actor.clone(), place.clone(), event.clone());
    let arrival = Arrival { key, actor, place, event, reply_to: None };
    Ok(app.ledger.receive(&arrival, &app.worker, inbox::LEASE, now).await?)
}

/// Handles it; what is for the person alone.
async fn handle(app: &App, inbound: Option<Inbound>) -> Result<Option<Card>, Problem> {
    let Some(inbound) = inbound else { return Ok(None) };
    let app = app.clone();
    // On its own task: a reader who leaves must not stop half way what was acknowledged.
    match tokio::spawn(async move { inbox::handle(&app, &inbound).await }).await {
        Ok(Handled::Shown) => Ok(None),
        Ok(Handled::Private(card)) => Ok(Some(card)),
        Err(_) => Err(Problem::Died),
    }
}

/// `POST /say`.
pub(super) async fn say(
    State(app): State<App>,
    headers: HeaderMap,
    Signed(viewer, form): Signed<Say>,
) -> Result<Response, Problem> {
    let place = place(&app, &form.room)?;
    let text = form.text.trim();
    let key = key(&viewer, &form.key)?;
    if text.chars().count() > LINE {
        return Err(Problem::Bad(format!("A line may have at most {LINE} characters.")));
    }
    let home = format!("/?room={}", form.room);
    if text.is_empty() {
        return Ok(if wants_json(&headers) {
            Json(json!({})).into_response()
        } else {
            Redirect::to(&home).into_response()
        });
    }
    let now = Timestamp::now();
    let event = Event::Line { text: text.to_string() };
    let inbound = receive(&app, &viewer, &key, &place, &event, now).await?;
    // Before its answer; by the same key, so that a second try shows it once.
    let line = app.ledger.room_line(&key, &place, &viewer.actor, text, now).await?;
    let whisper = handle(&app, inbound).await?;
    if wants_json(&headers) {
        let clicks = Clicks { csrf: viewer.csrf.clone(), room: form.room.clone(), from: "room" };
        let reader = Reader { actor: &viewer.actor, clicks, notice: None };
        let line = app.ledger.room_message(line, &viewer.actor).await?;
        let line = line.map(|line| message::message(&line, &reader).into_string());
        let whisper = whisper.map(|card| message::whisper(&card).into_string());
        return Ok(Json(json!({ "line": line, "whisper": whisper })).into_response());
    }
    match whisper {
        None => Ok(Redirect::to(&home).into_response()),
        whisper => {
            Ok(draw(&app, &viewer, &form.room, None, Told { whisper, notice: None }).await?.into_response())
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Click {
    key: String,
    room: String,
    from: String,
    request: String,
    digest: String,
    button: String,
    reason: Option<String>,
    typed: Option<String>,
}

/// `POST /click`.
pub(super) async fn click(
    State(app): State<App>,
    headers: HeaderMap,
    Signed(viewer, form): Signed<Click>,
) -> Result<Response, Problem> {
    let place = place(&app, &form.room)?;
    let key = key(&viewer, &form.key)?;
    let request: RequestId = form.request.parse().map_err(|_| Problem::Bad("that is no request".into()))?;
    if !BUTTONS.contains(&form.button.as_str()) {
        return Err(Problem::Bad("there is no such button".into()));
    }
    let typed =
        |text: Option<String>| text.map(|text| text.trim().to_string()).filter(|text| !text.is_empty());
    let (reason, typed) = (typed(form.reason), typed(form.typed));
    if [&reason, &typed].into_iter().flatten().any(|text| text.chars().count() > REASON) {
        return Err(Problem::Bad(format!("A reason may have at most {REASON} characters.")));
    }
    let event = Event::Click { button: form.button, request, digest: form.digest, reason, typed };
    let inbound = receive(&app, &viewer, &key, &place, &event, Timestamp::now()).await?;
    let private = handle(&app, inbound).await?;
    if wants_json(&headers) {
        return Ok(Json(json!({ "notice": private.map(|card| notice(&card).into_string()) })).into_response());
    }
    match (private, form.from.as_str()) {
        (None, "request") => Ok(Redirect::to(&format!("/requests/{request}")).into_response()),
        (None, "incident") => Ok(Redirect::to(&format!("/incidents/{request}")).into_response()),
        (None, _) => Ok(Redirect::to(&format!("/?room={}#r-{request}", form.room)).into_response()),
        (Some(card), "request") => {
            Ok(requests::draw(&app, &viewer, request, Some(&(request, card))).await?.into_response())
        }
        (Some(card), _) => {
            let told = Told { notice: Some((request, card)), whisper: None };
            Ok(draw(&app, &viewer, &form.room, None, told).await?.into_response())
        }
    }
}
