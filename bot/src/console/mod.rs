//! The web console and its chat room.

use crate::app::App;

/// All pages.
pub fn router() -> axum::Router<App> {
    axum::Router::new()
}
