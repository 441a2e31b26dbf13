//! What clusters with `watch = true` say of themselves: [`actions::lookout`] becomes the same events that webhooks bring. Each cluster is
//! watched by one replica, under a lease; the next one goes on where it was.

pub mod told;
pub mod unwatched;

use crate::app::App;
use actions::{
    cluster::Cluster,
    lookout::{Change, Lookout, find_workload},
};
use jiff::Timestamp;
use ledger::{Lease, LedgerError, NewEvent};
use std::time::Duration;
use tokio_util::task::TaskTracker;

/// A watcher that is silent for so long is presumed dead; one whose process is gone is overtaken at once.
const LEASE: Duration = Duration::from_secs(10);
const RENEW: Duration = Duration::from_secs(3);
/// How often the others look whether they should; and the pause after a failure.
const PROBE: Duration = Duration::from_secs(2);

/// Who may tell of a cluster.
fn lease_name(cluster: &str) -> String {
    format!("lookout.{cluster}")
}

/// Starts one task for each cluster that is to be watched, and one for those that are not any more.
pub fn start(app: &App, tasks: &TaskTracker) {
    let forgets = app.clone();
    tasks.spawn(async move {
        let stop = forgets.stop.clone();
        stop.run_until_cancelled(unwatched::work(&forgets)).await;
    });
    for config in app.config.clusters.iter().filter(|config| config.watch) {
        if let Ok(cluster) = app.clusters.get(&config.name) {
            let app = app.clone();
            tasks.spawn(async move {
                let stop = app.stop.clone();
                stop.run_until_cancelled(work(&app, &cluster)).await;
            });
        }
    }
}

async fn work(app: &App, cluster: &Cluster) {
    let name = lease_name(cluster.name());
    loop {
        match take(app, &name).await {
            Ok(Some(lease)) => {
                tokio::select! {
                    () = hold(app, &lease) => tracing::warn!(cluster = cluster.name(), "lost the lease of the watch; another replica watches"),
                    () = app.stop.cancelled() => {}
                    error = watch(app, cluster, lease.epoch) => tracing::warn!(cluster = cluster.name(), error, "cannot watch; trying again"),
                }
                if let Err(error) = app.ledger.give_lease(&lease).await {
                    tracing::debug!(%error, "could not give the lease of a watch back");
                }
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, cluster = cluster.name(), "could not take the lease of the watch")
            }
        }
        tokio::time::sleep(PROBE.mul_f64(0.75 + rand::random::<f64>() / 2.0)).await;
    }
}

async fn take(app: &App, name: &str) -> Result<Option<Lease>, LedgerError> {
    match app.ledger.take_lease(name, &app.worker, LEASE).await? {
        Some(lease) => Ok(Some(lease)),
        // Should the holder live after all: what both tell is the same.
        None => app.ledger.inherit_lease(name, &app.worker, LEASE).await,
    }
}

/// Renews the lease; ends when it is lost.
async fn hold(app: &App, lease: &Lease) {
    loop {
        tokio::time::sleep(RENEW).await;
        match app.ledger.take_lease(&lease.name, &app.worker, LEASE).await {
            Ok(Some(held)) if held.epoch == lease.epoch => {}
            Ok(_) => return,
            // Two that watch for a moment do no harm.
            Err(error) => tracing::warn!(%error, lease = lease.name, "could not renew a lease"),
        }
    }
}

/// Until something goes wrong; says what.
async fn watch(app: &App, cluster: &Cluster, epoch: i64) -> String {
    let source = told::source(cluster.name());
    let known = match app.ledger.told_by(cluster.name(), &source).await {
        Ok(known) => known,
        Err(error) => return error.to_string(),
    };
    let known =
        known.into_iter().filter_map(|body| told::sign(&serde_json::from_value(body).ok()?)).collect();
    let mut lookout = match Lookout::open(cluster, known).await {
        Ok(lookout) => lookout,
        Err(error) => return error.to_string(),
    };
    tracing::info!(cluster = cluster.name(), "watching pods, nodes and warnings");
    loop {
        let mut changes = lookout.next().await;
        for change in &mut changes {
            if let Change::Began(sign) = change {
                find_workload(cluster, sign).await;
            }
        }
        let now = Timestamp::now();
        let told = |change| told::new_event(&told::event(cluster.name(), change, epoch, now));
        let events: Vec<NewEvent> = changes.iter().map(told).collect();
        // While the database is away nothing more is read: the cluster keeps it for us.
        while let Err(error) = app.ledger.receive_events(&source, &events, now).await {
            tracing::warn!(%error, cluster = cluster.name(), "could not keep what a cluster said; trying again");
            tokio::time::sleep(PROBE).await;
        }
        app.metrics.intake_events(&source, events.len() as u64, 0, 0);
    }
}
