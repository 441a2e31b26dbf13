//! Slack calls: events, commands and interactions at one address or three, all signed. Answered as
//! <https://docs.slack.dev/apis/events-api> and <https://docs.slack.dev/interactivity/handling-user-interaction> say.

use super::{
    inlet::{Answer, Inlet, Parcel},
    signature::{self, SIGNATURE, TIMESTAMP},
};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

/// A click brings the clicked message along, which is well below this.
const BODY: usize = 1 << 20;

#[derive(Clone)]
struct Context {
    inlet: Arc<Inlet>,
    secret: SecretString,
}

/// `/slack/events`, `/slack/commands`, `/slack/interactions`. Each takes whatever Slack sends, so that an app that names one
/// address for everything works too.
pub fn router<S: Clone + Send + Sync + 'static>(inlet: Arc<Inlet>, secret: SecretString) -> Router<S> {
    Router::new()
        .route("/slack/events", post(take))
        .route("/slack/commands", post(take))
        .route("/slack/interactions", post(take))
        .layer(DefaultBodyLimit::max(BODY))
        .with_state(Context { inlet, secret })
}

async fn take(State(context): State<Context>, headers: HeaderMap, body: Bytes) -> Response {
    let header = |name: &str| {
        let mut all = headers.get_all(name).iter();
        all.next().filter(|_| all.next().is_none()).map(|value| value.as_bytes())
    };
    let secret = context.secret.expose_secret().as_bytes();
    let now = Timestamp::now().as_second();
    if let Err(why) = signature::verify(secret, header(SIGNATURE), header(TIMESTAMP), &body, now) {
        tracing::warn!(%why, "refused a request that is not Slack's");
        return (StatusCode::UNAUTHORIZED, why.to_string()).into_response();
    }
    if let Some(retry) = header("x-slack-retry-num") {
        let reason = header("x-slack-retry-reason").map(String::from_utf8_lossy);
        tracing::info!(slack.retry = %String::from_utf8_lossy(retry), ?reason, "Slack sends something again");
    }
    let kind = header(header::CONTENT_TYPE.as_str()).unwrap_or_default();
    let parcel = match parcel(kind, &body) {
        Ok(Some(parcel)) => parcel,
        // Slack looks now and then whether the certificate is good.
        Ok(None) => return StatusCode::OK.into_response(),
        Err(why) => {
            tracing::warn!(why, "cannot read a request of Slack's");
            return (StatusCode::BAD_REQUEST, why).into_response();
        }
    };
    match context.inlet.take(parcel).await {
        Answer::Ack => StatusCode::OK.into_response(),
        Answer::Say(body) => Json(body).into_response(),
        Answer::Again => (StatusCode::SERVICE_UNAVAILABLE, "not kept; send it again").into_response(),
    }
}

/// What a body is: JSON for events, a form with `payload` for interactions, a form with `command` for commands. None: nothing
/// to do.
pub fn parcel(content_type: &[u8], body: &[u8]) -> Result<Option<Parcel>, String> {
    #[derive(Deserialize)]
    struct Fields {
        payload: Option<String>,
        ssl_check: Option<String>,
    }
    if content_type.starts_with(b"application/json") || body.trim_ascii_start().starts_with(b"{") {
        return serde_json::from_slice(body)
            .map(|body| Some(Parcel::Event(body)))
            .map_err(|error| error.to_string());
    }
    let fields: Fields = serde_urlencoded::from_bytes(body).map_err(|error| error.to_string())?;
    if let Some(payload) = fields.payload {
        let payload: Value = serde_json::from_str(&payload).map_err(|error| error.to_string())?;
        return Ok(Some(Parcel::Interaction(payload)));
    }
    if fields.ssl_check.is_some() {
        return Ok(None);
    }
    let command = serde_urlencoded::from_bytes(body).map_err(|error| error.to_string())?;
    Ok(Some(Parcel::Command(Box::new(command))))
}
