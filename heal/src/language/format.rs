//! A syntax tree as text, in its one form. Reading the text again gives an equal tree.

use super::{
    ast::{
        Attribute, Call, Check, Commented, Condition, Expression, File, Given, Line, List, Operator, Rule,
        Step, Subject, Value, Verify, Which,
    },
    duration,
};

/// How long a line may get before a list is broken into lines.
const WIDTH: usize = 100;
const INDENT: &str = "  ";

/// The file as text. Empty for no rules and no comments.
pub fn format(file: &File) -> String {
    let mut out = String::new();
    for rule in &file.rules {
        if !out.is_empty() {
            out.push('\n');
        }
        lines(&mut out, &rule.before, 0);
        self::rule(&mut out, &rule.value);
        out.push('}');
        end(&mut out, &rule.after);
    }
    if !out.is_empty() && !file.end.is_empty() {
        out.push('\n');
    }
    lines(&mut out, &file.end, 0);
    out
}

fn rule(out: &mut String, rule: &Rule) {
    let on = &rule.on;
    let mut listens = format!("on {} {}", on.value.origin.value.word(), text(&on.value.name.value));
    if let Some(filter) = &on.value.filter {
        listens.push_str(" where ");
        expression(&mut listens, filter, 0);
    }
    match &rule.name {
        Some(name) => {
            out.push_str(&format!("rule {} {{\n", text(&name.value)));
            clause(out, on, &listens);
        }
        None => out.push_str(&format!("{listens} {{\n")),
    }
    let when = if rule.name.is_some() { "when " } else { "" };
    for condition in &rule.when {
        clause(out, condition, &format!("{when}{}", self::condition(&condition.value)));
    }
    if let Some(unless) = &rule.unless {
        clause(out, unless, &format!("unless healed within {}", duration::show(unless.value.value)));
    }
    for limit in &rule.limits {
        let (count, per) = (limit.value.count.value, duration::show(limit.value.per.value));
        clause(out, limit, &format!("limit {count} per {per} per {}", limit.value.scope.value.word()));
    }
    steps(out, "then", &rule.then, true);
    if let Some(verify) = &rule.verify {
        let head = format!("verify within {} ", duration::show(verify.value.within.value));
        list(out, verify, &head, ("{", "}"), &verify.value.checks, &check, false);
    }
    if let Some(otherwise) = &rule.otherwise {
        steps(out, "else", otherwise, false);
    }
    lines(out, &rule.end, 1);
}

/// One line of a rule with its comments.
fn clause<T>(out: &mut String, commented: &Commented<T>, line: &str) {
    lines(out, &commented.before, 1);
    out.push_str(INDENT);
    out.push_str(line);
    end(out, &commented.after);
}

fn steps(out: &mut String, keyword: &str, steps: &Commented<List<Step>>, broken: bool) {
    list(out, steps, &format!("{keyword} "), ("[", "]"), &steps.value, &step, broken);
}

/// On one line where it fits and nobody commented on its parts, unless it shall be broken.
fn list<C, T>(
    out: &mut String,
    commented: &Commented<C>,
    head: &str,
    (open, close): (&str, &str),
    list: &List<T>,
    show: &dyn Fn(&T) -> String,
    broken: bool,
) {
    lines(out, &commented.before, 1);
    let items: Vec<String> = list.items.iter().map(|item| show(&item.value)).collect();
    let plain =
        list.end.is_empty() && list.items.iter().all(|item| item.before.is_empty() && item.after.is_none());
    let one_line = match items.is_empty() {
        true => format!("{INDENT}{head}{open}{close}"),
        false => format!("{INDENT}{head}{open} {} {close}", items.join(", ")),
    };
    if plain && (items.is_empty() || !broken && one_line.chars().count() <= WIDTH) {
        out.push_str(&one_line);
        return end(out, &commented.after);
    }
    out.push_str(&format!("{INDENT}{head}{open}\n"));
    for (place, (item, shown)) in list.items.iter().zip(&items).enumerate() {
        lines(out, &item.before, 2);
        out.push_str(&INDENT.repeat(2));
        out.push_str(shown);
        if place + 1 < items.len() {
            out.push(',');
        }
        end(out, &item.after);
    }
    lines(out, &list.end, 2);
    out.push_str(INDENT);
    out.push_str(close);
    end(out, &commented.after);
}

fn lines(out: &mut String, lines: &[Line], depth: usize) {
    for line in lines {
        if let Line::Comment(comment) = line {
            out.push_str(&INDENT.repeat(depth));
            out.push_str(comment);
        }
        out.push('\n');
    }
}

fn end(out: &mut String, after: &Option<String>) {
    if let Some(comment) = after {
        out.push(' ');
        out.push_str(comment);
    }
    out.push('\n');
}

/// `around` says what is around it: 0 nothing, 1 `or`, 2 `and`, 3 `not`. What binds weaker gets parentheses.
fn expression(out: &mut String, expression: &Expression, around: u8) {
    let (joint, operands, strength) = match expression {
        Expression::Or(operands) => (" or ", operands, 1),
        Expression::And(operands) => (" and ", operands, 2),
        Expression::Not(inner) => {
            if let Expression::In { attribute, values } = inner.as_ref() {
                out.push_str(&format!("{} not in {}", self::attribute(attribute), self::values(values)));
            } else {
                out.push_str("not ");
                self::expression(out, inner, 3);
            }
            return;
        }
        Expression::Compare { attribute, operator, value } => {
            out.push_str(&format!(
                "{} {} {}",
                self::attribute(attribute),
                operator.value.word(),
                self::value(&value.value)
            ));
            return;
        }
        Expression::In { attribute, values } => {
            out.push_str(&format!("{} in {}", self::attribute(attribute), self::values(values)));
            return;
        }
    };
    if strength <= around {
        out.push('(');
    }
    for (place, operand) in operands.iter().enumerate() {
        if place > 0 {
            out.push_str(joint);
        }
        self::expression(out, operand, strength);
    }
    if strength <= around {
        out.push(')');
    }
}

/// As it is written.
pub(crate) fn filter(filter: &Expression) -> String {
    let mut out = String::new();
    expression(&mut out, filter, 0);
    out
}

/// As it is written.
pub(crate) fn attribute(attribute: &Attribute) -> String {
    match &attribute.key {
        None => attribute.name.value.clone(),
        Some(key) if is_word(&key.value) => format!("{}.{}", attribute.name.value, key.value),
        Some(key) => format!("{}[{}]", attribute.name.value, text(&key.value)),
    }
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_alphanumeric() || c == '_')
}

fn values(values: &[super::At<Value>]) -> String {
    let values: Vec<String> = values.iter().map(|value| self::value(&value.value)).collect();
    format!("[{}]", values.join(", "))
}

/// As it is written.
fn value(value: &Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        Value::Text(text) => self::text(text),
    }
}

/// As it is written.
pub(crate) fn condition(condition: &Condition) -> String {
    let compared = |operator: Operator, with: &dyn std::fmt::Display| format!("{} {with}", operator.word());
    match condition {
        Condition::Promql { query, operator, bound, lasting } => {
            let lasting = lasting.as_ref().map(|lasting| format!(" for {}", duration::show(lasting.value)));
            format!(
                "promql({}) {}{}",
                text(&query.value),
                compared(operator.value, &bound.value),
                lasting.unwrap_or_default()
            )
        }
        Condition::Exec { pod, command, pattern, operator, value } => {
            let place = pod.as_ref().map(|pod| {
                let which = match &pod.which.value {
                    Which::Subject(subject) => subject.word().to_string(),
                    Which::Name(name) => text(name),
                };
                match &pod.container {
                    None => format!("in pod({which}) "),
                    Some(container) => format!("in pod({which}, container: {}) ", text(&container.value)),
                }
            });
            format!(
                "exec {}{} -> parse({}) {}",
                place.unwrap_or_default(),
                text(&command.value),
                text(&pattern.value),
                compared(operator.value, &self::value(&value.value))
            )
        }
        Condition::Log { pattern, within, operator, count } => format!(
            "log({}, within: {}) {}",
            text(&pattern.value),
            duration::show(within.value),
            compared(operator.value, &count.value)
        ),
        Condition::Status { subject, name, operator, value } => format!(
            "condition({}, {}) {}",
            Subject::word(subject.value),
            text(&name.value),
            compared(operator.value, &text(&value.value))
        ),
    }
}

/// As it is written.
fn check(check: &Check) -> String {
    match check {
        Check::AlertResolved(_) => "alert resolved".into(),
        Check::RolloutHealthy(_) => "rollout healthy".into(),
        Check::Holds(condition) => self::condition(condition),
    }
}

/// As it is written.
pub(crate) fn step(step: &Step) -> String {
    match step {
        Step::Wait(wait) => format!("wait {}", duration::show(wait.value)),
        Step::Action(call) => self::call(call),
    }
}

fn call(call: &Call) -> String {
    let arguments: Vec<String> = call
        .arguments
        .iter()
        .map(|argument| match &argument.name {
            Some(name) => format!("{}: {}", name.value, given(&argument.value.value)),
            None => given(&argument.value.value),
        })
        .collect();
    format!("{}({})", call.action.value, arguments.join(", "))
}

fn given(given: &Given) -> String {
    match given {
        Given::Subject(subject) => subject.word().into(),
        Given::Text(text) => self::text(text),
        Given::Number(number) => number.to_string(),
        Given::Change(change) => format!("{change:+}"),
        Given::Duration(length) => duration::show(*length),
    }
}

/// In quotes, with escapes for what cannot stand there and for what cannot be seen.
fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            // Controls, and the marks that turn the direction of writing and so hide what a rule does.
            c if c.is_control()
                || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}') =>
            {
                out.push_str(&format!("\\u{{{:x}}}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

impl Verify {
    /// As they are written, without the brackets.
    pub fn shown(&self) -> Vec<String> {
        self.checks.items.iter().map(|item| check(&item.value)).collect()
    }
}
