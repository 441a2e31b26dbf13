//! Regular expressions from rules: matched in linear time, and bounded when they are compiled.

use super::{LONGEST_PATTERN, problem::shown};
use regex::{Regex, RegexBuilder};

/// What a compiled expression may take; `\w{1000}` takes more.
const LARGEST: usize = 256 * 1024;

/// Found anywhere in the text. The error is one line for people.
pub fn search(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > LONGEST_PATTERN {
        return Err(format!("a regular expression has at most {LONGEST_PATTERN} bytes"));
    }
    RegexBuilder::new(pattern).size_limit(LARGEST).dfa_size_limit(LARGEST).nest_limit(50).build().map_err(
        |error| match error {
            regex::Error::CompiledTooBig(_) => "it becomes too large; repeat less".into(),
            error => {
                let words = error.to_string();
                let last = words.lines().last().unwrap_or_default();
                shown(last.trim_start_matches("error: "))
            }
        },
    )
}

/// The whole text, as Prometheus matches labels.
pub fn whole(pattern: &str) -> Result<Regex, String> {
    // Alone first: `a)(b` must not be mended by the group around it.
    search(pattern)?;
    RegexBuilder::new(&format!("^(?s:{pattern})$"))
        .size_limit(LARGEST)
        .dfa_size_limit(LARGEST)
        .nest_limit(52)
        .build()
        .map_err(|_| "it becomes too large; repeat less".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_matched_from_end_to_end_as_prometheus_does() {
        assert!(whole("5..").unwrap().is_match("503"));
        assert!(!whole("5..").unwrap().is_match("1503"));
        assert!(!whole("a|b").unwrap().is_match("ab"));
        assert!(whole("a.*").unwrap().is_match("a\nb"));
        assert!(search("5..").unwrap().is_match("1503"));
    }

    #[test]
    fn a_wrong_expression_says_what_is_wrong_in_one_line() {
        assert_eq!(search("(a").unwrap_err(), "unclosed group");
        assert_eq!(whole("a)(b").unwrap_err(), "unopened group");
        assert_eq!(search("(a{1000}){1000}").unwrap_err(), "it becomes too large; repeat less");
        assert!(search(&"a".repeat(2000)).unwrap_err().contains("at most 1024 bytes"));
        assert!(search(&"(".repeat(500)).is_err());
    }

    #[test]
    fn an_expression_that_is_quadratic_elsewhere_is_linear_here() {
        let text = "a".repeat(200_000) + "!";
        assert!(!whole("(a+)+").unwrap().is_match(&text));
    }
}
