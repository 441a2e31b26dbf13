//! Tokens to a syntax tree.
//!
//! Which way to go is always decided by the next token, so nothing is read twice and the time is linear. After a mistake
//! reading goes on at the next step, clause or rule; a rule with a mistake is left out of the tree, so that nothing is said
//! about it that would be wrong once the mistake is mended.

mod clause;
mod condition;
mod expression;
mod step;

use super::{
    At, DEEPEST, LONGEST_FILE, Problem, Span,
    ast::{Commented, File, Line, List, Operator, Text},
    lex::{Kind, Token, lex, turns_direction},
    problem::{Problems, shown},
    suggest,
};
use std::time::Duration;
use winnow::{
    Parser,
    error::ParserError,
    stream::{Stateful, Stream, TokenSlice},
    token::any,
};

/// The rules that could be read, and every mistake in the rest. The file is good when no problem is an error.
pub fn parse(source: &str) -> (File, Vec<Problem>) {
    let mut problems = Problems::default();
    if source.len() > LONGEST_FILE {
        let span = Span { start: LONGEST_FILE, end: LONGEST_FILE };
        problems.push(
            Problem::error(span, format!("the file is longer than {LONGEST_FILE} bytes"))
                .help("put the rules into several files"),
        );
        return (File::default(), problems.0);
    }
    hidden(source, &mut problems);
    let tokens = lex(source, &mut problems);
    let state = State { tokens: &tokens, problems, depth: 0 };
    let mut input = Stateful { input: TokenSlice::new(&tokens), state };
    let file = clause::file(&mut input);
    let mut problems = input.state.problems.0;
    problems.sort_by_key(|problem| problem.span.start);
    (file, problems)
}

/// Letters that turn the direction of writing: a reviewer would approve what is not there.
fn hidden(source: &str, problems: &mut Problems) {
    for (start, letter) in source.char_indices().filter(|(_, letter)| turns_direction(*letter)) {
        let span = Span { start, end: start + letter.len_utf8() };
        let code = u32::from(letter);
        problems.push(
            Problem::error(
                span,
                format!("an invisible letter (U+{code:04X}) turns the direction of writing"),
            )
            .help(format!("take it out; inside of a text it is written `\\u{{{code:x}}}`")),
        );
        if problems.full() {
            return;
        }
    }
}

/// What parsers read from.
type Input<'t> = Stateful<TokenSlice<'t, Token<'t>>, State<'t>>;

/// What parsers know besides the next tokens.
#[derive(Debug)]
struct State<'t> {
    tokens: &'t [Token<'t>],
    problems: Problems,
    /// Parentheses and `not` around this place.
    depth: usize,
}

/// Why a parser gave up. None when the lexer has already complained about it.
struct Failure(Option<Box<Problem>>);

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Failure {
        Failure(Some(Box::new(problem)))
    }
}

impl<'t> ParserError<Input<'t>> for Failure {
    type Inner = Failure;

    fn from_input(input: &Input<'t>) -> Failure {
        expected(input, "something else")
    }

    fn into_inner(self) -> Result<Failure, Failure> {
        Ok(self)
    }
}

type Parsed<T> = Result<T, Failure>;

/// The next token, without reading it. Behind the last one it is the end again.
fn peek<'t>(input: &Input<'t>) -> &'t Token<'t> {
    let state = &input.state;
    &state.tokens[index(input).min(state.tokens.len() - 1)]
}

/// How many tokens have been read.
fn index(input: &Input<'_>) -> usize {
    input.state.tokens.len() - input.eof_offset()
}

/// Reads the next token; the end is never read.
fn next<'t>(input: &mut Input<'t>) -> &'t Token<'t> {
    let token = peek(input);
    if token.kind != Kind::End {
        let _ = any::<_, Failure>.parse_next(input);
    }
    token
}

/// The span of the last token read.
fn last_span(input: &Input<'_>) -> Span {
    index(input).checked_sub(1).map_or_else(Span::default, |last| input.state.tokens[last].span)
}

/// "expected …, found …" at the next token; behind the last one when the next is on another line.
fn expected(input: &Input<'_>, what: &str) -> Failure {
    let token = peek(input);
    if token.kind == Kind::Bad {
        return Failure(None);
    }
    let new_line = token.indent.is_some() || token.kind == Kind::End;
    let problem = if new_line && index(input) > 0 {
        let end = last_span(input).end;
        Problem::error(Span { start: end, end }, format!("expected {what}"))
            .label(format!("here, before {}", token.kind))
    } else {
        Problem::error(token.span, format!("expected {what}, found {}", token.kind))
    };
    problem.into()
}

/// As [`expected`] one of these words, with the one that was probably meant.
fn expected_word(input: &Input<'_>, what: &str, words: &[&str]) -> Failure {
    let token = peek(input);
    if let Kind::Word(word) = token.kind
        && let Some(meant) = suggest::nearest(word, words.iter().copied())
    {
        return Problem::error(token.span, format!("expected {what}, found {}", token.kind))
            .help(format!("did you mean `{meant}`?"))
            .into();
    }
    helped(expected(input, what), suggest::one_of(words.iter().copied()))
}

/// With what to do about it.
fn helped(Failure(problem): Failure, help: impl Into<String>) -> Failure {
    Failure(problem.map(|problem| Box::new(problem.help(help))))
}

/// Whether the next token is this word.
fn at_word(input: &Input<'_>, word: &str) -> bool {
    matches!(peek(input).kind, Kind::Word(here) if here == word)
}

/// Whether the next token is this sign.
fn at_sign(input: &Input<'_>, sign: &str) -> bool {
    matches!(peek(input).kind, Kind::Sign(here) if here == sign)
}

/// This word.
fn word<'t>(wanted: &'static str) -> impl Parser<Input<'t>, Span, Failure> {
    move |input: &mut Input<'t>| {
        if at_word(input, wanted) {
            return Ok(next(input).span);
        }
        Err(expected_word(input, &format!("`{wanted}`"), &[wanted]))
    }
}

/// This sign.
fn sign<'t>(wanted: &'static str) -> impl Parser<Input<'t>, Span, Failure> {
    move |input: &mut Input<'t>| {
        if at_sign(input, wanted) {
            Ok(next(input).span)
        } else {
            Err(expected(input, &format!("`{wanted}`")))
        }
    }
}

/// Any word, with what it stands for in messages.
fn any_word<'t>(what: &'static str) -> impl Parser<Input<'t>, Text, Failure> {
    move |input: &mut Input<'t>| match peek(input).kind {
        Kind::Word(word) => Ok(At::new(word.to_string(), next(input).span)),
        _ => Err(expected(input, what)),
    }
}

/// A text in quotes, with what it stands for in messages.
fn text<'t>(what: &'static str) -> impl Parser<Input<'t>, Text, Failure> {
    move |input: &mut Input<'t>| match &peek(input).kind {
        Kind::Text(text) => Ok(At::new(text.clone(), next(input).span)),
        Kind::Word(word) => {
            Err(helped(expected(input, what), format!("write \"{}\", in quotes", shown(word))))
        }
        _ => Err(expected(input, what)),
    }
}

fn duration(input: &mut Input<'_>) -> Parsed<At<Duration>> {
    match peek(input).kind {
        Kind::Duration(duration) => Ok(At::new(duration, next(input).span)),
        Kind::Number(number) => {
            let help = format!("it needs a unit: `{number}m`, or ms, s, h or d");
            Err(helped(expected(input, "a duration"), help))
        }
        _ => Err(expected(input, "a duration such as `30m`")),
    }
}

/// A number with or without sign.
fn number(input: &mut Input<'_>) -> Parsed<At<f64>> {
    let start = peek(input).span;
    let minus = at_sign(input, "-");
    if minus || at_sign(input, "+") {
        next(input);
    }
    match peek(input).kind {
        Kind::Number(number) => Ok(At::new(if minus { -number } else { number }, start.to(next(input).span))),
        _ => Err(expected(input, "a number")),
    }
}

/// `==`, `=~` and the others.
fn operator(input: &mut Input<'_>) -> Parsed<At<Operator>> {
    if let Kind::Sign(sign) = peek(input).kind
        && let Some(operator) = Operator::from_word(sign)
    {
        return Ok(At::new(operator, next(input).span));
    }
    let words: Vec<&str> = Operator::ALL.iter().map(|operator| operator.word()).collect();
    Err(helped(expected(input, "a comparison"), suggest::one_of(words)))
}

/// One level deeper into parentheses or `not`.
fn deeper<'t, T>(input: &mut Input<'t>, inner: impl FnOnce(&mut Input<'t>) -> Parsed<T>) -> Parsed<T> {
    if input.state.depth >= DEEPEST {
        return Err(Problem::error(peek(input).span, format!("this nests deeper than {DEEPEST}"))
            .help("split the rule in two")
            .into());
    }
    input.state.depth += 1;
    let result = inner(input);
    input.state.depth -= 1;
    result
}

/// `[ a, b ]`: items with commas between them, a comma behind the last one allowed. A mistake costs one item.
fn list<'t, T>(
    input: &mut Input<'t>,
    open: &'static str,
    close: &'static str,
    what: &'static str,
    item: fn(&mut Input<'t>) -> Parsed<T>,
) -> Parsed<List<T>> {
    let opened = sign(open).parse_next(input)?;
    let mut items = Vec::new();
    loop {
        if at_sign(input, close) {
            let closing = next(input);
            return Ok(List {
                items,
                end: without_last_blank(&closing.before),
                span: opened.to(closing.span),
            });
        }
        if ends_list(input, close) {
            return Err(unclosed(input, open, close, opened));
        }
        let start = index(input);
        let value = match item(input) {
            Ok(value) => Some(value),
            Err(failure) => {
                report(input, failure);
                skip_item(input, close);
                None
            }
        };
        let comma = at_sign(input, ",");
        if comma {
            next(input);
        }
        if let Some(value) = value {
            items.push(commented(input, start, value));
        }
        if !comma && !at_sign(input, close) {
            if ends_list(input, close) {
                return Err(unclosed(input, open, close, opened));
            }
            let failure = expected(input, &format!("`,` and another {what}, or `{close}`"));
            report(input, failure);
            // On a new line only the comma was forgotten.
            if peek(input).indent.is_none() {
                skip_item(input, close);
                if at_sign(input, ",") {
                    next(input);
                }
            }
        }
    }
}

fn unclosed(input: &Input<'_>, open: &str, close: &str, opened: Span) -> Failure {
    let Failure(problem) = expected(input, &format!("`{close}`"));
    Failure(problem.map(|problem| Box::new(problem.related(opened, format!("this `{open}` is not closed")))))
}

/// Whether the list ends here without its bracket: at what belongs to something around it.
fn ends_list(input: &Input<'_>, close: &str) -> bool {
    let token = peek(input);
    token.kind == Kind::End
        || clause::begins_clause(input)
        || matches!(token.kind, Kind::Sign(sign) if rank(sign) > rank(close))
}

/// What can stand inside of what: a brace closes brackets, a bracket closes parentheses. What is no closing sign is 0.
fn rank(sign: &str) -> u8 {
    match sign {
        ")" => 1,
        "]" => 2,
        "}" => 3,
        _ => 0,
    }
}

/// To the comma or bracket that ends this item.
fn skip_item(input: &mut Input<'_>, close: &str) {
    let mut depth = 0_usize;
    while peek(input).kind != Kind::End && !clause::begins_clause(input) {
        match peek(input).kind {
            Kind::Sign(",") if depth == 0 => return,
            Kind::Sign(sign) if depth == 0 && rank(sign) >= rank(close) => return,
            Kind::Sign("(" | "[" | "{") => depth += 1,
            Kind::Sign(")" | "]" | "}") => depth = depth.saturating_sub(1),
            _ => {}
        }
        next(input);
    }
}

/// Keeps what went wrong for the reader.
fn report(input: &mut Input<'_>, Failure(problem): Failure) {
    if let Some(problem) = problem {
        input.state.problems.push(*problem);
    }
}

/// With the comments of the tokens read since `start`: those inside move in front.
fn commented<T>(input: &Input<'_>, start: usize, value: T) -> Commented<T> {
    let (before, after) = comments(&input.state.tokens[start..index(input)]);
    Commented { before, value, after }
}

fn comments(tokens: &[Token<'_>]) -> (Vec<Line>, Option<String>) {
    let Some((first, rest)) = tokens.split_first() else { return (Vec::new(), None) };
    let mut before = first.before.clone();
    let mut after = first.after.clone();
    for token in rest {
        before.extend(after.take().map(Line::Comment));
        before.extend(token.before.iter().filter(|line| **line != Line::Blank).cloned());
        after.clone_from(&token.after);
    }
    (before, after)
}

fn without_last_blank(lines: &[Line]) -> Vec<Line> {
    match lines.split_last() {
        Some((Line::Blank, rest)) => rest.to_vec(),
        _ => lines.to_vec(),
    }
}
