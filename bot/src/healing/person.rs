//! What people do about incidents: take them over, give them back, silence them, let a blocked rule go on.

use super::known::{Known, change, since};
use crate::{
    app::App,
    card::{Card, Tone},
    draw,
    line::Reply,
};
use actions::policy::Who;
use heal::incident::{Brake, Group, Matcher, Refusal, Silence};
use jiff::{SignedDuration, Timestamp};
use ledger::{Actor, HealingChange, HealingEntry, IncidentId, LedgerError};
use serde_json::json;

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// "I have it": nothing is done automatically from now on.
    Take,
    /// "I have it no longer."
    GiveBack,
    /// Nothing is asked for and nobody is called about its place, for so long.
    Silence {
        /// How long.
        lasts: SignedDuration,
        /// Why.
        why: String,
    },
}

/// Does it; what to tell whoever did.
pub async fn act(
    app: &App,
    actor: &Actor,
    id: IncidentId,
    deed: &Deed,
    now: Timestamp,
) -> Result<Reply, LedgerError> {
    let who = match app.gate.who(actor).await? {
        Ok(who) => who,
        Err(refusal) => return Ok(Reply::Refused(refusal)),
    };
    if let Some(refused) = not_a_person(app, &who) {
        return Ok(refused);
    }
    let none = since(&app.rules.current(), Vec::new(), now);
    let silence_id = uuid::Uuid::now_v7();
    let done = app
        .ledger
        .change_incident(id, &none, now, |state| {
            let known = Known::read(state, now)?;
            let outcome = apply(&known, actor, &who, deed, silence_id, now);
            Ok::<_, LedgerError>(match outcome {
                Ok(change) => (Some(change), Ok(())),
                Err(refusal) => (None, Err(refusal)),
            })
        })
        .await?;
    Ok(match done {
        None => Reply::wrong(no_such()),
        Some(Err(refusal)) => Reply::wrong(Card {
            text: Some(refusal.to_string()),
            ..Card::titled(Tone::Bad, "That cannot be done")
        }),
        Some(Ok(())) => Reply::private(Card::titled(Tone::Good, said(deed, id))),
    })
}

fn said(deed: &Deed, id: IncidentId) -> String {
    let id = id.short();
    match deed {
        Deed::Take => format!(
            "You have incident {id}. Nothing is done automatically about it; `take {id} --back` gives it back."
        ),
        Deed::GiveBack => format!("Rules look after incident {id} again."),
        Deed::Silence { lasts, .. } => format!("Incident {id} is silent for {lasts:#}."),
    }
}

fn apply(
    known: &Known,
    actor: &Actor,
    who: &Who,
    deed: &Deed,
    silence: uuid::Uuid,
    now: Timestamp,
) -> Result<HealingChange, Refusal> {
    let person = &who.person.0;
    let incident = known.incident.clone();
    let handling = &known.handling;
    let entry = |kind, body| HealingEntry { kind, actor: actor.to_string(), request: None, body };
    // What is being done goes on to the end of its step, and no further.
    let keep = |incident: &heal::incident::Incident| {
        let waits =
            handling.course.as_ref().and(handling.request).map(|request| (ledger::RequestId(request), None));
        HealingChange { waits_for: waits, ..change(incident, handling, now) }
    };
    match deed {
        Deed::Take => {
            let incident = incident.take(person, now)?;
            let entries = vec![entry("incident.taken", json!({ "incident": incident.id, "person": person }))];
            Ok(HealingChange { entries, ..keep(&incident) })
        }
        Deed::GiveBack => {
            let incident = incident.give_back()?;
            let entries =
                vec![entry("incident.given_back", json!({ "incident": incident.id, "person": person }))];
            Ok(HealingChange { entries, ..keep(&incident) })
        }
        Deed::Silence { lasts, why } => {
            let made = Silence::new(silence, matcher(&incident.group), now, *lasts, person, why)?;
            let body = json!({ "incident": incident.id, "silence": made });
            let entries = vec![entry("incident.silenced", body)];
            let row = Some((silence, super::json(&made), made.until));
            Ok(HealingChange { entries, silence: row, ..keep(&incident) })
        }
    }
}

/// Everything at the place of an incident.
fn matcher(group: &Group) -> Matcher {
    let cluster = group.cluster().map(String::from);
    let namespace = group.namespace().map(String::from);
    match group {
        Group::Workload { workload, .. } => {
            Matcher { cluster, namespace, workload: Some(workload.name.clone()), ..Matcher::default() }
        }
        Group::Node { node, .. } => Matcher { cluster, node: Some(node.clone()), ..Matcher::default() },
        Group::Name { name, .. } => {
            Matcher { cluster, namespace, name: Some(name.clone()), ..Matcher::default() }
        }
    }
}

/// Lets the rules that are blocked at a place go on (G8: only a person may).
pub async fn unblock(
    app: &App,
    actor: &Actor,
    who: &Who,
    place: &str,
    rule: Option<&str>,
    now: Timestamp,
) -> Result<Reply, LedgerError> {
    if let Some(refused) = not_a_person(app, who) {
        return Ok(refused);
    }
    let blocked = app.ledger.blocked().await?;
    let mut done = Vec::new();
    for (title, at, _) in
        blocked.into_iter().filter(|(title, at, _)| at == place && rule.is_none_or(|rule| rule == title))
    {
        let lifted = app
            .ledger
            .unblock(&title, &at, now, |doc| {
                let brake: Brake = super::read_json("read a brake", doc)?;
                let target = brake.target.to_string();
                Ok::<_, LedgerError>(match brake.unblock(&who.person.0, now) {
                    Ok(brake) => {
                        let body =
                            json!({ "rule": title, "where": target, "place": at, "person": who.person });
                        let entry = HealingEntry {
                            kind: "rule.unblocked",
                            actor: actor.to_string(),
                            request: None,
                            body,
                        };
                        (Some((super::json(&brake), entry)), true)
                    }
                    Err(_) => (None, false),
                })
            })
            .await?;
        if lifted == Some(true) {
            done.push(title);
        }
    }
    Ok(match done.as_slice() {
        [] => Reply::wrong(Card::titled(Tone::Bad, "No rule is blocked there")),
        some => Reply::said(Card::titled(Tone::Good, format!("May act there again: {}", some.join(", ")))),
    })
}

/// Machines do not decide such things.
fn not_a_person(app: &App, who: &Who) -> Option<Reply> {
    app.policy
        .current()
        .is_machine(&who.person)
        .then(|| Reply::Refused(ledger::Refusal::Policy { reason: "Only a person can do that.".into() }))
}

/// There is none of that name.
pub fn no_such() -> Card {
    Card {
        text: Some("`incidents` lists the open ones.".into()),
        ..Card::titled(Tone::Bad, "there is no such incident")
    }
}

/// An incident's card, as it is now.
pub async fn card(app: &App, id: IncidentId, now: Timestamp) -> Result<Option<Card>, LedgerError> {
    let Some(stored) = app.ledger.incident(id).await? else { return Ok(None) };
    let (incident, handling) = super::known::incident(&stored)?;
    let troubles = super::known::troubles(app.ledger.troubles(id).await?)?;
    let request = match handling.request {
        Some(request) => app.ledger.view(ledger::RequestId(request)).await?,
        None => None,
    };
    let labels = app.labels(incident.group.cluster().unwrap_or_default());
    Ok(Some(draw::incident(&incident, &handling, &troubles, request.as_ref(), &labels, now)))
}
