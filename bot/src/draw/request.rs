//! The card of one request, in every state of its life.

use super::{badge, count, head, span, time};
use crate::card::{Button, Card, Code, StepLine, Tone};
use jiff::Timestamp;
use ledger::{
    Condition, Decision, ObjectRef, Phase, Quorum, Request, RequestState, RequestView, Step, StepState,
    Tally, Verdict, tally,
};
use std::collections::BTreeMap;

/// The live card.
pub fn request(view: &RequestView, labels: &BTreeMap<String, String>, now: Timestamp) -> Card {
    let request = &view.request;
    let plan = &request.plan;
    let alarm = if request.ask.break_glass { "BREAK-GLASS: " } else { "" };
    let past_time = is_past_time(request, now);
    let diff = (!plan.diff.is_empty()).then(|| Code { language: "diff".into(), text: head(&plan.diff) });
    Card {
        status: Some(status(view, past_time)),
        cluster: Some(badge(&plan.target.cluster, labels)),
        text: sentence(view, past_time),
        fields: fields(view),
        code: diff,
        steps: steps(view),
        buttons: buttons(request, past_time),
        footer: Some(footer(request)),
        link: Some(format!("/requests/{}", request.id)),
        request: Some(request.id),
        digest: Some(request.digest.to_string()),
        ..Card::titled(tone(request, past_time), format!("{alarm}{}", plan.summary))
    }
}

/// All about a request at one moment, without buttons: who decided what by which rule, the undo, what is verified.
pub fn details(view: &RequestView, labels: &BTreeMap<String, String>, now: Timestamp) -> Card {
    let request = &view.request;
    let plan = &request.plan;
    let mut card = self::request(view, labels, now);
    card.buttons = Vec::new();
    let mut more = |label: &str, value: String| card.fields.push((label.to_string(), value));
    more("Typed", request.ask.line.clone());
    let (Decision::Refuse { rule, .. } | Decision::Allow { rule } | Decision::Needs { rule, .. }) =
        &request.decision;
    more("Policy", format!("rule \"{rule}\" of {}", request.policy));
    more("Verified by", conditions(&plan.verify.conditions, plan.verify.within_s));
    more(
        "Way back",
        match plan.undo.as_slice() {
            [] => "none".into(),
            undo => undo.iter().map(step_text).collect::<Vec<_>>().join(", "),
        },
    );
    if let Some(run) = &view.run {
        more("Run", format!("{} of plan {}, {}", run.id.short(), run.revision, count(run.attempt, "claim")));
    }
    more("Plan digest", request.digest.to_string());
    more("Id", request.id.to_string());
    card.footer = Some(format!("As of {}; the request's own card stays live.", time(now)));
    card
}

/// Wakes a person: it is not known what a run did. Said once; the request's own card stays live.
pub fn alarm(view: &RequestView, labels: &BTreeMap<String, String>, now: Timestamp) -> Card {
    let mut card = self::request(view, labels, now);
    card.title = format!("LOOK NOW: {}", view.request.plan.summary);
    card.code = None;
    // It is not the request's own card, which has the buttons; it leads there.
    (card.buttons, card.request, card.digest) = (Vec::new(), None, None);
    card
}

/// Past its time it cannot run, whether or not a sweeper has written so yet (G2).
fn is_past_time(request: &Request, now: Timestamp) -> bool {
    let open = matches!(request.state, RequestState::Awaiting | RequestState::Approved);
    open && request.expires_at.is_some_and(|at| at <= now)
}

fn tone(request: &Request, past_time: bool) -> Tone {
    match request.state {
        _ if past_time => Tone::Neutral,
        RequestState::Unknown => Tone::Urgent,
        state if request.ask.break_glass && !state.is_final() => Tone::Urgent,
        RequestState::Planned | RequestState::Expired | RequestState::Cancelled => Tone::Neutral,
        RequestState::Awaiting => Tone::Waiting,
        RequestState::Approved | RequestState::Running | RequestState::Verifying => Tone::Working,
        RequestState::Succeeded => Tone::Good,
        RequestState::Refused | RequestState::Denied | RequestState::Failed | RequestState::RolledBack => {
            Tone::Bad
        }
    }
}

fn status(view: &RequestView, past_time: bool) -> String {
    let request = &view.request;
    if past_time {
        return "expired".into();
    }
    match (request.state, &request.decision) {
        (RequestState::Awaiting, Decision::Needs { quorum, .. }) => {
            match tally(quorum, &request.ask.person, &view.votes) {
                Tally::Waiting { have, need } => format!("awaiting {have} of {need}"),
                _ => "awaiting".into(),
            }
        }
        (RequestState::Planned, _) => "dry run".into(),
        (RequestState::Approved, _) => "queued".into(),
        (RequestState::Running | RequestState::Verifying, _) if request.cancel.is_some() => "stopping".into(),
        (state, _) => state.as_str().replace('_', " "),
    }
}

/// Where it stands and what to do next.
fn sentence(view: &RequestView, past_time: bool) -> Option<String> {
    let request = &view.request;
    let note = request
        .note
        .clone()
        .map(|note| format!("{}. ", upper(note.trim_end_matches('.'))))
        .unwrap_or_default();
    let progress = || view.run.as_ref().and_then(|run| run.progress.clone());
    if past_time {
        return Some("Nobody decided in time; nothing was changed. Ask again if it is still wanted.".into());
    }
    let text = match request.state {
        RequestState::Planned => {
            "Only planned; nothing was changed. Send it without --dry-run to ask for it.".into()
        }
        RequestState::Awaiting => match &request.decision {
            Decision::Needs { quorum, .. } => {
                let plan = if request.revision > 1 {
                    format!("{note}This is plan {}; votes start over. ", request.revision)
                } else {
                    note
                };
                format!(
                    "{plan}Waits for {}.",
                    voters(quorum, &tally(quorum, &request.ask.person, &view.votes))
                )
            }
            _ => note,
        },
        RequestState::Approved => format!("{note}Waits for a worker."),
        RequestState::Running | RequestState::Verifying => match (&request.cancel, progress()) {
            (Some(by), _) => {
                format!("{by} called it off; it stops at the next safe point and says what was done.")
            }
            (None, Some(progress)) => progress,
            (None, None) => String::new(),
        },
        RequestState::Refused => match &request.decision {
            Decision::Refuse { reason, .. } => format!("{reason} Nothing was changed."),
            _ => note,
        },
        RequestState::Denied | RequestState::Expired => format!("{note}Nothing was changed."),
        RequestState::Succeeded | RequestState::Cancelled => note,
        RequestState::Failed => format!("{note}Look at the target before you ask again."),
        RequestState::RolledBack => format!("{note}The state from before is restored."),
        RequestState::Unknown => {
            format!(
                "{note}A person must look at {} now: it is not known whether the change took place.",
                request.plan.target
            )
        }
    };
    let text = text.trim().to_string();
    (!text.is_empty()).then_some(text)
}

fn voters(quorum: &Quorum, so_far: &Tally) -> String {
    let groups = quorum.groups.join(" or ");
    match so_far {
        Tally::Waiting { have: 0, need: 1 } => format!("someone of {groups}"),
        Tally::Waiting { have: 0, need } => format!("{need} people of {groups}"),
        Tally::Waiting { have, need } => format!("{} more of {groups}", need.saturating_sub(*have)),
        Tally::Approved | Tally::Denied { .. } => groups,
    }
}

fn fields(view: &RequestView) -> Vec<(String, String)> {
    let request = &view.request;
    let plan = &request.plan;
    let mut fields = Vec::new();
    let mut field = |label: &str, value: String| fields.push((label.to_string(), value));
    let namespace =
        plan.target.namespace.as_ref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
    field("Target", format!("{namespace}{} {}", plan.target.kind, plan.target.name));
    field("Asked by", format!("{} ({})", request.ask.person, request.ask.actor));
    if let Some(why) = &request.ask.why {
        field("Why", why.clone());
    }
    let blast = &plan.blast;
    let hit = match (blast.pods, blast.of) {
        (0, _) => "no pods".to_string(),
        (pods, 0) => count(pods, "pod"),
        (pods, of) => format!("{pods} of {} ({} %)", count(of, "pod"), blast.percent()),
    };
    field(
        "Impact",
        format!("{hit}, {} risk{}", plan.risk, if plan.undo.is_empty() { ", no way back" } else { "" }),
    );
    if !blast.budgets.is_empty() {
        field("Budgets", blast.budgets.join(", "));
    }
    for (label, value) in &blast.facts {
        field(label, value.clone());
    }
    for note in &blast.notes {
        field("Mind", note.clone());
    }
    let votes: Vec<String> = view
        .votes
        .iter()
        .map(|vote| {
            let verdict = if vote.verdict == Verdict::Approve { "approved" } else { "denied" };
            let reason = vote.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            format!("{} {verdict}{reason}", vote.person)
        })
        .collect();
    if !votes.is_empty() {
        field("Votes", votes.join("; "));
    }
    if let (RequestState::Awaiting, Some(at)) = (request.state, request.expires_at) {
        field("Expires", time(at));
    }
    if let (RequestState::Verifying, Some(at)) =
        (request.state, view.run.as_ref().and_then(|run| run.verify_until))
    {
        field("Verified until", time(at));
    }
    fields
}

/// One line per step once there is something to follow; before, the diff says it all.
fn steps(view: &RequestView) -> Vec<StepLine> {
    let request = &view.request;
    let Some(run) = &view.run else { return Vec::new() };
    let record = |phase: Phase, index: usize| {
        view.steps.iter().find(|step| step.phase == phase && usize::try_from(step.index) == Ok(index))
    };
    let line = |phase: Phase, index: usize, step: &Step, prefix: &str| StepLine {
        state: match record(phase, index).map(|step| step.state) {
            None => "waiting",
            Some(StepState::Intended) if request.state.is_final() => "unknown",
            Some(StepState::Intended) => "working",
            Some(StepState::Done) => "done",
            Some(StepState::Failed) => "failed",
            Some(StepState::Unknown) => "unknown",
        }
        .into(),
        text: format!("{prefix}{}", step_text(step)),
    };
    let acts = request.plan.steps.iter().enumerate().map(|(index, step)| line(Phase::Act, index, step, ""));
    let mut lines: Vec<StepLine> = acts.collect();
    let verify = match (request.state, run.phase) {
        (RequestState::Succeeded, _) => "done",
        (RequestState::Verifying, Phase::Verify) => "working",
        (RequestState::RolledBack, _) | (_, Phase::Undo) => "failed",
        (RequestState::Failed, _) if run.verify_until.is_some() => "failed",
        _ => "waiting",
    };
    let verify_text =
        format!("verify: {}", conditions(&request.plan.verify.conditions, request.plan.verify.within_s));
    lines.push(StepLine { state: verify.into(), text: verify_text });
    if run.undo_because.is_some() {
        let undo = request
            .plan
            .undo
            .iter()
            .enumerate()
            .map(|(index, step)| line(Phase::Undo, index, step, "undo: "));
        lines.extend(undo);
    }
    lines
}

fn step_text(step: &Step) -> String {
    let object = name(step.object());
    match step {
        Step::Patch { .. } => format!("change {object}"),
        Step::Create { .. } => format!("create {object}"),
        Step::Delete { .. } => format!("delete {object}"),
        Step::Exec { container, .. } => format!("run a command in {object}, container {container}"),
    }
}

fn name(object: &ObjectRef) -> String {
    format!("{} {}", object.kind, object.name)
}

fn conditions(conditions: &[Condition], within_s: u32) -> String {
    let texts: Vec<String> = conditions
        .iter()
        .map(|condition| match condition {
            Condition::RolloutComplete { .. } => "rollout complete".to_string(),
            Condition::Replicas { count, .. } => format!("{count} ready"),
            Condition::NotCrashLooping { .. } => "not crash-looping".into(),
            Condition::Gone { object } => format!("{} is gone", name(object)),
            Condition::JobComplete { .. } => "job complete".into(),
            Condition::ScalingActive { .. } => "autoscaler can decide".into(),
            Condition::Field { pointer, equals, .. } => {
                format!("{} = {equals}", pointer.trim_start_matches('/').replace('/', "."))
            }
            Condition::Changed { .. } => "healed".into(),
        })
        .collect();
    match texts.is_empty() {
        true => "nothing".into(),
        false => format!("{} within {}", texts.join(", "), span(within_s.into())),
    }
}

fn buttons(request: &Request, past_time: bool) -> Vec<Button> {
    let button = |id: &str, label: &str, style: &str| Button {
        id: id.into(),
        label: label.into(),
        style: style.into(),
        wants_reason: false,
        wants_typed: None,
    };
    let mut buttons = Vec::new();
    if let (RequestState::Awaiting, Decision::Needs { quorum, .. }, false) =
        (request.state, &request.decision, past_time)
    {
        let wants_typed = quorum.type_cluster.then(|| request.plan.target.cluster.clone());
        buttons.push(Button { wants_typed, ..button("approve", "Approve", "primary") });
        buttons.push(Button { wants_reason: true, ..button("deny", "Deny", "danger") });
    }
    if !request.state.is_final() && !past_time && request.cancel.is_none() {
        buttons.push(button("cancel", "Cancel", "plain"));
    }
    buttons.push(button("details", "Details", "plain"));
    buttons
}

fn footer(request: &Request) -> String {
    format!("{} · asked {}", request.id.short(), time(request.created_at))
}

fn upper(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
