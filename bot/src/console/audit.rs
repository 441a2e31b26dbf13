//! The record, newest first, with its place in the chain.

use super::{
    draw::{
        layout::{Here, page},
        request::entries,
    },
    problem::Problem,
    session::Viewer,
};
use crate::app::App;
use axum::extract::{Query, State};
use ledger::{EntryFilter, RequestId};
use maud::{Markup, html};
use serde::Deserialize;

/// Entries on one page.
const PAGE: u32 = 50;

/// The filter form; what is empty narrows nothing.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    actor: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    request: String,
    before: Option<i64>,
}

/// `GET /audit`.
pub(super) async fn list(
    State(app): State<App>,
    viewer: Viewer,
    Query(asked): Query<Asked>,
) -> Result<Markup, Problem> {
    let given = |text: &str| Some(text.trim().to_string()).filter(|text| !text.is_empty());
    let request = match asked.request.trim() {
        "" => None,
        id => Some(full_id(&app, id).await?),
    };
    let filter = EntryFilter {
        request,
        actor: given(&asked.actor),
        kind: given(&asked.kind),
        before: asked.before,
        limit: PAGE,
    };
    let found = app.ledger.entries(&filter).await?;
    let head = app.ledger.head().await?;
    let older = found.last().filter(|_| found.len() == PAGE as usize).map(|last| {
        let pairs = [("actor", &asked.actor), ("kind", &asked.kind), ("request", &asked.request)];
        let pairs = pairs
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (*name, value.to_string()));
        format!("/audit?{}", super::query(pairs.chain([("before", last.id.to_string())])))
    });
    Ok(page(
        "Audit",
        Here::Audit,
        &viewer,
        html! {
            h1 { "Audit" }
            div.head {
                @match &head {
                    Some(head) => {
                        span { "Sealed up to " strong { "#" (head.seq) } }
                        span { "hash " code data-head { (head.hash) } }
                    }
                    None => span { "Nothing is sealed yet." }
                }
                span.small { "Prove it with " code { "petrel audit verify" } }
            }
            form.filter method="get" action="/audit" role="search" {
                label { span { "Who" } input name="actor" value=(asked.actor) placeholder="console:ann" maxlength="200"; }
                label { span { "What (a trailing dot means all of a kind)" } input name="kind" value=(asked.kind) placeholder="vote." maxlength="100"; }
                label { span { "Request" } input name="request" value=(asked.request) placeholder="id" maxlength="36"; }
                button.button { "Filter" }
            }
            (entries(&found))
            nav.pages aria-label="pages" {
                @if asked.before.is_some() { a href="/audit" { "Newest" } }
                @if let Some(older) = &older { a href=(older) rel="next" { "Older" } }
            }
        },
    ))
}

async fn full_id(app: &App, id: &str) -> Result<RequestId, Problem> {
    const NO_SUCH: Problem = Problem::NotFound("There is no such request.");
    if let Ok(id) = id.parse() {
        return Ok(id);
    }
    if id.len() != 8 || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(NO_SUCH);
    }
    app.ledger.find_request(id).await?.first().copied().ok_or(NO_SUCH)
}
