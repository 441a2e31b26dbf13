//! The `.heal` language: text to rules and back.
//!
//! [`parse`] reads a file and goes on after a mistake, so that one look shows them all; [`check`] finds what is wrong
//! although it parses (types, unknown actions, rules that never come to anything); [`format()`] prints a file in its one
//! canonical form and keeps its comments. What people read about the language is `docs/HEALING.md`.
//!
//! The language knows no action by itself: what exists, with which parameters, comes as a [`Catalogue`].
//!
//! ```
//! use heal::language::{Catalogue, check, format, parse};
//!
//! let source = "on alert \"DiskFull\" {\n  then [ notify(\"#ops\", \"disk full\") ]\n}\n";
//! let (file, problems) = parse(source);
//! assert!(problems.is_empty() && check(&file, &Catalogue::standard()).is_empty());
//! assert_eq!(format(&file), "on alert \"DiskFull\" {\n  then [\n    notify(\"#ops\", \"disk full\")\n  ]\n}\n");
//! ```

pub mod ast;
mod catalogue;
mod check;
mod duration;
mod format;
mod lex;
mod parse;
pub mod pattern;
mod problem;
mod promql;
mod span;
mod suggest;

pub use catalogue::{Catalogue, Kind, NAMESPACE, Parameter, Risk, Shape};
pub use check::check;
pub use duration::{parse as parse_duration, show as show_duration};
pub use format::format;
pub use parse::parse;
pub use problem::{Level, Problem};
pub use span::{At, Span};

pub(crate) use format::{
    attribute as attribute_text, condition as condition_text, filter as filter_text, step as step_text,
};
pub(crate) use problem::shown;

/// Longest file in bytes; what a ConfigMap can hold.
pub const LONGEST_FILE: usize = 1024 * 1024;
/// Longest regular expression in bytes.
pub const LONGEST_PATTERN: usize = 1024;
/// How deep parentheses and `not` may nest.
pub const DEEPEST: usize = 32;
/// How many mistakes of one file are told.
pub const MOST_PROBLEMS: usize = 25;

/// How a rule compares numbers. Values come from decimal words on both sides, so equal means equal.
pub fn compare(operator: ast::Operator, left: f64, right: f64) -> bool {
    use ast::Operator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, Matches, MatchesNot, NotEqual};
    match operator {
        Equal => left == right,
        NotEqual => left != right,
        Less => left < right,
        LessOrEqual => left <= right,
        Greater => left > right,
        GreaterOrEqual => left >= right,
        Matches | MatchesNot => false,
    }
}
