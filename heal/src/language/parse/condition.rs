//! What stands behind `when` and inside of `verify`.

use super::{clause::closed, expression::value, *};
use crate::language::ast::{Check, Condition, Pod, Subject, Which};

const CONDITIONS: [&str; 4] = ["promql", "exec", "log", "condition"];

/// Whether a condition begins here.
pub(super) fn begins(input: &Input<'_>) -> bool {
    matches!(peek(input).kind, Kind::Word(word) if CONDITIONS.contains(&word))
}

pub(super) fn condition(input: &mut Input<'_>) -> Parsed<Condition> {
    match peek(input).kind {
        Kind::Word("promql") => promql(input),
        Kind::Word("exec") => exec(input),
        Kind::Word("log") => log(input),
        Kind::Word("condition") => status(input),
        _ => Err(expected_word(input, "a condition", &CONDITIONS)),
    }
}

/// `alert resolved`, `rollout healthy` or a condition.
pub(super) fn check(input: &mut Input<'_>) -> Parsed<Check> {
    let start = peek(input).span;
    match peek(input).kind {
        Kind::Word("alert") => {
            next(input);
            Ok(Check::AlertResolved(start.to(word("resolved").parse_next(input)?)))
        }
        Kind::Word("rollout") => {
            next(input);
            Ok(Check::RolloutHealthy(start.to(word("healthy").parse_next(input)?)))
        }
        _ if begins(input) => Ok(Check::Holds(Box::new(condition(input)?))),
        _ => Err(expected_word(
            input,
            "something to check",
            &["alert resolved", "rollout healthy", "promql", "exec", "log", "condition"],
        )),
    }
}

/// `promql("…") > 0.05 for 2m`
fn promql(input: &mut Input<'_>) -> Parsed<Condition> {
    next(input);
    sign("(").parse_next(input)?;
    let query = text("a PromQL query in quotes").parse_next(input)?;
    sign(")").parse_next(input)?;
    let operator = operator(input)?;
    let bound = number(input)?;
    let lasting = if at_word(input, "for") {
        next(input);
        Some(duration(input)?)
    } else {
        None
    };
    Ok(Condition::Promql { query, operator, bound, lasting })
}

/// `exec in pod(workload) "df -h /data" -> parse("Use%: ([0-9]+)%") > 95`
fn exec(input: &mut Input<'_>) -> Parsed<Condition> {
    next(input);
    let pod = if at_word(input, "in") {
        next(input);
        Some(pod(input)?)
    } else {
        None
    };
    let command = text("the command in quotes").parse_next(input)?;
    if !at_sign(input, "->") {
        let help = "say what to read from its output: `exec \"…\" -> parse(\"([0-9]+)%\") > 95`";
        return Err(helped(expected(input, "`->`"), help));
    }
    next(input);
    word("parse").parse_next(input)?;
    sign("(").parse_next(input)?;
    let pattern = text("a regular expression in quotes").parse_next(input)?;
    sign(")").parse_next(input)?;
    let operator = operator(input)?;
    Ok(Condition::Exec { pod, command, pattern, operator, value: value(input)? })
}

/// `pod(workload)`, `pod("checkout-0", container: "app")`
fn pod(input: &mut Input<'_>) -> Parsed<Pod> {
    word("pod").parse_next(input)?;
    sign("(").parse_next(input)?;
    let which = match &peek(input).kind {
        Kind::Text(name) => At::new(Which::Name(name.clone()), next(input).span),
        _ => {
            let subject = closed(
                input,
                "`workload`, `pod` or a pod's name in quotes",
                &[Subject::Workload, Subject::Pod],
                Subject::word,
            )?;
            At::new(Which::Subject(subject.value), subject.span)
        }
    };
    let mut container = None;
    if at_sign(input, ",") {
        next(input);
        word("container").parse_next(input)?;
        sign(":").parse_next(input)?;
        container = Some(text("the container's name in quotes").parse_next(input)?);
    }
    sign(")").parse_next(input)?;
    Ok(Pod { which, container })
}

/// `log("OutOfMemory", within: 5m) >= 3`
fn log(input: &mut Input<'_>) -> Parsed<Condition> {
    next(input);
    sign("(").parse_next(input)?;
    let pattern = text("a regular expression in quotes").parse_next(input)?;
    if !at_sign(input, ",") {
        let help = "say how far back to look: `log(\"…\", within: 5m)`";
        return Err(helped(expected(input, "`,`"), help));
    }
    next(input);
    word("within").parse_next(input)?;
    sign(":").parse_next(input)?;
    let within = duration(input)?;
    sign(")").parse_next(input)?;
    let operator = operator(input)?;
    Ok(Condition::Log { pattern, within, operator, count: number(input)? })
}

/// `condition(node, "Ready") == "False"`
fn status(input: &mut Input<'_>) -> Parsed<Condition> {
    next(input);
    sign("(").parse_next(input)?;
    let subject = closed(input, "what has the condition", Subject::ALL, Subject::word)?;
    sign(",").parse_next(input)?;
    let name = text("the condition's type in quotes").parse_next(input)?;
    sign(")").parse_next(input)?;
    let operator = operator(input)?;
    let value = text("\"True\", \"False\" or \"Unknown\"").parse_next(input)?;
    Ok(Condition::Status { subject, name, operator, value })
}
