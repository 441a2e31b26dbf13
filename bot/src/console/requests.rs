//! All requests, and one of them.

use super::{
    draw::{
        card::Clicks,
        layout::{Here, page},
        request as drawn, state_words,
    },
    problem::Problem,
    session::Viewer,
};
use crate::{app::App, card::Card};
use axum::{
    extract::{Path, Query, State},
    response::{IntoResponse, Redirect, Response},
};
use jiff::Timestamp;
use ledger::{EntryFilter, LedgerError, Person, RequestFilter, RequestId, RequestState};
use maud::{Markup, html};
use serde::Deserialize;
use std::collections::BTreeSet;

/// Requests on one page.
const PAGE: u32 = 30;
/// Ledger entries shown with a request.
const ENTRIES: u32 = 200;

/// The filter form; what is empty narrows nothing.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    state: String,
    #[serde(default)]
    cluster: String,
    #[serde(default)]
    person: String,
    #[serde(default)]
    action: String,
    #[serde(default)]
    text: String,
    before: Option<i64>,
}

impl Asked {
    fn states(&self) -> Vec<RequestState> {
        match self.state.as_str() {
            "open" => RequestState::ALL.into_iter().filter(|state| !state.is_final()).collect(),
            one => RequestState::ALL.into_iter().filter(|state| state.as_str() == one).collect(),
        }
    }

    fn filter(&self) -> RequestFilter {
        let given = |text: &str| Some(text.trim().to_string()).filter(|text| !text.is_empty());
        RequestFilter {
            states: self.states(),
            cluster: given(&self.cluster),
            person: given(&self.person).map(Person),
            action: given(&self.action),
            text: given(&self.text),
            before: self.before.and_then(|micros| Timestamp::from_microsecond(micros).ok()),
            limit: PAGE,
            ..RequestFilter::default()
        }
    }

    /// The same question, before a moment.
    fn older(&self, before: Timestamp) -> String {
        let pairs = [
            ("state", &self.state),
            ("cluster", &self.cluster),
            ("person", &self.person),
            ("action", &self.action),
            ("text", &self.text),
        ];
        let pairs = pairs
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (*name, value.to_string()));
        let before = ("before", before.as_microsecond().to_string());
        format!("/requests?{}", super::query(pairs.chain([before])))
    }
}

/// `GET /requests`.
pub(super) async fn list(
    State(app): State<App>,
    viewer: Viewer,
    Query(asked): Query<Asked>,
) -> Result<Markup, Problem> {
    let found = app.ledger.requests(&asked.filter()).await?;
    let production: BTreeSet<String> =
        app.config.clusters.iter().filter(|c| is_production(c)).map(|c| c.name.clone()).collect();
    Ok(page(
        "Requests",
        Here::Requests,
        &viewer,
        html! {
            h1 { "Requests" }
            (filter(&app, &asked))
            @if found.is_empty() { p.empty { "No request fits." } }
            ol.requests {
                @for one in &found { (drawn::row(one, production.contains(&one.plan.target.cluster))) }
            }
            nav.pages aria-label="pages" {
                @if asked.before.is_some() { a href="/requests" { "Newest" } }
                @if let Some(last) = found.last().filter(|_| found.len() == PAGE as usize) {
                    a href=(asked.older(last.created_at)) rel="next" { "Older" }
                }
            }
        },
    ))
}

fn is_production(cluster: &actions::cluster::ClusterConfig) -> bool {
    cluster.labels.get("production").is_some_and(|value| value == "true")
}

fn filter(app: &App, asked: &Asked) -> Markup {
    let choice = |label: &str, name: &str, now: &str, choices: Vec<(String, String)>| {
        html! {
            label { span { (label) }
                select name=(name) {
                    option value="" { "any" }
                    @for (value, words) in &choices { option value=(value) selected[value == now] { (words) } }
                }
            }
        }
    };
    let same = |names: Vec<String>| names.into_iter().map(|name| (name.clone(), name)).collect();
    let mut states = vec![("open".to_string(), "open (not finished)".to_string())];
    states
        .extend(RequestState::ALL.map(|state| (state.as_str().to_string(), state_words(state).to_string())));
    let people = app.policy.current().people().into_iter().map(|(person, _, _)| person.0).collect();
    let names = actions::catalogue::catalogue().iter().map(|action| action.name().to_string()).collect();
    html! {
        form.filter method="get" action="/requests" role="search" {
            (choice("State", "state", &asked.state, states))
            (choice("Cluster", "cluster", &asked.cluster, same(app.clusters.names())))
            (choice("Person", "person", &asked.person, same(people)))
            (choice("Action", "action", &asked.action, same(names)))
            label { span { "Text" } input type="search" name="text" value=(asked.text) maxlength="200"; }
            button.button { "Filter" }
        }
    }
}

/// `GET /requests/{id}`; the short id that people type works too.
pub(super) async fn one(
    State(app): State<App>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    if let Ok(id) = id.parse::<RequestId>() {
        return Ok(draw(&app, &viewer, id, None).await?.into_response());
    }
    let short = id.len() == 8 && id.bytes().all(|b| b.is_ascii_hexdigit());
    match short.then_some(app.ledger.find_request(&id)) {
        Some(found) => match found.await?.first() {
            Some(full) => Ok(Redirect::to(&format!("/requests/{full}")).into_response()),
            None => Err(NO_SUCH),
        },
        None => Err(NO_SUCH),
    }
}

const NO_SUCH: Problem = Problem::NotFound("There is no such request.");

/// The page of one request. `told`: what Petrel says to this reader alone.
pub(super) async fn draw(
    app: &App,
    viewer: &Viewer,
    id: RequestId,
    told: Option<&(RequestId, Card)>,
) -> Result<Markup, Problem> {
    // Before reading, so that what changes while we read is drawn again and not missed.
    let since = Timestamp::now();
    let main = live(app, viewer, id, told).await?.ok_or(NO_SUCH)?;
    Ok(page(
        &format!("Request {}", id.short()),
        Here::Requests,
        viewer,
        html! {
            h1 { "Request " code { (id.short()) } }
            div data-events={ "/events?request=" (id) } data-since=(since.as_microsecond()) { (main) }
        },
    ))
}

/// The part of it that is replaced when the request changes.
pub(super) async fn live(
    app: &App,
    viewer: &Viewer,
    id: RequestId,
    told: Option<&(RequestId, Card)>,
) -> Result<Option<Markup>, LedgerError> {
    let Some(view) = app.ledger.view(id).await? else { return Ok(None) };
    let filter = EntryFilter { request: Some(id), limit: ENTRIES, ..EntryFilter::default() };
    let entries = app.ledger.entries(&filter).await?;
    let given_up = app.ledger.given_up(id).await?;
    let card = super::request_card(app, &view);
    let asked_in = view.request.ask.place.as_ref();
    let asked_in = app.config.console_rooms().find(|room| Some(&room.place) == asked_in);
    let room = asked_in.or(app.config.console_rooms().next());
    let room = room.map(|room| room.name().to_string()).unwrap_or_default();
    let clicks = Clicks { csrf: viewer.csrf.clone(), room, from: "request" };
    Ok(Some(drawn::request(&view, &card, &entries, &given_up, &clicks, told)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_means_all_states_that_something_follows() {
        let asked = Asked { state: "open".into(), ..Asked::default() };
        assert_eq!(asked.states().len(), 4);
        assert_eq!(
            Asked { state: "rolled_back".into(), ..Asked::default() }.states(),
            [RequestState::RolledBack]
        );
        assert!(Asked { state: "nonsense".into(), ..Asked::default() }.states().is_empty());
    }

    #[test]
    fn the_older_page_asks_the_same_question() {
        let asked = Asked { text: "50 % & more".into(), cluster: "prod-eu".into(), ..Asked::default() };
        let older = asked.older(Timestamp::from_microsecond(7).unwrap());
        assert_eq!(older, "/requests?cluster=prod-eu&text=50%20%25%20%26%20more&before=7");
    }
}
