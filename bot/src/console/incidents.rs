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
use crate::{app::App, command, healing};
use axum::{
    extract::{Path, Query, State},
    response::{IntoResponse, Redirect, Response},
};
use heal::incident::{Handling, Incident};
use jiff::{SignedDuration, Timestamp};
use ledger::{IncidentId, RequestId};
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
    let now = Timestamp::now();
    let stored = app.ledger.incident(id).await?.ok_or(NO_SUCH)?;
    let (incident, handling) = healing::known::incident(&stored)?;
    let live = healing::person::card(&app, id, now).await?.ok_or(NO_SUCH)?;
    let troubles = healing::known::troubles(app.ledger.troubles(id).await?)?;
    let mut asked = Vec::new();
    for healing in &incident.healings {
        asked.extend(app.ledger.view(RequestId(healing.request)).await?);
    }
    let room = app.config.console_rooms().next().map(|room| room.name().to_string()).unwrap_or_default();
    let clicks = Clicks { csrf: viewer.csrf.clone(), room, from: "incident" };
    let main = html! {
        h1 { "Incident " code { (id.short()) } }
        (card(&live, &clicks, None))
        (drawn::incident(&incident, &handling, &troubles, &asked))
    };
    Ok(page(&format!("Incident {}", id.short()), Here::Incidents, &viewer, main).into_response())
}
