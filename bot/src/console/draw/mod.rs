//! Pure drawing: values in, HTML out. No page here asks the database or the time.

pub mod card;
pub mod drill;
pub mod icon;
pub mod incident;
pub mod layout;
pub mod message;
pub mod request;
pub mod room;

use crate::{card::Table, visible};
use jiff::Timestamp;
use ledger::RequestState;
use maud::{Markup, html};

/// A moment. The server says UTC; the script rewrites it to the reader's own time.
pub fn time(at: Timestamp) -> Markup {
    let exact = at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    html! { time datetime=(exact) title=(exact) { (at.strftime("%-d %b %H:%M UTC").to_string()) } }
}

/// Where a request stands, in words.
pub fn state_words(state: RequestState) -> &'static str {
    match state {
        RequestState::RolledBack => "rolled back",
        other => other.as_str(),
    }
}

/// A request's state as a pill.
pub fn state_pill(state: RequestState) -> Markup {
    let tone = match state {
        RequestState::Awaiting => "waiting",
        RequestState::Approved | RequestState::Running | RequestState::Verifying => "working",
        RequestState::Succeeded => "good",
        RequestState::Failed | RequestState::RolledBack | RequestState::Refused | RequestState::Denied => {
            "bad"
        }
        RequestState::Unknown => "urgent",
        RequestState::Planned | RequestState::Expired | RequestState::Cancelled => "neutral",
    };
    html! { span class={ "pill tone-" (tone) } { (state_words(state)) } }
}

/// A cluster, unmistakable when it is production.
pub fn cluster_badge(name: &str, production: bool) -> Markup {
    html! {
        span.cluster.production[production] title={ "cluster " (visible::line(name)) } {
            span.name { (visible::line(name)) }
            @if production { span.mark { "production" } }
        }
    }
}

/// A unified diff, one element per line, so that added and removed lines can be told apart without colour too.
pub fn diff(text: &str) -> Markup {
    html! {
        @for row in visible::block(text).lines() {
            @let kind = match row.as_bytes() {
                [b'+', b'+', b'+', ..] | [b'-', b'-', b'-', ..] => "file",
                [b'+', ..] => "add",
                [b'-', ..] => "del",
                [b'@', b'@', ..] => "hunk",
                _ => "same",
            };
            span class=(kind) { (row) "\n" }
        }
    }
}

/// Long blocks are folded after this many lines.
const FOLD_LINES: usize = 24;

/// A monospaced block; folded when it is long.
pub fn code(language: &str, text: &str) -> Markup {
    let lines = text.lines().count();
    let body = html! {
        pre class={ "code " (if language == "diff" { "diff" } else { "text" }) } tabindex="0" {
            @if language == "diff" { (diff(text)) } @else { (visible::block(text)) }
        }
    };
    html! {
        @if lines > FOLD_LINES {
            details.fold data-keep="code" {
                summary { (lines) @if language == "diff" { " lines of diff" } @else { " lines" } }
                (body)
            }
        } @else { (body) }
    }
}

/// Rows under a header; scrolls sideways by itself on a narrow screen.
pub fn table(table: &Table) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="table" {
            table {
                thead { tr { @for name in &table.header { th scope="col" { (visible::line(name)) } } } }
                tbody {
                    @for (at, row) in table.rows.iter().enumerate() {
                        @let link = card::local(table.links.get(at).map(String::as_str));
                        tr {
                            @for (column, cell) in row.iter().enumerate() {
                                td {
                                    @match link.filter(|_| column == 0) {
                                        Some(link) => a href=(link) { (visible::line(cell)) },
                                        None => (visible::line(cell)),
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
