//! `GET /pictures/{id}.svg` and `.png`: what cards show.

use super::{problem::Problem, session::Viewer};
use crate::app::App;
use axum::{
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
};

/// Of a signed-in person only. A picture never changes.
pub(super) async fn file(
    State(app): State<App>,
    _viewer: Viewer,
    Path(file): Path<String>,
) -> Result<Response, Problem> {
    let none = || Problem::NotFound("There is no such picture, or it was taken away after 90 days.");
    let (id, ending) = file.split_once('.').ok_or_else(none)?;
    let picture = app.ledger.picture(id.parse().map_err(|_| none())?).await?.ok_or_else(none)?;
    let (kind, bytes) = match ending {
        "svg" => ("image/svg+xml", picture.svg.into_bytes()),
        "png" => ("image/png", picture.png),
        _ => return Err(none()),
    };
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "private, max-age=31536000, immutable"),
        // A drawing of ours that has its own rules for the dark, and nothing else.
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        ),
    ];
    Ok((headers, bytes).into_response())
}
