//! `POST /discord/interactions`: interactions by HTTP, for an application whose "Interactions Endpoint URL" is ours.
//! <https://docs.discord.com/developers/interactions/overview#setting-up-an-endpoint>

use super::{
    answer, hear,
    interaction::{self, Sent},
    signature,
};
use crate::{app::App, inbox};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use jiff::Timestamp;
use std::time::Duration;

/// Real ones are a few kilobytes.
const LARGEST: usize = 256 * 1024;
/// Later than that Discord has given up.
const WITHIN: Duration = Duration::from_millis(2_800);

/// The endpoint.
pub fn router() -> Router<App> {
    Router::new().route("/discord/interactions", post(receive)).layer(DefaultBodyLimit::max(LARGEST))
}

async fn receive(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Response {
    let key = app.config.discord.as_ref().and_then(|config| config.public_key.as_ref());
    let Some(key) = key else {
        return (
            StatusCode::NOT_FOUND,
            "[discord] public_key is not set, so interactions are taken by the gateway only",
        )
            .into_response();
    };
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !signature::verify(key, header("x-signature-ed25519"), header("x-signature-timestamp"), &body) {
        return (StatusCode::UNAUTHORIZED, "invalid request signature").into_response();
    }
    let interaction = match interaction::read(&body) {
        Ok(Sent::Ping) => return Json(answer::pong()).into_response(),
        Ok(Sent::Used(interaction)) => *interaction,
        Err(error) => {
            tracing::warn!(%error, "discord sent something that is not understood");
            return (StatusCode::BAD_REQUEST, error.to_string()).into_response();
        }
    };
    let id = interaction.id.clone();
    match tokio::time::timeout(WITHIN, hear::hear(&app, interaction, Timestamp::now())).await {
        Ok(Ok(heard)) => {
            if let Some(inbound) = heard.then {
                inbox::spawn(&app, inbound);
            }
            Json(heard.response).into_response()
        }
        // Not acknowledged: Discord tells the person that it failed.
        Ok(Err(error)) => {
            tracing::warn!(%error, interaction.id = id, "could not take in an interaction");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
        Err(_) => {
            tracing::warn!(interaction.id = id, "could not take in an interaction in time");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}
