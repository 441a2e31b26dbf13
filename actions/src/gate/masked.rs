//! Lines as they are recorded: what looks like a secret is hidden (G12).

/// Hides the value of `name=value` and of `--name value` where the name says that it is a secret; values may be quoted.
pub(super) fn masked(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    let mut hide_next = false;
    while !rest.is_empty() {
        let space = rest.len() - rest.trim_start().len();
        out.push_str(&rest[..space]);
        let word = &rest[space..][..word_length(&rest[space..])];
        rest = &rest[space + word.len()..];
        match word.split_once('=') {
            _ if hide_next && !word.is_empty() => out.push_str(HIDDEN),
            Some((name, value)) if is_secret(name) && !value.is_empty() => {
                out.push_str(name);
                out.push('=');
                out.push_str(HIDDEN);
            }
            _ => out.push_str(word),
        }
        hide_next = word.starts_with("--") && !word.contains('=') && is_secret(word);
    }
    out
}

/// How long a word is: white space inside quotes belongs to it, and a quote that is not closed runs to the end.
fn word_length(text: &str) -> usize {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c.is_whitespace() => return at,
            _ => {}
        }
    }
    text.len()
}

const HIDDEN: &str = "(hidden)";

/// By the words of the name: `API_TOKEN` and `--db-password` are secrets, a container named `keycloak` is not.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| {
        matches!(word, "key" | "apikey")
            || ["password", "passwd", "secret", "token", "credential", "credentials"]
                .iter()
                .any(|end| word.ends_with(end))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_and_the_rest_is_kept() {
        for (line, expected) in [
            ("restart deploy/checkout -n shop", "restart deploy/checkout -n shop"),
            ("run-job cj/x --env API_TOKEN=abc  -c prod", "run-job cj/x --env API_TOKEN=(hidden)  -c prod"),
            ("x --password hunter2 -c prod", "x --password (hidden) -c prod"),
            ("x --password 'two words' -n shop", "x --password (hidden) -n shop"),
            ("x SECRET=\"two words\" y", "x SECRET=(hidden) y"),
            ("x SECRET='never closed y", "x SECRET=(hidden)"),
            ("x --password", "x --password"),
            ("  x  ", "  x  "),
            (
                "set-image deploy/keycloak keycloak=registry.example/keycloak:2",
                "set-image deploy/keycloak keycloak=registry.example/keycloak:2",
            ),
            ("x --token=abc", "x --token=(hidden)"),
            ("scale deploy/keycloak 3", "scale deploy/keycloak 3"),
            ("", ""),
        ] {
            assert_eq!(masked(line), expected);
        }
    }
}
