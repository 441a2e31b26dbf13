//! What follows from what has happened to a course: the next task, or its end, with the brake, the attempt and the record. Decided under
//! the incident's lock; whoever comes second changes nothing.

use super::{
    actor, decide,
    known::{Known, asking, change, since},
    steward,
};
use crate::{app::App, draw};
use heal::{
    incident::{Caps, Course, HealingResult, Incident, Next, StepEnd},
    rules::Proposed,
};
use jiff::{SignedDuration, Timestamp};
use ledger::{
    Decision, HealingChange, HealingEntry, IncidentId, LedgerError, RequestId, RequestState, RequestView,
    Verdict,
};
use serde_json::{Value, json};

/// A request that waits is looked at now and then, should its change not have been heard of.
pub const WAITS: SignedDuration = SignedDuration::from_secs(30);

/// What has happened to a course.
pub enum Step {
    /// Its request waits, or runs.
    Waits(Box<RequestView>),
    /// Its request has ended.
    Followed(StepEnd, String, Box<RequestView>),
    /// Its step has ended without a request.
    Ended(StepEnd, Option<String>),
    /// People are to be written to.
    Tell,
    /// It has been looked whether it helped; what does not hold.
    Verified(bool, String),
}

/// Looks again later, unless somebody else has moved on meanwhile.
pub async fn pause(
    app: &App,
    id: IncidentId,
    course: &Course,
    until: Timestamp,
    now: Timestamp,
) -> Result<bool, LedgerError> {
    let none = since(&app.rules.current(), Vec::new(), now);
    app.ledger
        .change_incident(id, &none, now, |state| {
            let known = Known::read(state, now)?;
            let same = known.handling.course.as_ref() == Some(course);
            Ok::<_, LedgerError>((same.then(|| change(&known.incident, &known.handling, until)), ()))
        })
        .await?;
    Ok(false)
}

/// Writes what follows, unless somebody else has meanwhile. True: it was written.
pub async fn move_on(
    app: &App,
    id: IncidentId,
    course: &Course,
    step: Step,
    now: Timestamp,
) -> Result<bool, LedgerError> {
    let none = since(&app.rules.current(), Vec::new(), now);
    let fresh = RequestId::new().0;
    let moved = app
        .ledger
        .change_incident(id, &none, now, |state| {
            let known = Known::read(state, now)?;
            if known.handling.course.as_ref() != Some(course) || known.incident.end.is_some() {
                return Ok((None, false));
            }
            Ok::<_, LedgerError>((Some(follow_up(app, &known, course, step, fresh, now)?), true))
        })
        .await?;
    Ok(moved.unwrap_or(false))
}

fn follow_up(
    app: &App,
    known: &Known,
    course: &Course,
    step: Step,
    fresh: uuid::Uuid,
    now: Timestamp,
) -> Result<HealingChange, LedgerError> {
    let mut incident = known.incident.clone();
    let mut handling = known.handling.clone();
    let (mut told, mut waits_for) = (None, None);
    if let Step::Waits(view) | Step::Followed(_, _, view) = &step {
        incident = timed(incident, course, view);
        handling.request = Some(view.request.id.0);
    }
    let taken = incident.taken.clone();
    // What a fault for a while gave back is no failure.
    let taken_back = matches!(&step, Step::Followed(StepEnd::Failed, _, view) if view.request.state == RequestState::RolledBack);
    let went = Course { rolled_back: course.rolled_back || taken_back, ..course.clone() };
    let next = match step {
        Step::Waits(view) => {
            waits_for = Some((view.request.id, Some(view.request.state)));
            Next::Go(course.clone())
        }
        Step::Followed(end, note, _) => {
            handling.note = Some(note);
            went.clone().ended(end, fresh, now)
        }
        Step::Ended(end, note) => {
            handling.note = note.or(handling.note);
            course.clone().ended(end, fresh, now)
        }
        Step::Tell => {
            told = course.current().cloned();
            course.clone().ended(StepEnd::Done, fresh, now)
        }
        Step::Verified(holds, why) => {
            handling.note = (!holds).then(|| format!("it did not help: {why}"));
            course.clone().verified(holds, fresh, now)
        }
    };
    // Somebody has it: nothing more is begun, whatever the rule says.
    let next = match (next, &taken) {
        (Next::Go(next), Some(_)) if next != *course => {
            Next::Over(if next.acted { HealingResult::Ineffective } else { HealingResult::NotDone })
        }
        (next, _) => next,
    };
    let due_at = if waits_for.is_some() { now + WAITS } else { now };
    let mut change = match next {
        Next::Go(next) if waits_for.is_some() => {
            handling.course = Some(next);
            HealingChange { waits_for, ..change(&incident, &handling, due_at) }
        }
        Next::Go(next) => {
            handling.course = Some(next);
            asking(change(&incident, &handling, due_at), &incident, &handling, now)
        }
        Next::Over(result) => over(app, known, incident, handling, &went, result, now)?,
    };
    if let Some(Proposed::Action { action, parameters, .. }) = told {
        let text = |name: &str| parameters.get(name).and_then(Value::as_str);
        let (room, words) = (text("room").unwrap_or_default(), text("text"));
        let what = format!("{}:{}:{}", course.id, course.failed, course.step);
        if action == "escalate" {
            let why = words.map_or_else(|| format!("rule \"{}\" calls you", course.rule), String::from);
            steward::call(app, &mut change, &known.incident, &what, &why, Some(room))?;
        } else {
            let labels = app.labels(known.incident.group.cluster().unwrap_or_default());
            let card = draw::json(&draw::told(&known.incident, &course.rule, words, &labels));
            for place in super::room(app, room, known.incident.group.cluster()) {
                change.said.push((format!("told:{what}:{place}"), place, card.clone()));
            }
        }
    }
    Ok(change)
}

/// When the first request was agreed to and begun.
fn timed(incident: Incident, course: &Course, view: &RequestView) -> Incident {
    let request = &view.request;
    let agreed = match request.decision {
        Decision::Allow { .. } => Some(request.created_at),
        _ => view.votes.iter().rfind(|vote| vote.verdict == Verdict::Approve).map(|vote| vote.at),
    };
    let agreed = agreed.filter(|_| {
        !matches!(request.state, RequestState::Awaiting | RequestState::Denied | RequestState::Expired)
    });
    let incident = match agreed {
        Some(at) => incident.clone().approved(course.id, at).unwrap_or(incident),
        None => incident,
    };
    match view.steps.first() {
        Some(step) => incident.clone().acted(course.id, step.intended_at).unwrap_or(incident),
        None => incident,
    }
}

/// The course has come to its end.
fn over(
    app: &App,
    known: &Known,
    incident: Incident,
    mut handling: heal::incident::Handling,
    course: &Course,
    result: HealingResult,
    now: Timestamp,
) -> Result<HealingChange, LedgerError> {
    let caps = Caps::default();
    handling.course = None;
    if !course.heals() {
        handling.rests = Some(format!("rule \"{}\" has told people", course.rule));
        return Ok(change(&incident, &handling, now));
    }
    let (kind, word) = match result {
        HealingResult::Effective => ("incident.helped", "effective"),
        HealingResult::Ineffective => ("incident.not_helped", "ineffective"),
        HealingResult::NotDone => ("incident.not_done", "not_done"),
    };
    if result == HealingResult::NotDone {
        // Who said no is not asked again while it lasts.
        let why = handling.note.clone().unwrap_or_else(|| "it was not done".into());
        handling.rests = Some(why);
    }
    let incident = incident.clone().concluded(course.id, result, now).unwrap_or(incident);
    let before = known.brake(&course.rule);
    let was_blocked = before.blocked.is_some();
    let brake = match result {
        HealingResult::NotDone => before.abandon(now),
        other => before.end(other == HealingResult::Effective, now, &caps),
    };
    // A brake that a person has reset meanwhile stays as it is.
    let brake = brake.ok();
    let blocked = brake.as_ref().is_some_and(|brake| brake.blocked.is_some()) && !was_blocked;
    let mut attempt = known
        .attempts
        .iter()
        .rfind(|attempt| attempt.rule == course.rule && attempt.target == incident.group)
        .cloned()
        .unwrap_or_else(|| heal::incident::Attempt {
            rule: course.rule.clone(),
            target: incident.group.clone(),
            at: now,
            healed: false,
            rolled_back: false,
        });
    attempt.healed = result == HealingResult::Effective;
    attempt.rolled_back = course.rolled_back;
    let who = actor(incident.names.first().map_or("", String::as_str)).to_string();
    let entry =
        |kind, body| HealingEntry { kind, actor: who.clone(), request: Some(RequestId(course.id)), body };
    let body = json!({
        "incident": incident.id, "rule": course.rule, "where": incident.group.to_string(), "result": word,
        "note": handling.note, "end": incident.end,
    });
    let mut entries = vec![entry(kind, body)];
    if blocked {
        let body =
            json!({ "rule": course.rule, "where": incident.group.to_string(), "incident": incident.id });
        entries.push(entry("rule.blocked", body));
    }
    if incident.end.is_some() {
        entries.push(entry(
            "incident.ended",
            json!({ "incident": incident.id, "end": incident.end, "times": incident.times }),
        ));
    }
    if blocked {
        handling.called.insert(format!("{}: blocked", course.rule));
    }
    let mut change = HealingChange {
        brake: brake.as_ref().map(|brake| decide::row(&course.rule, brake)),
        ended: Some((course.id, word, super::json(&attempt))),
        entries,
        ..change(&incident, &handling, now)
    };
    if blocked {
        let times = brake.map_or(0, |brake| brake.ineffective);
        let why = format!(
            "rule \"{}\" did not help here {times} times in a row; it does nothing here any more until a person says `unblock {}`",
            course.rule,
            IncidentId(incident.id.0).short(),
        );
        steward::call(app, &mut change, &incident, &format!("{}:blocked", course.id), &why, None)?;
    }
    Ok(change)
}
