//! `drill`: breaks a Deployment on purpose, to see whether it is noticed and healed, and gives it back.
//!
//! What a fault changes is one field, named by [`Condition::Changed`]: the drill is over when somebody has changed it again and the
//! rollout is complete. When that does not happen in time, or the drill is called off, the runner puts the field back, whatever else was
//! changed meanwhile. A pod that is killed comes back by its controller. Faults of the API server are in `drill_api`; those that only
//! practice clusters have in `drill_staged`.

use super::{delete_pod, draft::while_it_moves, drill_api, drill_staged, inject_delay, *};
use draft::Draft;
use futures::future::try_join;
use jiff::SignedDuration;
use ledger::{Condition, PatchKind, Risk};
use serde_json::json;
use workload::{Subject, accept, text};

/// A StatefulSet that is stuck in a broken rollout stays stuck when its template is put back, and a DaemonSet breaks every node.
const WHY_NOT: &str = "cannot be given back for sure after a drill";
const ACCEPTED: [&str; 1] = ["Deployment"];
/// The same, a machine, and where the API server is to fail.
const ANY: [&str; 3] = ["Deployment", "Node", "Namespace"];
/// How long a drill may last.
const LASTS: std::ops::RangeInclusive<i64> = 5..=3600;
const USUAL: &str = "5m";

/// See the module.
pub struct Drill;

/// What is broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    PodKill,
    CrashLoop,
    Oom,
    BadImage,
    NetworkDelay,
}

const FAULTS: [(&str, Fault); 5] = [
    ("pod-kill", Fault::PodKill),
    ("crash-loop", Fault::CrashLoop),
    ("oom", Fault::Oom),
    ("bad-image", Fault::BadImage),
    ("network-delay", Fault::NetworkDelay),
];
/// How much longer answers take over a slow network.
const DELAY_MS: i64 = 2_000;

impl Fault {
    fn read(word: &str) -> Result<Fault, String> {
        let known = FAULTS.iter().find(|(name, _)| *name == word);
        known
            .map(|(_, fault)| *fault)
            .ok_or_else(|| format!("'{}' is no fault; one of {}", word.escape_debug(), names().join(", ")))
    }

    /// The change of the first container, the field that tells whether it is still there, its value, and what happens in words. None for a
    /// fault that changes no container.
    fn change(self, container: &Value) -> Option<(Value, &'static str, Value, &'static str)> {
        Some(match self {
            Fault::PodKill | Fault::NetworkDelay => return None,
            Fault::CrashLoop => {
                let command = json!(["/petrel-drill/crash"]);
                (json!({"command": command}), "command", command, "gets a command that does not exist")
            }
            Fault::Oom => {
                // The least that a runtime starts a container with; a request above the limit would be refused.
                let least = json!("8Mi");
                let mut resources = json!({"limits": {"memory": least}});
                if container["resources"]["requests"]["memory"].is_string() {
                    resources["requests"] = json!({"memory": least});
                }
                (json!({"resources": resources}), "resources/limits/memory", least, "gets 8Mi of memory")
            }
            Fault::BadImage => {
                // A name that can never be resolved (RFC 2606).
                let image = json!("petrel-drill.invalid/missing:drill");
                (json!({"image": image}), "image", image, "gets an image that cannot be pulled")
            }
        })
    }
}

/// Of all faults.
fn names() -> Vec<&'static str> {
    let api = drill_api::FAULTS.iter().map(|fault| fault.name);
    let staged = drill_staged::STAGED.iter().map(|staged| staged.name);
    FAULTS.iter().map(|(name, _)| *name).chain(api).chain(staged).collect()
}

impl Action for Drill {
    fn name(&self) -> &'static str {
        "drill"
    }

    fn command(&self) -> clap::Command {
        clap::Command::new("drill")
            .about("Break something on purpose, to see whether it is healed; always given back")
            .arg(
                clap::Arg::new("fault")
                    .value_name("FAULT")
                    .required(true)
                    .value_parser(names())
                    .help("What goes wrong"),
            )
            .arg(target_arg("What is broken: deploy/<name>, ns/<name> for the API server there, on practice clusters also node/<name>"))
            .arg(
                clap::Arg::new("for")
                    .long("for")
                    .value_name("TIME")
                    .default_value(USUAL)
                    .help("Given back after this time if nobody has healed it"),
            )
            .after_help("Example: drill crash-loop deploy/checkout --for 5m -n shop -c staging --why \"are we woken?\"")
    }

    fn parse(&self, matches: &clap::ArgMatches) -> Result<(Named, Value), String> {
        let named = parse_accepted(matches, &ANY, WHY_NOT)?;
        let word = |name: &str| matches.get_one::<String>(name).map(String::as_str).unwrap_or_default();
        let fault = word("fault");
        if let Some(fault) = drill_api::of(fault) {
            fault.is_of(&named.kind, &named.name)?;
        } else if let Some(staged) = drill_staged::of(fault) {
            staged.is_of(&named.kind)?;
        } else {
            Fault::read(fault)?;
            accept(&named.kind, &ACCEPTED, WHY_NOT)?;
        }
        Ok((named, json!({"fault": fault, "for_s": seconds(word("for"))?})))
    }

    fn plan<'a>(&'a self, context: PlanContext<'a>) -> BoxFuture<'a, Result<Plan, PlanError>> {
        Box::pin(while_it_moves(move || plan(context)))
    }
}

fn seconds(time: &str) -> Result<u32, String> {
    let wrong = || format!("'{}' is not a time from 5s to 1h, such as {USUAL}", time.escape_debug());
    let time: SignedDuration = time.parse().map_err(|_| wrong())?;
    match time.as_secs() {
        seconds if LASTS.contains(&seconds) => Ok(seconds as u32),
        _ => Err(wrong()),
    }
}

async fn plan(context: PlanContext<'_>) -> Result<Plan, PlanError> {
    let word = context.parameters["fault"].as_str().unwrap_or_default();
    let seconds = context.parameters["for_s"].as_i64().filter(|seconds| LASTS.contains(seconds));
    let within_s =
        seconds.ok_or_else(|| PlanError::Invalid("a drill lasts from 5 seconds to an hour".into()))? as u32;
    if let Some(fault) = drill_api::of(word) {
        return drill_api::plan(context, fault, within_s).await;
    }
    if let Some(staged) = drill_staged::of(word) {
        return drill_staged::plan(context, staged, within_s).await;
    }
    accept(&context.target.kind, &ACCEPTED, WHY_NOT).map_err(PlanError::Invalid)?;
    let fault = Fault::read(word).map_err(PlanError::Invalid)?;
    if fault == Fault::NetworkDelay {
        return delay(context, within_s).await;
    }
    let subject = Subject::read(&context).await?;
    if subject.is_paused() {
        return Err(PlanError::Invalid(format!(
            "{} is paused, so nothing would happen; resume it first",
            subject.words()
        )));
    }
    let containers = &subject.template()["spec"]["containers"];
    let Some((change, field, value, what)) = fault.change(&containers[0]) else {
        return kill(context, subject, within_s).await;
    };
    let name = text(&containers[0], "/name");
    let mut container = change;
    container["name"] = name.as_str().into();
    let change = json!({"spec": {"template": {"spec": {"containers": [container]}}}});
    let (mut blast, after) =
        try_join(subject.blast(), subject.dry_run(PatchKind::Strategic, &change)).await?;
    subject.rollout_notes(&mut blast);
    blast.notes.push("a drill: broken on purpose, and given back at its end or when it is called off".into());
    let object = subject.reference.clone();
    let pointer = format!("/spec/template/spec/containers/0/{field}");
    let draft = Draft {
        action: "drill",
        summary: format!(
            "drill {word}: container {name} of {} {what}, until it is healed, {within_s} s at most",
            subject.words()
        ),
        kind: PatchKind::Strategic,
        change,
        about_replicas: false,
        risk: Risk::High,
        conditions: vec![
            Condition::Changed { object: object.clone(), pointer, from: value },
            Condition::RolloutComplete { object },
        ],
        within_s,
        blast,
    };
    draft.plan(context, subject, &after)
}

/// In the service mesh, as `inject-delay` would.
async fn delay(context: PlanContext<'_>, within_s: u32) -> Result<Plan, PlanError> {
    let delay =
        inject_delay::Delay { ms: DELAY_MS, lasts_s: i64::from(within_s), percent: 100, service: None };
    let plan = inject_delay::inject(context, delay).await?;
    Ok(Plan { action: "drill".into(), summary: format!("drill network-delay: {}", plan.summary), ..plan })
}

/// The first pod by name, as `delete-pod` would delete it; but it is a drill of its Deployment.
async fn kill(context: PlanContext<'_>, subject: Subject, within_s: u32) -> Result<Plan, PlanError> {
    let pods = subject.pods().await?;
    let live = pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    let Some(pod) = live.map(|pod| text(pod, "/metadata/name")).min() else {
        return Err(PlanError::Invalid(format!("{} has no pod to kill", subject.words())));
    };
    let target = Target { kind: "Pod".into(), name: pod.clone(), uid: None, ..subject.target.clone() };
    let mut plan = delete_pod::plan(PlanContext { target: &target, ..context }).await?;
    plan.action = "drill".into();
    plan.summary =
        format!("drill pod-kill: delete pod {pod} of {}, whose controller makes another", subject.words());
    plan.target = subject.target;
    plan.verify.within_s = within_s;
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_changes_the_field_by_which_it_is_known() {
        for (name, fault) in FAULTS {
            let Some((change, field, value, _)) = fault.change(&json!({})) else { continue };
            assert_eq!(change.pointer(&format!("/{field}")), Some(&value), "{name}");
        }
    }

    #[test]
    fn a_drill_has_an_end() {
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("1h"), Ok(3600));
        for wrong in ["", "4s", "61m", "-5m", "soon"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
