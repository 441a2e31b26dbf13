//! `when` and `verify`: questions that can be asked and answered.

use super::{is_order, is_pattern, pattern, *};
use crate::language::{
    ast::{Condition, Operator, Value},
    promql, suggest,
};

/// `within` is how long it may take inside of `verify`.
pub(super) fn check(problems: &mut Problems, condition: &Condition, within: Option<Duration>) {
    match condition {
        Condition::Promql { query, operator, lasting, .. } => {
            if let Some(flaw) = promql::flaw(&query.value) {
                problems.push(Problem::error(query.span, flaw));
            }
            numeric(problems, operator);
            if let Some(lasting) = lasting {
                between(problems, lasting, SECOND, DAY, "the time a query must hold");
                if within.is_some_and(|within| lasting.value >= within) {
                    problems.push(
                        Problem::error(lasting.span, "this can never be verified in time")
                            .help("it must hold for longer than there is time: give `within` more"),
                    );
                }
            }
        }
        Condition::Exec { pod, command, pattern: parse, operator, value } => {
            if command.value.trim().is_empty() {
                problems.push(Problem::error(command.span, "there is no command"));
            }
            if let Some(container) = pod.as_ref().and_then(|pod| pod.container.as_ref()) {
                not_empty(problems, container, "the container's name");
            }
            if let Some(regex) = pattern(problems, parse.span, &parse.value)
                && regex.captures_len() > 2
            {
                problems.push(
                    Problem::warning(parse.span, "only the first group is used")
                        .help("groups that only bind together are written `(?:…)`"),
                );
            }
            match &value.value {
                Value::Number(_) if is_pattern(operator.value) => problems.push(
                    Problem::error(
                        value.span,
                        format!("`{}` takes a regular expression", operator.value.word()),
                    )
                    .help("put it into quotes"),
                ),
                Value::Number(_) => {}
                Value::Text(_) if is_order(operator.value) => problems.push(
                    Problem::error(operator.span, format!("`{}` compares numbers", operator.value.word()))
                        .help("write the number without quotes"),
                ),
                Value::Text(text) => {
                    if is_pattern(operator.value) {
                        pattern(problems, value.span, text);
                    }
                }
            }
        }
        Condition::Log { pattern: lines, within, operator, count } => {
            pattern(problems, lines.span, &lines.value);
            between(problems, within, SECOND, DAY, "the time to look back");
            numeric(problems, operator);
            if count.value < 0.0 || count.value.fract() != 0.0 {
                problems.push(Problem::error(count.span, "lines are counted in whole numbers"));
            } else if count.value == 0.0
                && matches!(operator.value, Operator::Less | Operator::GreaterOrEqual)
            {
                let always = if operator.value == Operator::Less { "never" } else { "always" };
                problems.push(Problem::error(count.span, format!("this is {always} true")));
            }
        }
        Condition::Status { name, operator, value, .. } => {
            not_empty(problems, name, "the condition's type");
            if !matches!(operator.value, Operator::Equal | Operator::NotEqual) {
                problems.push(Problem::error(operator.span, "a condition is compared by `==` or `!=`"));
            }
            let known = ["True", "False", "Unknown"];
            if !known.contains(&value.value.as_str()) {
                let help = match suggest::nearest(&value.value, ["true", "false", "unknown"]) {
                    Some("true") => "did you mean \"True\"?".to_string(),
                    Some("false") => "did you mean \"False\"?".to_string(),
                    Some(_) => "did you mean \"Unknown\"?".to_string(),
                    None => "write \"True\", \"False\" or \"Unknown\"".to_string(),
                };
                problems.push(
                    Problem::error(value.span, format!("a condition is never \"{}\"", shown(&value.value)))
                        .help(help),
                );
            }
        }
    }
}

fn numeric(problems: &mut Problems, operator: &At<Operator>) {
    if is_pattern(operator.value) {
        problems.push(
            Problem::error(
                operator.span,
                format!("`{}` compares texts, and this is a number", operator.value.word()),
            )
            .help("use `==`, `!=`, `<`, `<=`, `>` or `>=`"),
        );
    }
}

fn not_empty(problems: &mut Problems, text: &At<String>, what: &str) {
    if text.value.trim().is_empty() {
        problems.push(Problem::error(text.span, format!("{what} is empty")));
    }
}
