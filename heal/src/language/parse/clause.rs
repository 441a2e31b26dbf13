//! Files, rules and their clauses.

use super::{condition, expression::expression, step::step, *};
use crate::language::ast::{Condition, Limit, On, Origin, Rule, Scope, Step, Verify};
use winnow::combinator::preceded;

/// Words that begin a clause, at the beginning of a line or where one can stand.
const CLAUSES: [&str; 7] = ["on", "when", "unless", "limit", "then", "verify", "else"];

/// Rules until the end.
pub(super) fn file(input: &mut Input<'_>) -> File {
    let mut file = File::default();
    loop {
        let token = peek(input);
        match token.kind {
            Kind::End => {
                file.end = without_last_blank(&token.before);
                return file;
            }
            Kind::Word("rule" | "on") => {
                let start = index(input);
                match rule(input) {
                    Ok(Some((rule, header))) => {
                        let (mut before, header_after) = comments(&input.state.tokens[start..header]);
                        before.extend(header_after.map(Line::Comment));
                        let after = input.state.tokens[index(input) - 1].after.clone();
                        file.rules.push(Commented { before, value: rule, after });
                    }
                    Ok(None) => {}
                    Err(failure) => {
                        report(input, failure);
                        skip_rule(input);
                    }
                }
            }
            _ => {
                let failure = expected_word(input, "a rule", &["rule", "on"]);
                report(input, failure);
                next(input);
                skip_rule(input);
            }
        }
    }
}

/// A rule, or None when something inside is wrong and has been told; and how many tokens its header ends at.
fn rule(input: &mut Input<'_>) -> Parsed<Option<(Rule, usize)>> {
    let told = input.state.problems.0.len();
    let start = peek(input).span;
    let mut parts = Parts::default();
    let mut name = None;
    if at_word(input, "rule") {
        next(input);
        name = Some(text("the rule's name in quotes").parse_next(input)?);
    } else {
        parts.on = Some(Commented { before: Vec::new(), value: on(input)?, after: None });
    }
    let header = start.to(last_span(input));
    let opened = sign("{").parse_next(input)?;
    let header_end = index(input);
    let short = name.is_none();
    while !at_sign(input, "}") {
        if peek(input).kind == Kind::End || begins_rule(input) {
            return Err(unclosed(input, "{", "}", opened));
        }
        let first = index(input);
        if let Err(failure) = clause(input, &mut parts, short) {
            report(input, failure);
            skip_clause(input, first);
        }
    }
    let end = without_last_blank(&next(input).before);
    if input.state.problems.0.len() > told {
        return Ok(None);
    }
    let missing = |what: &str, help: &str| {
        Failure::from(Problem::error(header, format!("this rule has no `{what}`")).help(help))
    };
    let (on, then) = match (parts.on, parts.then) {
        (None, _) => {
            report(input, missing("on", "say what it listens to: `on alert \"KubePodCrashLooping\"`"));
            return Ok(None);
        }
        (_, None) => {
            report(input, missing("then", "say what to do: `then [ restart(workload) ]`"));
            return Ok(None);
        }
        (Some(on), Some(then)) => (on, then),
    };
    let rule = Rule {
        name,
        on,
        when: parts.when,
        unless: parts.unless,
        limits: parts.limits,
        then,
        verify: parts.verify,
        otherwise: parts.otherwise,
        end,
        span: header,
    };
    Ok(Some((rule, header_end)))
}

/// A rule as it grows.
#[derive(Default)]
struct Parts {
    on: Option<Commented<On>>,
    when: Vec<Commented<Condition>>,
    unless: Option<Commented<At<Duration>>>,
    limits: Vec<Commented<Limit>>,
    then: Option<Commented<List<Step>>>,
    verify: Option<Commented<Verify>>,
    otherwise: Option<Commented<List<Step>>>,
}

fn clause(input: &mut Input<'_>, parts: &mut Parts, short: bool) -> Parsed<()> {
    let start = index(input);
    let token = peek(input);
    let Kind::Word(keyword) = token.kind else {
        return Err(expected_word(input, "a clause of the rule", &CLAUSES[usize::from(short)..]));
    };
    let twice = match keyword {
        "on" => parts.on.is_some(),
        "unless" => parts.unless.is_some(),
        "then" => parts.then.is_some(),
        "verify" => parts.verify.is_some(),
        "else" => parts.otherwise.is_some(),
        _ => false,
    };
    if twice {
        let why = if keyword == "on" && short {
            "the short form has said it before the brace"
        } else {
            "it stands once in a rule"
        };
        return Err(Problem::error(token.span, format!("`{keyword}` stands here for the second time"))
            .help(why)
            .into());
    }
    match keyword {
        "on" => {
            let value = on(input)?;
            parts.on = Some(commented(input, start, value));
        }
        "when" => {
            next(input);
            let value = condition::condition(input)?;
            parts.when.push(commented(input, start, value));
            if let Kind::Word(joint @ ("and" | "or")) = peek(input).kind {
                return Err(Problem::error(
                    peek(input).span,
                    format!("conditions are not joined by `{joint}`"),
                )
                .help(if joint == "and" {
                    "write another `when` line: all of them must hold"
                } else {
                    "write another rule: each acts on its own"
                })
                .into());
            }
        }
        _ if condition::begins(input) => {
            if !short {
                return Err(Problem::error(token.span, format!("`{keyword}` needs `when` before it"))
                    .help(format!("write `when {keyword} …`"))
                    .into());
            }
            let value = condition::condition(input)?;
            parts.when.push(commented(input, start, value));
        }
        "unless" => {
            let value =
                preceded((word("unless"), word("healed"), word("within")), duration).parse_next(input)?;
            parts.unless = Some(commented(input, start, value));
        }
        "limit" => {
            let value = limit(input)?;
            parts.limits.push(commented(input, start, value));
        }
        "then" => parts.then = Some(steps(input)?),
        "else" => parts.otherwise = Some(steps(input)?),
        "verify" => {
            next(input);
            if !at_word(input, "within") {
                let help = "say how long it may take: `verify within 5m { … }`";
                return Err(helped(expected(input, "`within`"), help));
            }
            next(input);
            let within = duration(input)?;
            parts.verify = Some(block(input, start, "{", |input| {
                Ok(Verify { within, checks: list(input, "{", "}", "check", condition::check)? })
            })?);
        }
        _ => return Err(expected_word(input, "a clause of the rule", &CLAUSES[usize::from(short)..])),
    }
    Ok(())
}

/// `then [ … ]` and `else [ … ]`
fn steps(input: &mut Input<'_>) -> Parsed<Commented<List<Step>>> {
    let start = index(input);
    next(input);
    block(input, start, "[", |input| list(input, "[", "]", "step", step))
}

/// A clause that ends in brackets: the comments inside belong to what is inside.
fn block<'t, T>(
    input: &mut Input<'t>,
    start: usize,
    open: &str,
    inner: impl FnOnce(&mut Input<'t>) -> Parsed<T>,
) -> Parsed<Commented<T>> {
    // The opening bracket's own comments, too.
    let header = index(input) + usize::from(at_sign(input, open));
    let (mut before, after) = comments(&input.state.tokens[start..header]);
    before.extend(after.map(Line::Comment));
    let value = inner(input)?;
    let after = input.state.tokens[index(input) - 1].after.clone();
    Ok(Commented { before, value, after })
}

/// `on alert "KubePodCrashLooping" where severity >= 3`
fn on(input: &mut Input<'_>) -> Parsed<On> {
    word("on").parse_next(input)?;
    let origin = closed(input, "where the event comes from", Origin::ALL, Origin::word)?;
    let name = text("the event's name in quotes").parse_next(input)?;
    let filter = if at_word(input, "where") {
        next(input);
        Some(expression(input)?)
    } else {
        None
    };
    Ok(On { origin, name, filter })
}

/// `limit 3 per 1h per workload`
fn limit(input: &mut Input<'_>) -> Parsed<Limit> {
    word("limit").parse_next(input)?;
    let count = match peek(input).kind {
        Kind::Number(number) if number.fract() == 0.0 && number <= f64::from(u32::MAX) => {
            At::new(number as u32, next(input).span)
        }
        _ => return Err(expected(input, "how often, as a whole number")),
    };
    word("per").parse_next(input)?;
    let per = duration(input)?;
    word("per").parse_next(input)?;
    let scope = closed(input, "what it is counted for", Scope::ALL, Scope::word)?;
    Ok(Limit { count, per, scope })
}

/// One of a closed set of words.
pub(super) fn closed<T: Copy>(
    input: &mut Input<'_>,
    what: &'static str,
    all: &[T],
    word: fn(T) -> &'static str,
) -> Parsed<At<T>> {
    if let Kind::Word(here) = peek(input).kind
        && let Some(value) = all.iter().find(|value| word(**value) == here)
    {
        return Ok(At::new(*value, next(input).span));
    }
    let words: Vec<&str> = all.iter().map(|value| word(*value)).collect();
    Err(expected_word(input, what, &words))
}

/// A line that begins a rule: `rule "…"`, or `on …` at the left margin.
fn begins_rule(input: &Input<'_>) -> bool {
    let token = peek(input);
    match token.kind {
        Kind::Word("rule") => token.indent.is_some(),
        Kind::Word("on") => token.indent == Some(0),
        _ => false,
    }
}

/// A line that begins a clause or a rule.
pub(super) fn begins_clause(input: &Input<'_>) -> bool {
    let token = peek(input);
    begins_rule(input)
        || token.indent.is_some() && matches!(token.kind, Kind::Word(word) if CLAUSES.contains(&word))
}

fn skip_rule(input: &mut Input<'_>) {
    while peek(input).kind != Kind::End && !begins_rule(input) {
        next(input);
    }
}

/// To the next clause, or to the brace that ends the rule. `first` is where the broken clause began.
fn skip_clause(input: &mut Input<'_>, first: usize) {
    let tokens = input.state.tokens;
    let mut depth = 0_usize;
    for token in &tokens[first..index(input)] {
        match token.kind {
            Kind::Sign("{") => depth += 1,
            Kind::Sign("}") => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    // Something is always read, or the same mistake would be found again.
    if index(input) == first && !at_sign(input, "}") {
        depth += usize::from(at_sign(input, "{"));
        next(input);
    }
    while peek(input).kind != Kind::End && !begins_clause(input) {
        match peek(input).kind {
            Kind::Sign("}") if depth == 0 => return,
            Kind::Sign("}") => depth -= 1,
            Kind::Sign("{") => depth += 1,
            _ if depth == 0 && peek(input).indent.is_some() && condition::begins(input) => return,
            _ => {}
        }
        next(input);
    }
}
