//! Drills: a list, and one report with its picture.

use super::{
    layout::{Here, page},
    state_pill, time,
};
use crate::{
    console::session::Viewer,
    drill::{Outcome, Report},
    visible,
};
use ledger::Request;
use maud::{Markup, PreEscaped, html};

/// All of them, newest first.
pub fn list(viewer: &Viewer, all: &[(Request, Option<Report>)]) -> Markup {
    page(
        "Drills",
        Here::Drills,
        viewer,
        html! {
            h1 { "Drills" }
            @if all.is_empty() {
                p.empty { "Nothing was broken on purpose yet. In a room: " code { "drill crash-loop deploy/cart -n shop -c staging --why \"are we woken?\"" } }
            } @else {
                div.scroll tabindex="0" role="region" aria-label="drills" {
                    table {
                        thead { tr { @for name in ["drill", "when", "came of it", "noticed", "proposed", "healed", "proven"] { th scope="col" { (name) } } } }
                        tbody { @for (request, report) in all { (row(request, report.as_ref())) } }
                    }
                }
            }
        },
    )
}

fn row(request: &Request, report: Option<&Report>) -> Markup {
    let name = format!("{} {}", text(&request.plan.parameters["fault"]), request.plan.target);
    html! {
        tr {
            @match report {
                Some(report) => {
                    td { a href={ "/drills/" (request.id) } { (visible::line(&name)) } }
                    td { (time(request.created_at)) }
                    td { (pill(report.outcome)) }
                    @let seconds = &report.seconds;
                    @for value in [seconds.detected, seconds.proposed, seconds.healed, seconds.verified] { td { (took(value)) } }
                }
                None => {
                    td { a href={ "/requests/" (request.id) } { (visible::line(&name)) } }
                    td { (time(request.created_at)) }
                    td { (state_pill(request.state)) }
                    @for _ in 0..4 { td { "–" } }
                }
            }
        }
    }
}

fn text(value: &serde_json::Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn took(seconds: Option<f64>) -> String {
    seconds.map_or("–".into(), |seconds| format!("{seconds:.1} s"))
}

fn pill(outcome: Outcome) -> Markup {
    let (tone, words) = match outcome {
        Outcome::UnderWay => ("working", "under way"),
        Outcome::Healed => ("good", "healed"),
        Outcome::Mended => ("neutral", "mended"),
        Outcome::GivenBack => ("bad", "not healed"),
        Outcome::CalledOff => ("neutral", "called off"),
        Outcome::Failed => ("urgent", "failed"),
    };
    html! { span class={ "pill tone-" (tone) } { (words) } }
}

/// One report.
pub fn one(viewer: &Viewer, report: &Report) -> Markup {
    let yes = |seconds: Option<f64>| match seconds {
        Some(seconds) => format!("yes, after {seconds:.1} s"),
        None => "no".into(),
    };
    let seconds = &report.seconds;
    page(
        "Drill",
        Here::Drills,
        viewer,
        html! {
            h1 { "Drill: " (visible::line(&report.fault)) " of " (visible::line(&report.target)) }
            p { (pill(report.outcome)) " " (visible::line(&report.sentence())) "." }
            (timeline(report))
            dl.facts {
                div { dt { "Broken at" } dd { (time(report.began)) } }
                div { dt { "Noticed" } dd { (yes(seconds.detected)) @if !report.noticed_as.is_empty() { ", as " (visible::line(&report.noticed_as.join(", "))) } } }
                div { dt { "Proposed" } dd { (yes(seconds.proposed)) @if let Some(rule) = &report.rule { ", by rule \"" (visible::line(rule)) "\"" } } }
                div { dt { "Healed" } dd { (yes(seconds.healed)) } }
                div { dt { "Proven" } dd { (yes(seconds.verified)) } }
                @if let Some(before) = report.healed_before { div { dt { "The time before" } dd { "healed after " (format!("{before:.1} s")) } } }
                div { dt { "Requests" } dd {
                    a href={ "/requests/" (report.request) } { "the drill" }
                    @if let Some(healing) = report.healing { ", " a href={ "/requests/" (healing) } { "its healing" } }
                } }
            }
        },
    )
}

/// Height of a line of the picture, and where its bars begin and end.
const LINE: f64 = 30.0;
const BARS: (f64, f64) = (96.0, 620.0);

/// From the fault to the proof: one line for each step, as long as it took after the one before.
fn timeline(report: &Report) -> Markup {
    let mut steps = Vec::new();
    let mut from = 0.0_f64;
    for (name, at) in report.seconds.all() {
        if let Some(at) = at {
            // What is proposed by an alert may be known a moment before the read-back of what was broken.
            steps.push((name, from.min(at), at));
            from = from.max(at);
        }
    }
    let whole = from.max(1.0);
    let x = |seconds: f64| BARS.0 + seconds / whole * (BARS.1 - BARS.0);
    let height = LINE * (steps.len() as f64 + 1.0);
    let words: Vec<String> = steps.iter().map(|(name, _, at)| format!("{name} after {at:.1} s")).collect();
    let number = |value: f64| format!("{value:.1}");
    html! {
        @if steps.is_empty() { p.empty { "Nothing has happened since." } } @else {
            svg.stages viewBox={ "0 0 720 " (number(height)) } role="img" aria-label=(words.join(", ")) {
                @for (line, (name, begins, ends)) in steps.iter().enumerate() {
                    @let top = LINE * line as f64;
                    text x="0" y=(number(top + 19.0)) { (name) }
                    rect x=(number(x(*begins))) y=(number(top + 6.0)) width=(number((x(*ends) - x(*begins)).max(2.0))) height="18" rx="3" {}
                    text.value x=(number(x(*ends) + 8.0)) y=(number(top + 19.0)) { (format!("{ends:.1} s")) }
                }
                @let axis = LINE * steps.len() as f64 + 2.0;
                line x1=(number(BARS.0)) x2=(number(BARS.1)) y1=(number(axis)) y2=(number(axis)) {}
                text.axis x=(number(BARS.0)) y=(number(axis + 18.0)) { "broken" }
                text.axis.end x=(number(BARS.1)) y=(number(axis + 18.0)) { (PreEscaped(format!("{whole:.1} s"))) }
            }
        }
    }
}
