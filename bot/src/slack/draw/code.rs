//! Preformatted text: diffs, logs, tables. Slack has no way to escape a fence inside a fence, so three backticks in a row are
//! shown as another character that looks like them.

use super::limit::{self, SECTION, prefix};
use crate::{card::Table, visible};

/// Around the text: a fence and a line break on either side.
const FENCE: usize = 2 * "```\n".len();

/// Which part of a text that is too long is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Of a diff, a table.
    Beginning,
    /// Of a log.
    End,
}

/// Fenced blocks, each within a section's limit, `room` characters together at most; and whether something is missing.
pub fn fenced(text: &str, room: usize, keep: Keep) -> (Vec<String>, bool) {
    let text = unfenced(&visible::block(text.trim_end()));
    let (text, missing) = fit(&text, room, keep);
    let mut blocks = Vec::new();
    let mut part = String::new();
    let mut used = 0;
    for line in text.split_inclusive('\n') {
        let mut rest = line;
        while !rest.is_empty() {
            let (fits, more) = prefix(rest, SECTION - FENCE - used);
            if !more.is_empty() && used > 0 {
                // The next block has room for more of this line.
                blocks.push(fence(&part));
                (part, used) = (String::new(), 0);
                continue;
            }
            used += limit::length(&fits);
            part.push_str(&fits);
            rest = more;
        }
    }
    if !part.trim().is_empty() {
        blocks.push(fence(&part));
    }
    (blocks, missing)
}

/// What fits `room` when it is escaped, by whole lines where there are several; and whether something is missing.
fn fit(text: &str, room: usize, keep: Keep) -> (String, bool) {
    if limit::total(text) <= room {
        return (text.to_string(), false);
    }
    let room = room.saturating_sub("…\n".len());
    let kept = match keep {
        Keep::Beginning => {
            let (_, rest) = prefix(text, room);
            let fits = &text[..text.len() - rest.len()];
            format!("{}…", fits.rfind('\n').map_or(fits, |end| &fits[..=end]))
        }
        Keep::End => {
            let mut used = 0;
            let start = text.char_indices().rev().take_while(|(_, c)| {
                used += limit::total(c.encode_utf8(&mut [0; 4]));
                used <= room
            });
            let fits = start.last().map_or("", |(at, _)| &text[at..]);
            format!("…\n{}", fits.find('\n').map_or(fits, |end| &fits[end + 1..]))
        }
    };
    (kept, true)
}

fn fence(escaped: &str) -> String {
    format!("```\n{}\n```", escaped.trim_end_matches('\n'))
}

/// Backticks, three or more in a row, as letters that look like them.
fn unfenced(text: &str) -> String {
    if !text.contains("```") {
        return text.to_string();
    }
    let mut out = String::with_capacity(text.len());
    let mut run = 0;
    for c in text.chars().chain(std::iter::once('\0')) {
        if c == '`' {
            run += 1;
            continue;
        }
        out.extend(std::iter::repeat_n(if run >= 3 { 'ˋ' } else { '`' }, run));
        run = 0;
        out.push(c);
    }
    out.pop();
    out
}

/// Columns that line up.
pub fn columns(table: &Table) -> String {
    let rows: Vec<Vec<String>> = std::iter::once(&table.header)
        .chain(&table.rows)
        .map(|row| row.iter().map(|cell| visible::line(cell).into_owned()).collect())
        .collect();
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..count).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_string()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_fence_inside_is_no_fence() {
        let (blocks, missing) = fenced("a\n```\n<!here>\n````", 999, Keep::Beginning);
        assert_eq!((blocks, missing), (vec!["```\na\nˋˋˋ\n&lt;!here&gt;\nˋˋˋˋ\n```".into()], false));
        assert_eq!(fenced("ends with ``", 999, Keep::Beginning).0, ["```\nends with ``\n```"]);
    }

    #[test]
    fn a_log_keeps_its_end_and_a_diff_its_beginning() {
        let text: String = (0..50).map(|n| format!("line {n}\n")).collect();
        let (beginning, missing) = fenced(&text, 40, Keep::Beginning);
        assert!(missing && beginning[0].starts_with("```\nline 0\n") && beginning[0].ends_with("…\n```"));
        let (end, missing) = fenced(&text, 40, Keep::End);
        assert!(missing && end[0].starts_with("```\n…\n") && end[0].ends_with("line 49\n```"), "{end:?}");
    }

    proptest! {
        #[test]
        fn every_block_fits_is_fenced_once_and_nothing_is_lost(text in "([a-z<>&`🚀]{0,900}\n?){0,12}", room in 0..9000usize) {
            let (blocks, missing) = fenced(&text, room, Keep::Beginning);
            let mut all = 0;
            for block in &blocks {
                prop_assert!(limit::length(block) <= SECTION, "{}", limit::length(block));
                let inside = block.strip_prefix("```\n").and_then(|b| b.strip_suffix("\n```"));
                prop_assert!(inside.is_some_and(|inside| !inside.contains("```") && !inside.contains(['<', '>'])));
                all += limit::length(inside.unwrap_or_default());
            }
            prop_assert!(all <= room.max(4), "{all} in {room}");
            if !missing {
                let back: String = blocks.iter().map(|b| b[4..b.len() - 4].to_string()).collect();
                let letters = |s: &str| s.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").replace('ˋ', "`").replace('\n', "");
                prop_assert_eq!(letters(&back), letters(&text));
            }
        }
    }
}
