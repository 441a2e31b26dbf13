//! What a person typed, out of what Slack makes of it: references in angle brackets (`<@U1>`, `<#C1|ops>`,
//! `<http://x|x>`, `<!here>`), three escaped characters (`&amp; &lt; &gt;`), and hard spaces. Typographic quotes and dashes are
//! the grammar's (`grammar/split.rs`).

/// The line that was typed, without the mention of the app (`<@app>`), wherever it stood; None: nobody knows the app's user id,
/// so the first mention is taken for it. `mentioned`: only then is there a mention to drop.
pub fn typed(text: &str, app: Option<&str>, mentioned: bool) -> String {
    let mut line = String::with_capacity(text.len());
    let mut rest = text;
    let mut dropped = false;
    while let Some(start) = rest.find('<') {
        line.push_str(&unescaped(&rest[..start]));
        let Some(end) = rest[start..].find('>') else {
            // A bracket that was typed arrives as &lt;. This one is nothing we know: it stays.
            line.push_str(&unescaped(&rest[start..]));
            return tidy(&line);
        };
        let reference = &rest[start + 1..start + end];
        let is_app = match (app, reference.strip_prefix('@')) {
            (Some(app), Some(user)) => user.split('|').next() == Some(app),
            (None, Some(_)) => !dropped,
            _ => false,
        };
        match mentioned && is_app {
            true => {
                dropped = true;
                line.push(' ');
            }
            false => line.push_str(&shown(reference)),
        }
        rest = &rest[start + end + 1..];
    }
    line.push_str(&unescaped(rest));
    tidy(&line)
}

/// A reference as the person saw it. Its label is what they typed or picked; without one there is only the id.
fn shown(reference: &str) -> String {
    let (what, label) = match reference.split_once('|') {
        Some((what, label)) if !label.is_empty() => (what, Some(unescaped(label))),
        Some((what, _)) => (what, None),
        None => (reference, None),
    };
    let with = |sign: char, id: &str| {
        let name = label.clone().unwrap_or_else(|| unescaped(id));
        if name.starts_with(sign) { name } else { format!("{sign}{name}") }
    };
    match what.split_at_checked(1) {
        Some(("@", id)) => with('@', id),
        Some(("#", id)) => with('#', id),
        // <!here>, <!subteam^S1|@ops>; <!date^...|as text>
        Some(("!", id)) if id.starts_with("date^") => label.unwrap_or_default(),
        Some(("!", id)) => with('@', id),
        _ => label.unwrap_or_else(|| unescaped(what.strip_prefix("mailto:").unwrap_or(what))),
    }
}

/// The three characters that Slack escapes, each once: `&amp;lt;` was typed as `&lt;`.
pub fn unescaped(text: &str) -> String {
    storable(text).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").replace('\u{a0}', " ")
}

/// Without the one character that Postgres cannot store.
pub fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Without the space that a mention leaves, and without the backticks people put around a whole command.
fn tidy(line: &str) -> String {
    let line = line.trim();
    let fenced = line.strip_prefix("```").and_then(|line| line.strip_suffix("```"));
    let ticked = line.strip_prefix('`').and_then(|line| line.strip_suffix('`'));
    match fenced.or(ticked) {
        Some(inner) if !inner.contains('`') => inner.trim().to_string(),
        _ => line.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mention(text: &str) -> String {
        typed(text, Some("U0BOT"), true)
    }

    #[test]
    fn the_mention_goes_wherever_it_stands_and_others_stay() {
        assert_eq!(mention("<@U0BOT> clusters"), "clusters");
        assert_eq!(mention("restart deploy/x <@U0BOT> -c prod"), "restart deploy/x   -c prod");
        assert_eq!(mention("clusters <@U0BOT|petrel>"), "clusters");
        assert_eq!(mention("<@U0BOT>"), "");
        assert_eq!(mention("<@U0BOT> scale for <@U2|ann> and <@U3>"), "scale for @ann and @U3");
        assert_eq!(typed("<@U1> clusters", None, true), "clusters", "the app's own id is not known");
        assert_eq!(typed("<@U0BOT> help", Some("U0BOT"), false), "@U0BOT help", "no mention, no dropping");
    }

    #[test]
    fn what_slack_did_to_the_text_is_undone() {
        assert_eq!(mention("logs --grep &lt;init&gt; &amp;&amp; x"), "logs --grep <init> && x");
        assert_eq!(mention("a &amp;lt; b"), "a &lt; b", "escaped once, undone once");
        assert_eq!(
            mention("set-image web=<http://registry.example.com/web:2|registry.example.com/web:2>"),
            "set-image web=registry.example.com/web:2"
        );
        assert_eq!(mention("see <https://x.example/?a=1&amp;b=2>"), "see https://x.example/?a=1&b=2");
        assert_eq!(mention("<mailto:a@b.example|a@b.example>"), "a@b.example");
        assert_eq!(mention("<mailto:a@b.example>"), "a@b.example");
        assert_eq!(mention("for <#C1|ops> and <#C2>"), "for #ops and #C2");
        assert_eq!(mention("<!here> <!subteam^S1|@sre> <!subteam^S2>"), "@here @sre @subteam^S2");
        assert_eq!(mention("<!date^1700000000^{date}|2023-11-14>"), "2023-11-14");
        assert_eq!(mention("scale\u{a0}x 3"), "scale x 3");
        assert_eq!(mention("<@U0BOT> `clusters`"), "clusters");
        assert_eq!(mention("```\nclusters\n```"), "clusters");
        assert_eq!(mention("`a` and `b`"), "`a` and `b`");
    }

    #[test]
    fn a_mention_that_was_typed_as_text_stays_text() {
        assert_eq!(mention("why &lt;@U0BOT&gt;"), "why <@U0BOT>");
        assert_eq!(mention("an open < bracket"), "an open < bracket");
    }

    proptest! {
        #[test]
        fn any_text_comes_out_and_what_has_no_marks_comes_out_as_it_was(text in "\\PC{0,60}", bare in "[a-z /=.-]{0,40}") {
            typed(&text, None, true);
            typed(&text, Some("U1"), true);
            prop_assert_eq!(mention(&bare), bare.trim());
        }

        #[test]
        fn what_slack_escapes_is_what_was_typed(words in "[a-z<>&;@#! ]{0,40}") {
            let sent = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            prop_assert_eq!(mention(&sent), words.trim());
        }
    }
}
