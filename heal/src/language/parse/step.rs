//! What stands inside of `then` and `else`.

use super::*;
use crate::language::ast::{Argument, Call, Given, Step, Subject};

pub(super) fn step(input: &mut Input<'_>) -> Parsed<Step> {
    if at_word(input, "wait") {
        next(input);
        if at_sign(input, "(") {
            return Err(Problem::error(peek(input).span, "`wait` has no parentheses")
                .help("write `wait 2m`")
                .into());
        }
        return Ok(Step::Wait(duration(input)?));
    }
    let action = any_word("a step such as `restart(workload)`").parse_next(input)?;
    if !at_sign(input, "(") {
        let help = match peek(input).kind {
            Kind::Sign("-") => "a name of several words is joined by `_`: `set_image`".to_string(),
            _ => format!("say on what: `{}(workload)`", shown(&action.value)),
        };
        return Err(helped(expected(input, "`(`"), help));
    }
    let list = list(input, "(", ")", "argument", argument)?;
    let span = action.span.to(list.span);
    let arguments = list.items.into_iter().map(|item| item.value).collect();
    Ok(Step::Action(Call { action, arguments, span }))
}

fn argument(input: &mut Input<'_>) -> Parsed<Argument> {
    let named = matches!(peek(input).kind, Kind::Word(_))
        && matches!(input.state.tokens.get(index(input) + 1).map(|token| &token.kind), Some(Kind::Sign(":")));
    let name = if named {
        let name = any_word("a parameter").parse_next(input)?;
        next(input);
        Some(name)
    } else {
        None
    };
    Ok(Argument { name, value: given(input)? })
}

fn given(input: &mut Input<'_>) -> Parsed<At<Given>> {
    let start = peek(input).span;
    Ok(match &peek(input).kind {
        Kind::Text(text) => At::new(Given::Text(text.clone()), next(input).span),
        Kind::Duration(duration) => At::new(Given::Duration(*duration), next(input).span),
        Kind::Number(number) => At::new(Given::Number(*number), next(input).span),
        Kind::Sign("+" | "-") => {
            let number = number(input)?;
            At::new(Given::Change(number.value), start.to(number.span))
        }
        Kind::Word(word) => match Subject::from_word(word) {
            Some(subject) => At::new(Given::Subject(subject), next(input).span),
            None => {
                let Failure(problem) = expected_word(input, "a value", &["workload", "pod", "node"]);
                return Err(Failure(problem.map(|problem| {
                    let help = format!("{} (a text stands in quotes)", problem.help);
                    Box::new(problem.help(help))
                })));
            }
        },
        _ => return Err(expected(input, "a value")),
    })
}
