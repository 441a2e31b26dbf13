//! One task of a course: ask the gate and wait for its request, write to people, wait, or look whether it helped.

use super::{
    actor, condition, decide,
    known::{Known, change, since},
    read_json, rooms, steward,
};
use crate::{
    app::App,
    draw,
    grammar::{Context, Line, parse},
};
use actions::gate::Submitted;
use heal::{
    event::Event,
    incident::{Caps, Course, HealingResult, Incident, Next, StepEnd, Storm, Task},
    language::ast::Check,
    rules::{Outcome, Proposed, Target},
};
use jiff::{SignedDuration, Timestamp};
use ledger::{
    Ask, Decision, HealingChange, HealingEntry, IncidentId, LedgerError, Person, RequestId, RequestState,
    RequestView, Verdict,
};
use serde_json::{Value, json};

/// How often it is looked whether something helped.
const LOOK: SignedDuration = SignedDuration::from_secs(2);
/// A request that waits is looked at now and then, should its change not have been heard of.
const WAITS: SignedDuration = SignedDuration::from_secs(30);

/// Does what the course's task says. True: there is something to do at once.
pub async fn take(
    app: &App,
    id: IncidentId,
    incident: &Incident,
    course: &Course,
    now: Timestamp,
) -> Result<bool, LedgerError> {
    match course.task {
        Task::Ask { request } => match app.ledger.view(RequestId(request)).await? {
            None => ask(app, id, incident, course, RequestId(request), now).await,
            Some(view) => follow(app, id, incident, course, &view, now).await,
        },
        Task::Tell => move_on(app, id, course, Step::Tell, now).await,
        Task::Wait { until } if now < until => pause(app, id, course, until, now).await,
        Task::Wait { .. } => move_on(app, id, course, Step::Ended(StepEnd::Done, None), now).await,
        Task::Verify { until } => {
            let (holds, why) = verify(app, id, course).await?;
            if holds || now >= until {
                return move_on(app, id, course, Step::Verified(holds, why), now).await;
            }
            pause(app, id, course, (now + LOOK).min(until), now).await
        }
    }
}

/// Asks the gate, under the id that is stored: after a crash the same request is asked for again, and the gate knows it.
async fn ask(
    app: &App,
    id: IncidentId,
    incident: &Incident,
    course: &Course,
    request: RequestId,
    now: Timestamp,
) -> Result<bool, LedgerError> {
    let Some(Proposed::Action { action, target, parameters, note }) = course.current() else {
        return move_on(
            app,
            id,
            course,
            Step::Ended(StepEnd::Failed, Some("there is no such step".into())),
            now,
        )
        .await;
    };
    let clusters = app.clusters.names();
    let context = Context { clusters: &clusters, cluster: None, namespace: None };
    let line = line(action, target.as_ref(), parameters);
    let parsed = line.as_deref().map_err(Clone::clone).and_then(|line| match parse(line, &context) {
        Ok(Line::Ask(parsed)) => Ok(parsed),
        Ok(_) => Err(format!("`{line}` asks for nothing")),
        Err(card) => Err(format!("`{line}`: {}", card.title)),
    });
    let parsed = match parsed {
        Ok(parsed) => parsed,
        Err(why) => return move_on(app, id, course, Step::Ended(StepEnd::Failed, Some(why)), now).await,
    };
    let name = incident.names.first().map_or("", String::as_str);
    let actor = actor(name);
    let storms = match incident.group.cluster() {
        Some(cluster) => app.ledger.storm(cluster).await?,
        None => None,
    };
    // It may have begun to storm since the course began.
    let storm: Storm = storms.map(|doc| read_json("read a storm", doc)).transpose()?.unwrap_or_default();
    let with_person = course
        .with_person
        .clone()
        .or_else(|| (!storm.allows_acting_alone()).then(|| heal::incident::Reason::Storm.to_string()));
    let note = if note.is_empty() { String::new() } else { format!(" ({note})") };
    let why =
        format!("incident {}: {name} at {}, rule \"{}\"{note}", id.short(), incident.group, course.rule,);
    let ask = Ask {
        key: format!("incident:{id}:{request}"),
        person: Person(actor.to_string()),
        actor,
        place: None,
        line: parsed.canonical.clone(),
        action: parsed.action.to_string(),
        parameters: parsed.parameters,
        target: parsed.target,
        why: Some(why),
        break_glass: false,
        dry_run: false,
        with_person,
    };
    let end = match app.gate.submit_as(request, ask, now).await? {
        Submitted::Request { request, .. } => {
            for room in rooms(app, incident.group.cluster()) {
                app.ledger.show(request.id, &room).await?;
            }
            let Some(view) = app.ledger.view(request.id).await? else { return Ok(false) };
            return follow(app, id, incident, course, &view, now).await;
        }
        Submitted::NoPlan(why) => Step::Ended(StepEnd::Failed, Some(why)),
        Submitted::Refused(refusal) => Step::Ended(StepEnd::NotDone, Some(refusal.to_string())),
    };
    move_on(app, id, course, end, now).await
}

/// What people would type for it.
fn line(
    action: &str,
    target: Option<&Target>,
    parameters: &serde_json::Map<String, Value>,
) -> Result<String, String> {
    let text = |name: &str| {
        let value = parameters.get(name)?;
        let text = value.as_str().map_or_else(|| value.to_string(), String::from);
        Some(text)
    };
    let needed = |name: &str| text(name).ok_or_else(|| format!("`{action}` needs {name}"));
    let target = target.ok_or_else(|| format!("`{action}` needs a target"))?;
    let mut words = match action {
        // The plan says "nothing to do" where there are so many.
        "scale_up" => vec!["scale".to_string()],
        "hpa" => vec!["hpa".to_string(), "propose".to_string()],
        other => vec![other.replace('_', "-")],
    };
    words.push(format!("{}/{}", target.kind.to_ascii_lowercase(), target.name));
    match action {
        "scale" | "scale_up" => words.push(needed("replicas")?),
        "set_image" => words.push(format!("{}={}", needed("container")?, needed("image")?)),
        "set_resources" => {
            for name in ["container", "requests", "limits"] {
                words.extend(text(name).map(|value| format!("--{name}={value}")));
            }
        }
        "rollback" => words.extend(text("to").map(|to| format!("--to={to}"))),
        _ => {}
    }
    words.extend(target.namespace.iter().map(|namespace| format!("--namespace={namespace}")));
    words.push(format!("--cluster={}", target.cluster));
    let quoted = |word: &String| match word.chars().all(|c| c.is_ascii_graphic() && !"\"'\\`".contains(c)) {
        true => Ok(word.clone()),
        // What people type is split at blanks; a rule's text has none where an action takes it.
        false => Err(format!("`{action}` cannot take the text {word:?}")),
    };
    Ok(words.iter().map(quoted).collect::<Result<Vec<_>, _>>()?.join(" "))
}

/// The request is there: has it ended?
async fn follow(
    app: &App,
    id: IncidentId,
    incident: &Incident,
    course: &Course,
    view: &RequestView,
    now: Timestamp,
) -> Result<bool, LedgerError> {
    let request = &view.request;
    let end = match request.state {
        RequestState::Succeeded => StepEnd::Done,
        RequestState::Failed | RequestState::RolledBack | RequestState::Unknown => StepEnd::Failed,
        RequestState::Denied
        | RequestState::Expired
        | RequestState::Cancelled
        | RequestState::Refused
        | RequestState::Planned => StepEnd::NotDone,
        RequestState::Awaiting if incident.going_on == 0 && !course.failed => {
            // Nobody needs to decide any more.
            let why = "the trouble is over by itself";
            if let Err(refusal) = app.gate.cancel(request.id, &request.ask.actor, Some(why), now).await? {
                tracing::info!(request.id = %request.id, %refusal, "a request that is not needed any more was not called off");
            }
            return Ok(true);
        }
        RequestState::Awaiting | RequestState::Approved | RequestState::Running | RequestState::Verifying => {
            let view = view.clone();
            return move_on(app, id, course, Step::Waits(Box::new(view)), now).await.map(|_| false);
        }
    };
    let note = request.note.clone().or_else(|| match &request.decision {
        Decision::Refuse { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    let note = format!("{} {}", request.plan.summary, said(request.state, note.as_deref()));
    move_on(app, id, course, Step::Followed(end, note, Box::new(view.clone())), now).await
}

fn said(state: RequestState, note: Option<&str>) -> String {
    let state = state.as_str().replace('_', " ");
    note.map_or_else(|| format!("has {state}"), |note| format!("has {state}: {note}"))
}

/// Whether it helped, and what does not hold.
async fn verify(app: &App, id: IncidentId, course: &Course) -> Result<(bool, String), LedgerError> {
    let Some(verify) = &course.verify else { return Ok((true, String::new())) };
    let trouble: Option<heal::incident::Trouble> = app
        .ledger
        .trouble(&course.fingerprint.to_string())
        .await?
        .map(|doc| read_json("read a trouble", doc))
        .transpose()?;
    let event: Option<Event> = app
        .ledger
        .trouble_event(&course.fingerprint.to_string())
        .await?
        .map(|doc| read_json("read an event", doc))
        .transpose()?;
    let mut misses = Vec::new();
    for check in &verify.checks.items {
        let (what, answer) = match (&check.value, &event) {
            (Check::AlertResolved(_), _) => {
                let over = trouble.as_ref().is_none_or(|trouble| !trouble.goes_on());
                if !over {
                    misses.push("alert resolved: it goes on".to_string());
                }
                continue;
            }
            (_, None) => {
                misses.push("the event is not kept any more".to_string());
                continue;
            }
            (Check::RolloutHealthy(_), Some(event)) => {
                ("rollout healthy", condition::rollout(app, event).await)
            }
            (Check::Holds(condition), Some(event)) => {
                ("condition", condition::answer(app, condition, event).await)
            }
        };
        // What cannot be told does not hold.
        if answer.outcome != Outcome::Yes {
            misses.push(format!("{what}: {}", answer.why));
        }
    }
    tracing::debug!(incident.id = %id, rule = course.rule, ?misses, "looked whether it helped");
    Ok((misses.is_empty(), misses.join("; ")))
}

/// What has happened to a course.
enum Step {
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

async fn pause(
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
async fn move_on(
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
    let next = match step {
        Step::Waits(view) => {
            waits_for = Some((view.request.id, Some(view.request.state)));
            Next::Go(course.clone())
        }
        Step::Followed(end, note, _) => {
            handling.note = Some(note);
            course.clone().ended(end, fresh, now)
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
        Next::Go(next) => {
            handling.course = Some(next);
            HealingChange { waits_for, ..change(&incident, &handling, due_at) }
        }
        Next::Over(result) => over(app, known, incident, handling, course, result, now)?,
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
        });
    attempt.healed = result == HealingResult::Effective;
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
