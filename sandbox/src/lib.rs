//! Runs scripts that we did not write, so that they can do no harm.
//!
//! For: conditions of healing rules (`exec "df -h /data"`) and the steps that touch files.
//!
//! Promises: a script runs as an unprivileged user, sees a root of its own with nothing but system programs and the given folders, has no
//! network, no capabilities, a short list of system calls, limits on everything that can be used up, and a deadline. When it ends, or is
//! ended, everything it started ends with it. What it prints is kept up to a cap. Which walls stood is reported with each run, and a script is
//! refused where a required one is missing.
//!
//! Not in it: a shell (a script is a program and its words), images, a network that is allowed a little, and a policy: the caller says what
//! is required. What is kept out by which wall, and what is not: `docs/SANDBOX.md`.
//!
//! How: the walls are put up by a program around itself, never by a server around its threads. So [`Sandbox::run`] starts our own program
//! again with a hidden word, and [`enter_if_asked`], called first in its `main`, takes over: `outer` enters the namespaces, `inner` is process
//! 1 in them, closes the rest behind itself and starts the script. No `unsafe`, no work between fork and exec.

#[cfg(not(target_os = "linux"))]
compile_error!("the sandbox is made of Linux namespaces");

mod capture;
mod digest;
mod enter;
mod layer;
mod limits;
mod outcome;
mod run;
mod wire;

pub use enter::enter_if_asked;
pub use layer::{Layer, Standing};
pub use limits::Limits;
pub use outcome::{Ended, Printed, Ran};
pub use run::{Error, Sandbox, Spare};
