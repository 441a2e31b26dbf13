//! A row of the list of incidents, and what stands below the card of one.

use super::{cluster_badge, state_pill, time};
use crate::{draw, visible};
use heal::{
    event::Event,
    incident::{End, Handling, HealingResult, Incident, Trouble},
};
use jiff::Timestamp;
use ledger::{IncidentId, RequestView};
use maud::{Markup, html};

/// What, where, how it stands, since when.
pub fn row(incident: &Incident, handling: &Handling, production: bool) -> Markup {
    let id = IncidentId(incident.id.0);
    let names: Vec<&str> = incident.names.iter().map(String::as_str).collect();
    let (tone, words) = standing(incident, handling);
    html! {
        li.request data-incident=(id) {
            a.main href={ "/incidents/" (id) } {
                strong { (visible::line(&names.join(", "))) }
                code { (visible::line(&incident.group.to_string())) }
            }
            div.where {
                span class={ "pill tone-" (tone) } { (visible::line(&words)) }
                @if let Some(cluster) = incident.group.cluster() { (cluster_badge(cluster, production)) }
            }
            p.small {
                "severity " (incident.severity.to_string()) " · " (time(incident.times.began)) " · " code { (id.short()) }
                @if let Some(last) = incident.healings.last() { " · rule “" (visible::line(&last.rule)) "”" }
            }
        }
    }
}

fn standing(incident: &Incident, handling: &Handling) -> (&'static str, String) {
    match (&incident.end, &incident.taken, &handling.course) {
        (Some(end @ (End::Healed { .. } | End::Itself)), ..) => ("good", draw::incident_end(end)),
        (Some(end), ..) => ("neutral", draw::incident_end(end)),
        (None, Some((by, _)), _) => ("working", format!("{by} has it")),
        (None, None, Some(_)) => ("working", "being healed".into()),
        (None, None, None) if incident.escalated.is_some() => ("urgent", "escalated".into()),
        (None, None, None) => ("bad", "going on".into()),
    }
}

/// The timeline, what was asked for, and the troubles.
pub fn incident(
    incident: &Incident,
    handling: &Handling,
    troubles: &[(Trouble, Event)],
    asked: &[RequestView],
) -> Markup {
    html! {
        section aria-labelledby="timeline" {
            h2 id="timeline" { "Timeline" }
            ol.timeline {
                @for moment in timeline(incident) {
                    li class={ "tone-" (moment.tone) } {
                        (time(moment.at)) " " span { (visible::line(&moment.text)) }
                        @if let Some(after) = &moment.after { span.small { " " (after) } }
                    }
                }
            }
        }
        @if !asked.is_empty() {
            section aria-labelledby="asked" {
                h2 id="asked" { "Asked for" }
                ol.requests {
                    @for view in asked {
                        @let request = &view.request;
                        li.request {
                            a.main href={ "/requests/" (request.id) } {
                                strong { (visible::line(&request.plan.summary)) }
                                code { (visible::line(&request.ask.line)) }
                            }
                            div.where { (state_pill(request.state)) }
                            @if let Some(note) = &request.note { p.small { (visible::line(note)) } }
                        }
                    }
                }
            }
        }
        @if let Some(note) = handling.note.as_ref().or(handling.rests.as_ref()) {
            section aria-labelledby="note" { h2 id="note" { "What the rules say" } p { (visible::line(note)) } }
        }
        section aria-labelledby="troubles" {
            h2 id="troubles" { "What goes on" }
            @if troubles.is_empty() { p.empty { "Nothing any more." } }
            dl.facts {
                @for (trouble, event) in troubles {
                    div {
                        dt { (visible::line(&trouble.name)) }
                        dd { (visible::line(&event.subject.to_string())) ", since " (time(trouble.since)) }
                    }
                }
            }
        }
    }
}

struct Moment {
    at: Timestamp,
    tone: &'static str,
    text: String,
    /// How long after the one before.
    after: Option<String>,
}

/// What happened when, as the incident keeps it.
fn timeline(incident: &Incident) -> Vec<Moment> {
    let times = &incident.times;
    let mut all = Vec::new();
    let mut add = |at: Option<Timestamp>, tone, text: String| {
        all.extend(at.map(|at| Moment { at, tone, text, after: None }));
    };
    add(Some(times.began), "bad", "it began".into());
    add(Some(times.detected), "bad", "Petrel heard of it".into());
    for healing in &incident.healings {
        let (tone, result) = match healing.result {
            None => ("working", "under way"),
            Some(HealingResult::Effective) => ("good", "it helped"),
            Some(HealingResult::Ineffective) => ("bad", "it did not help"),
            Some(HealingResult::NotDone) => ("neutral", "not done"),
        };
        add(Some(healing.asked), tone, format!("rule “{}” asked: {result}", healing.rule));
    }
    add(times.approved, "good", "the first of it was agreed to".into());
    add(times.acted, "working", "the first of it was begun".into());
    if let Some((by, at)) = &incident.taken {
        add(Some(*at), "neutral", format!("{by} took it over"));
    }
    let end = incident.end.as_ref().map_or("it was over".into(), draw::incident_end);
    add(times.recovered, "good", end);
    all.sort_by_key(|moment| moment.at);
    for place in 1..all.len() {
        let seconds = all[place].at.duration_since(all[place - 1].at).as_secs();
        all[place].after = (seconds > 0).then(|| format!("{} later", draw::length(seconds)));
    }
    all
}
