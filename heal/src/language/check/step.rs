//! Steps against the catalogue.

use super::*;
use crate::language::{
    Kind, Parameter, Shape,
    ast::{Argument, Call, Given, Subject},
    suggest,
};
use crate::rules::ANY;

pub(super) fn check(problems: &mut Problems, call: &Call, catalogue: &Catalogue) {
    let name = &call.action;
    let Some(shape) = catalogue.shape(&name.value) else {
        let known = catalogue.shapes().iter().map(|shape| shape.name.as_str());
        problems.push(
            Problem::error(name.span, format!("there is no action `{}`", shown(&name.value)))
                .help(suggest::did_you_mean(&name.value, known)),
        );
        return;
    };
    let mut given: Vec<(&Parameter, &At<Given>)> = Vec::new();
    // Then what seems to be missing is probably there under another name.
    let mut mistyped = false;
    let mut by_place = shape.parameters.iter().filter(|parameter| parameter.by_place);
    for argument in &call.arguments {
        let Some(parameter) = parameter(problems, shape, argument, &mut by_place) else {
            mistyped = true;
            continue;
        };
        if let Some((_, first)) = given.iter().find(|(known, _)| known.name == parameter.name) {
            let span = argument.name.as_ref().map_or(argument.value.span, |name| name.span);
            problems.push(
                Problem::error(span, format!("`{}` is given twice", parameter.name))
                    .related(first.span, "the first one"),
            );
            continue;
        }
        value(problems, parameter, &argument.value);
        given.push((parameter, &argument.value));
    }
    for parameter in shape.parameters.iter().filter(|parameter| parameter.required && !mistyped) {
        if !given.iter().any(|(known, _)| known.name == parameter.name) {
            problems.push(
                Problem::error(name.span, format!("`{}` needs `{}`", shape.name, parameter.name))
                    .help(format!("write {}", shape.usage())),
            );
        }
    }
    bounds(problems, &given);
}

fn parameter<'a>(
    problems: &mut Problems,
    shape: &'a Shape,
    argument: &Argument,
    by_place: &mut impl Iterator<Item = &'a Parameter>,
) -> Option<&'a Parameter> {
    let Some(name) = &argument.name else {
        let next = by_place.next();
        if next.is_none() {
            problems.push(
                Problem::error(
                    argument.value.span,
                    format!("`{}` takes nothing here without a name", shape.name),
                )
                .help(format!("write {}", shape.usage())),
            );
        }
        return next;
    };
    let found = shape.parameters.iter().find(|parameter| parameter.name == name.value);
    if found.is_none() {
        let known: Vec<&str> = shape.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        let help = match suggest::nearest(&name.value, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("write {}", shape.usage()),
        };
        problems.push(
            Problem::error(name.span, format!("`{}` has no parameter `{}`", shape.name, shown(&name.value)))
                .help(help),
        );
    }
    found
}

fn value(problems: &mut Problems, parameter: &Parameter, given: &At<Given>) {
    let wanted = match (&parameter.kind, &given.value) {
        (Kind::Target(subjects), Given::Subject(subject)) if subjects.contains(subject) => return,
        (Kind::Target(_), Given::Text(text)) if is_target(text) => return,
        (Kind::Text, Given::Text(text)) if !text.trim().is_empty() => return,
        (Kind::Count | Kind::Change, Given::Number(number)) if is_count(*number) => return,
        (Kind::Change, Given::Change(change)) if is_count(change.abs()) && *change != 0.0 => return,
        (Kind::Duration, Given::Duration(length)) if !length.is_zero() => return,
        (Kind::Target(subjects), _) => {
            let words = subjects.iter().map(|subject: &Subject| subject.word());
            let words = suggest::listed(words);
            let or = if words.is_empty() { "" } else { " or " };
            format!("{words}{or}a name in quotes, such as \"deploy/checkout\"")
        }
        (Kind::Text, _) => "a text in quotes".into(),
        (Kind::Count, _) => "a whole number".into(),
        (Kind::Change, _) => "a whole number, or a change such as `+2`".into(),
        (Kind::Duration, _) => "a duration such as `5m`".into(),
    };
    problems.push(Problem::error(given.span, format!("`{}` is {wanted}", parameter.name)));
}

fn is_count(number: f64) -> bool {
    number.fract() == 0.0 && (0.0..=1_000_000.0).contains(&number)
}

/// `checkout` or `deploy/checkout`, of letters that names of objects have.
fn is_target(text: &str) -> bool {
    let (kind, name) = text.split_once('/').unwrap_or((ANY, text));
    let is_name = |text: &str, more: &str| {
        !text.is_empty()
            && text.len() <= 253
            && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.ends_with(|c: char| c.is_ascii_alphanumeric())
    };
    is_name(kind, "") && is_name(name, "-.") && !name.contains(|c: char| c.is_ascii_uppercase())
}

/// A change needs an end, or each healing makes it grow; and bounds must leave room.
fn bounds(problems: &mut Problems, given: &[(&Parameter, &At<Given>)]) {
    let find =
        |name: &str| given.iter().find(|(parameter, _)| parameter.name == name).map(|(_, given)| *given);
    let number = |given: Option<&At<Given>>| match given.map(|given| &given.value) {
        Some(Given::Number(number)) => Some(*number),
        _ => None,
    };
    let (min, max) = (find("min"), find("max"));
    if let (Some(least), Some(most), Some(max)) = (number(min), number(max), max)
        && least > most
    {
        problems.push(Problem::error(max.span, "`max` is below `min`"));
    }
    for (parameter, change) in given.iter().filter(|(parameter, _)| parameter.kind == Kind::Change) {
        match change.value {
            Given::Change(by) if by > 0.0 && max.is_none() => problems.push(
                Problem::warning(change.span, format!("`{}` grows with every healing", parameter.name))
                    .help("give it an end: `max: 12`"),
            ),
            Given::Change(by) if by < 0.0 && min.is_none() => problems.push(
                Problem::warning(change.span, format!("`{}` shrinks with every healing", parameter.name))
                    .help("give it an end: `min: 2`"),
            ),
            Given::Number(count)
                if number(max).is_some_and(|max| count > max)
                    || number(min).is_some_and(|min| count < min) =>
            {
                problems.push(Problem::error(
                    change.span,
                    format!("`{}` lies outside of its own bounds", parameter.name),
                ));
            }
            _ => {}
        }
    }
}
