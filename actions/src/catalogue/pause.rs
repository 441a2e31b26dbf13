//! `pause` and `resume`: hold back a Deployment's rollouts, and let them go on.

use super::*;
use draft::{Draft, while_it_moves};
use futures::future::{try_join, try_join3};
use ledger::{Blast, Condition, PatchKind, Risk};
use serde_json::json;
use workload::{Subject, accept};

const PAUSABLE: [&str; 1] = ["Deployment"];

/// Holds back rollouts.
pub struct Pause;
/// Lets them go on.
pub struct Resume;

impl Action for Pause {
    fn name(&self) -> &'static str {
        "pause"
    }

    fn command(&self) -> clap::Command {
        clap::Command::new("pause")
            .about("Hold back rollouts of a Deployment until it is resumed")
            .arg(target_arg("Deployment"))
            .after_help("Example: pause deploy/checkout -n shop -c prod-eu --why \"investigating 502s\"")
    }

    fn parse(&self, matches: &clap::ArgMatches) -> Result<(Named, Value), String> {
        Ok((parse_accepted(matches, &PAUSABLE, "cannot be paused")?, json!({})))
    }

    fn plan<'a>(&'a self, context: PlanContext<'a>) -> BoxFuture<'a, Result<Plan, PlanError>> {
        Box::pin(while_it_moves(move || plan_pause(context)))
    }
}

impl Action for Resume {
    fn name(&self) -> &'static str {
        "resume"
    }

    fn command(&self) -> clap::Command {
        clap::Command::new("resume")
            .about("Let the rollouts of a paused Deployment go on")
            .arg(target_arg("Deployment"))
            .after_help("Example: resume deploy/checkout -n shop -c prod-eu --why \"fixed\"")
    }

    fn parse(&self, matches: &clap::ArgMatches) -> Result<(Named, Value), String> {
        Ok((parse_accepted(matches, &PAUSABLE, "cannot be paused or resumed")?, json!({})))
    }

    fn plan<'a>(&'a self, context: PlanContext<'a>) -> BoxFuture<'a, Result<Plan, PlanError>> {
        Box::pin(while_it_moves(move || plan_resume(context)))
    }
}

/// Null, not false, to resume: the API server keeps no false `paused`.
fn paused(value: Value) -> Value {
    json!({"spec": {"paused": value}})
}

fn field(subject: &Subject, equals: Value) -> Condition {
    Condition::Field { object: subject.reference.clone(), pointer: "/spec/paused".into(), equals }
}

async fn plan_pause(context: PlanContext<'_>) -> Result<Plan, PlanError> {
    accept(&context.target.kind, &PAUSABLE, "cannot be paused").map_err(PlanError::Invalid)?;
    let subject = Subject::read(&context).await?;
    if subject.is_paused() {
        return Err(PlanError::Nothing(format!("{} is paused", subject.words())));
    }
    let change = paused(true.into());
    let (pods, after) = try_join(subject.pods(), subject.dry_run(PatchKind::Merge, &change)).await?;
    let mut blast = Blast { of: pods.len() as u32, ..Blast::default() };
    if !is_rolled_out(&subject.object) {
        blast.notes.push("a rollout is under way: it stops half-way until it is resumed".into());
    }
    let draft = Draft {
        action: "pause",
        summary: format!("pause rollouts of {}", subject.words()),
        kind: PatchKind::Merge,
        change,
        about_replicas: false,
        risk: Risk::Low,
        conditions: vec![field(&subject, true.into())],
        within_s: 60,
        blast,
    };
    draft.plan(context, subject, &after)
}

async fn plan_resume(context: PlanContext<'_>) -> Result<Plan, PlanError> {
    accept(&context.target.kind, &PAUSABLE, "cannot be paused or resumed").map_err(PlanError::Invalid)?;
    let subject = Subject::read(&context).await?;
    if !subject.is_paused() {
        return Err(PlanError::Nothing(format!("{} is not paused", subject.words())));
    }
    let change = paused(Value::Null);
    let dry_run = subject.dry_run(PatchKind::Merge, &change);
    let waiting = rollback::pods_of_other_templates(&subject);
    let (mut blast, waiting, after) = try_join3(subject.blast(), waiting, dry_run).await?;
    if waiting == 0 {
        (blast.pods, blast.budgets, blast.notes) = (0, Vec::new(), Vec::new());
    } else {
        blast.pods = waiting.min(blast.of);
        blast.notes.insert(
            0,
            format!("a changed template is waiting: {} will be replaced", restart::pods(blast.pods)),
        );
    }
    let draft = Draft {
        action: "resume",
        summary: format!("resume rollouts of {}", subject.words()),
        kind: PatchKind::Merge,
        change,
        about_replicas: false,
        risk: if blast.pods == 0 { Risk::Low } else { Risk::Medium },
        conditions: vec![
            field(&subject, Value::Null),
            Condition::RolloutComplete { object: subject.reference.clone() },
            Condition::NotCrashLooping { object: subject.reference.clone() },
        ],
        within_s: subject.rollout_within_s(blast.of),
        blast,
    };
    draft.plan(context, subject, &after)
}

/// As `kubectl rollout status` sees it.
fn is_rolled_out(deployment: &Value) -> bool {
    let status = |field: &str| deployment["status"][field].as_u64().unwrap_or(0);
    let wanted = deployment["spec"]["replicas"].as_u64().unwrap_or(1);
    status("updatedReplicas") >= wanted
        && status("replicas") <= status("updatedReplicas")
        && status("availableReplicas") >= status("updatedReplicas")
}
