//! Slack's limits, and text made safe and short enough for them. What Slack refuses is refused whole, so everything is cut
//! before it is sent (<https://docs.slack.dev/reference/block-kit>).

use crate::visible;

/// Blocks of a message.
pub const BLOCKS: usize = 50;
/// Text of a header.
pub const HEADER: usize = 150;
/// Text of a section.
pub const SECTION: usize = 3_000;
/// Fields of a section.
pub const FIELDS: usize = 10;
/// Text of a field.
pub const FIELD: usize = 2_000;
/// Buttons of an actions block.
pub const BUTTONS: usize = 25;
/// Label of a button.
pub const LABEL: usize = 75;
/// What a button carries.
pub const VALUE: usize = 2_000;
/// Name of an action.
pub const ACTION_ID: usize = 255;
/// The text beside the blocks: `chat.postMessage` cuts at 40,000, but `chat.update` refuses more than 4,000.
pub const TEXT: usize = 3_900;
/// All texts of all blocks but buttons and footer. Slack documents no number, and refuses somewhere above 13,000
/// (`msg_blocks_too_long`).
pub const MESSAGE: usize = 10_000;
/// Title, submit and close of a form.
pub const FORM_TITLE: usize = 24;
/// What a form carries.
pub const PRIVATE_METADATA: usize = 3_000;

/// Counted as JavaScript counts, which is never less than what other languages call characters.
pub fn length(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// One line of text from people and clusters: nothing hidden in it, `& < >` escaped so that nothing in it is a mention or a link,
/// at most `limit` long as it is sent. Never empty, as Slack refuses empty texts.
pub fn line(text: &str, limit: usize) -> String {
    filled(escaped(&visible::line(text), limit).0)
}

/// The same, with its line breaks.
pub fn block(text: &str, limit: usize) -> String {
    filled(escaped(&visible::block(text), limit).0)
}

fn filled(text: String) -> String {
    if text.trim().is_empty() { "—".into() } else { text }
}

/// The beginning of `text` that fits when it is escaped, with an ellipsis if there was more; and the rest.
pub fn escaped(text: &str, limit: usize) -> (String, &str) {
    match prefix(text, limit) {
        (all, "") => (all, ""),
        _ => {
            let (mut cut, rest) = prefix(text, limit.saturating_sub(1));
            cut.push('…');
            (cut, rest)
        }
    }
}

/// As many whole characters as fit when they are escaped; and the rest.
pub fn prefix(text: &str, limit: usize) -> (String, &str) {
    let mut out = String::with_capacity(text.len().min(limit) + 8);
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += size(c);
        if used > limit {
            return (out, &text[at..]);
        }
        match entity(c) {
            Some(entity) => out.push_str(entity),
            None => out.push(c),
        }
    }
    (out, "")
}

/// How long a text is when it is escaped.
pub fn total(text: &str) -> usize {
    text.chars().map(size).sum()
}

/// How long a character is when it is escaped.
fn size(c: char) -> usize {
    entity(c).map_or(c.len_utf16(), str::len)
}

fn entity(c: char) -> Option<&'static str> {
    match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn mentions_and_links_become_text() {
        assert_eq!(line("<!here> & <@U1>", 99), "&lt;!here&gt; &amp; &lt;@U1&gt;");
        assert_eq!(line("two\nlines\u{202e}", 99), "two\u{240a}lines[U+202E]");
        assert_eq!(line(" ", 9), "—");
    }

    #[test]
    fn a_cut_never_splits_an_entity_and_says_that_there_was_more() {
        assert_eq!(escaped("a<b", 6), ("a&lt;b".into(), ""));
        assert_eq!(escaped("a<bc", 6), ("a&lt;…".into(), "bc"));
        assert_eq!(escaped("a<bc", 5), ("a…".into(), "<bc"));
        assert_eq!(escaped("🚀🚀", 3), ("🚀…".into(), "🚀"));
    }

    proptest! {
        #[test]
        fn what_is_cut_fits_and_nothing_in_it_is_markup(text in "[a-z<>&🚀ü\n]{0,80}", limit in 1..40usize) {
            let (cut, rest) = escaped(&text, limit);
            prop_assert!(length(&cut) <= limit);
            prop_assert!(!cut.contains(['<', '>']));
            prop_assert!(text.ends_with(rest));
            prop_assert_eq!(cut.ends_with('…'), !rest.is_empty());
        }
    }
}
