//! From what was found to the answer of a condition. Asking Prometheus, running commands and reading logs is somebody else's;
//! what comes back is judged here, and what did not come back is unknown.

use super::{Answer, Outcome};
use crate::language::{
    ast::{Condition, Operator, Value},
    compare, pattern, shown,
};

/// Rows of a table that are looked at.
const MOST_ROWS: usize = 1_000;

/// What somebody who asked has found.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// Of `promql`: each sample's value, one without `for`, all of the time with it.
    Samples(Vec<f64>),
    /// Of `exec`: what the command printed, when it ended well.
    Output(String),
    /// Of `log`: how many lines match.
    Count(u64),
    /// Of `log`: so many at least; a part could not be read.
    AtLeast(u64),
    /// Of `condition`: `True`, `False` or `Unknown`.
    Status(String),
    /// Nothing, for this reason: no such metric, no pod, a command that failed, out of time.
    Nothing(String),
}

impl Condition {
    /// The answer. What does not fit the question is unknown.
    pub fn answer(&self, found: &Found) -> Answer {
        match (self, found) {
            (_, Found::Nothing(why)) => unknown(why.clone()),
            (Condition::Promql { operator, bound, .. }, Found::Samples(samples)) => {
                numbers(operator.value, bound.value, samples)
            }
            (Condition::Exec { pattern, operator, value, .. }, Found::Output(output)) => {
                printed(&pattern.value, operator.value, &value.value, output)
            }
            (Condition::Log { operator, count, .. }, Found::Count(lines)) => {
                // Beyond 2^53 lines nobody counts to the one.
                let holds = compare(operator.value, *lines as f64, count.value);
                Answer { outcome: holds.into(), why: format!("{lines} lines") }
            }
            (Condition::Log { operator, count, .. }, Found::AtLeast(lines)) => {
                at_least(operator.value, *lines, count.value)
            }
            (Condition::Status { name, operator, value, .. }, Found::Status(status)) => {
                let same = *status == value.value;
                let holds = if operator.value == Operator::NotEqual { !same } else { same };
                Answer { outcome: holds.into(), why: format!("{} is {}", shown(&name.value), shown(status)) }
            }
            _ => unknown("the answer does not fit the question"),
        }
    }
}

fn unknown(why: impl Into<String>) -> Answer {
    Answer { outcome: Outcome::Unknown, why: why.into() }
}

/// More lines can make some comparisons true and others false; what they cannot change is known.
fn at_least(operator: Operator, lines: u64, bound: f64) -> Answer {
    let (found, why) = (lines as f64, format!("{lines} lines in what could be read"));
    let outcome = match operator {
        Operator::Greater | Operator::GreaterOrEqual if compare(operator, found, bound) => Outcome::Yes,
        Operator::Less | Operator::LessOrEqual if !compare(operator, found, bound) => Outcome::No,
        Operator::Equal if found > bound => Outcome::No,
        Operator::NotEqual if found > bound => Outcome::Yes,
        _ => return unknown(format!("{why}, and not all of the logs could be")),
    };
    Answer { outcome, why }
}

fn numbers(operator: Operator, bound: f64, samples: &[f64]) -> Answer {
    let Some(last) = samples.last() else { return unknown("no such metric") };
    if let Some(odd) = samples.iter().find(|sample| !sample.is_finite()) {
        return unknown(format!("a sample is {odd}"));
    }
    match samples.iter().find(|sample| !compare(operator, **sample, bound)) {
        None => Answer { outcome: Outcome::Yes, why: format!("it is {last}") },
        Some(miss) => Answer { outcome: Outcome::No, why: format!("it is {miss}") },
    }
}

/// The first match of the expression in the output; or, where there is none and the output is a table, in its rows
/// written as `Header: value`, so that what `df` prints under `Use%` is found by `Use%: ([0-9]+)%`.
fn printed(expression: &str, operator: Operator, value: &Value, output: &str) -> Answer {
    let Ok(regex) = pattern::search(expression) else { return unknown("the expression is wrong") };
    let find = |text: &str| {
        let captures = regex.captures(text)?;
        Some(captures.get(1).or(captures.get(0))?.as_str().to_string())
    };
    let Some(text) = find(output).or_else(|| find(&rows(output))) else {
        return unknown("the output does not match");
    };
    let why = format!("it is {}", shown(&text));
    let outcome = match (value, operator) {
        (Value::Number(bound), _) => match text.trim().parse::<f64>() {
            Ok(number) if number.is_finite() => compare(operator, number, *bound).into(),
            _ => return unknown(format!("\"{}\" is no number", shown(&text))),
        },
        (Value::Text(wanted), Operator::Equal) => (text == *wanted).into(),
        (Value::Text(wanted), Operator::NotEqual) => (text != *wanted).into(),
        (Value::Text(wanted), Operator::Matches | Operator::MatchesNot) => match pattern::whole(wanted) {
            Ok(regex) => (regex.is_match(&text) == (operator == Operator::Matches)).into(),
            Err(_) => return unknown("the expression is wrong"),
        },
        (Value::Text(_), _) => return unknown("texts are not compared by size"),
    };
    Answer { outcome, why }
}

/// A table's rows, one per line, as `Header: value, Header: value`. The last column takes what is left of its line.
fn rows(output: &str) -> String {
    let mut lines = output.lines().filter(|line| !line.trim().is_empty());
    let header: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    let mut rows = String::new();
    for line in lines.take(MOST_ROWS) {
        let cells: Vec<&str> = line.split_whitespace().collect();
        let columns = header.len().min(cells.len());
        for column in 0..columns {
            let rest = |words: &[&str]| match column + 1 == columns {
                true => words[column..].join(" "),
                false => words[column].to_string(),
            };
            let comma = if column > 0 { ", " } else { "" };
            rows.push_str(&format!("{comma}{}: {}", rest(&header), rest(&cells)));
        }
        rows.push('\n');
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::parse;

    /// The first condition of a rule with these words.
    fn answer(condition: &str, found: Found) -> (Outcome, String) {
        let source = format!("on alert \"A\" {{ {condition}\n then [] }}");
        let (file, problems) = parse(&source);
        assert!(problems.is_empty(), "{problems:?}");
        let Answer { outcome, why } = file.rules[0].value.when[0].value.answer(&found);
        (outcome, why)
    }

    fn printed(condition: &str, output: &str) -> (Outcome, String) {
        answer(condition, Found::Output(output.into()))
    }

    /// As Debian's prints it.
    const DF: &str =
        "Filesystem      Size  Used Avail Use% Mounted on\n/dev/sda1        20G   19G  500M  97% /data\n";
    const DISK: &str = r#"exec "df -h /data" -> parse("Use%: ([0-9]+)%") > 95"#;

    #[test]
    fn the_short_example_works_with_what_df_really_prints() {
        assert_eq!(printed(DISK, DF), (Outcome::Yes, "it is 97".into()));
        assert_eq!(printed(DISK, &DF.replace("97%", "95%")), (Outcome::No, "it is 95".into()));
        assert_eq!(printed(DISK, "Use%: 99%"), (Outcome::Yes, "it is 99".into()));
        assert_eq!(
            printed(DISK, "df: /data: No such file or directory"),
            (Outcome::Unknown, "the output does not match".into())
        );
        assert_eq!(
            rows(DF),
            "Filesystem: /dev/sda1, Size: 20G, Used: 19G, Avail: 500M, Use%: 97%, Mounted on: /data\n"
        );
    }

    #[test]
    fn the_first_group_is_compared_as_a_number_or_as_a_text() {
        let version =
            |rest: &str| printed(&format!(r#"exec "x" -> parse("version (\\S+)") {rest}"#), "version 1.30");
        assert_eq!(version("== 1.3"), (Outcome::Yes, "it is 1.30".into()));
        assert_eq!(version("== \"1.3\"").0, Outcome::No);
        assert_eq!(version("!= \"1.3\"").0, Outcome::Yes);
        assert_eq!(version("=~ \"1\\\\..*\"").0, Outcome::Yes);
        assert_eq!(version("!~ \"1\"").0, Outcome::Yes);
        let word = printed(r#"exec "x" -> parse("ready|gone") > 3"#, "it is ready");
        assert_eq!(word, (Outcome::Unknown, "\"ready\" is no number".into()));
        assert_eq!(printed(r#"exec "x" -> parse("n=(\\S+)") > 3"#, "n=NaN").0, Outcome::Unknown);
    }

    #[test]
    fn a_missing_or_odd_metric_is_neither_true_nor_false() {
        let rate = |samples: &[f64]| answer(r#"promql("x") > 0.05"#, Found::Samples(samples.to_vec()));
        assert_eq!(rate(&[]), (Outcome::Unknown, "no such metric".into()));
        assert_eq!(rate(&[f64::NAN]).0, Outcome::Unknown);
        assert_eq!(rate(&[0.1]), (Outcome::Yes, "it is 0.1".into()));
        assert_eq!(rate(&[0.1, 0.05, 0.2]), (Outcome::No, "it is 0.05".into()));
        let failed = answer(r#"promql("x") > 0.05"#, Found::Nothing("timed out".into()));
        assert_eq!(failed, (Outcome::Unknown, "timed out".into()));
        assert_eq!(answer(r#"promql("x") > 0.05"#, Found::Count(3)).0, Outcome::Unknown);
    }

    #[test]
    fn lines_and_conditions_are_compared() {
        assert_eq!(answer(r#"log("x", within: 5m) >= 3"#, Found::Count(2)), (Outcome::No, "2 lines".into()));
        assert_eq!(answer(r#"log("x", within: 5m) == 0"#, Found::Count(0)).0, Outcome::Yes);
        let partly = |condition: &str| answer(condition, Found::AtLeast(3)).0;
        assert_eq!(partly(r#"log("x", within: 5m) >= 3"#), Outcome::Yes);
        assert_eq!(partly(r#"log("x", within: 5m) == 0"#), Outcome::No);
        assert_eq!(partly(r#"log("x", within: 5m) < 3"#), Outcome::No);
        assert_eq!(partly(r#"log("x", within: 5m) < 4"#), Outcome::Unknown);
        assert_eq!(partly(r#"log("x", within: 5m) >= 4"#), Outcome::Unknown);
        let ready =
            |status: &str| answer(r#"condition(node, "Ready") != "True""#, Found::Status(status.into()));
        assert_eq!(ready("Unknown"), (Outcome::Yes, "Ready is Unknown".into()));
        assert_eq!(ready("True").0, Outcome::No);
    }

    #[test]
    fn a_table_of_any_shape_is_read_in_bounded_time() {
        for odd in
            ["", "\n\n", "A B C", "A\n1 2 3\n", "A B C\n1\n", &"x ".repeat(100_000), &"a b\n".repeat(100_000)]
        {
            assert!(rows(odd).lines().count() <= MOST_ROWS);
        }
        assert_eq!(rows("A B\n1 2 3"), "A: 1, B: 2 3\n");
    }
}
