//! What was broken on purpose, and what came of it.

use super::{draw::drill, problem::Problem, session::Viewer};
use crate::{app::App, drill::of};
use axum::extract::{Path, State};
use jiff::Timestamp;
use maud::Markup;

/// Drills on one page.
const PAGE: u32 = 50;

/// `GET /drills`.
pub(super) async fn list(State(app): State<App>, viewer: Viewer) -> Result<Markup, Problem> {
    let all = crate::drill::newest(&app, PAGE, Timestamp::now()).await?;
    Ok(drill::list(&viewer, &all))
}

/// `GET /drills/{id}`; the id of its request.
pub(super) async fn one(
    State(app): State<App>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<Markup, Problem> {
    const NO_SUCH: Problem = Problem::NotFound("There is no such drill, or nothing was broken yet.");
    let id = id.parse().map_err(|_| NO_SUCH)?;
    let report = of(&app, id, Timestamp::now()).await?.ok_or(NO_SUCH)?;
    Ok(drill::one(&viewer, &report))
}
