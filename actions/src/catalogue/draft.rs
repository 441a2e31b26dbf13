//! From a change of one object, and the server-side dry run of exactly the step that the runner will take, to a plan with its
//! diff.

use super::{PlanContext, PlanError, change, diff, workload::Subject};
use crate::cluster::ClusterError;
use ledger::{Blast, Condition, PatchKind, Plan, Risk, Step, Verify};
use serde_json::{Value, json};

/// How often planning starts over when the object changes between its read and its dry run.
const TRIES: usize = 4;

/// A change of one object.
pub struct Draft {
    /// Catalogue name.
    pub action: &'static str,
    /// One sentence.
    pub summary: String,
    /// How the bodies are read.
    pub kind: PatchKind,
    /// The change.
    pub change: Value,
    /// It is about `spec.replicas`, which is left out of the diff otherwise.
    pub about_replicas: bool,
    /// Who is hit.
    pub blast: Blast,
    /// How bad it can be.
    pub risk: Risk,
    /// What must hold afterwards.
    pub conditions: Vec<Condition>,
    /// Seconds for that.
    pub within_s: u32,
}

impl Draft {
    /// The plan, given the object as it would be `after` the change ([`Subject::dry_run`]). Undo is the way back from there to what
    /// was read, field by field: what was absent becomes absent again, what was not touched is not in it.
    pub fn plan(self, context: PlanContext<'_>, subject: Subject, after: &Value) -> Result<Plan, PlanError> {
        let diff = diff::diff(&subject.object, after, self.about_replicas);
        if diff.is_empty() {
            return Err(PlanError::Nothing(format!(
                "the cluster would not change anything about {}",
                subject.words()
            )));
        }
        let undo = json!({"spec": match self.kind {
            PatchKind::Strategic => change::strategic_patch(&after["spec"], &subject.object["spec"]),
            PatchKind::Merge | PatchKind::Apply | PatchKind::Json => change::merge_patch(&after["spec"], &subject.object["spec"]),
        }});
        let patch = |body: Value| Step::Patch { object: subject.reference.clone(), kind: self.kind, body };
        let resource_version = subject.resource_version();
        Ok(Plan {
            action: self.action.into(),
            parameters: context.parameters.clone(),
            steps: vec![patch(self.change)],
            prior: undo.clone(),
            undo: vec![patch(undo)],
            target: subject.target,
            resource_version,
            summary: self.summary,
            diff,
            blast: self.blast,
            risk: self.risk,
            verify: Verify { conditions: self.conditions, within_s: self.within_s },
        })
    }
}

/// Plans again while the object changes under us; gives up with the conflict after a few tries.
pub async fn while_it_moves<F, Fut>(attempt: F) -> Result<Plan, PlanError>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<Plan, PlanError>>,
{
    let mut tries = 1;
    loop {
        match attempt().await {
            Err(PlanError::Cluster(ClusterError::Conflict { reason, .. }))
                if reason == "Conflict" && tries < TRIES =>
            {
                tries += 1
            }
            plan => return plan,
        }
    }
}
