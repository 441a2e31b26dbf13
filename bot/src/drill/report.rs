//! What came of one drill: was it noticed, was something proposed, was it healed, is that proven, and how long did each take. Pure.

use heal::incident::{End, Group, HealingResult, Incident};
use jiff::{SignedDuration, Timestamp};
use ledger::{Phase, RequestId, RequestState, RequestView, StepState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// An incident that is open when the drill ends is waited for so long: its own proof takes a while.
const PROOF: SignedDuration = SignedDuration::from_mins(5);
/// Without one, news of the fault is waited for so long: alerts arrive when they arrive.
const NEWS: SignedDuration = SignedDuration::from_secs(30);

/// How a drill came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Not over, or its incident is not.
    UnderWay,
    /// By a rule, and it was verified.
    Healed,
    /// The fault went away without a verified healing: somebody, or the cluster itself.
    Mended,
    /// Nobody healed it in time; the drill put back what it had broken.
    GivenBack,
    /// Somebody called it off; it was put back.
    CalledOff,
    /// It could not be done, or not be put back.
    Failed,
}

/// Seconds from the fault to each step of its healing; none for what did not happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Seconds {
    /// Petrel heard of it.
    pub detected: Option<f64>,
    /// A rule asked for something.
    pub proposed: Option<f64>,
    /// It was agreed to.
    pub approved: Option<f64>,
    /// It was begun.
    pub acted: Option<f64>,
    /// The fault was gone and the workload up.
    pub healed: Option<f64>,
    /// It was proven: the alert resolved, what the rule wants verified held.
    pub verified: Option<f64>,
}

impl Seconds {
    /// In the order they happen.
    pub fn all(&self) -> [(&'static str, Option<f64>); 6] {
        [
            ("detected", self.detected),
            ("proposed", self.proposed),
            ("approved", self.approved),
            ("acted", self.acted),
            ("healed", self.healed),
            ("verified", self.verified),
        ]
    }
}

/// What came of a drill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// The drill's request.
    #[schema(value_type = String)]
    pub request: RequestId,
    /// `crash-loop`.
    pub fault: String,
    /// `staging: shop/Deployment cart`.
    pub target: String,
    /// When the fault was in place.
    #[schema(value_type = String)]
    pub began: Timestamp,
    /// When it was gone.
    #[schema(value_type = Option<String>)]
    pub ended: Option<Timestamp>,
    /// How it came out.
    pub outcome: Outcome,
    /// How long what took.
    pub seconds: Seconds,
    /// The incident it became.
    #[schema(value_type = Option<String>)]
    pub incident: Option<Uuid>,
    /// As what it was noticed.
    pub noticed_as: Vec<String>,
    /// The rule that healed it, or tried last.
    pub rule: Option<String>,
    /// What it asked for.
    #[schema(value_type = Option<String>)]
    pub healing: Option<RequestId>,
    /// Seconds until the same drill was healed the last time before; none: it was not, or there was none.
    pub healed_before: Option<f64>,
}

/// Which fault of what: the same drill once more has the same key.
pub fn key(view: &RequestView) -> String {
    let plan = &view.request.plan;
    format!("{} {}", fault(view), plan.target.key())
}

fn fault(view: &RequestView) -> &str {
    view.request.plan.parameters["fault"].as_str().unwrap_or_default()
}

/// When the fault was in place; None before.
pub fn began(view: &RequestView) -> Option<Timestamp> {
    let first = view.steps.iter().find(|step| step.phase == Phase::Act && step.state == StepState::Done);
    first.and_then(|step| step.ended_at)
}

/// The report as of `now`. `incidents` are those of its cluster that were opened since it began, oldest first; the first at the drilled place
/// is the drill's. None while nothing is broken yet.
pub fn report(view: &RequestView, incidents: &[Incident], now: Timestamp) -> Option<Report> {
    let began = began(view)?;
    let target = &view.request.plan.target;
    let ended = view.run.as_ref().and_then(|run| run.ended_at);
    let is_namespace = target.kind == "Namespace";
    let of_target = |incident: &&Incident| match &incident.group {
        Group::Workload { namespace, .. } | Group::Name { namespace, .. } if is_namespace => {
            namespace.as_ref() == Some(&target.name)
        }
        Group::Workload { namespace, workload, .. } => {
            *namespace == target.namespace && workload.kind == target.kind && workload.name == target.name
        }
        Group::Node { node, .. } => target.kind == "Node" && *node == target.name,
        Group::Name { .. } => false,
    };
    let incident = incidents.iter().find(of_target);
    let after = |at: Timestamp| (at.duration_since(began).as_secs_f64().max(0.0) * 10.0).round() / 10.0;
    let helped = incident.and_then(|incident| {
        incident.healings.iter().find(|healing| healing.result == Some(HealingResult::Effective))
    });
    let proven = incident.filter(|incident| matches!(incident.end, Some(End::Healed { .. })));
    let mended = ended.filter(|_| view.request.state == RequestState::Succeeded);
    let seconds = Seconds {
        detected: incident.map(|incident| after(incident.times.detected)),
        proposed: incident.and_then(|incident| incident.times.proposed).map(after),
        approved: incident.and_then(|incident| incident.times.approved).map(after),
        acted: incident.and_then(|incident| incident.times.acted).map(after),
        healed: mended.map(after),
        verified: proven.and_then(|incident| incident.times.recovered).map(after),
    };
    let waits = ended.is_some_and(|ended| match incident {
        Some(incident) => incident.end.is_none() && now.duration_since(ended) < PROOF,
        None => mended.is_none() && now.duration_since(ended) < NEWS,
    });
    let outcome = match view.request.state {
        _ if ended.is_none() || waits => Outcome::UnderWay,
        RequestState::Succeeded if helped.is_some() && proven.is_some() => Outcome::Healed,
        RequestState::Succeeded => Outcome::Mended,
        RequestState::RolledBack if view.request.cancel.is_some() => Outcome::CalledOff,
        RequestState::RolledBack => Outcome::GivenBack,
        _ => Outcome::Failed,
    };
    let healing = helped.or_else(|| incident.and_then(|incident| incident.healings.last()));
    Some(Report {
        request: view.request.id,
        fault: fault(view).to_string(),
        target: target.to_string(),
        began,
        ended,
        outcome,
        seconds,
        incident: incident.map(|incident| incident.id.0),
        noticed_as: incident.map(|incident| incident.names.iter().cloned().collect()).unwrap_or_default(),
        rule: healing.map(|healing| healing.rule.clone()),
        healing: healing.map(|healing| RequestId(healing.request)),
        healed_before: None,
    })
}

impl Report {
    /// In one sentence.
    pub fn sentence(&self) -> String {
        let seconds = |value: Option<f64>| value.map_or("-".to_string(), |value| format!("{value:.0} s"));
        let rule = || self.rule.as_deref().unwrap_or("a rule");
        match self.outcome {
            Outcome::UnderWay if self.ended.is_some() => {
                "the fault is gone; its incident is not over yet".into()
            }
            Outcome::UnderWay => match (self.seconds.detected, self.seconds.proposed) {
                (None, _) => "broken; nobody has noticed it yet".into(),
                (Some(_), None) => "noticed; nothing is proposed yet".into(),
                _ => "noticed, and something is proposed".into(),
            },
            Outcome::Healed => format!(
                "healed by rule \"{}\" after {}, proven after {}",
                rule(),
                seconds(self.seconds.healed),
                seconds(self.seconds.verified)
            ),
            Outcome::Mended => {
                let noticed =
                    if self.incident.is_some() { "noticed, and mended" } else { "mended unnoticed" };
                format!("{noticed} after {} without a verified healing", seconds(self.seconds.healed))
            }
            Outcome::GivenBack if self.incident.is_none() => {
                "nobody noticed it; given back at its end".into()
            }
            Outcome::GivenBack if self.rule.is_none() => {
                "noticed, but nothing was proposed; given back at its end".into()
            }
            Outcome::GivenBack => {
                format!("rule \"{}\" did not heal it in time; given back at its end", rule())
            }
            Outcome::CalledOff => "called off and given back".into(),
            Outcome::Failed => "it failed; look at its request".into(),
        }
    }
}
