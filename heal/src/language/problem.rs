//! A mistake in a file, and how it is shown.

use super::{MOST_PROBLEMS, Span};
use annotate_snippets::{AnnotationKind, Group, Level as Shown, Renderer, Snippet};
use std::fmt;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The file works, but probably not as its author thinks.
    Warning,
    /// The file is refused, and the old one stays in force.
    Error,
}

/// A mistake: what, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad.
    pub level: Level,
    /// Where the pointer goes.
    pub span: Span,
    /// What is wrong, in one line.
    pub message: String,
    /// What stands beside the pointer; may be empty.
    pub label: String,
    /// What to do; may be empty.
    pub help: String,
    /// Another place that belongs to it, and what it has to do with it.
    pub related: Option<(Span, String)>,
}

impl Problem {
    /// An error without further words.
    pub fn error(span: Span, message: impl Into<String>) -> Problem {
        Problem {
            level: Level::Error,
            span,
            message: message.into(),
            label: String::new(),
            help: String::new(),
            related: None,
        }
    }

    /// A warning without further words.
    pub fn warning(span: Span, message: impl Into<String>) -> Problem {
        Problem { level: Level::Warning, ..Problem::error(span, message) }
    }

    /// With words beside the pointer.
    pub fn label(self, label: impl Into<String>) -> Problem {
        Problem { label: label.into(), ..self }
    }

    /// With what to do about it.
    pub fn help(self, help: impl Into<String>) -> Problem {
        Problem { help: help.into(), ..self }
    }

    /// With another place that belongs to it.
    pub fn related(self, span: Span, words: impl Into<String>) -> Problem {
        Problem { related: Some((span, words.into())), ..self }
    }

    /// Line and column of the pointer, both from 1, the column in characters.
    pub fn position(&self, source: &str) -> (usize, usize) {
        let start = (0..=self.span.start.min(source.len()))
            .rev()
            .find(|at| source.is_char_boundary(*at))
            .unwrap_or_default();
        let before = &source[..start];
        let line = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line..].chars().count() + 1)
    }

    /// As a compiler shows it: message, file, line, column, the line itself with a pointer, and what to do. Control
    /// characters are made visible and long lines are cut, so this can go to a terminal or a chat as it is.
    pub fn render(&self, file: &str, source: &str, colour: bool) -> String {
        let (file, source) = (&tame(file), &tame(source));
        let level = match self.level {
            Level::Error => Shown::ERROR,
            Level::Warning => Shown::WARNING,
        };
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let mut snippet = Snippet::source(source.as_str()).path(file.as_str()).annotation(
            AnnotationKind::Primary
                .span(inside(self.span, source))
                .label((!self.label.is_empty()).then_some(self.label.as_str())),
        );
        if let Some((span, words)) = &self.related {
            snippet =
                snippet.annotation(AnnotationKind::Context.span(inside(*span, source)).label(words.as_str()));
        }
        let mut group = Group::with_title(level.primary_title(self.message.as_str())).element(snippet);
        if !self.help.is_empty() {
            group = group.element(Shown::HELP.message(self.help.as_str()));
        }
        renderer.render(&[group])
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if !self.help.is_empty() {
            write!(f, "; {}", self.help)?;
        }
        Ok(())
    }
}

/// Without what the renderer lets through: the second set of control characters (one of them begins terminal sequences, as
/// escape does) and marks of direction. Each is replaced by a letter of as many bytes, so that spans stay right.
fn tame(text: &str) -> String {
    let harmless = |letter| match letter {
        '\u{80}'..='\u{9f}' => '·',
        '\u{200e}' | '\u{200f}' => char::REPLACEMENT_CHARACTER,
        other => other,
    };
    text.chars().map(harmless).collect()
}

/// The span as bytes of the source that begin and end between characters and on one line.
fn inside(span: Span, source: &str) -> std::ops::Range<usize> {
    let start = source.floor_char_boundary(span.start);
    let end = source.ceil_char_boundary(span.end.max(start));
    let line = source[start..end].find('\n').map_or(end, |at| start + at.max(1));
    start..line.min(source.len())
}

/// Mistakes as they are found, no more than people read.
#[derive(Debug, Default)]
pub(super) struct Problems(pub Vec<Problem>);

impl Problems {
    pub fn push(&mut self, problem: Problem) {
        if !self.full() {
            self.0.push(problem);
        }
    }

    pub fn full(&self) -> bool {
        self.0.len() >= MOST_PROBLEMS
    }
}

/// Text from a file as it can stand inside of a message: short, and with nothing that moves the cursor.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    let escaped = |c: char| match c {
        '"' | '\'' => vec![c],
        c => c.escape_debug().collect(),
    };
    let mut shown: String = text.chars().take(LONGEST).flat_map(escaped).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}
