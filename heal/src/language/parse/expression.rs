//! What stands behind `where`.

use super::*;
use crate::language::ast::{Attribute, Expression, Value};

/// `or` binds weakest, then `and`, then `not`.
pub(super) fn expression(input: &mut Input<'_>) -> Parsed<Expression> {
    joined(input, "or", |input| joined(input, "and", negation, Expression::And), Expression::Or)
}

/// One operand, or several with the word between them. Parentheses around operands of the same kind change nothing.
fn joined<'t>(
    input: &mut Input<'t>,
    joint: &'static str,
    operand: impl Fn(&mut Input<'t>) -> Parsed<Expression>,
    join: fn(Vec<Expression>) -> Expression,
) -> Parsed<Expression> {
    let mut operands = flat(operand(input)?, joint);
    while at_word(input, joint) {
        next(input);
        operands.extend(flat(operand(input)?, joint));
    }
    Ok(match operands.len() {
        1 => operands.remove(0),
        _ => join(operands),
    })
}

fn flat(expression: Expression, joint: &str) -> Vec<Expression> {
    match expression {
        Expression::Or(inner) if joint == "or" => inner,
        Expression::And(inner) if joint == "and" => inner,
        other => vec![other],
    }
}

fn negation(input: &mut Input<'_>) -> Parsed<Expression> {
    if at_word(input, "not") {
        next(input);
        return Ok(Expression::Not(Box::new(deeper(input, negation)?)));
    }
    if at_sign(input, "(") {
        let opened = next(input).span;
        let inner = deeper(input, expression)?;
        if !at_sign(input, ")") {
            return Err(unclosed(input, "(", ")", opened));
        }
        next(input);
        return Ok(inner);
    }
    comparison(input)
}

fn comparison(input: &mut Input<'_>) -> Parsed<Expression> {
    let attribute = attribute(input)?;
    if at_word(input, "not") {
        next(input);
        word("in").parse_next(input)?;
        return Ok(Expression::Not(Box::new(any_of(input, attribute)?)));
    }
    if at_word(input, "in") {
        next(input);
        return any_of(input, attribute);
    }
    let operator = operator(input)?;
    Ok(Expression::Compare { attribute, operator, value: value(input)? })
}

fn any_of(input: &mut Input<'_>, attribute: Attribute) -> Parsed<Expression> {
    let values = list(input, "[", "]", "value", value)?;
    if values.items.is_empty() {
        return Err(Problem::error(values.span, "nothing is in an empty list").into());
    }
    Ok(Expression::In { attribute, values: values.items.into_iter().map(|item| item.value).collect() })
}

/// `severity`, `labels.namespace`, `labels["app.kubernetes.io/name"]`
fn attribute(input: &mut Input<'_>) -> Parsed<Attribute> {
    let name = any_word("an attribute such as `severity` or `labels.namespace`").parse_next(input)?;
    let key = if at_sign(input, ".") {
        next(input);
        Some(any_word("the label's name").parse_next(input)?)
    } else if at_sign(input, "[") {
        next(input);
        let key = text("the label's name in quotes").parse_next(input)?;
        sign("]").parse_next(input)?;
        Some(key)
    } else {
        None
    };
    if at_sign(input, ".") || at_sign(input, "-") {
        return Err(Problem::error(
            peek(input).span,
            "a name with more than letters, digits and `_` stands in brackets",
        )
        .help(format!("write {}[\"…\"]", name.value))
        .into());
    }
    Ok(Attribute { name, key })
}

/// A number or a text.
pub(super) fn value(input: &mut Input<'_>) -> Parsed<At<Value>> {
    match &peek(input).kind {
        Kind::Text(text) => Ok(At::new(Value::Text(text.clone()), next(input).span)),
        Kind::Number(_) | Kind::Sign("+" | "-") => {
            number(input).map(|number| At::new(Value::Number(number.value), number.span))
        }
        Kind::Word(word) => {
            let help = format!("a text stands in quotes: \"{}\"", shown(word));
            Err(helped(expected(input, "a number or a text"), help))
        }
        _ => Err(expected(input, "a number or a text")),
    }
}
