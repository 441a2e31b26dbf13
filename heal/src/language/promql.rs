//! What can be said about a PromQL query without Prometheus: quotes end, brackets close.

use super::problem::shown;

/// What is wrong with it, in one line.
pub(super) fn flaw(query: &str) -> Option<String> {
    if query.trim().is_empty() {
        return Some("the query is empty".into());
    }
    let mut open = Vec::new();
    let mut letters = query.chars();
    while let Some(letter) = letters.next() {
        match letter {
            quote @ ('"' | '\'' | '`') => loop {
                match letters.next() {
                    None => {
                        return Some(format!("a text in the query begins with `{quote}` and does not end"));
                    }
                    Some('\\') if quote != '`' => {
                        letters.next();
                    }
                    Some(letter) if letter == quote => break,
                    Some(_) => {}
                }
            },
            '#' => {
                letters.find(|letter| *letter == '\n');
            }
            '(' => open.push(')'),
            '[' => open.push(']'),
            '{' => open.push('}'),
            closing @ (')' | ']' | '}') => match open.pop() {
                Some(wanted) if wanted == closing => {}
                Some(wanted) => {
                    return Some(format!("the query closes with `{closing}` where `{wanted}` is open"));
                }
                None => return Some(format!("`{closing}` in the query closes nothing")),
            },
            ';' | '$' => return Some(format!("`{}` is not part of PromQL", shown(&letter.to_string()))),
            _ => {}
        }
    }
    open.pop().map(|wanted| format!("the query ends before `{wanted}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_and_quotes_must_close() {
        for good in [
            "up",
            "sum(rate(http_requests_total{code=~'5..'}[5m]))",
            r#"x{a="}"} # ("#,
            "x{a=`\\`}",
            r"x{a='\''}",
        ] {
            assert_eq!(flaw(good), None, "{good}");
        }
        for (wrong, why) in [
            (" ", "the query is empty"),
            ("sum(rate(x[5m])", "the query ends before `)`"),
            ("sum(x]", "the query closes with `]` where `)` is open"),
            ("x}", "`}` in the query closes nothing"),
            ("x{a='b}", "a text in the query begins with `'` and does not end"),
            ("x{a=\"$host\"} + $y", "`$` is not part of PromQL"),
        ] {
            assert_eq!(flaw(wrong).as_deref(), Some(why), "{wrong}");
        }
    }
}
