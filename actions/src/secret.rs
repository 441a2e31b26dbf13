//! What looks like a secret, by the name that stands before it (G12). The one list of such names; whatever is shown or
//! recorded asks it.

/// What stands for a hidden value.
pub const HIDDEN: &str = "(hidden)";

/// Does a variable, flag or field of this name hold a secret? By the words of the name, so that `API_KEY`, `apiKey` and
/// `--db-password` do, and `keycloak`, `monkey` and `keyboard` do not.
pub fn is_secret_name(name: &str) -> bool {
    let words = in_words(name);
    let words: Vec<&str> = words.split_whitespace().collect();
    let is_secret = |word: &&str| {
        let word = word.trim_end_matches(|c: char| c.is_ascii_digit());
        let word = word.strip_suffix('s').unwrap_or(word);
        matches!(word, "key" | "apikey" | "accesskey" | "secretkey" | "privatekey" | "authkey" | "sshkey")
            || ["password", "passwd", "passphrase", "secret", "token", "credential"]
                .iter()
                .any(|end| word.ends_with(end))
    };
    words.iter().any(is_secret)
        // `DB_PASS`, but neither a test's `pass` nor a shell's `PWD`.
        || words.len() > 1 && words.last().is_some_and(|last| matches!(*last, "pass" | "pwd"))
}

/// Its words in lower case, with spaces: `dbPassword`, `DB_PASSWORD`, `db-password` are two words each, `APIKey` too.
fn in_words(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    let mut before = ' ';
    let mut letters = name.chars().peekable();
    while let Some(letter) = letters.next() {
        let next_is_lower = letters.peek().is_some_and(char::is_ascii_lowercase);
        let after_small = before.is_ascii_lowercase() || before.is_ascii_digit();
        if letter.is_ascii_uppercase() && (after_small || before.is_ascii_uppercase() && next_is_lower) {
            out.push(' ');
        }
        out.push(if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { ' ' });
        before = letter;
    }
    out
}

/// What people type, safe to record and to show: hides what follows `name=`, `--name ` and `name: ` where the name says
/// that it is a secret. Values may be quoted; inside quotes all that follows is hidden, for where it ends is not known. The
/// one character that the database cannot keep is replaced.
pub fn hide_typed(text: &str) -> String {
    let text = &text.replace('\0', "\u{fffd}");
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    let mut hide_next = false;
    while !rest.is_empty() {
        let space = rest.len() - rest.trim_start().len();
        out.push_str(&rest[..space]);
        let word = &rest[space..][..word_length(&rest[space..])];
        rest = &rest[space + word.len()..];
        match secret_in(word) {
            _ if hide_next && !word.is_empty() => out.push_str(HIDDEN),
            Some(at) if at < word.len() => {
                out.push_str(&word[..at]);
                out.push_str(HIDDEN);
            }
            _ => out.push_str(word),
        }
        hide_next = announces(word);
    }
    out
}

/// The next word is a secret: `--token`, `token:`.
fn announces(word: &str) -> bool {
    match word.strip_suffix(':') {
        Some(name) => is_secret_name(last_name(name)),
        None => word.starts_with("--") && !word.contains('=') && is_secret_name(word),
    }
}

/// Where in this word, as a shell reads words, a secret's value begins.
fn secret_in(word: &str) -> Option<usize> {
    word.char_indices().find_map(|(at, c)| {
        let (name, after) = (last_name(&word[..at]), at + c.len_utf8());
        let is_value = match c {
            '=' => true,
            // Only inside quotes is there white space in a word.
            c if c.is_whitespace() => match word[..at].strip_suffix(':') {
                Some(before) => return is_secret_name(last_name(before)).then_some(after),
                None => name.starts_with("--"),
            },
            _ => false,
        };
        (is_value && is_secret_name(name)).then_some(after)
    })
}

/// The name that a text ends with; it may end in a quote, too (`"token": `).
fn last_name(text: &str) -> &str {
    let text = text.trim_end_matches(['"', '\'']);
    text.rsplit(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).next().unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_read_by_their_words() {
        for name in [
            "API_KEY",
            "apiKey",
            "APIKey",
            "apikey",
            "api.key",
            "db-password",
            "--db-password",
            "TOKEN",
            "token2",
            "accessTOKEN",
            "PGPASSWORD",
            "credentials",
            "client_secret",
            "AWS_ACCESS_KEY_ID",
            "DB_PASS",
            "keycloakToken",
            "KEYCLOAK_PASSWORD",
            "tokens",
            "key",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in [
            "keycloak",
            "KEYCLOAK_URL",
            "monkey",
            "keyboard",
            "tokenizer",
            "pass",
            "PWD",
            "LOG_LEVEL",
            "compass",
            "",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn secrets_are_hidden_and_the_rest_is_kept() {
        for (line, expected) in [
            ("restart deploy/checkout -n shop", "restart deploy/checkout -n shop"),
            ("run-job cj/x --env API_TOKEN=abc  -c prod", "run-job cj/x --env API_TOKEN=(hidden)  -c prod"),
            ("x --password hunter2 -c prod", "x --password (hidden) -c prod"),
            ("x --password 'two words' -n shop", "x --password (hidden) -n shop"),
            ("x SECRET=\"two words\" y", "x SECRET=(hidden) y"),
            ("x SECRET='never closed y", "x SECRET=(hidden)"),
            ("x --why \"a=b apiKey=k v\" -n shop", "x --why \"a=b apiKey=(hidden) -n shop"),
            ("x --why 'use --token abc' y", "x --why 'use --token (hidden) y"),
            ("it's a=b token=abc", "it's a=b token=(hidden)"),
            ("the password: hunter2, as agreed", "the password: (hidden) as agreed"),
            ("\"password: hunter2\" y", "\"password: (hidden) y"),
            ("the token has expired", "the token has expired"),
            ("x --password", "x --password"),
            ("  x  ", "  x  "),
            (
                "set-image deploy/keycloak keycloak=registry.example/keycloak:2",
                "set-image deploy/keycloak keycloak=registry.example/keycloak:2",
            ),
            (
                "set-image deploy/x app=registry.example/token:2",
                "set-image deploy/x app=registry.example/token:2",
            ),
            ("x --token=abc", "x --token=(hidden)"),
            ("scale deploy/keycloak 3", "scale deploy/keycloak 3"),
            ("", ""),
        ] {
            assert_eq!(hide_typed(line), expected);
        }
    }

    proptest! {
        #[test]
        fn a_named_secret_is_hidden_whatever_stands_around_it(before in "\\PC{0,12}", after in "\\PC{0,12}") {
            let hidden = hide_typed(&format!("{before} TOKEN=hunter2 {after}"));
            prop_assert!(!hidden.contains("hunter2"), "{hidden}");
        }
    }
}
