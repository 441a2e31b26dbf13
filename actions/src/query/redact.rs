//! Logs go to a chat that many read: what looks like a secret is hidden, and control characters are taken out (G12). This
//! is a net, not a promise: a program that logs a secret without a name for it is not helped.

use crate::secret::{HIDDEN, is_secret_name};

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
    for (name, end) in names(line) {
        // A bare `key` is mostly a cache key or a map key here.
        if is_secret_name(name) && !name.eq_ignore_ascii_case("key") && !name.eq_ignore_ascii_case("keys") {
            spans.extend(value_after(line, end));
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

/// What may be a name, with the place where it ends.
fn names(line: &str) -> impl Iterator<Item = (&str, usize)> {
    let mut end = 0;
    line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-')).map(move |name| {
        let start = line[end..].find(name).map_or(end, |gap| end + gap);
        end = start + name.len();
        (name, end)
    })
}

/// The value in `"="value"`, `: value`, `=value`, from the end of a name.
fn value_after(line: &str, from: usize) -> Option<(usize, usize)> {
    let bytes = line.as_bytes();
    let skip = |mut at: usize, wanted: &dyn Fn(u8) -> bool| {
        while bytes.get(at).is_some_and(|byte| wanted(*byte)) {
            at += 1;
        }
        at
    };
    let separator = skip(from, &|byte| byte == b'"' || byte == b'\'' || byte == b'\\' || byte == b' ');
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
            ("apiKey: abc, keycloak=http://keycloak", "apiKey: (hidden), keycloak=http://keycloak"),
            ("größe=1 db-password=hunter2", "größe=1 db-password=(hidden)"),
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
