//! Looks after incidents: claims those that are due, or whose request has moved on, and does what is next about each.

use super::{
    condition,
    decide::{Found, decide, history},
    evidence,
    known::{self, Known, LEASE, since},
    rooms, step,
};
use crate::{app::App, draw};
use heal::{
    event::Event,
    incident::{Caps, Incident, Trouble},
    rules::Rules,
};
use jiff::Timestamp;
use ledger::{HealingChange, Heard, IncidentId, LedgerError, Place, StoredIncident, Wake};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};
use tokio::{
    sync::broadcast::error::{RecvError, TryRecvError},
    task::JoinSet,
};

/// The fallback when no wake arrives.
const POLL: Duration = Duration::from_millis(500);
/// All open incidents are looked at so often; between, those that are due or of which something was heard.
const ALL: Duration = Duration::from_secs(1);
/// Wakes that come within this of the last look are answered together.
const GATHER: Duration = Duration::from_millis(5);
/// Looked after at once: each mostly waits for its cluster and for Postgres.
const PARALLEL: usize = 24;
/// Tasks of one incident that are done in one go; then it is another's turn.
const TASKS: usize = 20;

/// What is being looked after here, and since when; it is not claimed by its own changes.
#[derive(Default)]
struct Busy(HashMap<tokio::task::Id, (IncidentId, Instant)>);

impl Busy {
    /// One has ended. Something of it may have changed meanwhile, and nobody could claim it.
    fn missed(
        &mut self,
        ended: Result<(tokio::task::Id, ()), tokio::task::JoinError>,
        stirred: Instant,
    ) -> Option<IncidentId> {
        let task = ended.map_or_else(|error| error.id(), |(task, ())| task);
        self.0.remove(&task).filter(|(_, since)| stirred >= *since).map(|(id, _)| id)
    }
}

/// Until the app stops.
pub async fn work(app: App) {
    let mut wakes = app.ledger.wakes();
    let mut tasks: JoinSet<()> = JoinSet::new();
    let mut busy = Busy::default();
    let (mut heard, mut all_from) = (Heard::default(), Instant::now());
    // When it was last heard that something is new.
    let mut stirred = Instant::now();
    while !app.stop.is_cancelled() {
        let (limit, looked) = ((PARALLEL - tasks.len()) as u32, Instant::now());
        let except: Vec<IncidentId> = busy.0.values().map(|(id, _)| *id).collect();
        let claimed = match limit {
            0 => Ok(Vec::new()),
            _ => {
                let only = (looked < all_from).then_some(&heard);
                app.ledger.claim_incidents(limit, &except, only, LEASE, Timestamp::now()).await
            }
        };
        let claimed = claimed.unwrap_or_else(|error| {
            tracing::warn!(%error, "could not claim incidents");
            Vec::new()
        });
        let more = claimed.len() as u32 == limit;
        // Else what was heard of may be among those for which there was no place.
        if !more {
            heard = Heard::default();
            if looked >= all_from {
                all_from = looked + ALL;
            }
        }
        for stored in claimed {
            let (app, id) = (app.clone(), stored.id);
            let task = tasks.spawn(async move {
                let now = Timestamp::now();
                // First, because what is done about it takes away what there is to be seen.
                evidence::begin(&app, &stored, now);
                if let Err(error) = look_after(&app, stored, now).await {
                    tracing::warn!(incident.id = %id, %error, "could not look after an incident; it will be tried again");
                }
            });
            busy.0.insert(task.id(), (id, looked));
        }
        // Until it is worth looking again.
        loop {
            let woken = async {
                loop {
                    match wakes.recv().await {
                        Ok(Wake::Incident) => {
                            heard.due = true;
                            break;
                        }
                        Ok(Wake::Request(id)) => {
                            heard.requests.push(id);
                            stirred = Instant::now();
                        }
                        Ok(Wake::Lost) | Err(RecvError::Lagged(_)) => {
                            all_from = looked;
                            break;
                        }
                        Ok(_) => {}
                        Err(RecvError::Closed) => std::future::pending().await,
                    }
                }
                stirred = Instant::now();
            };
            tokio::select! {
                () = app.stop.cancelled() => break,
                Some(ended) = tasks.join_next_with_id() => {
                    let missed = busy.missed(ended, stirred);
                    heard.incidents.extend(missed);
                    if more || missed.is_some() {
                        break;
                    }
                }
                () = woken, if !more => break,
                () = tokio::time::sleep_until((looked + POLL).into()) => {
                    heard.due = true;
                    break;
                }
            }
        }
        // Many at once are one.
        if !more {
            tokio::time::sleep(GATHER.saturating_sub(looked.elapsed())).await;
        }
        loop {
            match wakes.try_recv() {
                Ok(Wake::Incident) => heard.due = true,
                Ok(Wake::Request(id)) => heard.requests.push(id),
                Ok(Wake::Lost) | Err(TryRecvError::Lagged(_)) => all_from = looked,
                Ok(_) => continue,
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
            stirred = Instant::now();
        }
        while let Some(ended) = tasks.try_join_next_with_id() {
            heard.incidents.extend(busy.missed(ended, stirred));
        }
    }
    // What was begun is ended.
    while tasks.join_next().await.is_some() {}
}

/// Everything that can be done about it at this moment.
pub async fn look_after(app: &App, mut stored: StoredIncident, now: Timestamp) -> Result<(), LedgerError> {
    let mut is_new = false;
    for _ in 0..TASKS {
        let id = stored.id;
        let (incident, handling) = known::incident(&stored)?;
        if incident.end.is_some() {
            return Ok(());
        }
        let next = match &handling.course {
            None => {
                is_new = true;
                consider(app, id, now).await?
            }
            Some(course) => {
                match step::take(app, id, &incident, course, std::mem::take(&mut is_new), now).await? {
                    true => app.ledger.incident(id).await?,
                    false => None,
                }
            }
        };
        match next {
            Some(changed) => stored = changed,
            None => return Ok(()),
        }
    }
    Ok(())
}

/// No rule is at work on it: does one apply? The incident as it is then, when one has begun.
async fn consider(app: &App, id: IncidentId, now: Timestamp) -> Result<Option<StoredIncident>, LedgerError> {
    let troubles = known::troubles(app.ledger.troubles(id).await?)?;
    let rules = app.rules.current();
    let (found, titles) = find_out(app, &rules, &troubles).await;
    let fresh = ledger::RequestId::new().0;
    let decided = app
        .ledger
        .change_incident(id, &since(&rules, titles, now), now, |state| {
            let known = Known::read(state, now)?;
            let decision = decide(&known, &rules, &found, &Caps::default(), fresh, now);
            let mut change = decision.change;
            if let (Some(change), Some(why)) = (&mut change, &decision.call) {
                call(app, change, &known.incident, &known.handling.called.len().to_string(), why, None)?;
            }
            let begun = change.as_ref().filter(|_| decision.begun).map(|change| StoredIncident {
                id,
                doc: change.doc.clone(),
                handling: change.handling.clone(),
                ended_at: change.ended_at,
            });
            Ok::<_, LedgerError>((change, begun))
        })
        .await?;
    Ok(decided.flatten())
}

async fn find_out(app: &App, rules: &Rules, troubles: &[(Trouble, Event)]) -> (Found, Vec<String>) {
    let (mut found, mut titles) = (Found::default(), Vec::new());
    for (_, event) in troubles {
        let concerned = rules.concerned(event);
        if !concerned.is_empty()
            && let Some(replicas) = condition::replicas(app, event).await
        {
            found.replicas.insert(event.fingerprint, replicas);
        }
        for rule in concerned {
            let asked = rule.text.when.iter().map(|when| condition::answer(app, &when.value, event));
            let answers = futures::future::join_all(asked).await;
            found.answers.insert((event.fingerprint, rule.title.clone()), answers);
            titles.push(rule.title.clone());
        }
    }
    titles.sort_unstable();
    titles.dedup();
    (found, titles)
}

/// People are called, in the same transaction as what they are called for: a message of its own in each room, for an edit wakes
/// nobody. `what` makes it one of its kind.
pub fn call(
    app: &App,
    change: &mut HealingChange,
    incident: &Incident,
    what: &str,
    why: &str,
    named: Option<&str>,
) -> Result<(), LedgerError> {
    let cluster = incident.group.cluster();
    let places: Vec<Place> = match named {
        Some(name) => super::room(app, name, cluster),
        None => rooms(app, cluster),
    };
    let to = named.map_or_else(
        || places.first().map_or("nobody: no room hears incidents".into(), ToString::to_string),
        String::from,
    );
    let doc: Incident = super::read_json("read an incident", change.doc.clone())?;
    let doc = match doc.clone().escalate(&to) {
        Ok(escalated) => escalated,
        Err(_) => doc,
    };
    change.doc = super::json(&doc);
    let labels = app.labels(cluster.unwrap_or_default());
    let card = draw::json(&draw::call(&doc, why, &history(&doc), &labels));
    for place in places {
        change.said.push((format!("call:{}:{what}:{place}", doc.id.0), place, card.clone()));
    }
    change.entries.push(ledger::HealingEntry {
        kind: "incident.escalated",
        actor: "petrel".into(),
        request: None,
        body: serde_json::json!({ "incident": doc.id, "to": to, "because": why, "tried": history(&doc) }),
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_busy_while_something_stirred_is_looked_at_again() {
        let (mut tasks, mut busy) = (JoinSet::new(), Busy::default());
        let (claimed, id) = (Instant::now(), IncidentId(uuid::Uuid::new_v4()));
        for (stirred, missed) in
            [(claimed - Duration::from_millis(1), None), (claimed + Duration::from_millis(1), Some(id))]
        {
            busy.0.insert(tasks.spawn(async {}).id(), (id, claimed));
            let ended = tasks.join_next_with_id().await.expect("a task");
            assert_eq!(busy.missed(ended, stirred), missed);
            assert!(busy.0.is_empty());
        }
    }
}
