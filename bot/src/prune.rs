//! Takes away chat rows that are over, a little at a time, by one replica. The record and the requests stay for ever.

use crate::app::App;
use jiff::Timestamp;
use ledger::{LedgerError, Retention};
use std::time::Duration;

/// How often.
const EVERY: Duration = Duration::from_secs(3600);
/// Not while everything starts.
const FIRST: Duration = Duration::from_secs(60);
/// One replica at a time.
const LEASE: Duration = Duration::from_secs(600);
/// Rows of each kind in one transaction.
const BATCH: u32 = 500;
/// Between two batches, for everybody else.
const BREATH: Duration = Duration::from_millis(200);

/// Until the app stops.
pub async fn work(app: App) {
    let mut wait = FIRST;
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        wait = EVERY;
        match prune(&app, Timestamp::now()).await {
            Ok(0) => {}
            Ok(gone) => tracing::info!(gone, "took away chat rows that were over"),
            Err(error) => tracing::warn!(%error, "could not take away what is over"),
        }
    }
}

/// All that is over at `now`, batch by batch, unless another replica does it; how many rows went.
pub async fn prune(app: &App, now: Timestamp) -> Result<u64, LedgerError> {
    let mut gone = 0;
    // Asked for again before each batch, which also renews it.
    while let Some(lease) = app.ledger.take_lease("prune", &app.worker, LEASE).await? {
        let batch = app.ledger.prune(Retention::default(), BATCH, now).await?;
        gone += batch;
        if batch == 0 || app.stop.is_cancelled() {
            app.ledger.give_lease(&lease).await?;
            break;
        }
        tokio::time::sleep(BREATH).await;
    }
    Ok(gone)
}
