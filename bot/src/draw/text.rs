//! A card as plain text, for terminals (`petrel ask`). What came from people and clusters is made harmless: nothing in
//! it can move the cursor or change colours.

use crate::card::{Card, Table};
use std::fmt::Write;

/// The card in lines. Links become absolute with `address`.
pub fn text(card: &Card, address: impl Fn(&str) -> String) -> String {
    let mut out = String::new();
    let status = card.status.as_ref().map(|status| format!("[{status}] ")).unwrap_or_default();
    let cluster = card.cluster.as_ref().map(|cluster| {
        format!("  ({}{})", cluster.name, if cluster.production { ", production" } else { "" })
    });
    let _ = writeln!(out, "{status}{}{}", card.title, cluster.unwrap_or_default());
    if let Some(text) = &card.text {
        let _ = writeln!(out, "{text}");
    }
    let width = card.fields.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
    for (label, value) in &card.fields {
        let _ = writeln!(out, "  {label:width$}  {value}");
    }
    if let Some(table) = &card.table {
        columns(&mut out, table);
    }
    if let Some(code) = &card.code {
        for line in code.text.lines() {
            let _ = writeln!(out, "  {line}");
        }
    }
    if let Some(picture) = &card.picture {
        let _ = writeln!(out, "  [{}]", picture.alt);
    }
    for step in &card.steps {
        let mark = match step.state.as_str() {
            "done" => "+",
            "working" => ">",
            "failed" => "x",
            "unknown" => "?",
            _ => ".",
        };
        let _ = writeln!(out, "  {mark} {}", step.text);
    }
    if let Some(footer) = &card.footer {
        let _ = writeln!(out, "{footer}");
    }
    if let Some(link) = &card.link {
        let _ = writeln!(out, "{}", address(link));
    }
    out.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

fn columns(out: &mut String, table: &Table) {
    let rows = || std::iter::once(&table.header).chain(&table.rows);
    let count = rows().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    for row in rows() {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        let _ = writeln!(out, "  {}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::Tone;

    #[test]
    fn a_table_lines_up_and_escape_sequences_are_harmless() {
        let rows = vec![vec!["a".into(), "\u{1b}[31mred".into()], vec!["longer".into(), "x".into()]];
        let table = Some(Table { header: vec!["name".into(), "value".into()], rows, links: Vec::new() });
        let card = Card { table, ..Card::titled(Tone::Neutral, "Pods") };
        insta::assert_snapshot!(text(&card, str::to_string), @r"
        Pods
          name    value
          a       �[31mred
          longer  x
        ");
    }
}
