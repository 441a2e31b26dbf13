//! From a forecast in an answer to a picture that the ledger keeps and a card shows.

use crate::{
    card::Picture,
    chart::{Chart, Theme},
};
use actions::query::Plot;
use jiff::Timestamp;
use ledger::{Ledger, PictureId};

/// Draws and keeps it. None: that failed, and the card goes without; its words say the same.
pub async fn keep(ledger: &Ledger, plot: Plot, now: Timestamp) -> Option<Picture> {
    let (id, alt) = (PictureId::new(), plot.alt.clone());
    // Drawing takes some tens of milliseconds, which the async threads are not for.
    let drawn = tokio::task::spawn_blocking(move || {
        let chart = Chart {
            title: &plot.title,
            series: &plot.series,
            forecast: &plot.forecast,
            capacity: plot.capacity,
            proposal: plot.proposal,
        };
        // Light: readable on both grounds, and nobody can tell a chat's.
        Ok::<_, crate::chart::NotDrawn>((chart.svg(Theme::Light)?, chart.png(Theme::Light)?))
    });
    let (svg, png) = match drawn.await {
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
