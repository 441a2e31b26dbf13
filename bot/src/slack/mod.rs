//! The door to Slack.

mod config;

use crate::{app::App, door::Checked};
pub use config::Config;
pub(crate) use config::Raw;
use tokio_util::task::TaskTracker;

/// Starts what this door runs beside the HTTP server, if `[slack]` is configured.
pub fn start(_app: &App, _tasks: &TaskTracker) {}

/// Its HTTP endpoints; served if `[slack]` is configured.
pub fn router() -> axum::Router<App> {
    axum::Router::new()
}

/// For `petrel check`: what is right and what is missing, if `[slack]` is configured.
pub async fn check(_config: &crate::config::Config) -> Vec<Checked> {
    Vec::new()
}
