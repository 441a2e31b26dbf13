//! `delete-pod`: deletes one pod; its controller makes another.

use super::*;
use ledger::{Blast, Condition, Risk, Step, Verify};
use serde_json::json;
use workload::{Subject, accept, budgets, is_live, text};

const WHY_NOT: &str = "is not a pod";
/// Seconds that a pod may take to go, beside its own grace period, and that its successor may take to be ready.
const WITHIN_S: u32 = 300;

/// See the module.
pub struct DeletePod;

impl Action for DeletePod {
    fn name(&self) -> &'static str {
        "delete-pod"
    }

    fn command(&self) -> clap::Command {
        clap::Command::new("delete-pod")
            .about("Delete one pod; its controller makes another")
            .arg(target_arg("The pod: pod/<name>"))
            .after_help("Example: delete-pod pod/checkout-6d5f9c7b8-x2x4k -n shop -c prod-eu --why \"stuck connection\"")
    }

    fn parse(&self, matches: &clap::ArgMatches) -> Result<(Named, Value), String> {
        Ok((parse_accepted(matches, &["Pod"], WHY_NOT)?, json!({})))
    }

    fn plan<'a>(&'a self, context: PlanContext<'a>) -> BoxFuture<'a, Result<Plan, PlanError>> {
        Box::pin(plan(context))
    }
}

pub(super) async fn plan(context: PlanContext<'_>) -> Result<Plan, PlanError> {
    accept(&context.target.kind, &["Pod"], WHY_NOT).map_err(PlanError::Invalid)?;
    let subject = Subject::read(&context).await?;
    let pod = &subject.object;
    if let Some(since) = pod["metadata"]["deletionTimestamp"].as_str() {
        return Err(PlanError::Nothing(format!("{} is being deleted since {since}", subject.words())));
    }
    if pod["metadata"]["annotations"]["kubernetes.io/config.mirror"].is_string() {
        return Err(PlanError::Invalid(format!(
            "{} is a static pod of node {}: the node would show it again at once; change its manifest there",
            subject.words(),
            text(pod, "/spec/nodeName")
        )));
    }
    let mut blast = Blast { pods: 1, of: 1, ..Blast::default() };
    budgets(&subject.cluster, subject.reference.namespace.as_deref())
        .await?
        .on(std::slice::from_ref(pod), &mut blast);
    let mut conditions = vec![Condition::Gone { object: subject.reference.clone() }];
    let mut risk = Risk::Medium;
    match owner(&subject).await? {
        Some((workload, siblings)) => {
            blast.of = siblings.max(1);
            if siblings == 1 {
                blast.notes.push("it is the only pod of its workload".into());
            }
            if ROLLING.contains(&workload.kind.as_str()) {
                conditions.push(Condition::RolloutComplete { object: workload });
            }
        }
        None => {
            blast.notes.push("no controller owns it: nothing makes another".into());
            risk = Risk::High;
        }
    }
    if pod["spec"]["volumes"].as_array().into_iter().flatten().any(|volume| volume["emptyDir"].is_object()) {
        blast.notes.push("its emptyDir volumes are lost".into());
    }
    subject.cluster.delete(&subject.reference, None, true).await?;
    let grace = pod["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap_or(30).min(3600) as u32;
    Ok(Plan {
        action: "delete-pod".into(),
        parameters: context.parameters.clone(),
        resource_version: subject.resource_version(),
        summary: format!("delete {}", subject.words()),
        steps: vec![Step::Delete { object: subject.reference.clone(), grace_period_seconds: None }],
        diff: diff::deleted(&telling(pod)),
        blast,
        risk,
        prior: Value::Null,
        undo: Vec::new(),
        verify: Verify { conditions, within_s: WITHIN_S + grace },
        target: subject.target,
    })
}

/// What tells people which pod it is; its uid binds the approval to it.
fn telling(pod: &Value) -> Value {
    let owner = controller(pod).map(|owner| format!("{} {}", text(owner, "/kind"), text(owner, "/name")));
    let images: Vec<&Value> = pod["spec"]["containers"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|container| &container["image"])
        .collect();
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"], "uid": pod["metadata"]["uid"]},
        "node": pod["spec"]["nodeName"],
        "controlled by": owner,
        "images": images,
    })
}

/// The workload that makes the pod's successor, and how many live pods it has. A ReplicaSet's own controller counts.
async fn owner(subject: &Subject) -> Result<Option<(ledger::ObjectRef, u32)>, ClusterError> {
    let namespace = subject.reference.namespace.clone();
    let reference = |owner: &Value| ledger::ObjectRef {
        api_version: text(owner, "/apiVersion"),
        kind: text(owner, "/kind"),
        namespace: namespace.clone(),
        name: text(owner, "/name"),
        uid: owner["uid"].as_str().map(String::from),
    };
    let Some(direct) = controller(&subject.object) else { return Ok(None) };
    let mut workload = reference(direct);
    if workload.kind == "ReplicaSet" {
        match subject.cluster.get(&workload).await {
            Ok(set) => workload = controller(&set).map(reference).unwrap_or(workload),
            Err(ClusterError::NotFound { .. } | ClusterError::Forbidden { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let siblings = match subject.cluster.get(&workload).await {
        Ok(object) => pods_of(&subject.cluster, &workload, &object).await?.len() as u32,
        Err(ClusterError::NotFound { .. } | ClusterError::Forbidden { .. }) => {
            u32::from(is_live(&subject.object))
        }
        Err(error) => return Err(error),
    };
    Ok(Some((workload, siblings)))
}
