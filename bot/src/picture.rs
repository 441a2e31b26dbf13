//! From a forecast in an answer to a picture that the ledger keeps and a card shows.

use crate::{
    app::App,
    card::Picture,
    chart::{Chart, NotDrawn, Theme},
    sketch::Sketch,
};
use actions::query::Plot;
use jiff::Timestamp;
use ledger::{Ledger, PictureId, Request};
use std::time::Duration;

/// A card is not kept back longer for its picture.
const PATIENCE: Duration = Duration::from_secs(4);

/// Draws and keeps it. None: that failed, and the card goes without; its words say the same.
pub async fn keep(ledger: &Ledger, plot: Plot, now: Timestamp) -> Option<Picture> {
    keep_as(PictureId::new(), ledger, plot, now).await
}

/// The picture of a request's card, if it has one: drawn when it is first delivered, from the metrics of when it was asked.
pub async fn of_request(app: &App, request: &Request) -> Option<Picture> {
    if request.plan.action != "hpa" {
        return None;
    }
    let id = PictureId(request.id.0);
    if let Ok(Some(kept)) = app.ledger.picture(id).await {
        return Some(Picture { id, alt: kept.alt });
    }
    let cluster = app.clusters.get(&request.plan.target.cluster).ok()?;
    match tokio::time::timeout(PATIENCE, actions::catalogue::drawing(&cluster, request)).await {
        Ok(Ok(Some(plot))) => keep_as(id, &app.ledger, plot, Timestamp::now()).await,
        Ok(Ok(None)) => None,
        Ok(Err(error)) => {
            tracing::warn!(%error, request.id = %request.id, "a card goes without its picture");
            None
        }
        Err(_) => {
            tracing::warn!(request.id = %request.id, "a card goes without its picture: its metrics took too long");
            None
        }
    }
}

/// The same of a sketch, under this id.
pub async fn keep_sketch(id: PictureId, ledger: &Ledger, sketch: Sketch, now: Timestamp) -> Option<Picture> {
    let alt = sketch.alt();
    keep_drawn(id, ledger, alt, now, move || Ok((sketch.adaptive_svg()?, sketch.png(Theme::Light)?))).await
}

async fn keep_as(id: PictureId, ledger: &Ledger, plot: Plot, now: Timestamp) -> Option<Picture> {
    let alt = plot.alt.clone();
    keep_drawn(id, ledger, alt, now, move || {
        let chart = Chart {
            title: &plot.title,
            series: &plot.series,
            forecast: &plot.forecast,
            capacity: plot.capacity,
            proposal: &plot.proposal,
        };
        // A chat's ground nobody can tell; light is readable on both.
        Ok((chart.adaptive_svg()?, chart.png(Theme::Light)?))
    })
    .await
}

async fn keep_drawn(
    id: PictureId,
    ledger: &Ledger,
    alt: String,
    now: Timestamp,
    draw: impl FnOnce() -> Result<(String, Vec<u8>), NotDrawn> + Send + 'static,
) -> Option<Picture> {
    // Drawing takes some tens of milliseconds, which the async threads are not for.
    let (svg, png) = match tokio::task::spawn_blocking(draw).await {
        Ok(Ok(both)) => both,
        Ok(Err(error)) => {
            tracing::warn!(%error, "a card goes without its picture");
            return None;
        }
        Err(error) => {
            tracing::error!(%error, "drawing a picture was given up; the card goes without");
            return None;
        }
    };
    match ledger.keep_picture(&ledger::Picture { id, alt: alt.clone(), svg, png }, now).await {
        Ok(()) => Some(Picture { id, alt }),
        Err(error) => {
            tracing::warn!(%error, "could not keep a picture; the card goes without");
            None
        }
    }
}
