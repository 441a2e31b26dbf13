//! What is wrong with a line, said in a sentence, with a caret under the word and the way to put it right.

use super::{
    split::{LONGEST, Unreadable, Word, is_invisible},
    tree::{entries, example, named},
};
use crate::card::{Card, Code, Tone};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::ops::Range;

/// One thing that is wrong.
#[derive(Debug)]
pub struct Wrong {
    message: String,
    hint: Option<String>,
    /// The bytes to point at; None: behind the last word, because something is missing.
    span: Option<Range<usize>>,
}

impl Wrong {
    /// The line ends too early.
    pub fn missing(message: impl Into<String>) -> Wrong {
        Wrong { message: message.into(), hint: None, span: None }
    }

    /// This word is wrong.
    pub fn at(text: &str, words: &[Word], message: impl Into<String>) -> Wrong {
        Wrong { message: message.into(), hint: None, span: find(words, text) }
    }

    /// A message that quotes the wrong word itself: `'frob/x' has no kind`.
    pub fn quoted(message: String, words: &[Word]) -> Wrong {
        let span = message.split('\'').skip(1).step_by(2).find_map(|quoted| find(words, quoted));
        let span = span.or_else(|| words.get(1).map(|word| word.span.clone()));
        Wrong { message, hint: None, span }
    }

    /// With a way to put it right.
    pub fn hint(mut self, hint: String) -> Wrong {
        self.hint = Some(hint);
        self
    }

    /// For the person who typed `line`.
    pub fn card(self, line: &str, words: &[Word]) -> Card {
        let command = named(words.iter().map(|word| word.text.as_str()));
        let example = command.and_then(example).map(|example| format!("Example: {example}"));
        let end = words.last().map_or(0, |word| word.span.end);
        let span = self.span.unwrap_or(end + 1..end + 2);
        let text: Vec<String> = self.hint.into_iter().chain(example).collect();
        card(self.message, text.join("\n"), point(line, span))
    }
}

fn card(title: String, text: String, code: String) -> Card {
    let text = (!text.is_empty()).then_some(text);
    let code = Some(Code { language: "text".into(), text: code });
    Card { text, code, ..Card::titled(Tone::Bad, title) }
}

/// A line that could not even be split.
pub fn unreadable(line: &str, error: &Unreadable) -> Card {
    let visible = |line: &str| -> String {
        let escaped = |c: char| if is_invisible(c) { c.escape_default().to_string() } else { c.to_string() };
        line.chars().map(escaped).collect()
    };
    match error {
        Unreadable::TooLong { chars } => Card {
            text: Some(format!("At most {LONGEST} characters are read. Nothing was done.")),
            ..Card::titled(Tone::Bad, format!("the line is too long: {chars} characters"))
        },
        Unreadable::Invisible { at, character } => {
            let before = visible(&line[..*at]);
            let shown = visible(line);
            let mark = before.len()..before.len() + character.escape_default().count();
            let what = if *character == '\n' { "a line break" } else { "an invisible character" };
            let text = "Type the command in one line of visible characters. Nothing was done.".to_string();
            card(format!("there is {what} in the line"), text, point(&shown, mark))
        }
        Unreadable::Unclosed { at } => {
            let width = line[*at..].chars().next().map_or(1, char::len_utf8);
            card(
                "this quote is never closed".into(),
                "Put the same quote at the end of the text.".into(),
                point(line, *at..at + width),
            )
        }
    }
}

/// The line, shortened around the wrong part, and carets under it.
fn point(line: &str, span: Range<usize>) -> String {
    const BEFORE: usize = 50;
    const AFTER: usize = 30;
    let start =
        line.get(..span.start).map_or_else(|| line.chars().count() + 1, |before| before.chars().count());
    let width = line.get(span).map_or(1, |marked| marked.chars().count()).clamp(1, 60);
    let chars: Vec<char> = line.trim_end().chars().collect();
    let from = if start > BEFORE + 10 { start - BEFORE } else { 0 };
    let to = (start + width + AFTER).min(chars.len());
    let to = if to + 10 >= chars.len() { chars.len() } else { to };
    let mut shown = String::from(if from > 0 { "…" } else { "" });
    shown.extend(chars.get(from..to.max(from)).unwrap_or_default());
    shown.push_str(if to < chars.len() { "…" } else { "" });
    let indent = start - from + usize::from(from > 0);
    format!("{shown}\n{}{}", " ".repeat(indent), "^".repeat(width))
}

/// The word that was meant by a text out of an error: the same, or an option with its value in one word, or a part.
fn find(words: &[Word], text: &str) -> Option<Range<usize>> {
    if text.is_empty() {
        return None;
    }
    let same = words.iter().find(|word| word.text == text);
    let option = || {
        words
            .iter()
            .find(|word| word.text.split_once('=').is_some_and(|(name, value)| name == text || value == text))
    };
    let whole = same.or_else(option).map(|word| word.span.clone());
    whole.or_else(|| {
        words.iter().find_map(|word| {
            let start = word.span.start + word.text.find(text)?;
            // With quotes or escapes inside, places in the text are not places in the line.
            Some(if word.span.len() == word.text.len() {
                start..start + text.len()
            } else {
                word.span.clone()
            })
        })
    })
}

/// The last place where an option was written, long or short; `option` is `--namespace <NAMESPACE>`.
fn find_option(words: &[Word], command: Option<&clap::Command>, option: &str) -> Option<Range<usize>> {
    let name = option.split([' ', '=']).next().unwrap_or_default();
    let arg = command?
        .get_arguments()
        .find(|arg| arg.get_long().is_some_and(|long| name.strip_prefix("--") == Some(long)));
    let short = arg.and_then(clap::Arg::get_short).map(|short| format!("-{short}"));
    let is_it = |word: &&Word| {
        let typed = word.text.split('=').next().unwrap_or_default();
        typed == name || short.as_ref().is_some_and(|short| word.text.starts_with(short.as_str()))
    };
    words.iter().rfind(is_it).map(|word| word.span.clone())
}

/// `NAMESPACE` of `--namespace <NAMESPACE>` and of `<NAMESPACE>`.
fn value_name(argument: &str) -> &str {
    argument.split_once('<').map_or(argument, |(_, name)| name.trim_end_matches(['>', '.', ']']))
}

/// The nearest of some names, if one is near.
pub fn nearest<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    let scored = names
        .map(|name| (strsim::damerau_levenshtein(&typed, name), strsim::jaro_winkler(&typed, name), name));
    let near = scored
        .filter(|(distance, similar, name)| *distance <= name.len().div_ceil(3).min(3) || *similar > 0.88);
    near.min_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1))).map(|(_, _, name)| name)
}

/// What clap did not like, in our words.
pub fn clap(error: &clap::Error, words: &[Word]) -> Wrong {
    let context = |kind| {
        error.context().find(|(known, _)| *known == kind).map(|(_, value)| texts(value)).unwrap_or_default()
    };
    let argument = context(ContextKind::InvalidArg);
    let first = argument.first().cloned().unwrap_or_default();
    let value = context(ContextKind::InvalidValue).into_iter().next().unwrap_or_default();
    let tree = named(words.iter().map(|word| word.text.as_str()));
    let command = tree.map_or("petrel", |command| command.get_name());
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let typed = context(ContextKind::InvalidSubcommand).into_iter().next().unwrap_or_default();
            let names = entries().iter().map(|entry| entry.name()).chain([super::BREAK_GLASS]);
            let near = nearest(&typed, names).map(|near| format!("Did you mean {near}?"));
            Wrong::at(&typed, words, format!("there is no command '{typed}'"))
                .hint(near.unwrap_or_else(|| "`help` lists all commands.".into()))
        }
        ErrorKind::UnknownArgument if first.starts_with('-') => {
            let longs =
                tree.into_iter().flat_map(clap::Command::get_arguments).filter_map(clap::Arg::get_long);
            let near =
                nearest(first.trim_start_matches('-'), longs).map(|near| format!("Did you mean --{near}?"));
            Wrong::at(&first, words, format!("{command} has no option '{first}'"))
                .hint(near.unwrap_or_else(|| format!("`help {command}` lists its options.")))
        }
        ErrorKind::UnknownArgument => {
            Wrong::at(&first, words, format!("'{first}' is one word too many for {command}"))
                .hint("A text of several words needs quotes: --why \"flash sale\".".into())
        }
        ErrorKind::MissingRequiredArgument => {
            Wrong::missing(format!("{command} also needs {}", argument.join(" and ")))
        }
        ErrorKind::InvalidValue if value.is_empty() => Wrong {
            message: format!("{first} needs a value"),
            hint: None,
            span: find_option(words, tree, &first),
        },
        ErrorKind::InvalidValue => {
            let valid = context(ContextKind::ValidValue);
            Wrong::at(&value, words, format!("'{value}' is not a value of {first}"))
                .hint(format!("One of: {}.", valid.join(", ")))
        }
        ErrorKind::ValueValidation => {
            let why =
                std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
            Wrong::at(&value, words, format!("'{value}' is not a valid {}{why}", value_name(&first)))
        }
        ErrorKind::ArgumentConflict => {
            let prior = context(ContextKind::PriorArg).join(" and ");
            let message = match prior.is_empty() || prior == first {
                true => format!("{first} is there twice"),
                false => format!("{first} cannot be used with {prior}"),
            };
            Wrong { message, hint: None, span: find_option(words, tree, &first) }
        }
        _ => {
            let rendered = error.render().to_string();
            let message =
                rendered.lines().next().unwrap_or_default().trim_start_matches("error: ").to_string();
            Wrong::at(&first, words, message)
        }
    }
}

fn texts(value: &ContextValue) -> Vec<String> {
    match value {
        ContextValue::String(text) => vec![text.clone()],
        ContextValue::Strings(texts) => texts.clone(),
        ContextValue::StyledStr(text) => vec![text.to_string()],
        ContextValue::StyledStrs(texts) => texts.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_caret_stands_under_the_wrong_word_of_a_long_line_too() {
        let line = format!("scale {} six {}", "x".repeat(200), "y".repeat(200));
        let drawn = point(&line, 207..210);
        let (above, below) = drawn.split_once('\n').unwrap();
        let at = below.find('^').unwrap();
        assert_eq!(above.chars().skip(at).take(3).collect::<String>(), "six");
        assert!(above.chars().count() < 100);
    }

    #[test]
    fn carets_count_characters_and_not_bytes() {
        assert_eq!(point("größe x", 8..9), "größe x\n      ^");
    }

    proptest! {
        #[test]
        fn pointing_never_panics(line in "\\PC{0,80}", start in 0usize..100, len in 0usize..20) {
            point(&line, start..start + len);
        }
    }
}
