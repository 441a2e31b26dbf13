//! Incidents, how rules have done with them, and one of them.

use super::{
    draw::{
        self,
        card::{Clicks, card},
        incident as drawn,
        layout::{Here, page},
    },
    problem::Problem,
    session::Viewer,
};
use crate::{app::App, card::Card, command, healing};
use axum::{
    extract::{Path, Query, State},
    response::{IntoResponse, Redirect, Response},
};
use heal::{
    event::Event,
    incident::{Handling, Incident, Trouble},
};
use jiff::{SignedDuration, Timestamp};
use ledger::{IncidentId, LedgerError, RequestId, RequestView};
use maud::{Markup, html};
use serde::Deserialize;

/// Incidents on the page, newest first.
const SHOWN: u32 = 100;
/// Days that the figures of rules are about.
const DAYS: i64 = 30;

/// What is asked for.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    /// `all`, or only those that go on.
    #[serde(default)]
    show: String,
}

/// `GET /incidents`.
pub(super) async fn list(
    State(app): State<App>,
    viewer: Viewer,
    Query(asked): Query<Asked>,
) -> Result<Markup, Problem> {
    let all = asked.show == "all";
    let found = app.ledger.incidents(!all, SHOWN).await?;
    let read = |stored| healing::known::incident(stored);
    let found: Vec<(Incident, Handling)> = found.iter().map(read).collect::<Result<_, _>>()?;
    let since = Timestamp::now() - SignedDuration::from_hours(24 * DAYS);
    let ends = app.ledger.incident_figures(since).await?;
    let rules = command::stats_of_rules(app.ledger.rule_figures(since).await?);
    let production = |incident: &Incident| {
        let labels = app.labels(incident.group.cluster().unwrap_or_default());
        labels.get("production").is_some_and(|value| value == "true")
    };
    Ok(page(
        "Incidents",
        Here::Incidents,
        &viewer,
        html! {
            h1 { "Incidents" }
            nav.pages aria-label="which" {
                a href="/incidents" aria-current=[(!all).then_some("page")] { "Going on" }
                a href="/incidents?show=all" aria-current=[all.then_some("page")] { "All" }
            }
            @if found.is_empty() { p.empty { @if all { "None yet." } @else { "Nothing is wrong." } } }
            ol.requests { @for (incident, handling) in &found { (drawn::row(incident, handling, production(incident))) } }
            section aria-labelledby="ends" {
                h2 id="ends" { "How they ended, in " (DAYS) " days" }
                @if ends.is_empty() { p.empty { "There were none." } }
                dl.facts { @for (word, count) in &ends { div { dt { (word.replace('_', " ")) } dd { (count) } } } }
            }
            section aria-labelledby="rules" {
                h2 id="rules" { "What came of each rule" }
                @match &rules {
                    Some(table) => { (draw::table(table)) p.small { "Times are medians of what helped." } }
                    None => p.empty { "No rule has asked for anything." },
                }
            }
        },
    ))
}

const NO_SUCH: Problem = Problem::NotFound("There is no such incident.");

/// `GET /incidents/{id}`; the short id that people type works too.
pub(super) async fn one(
    State(app): State<App>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let Ok(id) = id.parse::<IncidentId>() else {
        let short = id.len() == 8 && id.bytes().all(|b| b.is_ascii_hexdigit());
        let found = if short { app.ledger.find_incident(&id).await? } else { Vec::new() };
        let full = found.first().ok_or(NO_SUCH)?;
        return Ok(Redirect::to(&format!("/incidents/{full}")).into_response());
    };
    // Before reading, so that what changes while we read is drawn again and not missed.
    let since = Timestamp::now();
    let shown = read(&app, id, since).await?.ok_or(NO_SUCH)?;
    let main = html! {
        h1 { "Incident " code { (id.short()) } }
        div data-events={ "/events?incident=" (id) } data-since=(since.as_microsecond()) { (live(&app, &viewer, &shown)) }
    };
    Ok(page(&format!("Incident {}", id.short()), Here::Incidents, &viewer, main).into_response())
}

/// All that the page shows of an incident.
#[derive(PartialEq)]
pub(super) struct Shown {
    card: Card,
    incident: Incident,
    handling: Handling,
    troubles: Vec<(Trouble, Event)>,
    asked: Vec<RequestView>,
}

/// None: there is no such incident.
pub(super) async fn read(app: &App, id: IncidentId, now: Timestamp) -> Result<Option<Shown>, LedgerError> {
    let Some(stored) = app.ledger.incident(id).await? else { return Ok(None) };
    let (incident, handling) = healing::known::incident(&stored)?;
    let Some(card) = healing::person::card(app, id, now).await? else { return Ok(None) };
    let troubles = healing::known::troubles(app.ledger.troubles(id).await?)?;
    let mut asked = Vec::new();
    for healing in &incident.healings {
        asked.extend(app.ledger.view(RequestId(healing.request)).await?);
    }
    Ok(Some(Shown { card, incident, handling, troubles, asked }))
}

/// The part of it that is replaced when something changes.
pub(super) fn live(app: &App, viewer: &Viewer, shown: &Shown) -> Markup {
    let room = app.config.console_rooms().next().map(|room| room.name().to_string()).unwrap_or_default();
    let clicks = Clicks { csrf: viewer.csrf.clone(), room, from: "incident" };
    let Shown { card: drawn, incident, handling, troubles, asked } = shown;
    html! {
        div id="live" data-live {
            (card(drawn, &clicks, None))
            (drawn::incident(incident, handling, troubles, asked))
        }
    }
}
