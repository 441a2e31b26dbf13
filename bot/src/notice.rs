//! Posts notices: what people hear of who did not ask. The database writes them with the change of the request
//! (`migrations/0005_rooms.sql`), so none is lost; posting one twice shows nothing twice.

use crate::{app::App, config::Notice, draw};
use jiff::Timestamp;
use ledger::{DueNotice, LedgerError, Place, RequestState, Wake};
use std::{collections::BTreeSet, time::Duration};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

/// A worker silent for so long is presumed dead.
const LEASE: Duration = Duration::from_secs(10);
/// The fallback when no wake arrives.
const POLL: Duration = Duration::from_secs(1);
/// After a wake, so that many changes at once cost one look.
const GATHER: Duration = Duration::from_millis(50);
/// Claimed at once.
const BATCH: u32 = 32;

/// Until the app stops.
pub async fn work(app: App) {
    let mut wakes = app.ledger.wakes();
    loop {
        match app.ledger.claim_notices(LEASE, BATCH).await {
            Ok(due) if due.is_empty() => {}
            Ok(due) => {
                for notice in &due {
                    if let Err(error) = post(&app, notice).await {
                        tracing::warn!(request.id = %notice.request, %error, "could not post a notice; it will be tried again");
                    }
                }
                if !app.stop.is_cancelled() {
                    continue;
                }
            }
            Err(error) => tracing::warn!(%error, "could not claim notices"),
        }
        let woken = async {
            loop {
                match wakes.recv().await {
                    Ok(Wake::Asked(_) | Wake::Request(_) | Wake::Lost) | Err(RecvError::Lagged(_)) => {
                        tokio::time::sleep(GATHER).await;
                        while matches!(wakes.try_recv(), Ok(_) | Err(TryRecvError::Lagged(_))) {}
                        return;
                    }
                    Ok(_) => {}
                    Err(RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        tokio::select! {
            () = app.stop.cancelled() => return,
            () = woken => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

async fn post(app: &App, due: &DueNotice) -> Result<(), LedgerError> {
    let Some(view) = app.ledger.view(due.request).await? else { return app.ledger.posted(due).await };
    let request = &view.request;
    let cluster = &request.plan.target.cluster;
    let mut places: BTreeSet<&Place> = app.config.hearing(due.notice, cluster).collect();
    match due.notice {
        // Decided meanwhile: nobody is asked any more.
        Notice::Approvals if request.state != RequestState::Awaiting => {}
        // The request's own card, which stays live.
        Notice::Approvals | Notice::BreakGlass => {
            for place in places {
                app.ledger.show(due.request, place).await?;
            }
        }
        // No request has such a notice: incidents show themselves.
        Notice::Incidents => {}
        // An edit of a card wakes nobody: a person is needed, so it is a message of its own, also where it was asked for.
        Notice::Unknown => {
            let card = draw::json(&draw::alarm(&view, &app.labels(cluster), Timestamp::now()));
            places.extend(&request.ask.place);
            for place in places {
                let key = format!("unknown:{}:{}:{place}", due.request, due.revision);
                app.ledger.say(&key, place, None, &card).await?;
            }
        }
    }
    app.ledger.posted(due).await
}
