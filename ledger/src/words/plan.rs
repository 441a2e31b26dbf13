//! The frozen, digestible answer to "what exactly will happen". A plan is data: the planner makes every choice, the
//! runner none.

use crate::Target;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// How much harm an action can do when it goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Risk {
    /// Easily undone, no interruption expected (scale up, resume).
    Low,
    /// Interrupts part of a workload (restart, scale down, delete one pod).
    Medium,
    /// Can interrupt a whole workload or cannot be undone (scale to zero, new image).
    High,
}

impl fmt::Display for Risk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Risk::Low => "low",
            Risk::Medium => "medium",
            Risk::High => "high",
        })
    }
}

/// A Kubernetes object named exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRef {
    /// `apps/v1`, `v1`, `batch/v1`.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// None for cluster-scoped kinds.
    pub namespace: Option<String>,
    /// Object name.
    pub name: String,
    /// When set, the effect is refused on any other uid.
    pub uid: Option<String>,
}

/// How a patch body is read by the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PatchKind {
    /// RFC 7386.
    Merge,
    /// Lists merged by their keys, core types only.
    Strategic,
    /// Server-side apply with Petrel's field manager.
    Apply,
}

/// One effect on the cluster. The runner adds what makes it safe to repeat: the step's key as the annotation
/// `petrel.dev/step`, the resourceVersion just read as the precondition, `petrel` as the field manager.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Step {
    /// Change fields of an object that exists.
    Patch {
        /// What to patch.
        object: ObjectRef,
        /// How to read `body`.
        kind: PatchKind,
        /// The change, without metadata that the runner adds.
        body: Value,
    },
    /// Make an object; its name must be fixed by the plan.
    Create {
        /// Names what `body` makes.
        object: ObjectRef,
        /// The whole object.
        body: Value,
    },
    /// Delete an object, always by uid.
    Delete {
        /// `uid` is required.
        object: ObjectRef,
        /// None: the object's own.
        grace_period_seconds: Option<u32>,
    },
}

impl Step {
    /// What the step acts on.
    pub fn object(&self) -> &ObjectRef {
        match self {
            Step::Patch { object, .. } | Step::Create { object, .. } | Step::Delete { object, .. } => object,
        }
    }
}

/// What must hold after the effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "check", rename_all = "kebab-case")]
pub enum Condition {
    /// The newest generation is observed, updated and available, as `kubectl rollout status` says it.
    RolloutComplete {
        /// Deployment, StatefulSet or DaemonSet.
        object: ObjectRef,
    },
    /// Exactly this many replicas are wanted and ready.
    Replicas {
        /// Deployment or StatefulSet.
        object: ObjectRef,
        /// How many.
        count: u32,
    },
    /// No container of the workload's pods is crash-looping or cannot pull its image.
    NotCrashLooping {
        /// The workload.
        object: ObjectRef,
    },
    /// The object with this uid is gone (or was replaced by another of the same name).
    Gone {
        /// `uid` is required.
        object: ObjectRef,
    },
    /// The Job finished; a failed Job fails the condition.
    JobComplete {
        /// The Job.
        object: ObjectRef,
    },
    /// The value at a JSON pointer equals this.
    Field {
        /// The object.
        object: ObjectRef,
        /// RFC 6901, such as `/spec/paused`.
        pointer: String,
        /// What it must equal; null also matches an absent field.
        equals: Value,
    },
}

/// Conditions with a deadline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verify {
    /// All must hold.
    pub conditions: Vec<Condition>,
    /// Seconds after the last step until what does not hold counts as failed, and what cannot be read as inconclusive.
    pub within_s: u32,
}

/// Who is hit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Blast {
    /// Pods that will be restarted, removed or added.
    pub pods: u32,
    /// Pods of the workload before the change.
    pub of: u32,
    /// Disruption budgets that select those pods, with what they still allow: `checkout-pdb (1 more)`.
    pub budgets: Vec<String>,
    /// What else a person should know before approving: `an HPA (checkout, 2-10) will overrule this`.
    pub notes: Vec<String>,
}

impl Blast {
    /// Share of the workload that is hit, in percent, 0 to 100.
    pub fn percent(&self) -> u32 {
        if self.of == 0 { 0 } else { (self.pods * 100 / self.of).min(100) }
    }
}

/// SHA-256 over everything a person approves.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", hex::encode(self.0))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", hex::encode(self.0))
    }
}

/// The frozen answer to "what exactly will happen".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Catalogue name.
    pub action: String,
    /// Typed parameters, normalised by the action.
    pub parameters: Value,
    /// With uid.
    pub target: Target,
    /// The target's resourceVersion as read. Shown, not digested: every status heartbeat moves it. The digest binds
    /// the uid, the prior state, the steps and the diff instead, and the runner reads a fresh one as its precondition.
    pub resource_version: String,
    /// One sentence: `scale Deployment checkout from 3 to 6 replicas`.
    pub summary: String,
    /// In order.
    pub steps: Vec<Step>,
    /// Unified diff of the server-side dry run; empty when nothing would change.
    pub diff: String,
    /// Who is hit.
    pub blast: Blast,
    /// How bad it can be.
    pub risk: Risk,
    /// What the touched fields were, to be restored by `undo`.
    pub prior: Value,
    /// Steps that restore `prior`; empty when there is no way back.
    pub undo: Vec<Step>,
    /// What must hold afterwards.
    pub verify: Verify,
}

impl Plan {
    /// What an approval is bound to (G3): action, parameters, target with uid, steps, diff, prior state and undo.
    /// Not the blast radius, the resourceVersion or the wording: those move without the change being another one.
    pub fn digest(&self) -> Digest {
        todo!("sha256 over a length-prefixed canonical encoding with a domain tag")
    }
}
