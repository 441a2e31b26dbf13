//! The web console, a chat room first: server-rendered pages that work without JavaScript and come alive with it.
//!
//! Promises: nothing is shown to who is not signed in and known to policy (but how to become known); nothing is done by a form that is not from a
//! page of the same session; what people and clusters wrote is shown and never obeyed; a click or line is durable before
//! it is acknowledged.
//!
//! Deliberately not here: what a line or click means (`inbox`), what a card says (`draw` of the bot), single sign-on.

mod assets;
mod audit;
mod clusters;
mod complete;
pub mod draw;
mod drills;
mod guard;
mod help;
mod incidents;
mod live;
mod picture;
mod problem;
mod requests;
mod room;
mod session;
mod sign_in;
mod stranger;

#[cfg(test)]
mod preview;
#[cfg(test)]
mod preview_incident;

use crate::app::App;
use axum::{
    Extension, Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{get, post},
};
use problem::Problem;
use std::sync::Arc;

/// The largest form.
const FORM_BYTES: usize = 32 * 1024;

/// All pages. Serve it with `into_make_service_with_connect_info::<SocketAddr>()`, so that failed sign-ins are counted
/// per address.
pub fn router() -> Router<App> {
    Router::new()
        .route("/", get(room::page))
        .route("/say", post(room::say))
        .route("/click", post(room::click))
        .route("/complete", get(complete::words))
        .route("/events", get(live::events))
        .route("/requests", get(requests::list))
        .route("/requests/{id}", get(requests::one))
        .route("/incidents", get(incidents::list))
        .route("/incidents/{id}", get(incidents::one))
        .route("/drills", get(drills::list))
        .route("/drills/{id}", get(drills::one))
        .route("/clusters", get(clusters::list))
        .route("/audit", get(audit::list))
        .route("/help", get(help::page_of))
        .route("/sign-in", get(sign_in::page).post(sign_in::submit))
        .route("/sign-out", post(sign_in::leave))
        .route("/people/link", post(stranger::link))
        .route("/pictures/{file}", get(picture::file))
        .route("/static/{file}", get(assets::file))
        .fallback(|| async { Problem::NotFound("There is no such page.") })
        .layer(DefaultBodyLimit::max(FORM_BYTES))
        .layer(Extension(Arc::new(sign_in::Failures::default())))
        .layer(Extension(Arc::new(live::Streams::default())))
        .layer(middleware::from_fn(guard::headers))
}

/// `name=value&...`, for addresses that we write ourselves.
fn query(pairs: impl Iterator<Item = (&'static str, String)>) -> String {
    pairs.map(|(name, value)| format!("{name}={}", encode(&value))).collect::<Vec<_>>().join("&")
}

/// Percent-encoding of everything but unreserved characters.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for b in text.bytes() {
        match b {
            b if b.is_ascii_alphanumeric() || b"-._~".contains(&b) => encoded.push(char::from(b)),
            b => encoded.push_str(&format!("%{b:02X}")),
        }
    }
    encoded
}

/// A request's card as of now.
fn request_card(app: &App, view: &ledger::RequestView) -> crate::card::Card {
    crate::draw::request(view, &app.labels(&view.request.plan.target.cluster), jiff::Timestamp::now())
}
