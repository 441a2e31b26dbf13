//! The part that runs in processes of its own. Nothing here runs in a server.

mod calls;
mod files;
mod inner;
mod outer;
mod root;

use std::{ffi::OsStr, process::ExitCode};

/// The hidden word that makes a program enter the sandbox.
pub const OUTER: &str = "sandbox-enter";
/// And the one for its second half.
const INNER: &str = "sandbox-inside";

/// Call this first in `main`, before there is a thread or an open file: when the program was started to put up the walls around a script,
/// it does that, and the caller returns the code. Otherwise there is nothing to do.
pub fn enter_if_asked() -> Option<ExitCode> {
    let word = std::env::args_os().nth(1)?;
    let outcome = if word == OsStr::new(OUTER) {
        outer::run()
    } else if word == OsStr::new(INNER) {
        inner::run()
    } else {
        return None;
    };
    Some(match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sandbox: {error} (this word is for Petrel itself, not for people)");
            ExitCode::FAILURE
        }
    })
}
