//! Text from people and clusters, made harmless in a Discord embed: it is shown as it was typed, and nothing in it is a ping, a
//! link, an emoji, a time stamp or markup. Discord's own rule is used: a backslash before a punctuation mark shows the mark.
//!
//! Only what could mean something is escaped, so that names like `prod-eu` and `deploy/checkout` stay searchable. That nobody is
//! pinged does not hang on this: every message is sent with `allowed_mentions: { parse: [] }`.

use crate::visible;

/// Shown where a text was cut.
pub const CUT: char = '…';

/// What Discord counts: no more than UTF-16 units, whichever way it does.
pub fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

/// One line, for where Discord reads markdown: titles, names of fields. Line breaks are shown.
pub fn line(text: &str, limit: usize) -> String {
    markdown(&visible::line(text), limit)
}

/// One line or several, for where Discord reads markdown: descriptions, values of fields. At most `limit` long; a cut never
/// tears an escape apart.
pub fn markdown(text: &str, limit: usize) -> String {
    let text = visible::block(text);
    let mut out = Limited::new(limit);
    let mut start = Start::Nothing;
    let mut before = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let after = rest.as_str();
        let means_something = match c {
            '\\' | '*' | '_' | '~' | '`' | '|' | '<' | '[' | ']' => true,
            '@' => ["everyone", "here"].iter().any(|all| after.starts_with(all)),
            ':' => after.starts_with("//") || names_an_emoji(before, after),
            // Headings, quotes, lists and small print are only read at the beginning of a line.
            '#' | '>' | '-' | '+' => start == Start::Nothing,
            '.' | ')' => start == Start::Number,
            _ => false,
        };
        let mut piece = String::with_capacity(5);
        if means_something {
            piece.push('\\');
        }
        piece.push(c);
        if !out.push(&piece) {
            return out.cut();
        }
        start = match (c, start) {
            ('\n', _) => Start::Nothing,
            (' ' | '\t' | '#' | '>' | '-' | '+', Start::Nothing) => Start::Nothing,
            ('0'..='9', Start::Nothing | Start::Number) => Start::Number,
            _ => Start::Text,
        };
        before = Some(c);
    }
    out.text
}

/// What stands on the line so far: nothing but blanks and marks, then digits, then anything.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    Nothing,
    Number,
    Text,
}

/// `:skull:`, but not the minutes of `09:05:01` and not an id.
fn names_an_emoji(before: Option<char>, after: &str) -> bool {
    let name = after
        .split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '+' | '-')))
        .next()
        .unwrap_or_default();
    let number = name.bytes().all(|b| b.is_ascii_digit());
    let is_name = !number || (name.len() <= 4 && !before.is_some_and(|c| c.is_ascii_digit()));
    !name.is_empty() && after[name.len()..].starts_with(':') && is_name
}

/// For where Discord reads no markdown: author names, footers, labels of buttons.
pub fn plain(text: &str, limit: usize) -> String {
    let mut out = Limited::new(limit);
    for c in visible::line(text).chars() {
        if !out.push(c.encode_utf8(&mut [0; 4])) {
            return out.cut();
        }
    }
    out.text
}

/// A fenced block of whole lines, and whether anything had to go. Its end is kept when `tail`, as people look for it in logs.
/// Nothing in the text can close the fence: runs of three and more backticks are shown as the letter `ˋ` (U+02CB).
pub fn code(language: &str, text: &str, limit: usize, tail: bool) -> (String, bool) {
    let text = visible::block(text);
    let text = text.trim_matches('\n').replace("```", "ˋˋˋ");
    let (open, close) = (format!("```{language}\n"), "\n```");
    let room = limit.saturating_sub(length(&open) + close.len() + 2);
    let lines: Vec<&str> = text.lines().collect();
    let mut kept: Vec<String> = Vec::new();
    let mut used = 0;
    let mut complete = true;
    let mut take = |line: &str| {
        let size = length(line) + 1;
        if used + size > room {
            // A first line that is too long alone is shown in part.
            if kept.is_empty() {
                kept.push(plain(line, room));
            }
            complete = false;
            return false;
        }
        used += size;
        kept.push(line.to_string());
        true
    };
    if tail {
        lines.iter().rev().all(|line| take(line));
        kept.reverse();
    } else {
        lines.iter().all(|line| take(line));
    }
    let (before, after) = match (complete, tail) {
        (true, _) => ("", ""),
        (false, true) => ("…\n", ""),
        (false, false) => ("", "\n…"),
    };
    // A backtick left at the very end would join the fence's.
    let body = kept.join("\n");
    (format!("{open}{before}{body}{after}{close}"), !complete)
}

/// A text that never grows beyond its limit.
struct Limited {
    text: String,
    used: usize,
    limit: usize,
}

impl Limited {
    fn new(limit: usize) -> Limited {
        Limited { text: String::new(), used: 0, limit }
    }

    /// Room for [`CUT`] is always left, unless this piece is the last and fits exactly; who cuts takes back one piece.
    fn push(&mut self, piece: &str) -> bool {
        let size = length(piece);
        if self.used + size > self.limit {
            return false;
        }
        self.used += size;
        self.text.push_str(piece);
        true
    }

    fn cut(mut self) -> String {
        while self.used + 1 > self.limit {
            let Some(last) = self.text.pop() else { return String::new() };
            self.used -= last.len_utf16();
        }
        // An escape must not be torn from its mark: an odd number of backslashes at the end means that one is open.
        let open = self.text.chars().rev().take_while(|c| *c == '\\').count();
        if open % 2 == 1 {
            self.text.pop();
        }
        self.text.push(CUT);
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_of_clusters_and_workloads_stay_as_they_are() {
        for text in [
            "prod-eu",
            "deploy/checkout",
            "4 of 6 pods (66 %)",
            "awaiting 1 of 2",
            "09:05:01 UTC",
            "2026-11-21",
            "discord:123456:1",
            "registry/shop v1.2-3",
        ] {
            assert_eq!(markdown(text, 100), text);
        }
    }

    #[test]
    fn pings_links_emoji_times_and_markup_are_only_text() {
        for (typed, sent) in [
            ("@everyone and @here", "\\@everyone and \\@here"),
            ("<@1> <@&2> <#3> <t:1> <:a:4> </x:5>", "\\<@1> \\<@&2> \\<#3> \\<t:1> \\<\\:a:4> \\</x:5>"),
            ("https://evil.example", "https\\://evil.example"),
            ("[log in](https://evil.example)", "\\[log in\\](https\\://evil.example)"),
            ("**bold** _it_ ~~no~~ ||who||", "\\*\\*bold\\*\\* \\_it\\_ \\~\\~no\\~\\~ \\|\\|who\\|\\|"),
            ("`a` ```b```", "\\`a\\` \\`\\`\\`b\\`\\`\\`"),
            ("# big\n-# small\n> said\n- one\n1. two", "\\# big\n\\-\\# small\n\\> said\n\\- one\n1\\. two"),
            (":skull:", "\\:skull:"),
            ("back\\slash", "back\\\\slash"),
            ("gpj\u{202e}exe", "gpj\\[U+202E\\]exe"),
        ] {
            // Brackets that `visible` writes are escaped like those that were typed.
            assert_eq!(markdown(typed, 200), sent, "{typed}");
        }
    }

    #[test]
    fn a_fence_cannot_be_closed_from_inside_and_a_cut_keeps_whole_lines() {
        let (block, cut) = code("diff", "a\n```\n@everyone\n", 100, false);
        assert_eq!((block.as_str(), cut), ("```diff\na\nˋˋˋ\n@everyone\n```", false));
        let lines: String = (0..50).map(|n| format!("line {n}\n")).collect();
        assert_eq!(code("", &lines, 30, false), ("```\nline 0\nline 1\n…\n```".into(), true));
        assert_eq!(code("", &lines, 30, true), ("```\n…\nline 48\nline 49\n```".into(), true));
    }

    /// What Discord would read as markup: every mark that is escaped is only a letter to it.
    fn live(text: &str) -> String {
        let mut rest = text.chars();
        let mut live = String::new();
        while let Some(c) = rest.next() {
            match c {
                '\\' => live.extend(rest.next().map(|_| 'x')),
                c => live.push(c),
            }
        }
        live
    }

    proptest! {
        #[test]
        fn no_mark_is_left_alive_and_no_limit_broken(
            text in "[ -~\n]{0,60}|(@everyone|@here|<@1>|https://a.b|```|\\\\|\\*|_|\u{202e}|😀|\n# |\n> ){0,30}|\\PC{0,80}",
            limit in 1usize..200,
        ) {
            let sent = markdown(&text, limit);
            prop_assert!(length(&sent) <= limit, "{sent:?}");
            let live = live(&sent);
            prop_assert!(!live.contains(['*', '_', '~', '`', '|', '<', '[', ']']), "{sent:?}");
            prop_assert!(!live.contains("@everyone") && !live.contains("@here") && !live.contains("://"), "{sent:?}");
            for line in live.lines() {
                prop_assert!(!line.trim_start().starts_with(['#', '>', '-', '+']), "{sent:?}");
            }
        }

        #[test]
        fn a_block_has_exactly_one_fence_and_fits(text in "[ -~\n]{0,300}|(`|\n|a){0,80}|\\PC{0,200}", limit in 20usize..300, tail: bool) {
            let (block, _) = code("text", &text, limit, tail);
            prop_assert!(length(&block) <= limit, "{} of {limit}: {block:?}", length(&block));
            prop_assert!(block.starts_with("```text\n") && block.ends_with("\n```"));
            prop_assert_eq!(block.matches("```").count(), 2, "{}", block);
        }

        #[test]
        fn plain_text_fits(text in any::<String>(), limit in 1usize..100) {
            prop_assert!(length(&plain(&text, limit)) <= limit);
        }
    }
}
