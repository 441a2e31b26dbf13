//! The frozen, digestible answer to "what exactly will happen". A plan is data: the planner makes every choice, the
//! runner none.

use crate::Target;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::{fmt, str::FromStr};

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
    /// RFC 6902: the body is the list of operations.
    Json,
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
    /// Run a command in a container of a pod. Nothing on the object tells afterwards whether it ran, so planners write only commands
    /// that are safe to run twice: after a lost answer or a crash it is run again, as long as it is the same pod.
    Exec {
        /// The pod; `uid` is required.
        object: ObjectRef,
        /// Its container.
        container: String,
        /// Word by word; no shell reads them.
        command: Vec<String>,
    },
}

impl Step {
    /// What the step acts on.
    pub fn object(&self) -> &ObjectRef {
        match self {
            Step::Patch { object, .. }
            | Step::Create { object, .. }
            | Step::Delete { object, .. }
            | Step::Exec { object, .. } => object,
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
    /// The autoscaler can read its metric and decide.
    ScalingActive {
        /// HorizontalPodAutoscaler.
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
    /// The value at a JSON pointer is another than this, which the plan itself writes there, or the object is gone: a drill that somebody has healed. A plan
    /// with this condition gives back: when it does not hold in time, or the run is called off, the undo steps are taken as long as the
    /// value is still this, whatever else has changed.
    Changed {
        /// The object.
        object: ObjectRef,
        /// RFC 6901.
        pointer: String,
        /// What a drill puts there.
        from: Value,
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
    /// What speaks for it, label and value: `forecast`, `MAPE 6 %`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<(String, String)>,
}

impl Blast {
    /// Share of the workload that is hit, in percent, 0 to 100.
    pub fn percent(&self) -> u32 {
        (self.pods * 100).checked_div(self.of).unwrap_or(0).min(100)
    }
}

/// SHA-256 over everything a person approves.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
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

/// Why a text is not a digest.
#[derive(Debug, thiserror::Error)]
#[error("a digest is 64 hexadecimal digits")]
pub struct NotADigest;

impl FromStr for Digest {
    type Err = NotADigest;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| NotADigest)?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = NotADigest;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
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
    /// Of a drill: the condition that tells whether what it broke is still broken.
    pub fn fault(&self) -> Option<&Condition> {
        self.verify.conditions.iter().find(|condition| matches!(condition, Condition::Changed { .. }))
    }

    /// What an approval is bound to (G3): action, parameters, target with uid, steps, diff, prior state, undo and what is
    /// verified. Not the blast radius, the resourceVersion or the wording: those move without the change being another one.
    pub fn digest(&self) -> Digest {
        let approved = json!({
            "action": self.action,
            "parameters": self.parameters,
            "target": self.target,
            "steps": self.steps,
            "diff": self.diff,
            "prior": self.prior,
            "undo": self.undo,
            "verify": self.verify.conditions,
        });
        let mut hash = Sha256::new();
        hash.update(b"petrel plan 1\0");
        encode(&mut hash, &approved);
        Digest(hash.finalize().into())
    }
}

/// One encoding for each JSON value, and no two values with the same: a letter for the type, every length before its bytes,
/// objects by sorted keys.
fn encode(hash: &mut Sha256, value: &Value) {
    match value {
        Value::Null => hash.update(b"n"),
        Value::Bool(true) => hash.update(b"t"),
        Value::Bool(false) => hash.update(b"f"),
        Value::Number(number) => {
            hash.update(b"d");
            encode_bytes(hash, number.to_string().as_bytes());
        }
        Value::String(text) => {
            hash.update(b"s");
            encode_bytes(hash, text.as_bytes());
        }
        Value::Array(items) => {
            hash.update(b"a");
            hash.update((items.len() as u64).to_be_bytes());
            for item in items {
                encode(hash, item);
            }
        }
        Value::Object(fields) => {
            hash.update(b"o");
            hash.update((fields.len() as u64).to_be_bytes());
            let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            for (name, value) in fields {
                encode_bytes(hash, name.as_bytes());
                encode(hash, value);
            }
        }
    }
}

fn encode_bytes(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::sample;
    use proptest::prelude::*;

    fn of(value: &Value) -> [u8; 32] {
        let mut hash = Sha256::new();
        encode(&mut hash, value);
        hash.finalize().into()
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-c]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c]{0,2}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn equal_values_and_only_they_have_equal_digests(a in any_json(), b in any_json()) {
            prop_assert_eq!(of(&a) == of(&b), a == b);
            let stored: Value = serde_json::from_str(&a.to_string()).unwrap();
            prop_assert_eq!(of(&stored), of(&a), "the database gives back what was written");
        }
    }

    #[test]
    fn the_digest_is_of_what_is_approved_and_of_nothing_else() {
        let plan = sample::plan();
        let same = Plan {
            resource_version: "999".into(),
            summary: "said otherwise".into(),
            blast: Blast { pods: 7, ..plan.blast.clone() },
            ..plan.clone()
        };
        assert_eq!(plan.digest(), same.digest());

        let mut others = vec![plan.clone(); 8];
        others[0].action = "restart".into();
        others[1].parameters = json!({"replicas": 7});
        others[2].target.uid = Some("another".into());
        others[3].steps.clear();
        others[4].diff.push('x');
        others[5].prior = json!({"replicas": 4});
        others[6].undo.clear();
        others[7].verify.conditions.clear();
        for other in others {
            assert_ne!(plan.digest(), other.digest(), "{other:?}");
        }
    }

    #[test]
    fn a_digest_is_read_as_it_is_written() {
        let digest = sample::plan().digest();
        assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        assert!("abc".parse::<Digest>().is_err());
    }
}
