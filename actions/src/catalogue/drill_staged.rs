//! Faults of machines. No client of a real cluster can cause them and be sure to take them back: a kubelet that is silent hears nobody.
//! Practice clusters stage them on an annotation, which is the field that a drill changes.

use super::{PlanContext, PlanError, diff};
use ledger::{Blast, Condition, ObjectRef, PatchKind, Plan, Risk, Step, Target, Verify};
use serde_json::{Value, json};

/// What practice clusters read, and where it is in an object.
const ANNOTATION: &str = "practice.petrel.dev/fault";
const POINTER: &str = "/metadata/annotations/practice.petrel.dev~1fault";
const KIND: &str = "Node";

/// A fault that only practice clusters have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Staged {
    /// As the annotation says it.
    pub name: &'static str,
    /// What happens, in words.
    what: &'static str,
    /// How to have it on a real cluster.
    elsewhere: &'static str,
}

/// All of them.
pub(super) const STAGED: [Staged; 2] = [
    Staged {
        name: "node-not-ready",
        what: "its kubelet falls silent",
        elsewhere: "stop the kubelet of a node by hand, and start it again",
    },
    Staged {
        name: "node-pressure",
        what: "it runs out of memory",
        elsewhere: "use up the memory of a node by hand (stress-ng), and stop it again",
    },
];

/// By its name.
pub(super) fn of(word: &str) -> Option<Staged> {
    STAGED.into_iter().find(|staged| staged.name == word)
}

impl Staged {
    /// Whether it can be of this.
    pub fn is_of(self, kind: &str) -> Result<(), String> {
        if kind == KIND { Ok(()) } else { Err(format!("drill {} is of node/<name>", self.name)) }
    }
}

/// Reads only.
pub(super) async fn plan(context: PlanContext<'_>, fault: Staged, within_s: u32) -> Result<Plan, PlanError> {
    let (cluster, target) = (context.cluster, context.target);
    fault.is_of(&target.kind).map_err(PlanError::Invalid)?;
    if !cluster.is_practice().await? {
        return Err(PlanError::Invalid(format!(
            "{} is staged by practice clusters only, because nobody could promise to give it back on {}; there, {}",
            fault.name,
            cluster.name(),
            fault.elsewhere
        )));
    }
    let named = ObjectRef {
        api_version: "v1".into(),
        kind: KIND.into(),
        namespace: None,
        name: target.name.clone(),
        uid: None,
    };
    let seen = cluster.get(&named).await?;
    let text = |pointer: &str| seen.pointer(pointer).and_then(Value::as_str).map(String::from);
    if let Some(staged) = text(POINTER) {
        return Err(PlanError::Invalid(format!("{KIND} {} has a fault already: {staged}", target.name)));
    }
    let object = ObjectRef { uid: text("/metadata/uid"), ..named };
    let change = |value: Value| json!({"metadata": {"annotations": {ANNOTATION: value}}});
    let patch = |body: Value| Step::Patch { object: object.clone(), kind: PatchKind::Merge, body };
    let after = cluster.patch(&object, PatchKind::Merge, &change(fault.name.into()), true).await?;
    Ok(Plan {
        action: "drill".into(),
        parameters: context.parameters.clone(),
        resource_version: text("/metadata/resourceVersion").unwrap_or_default(),
        summary: format!("drill {} of {KIND} {}: {}, for {within_s} s", fault.name, target.name, fault.what),
        steps: vec![patch(change(fault.name.into()))],
        diff: diff::diff(&seen, &after, false),
        blast: Blast {
            notes: vec![
                "a drill: broken on purpose, and given back at its end or when it is called off".into(),
            ],
            ..Blast::default()
        },
        risk: Risk::High,
        prior: change(Value::Null),
        undo: vec![patch(change(Value::Null))],
        verify: Verify {
            conditions: vec![Condition::Changed {
                object: object.clone(),
                pointer: POINTER.into(),
                from: fault.name.into(),
            }],
            within_s,
        },
        target: Target { namespace: None, uid: object.uid.clone(), ..target.clone() },
    })
}
