//! `floor`: gives an autoscaler the floor that its approved schedule has for now. Petrel asks for it by itself when one is due; what can be
//! set is only what stands in the annotation that `hpa propose` wrote when a person had agreed.

use super::*;
use crate::autoscaler::{self, FLOORS, Floors};
use draft::while_it_moves;
use hpa::{SCALABLE, conditions, dry_run};
use ledger::{Blast, PatchKind, Risk, Step, Verify};
use serde_json::json;
use workload::{Subject, accept};

/// See the module.
pub struct Floor;

impl Action for Floor {
    fn name(&self) -> &'static str {
        "floor"
    }

    fn command(&self) -> clap::Command {
        clap::Command::new("floor")
            .about("Give an autoscaler the floor that its approved schedule has for now")
            .arg(target_arg("Deployment or StatefulSet"))
            .after_help("Example: floor deploy/checkout -n shop -c prod-eu")
    }

    fn parse(&self, matches: &clap::ArgMatches) -> Result<(Named, Value), String> {
        Ok((parse_accepted(matches, &SCALABLE, "cannot be scaled")?, json!({})))
    }

    fn plan<'a>(&'a self, context: PlanContext<'a>) -> BoxFuture<'a, Result<Plan, PlanError>> {
        Box::pin(while_it_moves(move || plan(context)))
    }
}

async fn plan(context: PlanContext<'_>) -> Result<Plan, PlanError> {
    accept(&context.target.kind, &SCALABLE, "cannot be scaled").map_err(PlanError::Invalid)?;
    let subject = Subject::read(&context).await?;
    let hpas = autoscaler::of_workload(&subject.cluster, &subject.reference).await?;
    let found = hpas.iter().find_map(|hpa| Some((hpa, Floors::of(hpa)?)));
    let Some((hpa, floors)) = found else {
        let why = format!("no schedule of floors stands for {}; ask with hpa propose", subject.words());
        return Err(PlanError::Invalid(why));
    };
    let now = &hpa["spec"]["minReplicas"];
    let Some((index, due)) = floors.at(context.at) else {
        return Err(PlanError::Nothing("the schedule has not begun".into()));
    };
    if !floors.has(now) {
        let why =
            format!("somebody has set the floor to {now} since; ask with hpa propose for a new schedule");
        return Err(PlanError::Invalid(why));
    }
    let is_last = index == floors.last();
    if *now == due && !is_last {
        return Err(PlanError::Nothing(format!("the floor is {due}, as scheduled")));
    }
    if hpa["spec"]["maxReplicas"].as_u64().is_some_and(|most| most < due.into()) {
        return Err(PlanError::Invalid(format!(
            "the HPA's maximum is below the floor of {due}; raise it first"
        )));
    }
    let mut body = json!({"spec": {"minReplicas": due}});
    let mut undo = json!({"spec": {"minReplicas": now}});
    if is_last {
        body["metadata"]["annotations"][FLOORS] = Value::Null;
        undo["metadata"]["annotations"][FLOORS] = floors.text().into();
    }
    let (object, after) = dry_run(&subject, hpa, &body).await?;
    let then = autoscaler::autoscaler(&after, autoscaler::RESOURCE).map_err(PlanError::Invalid)?;
    let replicas = subject.replicas();
    let verify = Verify {
        conditions: conditions(&subject, &object, &then).await?,
        within_s: subject.rollout_within_s(due),
    };
    let patch = |body: Value| Step::Patch { object: object.clone(), kind: PatchKind::Merge, body };
    let end = if is_last { "; the schedule is over" } else { "" };
    let mut blast = Blast { pods: due.saturating_sub(replicas), of: replicas, ..Blast::default() };
    blast.facts.push(("Schedule".into(), format!("step {} of {}", index + 1, floors.last() + 1)));
    Ok(Plan {
        action: "floor".into(),
        parameters: context.parameters.clone(),
        resource_version: subject.resource_version(),
        summary: format!(
            "set the floor of HPA {} of {} from {now} to {due}{end}",
            object.name,
            subject.words()
        ),
        steps: vec![patch(body)],
        diff: diff::diff(hpa, &after, true),
        prior: hpa["spec"].clone(),
        undo: vec![patch(undo)],
        blast,
        risk: Risk::Low,
        verify,
        target: subject.target,
    })
}
