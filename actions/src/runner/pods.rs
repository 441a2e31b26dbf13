//! Whether the pods of a workload's newest revision are crash-looping or cannot start, as pure functions over lists
//! that were just read.

use super::{
    condition::{Holding, observed},
    effect::uid,
};
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};

/// A trouble that is still there so long after it was first seen does not count as a hiccup.
const STAYS: Duration = Duration::from_secs(2);
/// A waiting container that was restarted so often does not either.
const RESTARTS: i64 = 2;

/// Waiting reasons that a pod does not leave without a change.
const STUCK: [&str; 7] = [
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

/// One container in trouble.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Trouble {
    pod: String,
    container: String,
    reason: String,
}

/// When each trouble was first seen, counted from the start of the verification.
pub(super) type Sightings = BTreeMap<Trouble, Duration>;

/// Looks at the pods of the newest revision. Remembers in `sightings` what it saw at `elapsed`.
pub(super) fn not_crash_looping(pods: &[&Value], sightings: &mut Sightings, elapsed: Duration) -> Holding {
    let mut worst = Holding::Holds;
    for pod in pods {
        let name = text(pod, "/metadata/name").unwrap_or("a pod");
        for status in containers(pod) {
            let Some(reason) = trouble(status) else { continue };
            let container = text(status, "/name").unwrap_or("a container");
            let restarts = status.get("restartCount").and_then(Value::as_i64).unwrap_or(0);
            let key = Trouble { pod: name.into(), container: container.into(), reason: reason.into() };
            let first = *sightings.entry(key).or_insert(elapsed);
            let words = format!("container {container} of pod {name}: {reason}{}", detail(status, restarts));
            let stays = elapsed.saturating_sub(first) >= STAYS;
            worst = worst.worse(if stays || restarts >= RESTARTS {
                Holding::Fails(words)
            } else {
                Holding::Waiting(words)
            });
        }
    }
    worst
}

/// Any container of this pod is.
pub(super) fn in_trouble(pod: &Value) -> bool {
    containers(pod).any(|status| trouble(status).is_some())
}

fn trouble(status: &Value) -> Option<&str> {
    text(status, "/state/waiting/reason").filter(|reason| STUCK.contains(reason))
}

fn detail(status: &Value, restarts: i64) -> String {
    let exit = status.pointer("/lastState/terminated/exitCode").and_then(Value::as_i64);
    match (restarts, exit) {
        (0, _) => String::new(),
        (_, Some(code)) => format!(" ({restarts} restarts, last exit code {code})"),
        (_, None) => format!(" ({restarts} restarts)"),
    }
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["/status/initContainerStatuses", "/status/containerStatuses"]
        .into_iter()
        .filter_map(|pointer| pod.pointer(pointer)?.as_array())
        .flatten()
}

/// The pods that run, or try to run, what the workload says now. `replica_sets` is needed for a Deployment only. Empty
/// while the controller has not made any: the rollout itself waits for them.
pub(super) fn of_newest_revision<'a>(
    kind: &str,
    workload: &Value,
    pods: &'a [Value],
    replica_sets: &[Value],
) -> Vec<&'a Value> {
    const REVISION: &str = "deployment.kubernetes.io/revision";
    const HASH: &str = "controller-revision-hash";
    if !observed(workload) {
        return Vec::new();
    }
    let annotation = |object: &Value| named(object, "/metadata/annotations", REVISION);
    let label = |pod: &Value| named(pod, "/metadata/labels", HASH);
    match kind {
        "Deployment" => {
            let revision = annotation(workload);
            let newest = replica_sets
                .iter()
                .find(|set| owned(set, uid(workload)) && revision.is_some() && annotation(set) == revision);
            newest.map_or_else(Vec::new, |set| live(pods, uid(set)).collect())
        }
        "StatefulSet" => {
            let revision = text(workload, "/status/updateRevision").map(str::to_string);
            live(pods, uid(workload)).filter(|pod| label(pod) == revision).collect()
        }
        // Its status does not name the newest revision, but its controller makes pods of no other.
        "DaemonSet"
            if workload.pointer("/status/updatedNumberScheduled").and_then(Value::as_i64).unwrap_or(0)
                > 0 =>
        {
            let revision = live(pods, uid(workload))
                .max_by_key(|pod| text(pod, "/metadata/creationTimestamp"))
                .and_then(label);
            live(pods, uid(workload)).filter(|pod| label(pod) == revision).collect()
        }
        _ => Vec::new(),
    }
}

fn live<'a>(pods: &'a [Value], owner: Option<&str>) -> impl Iterator<Item = &'a Value> {
    pods.iter().filter(move |pod| owned(pod, owner) && pod.pointer("/metadata/deletionTimestamp").is_none())
}

fn owned(object: &Value, owner: Option<&str>) -> bool {
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array).into_iter().flatten();
    owner.is_some() && owners.into_iter().any(|reference| text(reference, "/uid") == owner)
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

fn named(object: &Value, pointer: &str, key: &str) -> Option<String> {
    object.pointer(pointer)?.get(key)?.as_str().map(str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, owner: &str, hash: &str, made: &str, state: Value, restarts: i64) -> Value {
        json!({
            "metadata": {"name": name, "labels": {"controller-revision-hash": hash}, "creationTimestamp": made, "ownerReferences": [{"uid": owner}]},
            "status": {"containerStatuses": [{"name": "app", "state": state, "restartCount": restarts}]},
        })
    }

    fn waiting(reason: &str) -> Value {
        json!({"waiting": {"reason": reason}})
    }

    fn running() -> Value {
        json!({"running": {}})
    }

    #[test]
    fn a_hiccup_is_waited_for_and_a_trouble_that_stays_fails() {
        let sick = pod("p", "rs", "h", "t", waiting("ImagePullBackOff"), 0);
        let well = pod("p", "rs", "h", "t", running(), 0);
        let mut sightings = Sightings::new();
        let at = Duration::from_millis;
        assert!(matches!(not_crash_looping(&[&sick], &mut sightings, at(0)), Holding::Waiting(_)));
        assert!(matches!(not_crash_looping(&[&sick], &mut sightings, at(1500)), Holding::Waiting(_)));
        assert_eq!(not_crash_looping(&[&well], &mut sightings, at(1900)), Holding::Holds);
        assert_eq!(
            not_crash_looping(&[&sick], &mut sightings, at(2000)),
            Holding::Fails("container app of pod p: ImagePullBackOff".into())
        );
    }

    #[test]
    fn a_second_restart_fails_at_once() {
        let sick = pod("p", "rs", "h", "t", waiting("CrashLoopBackOff"), 2);
        let found = not_crash_looping(&[&sick], &mut Sightings::new(), Duration::ZERO);
        assert_eq!(found, Holding::Fails("container app of pod p: CrashLoopBackOff (2 restarts)".into()));
    }

    #[test]
    fn restarts_of_a_container_that_runs_now_are_history() {
        let well = pod("p", "rs", "h", "t", running(), 40);
        assert_eq!(not_crash_looping(&[&well], &mut Sightings::new(), Duration::ZERO), Holding::Holds);
        let starting = pod("p", "rs", "h", "t", waiting("ContainerCreating"), 0);
        assert_eq!(not_crash_looping(&[&starting], &mut Sightings::new(), Duration::ZERO), Holding::Holds);
    }

    #[test]
    fn only_pods_of_the_newest_revision_count() {
        let names = |pods: Vec<&Value>| {
            pods.iter()
                .map(|pod| text(pod, "/metadata/name").unwrap_or_default().to_string())
                .collect::<Vec<_>>()
        };
        let set = |uid: &str, revision: &str| json!({"metadata": {"uid": uid, "annotations": {"deployment.kubernetes.io/revision": revision}, "ownerReferences": [{"uid": "w"}]}});
        let pods = [
            pod("old", "rs1", "a", "2026-01-01T00:00:00Z", running(), 0),
            pod("new", "rs2", "b", "2026-01-02T00:00:00Z", running(), 0),
            pod("alien", "rs9", "b", "2026-01-03T00:00:00Z", running(), 0),
        ];
        let deployment = json!({"metadata": {"uid": "w", "generation": 2, "annotations": {"deployment.kubernetes.io/revision": "2"}}, "status": {"observedGeneration": 2}});
        assert_eq!(
            names(of_newest_revision("Deployment", &deployment, &pods, &[set("rs1", "1"), set("rs2", "2")])),
            ["new"]
        );

        let mut stale = deployment.clone();
        stale["metadata"]["generation"] = json!(3);
        assert!(
            of_newest_revision("Deployment", &stale, &pods, &[set("rs2", "2")]).is_empty(),
            "its status is about an older generation"
        );

        let pods = [
            pod("old", "w", "a", "2026-01-01T00:00:00Z", running(), 0),
            pod("new", "w", "b", "2026-01-02T00:00:00Z", running(), 0),
        ];
        let stateful = json!({"metadata": {"uid": "w"}, "status": {"updateRevision": "b"}});
        assert_eq!(names(of_newest_revision("StatefulSet", &stateful, &pods, &[])), ["new"]);
        let daemon =
            |updated| json!({"metadata": {"uid": "w"}, "status": {"updatedNumberScheduled": updated}});
        assert_eq!(names(of_newest_revision("DaemonSet", &daemon(1), &pods, &[])), ["new"]);
        assert!(of_newest_revision("DaemonSet", &daemon(0), &pods, &[]).is_empty(), "no pod is new yet");
    }
}
