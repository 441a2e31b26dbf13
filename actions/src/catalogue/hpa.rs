//! `hpa`: proposes an autoscaler from the forecast of a workload's load, and puts the previous one back.

use super::*;
use crate::autoscaler::{self, FLOORS, Floors, PREVIOUS, RESOURCE, Study, Wish, study};
use change::merge_patch;
use draft::while_it_moves;
use forecast::capacity::{
    hpa::{Comparison, Proposal},
    replay::Autoscaler,
};
use jiff::Timestamp;
use ledger::{Blast, Condition, ObjectRef, PatchKind, Risk, Step, Verify};
use serde_json::json;
use std::time::Duration;
use workload::{Subject, accept, text};

pub(super) const SCALABLE: [&str; 2] = ["Deployment", "StatefulSet"];
const HOURS: std::ops::RangeInclusive<u32> = 6..=168;
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
    let stands = found.hpa.as_ref().and_then(|hpa| autoscaler::autoscaler(hpa, RESOURCE).ok());
    if let (Some(hpa), Some(stands)) = (&found.hpa, &stands) {
        let name = text(hpa, "/metadata/name");
        let fresh = Floors::of(hpa).is_none_or(|floors| floors.end() - half(&context) > context.at);
        if let Some(why) = nothing(&found.proposal, stands).filter(|_| fresh) {
            return Err(PlanError::Nothing(format!("HPA {name} stays at {}: {why}", bounds(stands))));
        }
    }
    let wanted = &found.proposal.proposed;
    let floors = floors(&found, &context);
    let (object, step, undo, diff, before) = match &found.hpa {
        Some(hpa) => change(&subject, hpa, wanted, floors.as_ref()).await?,
        None => create(&subject, wanted, floors.as_ref()).await?,
    };
    let replicas = subject.replicas();
    let mut blast = Blast { pods: wanted.min.saturating_sub(replicas), of: replicas, ..Blast::default() };
    blast.facts = facts(&found, stands.as_ref(), floors.as_ref());
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

/// What a person asked for, and when.
pub(super) fn wish(context: &PlanContext<'_>) -> Wish {
    let hours = context.parameters["hours"].as_u64().unwrap_or(24);
    Wish {
        load: context.parameters["load"].as_str().map(str::to_string),
        horizon: Duration::from_secs(hours * 3600),
        at: context.at,
    }
}

type Effect = (ObjectRef, Step, Step, String, String);

/// The floors to come. At their end there are as few again as before Petrel, or as few as were ever foreseen.
fn floors(found: &Study, context: &PlanContext<'_>) -> Option<Floors> {
    let proposal = &found.proposal;
    let lowest = proposal.schedule.iter().map(|floor| floor.replicas).min()?;
    let is_new = found.hpa.as_ref().is_none_or(|hpa| autoscaler::previous(hpa) == Some(Value::Null));
    let back = if is_new { lowest } else { proposal.current.min };
    let mut schedule = proposal.schedule.clone();
    schedule[0].replicas = proposal.proposed.min;
    Floors::new(&schedule, context.at, wish(context).horizon, back)
}

/// Half the time that is looked ahead: a schedule that ends sooner is worth renewing.
fn half(context: &PlanContext<'_>) -> jiff::SignedDuration {
    jiff::SignedDuration::from_secs(wish(context).horizon.as_secs() as i64 / 2)
}

/// An HPA that is there changes; the way back restores each field, the annotation too.
async fn change(
    subject: &Subject,
    hpa: &Value,
    wanted: &Autoscaler,
    floors: Option<&Floors>,
) -> Result<Effect, PlanError> {
    let mut spec = autoscaler::changed(wanted, RESOURCE);
    // The metric's own fields stay where only the percentage differs.
    if let Ok(now) = autoscaler::autoscaler(hpa, RESOURCE)
        && now.target == wanted.target
    {
        spec["metrics"] = hpa["spec"]["metrics"].clone();
    }
    let kept = hpa["metadata"]["annotations"].get(PREVIOUS).cloned().unwrap_or(Value::Null);
    // Of several changes the state before the first one is kept.
    let before = match autoscaler::previous(hpa) {
        Some(_) => kept.clone(),
        None => hpa["spec"].to_string().into(),
    };
    let scheduled = hpa["metadata"]["annotations"].get(FLOORS).cloned().unwrap_or(Value::Null);
    let floors = floors.map_or(Value::Null, |floors| floors.text().into());
    let body = json!({"metadata": {"annotations": {PREVIOUS: before, FLOORS: floors}}, "spec": spec});
    let (object, after) = dry_run(subject, hpa, &body).await?;
    if after["spec"] == hpa["spec"] && floors == scheduled {
        return Err(PlanError::Nothing(format!("HPA {} is as it would be proposed", object.name)));
    }
    let back = merge_patch(&after["spec"], &hpa["spec"]);
    let undo = json!({"metadata": {"annotations": {PREVIOUS: kept, FLOORS: scheduled}}, "spec": back});
    let patch = |body: Value| Step::Patch { object: object.clone(), kind: PatchKind::Merge, body };
    let now = autoscaler::autoscaler(hpa, RESOURCE).map(|now| bounds(&now)).unwrap_or_default();
    Ok((object.clone(), patch(body), patch(undo), diff::diff(hpa, &after, true), now))
}

pub(super) async fn dry_run(
    subject: &Subject,
    hpa: &Value,
    body: &Value,
) -> Result<(ObjectRef, Value), PlanError> {
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
async fn create(
    subject: &Subject,
    wanted: &Autoscaler,
    floors: Option<&Floors>,
) -> Result<Effect, PlanError> {
    let (object, body) = autoscaler::written(&subject.reference, wanted, floors, RESOURCE);
    let created = subject.cluster.create(&object, &body, true).await?;
    let diff = diff::created(&created);
    let step = Step::Create { object: object.clone(), body };
    let undo = Step::Delete { object: object.clone(), grace_period_seconds: None };
    Ok((object, step, undo, diff, String::new()))
}

/// The HPA as it should be, its controller able to decide, the workload healthy.
pub(super) async fn conditions(
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
        "metadata": {"annotations": {PREVIOUS: null, FLOORS: null}},
        "spec": merge_patch(&hpa["spec"], &previous),
    });
    let (object, after) = dry_run(&subject, hpa, &body).await?;
    let undo = json!({
        "metadata": {"annotations": {
            PREVIOUS: hpa["metadata"]["annotations"][PREVIOUS],
            FLOORS: hpa["metadata"]["annotations"].get(FLOORS),
        }},
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

/// Why an autoscaler needs no change: only reacting is best and it does, or only its floor would move, and by little.
fn nothing(proposal: &Proposal, stands: &Autoscaler) -> Option<String> {
    let wanted = &proposal.proposed;
    if let Some(keep) = &proposal.keep {
        return same_bounds(stands, wanted).then(|| format!("it goes on reacting, {keep}"));
    }
    let little = stands.min.abs_diff(wanted.min) * 10 <= stands.min;
    let enough = stands.min >= proposal.needed_now;
    let rest = (stands.max, stands.target) == (wanted.max, wanted.target);
    (little && enough && rest).then(|| "a proposal would move its floor by a tenth or less".to_string())
}

fn same_bounds(a: &Autoscaler, b: &Autoscaler) -> bool {
    (a.min, a.max, a.target) == (b.min, b.max, b.target)
}

/// `2 to 20 pods at 70 %`
fn bounds(autoscaler: &Autoscaler) -> String {
    if autoscaler.min == autoscaler.max {
        return format!("{} pods whatever the load", autoscaler.min);
    }
    format!("{} to {} pods at {} %", autoscaler.min, autoscaler.max, autoscaler.target)
}

/// What speaks for it, for the card.
fn facts(study: &Study, stands: Option<&Autoscaler>, floors: Option<&Floors>) -> Vec<(String, String)> {
    let proposal = &study.proposal;
    let now = stands.unwrap_or(&proposal.current);
    let percent =
        |share: Option<f64>| share.map_or_else(|| "unknown".into(), |s| format!("{:.0} %", 100.0 * s));
    let mut facts = vec![("Now".to_string(), bounds(now)), ("Proposed".into(), bounds(&proposal.proposed))];
    if stands.is_some_and(|stands| !same_bounds(stands, &proposal.current)) {
        facts.push(("Compared with".into(), format!("{}, as before Petrel", bounds(&proposal.current))));
    }
    if let Some((end, steps)) = floors.and_then(|floors| floors.to_come().split_last()) {
        let told =
            |(at, replicas): &(Timestamp, u32)| format!("{replicas} from {}", at.strftime("%b %d %H:%M"));
        let mut words: Vec<String> = steps.iter().take(TOLD).map(told).collect();
        if steps.len() > TOLD {
            words.push(format!("{} more", steps.len() - TOLD));
        }
        words.push(format!("back to {} at {} UTC", end.1, end.0.strftime("%b %d %H:%M")));
        facts.push(("Floor to come".into(), words.join(", ")));
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
