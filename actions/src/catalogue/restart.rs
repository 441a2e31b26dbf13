//! `restart`: a rolling restart, as `kubectl rollout restart` does it.

use super::*;
use draft::{Draft, while_it_moves};
use futures::future::try_join;
use ledger::{Condition, PatchKind, Risk};
use serde_json::json;
use workload::{Subject, accept};

const ANNOTATION: &str = "kubectl.kubernetes.io/restartedAt";
const WHY_NOT: &str = "cannot be restarted";

/// See the module.
pub struct Restart;

impl Action for Restart {
    fn name(&self) -> &'static str {
        "restart"
    }

    fn command(&self) -> clap::Command {
        clap::Command::new("restart")
            .about("Restart all pods of a workload, a few at a time")
            .arg(target_arg("Deployment, StatefulSet or DaemonSet"))
            .after_help("Example: restart deploy/checkout -n shop -c prod-eu --why \"stale connections\"")
    }

    fn parse(&self, matches: &clap::ArgMatches) -> Result<(Named, Value), String> {
        Ok((parse_accepted(matches, &ROLLING, WHY_NOT)?, json!({})))
    }

    fn plan<'a>(&'a self, context: PlanContext<'a>) -> BoxFuture<'a, Result<Plan, PlanError>> {
        Box::pin(while_it_moves(move || plan(context)))
    }
}

async fn plan(context: PlanContext<'_>) -> Result<Plan, PlanError> {
    accept(&context.target.kind, &ROLLING, WHY_NOT).map_err(PlanError::Invalid)?;
    let subject = Subject::read(&context).await?;
    if subject.is_paused() {
        return Err(PlanError::Invalid(format!(
            "{} is paused and would not restart; resume it first",
            subject.words()
        )));
    }
    if subject.updates_on_delete() {
        return Err(PlanError::Invalid(format!(
            "{} updates OnDelete: a restart reaches none of its pods; delete them one by one with delete-pod",
            subject.words()
        )));
    }
    // kubectl writes whole seconds; with those, a second restart within one would find nothing to do.
    let at = context.at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    let change = json!({"spec": {"template": {"metadata": {"annotations": {ANNOTATION: at}}}}});
    let (mut blast, after) = try_join(subject.blast(), subject.dry_run(PatchKind::Merge, &change)).await?;
    subject.rollout_notes(&mut blast);
    let draft = Draft {
        action: "restart",
        summary: format!("restart {} ({})", subject.words(), pods(blast.pods)),
        kind: PatchKind::Merge,
        change,
        about_replicas: false,
        risk: Risk::Medium,
        conditions: subject.rollout_conditions(Vec::<Condition>::new()),
        within_s: subject.rollout_within_s(blast.of),
        blast,
    };
    draft.plan(context, subject, &after)
}

/// `1 pod`, `6 pods`.
pub(super) fn pods(count: u32) -> String {
    if count == 1 { "1 pod".into() } else { format!("{count} pods") }
}
