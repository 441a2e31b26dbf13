//! What the state of a pod or a node, or what the cluster says of one, tells is wrong. Pure.

use super::book::{Object, Sort};
use crate::{
    catalogue::controller,
    owner::{self, Home},
    query,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// A kind of trouble; rules listen to its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trouble {
    /// A container ends again and again.
    CrashLoopBackOff,
    /// A container was ended for using too much memory.
    OomKilled,
    /// An image cannot be pulled.
    ImagePullBackOff,
    /// No node takes a pod.
    Unschedulable,
    /// A node's kubelet says so, or says nothing.
    NodeNotReady,
    /// A node runs out of memory, disk or processes.
    NodePressure,
    /// A controller is not allowed to make its pods: quota, admission.
    FailedCreate,
    /// A pod's volume cannot be attached or mounted.
    FailedMount,
    /// A pod gets no network.
    FailedCreatePodSandBox,
    /// A node threw a pod out.
    Evicted,
}

impl Trouble {
    /// All of them.
    pub const ALL: [Trouble; 10] = [
        Trouble::CrashLoopBackOff,
        Trouble::OomKilled,
        Trouble::ImagePullBackOff,
        Trouble::Unschedulable,
        Trouble::NodeNotReady,
        Trouble::NodePressure,
        Trouble::FailedCreate,
        Trouble::FailedMount,
        Trouble::FailedCreatePodSandBox,
        Trouble::Evicted,
    ];

    /// As Kubernetes calls it.
    pub fn name(self) -> &'static str {
        match self {
            Trouble::CrashLoopBackOff => "CrashLoopBackOff",
            Trouble::OomKilled => "OOMKilled",
            Trouble::ImagePullBackOff => "ImagePullBackOff",
            Trouble::Unschedulable => "Unschedulable",
            Trouble::NodeNotReady => "NodeNotReady",
            Trouble::NodePressure => "NodePressure",
            Trouble::FailedCreate => "FailedCreate",
            Trouble::FailedMount => "FailedMount",
            Trouble::FailedCreatePodSandBox => "FailedCreatePodSandBox",
            Trouble::Evicted => "Evicted",
        }
    }

    /// Of a node, not of a pod.
    pub fn is_of_node(self) -> bool {
        self.sort() == Sort::Nodes
    }

    /// Of what makes pods, not of a pod.
    pub fn is_of_controller(self) -> bool {
        self.sort() == Sort::Controllers
    }

    pub(super) fn sort(self) -> Sort {
        match self {
            Trouble::NodeNotReady | Trouble::NodePressure => Sort::Nodes,
            Trouble::FailedCreate => Sort::Controllers,
            _ => Sort::Pods,
        }
    }

    /// No state shows it, only an `Event` object: it is there while it is said again.
    pub(super) fn is_only_said(self) -> bool {
        use Trouble::{Evicted, FailedCreate, FailedCreatePodSandBox, FailedMount};
        matches!(self, FailedCreate | FailedMount | FailedCreatePodSandBox | Evicted)
    }

    /// How long it must be away before it counts as over: a container that crashes in a loop runs in between, a kubelet says the same
    /// once in five minutes, and a controller tries again after 17 minutes at the latest.
    pub(super) fn holds(self) -> SignedDuration {
        match self {
            Trouble::CrashLoopBackOff => SignedDuration::from_secs(60),
            Trouble::FailedCreate => SignedDuration::from_mins(20),
            Trouble::FailedMount | Trouble::FailedCreatePodSandBox | Trouble::Evicted => {
                SignedDuration::from_mins(10)
            }
            _ => SignedDuration::ZERO,
        }
    }
}

/// Whose trouble it is: one of each is one trouble.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// What is wrong.
    pub trouble: Trouble,
    /// Of the pod; empty for a node.
    pub namespace: String,
    /// The pod or node, or what makes pods.
    pub object: String,
    /// The container, the condition, or the kind of what makes pods; empty where there is but one.
    pub part: String,
}

impl Key {
    pub(super) fn whose(&self) -> Object {
        let sort = self.trouble.sort();
        let name = match sort {
            Sort::Controllers => controller_name(&self.part, &self.object),
            Sort::Pods | Sort::Nodes => self.object.clone(),
        };
        Object { sort, namespace: self.namespace.clone(), name }
    }
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Sign {
    /// Whose.
    pub key: Key,
    /// Since when.
    pub since: Timestamp,
    /// The cluster's own words about it.
    pub words: String,
    /// What the pod belongs to and where it runs.
    pub home: Home,
}

/// Kinds have names of their own.
fn controller_name(kind: &str, name: &str) -> String {
    format!("{kind}/{name}")
}

/// A sign, and when it counts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Firing {
    pub sign: Sign,
    /// Not before this moment.
    pub from: Timestamp,
    /// Over at this moment without being seen again; none: when it is seen no more.
    pub until: Option<Timestamp>,
}

impl Firing {
    /// When it was said, if it is only said.
    pub fn said(&self) -> Option<Timestamp> {
        let trouble = self.sign.key.trouble;
        self.until.filter(|_| trouble.is_only_said())?.checked_sub(trouble.holds()).ok()
    }
}

/// A pod may wait so long for a node: clusters that grow need a while.
const SCHEDULING: SignedDuration = SignedDuration::from_secs(30);
/// A container that ran out of memory is trouble for so long, unless it happens again.
const OUT_OF_MEMORY: SignedDuration = SignedDuration::from_mins(10);
/// What is said is trouble when it goes on for so long: much of it is mended by the next try.
const SAID: SignedDuration = SignedDuration::from_secs(30);
/// Kinds that make pods.
pub const CONTROLLERS: [&str; 4] = ["ReplicaSet", "StatefulSet", "DaemonSet", "Job"];
const IMAGE: [&str; 4] = ["ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "InvalidImageName"];
const PRESSURES: [&str; 3] = ["MemoryPressure", "DiskPressure", "PIDPressure"];
/// Longest words that are kept.
const WORDS: usize = 1024;

/// What is wrong with a pod (its `metadata`, `spec` and `status`).
pub(super) fn of_pod(pod: &Value, now: Timestamp) -> Vec<Firing> {
    let over = matches!(text(pod, "/status/phase"), "Succeeded" | "Failed");
    if over || pod["metadata"]["deletionTimestamp"].is_string() {
        return Vec::new();
    }
    let mut all = Vec::new();
    let mut found = |trouble, part: &str, words: &str, since: Timestamp| {
        let sign = sign(pod, trouble, part, words, since);
        all.push(Firing { sign, from: since, until: None });
        all.len() - 1
    };
    let mut times = Vec::new();
    let containers = ["/status/initContainerStatuses", "/status/containerStatuses"];
    for status in containers.iter().flat_map(|pointer| list(pod, pointer)) {
        let (name, waits) = (text(status, "/name"), text(status, "/state/waiting/reason"));
        let words = text(status, "/state/waiting/message");
        if waits == "CrashLoopBackOff" {
            let last = time(status, "/lastState/terminated/finishedAt");
            found(Trouble::CrashLoopBackOff, name, words, last.unwrap_or(now));
        } else if IMAGE.contains(&waits) {
            let since = condition(pod, "PodScheduled").and_then(|one| time(one, "/lastTransitionTime"));
            found(Trouble::ImagePullBackOff, name, words, since.unwrap_or(now));
        }
        let killed = ["/state/terminated", "/lastState/terminated"]
            .into_iter()
            .filter_map(|pointer| status.pointer(pointer))
            .find(|end| end["reason"] == "OOMKilled");
        if let Some(end) = killed {
            let since = time(end, "/finishedAt").unwrap_or(now);
            let until = since.saturating_add(OUT_OF_MEMORY).unwrap_or(Timestamp::MAX);
            if until > now {
                let limit = list(pod, "/spec/containers").iter().find(|one| one["name"] == name);
                let limit = limit.map_or("", |one| text(one, "/resources/limits/memory"));
                let words =
                    format!("container {name} used more than its memory limit ({limit}) and was killed");
                times.push((found(Trouble::OomKilled, name, &words, since), until));
            }
        }
    }
    if let Some(waits) = condition(pod, "PodScheduled").filter(|one| one["reason"] == "Unschedulable") {
        let since = time(waits, "/lastTransitionTime").unwrap_or(now);
        let at = found(Trouble::Unschedulable, "", text(waits, "/message"), since);
        all[at].from = since.saturating_add(SCHEDULING).unwrap_or(Timestamp::MAX);
    }
    for (at, until) in times {
        all[at].until = Some(until);
    }
    all
}

/// What is wrong with a node.
pub(super) fn of_node(node: &Value, now: Timestamp) -> Vec<Firing> {
    list(node, "/status/conditions")
        .iter()
        .filter_map(|condition| {
            let (kind, status) = (text(condition, "/type"), text(condition, "/status"));
            let (trouble, part) = match (kind, status) {
                ("Ready", "False" | "Unknown") => (Trouble::NodeNotReady, ""),
                (pressure, "True") if PRESSURES.contains(&pressure) => (Trouble::NodePressure, pressure),
                _ => return None,
            };
            let since = time(condition, "/lastTransitionTime").unwrap_or(now);
            let words = match text(condition, "/message") {
                "" => text(condition, "/reason"),
                words => words,
            };
            Some(Firing { sign: sign(node, trouble, part, words, since), from: since, until: None })
        })
        .collect()
}

/// What an `Event` object tells that no condition does.
pub(super) fn of_event(event: &Value, now: Timestamp) -> Option<Firing> {
    let about = &event["involvedObject"];
    let kind = text(about, "/kind");
    let trouble = match text(event, "/reason") {
        "FailedCreate" if CONTROLLERS.contains(&kind) => Trouble::FailedCreate,
        "FailedMount" | "FailedAttachVolume" if kind == "Pod" => Trouble::FailedMount,
        "FailedCreatePodSandBox" if kind == "Pod" => Trouble::FailedCreatePodSandBox,
        "Evicted" if kind == "Pod" => Trouble::Evicted,
        _ => return None,
    };
    let said: Timestamp = query::event_time(event).as_str()?.parse().ok()?;
    let is_controllers = trouble.is_of_controller();
    let key = Key {
        trouble,
        namespace: text(about, "/namespace").to_string(),
        object: text(about, "/name").to_string(),
        part: if is_controllers { kind.to_string() } else { String::new() },
    };
    // Whose a ReplicaSet is, its name does not say for certain; nor does a pod's.
    let workload = (is_controllers && kind != "ReplicaSet").then(|| (kind.to_string(), key.object.clone()));
    let node = Some(text(event, "/source/host")).filter(|host| !host.is_empty()).map(String::from);
    let words = text(event, "/message").chars().take(WORDS).collect();
    let sign = Sign { key, since: said, words, home: Home { workload, node } };
    let waits = if trouble == Trouble::Evicted { SignedDuration::ZERO } else { SAID };
    Some(Firing {
        sign,
        from: now.saturating_add(waits).unwrap_or(Timestamp::MAX),
        until: Some(said.saturating_add(trouble.holds()).unwrap_or(Timestamp::MAX)),
    })
}

/// Something that a pod shows to be over: of whom, what, and when it was so.
pub(super) type Relief = (Object, &'static [Trouble], Timestamp);

/// What a pod shows to be over of what was only said: it has begun to run; and its controller could make it.
pub(super) fn relieved_by(pod: &Value, now: Timestamp) -> Vec<Relief> {
    let at = |sort, name: &str| Object {
        sort,
        namespace: text(pod, "/metadata/namespace").into(),
        name: name.into(),
    };
    let mut over: Vec<Relief> = Vec::new();
    if text(pod, "/status/phase") == "Running" {
        let of = at(Sort::Pods, text(pod, "/metadata/name"));
        over.push((of, &[Trouble::FailedMount, Trouble::FailedCreatePodSandBox], now));
    }
    if let (Some(owner), Some(made)) = (controller(pod), time(pod, "/metadata/creationTimestamp")) {
        let name = controller_name(text(owner, "/kind"), text(owner, "/name"));
        over.push((at(Sort::Controllers, &name), &[Trouble::FailedCreate], made));
    }
    over
}

fn sign(of: &Value, trouble: Trouble, part: &str, words: &str, since: Timestamp) -> Sign {
    let name = text(of, "/metadata/name");
    let home = match trouble.is_of_node() {
        true => Home { workload: None, node: Some(name.to_string()) },
        false => owner::home(of),
    };
    let key = Key {
        trouble,
        namespace: text(of, "/metadata/namespace").to_string(),
        object: name.to_string(),
        part: part.to_string(),
    };
    let words = words.chars().take(WORDS).collect();
    Sign { key, since, words, home }
}

fn text<'a>(of: &'a Value, pointer: &str) -> &'a str {
    of.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn time(of: &Value, pointer: &str) -> Option<Timestamp> {
    text(of, pointer).parse().ok()
}

fn list<'a>(of: &'a Value, pointer: &str) -> &'a [Value] {
    of.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn condition<'a>(of: &'a Value, kind: &str) -> Option<&'a Value> {
    list(of, "/status/conditions").iter().find(|condition| condition["type"] == kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: &str = "2026-11-21T12:00:00Z";

    fn names(found: &[Firing]) -> Vec<&str> {
        found.iter().map(|firing| firing.sign.key.trouble.name()).collect()
    }

    fn pod(status: Value) -> Vec<Firing> {
        let labels = json!({"pod-template-hash": "5f"});
        let owners = json!([{"kind": "ReplicaSet", "name": "cart-5f", "controller": true}]);
        let metadata =
            json!({"name": "cart-5f-x", "namespace": "shop", "labels": labels, "ownerReferences": owners});
        let pod =
            json!({"metadata": metadata, "spec": {"nodeName": "n1", "containers": []}, "status": status});
        of_pod(&pod, NOW.parse().unwrap())
    }

    fn container(state: Value, last: Value) -> Value {
        json!({"phase": "Running", "containerStatuses": [{"name": "app", "state": state, "lastState": last}]})
    }

    #[test]
    fn what_a_pod_says_is_understood() {
        let end = |reason: &str, at: &str| json!({"terminated": {"reason": reason, "finishedAt": at}});
        let waits = |reason: &str| json!({"waiting": {"reason": reason, "message": "back-off 10s"}});
        let crash = pod(container(waits("CrashLoopBackOff"), end("Error", "2026-11-21T11:59:00Z")));
        assert_eq!(names(&crash), ["CrashLoopBackOff"]);
        let sign = &crash[0].sign;
        assert_eq!(sign.home.workload, Some(("Deployment".into(), "cart".into())));
        assert_eq!((sign.words.as_str(), sign.key.part.as_str()), ("back-off 10s", "app"));
        assert_eq!(sign.since.to_string(), "2026-11-21T11:59:00Z");
        assert_eq!(names(&pod(container(waits("ErrImagePull"), json!({})))), ["ImagePullBackOff"]);
        let killed = pod(container(json!({"running": {}}), end("OOMKilled", "2026-11-21T11:55:00Z")));
        assert_eq!(names(&killed), ["OOMKilled"]);
        assert_eq!(killed[0].until.unwrap().to_string(), "2026-11-21T12:05:00Z");
        let long_ago = end("OOMKilled", "2026-11-21T11:49:00Z");
        assert_eq!(pod(container(json!({"running": {}}), long_ago)), []);
        let fine = container(json!({"running": {}}), end("Error", "2026-11-21T11:59:00Z"));
        assert_eq!(pod(fine), []);
    }

    #[test]
    fn a_pod_without_a_node_gets_half_a_minute() {
        let waits = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/3 nodes are available", "lastTransitionTime": "2026-11-21T11:59:50Z"});
        let found = pod(json!({"phase": "Pending", "conditions": [waits]}));
        assert_eq!(names(&found), ["Unschedulable"]);
        assert_eq!(found[0].from.to_string(), "2026-11-21T12:00:20Z");
    }

    fn event(reason: &str, kind: &str, said: &str) -> Option<Firing> {
        let event = json!({"reason": reason, "message": "it cannot", "type": "Warning", "source": {"host": "n1"},
            "involvedObject": {"kind": kind, "namespace": "shop", "name": "cart"}, "lastTimestamp": said});
        of_event(&event, NOW.parse().unwrap())
    }

    #[test]
    fn what_only_an_event_tells_is_understood() {
        let now = "2026-11-21T11:59:50Z";
        let mount = event("FailedAttachVolume", "Pod", now).unwrap();
        assert_eq!(mount.sign.key.trouble, Trouble::FailedMount);
        assert_eq!((mount.sign.words.as_str(), mount.sign.home.node.as_deref()), ("it cannot", Some("n1")));
        assert_eq!(
            (mount.from.to_string(), mount.until.unwrap().to_string()),
            ("2026-11-21T12:00:30Z".into(), "2026-11-21T12:09:50Z".into())
        );
        let create = event("FailedCreate", "StatefulSet", now).unwrap().sign;
        assert_eq!(create.home.workload, Some(("StatefulSet".into(), "cart".into())));
        assert_eq!(create.key.part, "StatefulSet");
        assert_eq!(event("FailedCreate", "ReplicaSet", now).unwrap().sign.home.workload, None);
        assert_eq!(event("Evicted", "Pod", now).unwrap().from, NOW.parse().unwrap(), "it is out already");
        for (reason, kind) in [("BackOff", "Pod"), ("FailedCreate", "Pod"), ("FailedMount", "Node")] {
            assert_eq!(event(reason, kind, now), None, "{reason} of a {kind}");
        }
    }

    #[test]
    fn a_pod_that_runs_has_its_volumes_and_its_controller_could_make_it() {
        let owners = json!([{"kind": "ReplicaSet", "name": "cart-5f", "controller": true}]);
        let metadata = json!({"name": "cart-5f-x", "namespace": "shop", "ownerReferences": owners, "creationTimestamp": NOW});
        let over = |phase: &str| {
            let pod = json!({"metadata": metadata, "status": {"phase": phase}});
            let over = relieved_by(&pod, Timestamp::MAX);
            over.into_iter().map(|(object, _, at)| (object.name, at.to_string())).collect::<Vec<_>>()
        };
        let made = ("ReplicaSet/cart-5f".to_string(), NOW.to_string());
        assert_eq!(over("Pending"), std::slice::from_ref(&made));
        assert_eq!(over("Running"), [("cart-5f-x".into(), Timestamp::MAX.to_string()), made]);
    }

    #[test]
    fn a_node_that_says_nothing_is_not_ready_and_each_pressure_is_one_trouble() {
        let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "reason": "Why", "lastTransitionTime": NOW});
        let node = |conditions: Vec<Value>| {
            of_node(
                &json!({"metadata": {"name": "n1"}, "status": {"conditions": conditions}}),
                Timestamp::UNIX_EPOCH,
            )
        };
        let sick = node(vec![
            condition("Ready", "Unknown"),
            condition("MemoryPressure", "True"),
            condition("DiskPressure", "True"),
            condition("PIDPressure", "False"),
        ]);
        assert_eq!(names(&sick), ["NodeNotReady", "NodePressure", "NodePressure"]);
        assert_eq!(sick[0].sign.words, "Why");
        assert_eq!(sick[2].sign.key.part, "DiskPressure");
        assert_eq!(node(vec![condition("Ready", "True"), condition("NetworkUnavailable", "False")]), []);
    }
}
