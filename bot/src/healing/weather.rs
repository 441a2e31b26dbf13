//! Whether it storms in a cluster (G9). People hear when that changes; what is begun about an incident is decided by the weather as it is
//! at that moment, whether anybody has looked or not.

use super::{json, read_json, rooms};
use crate::{app::App, draw};
use heal::incident::{Load, Storm, Thresholds, Turn};
use jiff::Timestamp;
use ledger::{HealingEntry, LedgerError};
use serde_json::json;
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};
use tokio::sync::mpsc::UnboundedReceiver;

/// How often it is looked whether a storm is over.
const EVERY: Duration = Duration::from_secs(10);
/// A cluster of which much is heard is looked at no more often.
const GATHER: Duration = Duration::from_secs(1);

/// Until the app stops; looks at clusters of which something was heard.
pub async fn work(app: App, mut heard: UnboundedReceiver<String>) {
    let mut looked = Instant::now();
    while !app.stop.is_cancelled() {
        let mut clusters = Vec::new();
        tokio::select! {
            () = app.stop.cancelled() => return,
            _ = heard.recv_many(&mut clusters, usize::MAX) => {}
            () = tokio::time::sleep(EVERY.saturating_sub(looked.elapsed())) => {}
        }
        if looked.elapsed() >= EVERY {
            looked = Instant::now();
            match app.ledger.troubled_clusters().await {
                Ok(troubled) => clusters.extend(troubled),
                Err(error) => tracing::warn!(%error, "could not look at the weather"),
            }
        }
        for cluster in BTreeSet::from_iter(clusters) {
            if let Err(error) = look(&app, &cluster, Timestamp::now()).await {
                tracing::warn!(%error, cluster, "could not look at the weather");
            }
        }
        tokio::time::sleep(GATHER).await;
    }
}

/// Whether it storms in a cluster (G9); people hear when that changes.
pub async fn look(app: &App, cluster: &str, now: Timestamp) -> Result<Storm, LedgerError> {
    let (storm, turn) = app
        .ledger
        .change_storm(cluster, now, |doc, open, arrivals| {
            let storm: Storm = doc.map(|doc| read_json("read a storm", doc)).transpose()?.unwrap_or_default();
            let load = Load { unhealthy: open as usize, workloads: 0, arrivals: arrivals as usize };
            let (after, turn) = storm.look(load, now, &Thresholds::default());
            let rages = !after.allows_acting_alone();
            let kind = match turn {
                Turn::None => None,
                Turn::Begins => Some("storm.began"),
                Turn::Ends => Some("storm.ended"),
            };
            let entry = kind.map(|kind| HealingEntry {
                kind,
                actor: "petrel".into(),
                request: None,
                body: json!({ "cluster": cluster, "open": open, "arrivals": arrivals }),
            });
            let written = (after != storm).then(|| (json(&after), rages, entry));
            Ok::<_, LedgerError>((written, (after, turn)))
        })
        .await?;
    if turn != Turn::None {
        let card = draw::storm(cluster, &app.labels(cluster), turn == Turn::Begins);
        for room in rooms(app, Some(cluster)) {
            let key = format!("storm:{cluster}:{turn:?}:{}:{room}", now.as_microsecond());
            app.ledger.say(&key, &room, None, &draw::json(&card)).await?;
        }
    }
    Ok(storm)
}
