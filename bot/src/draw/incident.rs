//! The card of one incident, and what is said about it besides.

use super::{badge, count, time};
use crate::card::{Button, Card, Code, Picture, StepLine, Table, Tone};
use heal::{
    event::Event,
    incident::{End, Handling, HealingResult, Incident, Task, Trouble},
};
use jiff::Timestamp;
use ledger::{IncidentId, PictureId, RequestId, RequestView};
use std::collections::BTreeMap;

/// Lines of evidence on a card.
const MOST_EVIDENCE: usize = 6;

/// The live card.
pub fn incident(
    incident: &Incident,
    handling: &Handling,
    troubles: &[(Trouble, Event)],
    request: Option<&RequestView>,
    labels: &BTreeMap<String, String>,
    now: Timestamp,
) -> Card {
    let id = IncidentId(incident.id.0);
    let names: Vec<&str> = incident.names.iter().map(String::as_str).collect();
    let place = crate::healing::decide::place(&incident.group);
    let since = incident.times.began;
    let mut fields = vec![
        ("Where".to_string(), place.clone()),
        (
            "Since".to_string(),
            format!("{} ({})", time(since), ago(since, incident.times.recovered.unwrap_or(now))),
        ),
        ("Severity".to_string(), format!("{} of 5", incident.severity)),
        ("Going on".to_string(), format!("{} of {}", incident.going_on, count(incident.troubles, "trouble"))),
    ];
    if troubles.iter().any(|(trouble, _)| trouble.flapping) {
        fields.push(("Flapping".to_string(), "it comes and goes; what is asked for needs a click".into()));
    }
    if let Some((by, at)) = &incident.taken {
        fields.push(("Taken by".to_string(), format!("{by}, {}", time(*at))));
    }
    if let Some(to) = &incident.escalated {
        fields.push(("Escalated to".to_string(), to.clone()));
    }
    if let Some(view) = request {
        let state = view.request.state.as_str().replace('_', " ");
        let text = format!("{} ({}): {state}", view.request.plan.summary, view.request.id.short());
        fields.push(("Asked for".to_string(), text));
    }
    for evidence in handling.evidence.iter().skip(1).take(MOST_EVIDENCE) {
        fields.push((upper(&evidence.title), evidence.text.clone()));
    }
    let seen = handling.seen.as_ref();
    if let Some(reasons) = seen.map(|seen| &seen.reasons).filter(|reasons| !reasons.is_empty()) {
        fields.push(("The cluster says".to_string(), reasons.join("\n")));
    }
    let log = seen.filter(|seen| !seen.log.is_empty());
    if let Some(pod) = log.and_then(|seen| seen.pod.as_deref()) {
        fields.push(("Last lines of".to_string(), pod.to_string()));
    }
    let picture = seen.and_then(|seen| seen.picture.clone());
    Card {
        code: log.map(|seen| Code { language: "text".into(), text: seen.log.join("\n") }),
        picture: picture.map(|alt| Picture { id: PictureId(incident.id.0), alt }),
        link: Some(format!("/incidents/{id}")),
        status: Some(status(incident, handling)),
        cluster: incident.group.cluster().map(|cluster| badge(cluster, labels)),
        text: text(incident, handling),
        fields,
        steps: incident.healings.iter().map(step).collect(),
        buttons: buttons(incident),
        footer: Some(format!("incident {} · `incident {}` shows all", id.short(), id.short())),
        // Its buttons carry the incident where those of a request carry that.
        request: Some(RequestId(incident.id.0)),
        digest: Some("0".repeat(64)),
        ..Card::titled(tone(incident, handling), format!("{} at {place}", names.join(", ")))
    }
}

/// All about it: the card, and its troubles.
pub fn incident_details(
    incident: &Incident,
    handling: &Handling,
    troubles: &[(Trouble, Event)],
    request: Option<&RequestView>,
    labels: &BTreeMap<String, String>,
    now: Timestamp,
) -> Card {
    let mut card = self::incident(incident, handling, troubles, request, labels, now);
    let times = &incident.times;
    let milestones = [
        ("Detected", Some(times.detected)),
        ("Proposed", times.proposed),
        ("Approved", times.approved),
        ("Acted", times.acted),
        ("Recovered", times.recovered),
    ];
    for (label, at) in milestones {
        card.fields.extend(at.map(|at| (label.to_string(), time(at))));
    }
    card.fields.extend(
        handling.evidence.iter().skip(1 + MOST_EVIDENCE).map(|one| (upper(&one.title), one.text.clone())),
    );
    card.fields.push(("Id".to_string(), incident.id.0.to_string()));
    if !troubles.is_empty() {
        let row = |(trouble, event): &(Trouble, Event)| {
            vec![
                trouble.name.clone(),
                event.subject.to_string(),
                time(trouble.since),
                trouble.told.to_string(),
            ]
        };
        card.table = Some(Table {
            header: ["what", "about", "since", "told"].map(String::from).to_vec(),
            rows: troubles.iter().map(row).collect(),
            links: Vec::new(),
        });
    }
    // Its own card has the buttons and stays live.
    (card.buttons, card.request, card.digest) = (Vec::new(), None, None);
    card.footer = Some(format!("As of {}", time(now)));
    card
}

/// People are called.
pub fn call(incident: &Incident, why: &str, history: &[String], labels: &BTreeMap<String, String>) -> Card {
    let place = crate::healing::decide::place(&incident.group);
    let tried = if history.is_empty() { "nothing".into() } else { history.join("\n") };
    Card {
        cluster: incident.group.cluster().map(|cluster| badge(cluster, labels)),
        text: Some(why.to_string()),
        fields: vec![
            ("Tried".to_string(), tried),
            ("Severity".to_string(), format!("{} of 5", incident.severity)),
        ],
        footer: Some(format!(
            "`incident {0}` shows all, `take {0}` stops the rules",
            IncidentId(incident.id.0).short()
        )),
        ..Card::titled(Tone::Urgent, format!("LOOK NOW: {} at {place}", joined(incident)))
    }
}

/// A rule tells people something.
pub fn told(incident: &Incident, rule: &str, words: Option<&str>, labels: &BTreeMap<String, String>) -> Card {
    let place = crate::healing::decide::place(&incident.group);
    Card {
        cluster: incident.group.cluster().map(|cluster| badge(cluster, labels)),
        text: words.map(String::from),
        footer: Some(format!("rule \"{rule}\" · incident {}", IncidentId(incident.id.0).short())),
        ..Card::titled(Tone::Waiting, format!("{} at {place}", joined(incident)))
    }
}

/// It began to storm in a cluster, or is over.
pub fn storm(cluster: &str, labels: &BTreeMap<String, String>, begins: bool) -> Card {
    let (tone, title, text) = match begins {
        true => (
            Tone::Urgent,
            format!("Storm in {cluster}: too much is unhealthy at once"),
            "Petrel does nothing alone now: whatever a rule asks for needs a click. New incidents get no card of their own; `incidents` \
             lists them.",
        ),
        false => (
            Tone::Good,
            format!("The storm in {cluster} is over"),
            "It has been quiet for a while; policy decides again what may run at once.",
        ),
    };
    Card { cluster: Some(badge(cluster, labels)), text: Some(text.into()), ..Card::titled(tone, title) }
}

fn joined(incident: &Incident) -> String {
    incident.names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn tone(incident: &Incident, handling: &Handling) -> Tone {
    match (&incident.end, &handling.course) {
        (Some(End::Healed { .. } | End::Itself), _) => Tone::Good,
        (Some(End::TakenOver { .. } | End::Escalated { .. }), _) => Tone::Neutral,
        (None, Some(course)) if matches!(course.task, Task::Ask { .. }) => Tone::Waiting,
        (None, Some(_)) => Tone::Working,
        (None, None) if incident.escalated.is_some() => Tone::Urgent,
        (None, None) => Tone::Bad,
    }
}

/// How it ended, in a few words.
pub fn end(end: &End) -> String {
    match end {
        End::Healed { request } => format!("healed by {}", RequestId(*request).short()),
        End::TakenOver { by } => format!("taken over by {by}"),
        End::Escalated { to } => format!("escalated to {to}"),
        End::Itself => "resolved by itself".into(),
    }
}

fn status(incident: &Incident, handling: &Handling) -> String {
    match (&incident.end, &incident.taken, &handling.course) {
        (Some(end), ..) => self::end(end),
        (_, Some((by, _)), _) => format!("{by} has it"),
        (.., Some(course)) => match course.task {
            Task::Ask { .. } => "asked for".into(),
            Task::Verify { .. } => "verifying".into(),
            Task::Wait { .. } | Task::Tell => "healing".into(),
        },
        _ => "open".into(),
    }
}

fn text(incident: &Incident, handling: &Handling) -> Option<String> {
    let says =
        handling.evidence.first().filter(|evidence| !evidence.link).map(|evidence| evidence.text.clone());
    let doing = match (&incident.end, &handling.course, &handling.rests, &handling.note) {
        (Some(_), ..) => None,
        (_, Some(course), ..) => Some(format!("Rule \"{}\" is at work.", course.rule)),
        (_, _, Some(rests), _) => Some(format!("Nothing more is done automatically: {rests}.")),
        (_, _, _, Some(note)) => Some(format!("Nothing is done just now: {note}.")),
        _ => None,
    };
    let lines: Vec<String> = says.into_iter().chain(doing).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn step(healing: &heal::incident::Healing) -> StepLine {
    let (state, word) = match healing.result {
        None => ("working", "under way"),
        Some(HealingResult::Effective) => ("done", "helped"),
        Some(HealingResult::Ineffective) => ("failed", "did not help"),
        Some(HealingResult::NotDone) => ("unknown", "not done"),
    };
    let id = RequestId(healing.request).short();
    StepLine { state: state.into(), text: format!("{} ({id}): {word}", healing.rule) }
}

fn buttons(incident: &Incident) -> Vec<Button> {
    if incident.end.is_some() {
        return Vec::new();
    }
    let button = |id: &str, label: &str| Button {
        id: id.into(),
        label: label.into(),
        style: "plain".into(),
        wants_reason: false,
        wants_typed: None,
    };
    let take = match incident.taken {
        None => button("take", "I have it"),
        Some(_) => button("give-back", "Give it back"),
    };
    vec![take, button("silence", "Silence 1 h")]
}

fn ago(since: Timestamp, until: Timestamp) -> String {
    length(until.duration_since(since).as_secs().max(0))
}

/// Seconds, as people say them.
pub fn length(seconds: i64) -> String {
    match seconds {
        s if s < 120 => format!("{s} s"),
        s if s < 7200 => format!("{} min", s / 60),
        s => format!("{} h", s / 3600),
    }
}

fn upper(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
