//! What was told about clusters that are not watched any more is taken back: nobody would ever say that it is over.
//!
//! Whoever holds the lease of a cluster's watch decides. As long as one replica watches it, because its config still says so, the others cannot have
//! that lease and leave everything as it is.

use super::{LEASE, lease_name, told};
use crate::app::App;
use heal::event::{Event, State};
use jiff::Timestamp;
use ledger::{LedgerError, NewEvent};
use std::time::Duration;

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(30);

/// For ever.
pub async fn work(app: &App) {
    loop {
        if let Err(error) = look(app, Timestamp::now()).await {
            tracing::warn!(%error, "could not look for clusters that nobody watches any more");
        }
        tokio::time::sleep(LOOK.mul_f64(0.75 + rand::random::<f64>() / 2.0)).await;
    }
}

/// Once; returns how many troubles were taken back.
pub async fn look(app: &App, now: Timestamp) -> Result<u64, LedgerError> {
    let watched = app.config.clusters.iter().filter(|config| config.watch);
    let watched: Vec<&str> = watched.map(|config| config.name.as_str()).collect();
    let mut taken_back = 0;
    for cluster in app.ledger.told_of(&told::source(""), &watched).await? {
        let Some(lease) = app.ledger.take_lease(&lease_name(&cluster), &app.worker, LEASE).await? else {
            continue;
        };
        let source = told::source(&cluster);
        let known = app.ledger.told_by(&cluster, &source).await?;
        let known = known.into_iter().filter_map(|body| serde_json::from_value(body).ok());
        let events: Vec<NewEvent> =
            known.map(|event| told::new_event(&taken_back_at(event, lease.epoch))).collect();
        let fresh = app.ledger.receive_events(&source, &events, now).await?;
        app.ledger.give_lease(&lease).await?;
        if fresh > 0 {
            tracing::info!(
                cluster,
                troubles = fresh,
                "this cluster is not watched any more; its troubles are closed"
            );
        }
        taken_back += fresh;
    }
    Ok(taken_back)
}

/// When it was over, or whether, nobody knows. An end at its beginning leaves room for who may watch again and see the same.
fn taken_back_at(event: Event, epoch: i64) -> Event {
    Event {
        id: format!("{}/{}/unwatched/{epoch}", event.fingerprint, event.started.as_second()),
        state: State::Resolved,
        ended: Some(event.started),
        ..event
    }
}
