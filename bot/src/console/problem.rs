//! What the console answers when it cannot do what was asked.

use super::{
    draw::{icon, layout},
    session::Holder,
    stranger,
};
use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use ledger::LedgerError;
use maud::html;

/// Why there is no page.
#[derive(Debug)]
pub enum Problem {
    /// Sign in first, then go on to this path.
    SignIn(String),
    /// The cookie did not come along from another site; take one step from our own page to this path.
    Hop(String),
    /// As `SignIn`, for the script.
    SignedOut,
    /// Signed in, but policy does not know this actor.
    Stranger(Holder),
    /// Not from a page of this session.
    Forged,
    /// The form or address makes no sense.
    Bad(String),
    /// Nothing is here.
    NotFound(&'static str),
    /// Too much at once.
    TooMany(&'static str),
    /// The database.
    Ledger(LedgerError),
    /// A handler died; it has been logged where it died.
    Died,
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        Problem::Ledger(error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, title, text) = match self {
            Problem::SignIn(to) => {
                let onward = if to == "/" { String::new() } else { format!("?to={}", super::encode(&to)) };
                return Redirect::to(&format!("/sign-in{onward}")).into_response();
            }
            Problem::Hop(to) => return layout::hop(&to).into_response(),
            Problem::SignedOut => {
                (StatusCode::UNAUTHORIZED, "Signed out", "Your session is over; sign in again.".into())
            }
            Problem::Stranger(holder) => {
                let page = stranger::draw(&holder, None);
                return (StatusCode::FORBIDDEN, [(header::CACHE_CONTROL, "no-store")], page).into_response();
            }
            Problem::Forged => (
                StatusCode::FORBIDDEN,
                "Not from this session",
                "This form is not from a page of your session, so nothing was done. Load the page again."
                    .into(),
            ),
            Problem::Bad(why) => (StatusCode::BAD_REQUEST, "That makes no sense", why),
            Problem::NotFound(what) => (StatusCode::NOT_FOUND, "Not here", what.into()),
            Problem::TooMany(what) => (StatusCode::TOO_MANY_REQUESTS, "Too much at once", what.into()),
            Problem::Ledger(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the console cannot use the database"
                );
                let text = "Petrel cannot use its database just now. Try again in a moment; what was acknowledged is kept.";
                let passing = error.is_passing();
                let status =
                    if passing { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::INTERNAL_SERVER_ERROR };
                (status, "The database does not answer", text.into())
            }
            Problem::Died => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "Something broke",
                "What you did is recorded and will be handled again in a moment. Look at the room.".into(),
            ),
        };
        let page = layout::bare(
            title,
            html! {
                (icon::petrel())
                h1 { (title) }
                p.error role="alert" { (crate::visible::line(&text)) }
                p { a href="/" { "Go to the room" } }
            },
        );
        (status, [(header::CACHE_CONTROL, "no-store")], page).into_response()
    }
}
