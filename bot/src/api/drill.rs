//! What came of a drill.

use super::{Problem, auth::Bearer};
use crate::{
    app::App,
    drill::{self, Report},
};
use axum::{
    Json,
    extract::{Path, State},
};
use jiff::Timestamp;

/// The report of a drill, by the id of its request; while it is under way, as of now. 404 as long as nothing is broken.
#[utoipa::path(get, path = "/api/v1/drills/{id}", params(("id" = String, Path, description = "The whole id of its request")),
    responses((status = 200, body = Report), (status = 404, body = Problem)))]
pub(super) async fn drill(
    State(app): State<App>,
    Bearer(actor): Bearer,
    Path(id): Path<String>,
) -> Result<Json<Report>, Problem> {
    app.gate.who(&actor).await??;
    let id = super::named(&app, &actor, &id).await?;
    let report = drill::of(&app, id, Timestamp::now()).await?;
    Ok(Json(report.ok_or(ledger::Refusal::NoSuchRequest)?))
}
