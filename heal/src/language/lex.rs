//! Text to tokens. Never fails: what is no token becomes a [`Kind::Bad`] one and a problem, and reading goes on.

use super::{
    Problem, Span,
    ast::Line,
    duration,
    problem::{Problems, shown},
};
use std::{fmt, time::Duration};
use winnow::{
    LocatingSlice, Parser,
    combinator::opt,
    error::EmptyError,
    stream::Location,
    token::{any, one_of, take_while},
};

/// One word, value or sign, and the comments around it.
#[derive(Clone, Debug)]
pub(super) struct Token<'s> {
    pub kind: Kind<'s>,
    pub span: Span,
    /// Comments since the token before, without those that belong to its line.
    pub before: Vec<Line>,
    /// A comment behind it on the same line.
    pub after: Option<String>,
    /// How far it is indented, when nothing but spaces stands before it on its line.
    pub indent: Option<usize>,
}

/// What a token is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind<'s> {
    Word(&'s str),
    Text(String),
    /// Without sign; finite.
    Number(f64),
    Duration(Duration),
    Sign(&'static str),
    /// Already complained about.
    Bad,
    /// Behind the last one.
    End,
}

impl fmt::Display for Kind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Word(word) => write!(f, "`{}`", shown(word)),
            Kind::Text(text) => write!(f, "the text \"{}\"", shown(text)),
            Kind::Number(number) => write!(f, "the number {number}"),
            Kind::Duration(duration) => write!(f, "the duration {}", duration::show(*duration)),
            Kind::Sign(sign) => write!(f, "`{sign}`"),
            Kind::Bad => f.write_str("something unreadable"),
            Kind::End => f.write_str("the end of the file"),
        }
    }
}

/// Longest first where one begins another.
const SIGNS: [&str; 20] = [
    "->", "==", "!=", "=~", "!~", "<=", ">=", "<", ">", "{", "}", "[", "]", "(", ")", ",", ":", ".", "+", "-",
];

type Input<'s> = LocatingSlice<&'s str>;

/// Every token of the source; the last one is [`Kind::End`].
pub(super) fn lex<'s>(source: &'s str, problems: &mut Problems) -> Vec<Token<'s>> {
    let mut input = LocatingSlice::new(source);
    let mut tokens: Vec<Token<'s>> = Vec::new();
    // An editor's mark, not a word.
    let _ = opt::<_, _, EmptyError, _>('\u{feff}').parse_next(&mut input);
    loop {
        let gap = gap(&mut input, &mut tokens);
        let start = input.current_token_start();
        let kind = if input.is_empty() || problems.full() { Kind::End } else { token(&mut input, problems) };
        let end = kind == Kind::End;
        let span = Span { start, end: input.previous_token_end().max(start) };
        tokens.push(Token { kind, span, before: gap.comments, after: None, indent: gap.indent });
        if end {
            return tokens;
        }
    }
}

struct Gap {
    comments: Vec<Line>,
    indent: Option<usize>,
}

/// Letters that cannot be seen but change how the rest is shown.
pub(super) fn turns_direction(letter: char) -> bool {
    matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

/// Spaces, line ends and comments. A comment on the line of the token before goes to that token, unless the token opens a
/// bracket: there it speaks about what is inside.
fn gap<'s>(input: &mut Input<'s>, tokens: &mut [Token<'s>]) -> Gap {
    let mut gap = Gap { comments: Vec::new(), indent: tokens.is_empty().then_some(0) };
    loop {
        let spaces: &str =
            take_while::<_, _, EmptyError>(0.., char::is_whitespace).parse_next(input).unwrap_or_default();
        let lines = spaces.matches('\n').count();
        if let Some(line) = spaces.rfind('\n') {
            gap.indent = Some(spaces.len() - line - 1);
        } else if let Some(indent) = &mut gap.indent {
            *indent += spaces.len();
        }
        if lines > 1 && !gap.comments.is_empty() && gap.comments.last() != Some(&Line::Blank) {
            gap.comments.push(Line::Blank);
        }
        let sign: Option<&str> = opt::<_, _, EmptyError, _>(winnow::combinator::alt(("#", "//")))
            .parse_next(input)
            .unwrap_or_default();
        let Some(sign) = sign else { return gap };
        let words: &str =
            take_while::<_, _, EmptyError>(0.., |c| c != '\n').parse_next(input).unwrap_or_default();
        // What hides in it has been told; it is not kept, so that what is printed reads as it looks.
        let words: String = words.chars().filter(|letter| !turns_direction(*letter)).collect();
        let comment = format!("{sign}{}", words.trim_end());
        match tokens.last_mut() {
            Some(token)
                if gap.indent.is_none()
                    && token.after.is_none()
                    && !matches!(token.kind, Kind::Sign("{" | "[" | "(")) =>
            {
                token.after = Some(comment);
            }
            _ => gap.comments.push(Line::Comment(comment)),
        }
    }
}

fn token<'s>(input: &mut Input<'s>, problems: &mut Problems) -> Kind<'s> {
    let start = input.current_token_start();
    let first = input.chars().next().unwrap_or_default();
    if first == '"' {
        return text(input, problems);
    }
    if first.is_ascii_digit() {
        return number(input, problems);
    }
    if first.is_alphabetic() || first == '_' {
        return word(input).map_or(Kind::Bad, Kind::Word);
    }
    for sign in SIGNS {
        if opt::<_, _, EmptyError, _>(sign).parse_next(input).unwrap_or_default().is_some() {
            return Kind::Sign(sign);
        }
    }
    let _ = any::<_, EmptyError>.parse_next(input);
    let span = Span { start, end: input.current_token_start() };
    let help = match first {
        '\'' | '`' | '“' | '”' | '„' => "texts stand in double quotes: \"…\"",
        '=' => "to compare, write `==`",
        '&' => "write `and`",
        '|' => "write `or`",
        '!' => "write `not`",
        ';' => "nothing is needed at the end of a line",
        '%' | '$' | '@' => "put it into double quotes if it is part of a text",
        _ => "take it out, or put it into double quotes if it is part of a text",
    };
    problems
        .push(Problem::error(span, format!("`{}` means nothing here", shown(&first.to_string()))).help(help));
    // `&&` is one mistake, and so is a text in single quotes.
    let _ = take_while::<_, _, EmptyError>(0.., first).parse_next(input);
    if matches!(first, '\'' | '`' | '“' | '„') {
        let _ = take_while::<_, _, EmptyError>(0.., |c| !matches!(c, '\'' | '`' | '“' | '”' | '\n'))
            .parse_next(input);
        let _ = opt::<_, _, EmptyError, _>(one_of(['\'', '`', '“', '”'])).parse_next(input);
    }
    Kind::Bad
}

fn word<'s>(input: &mut Input<'s>) -> Option<&'s str> {
    take_while::<_, _, EmptyError>(1.., |c: char| c.is_alphanumeric() || c == '_').parse_next(input).ok()
}

/// `3`, `0.05`, `1e-3`, `30m`, `1h30m`.
fn number<'s>(input: &mut Input<'s>, problems: &mut Problems) -> Kind<'s> {
    let start = input.current_token_start();
    let digits = |c: char| c.is_ascii_digit();
    let exponent = (one_of(['e', 'E']), opt(one_of(['+', '-'])), take_while(1.., digits));
    let decimal = (take_while(1.., digits), opt(('.', take_while(1.., digits))), opt(exponent)).take();
    let decimal: &str =
        winnow::Parser::<_, _, EmptyError>::parse_next(&mut { decimal }, input).unwrap_or_default();
    let letters = word(input).unwrap_or_default();
    let span = Span { start, end: input.current_token_start() };
    let whole = format!("{decimal}{letters}");
    let read = if letters.is_empty() {
        match decimal.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Kind::Number(number)),
            _ => Err("that number is too large".to_string()),
        }
    } else if decimal.contains(['.', 'e', 'E']) {
        Err("a duration has whole numbers: write `1h30m`, not `1.5h`".to_string())
    } else {
        duration::parse(&whole).map(Kind::Duration)
    };
    read.unwrap_or_else(|why| {
        problems.push(
            Problem::error(span, format!("`{}` is neither a number nor a duration", shown(&whole)))
                .label(why),
        );
        Kind::Bad
    })
}

/// A text in double quotes, on one line.
fn text<'s>(input: &mut Input<'s>, problems: &mut Problems) -> Kind<'s> {
    let start = input.current_token_start();
    let mut value = String::new();
    let mut good = true;
    let _ = any::<_, EmptyError>.parse_next(input);
    loop {
        let plain: &str = take_while::<_, _, EmptyError>(0.., |c| !matches!(c, '"' | '\\' | '\n'))
            .parse_next(input)
            .unwrap_or_default();
        value.push_str(plain);
        let at = input.current_token_start();
        match input.chars().next() {
            Some('"') => {
                let _ = any::<_, EmptyError>.parse_next(input);
                return if good { Kind::Text(value) } else { Kind::Bad };
            }
            Some('\\') => {
                let _ = any::<_, EmptyError>.parse_next(input);
                match escape(input) {
                    Ok(letter) => value.push(letter),
                    Err(help) => {
                        good = false;
                        let span = Span { start: at, end: input.current_token_start() };
                        problems.push(Problem::error(span, "this escape means nothing").help(help));
                    }
                }
            }
            _ => {
                let span = Span { start, end: at };
                problems.push(
                    Problem::error(span, "this text does not end")
                        .label("it begins here")
                        .help("close it with `\"` on the same line; a line break inside is written `\\n`"),
                );
                return Kind::Bad;
            }
        }
    }
}

/// What stands behind the backslash.
fn escape(input: &mut Input<'_>) -> Result<char, String> {
    const KNOWN: &str = "known are `\\\"`, `\\\\`, `\\n`, `\\t`, `\\r` and `\\u{e9}`";
    let letter = match input.chars().next() {
        None | Some('\n') => return Err(KNOWN.into()),
        Some(letter) => letter,
    };
    let _ = any::<_, EmptyError>.parse_next(input);
    Ok(match letter {
        '"' | '\\' => letter,
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'u' => {
            let hex = take_while(1..=6, |c: char| c.is_ascii_hexdigit());
            let code: Result<&str, EmptyError> =
                winnow::combinator::delimited('{', hex, '}').parse_next(input);
            return code
                .ok()
                .and_then(|code| u32::from_str_radix(code, 16).ok())
                .and_then(char::from_u32)
                .ok_or_else(|| "a character by its number is written `\\u{e9}`".into());
        }
        other => {
            let other = shown(&other.to_string());
            return Err(format!(
                "to have a backslash here, as regular expressions do, double it: `\\\\{other}`; {KNOWN}"
            ));
        }
    })
}
