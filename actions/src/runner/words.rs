//! What a run says at its end. Someone reads it at three in the morning: what was done, what was not, what to do next.

use ledger::{Actor, ObjectRef, Plan, Step, Target};

use super::effect::STEP_ANNOTATION;
use crate::catalogue::masked;

/// `patch Deployment checkout`.
pub(super) fn step(step: &Step) -> String {
    let what = match step {
        Step::Patch { .. } => "patch",
        Step::Create { .. } => "create",
        Step::Delete { .. } => "delete",
        Step::Exec { .. } => "run a command in",
    };
    format!("{what} {} {}", step.object().kind, step.object().name)
}

/// What of `steps` was done, when `done` of them were: `step 1 of 2 (patch Deployment checkout) was done and stays; step 2
/// (create Job x) was not done`.
pub(super) fn so_far(steps: &[Step], done: usize) -> String {
    let total = steps.len();
    let parts: Vec<String> = steps
        .iter()
        .enumerate()
        .map(|(index, what)| {
            let state = if index < done { "was done and stays" } else { "was not done" };
            format!("step {} of {total} ({}) {state}", index + 1, step(what))
        })
        .collect();
    if done == 0 { "nothing was done".to_string() } else { parts.join("; ") }
}

/// How to put back by hand what was changed.
pub(super) fn put_back(plan: &Plan) -> String {
    let empty = plan.prior.is_null() || plan.prior.as_object().is_some_and(|fields| fields.is_empty());
    if empty {
        return "There is no recorded way back.".to_string();
    }
    // Real values, which go into the record and to chats with this.
    let prior: String = masked(&plan.prior).to_string().chars().take(300).collect();
    format!("To put it back, restore what was before: {prior}")
}

/// It never began.
pub(super) fn nothing_done(why: &str, next: &str) -> String {
    format!("nothing was done: {}. {next}", why.trim_end_matches('.'))
}

/// Called off before the first effect.
pub(super) fn cancelled_before(by: &Actor) -> String {
    format!("nothing was done: called off by {by}")
}

/// Called off between two steps.
pub(super) fn cancelled_between(by: &Actor, plan: &Plan, done: usize) -> String {
    format!("called off by {by}: {}. {}", so_far(&plan.steps, done), put_back(plan))
}

/// Called off while it was watched.
pub(super) fn cancelled_in_verify(by: &Actor, plan: &Plan) -> String {
    let all = so_far(&plan.steps, plan.steps.len());
    format!(
        "called off by {by}: {all}; verification was stopped, so nobody has checked that it helped. {}",
        put_back(plan)
    )
}

/// A step was refused.
pub(super) fn step_failed(plan: &Plan, done: usize, why: &str) -> String {
    let why = why.trim_end_matches('.');
    if done == 0 {
        return nothing_done(why, "Mend that and ask again.");
    }
    format!("step {} failed: {why}. {}. {}", done + 1, so_far(&plan.steps, done), put_back(plan))
}

/// It cannot be known whether a step took place.
pub(super) fn unknown(target: &Target, steps: &[Step], index: usize, key: &str, why: &str) -> String {
    let Some(what) = steps.get(index) else { return why.to_string() };
    let tell = match what {
        Step::Exec { .. } => "Nothing on the pod tells: look inside of it.".to_string(),
        _ => format!("If its annotation {STEP_ANNOTATION} is \"{key}\", the step took place."),
    };
    let mut words = format!(
        "it cannot be known whether step {} of {} ({}) took place: {}. Look: {}. {tell}",
        index + 1,
        steps.len(),
        step(what),
        why.trim_end_matches('.'),
        describe(target, what.object()),
    );
    if index > 0 {
        words.push_str(&format!(" Before it, {}.", so_far(&steps[..index], index)));
    }
    words
}

/// The line that shows an object: `describe deployment/checkout -n shop -c prod`.
pub(super) fn describe(target: &Target, object: &ObjectRef) -> String {
    let namespace = object.namespace.as_ref().map(|namespace| format!(" -n {namespace}")).unwrap_or_default();
    format!("describe {}/{}{namespace} -c {}", object.kind.to_lowercase(), object.name, target.cluster)
}

/// Verified badly and left as it is.
pub(super) fn not_undone(plan: &Plan, because: &str, reason: &str) -> String {
    format!("{because}. {}. Not undone: {reason}. {}", so_far(&plan.steps, plan.steps.len()), put_back(plan))
}

/// Verified badly and put back; `rollout` is what became of the putting back.
pub(super) fn rolled_back(plan: &Plan, because: &str, rollout: Result<(), String>) -> String {
    if plan.fault().is_some() {
        // Nothing went wrong here: a drill ends like this when nobody has healed what it broke.
        let ended = match because.strip_prefix("called off") {
            Some(by) => format!("called off{by}"),
            None => format!("nobody healed it within {} s", plan.verify.within_s),
        };
        return match rollout {
            Ok(()) => format!("{ended}; the drill gave back what it had broken"),
            Err(trouble) => format!(
                "{ended}; the drill gave back what it had broken, but it has not settled: {trouble}. Look: {}",
                look_at(plan)
            ),
        };
    }
    match rollout {
        Ok(()) => format!("{because}. Undone"),
        Err(trouble) => {
            format!("{because}. Undone, but it has not settled: {trouble}. Look: {}", look_at(plan))
        }
    }
}

fn look_at(plan: &Plan) -> String {
    match plan.undo.last().or(plan.steps.last()) {
        Some(step) => describe(&plan.target, step.object()),
        None => format!(
            "describe {}/{} -c {}",
            plan.target.kind.to_lowercase(),
            plan.target.name,
            plan.target.cluster
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::{Blast, Risk, Verify};
    use serde_json::json;

    #[test]
    fn what_was_before_is_said_without_the_secrets_in_it() {
        let target = Target {
            cluster: "prod".into(),
            namespace: Some("shop".into()),
            kind: "Deployment".into(),
            name: "checkout".into(),
            uid: None,
        };
        let container = json!({"name": "app", "env": [{"name": "DB_PASSWORD", "value": "swordfish"}, {"name": "LEVEL", "value": "info"}]});
        let plan = Plan {
            action: "rollback".into(),
            parameters: json!({}),
            target,
            resource_version: String::new(),
            summary: String::new(),
            steps: Vec::new(),
            diff: String::new(),
            blast: Blast::default(),
            risk: Risk::High,
            prior: json!({"spec": {"template": {"spec": {"initContainers": [container]}}}}),
            undo: Vec::new(),
            verify: Verify { conditions: Vec::new(), within_s: 60 },
        };
        let said = [
            put_back(&plan),
            not_undone(&plan, "it crash-loops", "somebody else has changed it"),
            rolled_back(&plan, "it crash-loops", Ok(())),
            rolled_back(&plan, "it crash-loops", Err("no answer".into())),
        ];
        assert!(said[0].contains("LEVEL") && said[0].contains("hidden"), "{}", said[0]);
        assert!(said.iter().all(|text| !text.contains("swordfish")), "{said:#?}");
    }
}
