//! `where`: attributes that exist, compared with what they can be.

use super::{is_order, is_pattern, pattern, *};
use crate::language::{
    ast::{Attribute, Operator, Value},
    suggest,
};

/// Attributes that are texts.
pub(in crate::language) const TEXTS: [&str; 8] =
    ["name", "source", "cluster", "namespace", "workload", "kind", "pod", "node"];
/// Attributes that hold texts by name.
pub(in crate::language) const MAPS: [&str; 2] = ["labels", "annotations"];

#[derive(Clone, Copy, PartialEq)]
enum Type {
    Number,
    Text,
    /// A label: a text, which can be a number.
    Either,
}

pub(super) fn check(problems: &mut Problems, filter: &Expression) {
    match filter {
        Expression::Or(parts) => parts.iter().for_each(|part| check(problems, part)),
        Expression::And(parts) => {
            parts.iter().for_each(|part| check(problems, part));
            contradiction(problems, parts);
        }
        Expression::Not(inner) => check(problems, inner),
        Expression::Compare { attribute, operator, value } => {
            let Some(kind) = kind_of(problems, attribute) else { return };
            compare(problems, attribute, kind, *operator, value, operator.span);
        }
        Expression::In { attribute, values } => {
            let Some(kind) = kind_of(problems, attribute) else { return };
            for value in values {
                let equal = At::new(Operator::Equal, value.span);
                compare(problems, attribute, kind, equal, value, value.span);
            }
        }
    }
}

fn kind_of(problems: &mut Problems, attribute: &Attribute) -> Option<Type> {
    let name = attribute.name.value.as_str();
    let is_map = MAPS.contains(&name);
    let known = is_map || name == "severity" || TEXTS.contains(&name);
    if !known {
        let all = ["severity"].into_iter().chain(TEXTS).chain(MAPS);
        let help = match suggest::nearest(name, all.clone()) {
            Some(near) => format!("did you mean `{near}`? A label is written `labels.{}`", shown(name)),
            None => {
                format!("a label is written `labels.{}`; an event has {}", shown(name), suggest::listed(all))
            }
        };
        problems.push(
            Problem::error(attribute.name.span, format!("an event has no `{}`", shown(name))).help(help),
        );
        return None;
    }
    match (&attribute.key, is_map) {
        (None, true) => {
            problems.push(
                Problem::error(attribute.name.span, format!("`{name}` are many"))
                    .help(format!("say which: `{name}.app`")),
            );
            None
        }
        (Some(key), false) => {
            problems.push(
                Problem::error(key.span, format!("`{name}` has nothing inside"))
                    .help(format!("write `{name}`, or `labels.{}`", shown(&key.value))),
            );
            None
        }
        (_, true) => Some(Type::Either),
        (_, false) if name == "severity" => Some(Type::Number),
        (_, false) => Some(Type::Text),
    }
}

fn compare(
    problems: &mut Problems,
    attribute: &Attribute,
    kind: Type,
    operator: At<Operator>,
    value: &At<Value>,
    at: Span,
) {
    let name = crate::language::format::attribute(attribute);
    let sign = operator.value.word();
    match &value.value {
        Value::Text(text) => {
            if kind == Type::Number {
                problems.push(
                    Problem::error(value.span, format!("`{name}` is a number"))
                        .help(format!("write it without quotes: `{name} {sign} 3`")),
                );
            } else if is_order(operator.value) {
                problems.push(
                    Problem::error(at, format!("`{sign}` compares numbers"))
                        .help("write the number without quotes, or use `==` or `=~`"),
                );
            } else if is_pattern(operator.value) {
                pattern(problems, value.span, text);
            }
        }
        Value::Number(number) => {
            if kind == Type::Text {
                problems.push(
                    Problem::error(value.span, format!("`{name}` is a text"))
                        .help(format!("put it into quotes: \"{number}\"")),
                );
            } else if is_pattern(operator.value) {
                problems.push(
                    Problem::error(value.span, format!("`{sign}` takes a regular expression"))
                        .help(format!("put it into quotes: \"{number}\"")),
                );
            } else if kind == Type::Number {
                let passing = severities(operator.value, *number);
                if passing.is_empty() || passing.len() == 5 {
                    let always = if passing.is_empty() { "never" } else { "always" };
                    problems.push(
                        Problem::error(value.span, format!("this is {always} true: severity is 1 to 5"))
                            .help("5 is the worst"),
                    );
                }
            }
        }
    }
}

/// Which severities pass.
fn severities(operator: Operator, bound: f64) -> Vec<u8> {
    (1..=5).filter(|severity| crate::language::compare(operator, f64::from(*severity), bound)).collect()
}

/// Parts that cannot be true together.
fn contradiction(problems: &mut Problems, parts: &[Expression]) {
    let mut severity: Vec<u8> = (1..=5).collect();
    let mut equal: BTreeMap<String, (&str, Span)> = BTreeMap::new();
    for part in parts {
        let Expression::Compare { attribute, operator, value } = part else { continue };
        match &value.value {
            Value::Number(bound) if attribute.name.value == "severity" && !is_pattern(operator.value) => {
                let passing = severities(operator.value, *bound);
                let before = severity.len();
                severity.retain(|severity| passing.contains(severity));
                // When one alone never holds, that has been told.
                if severity.is_empty() && before > 0 && !passing.is_empty() {
                    problems.push(
                        Problem::error(attribute.span().to(value.span), "no severity passes all of these")
                            .help("this rule would never act"),
                    );
                }
            }
            Value::Text(text) if operator.value == Operator::Equal => {
                let name = crate::language::format::attribute(attribute);
                match equal.get(&name) {
                    Some((other, first)) if other != text => problems.push(
                        Problem::error(attribute.span().to(value.span), format!("`{name}` cannot be both"))
                            .related(*first, "the other")
                            .help("this rule would never act; for either of them write `in […]`"),
                    ),
                    Some(_) => {}
                    None => {
                        equal.insert(name, (text, attribute.span().to(value.span)));
                    }
                }
            }
            _ => {}
        }
    }
}
