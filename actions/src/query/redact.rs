//! Logs go to a chat that many read: what looks like a secret is hidden, and control characters are taken out (G12). This
//! is a net, not a promise: a program that logs a secret without a name for it is not helped.

use crate::catalogue::HIDDEN;

/// Names whose values are hidden. Not `key`: in logs that is mostly a cache key or a map key.
const NAMES: [&str; 6] = ["password", "passwd", "secret", "token", "credential", "api_key"];
/// Schemes of an Authorization header, whose next word is hidden.
const SCHEMES: [&str; 2] = ["bearer ", "basic "];

/// The text, safe to show.
pub fn redact(text: &str) -> String {
    text.lines().map(|line| hide(&without_control(line))).collect::<Vec<_>>().join("\n")
}

/// Without terminal colours and other control characters; tabs stay.
fn without_control(line: &str) -> String {
    let mut clean = String::with_capacity(line.len());
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' && characters.peek() == Some(&'[') {
            // A control sequence ends with a byte from @ to ~.
            characters.next();
            while characters.next().is_some_and(|character| !('@'..='~').contains(&character)) {}
        } else if character == '\t' || !character.is_control() {
            clean.push(character);
        }
    }
    clean
}

fn hide(line: &str) -> String {
    // ASCII only, so that places in both are the same.
    let lower = line.to_ascii_lowercase();
    let mut spans: Vec<(usize, usize)> = Vec::new();
    for name in NAMES {
        for (at, _) in lower.match_indices(name) {
            spans.extend(value_after(&lower, at + name.len()));
        }
    }
    for scheme in SCHEMES {
        for (at, _) in lower.match_indices(scheme) {
            let start = at + scheme.len();
            let end = end_of_value(&lower, start);
            // `basic auth failed` is a sentence; credentials are longer than its words.
            if end - start >= 16 {
                spans.push((start, end));
            }
        }
    }
    spans.sort_unstable();
    let (mut shown, mut done) = (String::with_capacity(line.len()), 0);
    for (start, end) in spans {
        if start >= done {
            shown.push_str(&line[done..start]);
            shown.push_str(HIDDEN);
            done = end;
        }
    }
    shown.push_str(&line[done..]);
    shown
}

/// The value in `_hash="value"`, `: value`, `=value`, from the end of a name's first word.
fn value_after(line: &str, from: usize) -> Option<(usize, usize)> {
    let bytes = line.as_bytes();
    let skip = |mut at: usize, wanted: &dyn Fn(u8) -> bool| {
        while bytes.get(at).is_some_and(|byte| wanted(*byte)) {
            at += 1;
        }
        at
    };
    let name_end = skip(from, &|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    let separator = skip(name_end, &|byte| byte == b'"' || byte == b'\'' || byte == b'\\' || byte == b' ');
    if !matches!(bytes.get(separator), Some(b'=' | b':')) {
        return None;
    }
    let start = skip(separator + 1, &|byte| byte == b'"' || byte == b'\'' || byte == b'\\' || byte == b' ');
    let end = end_of_value(line, start);
    (end > start).then_some((start, end))
}

fn end_of_value(line: &str, start: usize) -> usize {
    line[start..]
        .find(|character: char| character.is_whitespace() || "\"'\\,;&)}]".contains(character))
        .map_or(line.len(), |length| start + length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_has_a_secret_name_is_hidden() {
        for (line, shown) in [
            ("connecting with password=hunter2 to db", "connecting with password=(hidden) to db"),
            (
                r#"{"user":"ann","access_token":"abc.def","n":1}"#,
                r#"{"user":"ann","access_token":"(hidden)","n":1}"#,
            ),
            ("DB_PASSWORD: hunter2, host: x", "DB_PASSWORD: (hidden), host: x"),
            ("GET /cb?token=abc&state=1", "GET /cb?token=(hidden)&state=1"),
            ("Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.e30.x", "Authorization: Bearer (hidden)"),
            ("invalid token, basic auth failed", "invalid token, basic auth failed"),
            ("cache key=a:b", "cache key=a:b"),
            ("\u{1b}[31mred\u{1b}[0m\u{7} text", "red text"),
        ] {
            assert_eq!(redact(line), shown);
        }
    }

    proptest! {
        #[test]
        fn it_never_panics_and_leaves_no_control_character(text in any::<String>(), tail in any::<String>()) {
            let shown = redact(&format!("{text}password={tail}"));
            prop_assert!(shown.chars().all(|character| character == '\n' || character == '\t' || !character.is_control()));
        }
    }
}
