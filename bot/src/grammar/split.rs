//! Splits a typed line into words as a shell would, but starts no shell and expands nothing (G12), and remembers where
//! each word stands, so that an error can point at it.
//!
//! What phones and chat programs do to a line is undone: typographic double quotes quote, and a dash that was two
//! hyphens before a letter is two hyphens again. `#` is an ordinary character.

use std::ops::Range;

/// The longest line that is read, in characters.
pub const LONGEST: usize = 4_000;

/// One word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Without quotes and escapes.
    pub text: String,
    /// Bytes of the line it was written in.
    pub span: Range<usize>,
}

/// Why a line has no words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// More than [`LONGEST`] characters.
    TooLong {
        /// How many.
        chars: usize,
    },
    /// A character that people cannot see, which could make a line look like another one.
    Invisible {
        /// Byte offset.
        at: usize,
        /// Which.
        character: char,
    },
    /// A quote that nothing closes.
    Unclosed {
        /// Byte offset of the quote.
        at: usize,
    },
}

/// Characters that show nothing or turn the direction of what follows.
pub(super) fn is_invisible(c: char) -> bool {
    let hidden = matches!(c, '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
        | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{e0000}'..='\u{e0fff}');
    (c.is_control() && c != '\t') || hidden
}

/// The words of a line. Never fails on what it does not understand except as [`Unreadable`] says.
pub fn split(line: &str) -> Result<Vec<Word>, Unreadable> {
    let chars = line.chars().count();
    if chars > LONGEST {
        return Err(Unreadable::TooLong { chars });
    }
    if let Some((at, character)) = line.char_indices().find(|(_, c)| is_invisible(*c)) {
        return Err(Unreadable::Invisible { at, character });
    }
    let mut words = Vec::new();
    let mut chars = line.char_indices().peekable();
    while let Some(&(start, first)) = chars.peek() {
        if first.is_whitespace() {
            chars.next();
            continue;
        }
        let mut text = String::new();
        while let Some(&(at, c)) = chars.peek() {
            if c.is_whitespace() {
                break;
            }
            chars.next();
            match c {
                '\'' => quoted(&mut chars, &mut text, at, '\'')?,
                '"' => quoted(&mut chars, &mut text, at, '"')?,
                '“' | '„' => quoted(&mut chars, &mut text, at, '”')?,
                '\\' => text.push(chars.next().map_or('\\', |(_, escaped)| escaped)),
                '—' | '–'
                    if at == start && chars.peek().is_some_and(|(_, next)| next.is_ascii_alphabetic()) =>
                {
                    text.push_str("--");
                }
                other => text.push(other),
            }
        }
        let end = chars.peek().map_or(line.len(), |(at, _)| *at);
        words.push(Word { text, span: start..end });
    }
    Ok(words)
}

/// The rest of a quoted part. Inside double quotes a backslash escapes what it does in a shell.
fn quoted(
    chars: &mut std::iter::Peekable<std::str::CharIndices<'_>>,
    text: &mut String,
    opened_at: usize,
    close: char,
) -> Result<(), Unreadable> {
    let unclosed = Unreadable::Unclosed { at: opened_at };
    while let Some((_, c)) = chars.next() {
        match c {
            c if c == close || (close == '”' && c == '“') => return Ok(()),
            '\\' if close == '"' => match chars.next() {
                Some((_, c @ ('$' | '`' | '"' | '\\'))) => text.push(c),
                Some((_, c)) => text.extend(['\\', c]),
                None => return Err(unclosed),
            },
            c => text.push(c),
        }
    }
    Err(unclosed)
}

/// A word as it must be written so that [`split`] gives it back.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@,+=%^".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_string()
    } else if !word.contains(['"', '\\', '$', '`']) {
        format!("\"{word}\"")
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(line: &str) -> Vec<String> {
        split(line).unwrap().into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn words_know_where_they_stand() {
        let words = split("scale  'deploy/a b' 6").unwrap();
        assert_eq!(words[1], Word { text: "deploy/a b".into(), span: 7..19 });
        assert_eq!(words[2].span, 20..21);
    }

    #[test]
    fn what_a_phone_does_to_quotes_and_dashes_is_undone() {
        assert_eq!(texts("restart x —why “flash sale”"), ["restart", "x", "--why", "flash sale"]);
        assert_eq!(texts("requests --text #12 — x"), ["requests", "--text", "#12", "—", "x"]);
    }

    #[test]
    fn an_unclosed_quote_and_an_invisible_character_are_pointed_at() {
        assert_eq!(split("a 'b"), Err(Unreadable::Unclosed { at: 2 }));
        assert_eq!(split("a b\u{202e}c"), Err(Unreadable::Invisible { at: 3, character: '\u{202e}' }));
        assert_eq!(split("a\nb"), Err(Unreadable::Invisible { at: 1, character: '\n' }));
        assert_eq!(split(&"x".repeat(4001)), Err(Unreadable::TooLong { chars: 4001 }));
    }

    proptest! {
        #[test]
        fn plain_lines_split_as_a_shell_splits_them(line in r#"[ a-z0-9"'\\$=/-]{0,40}"#) {
            let ours = split(&line).map(|words| words.into_iter().map(|word| word.text).collect::<Vec<_>>());
            prop_assert_eq!(ours.ok(), shell_words::split(&line).ok());
        }

        #[test]
        fn any_text_splits_or_is_refused_and_spans_are_inside(line in "\\PC{0,60}|.{0,60}") {
            if let Ok(words) = split(&line) {
                for word in words {
                    prop_assert!(line.get(word.span.clone()).is_some());
                }
            }
        }

        #[test]
        fn a_quoted_word_is_one_word_again(word in "\\PC{0,30}") {
            prop_assume!(!word.chars().any(is_invisible));
            let words = split(&quote(&word)).unwrap();
            prop_assert_eq!(words.len(), 1);
            prop_assert_eq!(&words[0].text, &word);
        }
    }
}
