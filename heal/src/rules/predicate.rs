//! `where`, compiled: expressions are compiled once, not for every event.

use super::Look;
use crate::{
    event::Event,
    language::{
        At,
        ast::{Attribute, Expression, Operator, Value},
        compare, filter_text, pattern,
    },
};
use regex::Regex;
use std::collections::HashSet;

/// Something that an event has or has not.
#[derive(Debug)]
pub(super) enum Predicate {
    All(Vec<Predicate>),
    Any(Vec<Predicate>),
    Not(Box<Predicate>),
    Severity(Operator, f64),
    /// Of a label that holds a number; what holds none does not pass.
    Number(Field, Operator, f64),
    Equal(Field, String),
    OneOf(Field, HashSet<String>),
    Matches(Field, Regex),
}

/// Where in the event to look.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Field {
    name: String,
    key: Option<String>,
}

impl Field {
    pub fn of<'e>(&self, event: &'e Event) -> &'e str {
        event.text(&self.name, self.key.as_deref())
    }
}

impl Predicate {
    /// None when it has a regular expression that the checker would have refused.
    pub fn compile(expression: &Expression) -> Option<Predicate> {
        let all = |parts: &[Expression]| parts.iter().map(Predicate::compile).collect::<Option<Vec<_>>>();
        Some(match expression {
            Expression::And(parts) => Predicate::All(all(parts)?),
            Expression::Or(parts) => Predicate::Any(all(parts)?),
            Expression::Not(inner) => Predicate::Not(Box::new(Predicate::compile(inner)?)),
            Expression::Compare { attribute, operator, value } => {
                comparison(field(attribute), operator.value, &value.value)?
            }
            Expression::In { attribute, values } => one_of(attribute, values)?,
        })
    }

    pub fn holds(&self, event: &Event) -> bool {
        match self {
            Predicate::All(parts) => parts.iter().all(|part| part.holds(event)),
            Predicate::Any(parts) => parts.iter().any(|part| part.holds(event)),
            Predicate::Not(inner) => !inner.holds(event),
            Predicate::Severity(operator, bound) => {
                compare(*operator, f64::from(event.severity.number()), *bound)
            }
            Predicate::Number(field, operator, bound) => {
                field.of(event).trim().parse().is_ok_and(|number: f64| compare(*operator, number, *bound))
            }
            Predicate::Equal(field, text) => field.of(event) == text,
            Predicate::OneOf(field, texts) => texts.contains(field.of(event)),
            Predicate::Matches(field, regex) => regex.is_match(field.of(event)),
        }
    }

    /// What must hold of one field, or the rest does not matter: what the index goes by.
    pub fn key(&self) -> Option<Key<'_>> {
        match self {
            Predicate::Equal(field, text) => Some(Key::Texts(field, vec![text])),
            Predicate::OneOf(field, texts) => {
                Some(Key::Texts(field, texts.iter().map(String::as_str).collect()))
            }
            Predicate::Matches(field, regex) => Some(Key::Pattern(field, regex.as_str())),
            // The one with the fewest texts.
            Predicate::All(parts) => parts.iter().filter_map(Predicate::key).min_by_key(|key| match key {
                Key::Texts(_, texts) => texts.len(),
                Key::Pattern(..) => usize::MAX,
            }),
            _ => None,
        }
    }
}

/// A field that must have one of these texts, or match this expression.
pub(super) enum Key<'p> {
    Texts(&'p Field, Vec<&'p str>),
    Pattern(&'p Field, &'p str),
}

fn field(attribute: &Attribute) -> Field {
    Field { name: attribute.name.value.clone(), key: attribute.key.as_ref().map(|key| key.value.clone()) }
}

fn comparison(field: Field, operator: Operator, value: &Value) -> Option<Predicate> {
    let not = |predicate| Predicate::Not(Box::new(predicate));
    Some(match (operator, value) {
        (_, Value::Number(bound)) if field.name == "severity" => Predicate::Severity(operator, *bound),
        // What is no number is not equal to one.
        (Operator::NotEqual, Value::Number(bound)) => not(Predicate::Number(field, Operator::Equal, *bound)),
        (_, Value::Number(bound)) => Predicate::Number(field, operator, *bound),
        (Operator::Matches, Value::Text(text)) => Predicate::Matches(field, pattern::whole(text).ok()?),
        (Operator::MatchesNot, Value::Text(text)) => {
            not(Predicate::Matches(field, pattern::whole(text).ok()?))
        }
        (Operator::NotEqual, Value::Text(text)) => not(Predicate::Equal(field, text.clone())),
        (_, Value::Text(text)) => Predicate::Equal(field, text.clone()),
    })
}

fn one_of(attribute: &Attribute, values: &[At<Value>]) -> Option<Predicate> {
    let field = field(attribute);
    let texts: Option<HashSet<String>> = values
        .iter()
        .map(|value| match &value.value {
            Value::Text(text) => Some(text.clone()),
            Value::Number(_) => None,
        })
        .collect();
    if let Some(texts) = texts {
        return Some(Predicate::OneOf(field, texts));
    }
    let each = values.iter().map(|value| comparison(field.clone(), Operator::Equal, &value.value));
    Some(Predicate::Any(each.collect::<Option<_>>()?))
}

/// Each part that must hold, with what the event has there.
pub(super) fn explain(filter: &Expression, event: &Event) -> Vec<Look> {
    let parts = match filter {
        Expression::And(parts) => parts.as_slice(),
        other => std::slice::from_ref(other),
    };
    parts
        .iter()
        .map(|part| {
            let holds = Predicate::compile(part).is_some_and(|predicate| predicate.holds(event));
            let mut has = Vec::new();
            what_it_has(part, event, &mut has);
            has.dedup();
            Look::new(filter_text(part), holds.into(), has.join(", "))
        })
        .collect()
}

fn what_it_has(expression: &Expression, event: &Event, has: &mut Vec<String>) {
    let attribute = match expression {
        Expression::And(parts) | Expression::Or(parts) => {
            return parts.iter().for_each(|part| what_it_has(part, event, has));
        }
        Expression::Not(inner) => return what_it_has(inner, event, has),
        Expression::Compare { attribute, .. } | Expression::In { attribute, .. } => attribute,
    };
    let field = field(attribute);
    let name = crate::language::attribute_text(attribute);
    has.push(match field.of(event) {
        _ if field.name == "severity" => format!("{name} is {}", event.severity),
        "" => format!("it has no {name}"),
        text => format!("{name} is \"{}\"", crate::language::shown(text)),
    });
}
