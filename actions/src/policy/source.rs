//! The text of a policy file, and where in it something is wrong.

use super::PolicyError;
use std::ops::Range;

/// A file's name and text, to make located errors from byte offsets.
pub(super) struct Source<'a> {
    pub file: &'a str,
    pub text: &'a str,
}

impl Source<'_> {
    /// An error at a byte offset. Offsets past the end or inside a character are moved back to where they make sense.
    pub fn error(&self, offset: usize, message: impl Into<String>) -> PolicyError {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &self.text[..offset];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        PolicyError {
            file: self.file.to_string(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message: message.into(),
        }
    }

    /// The offset in the file of byte `inner` of the TOML string written at `span`.
    pub fn inside(&self, span: &Range<usize>, inner: usize) -> usize {
        let raw = self.text.get(span.clone()).unwrap_or_default();
        let (skip, escapes) = opening(raw);
        if !escapes {
            return span.start + skip + inner;
        }
        let (mut at, mut value) = (skip, 0);
        while value < inner && at < raw.len() {
            let (written, meant) = escape(&raw[at..]);
            at += written;
            value += meant;
        }
        span.start + at
    }
}

/// How many bytes a TOML string's opening takes, and whether escapes are read in it.
fn opening(raw: &str) -> (usize, bool) {
    for (quotes, escapes) in [("'''", false), ("\"\"\"", true)] {
        if let Some(rest) = raw.strip_prefix(quotes) {
            // A line break right after the quotes is not part of the string.
            let line_break = if rest.starts_with("\r\n") { 2 } else { usize::from(rest.starts_with('\n')) };
            return (3 + line_break, escapes);
        }
    }
    (1, raw.starts_with('"'))
}

/// Bytes written and bytes meant by the next character of a basic string.
fn escape(rest: &str) -> (usize, usize) {
    let Some(after) = rest.strip_prefix('\\') else {
        let length = rest.chars().next().map_or(1, char::len_utf8);
        return (length, length);
    };
    let digits = match after.chars().next() {
        Some('x') => 2,
        Some('u') => 4,
        Some('U') => 8,
        Some(space) if space.is_whitespace() => {
            // A backslash at the end of a line eats the white space up to the next word.
            return (1 + after.len() - after.trim_start().len(), 0);
        }
        next => return (1 + next.map_or(0, char::len_utf8), 1),
    };
    let code = after.get(1..1 + digits).and_then(|hex| u32::from_str_radix(hex, 16).ok());
    (2 + digits, code.and_then(char::from_u32).map_or(1, char::len_utf8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_inside_a_string_is_found_in_the_file_however_the_string_is_written() {
        for (text, inner, expected) in [
            (r#"x = 'abc'"#, 2, 'c'),
            (r#"x = "abc""#, 2, 'c'),
            (r#"x = "a\"c""#, 2, 'c'),
            (r#"x = "\u00e9c""#, 2, 'c'),
            ("x = '''\nabc'''", 2, 'c'),
            ("x = \"\"\"\nab\\\n   c\"\"\"", 2, 'c'),
        ] {
            let span = 4..text.len();
            let source = Source { file: "p", text };
            let at = source.inside(&span, inner);
            assert!(text[at..].trim_start_matches(['\\', '\n', ' ']).starts_with(expected), "{text}: {at}");
        }
    }

    #[test]
    fn lines_and_columns_count_from_one_in_characters() {
        let source = Source { file: "p", text: "é = 1\nü = 2" };
        let error = source.error(source.text.find('2').unwrap(), "no");
        assert_eq!(error.to_string(), "p:2:5: no");
        assert_eq!(source.error(1_000, "end").line, 2);
        assert_eq!(source.error(1, "inside é").column, 1);
    }
}
