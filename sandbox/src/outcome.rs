//! What came of a run.

use crate::layer::Layers;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How a script ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// By itself, with this code.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
    /// Its time was over.
    Deadline,
    /// It printed more than is kept.
    Output,
    /// It never began: why.
    NotStarted(String),
}

/// What it printed to one stream, as far as it is kept.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Printed {
    /// The first bytes.
    pub bytes: Vec<u8>,
    /// There was more.
    pub cut: bool,
}

impl Printed {
    /// As text, with a mark for what is none.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// One run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ran {
    /// How it ended.
    pub ended: Ended,
    /// From the order to the end, the putting up of walls included.
    pub took: Duration,
    /// Standard output.
    pub stdout: Printed,
    /// Standard error.
    pub stderr: Printed,
    /// Which walls stood.
    pub layers: Layers,
    /// What is not as usual but no wall, for example that there was no `/proc`.
    pub remarks: Vec<String>,
    /// SHA-256 of the program and its words, each with its length before it.
    pub script_sha256: [u8; 32],
    /// SHA-256 of what is kept of both streams, each with its length before it.
    pub output_sha256: [u8; 32],
}
