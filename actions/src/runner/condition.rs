//! Conditions as pure functions over objects that were just read, deciding as `kubectl rollout status` does
//! (k8s.io/kubectl/pkg/polymorphichelpers/rollout_status.go).

use super::effect::{generation, uid};
use ledger::{Condition, ObjectRef};
use serde_json::Value;

/// What one look at the cluster says about a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Holding {
    /// It holds now.
    Holds,
    /// Not yet; how far it has come.
    Waiting(String),
    /// It does not hold, and waiting will not help.
    Fails(String),
    /// It could not be looked at. Never counts as success.
    Inconclusive(String),
}

use Holding::{Fails, Holds, Inconclusive, Waiting};

impl Holding {
    /// Of several conditions that must all hold: the one that decides.
    pub fn worse(self, other: Holding) -> Holding {
        fn rank(holding: &Holding) -> u8 {
            match holding {
                Holds => 0,
                Waiting(_) => 1,
                Inconclusive(_) => 2,
                Fails(_) => 3,
            }
        }
        if rank(&other) > rank(&self) { other } else { self }
    }
}

/// Looks at a condition that needs nothing but its object; `seen` is none when the object does not exist.
/// `NotCrashLooping` looks at pods and is in `pods`; here it only needs its workload to be there.
pub(super) fn look(condition: &Condition, seen: Option<&Value>) -> Holding {
    let object = object_of(condition);
    let same = seen.filter(|seen| object.uid.is_none() || object.uid.as_deref() == uid(seen));
    if matches!(condition, Condition::Gone { .. }) {
        return gone(object, same);
    }
    let Some(seen) = same else {
        return missing(condition, object, seen.is_some());
    };
    match condition {
        Condition::RolloutComplete { .. } => rollout(&object.kind, seen),
        Condition::Replicas { count, .. } => replicas(seen, i64::from(*count)),
        Condition::JobComplete { .. } => job(seen),
        Condition::Field { pointer, equals, .. } => field(seen, pointer, equals),
        Condition::ScalingActive { .. } => scaling(seen),
        Condition::Changed { pointer, from, .. } => match seen.pointer(pointer) {
            Some(value) if value == from => Waiting(format!("{pointer} is still {from}")),
            _ => Holds,
        },
        Condition::NotCrashLooping { .. } | Condition::Gone { .. } => Holds,
    }
}

/// The object a condition is about.
pub(super) fn object_of(condition: &Condition) -> &ObjectRef {
    match condition {
        Condition::RolloutComplete { object }
        | Condition::Replicas { object, .. }
        | Condition::NotCrashLooping { object }
        | Condition::Gone { object }
        | Condition::JobComplete { object }
        | Condition::ScalingActive { object }
        | Condition::Field { object, .. }
        | Condition::Changed { object, .. } => object,
    }
}

fn missing(condition: &Condition, object: &ObjectRef, replaced: bool) -> Holding {
    let what = format!("{} {}", object.kind, object.name);
    match (condition, replaced) {
        // What was broken went with it.
        (Condition::Changed { .. }, _) => Holds,
        (_, true) => Fails(format!("{what} was replaced by another of the same name")),
        (Condition::JobComplete { .. }, false) => {
            Inconclusive(format!("{what} is not there any more, so how it ended cannot be read"))
        }
        (_, false) => Fails(format!("{what} is not there any more")),
    }
}

fn gone(object: &ObjectRef, seen: Option<&Value>) -> Holding {
    match seen {
        None => Holds,
        Some(seen) if seen.pointer("/metadata/deletionTimestamp").is_some() => {
            Waiting(format!("{} is terminating", object.name))
        }
        Some(_) => Waiting(format!("{} is still there", object.name)),
    }
}

fn field(seen: &Value, pointer: &str, equals: &Value) -> Holding {
    let value = seen.pointer(pointer).unwrap_or(&Value::Null);
    if value == equals { Holds } else { Waiting(format!("{pointer} is {value}, not {equals}")) }
}

/// Its controller has read a metric. Before the controller has looked at it there is no condition.
fn scaling(seen: &Value) -> Holding {
    match status_condition(seen, "ScalingActive") {
        Some(active) if is_true(active) => Holds,
        Some(active) => Waiting(format!(
            "the autoscaler cannot decide: {}",
            text(active, "/message").unwrap_or("no reason given")
        )),
        None => Waiting("the autoscaler has not been looked at yet".into()),
    }
}

fn number(seen: &Value, pointer: &str) -> i64 {
    seen.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

fn text<'a>(seen: &'a Value, pointer: &str) -> Option<&'a str> {
    seen.pointer(pointer).and_then(Value::as_str)
}

/// The controller has seen the newest generation; until then its status is about an older one.
pub(super) fn observed(seen: &Value) -> bool {
    generation(seen).is_none_or(|generation| generation <= number(seen, "/status/observedGeneration"))
}

/// A controller's condition by type.
fn status_condition<'a>(seen: &'a Value, kind: &str) -> Option<&'a Value> {
    seen.pointer("/status/conditions")?
        .as_array()?
        .iter()
        .find(|condition| text(condition, "/type") == Some(kind))
}

fn is_true(condition: &Value) -> bool {
    text(condition, "/status") == Some("True")
}

fn replicas(seen: &Value, count: i64) -> Holding {
    let wanted = seen.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
    if wanted != count {
        return Fails(format!(
            "{wanted} replicas are wanted now, not {count}: someone or something else has scaled it"
        ));
    }
    if !observed(seen) {
        return Waiting("waiting for the controller to see the change".into());
    }
    let (ready, all) = (number(seen, "/status/readyReplicas"), number(seen, "/status/replicas"));
    if ready == count && all == count {
        Holds
    } else if all > count {
        Waiting(format!("{} of {all} pods still have to go", all - count))
    } else {
        Waiting(format!("{ready} of {count} pods ready"))
    }
}

fn job(seen: &Value) -> Holding {
    if let Some(failed) = status_condition(seen, "Failed").filter(|condition| is_true(condition)) {
        let why = [text(failed, "/reason"), text(failed, "/message")]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(": ");
        return Fails(format!("the job failed: {why}"));
    }
    if status_condition(seen, "Complete").is_some_and(is_true) {
        return Holds;
    }
    let (active, succeeded) = (number(seen, "/status/active"), number(seen, "/status/succeeded"));
    Waiting(format!("job: {active} active, {succeeded} succeeded"))
}

fn rollout(kind: &str, seen: &Value) -> Holding {
    let look = match kind {
        "Deployment" => deployment,
        "StatefulSet" => stateful_set,
        "DaemonSet" => daemon_set,
        _ => return Inconclusive(format!("a {kind} has no rollout to watch")),
    };
    if observed(seen) { look(seen) } else { Waiting("waiting for the controller to see the change".into()) }
}

fn deployment(seen: &Value) -> Holding {
    let late = status_condition(seen, "Progressing")
        .filter(|condition| text(condition, "/reason") == Some("ProgressDeadlineExceeded"));
    if let Some(late) = late {
        return Fails(format!(
            "the rollout exceeded its progress deadline: {}",
            text(late, "/message").unwrap_or("no message")
        ));
    }
    let wanted = seen.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
    let (updated, all, available) = (
        number(seen, "/status/updatedReplicas"),
        number(seen, "/status/replicas"),
        number(seen, "/status/availableReplicas"),
    );
    if updated < wanted {
        Waiting(format!("{updated} of {wanted} pods updated"))
    } else if all > updated {
        Waiting(format!("{updated} of {wanted} pods updated, {} old ones still to go", all - updated))
    } else if available < updated {
        Waiting(format!("{available} of {updated} pods ready"))
    } else {
        Holds
    }
}

fn stateful_set(seen: &Value) -> Holding {
    let wanted = seen.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
    let (ready, updated) = (number(seen, "/status/readyReplicas"), number(seen, "/status/updatedReplicas"));
    if ready < wanted {
        return Waiting(format!("{ready} of {wanted} pods ready"));
    }
    let same_revision = text(seen, "/status/updateRevision") == text(seen, "/status/currentRevision");
    if text(seen, "/spec/updateStrategy/type") == Some("OnDelete") {
        return if same_revision { Holds } else { on_delete() };
    }
    let partition = number(seen, "/spec/updateStrategy/rollingUpdate/partition");
    if partition > 0 {
        let due = (wanted - partition).max(0);
        return if updated < due {
            Waiting(format!("{updated} of {due} pods updated (partition {partition})"))
        } else {
            Holds
        };
    }
    if same_revision { Holds } else { Waiting(format!("{updated} of {wanted} pods updated")) }
}

fn daemon_set(seen: &Value) -> Holding {
    let (wanted, updated, available) = (
        number(seen, "/status/desiredNumberScheduled"),
        number(seen, "/status/updatedNumberScheduled"),
        number(seen, "/status/numberAvailable"),
    );
    if updated < wanted {
        if text(seen, "/spec/updateStrategy/type") == Some("OnDelete") {
            return on_delete();
        }
        Waiting(format!("{updated} of {wanted} pods updated"))
    } else if available < wanted {
        Waiting(format!("{available} of {wanted} pods ready"))
    } else {
        Holds
    }
}

fn on_delete() -> Holding {
    Inconclusive(
        "its update strategy is OnDelete: pods take the change only when someone deletes them".into(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(kind: &str) -> ObjectRef {
        ObjectRef {
            api_version: "apps/v1".into(),
            kind: kind.into(),
            namespace: Some("shop".into()),
            name: "checkout".into(),
            uid: Some("u1".into()),
        }
    }

    fn workload(generation: i64, spec: Value, status: Value) -> Value {
        json!({"metadata": {"uid": "u1", "generation": generation}, "spec": spec, "status": status})
    }

    fn waiting(text: &str) -> Holding {
        Waiting(text.into())
    }

    #[test]
    fn a_deployment_is_rolled_out_as_kubectl_says() {
        let spec = json!({"replicas": 3});
        let status = |observed, updated, all, available| json!({"observedGeneration": observed, "updatedReplicas": updated, "replicas": all, "availableReplicas": available});
        let late = json!({"observedGeneration": 2, "conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "ReplicaSet x has timed out"}]});
        let stale = json!({"observedGeneration": 1, "conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]});
        let table = [
            (status(1, 3, 3, 3), waiting("waiting for the controller to see the change")),
            (json!({}), waiting("waiting for the controller to see the change")),
            (status(2, 1, 4, 3), waiting("1 of 3 pods updated")),
            (status(2, 3, 4, 3), waiting("3 of 3 pods updated, 1 old ones still to go")),
            (status(2, 3, 3, 2), waiting("2 of 3 pods ready")),
            (status(2, 3, 3, 3), Holds),
            (late, Fails("the rollout exceeded its progress deadline: ReplicaSet x has timed out".into())),
            (stale, waiting("waiting for the controller to see the change")),
        ];
        for (status, expected) in table {
            let seen = workload(2, spec.clone(), status.clone());
            assert_eq!(
                look(&Condition::RolloutComplete { object: object("Deployment") }, Some(&seen)),
                expected,
                "{status}"
            );
        }
    }

    #[test]
    fn a_deployment_scaled_to_zero_is_rolled_out_without_any_pod() {
        let seen = workload(2, json!({"replicas": 0}), json!({"observedGeneration": 2}));
        assert_eq!(look(&Condition::RolloutComplete { object: object("Deployment") }, Some(&seen)), Holds);
        assert_eq!(look(&Condition::Replicas { object: object("Deployment"), count: 0 }, Some(&seen)), Holds);
    }

    #[test]
    fn a_stateful_set_is_rolled_out_when_its_revisions_meet() {
        let rolling = json!({"replicas": 3, "updateStrategy": {"type": "RollingUpdate"}});
        let partition = json!({"replicas": 3, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}});
        let on_delete = json!({"replicas": 3, "updateStrategy": {"type": "OnDelete"}});
        let status = |ready, updated, current: &str| json!({"observedGeneration": 2, "readyReplicas": ready, "updatedReplicas": updated, "currentRevision": current, "updateRevision": "b"});
        let table = [
            (&rolling, status(2, 1, "a"), waiting("2 of 3 pods ready")),
            (&rolling, status(3, 1, "a"), waiting("1 of 3 pods updated")),
            (&rolling, status(3, 3, "b"), Holds),
            (&partition, status(3, 0, "a"), waiting("0 of 1 pods updated (partition 2)")),
            (&partition, status(3, 1, "a"), Holds),
            (&on_delete, status(3, 0, "b"), Holds),
            (&on_delete, status(3, 0, "a"), on_delete_says()),
        ];
        for (spec, status, expected) in table {
            let seen = workload(2, spec.clone(), status.clone());
            assert_eq!(
                look(&Condition::RolloutComplete { object: object("StatefulSet") }, Some(&seen)),
                expected,
                "{spec} {status}"
            );
        }
    }

    fn on_delete_says() -> Holding {
        super::on_delete()
    }

    #[test]
    fn a_daemon_set_is_rolled_out_when_every_node_has_the_new_pod() {
        let status = |updated, available| json!({"observedGeneration": 2, "desiredNumberScheduled": 4, "updatedNumberScheduled": updated, "numberAvailable": available});
        for (status, expected) in [
            (status(1, 4), waiting("1 of 4 pods updated")),
            (status(4, 3), waiting("3 of 4 pods ready")),
            (status(4, 4), Holds),
        ] {
            let seen = workload(2, json!({}), status);
            assert_eq!(
                look(&Condition::RolloutComplete { object: object("DaemonSet") }, Some(&seen)),
                expected
            );
        }
    }

    #[test]
    fn replicas_must_be_wanted_ready_and_no_more_of_them() {
        let table = [
            (
                2,
                6,
                json!({"observedGeneration": 2, "replicas": 6, "readyReplicas": 4}),
                waiting("4 of 6 pods ready"),
            ),
            (2, 6, json!({"observedGeneration": 2, "replicas": 6, "readyReplicas": 6}), Holds),
            (
                2,
                6,
                json!({"observedGeneration": 1, "replicas": 6, "readyReplicas": 6}),
                waiting("waiting for the controller to see the change"),
            ),
            (
                2,
                6,
                json!({"observedGeneration": 2, "replicas": 8, "readyReplicas": 8}),
                waiting("2 of 8 pods still have to go"),
            ),
            (
                2,
                4,
                json!({"observedGeneration": 2}),
                Fails("4 replicas are wanted now, not 6: someone or something else has scaled it".into()),
            ),
        ];
        for (generation, wanted, status, expected) in table {
            let seen = workload(generation, json!({"replicas": wanted}), status);
            assert_eq!(
                look(&Condition::Replicas { object: object("Deployment"), count: 6 }, Some(&seen)),
                expected
            );
        }
    }

    #[test]
    fn a_job_ends_well_badly_or_not_yet() {
        let done = |kind: &str| {
            workload(
                1,
                json!({}),
                json!({"conditions": [{"type": kind, "status": "True", "reason": "R", "message": "m"}]}),
            )
        };
        let condition = Condition::JobComplete { object: object("Job") };
        assert_eq!(look(&condition, Some(&done("Complete"))), Holds);
        assert_eq!(look(&condition, Some(&done("Failed"))), Fails("the job failed: R: m".into()));
        assert_eq!(
            look(&condition, Some(&workload(1, json!({}), json!({"active": 1})))),
            waiting("job: 1 active, 0 succeeded")
        );
        assert!(
            matches!(look(&condition, None), Inconclusive(_)),
            "a job that is gone cannot have been seen to succeed"
        );
    }

    #[test]
    fn an_autoscaler_must_have_read_its_metric() {
        let condition = Condition::ScalingActive { object: object("HorizontalPodAutoscaler") };
        let hpa = |status: Value| workload(1, json!({}), status);
        let active = |status: &str| {
            hpa(json!({"conditions": [{"type": "ScalingActive", "status": status, "message": "no metrics"}]}))
        };
        assert_eq!(look(&condition, Some(&active("True"))), Holds);
        assert_eq!(
            look(&condition, Some(&active("False"))),
            waiting("the autoscaler cannot decide: no metrics")
        );
        assert_eq!(
            look(&condition, Some(&hpa(json!({})))),
            waiting("the autoscaler has not been looked at yet")
        );
    }

    #[test]
    fn gone_means_gone_or_replaced() {
        let pod = ObjectRef { name: "checkout-1".into(), ..object("Pod") };
        let condition = Condition::Gone { object: pod };
        assert_eq!(look(&condition, None), Holds);
        assert_eq!(look(&condition, Some(&json!({"metadata": {"uid": "u2"}}))), Holds);
        assert_eq!(
            look(&condition, Some(&json!({"metadata": {"uid": "u1", "deletionTimestamp": "x"}}))),
            waiting("checkout-1 is terminating")
        );
        assert_eq!(
            look(&condition, Some(&json!({"metadata": {"uid": "u1"}}))),
            waiting("checkout-1 is still there")
        );
    }

    #[test]
    fn a_field_equals_and_null_matches_what_is_absent() {
        let condition = |equals| Condition::Field {
            object: object("Deployment"),
            pointer: "/spec/paused".into(),
            equals,
        };
        let paused = workload(1, json!({"paused": true}), json!({}));
        let running = workload(1, json!({}), json!({}));
        assert_eq!(look(&condition(json!(true)), Some(&paused)), Holds);
        assert_eq!(look(&condition(json!(null)), Some(&running)), Holds);
        assert_eq!(look(&condition(json!(true)), Some(&running)), waiting("/spec/paused is null, not true"));
    }

    #[test]
    fn an_object_that_is_gone_or_another_fails() {
        let condition = Condition::RolloutComplete { object: object("Deployment") };
        let drilled = Condition::Changed {
            object: object("Deployment"),
            pointer: "/spec/paused".into(),
            from: json!(true),
        };
        assert_eq!(look(&drilled, None), Holds, "what was broken went with it");
        assert_eq!(look(&condition, None), Fails("Deployment checkout is not there any more".into()));
        assert_eq!(
            look(&condition, Some(&json!({"metadata": {"uid": "u2"}}))),
            Fails("Deployment checkout was replaced by another of the same name".into())
        );
    }

    #[test]
    fn of_several_conditions_the_worst_decides() {
        let all = [Holds, waiting("w"), Inconclusive("i".into()), Fails("f".into())];
        for (a, first) in all.iter().enumerate() {
            for (b, second) in all.iter().enumerate() {
                assert_eq!(first.clone().worse(second.clone()), all[a.max(b)]);
            }
        }
    }
}
