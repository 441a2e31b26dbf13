//! The door to Slack: `inlet` takes in what comes over HTTP or sockets, `door` puts cards into channels.
//!
//! Pure: `payload`, `text`, `signature`, `pace`, `trouble` and `draw` decide, the others do. What Slack's documents say stands
//! beside the code that follows it.

mod api;
mod check;
mod config;
mod door;
pub mod draw;
pub mod http;
mod inlet;
mod pace;
pub mod payload;
mod reply;
pub mod signature;
mod socket;
mod text;
mod trouble;

use crate::{app::App, outbox};
use api::Api;
pub use check::check;
pub(crate) use config::Raw;
pub use config::{Config, Inward};
use inlet::Inlet;
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// Starts what this door runs beside the HTTP server, if `[slack]` is configured.
pub fn start(app: &App, tasks: &TaskTracker) {
    let Some(config) = &app.config.slack else { return };
    let Some(api) = client(&config.api_url, &config.bot_token) else { return };
    tasks.spawn(introduce(api.clone()));
    let addresses = app.config.clone();
    let door = door::Slack::new(api.clone(), app.ledger.clone(), move |path| addresses.address(path));
    tasks.spawn(outbox::work(app.clone(), Arc::new(door)));
    if let Inward::Socket(token) = &config.inward {
        let Some(sockets) = client(&config.api_url, token) else { return };
        let inlet = Arc::new(Inlet::new(app.clone(), api));
        tasks.spawn(socket::listen(sockets, inlet, app.stop.clone()));
    }
}

/// Its HTTP endpoints, if `[slack]` is configured for HTTP.
pub fn router(app: &App) -> axum::Router<App> {
    match &app.config.slack {
        Some(Config { api_url, bot_token, inward: Inward::Http(secret) }) => match client(api_url, bot_token)
        {
            Some(api) => http::router(Arc::new(Inlet::new(app.clone(), api)), secret.clone()),
            None => axum::Router::new(),
        },
        _ => axum::Router::new(),
    }
}

fn client(api_url: &str, token: &secrecy::SecretString) -> Option<Arc<Api>> {
    let api = Api::new(api_url, token);
    api.inspect_err(|error| tracing::error!(error = format!("{error:#}"), "there will be no Slack"))
        .ok()
        .map(Arc::new)
}

/// Says in the log whether the token is good. Nothing waits for it: Slack may be down while Petrel starts.
async fn introduce(api: Arc<Api>) {
    match api.identity().await {
        Ok(who) => tracing::info!(
            slack.user = who.user_id,
            slack.team = who.team_id,
            workspace = who.team,
            "signed in to Slack"
        ),
        Err(failure) => tracing::warn!("{}", failure.words("could not sign in to Slack")),
    }
}
