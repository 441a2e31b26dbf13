//! Faults of machines, of the network and of the API server. No client of a real cluster can cause them and be sure to take them back;
//! practice clusters stage them on an annotation, which is the field that a drill changes.

use super::{PlanContext, PlanError, diff};
use crate::cluster::by_kind;
use ledger::{Blast, Condition, ObjectRef, PatchKind, Plan, Risk, Step, Target, Verify};
use serde_json::{Value, json};

/// What practice clusters read, and where it is in an object.
const ANNOTATION: &str = "practice.petrel.dev/fault";
const POINTER: &str = "/metadata/annotations/practice.petrel.dev~1fault";

/// A fault that only practice clusters have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Staged {
    /// As the annotation says it.
    pub name: &'static str,
    /// Of what.
    pub kind: &'static str,
    /// What happens, in words.
    what: &'static str,
    /// How to have it on a real cluster.
    elsewhere: &'static str,
}

/// All of them.
pub(super) const STAGED: [Staged; 5] = [
    Staged {
        name: "node-not-ready",
        kind: "Node",
        what: "its kubelet falls silent",
        elsewhere: "stop the kubelet of a node by hand, and start it again",
    },
    Staged {
        name: "node-pressure",
        kind: "Node",
        what: "it runs out of memory",
        elsewhere: "use up the memory of a node by hand (stress-ng), and stop it again",
    },
    Staged {
        name: "network-delay",
        kind: "Deployment",
        what: "its answers take two seconds longer",
        elsewhere: "delay its answers in your service mesh, and take that back",
    },
    Staged {
        name: "slow-api",
        kind: "Namespace",
        what: "every call to the API server takes half a second longer",
        elsewhere: "put a slow proxy before the API server",
    },
    Staged {
        name: "erroring-api",
        kind: "Namespace",
        what: "one of five calls to the API server fails",
        elsewhere: "put a failing proxy before the API server",
    },
];

/// The namespace whose annotation stands for the API server.
const API: &str = "kube-system";

/// By its name.
pub(super) fn of(word: &str) -> Option<Staged> {
    STAGED.into_iter().find(|staged| staged.name == word)
}

impl Staged {
    /// Whether it can be of this.
    pub fn is_of(self, kind: &str, name: &str) -> Result<(), String> {
        if kind == self.kind && (kind != "Namespace" || name == API) {
            return Ok(());
        }
        let right = match self.kind {
            "Node" => "node/<name>",
            "Namespace" => "ns/kube-system, which stands for the API server",
            _ => "deploy/<name>",
        };
        Err(format!("drill {} is of {right}", self.name))
    }
}

/// Reads only.
pub(super) async fn plan(context: PlanContext<'_>, fault: Staged, within_s: u32) -> Result<Plan, PlanError> {
    let (cluster, target) = (context.cluster, context.target);
    fault.is_of(&target.kind, &target.name).map_err(PlanError::Invalid)?;
    if !cluster.is_practice().await? {
        return Err(PlanError::Invalid(format!(
            "{} is staged by practice clusters only, because nobody could promise to give it back on {}; there, {}",
            fault.name,
            cluster.name(),
            fault.elsewhere
        )));
    }
    let api_version = if fault.kind == "Deployment" { "apps/v1" } else { "v1" };
    let namespaced = by_kind(api_version, fault.kind).is_some_and(|kind| kind.namespaced);
    let namespace = target.namespace.clone().filter(|_| namespaced);
    let named = ObjectRef {
        api_version: api_version.into(),
        kind: fault.kind.into(),
        namespace: namespace.clone(),
        name: target.name.clone(),
        uid: None,
    };
    let seen = cluster.get(&named).await?;
    let text = |pointer: &str| seen.pointer(pointer).and_then(Value::as_str).map(String::from);
    if let Some(staged) = text(POINTER) {
        return Err(PlanError::Invalid(format!(
            "{} {} has a fault already: {staged}",
            fault.kind, target.name
        )));
    }
    let object = ObjectRef { uid: text("/metadata/uid"), ..named };
    let change = |value: Value| json!({"metadata": {"annotations": {ANNOTATION: value}}});
    let patch = |body: Value| Step::Patch { object: object.clone(), kind: PatchKind::Merge, body };
    let after = cluster.patch(&object, PatchKind::Merge, &change(fault.name.into()), true).await?;
    Ok(Plan {
        action: "drill".into(),
        parameters: context.parameters.clone(),
        resource_version: text("/metadata/resourceVersion").unwrap_or_default(),
        summary: format!(
            "drill {} of {} {}: {}, for {within_s} s",
            fault.name, fault.kind, target.name, fault.what
        ),
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
        target: Target { namespace, uid: object.uid.clone(), ..target.clone() },
    })
}
