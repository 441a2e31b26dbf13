//! The HTTP API, for scripts and CI: the same lines through the same gate, with a bearer token. Errors are
//! `application/problem+json` (RFC 9457) and say what to do.

mod auth;
mod drill;
mod forecast;
mod problem;
mod wire;

pub use problem::Problem;
pub use wire::*;

use crate::{
    app::App,
    draw, grammar,
    line::{Reply, answer_line},
};
use actions::gate::Ballot;
use auth::{Bearer, Scheme};
use axum::{
    Json, Router,
    extract::{
        DefaultBodyLimit, Path, Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    http::{HeaderMap, StatusCode},
    routing,
};
use jiff::Timestamp;
use ledger::{Actor, EntryFilter, Person, RequestFilter, RequestId, RequestState};
use std::time::Duration;
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

/// More than any line or reason needs.
const BODY_BYTES: usize = 32 * 1024;

#[derive(OpenApi)]
#[openapi(
    info(title = "Petrel", description = "Ask for changes to clusters, vote on them, look at what became of them."),
    modifiers(&Scheme),
    security(("token" = []))
)]
struct Api;

/// `/api/v1`, `/api/openapi.json`, `/healthz`, `/readyz`, `/metrics`.
pub fn router() -> Router<App> {
    let (api, description) = OpenApiRouter::with_openapi(Api::openapi())
        .routes(routes!(ask))
        .routes(routes!(requests))
        .routes(routes!(request))
        .routes(routes!(vote))
        .routes(routes!(cancel))
        .routes(routes!(clusters))
        .routes(routes!(entries))
        .routes(routes!(drill::drill))
        .routes(routes!(forecast::forecast))
        .split_for_parts();
    api.route("/api/openapi.json", routing::get(move || std::future::ready(Json(description.clone()))))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .route("/healthz", routing::get(|| std::future::ready("ok\n")))
        .route("/readyz", routing::get(ready))
        .route("/metrics", routing::get(metrics))
}

/// Types one command line.
///
/// A change gives a request, a question gives a card. With an `Idempotency-Key` the same ask can be sent again until it
/// is answered: it makes one request.
#[utoipa::path(
    post, path = "/api/v1/ask", request_body = AskBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "Up to 150 printable characters")),
    responses(
        (status = 200, body = Answered),
        (status = 400, body = Problem, description = "The line makes no sense"),
        (status = 403, body = Problem, description = "Not allowed"),
        (status = 422, body = Problem, description = "No plan can be made"),
        (status = 503, body = Problem, description = "The database does not answer; send the same key again"),
    )
)]
async fn ask(
    State(app): State<App>,
    Bearer(actor): Bearer,
    headers: HeaderMap,
    body: Result<Json<AskBody>, JsonRejection>,
) -> Result<Json<Answered>, Problem> {
    let Json(body) = body?;
    let key = match headers.get("Idempotency-Key").map(|value| value.to_str()) {
        None => RequestId::new().to_string(),
        Some(Ok(key)) if (1..=150).contains(&key.len()) => key.to_string(),
        Some(_) => return Err(Problem::bad("Idempotency-Key must be 1 to 150 printable ASCII characters")),
    };
    let line = body.line()?;
    // Keys of different tokens never meet.
    let reply = answer_line(&app, &actor, None, &format!("{actor}:{key}"), &line, Timestamp::now()).await?;
    match reply {
        Reply::Request(request) => {
            Ok(Json(Answered { request: Some(view(&app, request.id).await?), card: None }))
        }
        Reply::Said(card) | Reply::Private(card) => {
            Ok(Json(Answered { request: None, card: Some(draw::json(&card)) }))
        }
        Reply::Wrong(card) => Err(Problem::card(StatusCode::BAD_REQUEST, &card)),
        Reply::Trouble(card) => Err(Problem::card(StatusCode::UNPROCESSABLE_ENTITY, &card)),
        Reply::Refused(refusal) => Err(refusal.into()),
    }
}

/// Requests, newest first.
#[utoipa::path(get, path = "/api/v1/requests", params(RequestsQuery), responses((status = 200, body = Requests), (status = 400, body = Problem)))]
async fn requests(
    State(app): State<App>,
    Bearer(actor): Bearer,
    query: Result<Query<RequestsQuery>, QueryRejection>,
) -> Result<Json<Requests>, Problem> {
    app.gate.who(&actor).await??;
    let Query(query) = query?;
    let mut states = Vec::new();
    for name in query.state.iter().flat_map(|states| states.split(',')) {
        let state = RequestState::ALL.into_iter().find(|state| state.as_str() == name);
        states.push(state.ok_or_else(|| {
            let all = RequestState::ALL.map(RequestState::as_str).join(", ");
            Problem::bad(&format!("there is no state '{name}'; one of {all}"))
        })?);
    }
    let filter = RequestFilter {
        states,
        cluster: query.cluster,
        target: None,
        person: query.person.map(Person),
        action: query.action,
        text: query.text,
        before: timestamp("before", query.before.as_deref())?,
        limit: query.limit.unwrap_or(50).clamp(1, 200),
    };
    let found = app.ledger.requests(&filter).await?;
    Ok(Json(Requests { requests: found.iter().map(wire::Request::brief).collect() }))
}

/// One request with its votes, run and steps.
#[utoipa::path(get, path = "/api/v1/requests/{id}", params(("id" = String, Path, description = "The whole id, or the eight characters people read")),
    responses((status = 200, body = wire::Request), (status = 404, body = Problem)))]
async fn request(
    State(app): State<App>,
    Bearer(actor): Bearer,
    Path(id): Path<String>,
) -> Result<Json<wire::Request>, Problem> {
    app.gate.who(&actor).await??;
    let id = named(&app, &actor, &id).await?;
    Ok(Json(view(&app, id).await?))
}

/// Votes on the plan that stands, or on the one with `digest`.
#[utoipa::path(post, path = "/api/v1/requests/{id}/votes", params(("id" = String, Path)), request_body = VoteBody,
    responses((status = 200, body = wire::Request), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "Too late, voted already, or another plan")))]
async fn vote(
    State(app): State<App>,
    Bearer(actor): Bearer,
    Path(id): Path<String>,
    body: Result<Json<VoteBody>, JsonRejection>,
) -> Result<Json<wire::Request>, Problem> {
    let Json(body) = body?;
    let request = named(&app, &actor, &id).await?;
    let VoteBody { verdict, reason, typed, digest } = body;
    let ballot = Ballot { request, actor, verdict: verdict.into(), digest, reason, typed };
    app.gate.vote(&ballot, Timestamp::now()).await??;
    Ok(Json(view(&app, request).await?))
}

/// Calls a request off. One that runs stops at the next safe point and says what was and was not done.
#[utoipa::path(post, path = "/api/v1/requests/{id}/cancel", params(("id" = String, Path)), request_body = CancelBody,
    responses((status = 200, body = wire::Request), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn cancel(
    State(app): State<App>,
    Bearer(actor): Bearer,
    Path(id): Path<String>,
    body: Result<Json<CancelBody>, JsonRejection>,
) -> Result<Json<wire::Request>, Problem> {
    let Json(body) = body?;
    let request = named(&app, &actor, &id).await?;
    app.gate.cancel(request, &actor, body.reason.as_deref(), Timestamp::now()).await??;
    Ok(Json(view(&app, request).await?))
}

/// Every cluster and how it is.
#[utoipa::path(get, path = "/api/v1/clusters", responses((status = 200, body = Vec<wire::Cluster>)))]
async fn clusters(
    State(app): State<App>,
    Bearer(actor): Bearer,
) -> Result<Json<Vec<wire::Cluster>>, Problem> {
    let who = app.gate.who(&actor).await??;
    let (policy, now) = (app.policy.current(), Timestamp::now());
    let mut health = app.clusters.health().await;
    health.retain(|cluster| policy.may_query(&who, "clusters", &cluster.name, &cluster.labels, now).is_ok());
    Ok(Json(health.into_iter().map(wire::Cluster::from).collect()))
}

/// The record, newest first.
#[utoipa::path(get, path = "/api/v1/entries", params(EntriesQuery), responses((status = 200, body = Entries), (status = 400, body = Problem)))]
async fn entries(
    State(app): State<App>,
    Bearer(actor): Bearer,
    query: Result<Query<EntriesQuery>, QueryRejection>,
) -> Result<Json<Entries>, Problem> {
    app.gate.who(&actor).await??;
    let Query(query) = query?;
    let request = match query.request {
        Some(id) => Some(named(&app, &actor, &id).await?),
        None => None,
    };
    let limit = query.limit.unwrap_or(50).clamp(1, 500);
    let filter = EntryFilter { request, actor: query.actor, kind: query.kind, before: query.before, limit };
    let found = app.ledger.entries(&filter).await?;
    Ok(Json(Entries { entries: found.into_iter().map(wire::Entry::from).collect() }))
}

/// Whole or short; a stranger's short id is not looked up. (What is done with a whole one, the gate refuses and records.)
async fn named(app: &App, actor: &Actor, id: &str) -> Result<RequestId, Problem> {
    if let Ok(id) = id.parse() {
        return Ok(id);
    }
    app.gate.who(actor).await??;
    match app.ledger.find_request(id).await?.as_slice() {
        [id] => Ok(*id),
        [] => Err(ledger::Refusal::NoSuchRequest.into()),
        several => {
            let ids = several.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            Err(Problem::new(
                StatusCode::CONFLICT,
                "Several requests have this short id",
                &format!("Name one in full: {ids}."),
            ))
        }
    }
}

async fn view(app: &App, id: RequestId) -> Result<wire::Request, Problem> {
    let view = app.ledger.view(id).await?.ok_or(ledger::Refusal::NoSuchRequest)?;
    let card = draw::request(&view, &app.labels(&view.request.plan.target.cluster), Timestamp::now());
    Ok(wire::Request::full(&view, &card))
}

fn timestamp(what: &str, text: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    let wrong = |_| Problem::bad(&format!("{what} must be a time such as 2026-11-21T09:00:00Z"));
    text.map(|text| text.parse().map_err(wrong)).transpose()
}

/// Ready: the database answers and the process is not stopping.
async fn ready(State(app): State<App>) -> (StatusCode, String) {
    if app.stop.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".into());
    }
    match tokio::time::timeout(Duration::from_secs(2), app.ledger.ping()).await {
        Ok(Ok(_)) => (StatusCode::OK, "ready\n".into()),
        Ok(Err(error)) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n".into()),
    }
}

async fn metrics(State(app): State<App>) -> Result<([(&'static str, &'static str); 1], String), Problem> {
    let gauges = app.ledger.gauges().await?;
    let header = [("content-type", "application/openmetrics-text; version=1.0.0; charset=utf-8")];
    Ok((header, app.metrics.text(&gauges)))
}

impl AskBody {
    fn line(self) -> Result<String, Problem> {
        match (self.line, self.words) {
            (Some(line), None) => Ok(match self.why {
                None => line,
                Some(why) => grammar::with_why(&line, &why),
            }),
            (None, Some(words)) => {
                let line = grammar::join(&words);
                Ok(self.why.map_or(line.clone(), |why| grammar::with_why(&line, &why)))
            }
            _ => Err(Problem::bad(
                "the body needs one of line (\"scale deploy/checkout 6 ...\") and words ([\"scale\", ...])",
            )),
        }
    }
}
