//! Text from people and clusters, made safe to look at: characters that are obeyed instead of shown (controls, direction
//! overrides, invisible letters) are written out. HTML escaping is maud's; this is about what a reader would be fooled by.

use std::borrow::Cow;

/// For one line: line breaks and tabs are shown as well.
pub fn line(text: &str) -> Cow<'_, str> {
    show(text, |c| is_deceptive(c) || matches!(c, '\n' | '\t'))
}

/// For preformatted blocks: line breaks and tabs stay, and a carriage return before a line break is dropped.
pub fn block(text: &str) -> Cow<'_, str> {
    match text.contains("\r\n") {
        true => Cow::Owned(show(&text.replace("\r\n", "\n"), is_deceptive).into_owned()),
        false => show(text, is_deceptive),
    }
}

fn show(text: &str, hidden: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c as u32 {
            _ if !hidden(c) => shown.push(c),
            // Unicode has a picture for every ASCII control.
            code @ 0..=0x1f => shown.extend(char::from_u32(0x2400 + code)),
            0x7f => shown.push('\u{2421}'),
            code => shown.push_str(&format!("[U+{code:04X}]")),
        }
    }
    Cow::Owned(shown)
}

/// Controls except line break and tab; format characters (Unicode category Cf) and line separators, which include all
/// bidirectional overrides and isolates and all zero-width characters; tags; and letters that are drawn as nothing.
fn is_deceptive(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        c if c.is_control() => true,
        '\u{ad}'
        | '\u{34f}'
        | '\u{600}'..='\u{605}'
        | '\u{61c}'
        | '\u{6dd}'
        | '\u{70f}'
        | '\u{890}'..='\u{891}' => true,
        '\u{8e2}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' => true,
        '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{2800}'
        | '\u{3164}' => true,
        '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' => true,
        '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' => true,
        '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}' => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_direction_override_is_written_out() {
        assert_eq!(line("gpj\u{202e}exe.txt"), "gpj[U+202E]exe.txt");
    }

    #[test]
    fn a_terminal_escape_is_shown_as_a_picture() {
        assert_eq!(block("\u{1b}[31mred\r\nnext"), "\u{241b}[31mred\nnext");
        assert_eq!(line("two\nlines"), "two\u{240a}lines");
    }

    #[test]
    fn other_languages_stay_as_they_are() {
        for text in ["größer", "東京", "עברית", "naïve – “quoted”", "🚀"] {
            assert!(matches!(line(text), Cow::Borrowed(same) if same == text));
        }
    }

    proptest! {
        #[test]
        fn nothing_deceptive_survives(text in any::<String>()) {
            prop_assert!(!block(&text).chars().any(is_deceptive));
            prop_assert!(!line(&text).chars().any(|c| c.is_control() || is_deceptive(c)));
        }

        #[test]
        fn nothing_is_swallowed(text in any::<String>()) {
            prop_assert!(line(&text).chars().count() >= text.chars().count());
        }

        #[test]
        fn showing_twice_changes_nothing(text in "\\PC*[\u{200e}\u{202e}\u{7f}]?\\PC*") {
            let once = line(&text);
            prop_assert_eq!(line(&once), once.clone());
        }
    }
}
