//! What an incident's card shows of the trouble itself: last log lines, what the cluster said, a small picture of the metric. Gathered
//! once, beside what is done about it, so that it delays nothing.

use super::{json, known};
use crate::{app::App, picture, sketch::Sketch};
use actions::{
    evidence::{gather, reasons},
    metric::{Range, Scope},
};
use heal::{
    event::Event,
    incident::{IncidentId, Seen},
    language::ast::Condition,
};
use jiff::Timestamp;
use ledger::{PictureId, StoredIncident};
use std::{sync::LazyLock, time::Duration};
use tokio::sync::Semaphore;

/// Gathered at once by one process, and each turn rests after it: some ten incidents a second. Nobody reads faster, and a cluster in a storm
/// has other things to answer.
static TURNS: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(2));
const REST: Duration = Duration::from_millis(150);
/// Wait for a turn; in a storm nobody looks at two hundred cards.
static PLACES: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(64));
/// All of it takes no longer.
const WITHIN: Duration = Duration::from_secs(8);
/// What a picture shows.
const SHOWN: Duration = Duration::from_secs(3600);
const STEP: Duration = Duration::from_secs(60);
/// Fewer points are no picture.
const LEAST: usize = 5;

/// In a task of its own, where it has not been done and there is a place.
pub fn begin(app: &App, stored: &StoredIncident, now: Timestamp) {
    let Ok((incident, handling)) = known::incident(stored) else { return };
    let Some(event) = handling.event.filter(|_| incident.end.is_none() && handling.seen.is_none()) else {
        return;
    };
    let Ok(place) = PLACES.try_acquire() else { return };
    let (app, id, at_once) = (app.clone(), stored.id, TURNS.try_acquire().ok());
    tokio::spawn(async move {
        let _place = place;
        let _turn = match at_once {
            Some(turn) => turn,
            None => {
                let Ok(turn) = TURNS.acquire().await else { return };
                // It may have ended meanwhile, or have been asked for twice.
                if !is_wanted(&app, id).await {
                    return;
                }
                turn
            }
        };
        let seen = tokio::time::timeout(WITHIN, look(&app, incident.id, &event, now)).await;
        // Nothing in time is remembered too: the cluster is not asked again and again.
        let seen = seen.unwrap_or(Seen::none(now));
        if let Err(error) = app.ledger.note_seen(id, json(&seen)).await {
            tracing::warn!(incident.id = %id, %error, "could not keep the evidence of an incident");
        }
        tokio::time::sleep(REST).await;
    });
}

async fn is_wanted(app: &App, id: ledger::IncidentId) -> bool {
    let stored = app.ledger.incident(id).await.ok().flatten();
    let known = stored.and_then(|stored| known::incident(&stored).ok());
    known.is_some_and(|(incident, handling)| incident.end.is_none() && handling.seen.is_none())
}

async fn look(app: &App, id: IncidentId, event: &Event, now: Timestamp) -> Seen {
    let about = &event.subject;
    let cluster = about.cluster.as_deref().and_then(|name| app.clusters.get(name).ok());
    let Some(cluster) = cluster else { return Seen::none(now) };
    if let (None, Some(node)) = (&about.namespace, &about.node) {
        return Seen { reasons: reasons(&cluster, None, "Node", node).await, ..Seen::none(now) };
    }
    let Some(namespace) = about.namespace.as_deref() else { return Seen::none(now) };
    let (kind, name) = match (&about.workload, &about.pod) {
        (Some(workload), _) => (workload.kind.as_str(), workload.name.as_str()),
        (None, Some(pod)) => ("Pod", pod.as_str()),
        (None, None) => return Seen::none(now),
    };
    let (found, picture) = tokio::join!(
        gather(&cluster, namespace, kind, name, about.pod.as_deref()),
        draw(app, &cluster, id, event, now)
    );
    Seen { at: now, pod: found.pod, log: found.log, reasons: found.reasons, picture }
}

/// The metric that a rule about this event asks for; else what the workload uses of the CPU. What is to be seen; None: no picture.
async fn draw(
    app: &App,
    cluster: &actions::cluster::Cluster,
    id: IncidentId,
    event: &Event,
    now: Timestamp,
) -> Option<String> {
    let prometheus = cluster.prometheus().ok()?;
    let rules = app.rules.current();
    let asked =
        rules.concerned(event).into_iter().flat_map(|rule| rule.text.when.iter()).find_map(
            |when| match &when.value {
                Condition::Promql { query, bound, .. } => Some((query.value.clone(), Some(bound.value))),
                _ => None,
            },
        );
    let (title, query, bound) = match asked {
        Some((query, bound)) => (query.chars().take(80).collect(), query, bound),
        None => {
            let workload = event.subject.workload.as_ref()?;
            let namespace = event.subject.namespace.as_deref()?;
            let scope = Scope { kind: &workload.kind, namespace, name: &workload.name };
            let metric = prometheus.metric("cpu", scope, STEP).ok()?;
            (format!("{} {}: cores in use", workload.kind, workload.name), metric.promql, None)
        }
    };
    let measured = prometheus.line(&query, Range::before(now, SHOWN, STEP)).await.ok()?;
    if measured.data.len() < LEAST {
        return None;
    }
    let sketch = Sketch { title, points: measured.data, bound, noticed: now.as_second() };
    picture::keep_sketch(PictureId(id.0), &app.ledger, sketch, now).await.map(|picture| picture.alt)
}
