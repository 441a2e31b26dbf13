//! One execution of an approved plan; steps are checkpointed.

use crate::{Request, RequestId, RunId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a run is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Taking the plan's steps.
    Act,
    /// Watching its conditions.
    Verify,
    /// Taking the plan's undo steps.
    Undo,
    /// Over.
    Done,
}

impl Phase {
    /// As in SQL and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Act => "act",
            Phase::Verify => "verify",
            Phase::Undo => "undo",
            Phase::Done => "done",
        }
    }
}

/// One execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its name.
    pub id: RunId,
    /// Whose.
    pub request: RequestId,
    /// Of which plan.
    pub revision: u32,
    /// What it is doing.
    pub phase: Phase,
    /// Claims so far; more than one means a rescue.
    pub attempt: u32,
    /// When verification gives up; set once, so that a rescue keeps it.
    pub verify_until: Option<Timestamp>,
    /// Why the undo phase was entered.
    pub undo_because: Option<String>,
    /// The last line of live progress: `4 of 6 pods ready`.
    pub progress: Option<String>,
    /// First claim.
    pub started_at: Option<Timestamp>,
    /// End.
    pub ended_at: Option<Timestamp>,
}

/// Where a step stands. There is no row before `Intended`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepState {
    /// Committed before the effect is tried.
    Intended,
    /// The effect was read back.
    Done,
    /// The effect did not take place and will not.
    Failed,
    /// It cannot be known.
    Unknown,
}

impl StepState {
    /// As in SQL and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            StepState::Intended => "intended",
            StepState::Done => "done",
            StepState::Failed => "failed",
            StepState::Unknown => "unknown",
        }
    }
}

/// A step's checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// `Act` or `Undo`.
    pub phase: Phase,
    /// Position in the plan's steps, from 0.
    pub index: u32,
    /// Where it stands.
    pub state: StepState,
    /// What was seen and meant before the effect (resourceVersion, generation, step key).
    pub intent: Value,
    /// What was read back.
    pub outcome: Option<Value>,
    /// When it was intended.
    pub intended_at: Timestamp,
    /// When its outcome was recorded.
    pub ended_at: Option<Timestamp>,
}

/// The right to write for a run: a worker that lost its lease holds an old token, and the database refuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    /// Which run.
    pub run: RunId,
    /// Grows with every claim.
    pub token: i64,
}

/// A run that a worker holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The right to write.
    pub fence: Fence,
    /// The run as claimed.
    pub run: Run,
    /// Its request, in state `running` or `verifying`.
    pub request: Request,
    /// What earlier attempts have checkpointed.
    pub steps: Vec<StepRecord>,
}
