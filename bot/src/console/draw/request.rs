//! One request in full, and a row of a list of them.

use super::{
    card::{Clicks, card},
    cluster_badge, code, state_pill, time,
};
use crate::{card::Card, visible};
use jiff::Timestamp;
use ledger::{
    Condition, Decision, Entry, ObjectRef, Phase, Place, Plan, Request, RequestId, RequestView, Step,
    StepState, Verdict,
};
use maud::{Markup, html};

/// A row of a list: what, where, who, when, how it stands.
pub fn row(request: &Request, production: bool) -> Markup {
    html! {
        li.request data-request=(request.id) data-state=(request.state.as_str()) {
            a.main href={ "/requests/" (request.id) } {
                strong { (visible::line(&request.plan.summary)) }
                code { (visible::line(&request.ask.line)) }
            }
            div.where { (state_pill(request.state)) (cluster_badge(&request.plan.target.cluster, production)) }
            p.small {
                (visible::line(&request.ask.person.0)) " · " (time(request.created_at)) " · " code { (request.id.short()) }
                @if let Some(note) = &request.note { " · " (visible::line(note)) }
            }
        }
    }
}

/// All about one request; replaced as a whole when it changes.
pub fn request(
    view: &RequestView,
    drawn: &Card,
    entries: &[Entry],
    given_up: &[(Place, String)],
    clicks: &Clicks,
    told: Option<&(RequestId, Card)>,
) -> Markup {
    let request = &view.request;
    let notice = told.filter(|(id, _)| *id == request.id).map(|(_, card)| card);
    html! {
        div id="live" data-live {
            (card(drawn, clicks, notice))
            section aria-labelledby="timeline" {
                h2 id="timeline" { "Timeline" }
                ol.timeline {
                    @for moment in timeline(view) {
                        li class={ "tone-" (moment.tone) } {
                            (time(moment.at)) " " span { (visible::line(&moment.text)) }
                            @if let Some(more) = &moment.more { p.small { (visible::line(more)) } }
                        }
                    }
                }
            }
            (plan(&request.plan, drawn.code.as_ref().is_none_or(|code| code.text != request.plan.diff)))
            section aria-labelledby="asked" {
                h2 id="asked" { "Asked and decided" }
                dl.facts {
                    div { dt { "Line" } dd { code { (visible::line(&request.ask.line)) } } }
                    div { dt { "By" } dd { (visible::line(&request.ask.person.0)) " (" (request.ask.actor) ")" } }
                    @if let Some(why) = &request.ask.why { div { dt { "Why" } dd { (visible::line(why)) } } }
                    @if request.ask.break_glass { div { dt { "Break-glass" } dd { "yes" } } }
                    div { dt { "Decision" } dd { (visible::line(&decision(&request.decision))) } }
                    div { dt { "Policy" } dd { code { (visible::line(&request.policy)) } } }
                    div { dt { "Plan" } dd { "revision " (request.revision) ", digest " code { (request.digest) } } }
                    div { dt { "Request" } dd { code { (request.id) } } }
                    @for (place, why) in given_up {
                        div { dt { "Not shown in" } dd { (visible::line(&place.0)) ": " (visible::line(why)) } }
                    }
                }
            }
            section aria-labelledby="entries" {
                h2 id="entries" { "In the record" }
                (self::entries(entries))
            }
        }
    }
}

fn decision(decision: &Decision) -> String {
    match decision {
        Decision::Refuse { rule, reason } => format!("refused by rule “{rule}”: {reason}"),
        Decision::Allow { rule } => format!("allowed by rule “{rule}”"),
        Decision::Needs { rule, quorum } => {
            let typed = if quorum.type_cluster { ", typing the cluster's name" } else { "" };
            let who = quorum.groups.join(" or ");
            let votes = if quorum.votes == 1 {
                "1 approval".to_string()
            } else {
                format!("{} approvals", quorum.votes)
            };
            let minutes = quorum.within_s.div_ceil(60);
            format!("rule “{rule}” wants {votes} from {who} within {minutes} min{typed}")
        }
    }
}

struct Moment {
    at: Timestamp,
    tone: &'static str,
    text: String,
    more: Option<String>,
}

/// What happened, from the values that the record keeps typed.
fn timeline(view: &RequestView) -> Vec<Moment> {
    let request = &view.request;
    let mut all = vec![Moment {
        at: request.created_at,
        tone: "neutral",
        text: format!("{} asked: {}", request.ask.person, request.plan.summary),
        more: request.ask.why.clone(),
    }];
    if request.revision > 1 {
        let text = format!("the target had changed: this is plan {}, votes started over", request.revision);
        all.push(Moment { at: request.created_at, tone: "waiting", text, more: None });
    }
    for vote in &view.votes {
        let (tone, verb) = match vote.verdict {
            Verdict::Approve => ("good", "approved"),
            Verdict::Deny => ("bad", "denied"),
        };
        all.push(Moment {
            at: vote.at,
            tone,
            text: format!("{} {verb}", vote.person),
            more: vote.reason.clone(),
        });
    }
    if let Some(run) = &view.run {
        if let Some(at) = run.started_at {
            let more =
                (run.attempt > 1).then(|| format!("taken over by another worker; attempt {}", run.attempt));
            all.push(Moment { at, tone: "working", text: "a worker started".into(), more });
        }
        for step in &view.steps {
            let steps = if step.phase == Phase::Undo { &request.plan.undo } else { &request.plan.steps };
            let what =
                steps.get(step.index as usize).map_or_else(|| format!("step {}", step.index + 1), step_line);
            let what = if step.phase == Phase::Undo { format!("undo: {what}") } else { what };
            let (tone, word) = match step.state {
                StepState::Intended => ("working", "begun"),
                StepState::Done => ("good", "done"),
                StepState::Failed => ("bad", "failed"),
                StepState::Unknown => ("urgent", "not known"),
            };
            let at = step.ended_at.unwrap_or(step.intended_at);
            all.push(Moment { at, tone, text: format!("{what}: {word}"), more: None });
        }
    }
    all.sort_by_key(|moment| moment.at);
    if request.state.is_final() {
        let tone = match request.state {
            ledger::RequestState::Succeeded => "good",
            ledger::RequestState::Planned
            | ledger::RequestState::Cancelled
            | ledger::RequestState::Expired => "neutral",
            ledger::RequestState::Unknown => "urgent",
            _ => "bad",
        };
        let text = super::state_words(request.state).to_string();
        all.push(Moment { at: request.updated_at, tone, text, more: request.note.clone() });
    } else if let Some(by) = &request.cancel {
        let text = format!("{by} called it off; it stops at the next safe point");
        all.push(Moment { at: request.updated_at, tone: "waiting", text, more: None });
    }
    all
}

fn object(object: &ObjectRef) -> String {
    match &object.namespace {
        Some(namespace) => format!("{} {namespace}/{}", object.kind, object.name),
        None => format!("{} {}", object.kind, object.name),
    }
}

fn step_line(step: &Step) -> String {
    let verb = match step {
        Step::Patch { .. } => "patch",
        Step::Create { .. } => "create",
        Step::Delete { .. } => "delete",
        Step::Exec { .. } => "run a command in",
    };
    format!("{verb} {}", object(step.object()))
}

fn step_body(step: &Step) -> Option<String> {
    match step {
        Step::Patch { body, .. } | Step::Create { body, .. } => serde_json::to_string_pretty(body).ok(),
        Step::Delete { .. } => None,
        Step::Exec { command, .. } => serde_json::to_string_pretty(command).ok(),
    }
}

fn condition(condition: &Condition) -> String {
    match condition {
        Condition::RolloutComplete { object: o } => format!("the rollout of {} is complete", object(o)),
        Condition::Replicas { object: o, count } => {
            format!("{} has exactly {count} replicas ready", object(o))
        }
        Condition::NotCrashLooping { object: o } => format!("no container of {} is crash-looping", object(o)),
        Condition::Gone { object: o } => format!("{} is gone", object(o)),
        Condition::JobComplete { object: o } => format!("{} has finished well", object(o)),
        Condition::ScalingActive { object: o } => format!("{} can read its metric and decide", object(o)),
        Condition::Field { object: o, pointer, equals } => format!("{} has {pointer} = {equals}", object(o)),
        Condition::Changed { object: o, pointer, from } => {
            format!("somebody has healed {}: {pointer} is no longer {from}", object(o))
        }
    }
}

/// `with_diff`: unless the card above shows all of it.
fn plan(plan: &Plan, with_diff: bool) -> Markup {
    html! {
        section aria-labelledby="plan" {
            h2 id="plan" { "Plan" }
            dl.facts {
                div { dt { "Target" } dd { (visible::line(&plan.target.to_string())) } }
                div { dt { "Risk" } dd { (plan.risk) } }
                div { dt { "Hits" } dd {
                    (plan.blast.pods) " of " (plan.blast.of) " pods (" (plan.blast.percent()) " %)"
                    @for budget in &plan.blast.budgets { br; "disruption budget " (visible::line(budget)) }
                    @for note in &plan.blast.notes { br; (visible::line(note)) }
                } }
            }
            @if with_diff && !plan.diff.is_empty() { (code("diff", &plan.diff)) }
            h3 { "Steps" }
            (steps("steps", &plan.steps))
            h3 { "Then it must hold, within " (plan.verify.within_s) " s" }
            ul.plain { @for c in &plan.verify.conditions { li { (visible::line(&condition(c))) } } }
            h3 { "Way back" }
            @if plan.undo.is_empty() { p { "There is none." } } @else { (steps("undo", &plan.undo)) }
        }
    }
}

fn steps(key: &str, steps: &[Step]) -> Markup {
    html! {
        ol.plan-steps {
            @for (index, step) in steps.iter().enumerate() {
                li {
                    @match step_body(step) {
                        Some(body) => details data-keep={ (key) "-" (index) } {
                            summary { (visible::line(&step_line(step))) }
                            pre.code tabindex="0" { (visible::block(&body)) }
                        },
                        None => (visible::line(&step_line(step))),
                    }
                }
            }
        }
    }
}

/// Ledger entries as rows, with their place in the chain.
pub fn entries(entries: &[Entry]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="ledger entries" {
            table.entries {
                thead { tr {
                    th scope="col" { "Chain" } th scope="col" { "When" } th scope="col" { "What" }
                    th scope="col" { "Who" } th scope="col" { "Content" }
                } }
                tbody {
                    @for entry in entries {
                        tr data-entry=(entry.id) {
                            td { @match entry.seq {
                                Some(seq) => span.sealed title="sealed into the chain" { "#" (seq) },
                                None => span.unsealed title="written, sealed within a moment" { "unsealed" },
                            } }
                            td { (time(entry.at)) }
                            td {
                                code { (visible::line(&entry.kind)) }
                                @if let Some(request) = entry.request {
                                    " " a href={ "/requests/" (request) } { (request.short()) }
                                }
                            }
                            td { (visible::line(&entry.actor)) }
                            td { details data-keep={ "entry-" (entry.id) } {
                                summary { "show" }
                                pre.code { (visible::block(&serde_json::to_string_pretty(&entry.body).unwrap_or_default())) }
                            } }
                        }
                    }
                }
            }
        }
        @if entries.is_empty() { p.empty { "No entries." } }
    }
}
