//! Cards for everything there is to say. Pure: the same state gives the same card. Texts stay plain; each door escapes
//! them in its own way.

mod incident;
mod request;
mod text;

pub use incident::{call, end as incident_end, incident, incident_details, length, storm, told};
pub use request::{alarm, details, request};
pub use text::text;

use crate::card::{Card, ClusterBadge, Code, Table, Tone};
use actions::query::Answer;
use jiff::Timestamp;
use ledger::Refusal;
use std::collections::BTreeMap;

/// The longest text, log or diff on a card, in characters. The console's pages show all of it.
const LONGEST: usize = 6_000;
/// The most rows of a table on a card.
const MOST_ROWS: usize = 100;

/// The answer to a query, without its picture.
pub fn answer(answer: Answer) -> Card {
    let Answer { title, text, fields, table, code, plot: _ } = answer;
    let mut footer = None;
    let table = table.map(|(header, mut rows)| {
        if rows.len() > MOST_ROWS {
            footer = Some(format!("{} more rows; ask for a namespace or a name.", rows.len() - MOST_ROWS));
            rows.truncate(MOST_ROWS);
        }
        Table { header, rows, links: Vec::new() }
    });
    // The end of a log is what people look for.
    let code = code.map(|code| Code { language: "text".into(), text: tail(&code) });
    Card { text, fields, table, code, footer, ..Card::titled(Tone::Neutral, title) }
}

/// A refusal, for the person alone.
pub fn refusal(refusal: &Refusal) -> Card {
    let title = match refusal {
        Refusal::TooLate { .. } => "Too late",
        Refusal::OwnRequest | Refusal::NotEntitled { .. } => "Not yours to decide",
        Refusal::VotedAlready => "Counted already",
        Refusal::TypeCluster { .. } => "Type the cluster's name",
        Refusal::PlanChanged => "The plan has changed",
        Refusal::NoSuchRequest => "No such request",
        Refusal::Policy { .. } => "Refused",
    };
    Card { text: Some(refusal.to_string()), ..Card::titled(Tone::Bad, title) }
}

/// What is left of a card that held a secret.
pub fn shown_once() -> Card {
    let text = Some("What stood here is kept nowhere. Type the line again if you need it.".into());
    Card { text, ..Card::titled(Tone::Neutral, "This was shown once") }
}

/// The cluster of a card.
pub fn badge(name: &str, labels: &BTreeMap<String, String>) -> ClusterBadge {
    ClusterBadge {
        name: name.to_string(),
        production: labels.get("production").is_some_and(|value| value == "true"),
    }
}

/// As doors and the ledger keep it.
pub fn json(card: &Card) -> serde_json::Value {
    // Texts, lists and options only: there is nothing in a card that JSON cannot say.
    serde_json::to_value(card).unwrap_or_default()
}

/// `2026-11-21 09:05:01 UTC`. Doors that know the reader's zone may show theirs.
pub fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// The beginning, when it is too long.
fn head(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        None => text.to_string(),
        Some((end, _)) => {
            let end = text[..end].rfind('\n').unwrap_or(end);
            format!("{}\n... {} more lines", &text[..end], text[end..].trim().lines().count())
        }
    }
}

/// The end, when it is too long.
fn tail(text: &str) -> String {
    match text.char_indices().rev().nth(LONGEST) {
        None => text.to_string(),
        Some((start, _)) => {
            let start = text[start..].find('\n').map_or(start, |at| start + at + 1);
            format!("... {} earlier lines\n{}", text[..start].lines().count(), &text[start..])
        }
    }
}

/// `1 pod`, `3 pods`.
fn count(n: impl Into<u64>, one: &str) -> String {
    match n.into() {
        1 => format!("1 {one}"),
        n => format!("{n} {one}s"),
    }
}

/// `90 s`, `5 min`, `2 h`.
fn span(seconds: u64) -> String {
    match seconds {
        s if s >= 7200 && s % 3600 == 0 => format!("{} h", s / 3600),
        s if s >= 120 && s % 60 == 0 => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_keeps_its_end_and_a_long_diff_its_beginning() {
        let lines: String = (0..2000).map(|n| format!("line {n}\n")).collect();
        assert!(tail(&lines).ends_with("line 1999\n") && tail(&lines).starts_with("... "));
        assert!(head(&lines).starts_with("line 0\n") && head(&lines).ends_with("more lines"));
        assert_eq!(tail("short"), "short");
        let earlier: usize = tail(&lines).split(' ').nth(1).unwrap().parse().unwrap();
        assert!(tail(&lines).contains(&format!("\nline {earlier}\n")), "the count of earlier lines is right");
    }

    #[test]
    fn spans_read_as_people_say_them() {
        assert_eq!([span(45), span(600), span(3600), span(7200)], ["45 s", "10 min", "60 min", "2 h"]);
    }

    #[test]
    fn a_long_table_says_how_much_is_missing() {
        let rows = (0..130).map(|n| vec![n.to_string()]).collect();
        let card =
            answer(Answer { title: "t".into(), table: Some((vec!["n".into()], rows)), ..Answer::default() });
        assert_eq!(card.table.unwrap().rows.len(), 100);
        assert_eq!(card.footer.unwrap(), "30 more rows; ask for a namespace or a name.");
    }
}
