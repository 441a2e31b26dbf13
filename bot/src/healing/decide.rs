//! What is done about an incident that no rule is at work on. Pure: what was found out before, and what was read under the lock, come
//! in; what is to be written goes out.

use super::{
    actor, json,
    known::{Known, asking, change},
};
use heal::{
    event::{Event, Fingerprint},
    incident::{
        Attempt, Braked, Caps, Course, Group, Handling, Incident, Next, Reaction, Reason, Situation, Task,
        Trouble, hides, past, react,
    },
    rules::{Answer, Judgement, Known as Given, Rules, Verdict},
};
use jiff::{SignedDuration, Timestamp};
use ledger::{BrakeRow, HealingChange, HealingEntry, RequestId};
use serde_json::json;
use std::collections::HashMap;
use uuid::Uuid;

/// An incident about which nothing can be done just now is looked at again after so long: conditions change.
const AGAIN: SignedDuration = SignedDuration::from_secs(60);
/// One that nobody but people will do anything about.
const SELDOM: SignedDuration = SignedDuration::from_mins(10);

/// What was found out before deciding, without a lock.
#[derive(Default)]
pub struct Found {
    /// By trouble and rule, one answer per `when`.
    pub answers: HashMap<(Fingerprint, String), Vec<Answer>>,
    /// Replicas that the trouble's workload has.
    pub replicas: HashMap<Fingerprint, u32>,
}

/// What is to be done.
pub struct Decision {
    /// To be written; None: somebody else has begun something meanwhile.
    pub change: Option<HealingChange>,
    /// People are to be called for this.
    pub call: Option<String>,
    /// A course has begun.
    pub begun: bool,
}

/// Holds the rules against the incident's troubles. `fresh` is the id of the first request, should there be one.
pub fn decide(
    known: &Known,
    rules: &Rules,
    found: &Found,
    caps: &Caps,
    fresh: Uuid,
    now: Timestamp,
) -> Decision {
    let none = Decision { change: None, call: None, begun: false };
    let (incident, handling) = (&known.incident, &known.handling);
    if incident.end.is_some() || handling.course.is_some() {
        return none;
    }
    if handling.rests.is_some() || incident.going_on == 0 {
        return Decision { change: Some(change(incident, handling, after(now, SELDOM))), ..none };
    }
    let mut noted: Option<String> = None;
    for (trouble, event) in &known.troubles {
        for rule in rules.concerned(event) {
            let judgement = judge(known, rule, event, found, now);
            if judgement.verdict == Verdict::Not {
                noted.get_or_insert_with(|| why_not(&judgement));
                continue;
            }
            // The first rule that applies is the only one that is considered.
            return apply(known, &judgement, rules.version(), trouble, event, caps, fresh, now);
        }
    }
    let note = noted.unwrap_or_else(|| "no rule is about it".into());
    let handling = Handling { note: Some(note), ..handling.clone() };
    Decision { change: Some(change(incident, &handling, after(now, AGAIN))), ..none }
}

fn judge(known: &Known, rule: &heal::rules::Rule, event: &Event, found: &Found, now: Timestamp) -> Judgement {
    let past = past(&rule.title, &known.incident.group, &known.attempts);
    let key = (event.fingerprint, rule.title.clone());
    let answers = found.answers.get(&key).map_or(&[][..], Vec::as_slice);
    let replicas = found.replicas.get(&event.fingerprint).copied();
    rule.judge(event, Given { answers, past: &past, replicas, now })
}

fn why_not(judgement: &Judgement) -> String {
    let miss = judgement.looks.iter().find(|look| look.outcome == heal::rules::Outcome::No);
    let miss = miss.map_or_else(String::new, |look| match look.why.as_str() {
        "" => format!(": {} does not hold", look.text),
        why => format!(": {} does not hold ({why})", look.text),
    });
    format!("rule \"{}\" does not apply{miss}", judgement.rule)
}

#[expect(clippy::too_many_arguments, reason = "each of them decides")]
fn apply(
    known: &Known,
    judgement: &Judgement,
    version: &str,
    trouble: &Trouble,
    event: &Event,
    caps: &Caps,
    fresh: Uuid,
    now: Timestamp,
) -> Decision {
    let (incident, rule) = (&known.incident, &judgement.rule);
    let stored = known.brake(rule);
    // A new incident at the same place: the trouble is there again, whatever is done now.
    let came_back =
        stored.last.is_some_and(|(last, _)| last < incident.times.detected) && stored.under_way.is_none();
    let brake = if came_back { stored.clone().again(now, caps) } else { stored.clone() };
    let braked = brake.allows(now, caps).err();
    let capped = caps.reached(rule, &incident.group, &known.attempts, now);
    let hidden_by = known.nodes_down.iter().find(|parent| hides(parent, event));
    let silence = known.silences.iter().find(|silence| silence.covers(event, now));
    let situation = Situation {
        verdict: &judgement.verdict,
        incident,
        silence,
        hidden_by: hidden_by.and_then(|parent| parent.subject.node.as_deref()),
        flapping: trouble.flapping,
        storm: known.storm,
        brake: braked.as_ref().map_or(Ok(()), Err),
        capped: capped.as_ref(),
    };
    let mut handling = known.handling.clone();
    let brake_row = (brake != stored).then(|| row(rule, &brake));
    match react(situation) {
        Reaction::Rest(reason) => {
            let due_at =
                until(&reason, silence.map(|silence| silence.until)).unwrap_or_else(|| after(now, AGAIN));
            handling.note = Some(format!("rule \"{rule}\" waits: {reason}"));
            let change = HealingChange { brake: brake_row, ..change(incident, &handling, due_at) };
            Decision { change: Some(change), call: None, begun: false }
        }
        Reaction::Escalate(reason) => {
            let why = format!("rule \"{rule}\": {reason}");
            handling.note = Some(why.clone());
            // Once per incident and reason; a time in the reason would make it another one.
            let is_new = handling.called.insert(kind_of(&reason, rule));
            let change = HealingChange { brake: brake_row, ..change(incident, &handling, after(now, AGAIN)) };
            Decision { change: Some(change), call: is_new.then_some(why), begun: false }
        }
        Reaction::Propose { proposal, with_person } => {
            let with_person = (!with_person.is_empty())
                .then(|| with_person.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));
            match Course::begin(rule, version, trouble.fingerprint, proposal, with_person, fresh, now) {
                Next::Over(_) => {
                    handling.rests = Some(format!("rule \"{rule}\" has no steps"));
                    let change = change(incident, &handling, after(now, SELDOM));
                    Decision { change: Some(change), call: None, begun: false }
                }
                Next::Go(course) => begin(known, course, brake, judgement, caps, now),
            }
        }
    }
}

/// Stored before anything is asked for: the brake is on, the attempt counts, and the first request has its id.
fn begin(
    known: &Known,
    course: Course,
    brake: heal::incident::Brake,
    judgement: &Judgement,
    caps: &Caps,
    now: Timestamp,
) -> Decision {
    let rule = course.rule.clone();
    let mut handling = Handling { note: None, ..known.handling.clone() };
    let (id, heals, with_person) = (course.id, course.heals(), course.with_person.clone());
    // Its card shows the request as soon as it is there.
    handling.request = match &course.task {
        Task::Ask { request } => Some(*request),
        _ => handling.request,
    };
    handling.course = Some(course);
    let incident = known.incident.clone();
    let incident = if heals { incident.proposed(&rule, id, now) } else { Ok(incident) };
    let begun =
        if heals { brake.begin(now, caps).map(|brake| row(&rule, &brake)).map(Some) } else { Ok(None) };
    // Neither happens: both were asked a moment ago. If they do all the same, nothing is begun.
    let (Ok(incident), Ok(brake)) = (incident, begun) else {
        return Decision { change: None, call: None, begun: false };
    };
    let who = actor(incident.names.first().map_or("", String::as_str)).to_string();
    let body = json!({
        "incident": incident.id, "rule": rule, "place": judgement.place, "where": incident.group.to_string(),
        "healing": id, "with_person": with_person,
        "because": judgement.looks.iter().map(|look| format!("{}: {} ({})", look.text, look.outcome, look.why)).collect::<Vec<_>>(),
    });
    let entry = HealingEntry { kind: "incident.proposed", actor: who, request: None, body };
    let attempt = Attempt {
        rule: rule.clone(),
        target: incident.group.clone(),
        at: now,
        healed: false,
        rolled_back: false,
    };
    let change = HealingChange {
        brake,
        begun: heals.then(|| (id, rule, json(&attempt))),
        entries: vec![entry],
        ..asking(change(&incident, &handling, now), &incident, &handling, now)
    };
    Decision { change: Some(change), call: None, begun: true }
}

/// As it is stored.
pub fn row(rule: &str, brake: &heal::incident::Brake) -> BrakeRow {
    BrakeRow { rule: rule.to_string(), doc: json(brake), blocked_at: brake.blocked }
}

fn until(reason: &Reason, silenced: Option<Timestamp>) -> Option<Timestamp> {
    match reason {
        Reason::Braked(Braked::Cooling { until }) => Some(*until),
        Reason::Capped(capped) => capped.until,
        Reason::Silenced { .. } => silenced,
        _ => None,
    }
}

fn kind_of(reason: &Reason, rule: &str) -> String {
    match reason {
        Reason::Braked(_) => format!("{rule}: blocked"),
        other => format!("{rule}: {other}"),
    }
}

fn after(now: Timestamp, length: SignedDuration) -> Timestamp {
    now.saturating_add(length).unwrap_or(Timestamp::MAX)
}

/// What was tried, for whoever is called.
pub fn history(incident: &Incident) -> Vec<String> {
    let line = |healing: &heal::incident::Healing| {
        let result = match healing.result {
            None => "under way",
            Some(heal::incident::HealingResult::Effective) => "helped",
            Some(heal::incident::HealingResult::Ineffective) => "did not help",
            Some(heal::incident::HealingResult::NotDone) => "was not done",
        };
        let at = healing.asked.strftime("%H:%M:%S");
        format!("{at} {} ({}): {result}", healing.rule, RequestId(healing.request).short())
    };
    incident.healings.iter().map(line).collect()
}

/// Where an incident is, without its cluster: cards show that by itself.
pub fn place(group: &Group) -> String {
    let text = group.to_string();
    text.split_once(": ").map_or(text.clone(), |(_, rest)| rest.to_string())
}
