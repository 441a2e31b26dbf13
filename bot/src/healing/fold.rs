//! Events become troubles and incidents: in order, each once, by one replica at a time.

use super::{Owners, actor, headline, json, read_json, rooms};
use crate::app::App;
use heal::{
    event::{Event, Fingerprint, State},
    incident::{Change, Damping, Group, Handling, Incident, IncidentId, Thresholds, Trouble, file},
};
use jiff::Timestamp;
use ledger::{
    Fold, FoldState, Folded, HealingEntry, IncidentRow, LedgerError, Place, TroubleRow, WaitingEvent, Wake,
};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};
use tokio::sync::{
    broadcast::{
        Receiver,
        error::{RecvError, TryRecvError},
    },
    mpsc::UnboundedSender,
};

/// Folded at once. Whoever sends a flood is answered between two batches.
const BATCH: u32 = 256;
/// Events that come within this of the last batch are folded together: a batch costs a dozen statements, whatever its size.
const GATHER: Duration = Duration::from_millis(10);
/// The fallback when no wake arrives, and how often what comes and goes is looked at.
const POLL: Duration = Duration::from_secs(1);

/// Until the app stops. Clusters of which something was heard go to the `weather`.
pub async fn work(app: App, weather: UnboundedSender<String>) {
    let mut wakes = app.ledger.wakes();
    let owners = Owners::default();
    let mut settled = Instant::now();
    while !app.stop.is_cancelled() {
        let began = Instant::now();
        let waiting = app.ledger.waiting_events(BATCH).await;
        let folded = match waiting {
            Ok(waiting) if waiting.is_empty() && settled.elapsed() < POLL => Ok(None),
            Ok(waiting) => {
                settled = began;
                fold_batch(&app, &owners, waiting, Timestamp::now()).await.map(Some)
            }
            Err(error) => Err(error),
        };
        match folded {
            Ok(Some(Batch { events, clusters })) => {
                for cluster in clusters {
                    let _ = weather.send(cluster);
                }
                if events == BATCH {
                    // A flood, as long as more comes in: whoever sends it must be answered first.
                    if has_come_in(&mut wakes) {
                        tokio::time::sleep(began.elapsed() * 2).await;
                    }
                    continue;
                }
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "could not fold events; they are kept");
                tokio::time::sleep(POLL).await;
            }
        }
        let woken = async {
            loop {
                match wakes.recv().await {
                    Ok(Wake::Event | Wake::Lost) | Err(RecvError::Lagged(_)) => return,
                    Ok(_) => {}
                    Err(RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        tokio::select! {
            () = app.stop.cancelled() => return,
            () = woken => tokio::time::sleep(GATHER.saturating_sub(began.elapsed())).await,
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

/// Since it was looked last.
fn has_come_in(wakes: &mut Receiver<Wake>) -> bool {
    let mut heard = false;
    loop {
        match wakes.try_recv() {
            Ok(Wake::Event) | Err(TryRecvError::Lagged(_)) => heard = true,
            Ok(_) => {}
            Err(TryRecvError::Empty | TryRecvError::Closed) => return heard,
        }
    }
}

/// What one batch was about.
#[derive(Default)]
pub struct Batch {
    /// How many events it had.
    pub events: u32,
    /// Where they were.
    pub clusters: BTreeSet<String>,
}

/// What waits, at most one batch.
pub async fn fold(app: &App, owners: &Owners, now: Timestamp) -> Result<Batch, LedgerError> {
    fold_batch(app, owners, app.ledger.waiting_events(BATCH).await?, now).await
}

async fn fold_batch(
    app: &App,
    owners: &Owners,
    waiting: Vec<WaitingEvent>,
    now: Timestamp,
) -> Result<Batch, LedgerError> {
    let count = waiting.len() as u32;
    let mut fold = Fold::default();
    let mut events = HashMap::new();
    let mut clusters = BTreeSet::new();
    for row in waiting {
        fold.events.push(row.id);
        let event: Event = match serde_json::from_value(row.body) {
            Ok(event) => event,
            Err(error) => {
                // Intakes store what they have read, so this is another version's; it must not hold up the others.
                tracing::error!(%error, event.id = row.id, "this build cannot read an event; it is left out");
                continue;
            }
        };
        let event = match event.state {
            State::Firing => owners.complete(app, event).await,
            State::Resolved => event,
        };
        fold.fingerprints.push(event.fingerprint.to_string());
        fold.places.push(place(&Group::of(&event)));
        clusters.extend(event.subject.cluster.clone());
        events.insert(row.id, event);
    }
    let shown = |cluster: Option<&str>| rooms(app, cluster);
    let done = app
        .ledger
        .fold_events(&fold, now, |state| fold_all(state, &events, &Damping::default(), now, &shown))
        .await?;
    // Else another replica is at it.
    Ok(if done { Batch { events: count, clusters } } else { Batch::default() })
}

/// The key under which only one incident is open.
pub fn place(group: &Group) -> String {
    json(group).to_string()
}

/// Troubles and incidents as they are with these events. Pure.
fn fold_all(
    state: FoldState,
    events: &HashMap<i64, Event>,
    damping: &Damping,
    now: Timestamp,
    shown: &dyn Fn(Option<&str>) -> Vec<Place>,
) -> Result<Folded, LedgerError> {
    let mut book = Book::read(state.troubles, state.incidents)?;
    let storms: BTreeSet<String> = state.storms.into_iter().collect();
    let mut folded = Folded::default();
    for event in state.events.iter().filter_map(|id| events.get(id)) {
        let (trouble, change) = match book.troubles.remove(&event.fingerprint) {
            Some(known) => known.hear(event, now, damping),
            None => Trouble::first(event, now),
        };
        // What goes on is judged by what was said last about it.
        let said = (event.state == State::Firing && change != Change::Stale).then(|| event.clone());
        book.file(trouble, change, Group::of(event), said, now);
    }
    let quiet: Vec<Fingerprint> = book
        .troubles
        .values()
        .filter(|trouble| trouble.flapping)
        .map(|trouble| trouble.fingerprint)
        .collect();
    for fingerprint in quiet {
        let Some(trouble) = book.troubles.remove(&fingerprint) else { continue };
        match trouble.settle(now, damping) {
            (trouble, Some(change)) => {
                let group = Group::Name { cluster: None, namespace: None, name: trouble.name.clone() };
                book.file(trouble, change, group, None, now);
            }
            (trouble, None) => {
                book.troubles.insert(fingerprint, trouble);
            }
        }
    }
    for (fingerprint, Touched { event, began }) in std::mem::take(&mut book.touched) {
        let Some(trouble) = book.troubles.get(&fingerprint) else { continue };
        folded.troubles.push(row(trouble, event, began, damping, now));
    }
    let mut opened_in: BTreeMap<Option<&str>, usize> = BTreeMap::new();
    for incident in book.opened.keys().filter_map(|id| book.incidents.get(id)) {
        *opened_in.entry(incident.group.cluster()).or_default() += 1;
    }
    for id in std::mem::take(&mut book.changed) {
        let Some(incident) = book.incidents.get(&id) else { continue };
        let opened = book.opened.get(&id);
        let cluster = incident.group.cluster().map(String::from);
        // In a storm nobody reads two hundred cards: one says that it storms, and what is asked for shows itself.
        let many = opened_in.get(&cluster.as_deref()).copied() >= Some(Thresholds::default().unhealthy);
        let storms = many || cluster.as_ref().is_some_and(|cluster| storms.contains(cluster));
        let evidence = opened.map(|event| event.evidence.clone()).unwrap_or_default();
        if let Some(event) = opened {
            folded.entries.push(entry(
                "incident.opened",
                &actor(&event.name),
                incident,
                json!({ "says": headline(event) }),
            ));
        }
        if incident.end.is_some() {
            let who = incident.names.first().map(|name| actor(name)).unwrap_or_else(|| actor(""));
            folded.entries.push(entry(
                "incident.ended",
                &who,
                incident,
                json!({ "end": incident.end, "times": incident.times }),
            ));
        }
        folded.incidents.push(IncidentRow {
            id: ledger::IncidentId(id.0),
            place: place(&incident.group),
            shown: if opened.is_some() && !storms { shown(cluster.as_deref()) } else { Vec::new() },
            cluster,
            doc: json(incident),
            handling: json(&Handling { evidence, event: opened.cloned(), ..Handling::default() }),
            ended_at: incident.end.as_ref().map(|_| now),
        });
    }
    Ok(folded)
}

fn entry(
    kind: &'static str,
    actor: &ledger::Actor,
    incident: &Incident,
    more: serde_json::Value,
) -> HealingEntry {
    let mut body = json!({ "incident": incident.id, "where": incident.group.to_string(), "severity": incident.severity });
    if let (Some(body), serde_json::Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    HealingEntry { kind, actor: actor.to_string(), request: None, body }
}

fn row(
    trouble: &Trouble,
    event: Option<Event>,
    began: bool,
    damping: &Damping,
    now: Timestamp,
) -> TroubleRow {
    let settles = || {
        trouble.turns.last().map_or(now, |last| last.saturating_add(damping.calm).unwrap_or(Timestamp::MAX))
    };
    TroubleRow {
        fingerprint: trouble.fingerprint.to_string(),
        cluster: trouble.subject.cluster.clone(),
        name: trouble.name.clone(),
        incident: trouble.incident.map(|id| ledger::IncidentId(id.0)),
        going_on: trouble.goes_on(),
        settle_at: trouble.flapping.then(settles),
        began_at: began.then_some(now),
        doc: json(trouble),
        event: event.as_ref().map(json),
    }
}

/// What changed of one trouble.
#[derive(Default)]
struct Touched {
    event: Option<Event>,
    began: bool,
}

/// What one fold works on.
#[derive(Default)]
struct Book {
    troubles: HashMap<Fingerprint, Trouble>,
    incidents: HashMap<IncidentId, Incident>,
    open: HashMap<Group, IncidentId>,
    touched: BTreeMap<Fingerprint, Touched>,
    changed: BTreeSet<IncidentId>,
    opened: HashMap<IncidentId, Event>,
}

impl Book {
    fn read(
        troubles: Vec<serde_json::Value>,
        incidents: Vec<serde_json::Value>,
    ) -> Result<Book, LedgerError> {
        let mut book = Book::default();
        for doc in troubles {
            let trouble: Trouble = read_json("read a trouble", doc)?;
            book.troubles.insert(trouble.fingerprint, trouble);
        }
        for doc in incidents {
            let incident: Incident = read_json("read an incident", doc)?;
            book.open.insert(incident.group.clone(), incident.id);
            book.incidents.insert(incident.id, incident);
        }
        Ok(book)
    }

    fn file(&mut self, trouble: Trouble, change: Change, group: Group, event: Option<Event>, now: Timestamp) {
        let own =
            trouble.incident.and_then(|id| self.incidents.get(&id)).filter(|incident| incident.end.is_none());
        let open = own.or_else(|| self.incidents.get(self.open.get(&group)?)).cloned();
        let fresh = IncidentId(ledger::IncidentId::new().0);
        let (trouble, incident) = file(trouble, change, open, group, fresh, now);
        if let Some(incident) = incident {
            if incident.id == fresh
                && let Some(event) = &event
            {
                self.opened.insert(fresh, event.clone());
            }
            if incident.end.is_some() {
                self.open.remove(&incident.group);
            } else {
                self.open.insert(incident.group.clone(), incident.id);
            }
            self.changed.insert(incident.id);
            self.incidents.insert(incident.id, incident);
        }
        let touched = self.touched.entry(trouble.fingerprint).or_default();
        touched.event = event.or(touched.event.take());
        touched.began |= change == Change::Began;
        self.troubles.insert(trouble.fingerprint, trouble);
    }
}
