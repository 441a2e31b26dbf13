//! Conditions in CEL: compiled once, checked as far as can be known before anybody asks anything, then evaluated in
//! microseconds.
//!
//! The language is kept small, so that a condition is easy to read, cheap, and cannot be written in a way that never
//! holds: unknown variables, fields, functions and values, and comparisons between different types, are refused.

use super::check::{Check, Words};
use cel::{Context, Env, IdedExpr, Value, common::types::CelBool};
use std::sync::Arc;

/// Longest condition, in bytes. Real ones have a hundred.
const LONGEST: usize = 2_000;

/// A condition that can be asked.
#[derive(Debug)]
pub(super) struct Condition {
    pub text: String,
    expression: IdedExpr,
}

/// What is wrong with a condition's text, and at which byte of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub offset: usize,
    pub message: String,
}

impl Condition {
    /// Parses and checks. Needs a big stack: see [`with_big_stack`].
    pub fn compile(text: &str, words: &Words<'_>, env: &Arc<Env>) -> Result<Condition, Fault> {
        if text.len() > LONGEST {
            return Err(Fault {
                offset: 0,
                message: format!("a condition may have {LONGEST} bytes, this one has {}", text.len()),
            });
        }
        let program = env.compile(text).map_err(|errors| syntax(text, &errors))?;
        Check::new(words, env, program.source_info()).whole(program.expression())?;
        Ok(Condition { text: text.to_string(), expression: program.expression().clone() })
    }

    /// Whether it holds. The error is for people: it says what could not be evaluated.
    pub fn holds(&self, context: &Context<'_, '_>) -> Result<bool, String> {
        let value = Value::resolve_val(&self.expression, context).map_err(|error| brief(&error))?;
        match value.downcast_ref::<CelBool>() {
            Some(answer) => Ok(*answer.inner()),
            None => Err(format!("it is {}, neither true nor false", value.get_type().name())),
        }
    }
}

/// The first syntax error, mostly in the parser's words.
fn syntax(text: &str, errors: &cel::ParseErrors) -> Fault {
    let Some(first) = errors.errors.first() else {
        return Fault { offset: 0, message: "this is not a condition".to_string() };
    };
    let line = usize::try_from(first.pos.0).unwrap_or_default().saturating_sub(1);
    let column = usize::try_from(first.pos.1).unwrap_or_default().saturating_sub(1);
    let line_start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = text.get(line_start..).unwrap_or_default();
    let inner = rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at);
    let said = first.msg.strip_prefix("Syntax error: ").unwrap_or(&first.msg);
    // What the parser would have taken instead is nearly the whole language.
    let said = said.split_once(" expecting {").map_or(said, |(said, _)| said);
    let message = match said {
        ended if ended.contains("<EOF>") => "the condition ends where more is expected".to_string(),
        single if single.contains("'= '") || single.contains("'=") => {
            "a single '=' means nothing here; compare with '=='".to_string()
        }
        other => clip(other),
    };
    Fault { offset: line_start + inner, message }
}

/// An evaluation error in one short line.
pub(super) fn brief(error: &cel::ExecutionError) -> String {
    match error {
        cel::ExecutionError::NoSuchKey(key) => format!("there is no '{}'", clip(key)),
        other => clip(&other.to_string()),
    }
}

fn clip(text: &str) -> String {
    let line = text.split('\n').next().unwrap_or_default();
    match line.char_indices().nth(160) {
        Some((at, _)) => format!("{}...", &line[..at]),
        None => line.to_string(),
    }
}

/// Runs `work` on a thread with a stack that no text of [`LONGEST`] bytes can exhaust: the CEL parser is recursive, and
/// overflows the 2 MiB of an ordinary thread when it is built without optimisation. None: `work` panicked.
pub(super) fn with_big_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    const STACK: usize = 64 << 20;
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("policy".to_string()).stack_size(STACK);
        thread.spawn_scoped(scope, work).ok()?.join().ok()
    })
}

/// Asks a condition that may be absent: no condition always holds.
pub(super) fn holds(when: Option<&Condition>, context: &Context<'_, '_>) -> Result<bool, String> {
    when.map_or(Ok(true), |condition| condition.holds(context))
}

/// The environment that all conditions share: the standard functions, nothing else.
pub(super) fn environment() -> Arc<Env> {
    Arc::new(Env::stdlib().with_optional_support(false))
}
