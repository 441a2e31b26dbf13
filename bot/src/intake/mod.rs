//! What happened, as others tell it: `POST /hook/<kind>/<name>` for each `[[intake]]`. Proof first, then size and rate, then it is read;
//! acknowledged only when it is durable (G11). The same message again does nothing twice.

mod proof;
mod rate;

pub use rate::Rates;

use crate::{
    api::Problem,
    app::App,
    config::{Intake, IntakeKind, Proof},
};
use axum::{
    Json, Router,
    body::{Body, Bytes, to_bytes},
    extract::{Path, Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use heal::event::{Batch, Context, ReadError, alert, cloud};
use jiff::Timestamp;
use ledger::NewEvent;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::time::{Duration, Instant};

/// A sender that is slower is not waited for.
const WITHIN: Duration = Duration::from_secs(20);

/// The addresses.
pub fn router() -> Router<App> {
    Router::new().route("/hook/{kind}/{name}", post(take))
}

async fn take(
    State(app): State<App>,
    Path((kind, name)): Path<(String, String)>,
    request: Request,
) -> Response {
    let began = Instant::now();
    let known = app.config.intakes.iter().find(|intake| intake.name == name && intake.kind.as_str() == kind);
    let Some(intake) = known else {
        // As for a wrong proof, so that nobody finds out names by trying.
        return refuse(&app, "unknown", "proof", &unknown());
    };
    match receive(&app, intake, request).await {
        Ok(answer) => {
            app.metrics.intake(began.elapsed());
            Json(answer).into_response()
        }
        Err((why, problem)) => refuse(&app, &intake.name, why, &problem),
    }
}

fn refuse(app: &App, intake: &str, why: &'static str, problem: &Problem) -> Response {
    app.metrics.intake_refused(intake, why);
    tracing::warn!(intake, why, detail = problem.detail, "refused what an intake was told");
    let copy = Problem {
        refusal: None,
        title: problem.title.clone(),
        status: problem.status,
        detail: problem.detail.clone(),
    };
    let mut response = copy.into_response();
    if response.status() == StatusCode::TOO_MANY_REQUESTS {
        response.headers_mut().insert("retry-after", http::HeaderValue::from_static("10"));
    }
    response
}

type Refused = (&'static str, Box<Problem>);

async fn receive(app: &App, intake: &Intake, request: Request) -> Result<Value, Refused> {
    let (parts, body) = request.into_parts();
    let headers = parts.headers;
    // A token is looked at before anything is read; a signature needs the body.
    if let Proof::Token(token) = &intake.proof
        && !proof::bears(&headers, token)
    {
        return Err(("proof", Box::new(unknown())));
    }
    let body = read(body, intake.max_bytes).await?;
    if let Proof::Hmac(key) = &intake.proof
        && !proof::signs(&headers, &body, key)
    {
        return Err(("proof", Box::new(unknown())));
    }
    if !app.rates.admit(&intake.name, intake.per_minute, Instant::now()) {
        let detail =
            format!("This intake takes {} messages a minute; send it again later.", intake.per_minute);
        return Err(("rate", Box::new(Problem::new(StatusCode::TOO_MANY_REQUESTS, "Too many", &detail))));
    }
    let now = Timestamp::now();
    let context = Context { cluster: intake.cluster.as_deref(), received: now };
    let batch = understand(intake.kind, &headers, &body, context).map_err(|error| {
        let problem = Problem::new(StatusCode::BAD_REQUEST, "This cannot be read", &error.to_string());
        ("malformed", Box::new(problem))
    })?;
    if batch.truncated > 0 {
        tracing::warn!(
            intake = intake.name,
            left_out = batch.truncated,
            "the sender left alerts out; raise its `max_alerts`"
        );
    }
    let events: Vec<NewEvent> = batch.events.iter().map(|event| new_event(intake, event)).collect();
    let fresh = app.ledger.receive_events(&intake.name, &events, now).await.map_err(|error| {
        // Not kept, so not acknowledged: the sender tries again.
        let mut problem = Problem::from(error);
        problem.status = StatusCode::SERVICE_UNAVAILABLE.as_u16();
        ("database", Box::new(problem))
    })?;
    let told = events.len() as u64;
    let refused: Vec<Value> =
        batch.refused.iter().map(|one| json!({ "index": one.index, "why": one.why })).collect();
    app.metrics.intake_events(&intake.name, fresh, told - fresh, refused.len() as u64);
    if told == 0 && !refused.is_empty() {
        let detail =
            format!("Not one of {} alerts can be read; the first: {}", refused.len(), batch.refused[0].why);
        let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "This cannot be read", &detail);
        return Err(("malformed", Box::new(problem)));
    }
    Ok(
        json!({ "new": fresh, "known": told - fresh, "refused": refused, "left_out_by_sender": batch.truncated }),
    )
}

async fn read(body: Body, longest: usize) -> Result<Bytes, Refused> {
    match tokio::time::timeout(WITHIN, to_bytes(body, longest)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => {
            let detail = format!(
                "A message may have {} MiB (max_mib); send fewer alerts at once.",
                longest / 1024 / 1024
            );
            Err(("size", Box::new(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "Too large", &detail))))
        }
        Err(_) => {
            let why = "The body did not come in time.";
            Err(("slow", Box::new(Problem::new(StatusCode::REQUEST_TIMEOUT, "Too slow", why))))
        }
    }
}

fn understand(
    kind: IntakeKind,
    headers: &HeaderMap,
    body: &[u8],
    context: Context<'_>,
) -> Result<Batch, ReadError> {
    match kind {
        IntakeKind::Alertmanager | IntakeKind::Grafana => alert::read(body, context),
        IntakeKind::CloudEvents => {
            let structured = headers
                .get("content-type")
                .and_then(|value| value.to_str().ok())
                .is_some_and(|kind| kind.to_ascii_lowercase().starts_with("application/cloudevents+json"));
            if structured {
                return cloud::structured(body, context);
            }
            let texts =
                headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
            cloud::binary(texts, body, context)
        }
    }
}

/// The same message about the same event has the same key: a CloudEvent by its source and id, an alert by all it says, so that one
/// that got worse is news, and one that is sent again is not.
fn new_event(intake: &Intake, event: &heal::event::Event) -> NewEvent {
    let body = serde_json::to_value(event).unwrap_or_default();
    let mut hash = Sha256::new();
    for part in [intake.name.as_bytes(), event.id.as_bytes()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    if intake.kind != IntakeKind::CloudEvents {
        // Keys of an object are sorted, so the same says the same.
        hash.update(body.to_string());
    }
    NewEvent { key: hex::encode(&hash.finalize()[..20]), body }
}

fn unknown() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "Who are you?",
        "There is no such intake, or its token or signature is wrong; look at [[intake]] in Petrel's config.",
    )
}
