//! One card, and the forms behind its buttons.

use super::{cluster_badge, code, icon, table};
use crate::{
    card::{Button, Card, StepLine, Tone},
    visible,
};
use maud::{Markup, html};
use uuid::Uuid;

/// What a button's form must carry besides the card's own request and digest.
#[derive(Clone, Debug)]
pub struct Clicks {
    /// Of the session that looks at the card.
    pub csrf: String,
    /// The room in which the click happens.
    pub room: String,
    /// The page the card is on, to come back to without JavaScript: `room` or `request`.
    pub from: &'static str,
}

/// What can be clicked.
pub const BUTTONS: [&str; 7] = ["approve", "deny", "cancel", "details", "take", "give-back", "silence"];

/// The class that colours a card.
pub fn tone(tone: Tone) -> &'static str {
    match tone {
        Tone::Neutral => "neutral",
        Tone::Waiting => "waiting",
        Tone::Working => "working",
        Tone::Good => "good",
        Tone::Bad => "bad",
        Tone::Urgent => "urgent",
    }
}

/// A card. `notice` is what Petrel says to this reader alone about their last click on it.
pub fn card(card: &Card, clicks: &Clicks, notice: Option<&Card>) -> Markup {
    // A stripe where something changes in production; an answer from there has the badge alone.
    let production =
        card.request.is_some() && card.cluster.as_ref().is_some_and(|cluster| cluster.production);
    let has_details = card.buttons.iter().any(|button| button.id == "details");
    let link = local(card.link.as_deref())
        .filter(|_| !has_details && !matches!(clicks.from, "request" | "incident"));
    let id = card.request.map(|request| format!("r-{request}"));
    html! {
        article class={ "card tone-" (tone(card.tone)) @if production { " on-production" } }
            id=[id] data-request=[card.request] data-tone=(tone(card.tone)) {
            header {
                @if let Some(cluster) = &card.cluster { (cluster_badge(&cluster.name, cluster.production)) }
                @if let Some(status) = &card.status {
                    span class={ "pill tone-" (tone(card.tone)) } data-status { (visible::line(status)) }
                }
                h3 { (visible::line(&card.title)) }
            }
            (body(card))
            @if !card.buttons.is_empty() {
                div.buttons role="group" aria-label={ "decide on: " (visible::line(&card.title)) } {
                    @for b in &card.buttons { (button(b, card, clicks)) }
                }
            }
            @if card.request.is_some() {
                div.notices data-notices role="status" { @if let Some(notice) = notice { (self::notice(notice)) } }
            }
            @if card.footer.is_some() || link.is_some() {
                footer {
                    @if let Some(text) = &card.footer { span { (visible::line(text)) } }
                    @if let Some(link) = link { a href=(link) { "open" } }
                }
            }
        }
    }
}

/// What Petrel says to one reader alone, at the card they clicked.
pub fn notice(card: &Card) -> Markup {
    html! {
        div class={ "notice tone-" (tone(card.tone)) } data-notice {
            p { strong { (visible::line(&card.title)) } " " span.only { "only you see this" } }
            (body(card))
        }
    }
}

fn body(card: &Card) -> Markup {
    html! {
        @if let Some(text) = &card.text {
            @for paragraph in text.split('\n').filter(|p| !p.trim().is_empty()) { p { (visible::line(paragraph)) } }
        }
        @if !card.fields.is_empty() {
            dl {
                @for (label, value) in &card.fields {
                    div { dt { (visible::line(label)) } dd { (visible::line(value)) } }
                }
            }
        }
        @if let Some(rows) = &card.table { (table(rows)) }
        @if let Some(picture) = &card.picture {
            img.picture src={ "/pictures/" (picture.id) ".svg" } alt=(visible::line(&picture.alt)) loading="lazy";
        }
        @if let Some(block) = &card.code { (code(&block.language, &block.text)) }
        @if !card.steps.is_empty() { (steps(&card.steps)) }
    }
}

fn steps(steps: &[StepLine]) -> Markup {
    html! {
        ol.steps aria-label="steps" {
            @for step in steps {
                // The state chooses a picture and a class, so only the known ones may pass.
                @let state = match step.state.as_str() {
                    known @ ("waiting" | "working" | "done" | "failed" | "unknown") => known,
                    _ => "unknown",
                };
                li class=(state) data-state=(state) {
                    (icon::step(state)) span.hush { (state) ": " } span { (visible::line(&step.text)) }
                }
            }
        }
    }
}

/// A link on a card may only lead into the console itself.
pub(super) fn local(link: Option<&str>) -> Option<&str> {
    link.filter(|link| link.starts_with('/') && !link.starts_with("//") && !link.contains('\\'))
}

fn button(button: &Button, card: &Card, clicks: &Clicks) -> Markup {
    let style = match button.style.as_str() {
        known @ ("primary" | "danger") => known,
        _ => "plain",
    };
    if button.id == "details" && clicks.from == "request" {
        return html! {};
    }
    if button.id == "details"
        && let Some(link) = local(card.link.as_deref())
    {
        return html! { a.button.plain href=(link) { (visible::line(&button.label)) } };
    }
    let (Some(request), Some(digest)) = (card.request, card.digest.as_deref()) else { return html! {} };
    if !BUTTONS.contains(&button.id.as_str()) {
        return html! {};
    }
    let press = html! {
        button class={ "button " (style) } name="button" value=(button.id) { (visible::line(&button.label)) }
    };
    let form = html! {
        form.click method="post" action="/click" autocomplete="off" data-button=(button.id) {
            input type="hidden" name="csrf" value=(clicks.csrf);
            input type="hidden" name="key" value=(Uuid::new_v4().simple());
            input type="hidden" name="room" value=(clicks.room);
            input type="hidden" name="from" value=(clicks.from);
            input type="hidden" name="request" value=(request);
            input type="hidden" name="digest" value=(digest);
            @if let Some(wanted) = &button.wants_typed {
                label {
                    span { "Type " strong { (visible::line(wanted)) } " to go on" }
                    input name="typed" required autocapitalize="none" spellcheck="false" data-focus;
                }
            }
            @if button.wants_reason {
                label { span { "Reason" } input name="reason" required maxlength="500" data-focus; }
            }
            (press)
        }
    };
    if button.wants_reason || button.wants_typed.is_some() {
        html! {
            details.ask data-keep=(button.id) {
                summary class={ "button " (style) } data-open=(button.id) { (visible::line(&button.label)) "…" }
                (form)
            }
        }
    } else {
        form
    }
}
