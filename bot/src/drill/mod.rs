//! Reports of drills: made from what is known of the request and of the incident it became, and kept once both are over.

mod report;

pub use report::{Outcome, Report, Seconds};

use crate::app::App;
use heal::incident::Incident;
use jiff::{SignedDuration, Timestamp};
use ledger::{DrillRow, LedgerError, RequestFilter, RequestId, RequestView};
use std::time::Duration;

/// How often it is looked for drills that are over.
const EVERY: Duration = Duration::from_secs(2);
/// Reports made at once.
const BATCH: u32 = 20;
/// Incidents of one cluster that are looked through.
const INCIDENTS: u32 = 500;
/// An incident may be opened before the read-back of the fault is recorded.
const BEFORE: SignedDuration = SignedDuration::from_secs(5);

/// Until the app stops.
pub async fn work(app: App) {
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        if let Err(error) = keep(&app, Timestamp::now()).await {
            tracing::warn!(%error, "could not keep reports of drills");
        }
    }
}

/// Keeps the reports that are final.
async fn keep(app: &App, now: Timestamp) -> Result<(), LedgerError> {
    for id in app.ledger.drills_to_report(BATCH).await? {
        let Some(view) = app.ledger.view(id).await? else { continue };
        let Some(report) = make(app, &view, now).await? else { continue };
        let Some(ended_at) = report.ended.filter(|_| report.outcome != Outcome::UnderWay) else { continue };
        let doc = serde_json::to_value(&report).unwrap_or_default();
        app.ledger.keep_drill(&DrillRow { request: id, key: report::key(&view), doc, ended_at }).await?;
    }
    Ok(())
}

/// The report of a drill, kept or as of now; None for what is no drill, or has broken nothing yet.
pub async fn of(app: &App, id: RequestId, now: Timestamp) -> Result<Option<Report>, LedgerError> {
    if let Some(row) = app.ledger.drill(id).await? {
        let read = serde_json::from_value(row.doc);
        let corrupt = |error: serde_json::Error| LedgerError::Corrupt {
            what: "read a drill's report",
            why: error.to_string(),
        };
        return read.map(Some).map_err(corrupt);
    }
    match app.ledger.view(id).await? {
        Some(view) if view.request.plan.action == "drill" => make(app, &view, now).await,
        _ => Ok(None),
    }
}

/// The newest drills: their requests, and their reports where something is broken already.
pub async fn newest(
    app: &App,
    limit: u32,
    now: Timestamp,
) -> Result<Vec<(ledger::Request, Option<Report>)>, LedgerError> {
    let filter = RequestFilter { action: Some("drill".into()), limit, ..RequestFilter::default() };
    let mut all = Vec::new();
    for request in app.ledger.requests(&filter).await? {
        let report = of(app, request.id, now).await?;
        all.push((request, report));
    }
    Ok(all)
}

async fn make(app: &App, view: &RequestView, now: Timestamp) -> Result<Option<Report>, LedgerError> {
    let Some(began) = report::began(view) else {
        return Ok(None);
    };
    let cluster = &view.request.plan.target.cluster;
    let docs = app.ledger.incidents_between(cluster, began - BEFORE, now, INCIDENTS).await?;
    // What another version wrote is not this drill's.
    let incidents: Vec<Incident> =
        docs.into_iter().filter_map(|doc| serde_json::from_value(doc).ok()).collect();
    let Some(mut report) = report::report(view, &incidents, now) else { return Ok(None) };
    let before = app.ledger.drill_before(&report::key(view), began).await?;
    let before = before.and_then(|row| serde_json::from_value::<Report>(row.doc).ok());
    report.healed_before =
        before.filter(|before| before.outcome == Outcome::Healed).and_then(|before| before.seconds.healed);
    Ok(Some(report))
}
