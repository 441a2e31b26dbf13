//! One task of a course: ask the gate and wait for its request, write to people, wait, or look whether it helped.

use super::{
    actor, condition,
    outcome::{Step, WAITS, move_on, pause},
    read_json, rooms,
    typed::typed,
};
use crate::{
    app::App,
    grammar::{Context, Line, parse},
};
use actions::gate::Submitted;
use heal::{
    event::Event,
    incident::{Course, Incident, StepEnd, Storm, Task},
    language::ast::Check,
    rules::{Outcome, Proposed},
};
use jiff::{SignedDuration, Timestamp};
use ledger::{
    Along, Ask, Decision, IncidentId, LedgerError, Person, RequestId, RequestState, RequestView, Waiting,
};

/// How often it is looked whether something helped.
const LOOK: SignedDuration = SignedDuration::from_secs(2);

/// Does what the course's task says; nothing has been done about one that `is_new`. True: there is something to do at once.
pub async fn take(
    app: &App,
    id: IncidentId,
    incident: &Incident,
    course: &Course,
    is_new: bool,
    now: Timestamp,
) -> Result<bool, LedgerError> {
    match course.task {
        Task::Ask { request } => {
            let request = RequestId(request);
            let view = if is_new { None } else { app.ledger.view(request).await? };
            match view {
                None => Box::pin(ask(app, id, incident, course, request, is_new, now)).await,
                Some(view) => follow(app, id, incident, course, &view, now).await,
            }
        }
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
    is_new: bool,
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
    let line = typed(app, action, target.as_ref(), parameters).await;
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
        Some(cluster) if !is_new => app.ledger.storm(cluster).await?,
        _ => None,
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
    let shown = rooms(app, incident.group.cluster());
    let along = Along::Heals(Waiting { incident: id, shown, due_at: now + WAITS });
    let end = match app.gate.submit_with(request, ask, &along, now).await? {
        Submitted::Request { request, .. } => {
            // It is looked at again when its request moves on, and then it is noted what there is to note.
            if matches!(request.state, RequestState::Awaiting | RequestState::Approved) {
                return Ok(false);
            }
            let Some(view) = app.ledger.view(request.id).await? else { return Ok(false) };
            return follow(app, id, incident, course, &view, now).await;
        }
        Submitted::NoPlan(why) => Step::Ended(StepEnd::Failed, Some(why)),
        Submitted::Nothing(why) => Step::Ended(StepEnd::Nothing, Some(why)),
        Submitted::Refused(refusal) => Step::Ended(StepEnd::NotDone, Some(refusal.to_string())),
    };
    move_on(app, id, course, end, now).await
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
        // What was there for a while only has been given back.
        RequestState::RolledBack if request.plan.fault().is_some() => StepEnd::Done,
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
