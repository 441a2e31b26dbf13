//! `hpa`: proposes an autoscaler from the forecast of a workload's load, and puts the previous one back.

use super::*;
use crate::autoscaler::{self, PREVIOUS, Study, Wish, study};
use crate::query::Plot;
use change::merge_patch;
use draft::while_it_moves;
use forecast::capacity::{hpa::Comparison, replay::Autoscaler};
use jiff::Timestamp;
use ledger::{Blast, Condition, ObjectRef, PatchKind, Request, Risk, Step, Verify};
use serde_json::json;
use std::time::Duration;
use workload::{Subject, accept, text};

const SCALABLE: [&str; 2] = ["Deployment", "StatefulSet"];
const HOURS: std::ops::RangeInclusive<u32> = 6..=168;
const RESOURCE: &str = "cpu";
/// Changes of the floor that are told.
const TOLD: usize = 5;

/// See the module.
pub struct Hpa;

impl Action for Hpa {
    fn name(&self) -> &'static str {
        "hpa"
    }

    fn command(&self) -> clap::Command {
        clap::Command::new("hpa")
            .about("Propose an autoscaler from the forecast of the load, or put the previous one back")
            .arg(
                clap::Arg::new("do")
                    .value_name("propose|rollback")
                    .required(true)
                    .value_parser(["propose", "rollback"])
                    .hide_possible_values(true)
                    .help("propose: bounds and target for the load to come. rollback: what was before Petrel changed it"),
            )
            .arg(target_arg("Deployment or StatefulSet"))
            .arg(
                clap::Arg::new("load")
                    .long("load")
                    .value_name("METRIC")
                    .help("What cpu follows, such as qps; left out, cpu itself is forecast"),
            )
            .arg(
                clap::Arg::new("hours")
                    .long("hours")
                    .value_name("HOURS")
                    .default_value("24")
                    .value_parser(clap::value_parser!(u32).range(i64::from(*HOURS.start())..=i64::from(*HOURS.end())))
                    .help("How far ahead to look"),
            )
            .after_help("Example: hpa propose deploy/checkout -n shop -c prod-eu --why \"sale on Friday\"")
    }

    fn parse(&self, matches: &clap::ArgMatches) -> Result<(Named, Value), String> {
        let named = parse_accepted(matches, &SCALABLE, "cannot be scaled")?;
        if matches.get_one::<String>("do").is_some_and(|what| what == "rollback") {
            return Ok((named, json!({"do": "rollback"})));
        }
        let hours = matches.get_one::<u32>("hours").copied().unwrap_or(24);
        let mut parameters = json!({"do": "propose", "hours": hours});
        if let Some(load) = matches.get_one::<String>("load") {
            parameters["load"] = load.as_str().into();
        }
        Ok((named, parameters))
    }

    fn plan<'a>(&'a self, context: PlanContext<'a>) -> BoxFuture<'a, Result<Plan, PlanError>> {
        match context.parameters["do"].as_str() {
            Some("rollback") => Box::pin(while_it_moves(move || rollback(context))),
            _ => Box::pin(while_it_moves(move || propose(context))),
        }
    }
}

async fn propose(context: PlanContext<'_>) -> Result<Plan, PlanError> {
    accept(&context.target.kind, &SCALABLE, "cannot be scaled").map_err(PlanError::Invalid)?;
    let subject = Subject::read(&context).await?;
    let pods = subject.pods().await?;
    let found = study(&subject.cluster, &subject.reference, &subject.object, &pods, &wish(&context))
        .await
        .map_err(PlanError::from)?;
    if let (Some(keep), Some(hpa)) = (&found.proposal.keep, &found.hpa) {
        let name = text(hpa, "/metadata/name");
        return Err(PlanError::Nothing(format!(
            "HPA {name} goes on reacting ({}): {keep}",
            bounds(&found.proposal.current)
        )));
    }
    let wanted = &found.proposal.proposed;
    let (object, step, undo, diff, before) = match &found.hpa {
        Some(hpa) => change(&subject, hpa, wanted).await?,
        None => create(&subject, wanted).await?,
    };
    let replicas = subject.replicas();
    let mut blast = Blast { pods: wanted.min.saturating_sub(replicas), of: replicas, ..Blast::default() };
    blast.facts = facts(&found, context.at);
    for warning in &found.warnings {
        blast.notes.push(format!("Prometheus warns that parts may be missing: {warning}"));
    }
    let from = if found.hpa.is_some() { format!(" from {before}") } else { String::new() };
    let risk = if wanted.max < found.proposal.current.max { Risk::Medium } else { Risk::Low };
    let conditions = conditions(&subject, &object, wanted).await?;
    Ok(Plan {
        action: "hpa".into(),
        parameters: context.parameters.clone(),
        resource_version: subject.resource_version(),
        summary: format!("set HPA {} of {}{from} to {}", object.name, subject.words(), bounds(wanted)),
        steps: vec![step],
        diff,
        prior: found.hpa.as_ref().map_or(Value::Null, |hpa| hpa["spec"].clone()),
        undo: vec![undo],
        blast,
        risk,
        verify: Verify { conditions, within_s: subject.rollout_within_s(wanted.min) },
        target: subject.target,
    })
}

/// What a proposal was made from, to be drawn: the same for as long as the metrics of that moment are kept. None: the request
/// is about something else, or there was no forecast.
pub async fn drawing(cluster: &Cluster, request: &Request) -> Result<Option<Plot>, PlanError> {
    if request.plan.action != "hpa" || request.plan.parameters["do"] != "propose" {
        return Ok(None);
    }
    let context = PlanContext {
        cluster,
        target: &request.ask.target,
        parameters: &request.ask.parameters,
        request: request.id,
        at: request.created_at,
    };
    let subject = Subject::read(&context).await?;
    let found = autoscaler::outlook(cluster, &subject.reference, &subject.object, &wish(&context)).await?;
    let holds = |pods: u64, each: f64| Some(pods as f64 * each).filter(|cores| *cores > 0.0);
    let floor = request.plan.steps.iter().find_map(|step| match step {
        Step::Patch { body, .. } | Step::Create { body, .. } => body["spec"]["minReplicas"].as_u64(),
        Step::Delete { .. } => None,
    });
    Ok(found.map(|(series, forecast, each)| Plot {
        title: format!(
            "{}: cpu (cores), what the pods of then held and what the proposed floor holds",
            subject.words()
        ),
        alt: format!(
            "The load of {}, its forecast, and the load that the proposed floor holds",
            subject.words()
        ),
        capacity: holds(request.plan.blast.of.into(), each),
        proposal: floor.and_then(|floor| holds(floor, each)),
        series,
        forecast,
    }))
}

/// What a person asked for, and when.
fn wish(context: &PlanContext<'_>) -> Wish {
    let hours = context.parameters["hours"].as_u64().unwrap_or(24);
    Wish {
        load: context.parameters["load"].as_str().map(str::to_string),
        horizon: Duration::from_secs(hours * 3600),
        at: context.at,
    }
}

type Effect = (ObjectRef, Step, Step, String, String);

/// An HPA that is there changes; the way back restores each field, the annotation too.
async fn change(subject: &Subject, hpa: &Value, wanted: &Autoscaler) -> Result<Effect, PlanError> {
    let mut spec = autoscaler::changed(wanted, RESOURCE);
    // The metric's own fields stay where only the percentage differs.
    if let Ok(now) = autoscaler::autoscaler(hpa, RESOURCE)
        && now.target == wanted.target
    {
        spec["metrics"] = hpa["spec"]["metrics"].clone();
    }
    let kept = hpa["metadata"]["annotations"].get(PREVIOUS).cloned().unwrap_or(Value::Null);
    let body = json!({"metadata": {"annotations": {PREVIOUS: hpa["spec"].to_string()}}, "spec": spec});
    let (object, after) = dry_run(subject, hpa, &body).await?;
    if after["spec"] == hpa["spec"] {
        return Err(PlanError::Nothing(format!("HPA {} is as it would be proposed", object.name)));
    }
    let back = merge_patch(&after["spec"], &hpa["spec"]);
    let undo = json!({"metadata": {"annotations": {PREVIOUS: kept}}, "spec": back});
    let patch = |body: Value| Step::Patch { object: object.clone(), kind: PatchKind::Merge, body };
    let before = autoscaler::autoscaler(hpa, RESOURCE).map(|now| bounds(&now)).unwrap_or_default();
    Ok((object.clone(), patch(body), patch(undo), diff::diff(hpa, &after, true), before))
}

async fn dry_run(subject: &Subject, hpa: &Value, body: &Value) -> Result<(ObjectRef, Value), PlanError> {
    let object = ObjectRef {
        api_version: "autoscaling/v2".into(),
        kind: "HorizontalPodAutoscaler".into(),
        namespace: subject.reference.namespace.clone(),
        name: text(hpa, "/metadata/name"),
        uid: Some(text(hpa, "/metadata/uid")),
    };
    let mut sent = body.clone();
    sent["metadata"]["resourceVersion"] = text(hpa, "/metadata/resourceVersion").into();
    let after = subject.cluster.patch(&object, PatchKind::Merge, &sent, true).await?;
    Ok((object, after))
}

/// A new one, named as its workload; the way back deletes it.
async fn create(subject: &Subject, wanted: &Autoscaler) -> Result<Effect, PlanError> {
    let (object, body) = autoscaler::written(&subject.reference, wanted, RESOURCE);
    let created = subject.cluster.create(&object, &body, true).await?;
    let diff = diff::created(&created);
    let step = Step::Create { object: object.clone(), body };
    let undo = Step::Delete { object: object.clone(), grace_period_seconds: None };
    Ok((object, step, undo, diff, String::new()))
}

/// The HPA as it should be, its controller able to decide, the workload healthy.
async fn conditions(
    subject: &Subject,
    object: &ObjectRef,
    wanted: &Autoscaler,
) -> Result<Vec<Condition>, ClusterError> {
    let field = |pointer: &str, equals: u32| Condition::Field {
        object: object.clone(),
        pointer: pointer.into(),
        equals: equals.into(),
    };
    let mut conditions =
        vec![field("/spec/minReplicas", wanted.min.max(1)), field("/spec/maxReplicas", wanted.max.max(1))];
    if subject.replicas() > 0 && has_metrics(&subject.cluster).await? {
        conditions.push(Condition::ScalingActive { object: object.clone() });
    }
    conditions.push(Condition::RolloutComplete { object: subject.reference.clone() });
    conditions.push(Condition::NotCrashLooping { object: subject.reference.clone() });
    Ok(conditions)
}

/// Whether the cluster serves usage of pods at all: without, no HPA can scale.
async fn has_metrics(cluster: &Cluster) -> Result<bool, ClusterError> {
    match cluster.list("metrics.k8s.io/v1beta1", "NodeMetrics", None, None, None, 1).await {
        Ok(_) => Ok(true),
        Err(ClusterError::NotFound { .. } | ClusterError::Forbidden { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Puts back what was there before Petrel's last change.
async fn rollback(context: PlanContext<'_>) -> Result<Plan, PlanError> {
    accept(&context.target.kind, &SCALABLE, "cannot be scaled").map_err(PlanError::Invalid)?;
    let subject = Subject::read(&context).await?;
    let hpas = autoscaler::of_workload(&subject.cluster, &subject.reference).await?;
    let Some((hpa, previous)) = hpas.iter().find_map(|hpa| Some((hpa, autoscaler::previous(hpa)?))) else {
        return Err(PlanError::Nothing(format!("Petrel has changed no HPA of {}", subject.words())));
    };
    let name = text(hpa, "/metadata/name");
    let now = autoscaler::autoscaler(hpa, RESOURCE).map(|now| bounds(&now)).unwrap_or_default();
    let replicas = subject.replicas();
    let mut plan = Plan {
        action: "hpa".into(),
        parameters: context.parameters.clone(),
        resource_version: subject.resource_version(),
        summary: String::new(),
        steps: Vec::new(),
        diff: String::new(),
        prior: hpa["spec"].clone(),
        undo: Vec::new(),
        blast: Blast { of: replicas, ..Blast::default() },
        risk: Risk::Low,
        verify: Verify { conditions: Vec::new(), within_s: subject.rollout_within_s(replicas) },
        target: subject.target.clone(),
    };
    if previous.is_null() {
        let object = ObjectRef {
            api_version: "autoscaling/v2".into(),
            kind: "HorizontalPodAutoscaler".into(),
            namespace: subject.reference.namespace.clone(),
            name: name.clone(),
            uid: Some(text(hpa, "/metadata/uid")),
        };
        plan.summary = format!("delete HPA {name} of {}; there was none before", subject.words());
        plan.diff =
            diff::deleted(&json!({"kind": "HorizontalPodAutoscaler", "name": name, "spec": hpa["spec"]}));
        plan.blast.notes.push(format!("it stays at {replicas} replicas, whatever the load"));
        plan.risk = Risk::Medium;
        plan.steps = vec![Step::Delete { object: object.clone(), grace_period_seconds: None }];
        plan.verify.conditions = vec![Condition::Gone { object }];
        return Ok(plan);
    }
    let body = json!({
        "metadata": {"annotations": {PREVIOUS: null}},
        "spec": merge_patch(&hpa["spec"], &previous),
    });
    let (object, after) = dry_run(&subject, hpa, &body).await?;
    let undo = json!({
        "metadata": {"annotations": {PREVIOUS: hpa["metadata"]["annotations"][PREVIOUS]}},
        "spec": merge_patch(&after["spec"], &hpa["spec"]),
    });
    let then = autoscaler::autoscaler(&after, RESOURCE).map_err(PlanError::Invalid)?;
    let patch = |body: Value| Step::Patch { object: object.clone(), kind: PatchKind::Merge, body };
    plan.summary = format!("put HPA {name} of {} back from {now} to {}", subject.words(), bounds(&then));
    plan.diff = diff::diff(hpa, &after, true);
    plan.steps = vec![patch(body)];
    plan.undo = vec![patch(undo)];
    plan.verify.conditions = conditions(&subject, &object, &then).await?;
    Ok(plan)
}

/// `2 to 20 pods at 70 %`
fn bounds(autoscaler: &Autoscaler) -> String {
    if autoscaler.min == autoscaler.max {
        return format!("{} pods whatever the load", autoscaler.min);
    }
    format!("{} to {} pods at {} %", autoscaler.min, autoscaler.max, autoscaler.target)
}

/// What speaks for it, for the card.
fn facts(study: &Study, at: Timestamp) -> Vec<(String, String)> {
    let proposal = &study.proposal;
    let percent =
        |share: Option<f64>| share.map_or_else(|| "unknown".into(), |s| format!("{:.0} %", 100.0 * s));
    let mut facts =
        vec![("Now".to_string(), bounds(&proposal.current)), ("Proposed".into(), bounds(&proposal.proposed))];
    let floor: Vec<String> = proposal
        .schedule
        .iter()
        .skip(1)
        .take(TOLD)
        .filter_map(|floor| {
            Some((floor.replicas, at.checked_add(jiff::SignedDuration::try_from(floor.at).ok()?).ok()?))
        })
        .map(|(replicas, from)| format!("{replicas} from {}", from.strftime("%H:%M UTC")))
        .collect();
    if !floor.is_empty() {
        facts.push(("Floor to come".into(), format!("{}; each is asked for anew", floor.join(", "))));
    }
    let told = |comparison: &Comparison| {
        let (now, then) = (&comparison.current, &comparison.proposed);
        format!(
            "cost {:+.0} %, slack {:.0} % instead of {:.0} %, short of capacity {:.0} instead of {:.0} min",
            -100.0 * comparison.saving(),
            100.0 * then.slack,
            100.0 * now.slack,
            then.under_minutes,
            now.under_minutes
        )
    };
    facts.push((format!("Last {:.0} h, replayed", proposal.past.current.hours), told(&proposal.past)));
    if proposal.expected.current.hours > 0.0 {
        facts.push((
            format!("Next {:.0} h, expected", proposal.expected.current.hours),
            told(&proposal.expected),
        ));
    }
    if let Some(record) = proposal.record {
        facts.push((
            "Forecast".into(),
            format!(
                "MAPE {}, WAPE {}, 95 % interval held {:.0} %",
                percent(record.mape),
                percent(record.wape),
                100.0 * record.coverage
            ),
        ));
    }
    if let Some(keep) = &proposal.keep {
        facts.push(("Only reacts".into(), keep.to_string()));
    }
    if study.relation.samples > 0 {
        let (per_load, idle) = (1000.0 * study.relation.per_load, 1000.0 * study.relation.idle);
        let error = 100.0 * study.relation.error;
        facts.push((
            "Load to cpu".into(),
            format!("{per_load:.1}m each, a pod without load {idle:.0}m; usually off by {error:.0} %"),
        ));
    }
    facts.push(("Pods start in".into(), format!("{} s", study.pod.start_up.as_secs())));
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<(Named, Value), String> {
        let matches =
            Hpa.command().try_get_matches_from(line.split_whitespace()).map_err(|error| error.to_string())?;
        Hpa.parse(&matches)
    }

    #[test]
    fn what_to_do_is_said_and_how_far_to_look_is_bounded() {
        let (named, parameters) = parsed("hpa propose deploy/checkout --load qps").unwrap();
        assert_eq!(
            (named.kind.as_str(), parameters),
            ("Deployment", json!({"do": "propose", "hours": 24, "load": "qps"}))
        );
        assert_eq!(parsed("hpa rollback sts/db").unwrap().1, json!({"do": "rollback"}));
        assert!(parsed("hpa propose deploy/checkout --hours 5").is_err());
        assert!(parsed("hpa deploy/checkout").is_err());
        assert!(parsed("hpa propose ds/agent").unwrap_err().contains("cannot be scaled"));
    }
}
