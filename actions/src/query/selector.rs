//! A label selector as people type it after `-l`, parsed into requirements and checked; the text that a list call gets is
//! written anew from them, never the typed one (G12).

use crate::{
    catalogue::{Requirement, Selector},
    cluster::is_dns_subdomain,
};

/// No one types more.
const LONGEST: usize = 500;

/// `app=checkout,tier!=web,env in (a,b),!canary,team`. The error names what is wrong.
pub fn parse(text: &str) -> Result<Selector, String> {
    if text.len() > LONGEST {
        return Err(format!("the selector is longer than {LONGEST} characters"));
    }
    split(text)?.into_iter().map(requirement).collect::<Result<_, _>>().map(Selector)
}

/// At commas outside of parentheses.
fn split(text: &str) -> Result<Vec<&str>, String> {
    let (mut parts, mut start, mut inside) = (Vec::new(), 0, false);
    for (index, character) in text.char_indices() {
        match character {
            '(' if !inside => inside = true,
            ')' if inside => inside = false,
            '(' | ')' => return Err(format!("'{}': parentheses do not match", text.escape_debug())),
            ',' if !inside => {
                parts.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    if inside {
        return Err(format!("'{}': parentheses do not match", text.escape_debug()));
    }
    parts.push(&text[start..]);
    Ok(parts)
}

fn requirement(text: &str) -> Result<Requirement, String> {
    let text = text.trim();
    if let Some(name) = text.strip_prefix('!') {
        return Ok(Requirement::Absent(key(name)?));
    }
    if let Some((name, values)) = text.strip_suffix(')').and_then(|text| text.split_once('(')) {
        let values = values.split(',').map(value).collect::<Result<Vec<_>, _>>()?;
        let words: Vec<&str> = name.split_whitespace().collect();
        return match words.as_slice() {
            [name, "in"] => Ok(Requirement::In(key(name)?, values)),
            [name, "notin"] => Ok(Requirement::NotIn(key(name)?, values)),
            _ => Err(format!(
                "'{}' is no requirement; write key in (a,b) or key notin (a,b)",
                text.escape_debug()
            )),
        };
    }
    if let Some((name, wanted)) = text.split_once("!=") {
        return Ok(Requirement::NotIn(key(name)?, vec![value(wanted)?]));
    }
    if let Some((name, wanted)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return Ok(Requirement::In(key(name)?, vec![value(wanted)?]));
    }
    Ok(Requirement::Exists(key(text)?))
}

fn key(text: &str) -> Result<String, String> {
    let text = text.trim();
    let (prefix, name) = text.rsplit_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    if !name.is_empty() && is_label_text(name) && prefix.is_none_or(is_dns_subdomain) {
        Ok(text.to_string())
    } else {
        Err(format!("'{}' is not a label's name; write app=checkout", text.escape_debug()))
    }
}

fn value(text: &str) -> Result<String, String> {
    let text = text.trim();
    if is_label_text(text) {
        Ok(text.to_string())
    } else {
        Err(format!("'{}' is not a label's value", text.escape_debug()))
    }
}

/// Empty, or at most 63 of letters, digits, `-`, `_`, `.`, with a letter or digit at both ends.
fn is_label_text(text: &str) -> bool {
    let bytes = text.as_bytes();
    let edge = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn selectors_are_written_anew() {
        for (typed, written) in [
            ("app=checkout", "app=checkout"),
            (" app == checkout , tier!=web", "app=checkout,tier!=web"),
            ("env in (a, b),zone notin (x,y),!canary,team", "env in (a,b),zone notin (x,y),!canary,team"),
            ("app.kubernetes.io/name=checkout", "app.kubernetes.io/name=checkout"),
            ("empty=", "empty="),
        ] {
            assert_eq!(parse(typed).unwrap().to_string(), written);
        }
    }

    #[test]
    fn what_is_no_selector_is_refused() {
        for typed in [
            "",
            "a=b=c",
            "a=b c",
            "a in b",
            "a in (b",
            "a)b",
            "a=b&limit=1",
            "a/b/c=d",
            "!",
            "a in ((b))",
            "a=-b",
            "=b",
            ",",
            "a near (b)",
            "é=1",
        ] {
            assert!(parse(typed).is_err(), "{typed}: {:?}", parse(typed));
        }
    }

    proptest! {
        #[test]
        fn what_was_parsed_reads_back_and_is_harmless(typed in any::<String>()) {
            if let Ok(selector) = parse(&typed) {
                let written = selector.to_string();
                prop_assert!(written.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./=!,() ".contains(&byte)));
                prop_assert_eq!(parse(&written), Ok(selector));
            }
        }

        #[test]
        fn likely_text_never_panics(typed in "[a-z!=(), /.in]{0,40}") {
            if let Ok(selector) = parse(&typed) {
                prop_assert_eq!(parse(&selector.to_string()), Ok(selector));
            }
        }
    }
}
