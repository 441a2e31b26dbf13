//! What a watcher saw, as the event that is told; and back.

use actions::{
    lookout::{CONTROLLERS, Change, Key, Sign, Trouble},
    owner::Home,
};
use heal::{
    event::{Event, Evidence, Fingerprint, Severity, State, Subject, Workload},
    language::ast::Origin,
};
use jiff::Timestamp;
use ledger::NewEvent;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Who tells of a cluster.
pub fn source(cluster: &str) -> String {
    format!("kubernetes/{cluster}")
}

fn severity(trouble: Trouble) -> Severity {
    let number = match trouble {
        Trouble::NodeNotReady => 5,
        Trouble::CrashLoopBackOff
        | Trouble::OomKilled
        | Trouble::ImagePullBackOff
        | Trouble::NodePressure
        | Trouble::FailedCreate
        | Trouble::FailedMount
        | Trouble::FailedCreatePodSandBox => 4,
        Trouble::Unschedulable | Trouble::Evicted => 3,
    };
    Severity::new(number).unwrap_or(Severity::WARNING)
}

/// The label that says which part of an object it is about, or which object.
fn part_label(key: &Key) -> (String, &str) {
    match key.trouble {
        trouble if trouble.is_of_node() => ("condition".into(), &key.part),
        // As kube-state-metrics calls them.
        trouble if trouble.is_of_controller() => (key.part.to_lowercase(), &key.object),
        _ => ("container".into(), &key.part),
    }
}

/// What rules see of a change. `epoch` is of the lease under which it is told: what somebody else took back may be told anew.
pub fn event(cluster: &str, change: &Change, epoch: i64, now: Timestamp) -> Event {
    let (sign, state) = match change {
        Change::Began(sign) => (sign, State::Firing),
        Change::Ended(sign) => (sign, State::Resolved),
    };
    let Sign { key, since, words, home } = sign;
    let is_node = key.trouble.is_of_node();
    let named = |name: &str| (!name.is_empty()).then(|| name.to_string());
    let pod = if is_node || key.trouble.is_of_controller() { None } else { named(&key.object) };
    let (part_label, part) = part_label(key);
    let labels: BTreeMap<String, String> = [
        ("cluster".to_string(), named(cluster)),
        ("namespace".to_string(), named(&key.namespace)),
        ("pod".to_string(), pod.clone()),
        ("node".to_string(), home.node.clone()),
        (part_label, named(part)),
    ]
    .into_iter()
    .filter_map(|(label, value)| Some((label, value?)))
    .collect();
    let name = key.trouble.name();
    // Where a pod runs may change while the same trouble goes on.
    let identifying = labels.iter().filter(|(label, _)| is_node || label.as_str() != "node");
    let identifying = identifying.map(|(label, value)| (label.as_str(), value.as_str()));
    let fingerprint = Fingerprint::new(Origin::Event, name, Some(cluster), identifying);
    let workload = home.workload.as_ref();
    // Kubernetes tells whole seconds; an end between two of them would be later than a beginning that follows it.
    let second = Timestamp::from_second(now.as_second()).unwrap_or(now);
    Event {
        id: format!(
            "{fingerprint}/{}/{}/{epoch}",
            since.as_second(),
            if state == State::Firing { "began" } else { "ended" }
        ),
        source: source(cluster),
        origin: Origin::Event,
        name: name.into(),
        severity: severity(key.trouble),
        state,
        started: *since,
        ended: (state == State::Resolved).then_some(second.max(*since)),
        subject: Subject {
            cluster: Some(cluster.into()),
            namespace: named(&key.namespace),
            workload: workload.map(|(kind, name)| Workload { kind: kind.clone(), name: name.clone() }),
            pod,
            node: home.node.clone(),
        },
        labels,
        annotations: BTreeMap::new(),
        evidence: vec![Evidence { title: "message".into(), text: words.clone(), link: false }],
        trace: None,
        fingerprint,
    }
}

/// What an earlier watch told, as it was seen; None for an event of another kind.
pub fn sign(event: &Event) -> Option<Sign> {
    let trouble = Trouble::ALL.into_iter().find(|trouble| trouble.name() == event.name)?;
    let subject = &event.subject;
    let label = |name: &str| event.labels.get(name).cloned().unwrap_or_default();
    let (object, part) = match trouble {
        trouble if trouble.is_of_node() => (subject.node.clone()?, label("condition")),
        trouble if trouble.is_of_controller() => {
            let kind =
                CONTROLLERS.into_iter().find(|kind| event.labels.contains_key(&kind.to_lowercase()))?;
            (label(&kind.to_lowercase()), kind.to_string())
        }
        _ => (subject.pod.clone()?, label("container")),
    };
    let key = Key { trouble, namespace: subject.namespace.clone().unwrap_or_default(), object, part };
    let workload = subject.workload.as_ref();
    let home = Home {
        workload: workload.map(|workload| (workload.kind.clone(), workload.name.clone())),
        node: subject.node.clone(),
    };
    let words = event.evidence.first().map(|evidence| evidence.text.clone()).unwrap_or_default();
    Some(Sign { key, since: event.started, words, home })
}

/// As it is kept, once by its key.
pub fn new_event(event: &Event) -> NewEvent {
    let key = hex::encode(&Sha256::digest(format!("{}/{}", event.source, event.id))[..20]);
    NewEvent { key, body: serde_json::to_value(event).unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signs() -> Vec<Sign> {
        let of = |trouble: Trouble| {
            let is_node = trouble.is_of_node();
            let (namespace, object) = if is_node { ("", "n1") } else { ("shop", "cart-5f-x") };
            let workload = (!is_node).then(|| ("Deployment".to_string(), "cart".to_string()));
            let part = if trouble.is_of_controller() { "ReplicaSet" } else { "part" };
            Sign {
                key: Key { trouble, namespace: namespace.into(), object: object.into(), part: part.into() },
                since: Timestamp::from_second(1_800_000_000).unwrap(),
                words: "back-off 10s".into(),
                home: Home { workload, node: Some("n1".into()) },
            }
        };
        Trouble::ALL.map(of).into()
    }

    #[test]
    fn the_next_watcher_knows_what_was_told() {
        for seen in signs() {
            let told = event("prod", &Change::Began(seen.clone()), 1, Timestamp::now());
            assert_eq!(sign(&told), Some(seen));
        }
    }

    #[test]
    fn a_beginning_and_its_end_are_one_trouble_told_twice() {
        let now = Timestamp::from_second(1_800_000_030).unwrap();
        for seen in signs() {
            let began = event("prod", &Change::Began(seen.clone()), 1, now);
            let moved = Sign { home: Home { node: Some("n2".into()), ..seen.home.clone() }, ..seen.clone() };
            let moved = if seen.key.trouble.is_of_node() { seen.clone() } else { moved };
            let ended = event("prod", &Change::Ended(moved), 1, now);
            let anew = event("prod", &Change::Began(seen), 2, now);
            assert_eq!(began.fingerprint, anew.fingerprint);
            assert_ne!(new_event(&began).key, new_event(&anew).key, "who took over may have to say it again");
            assert_eq!(began.fingerprint, ended.fingerprint);
            assert_ne!(new_event(&began).key, new_event(&ended).key);
            assert_eq!(ended.ended, Some(now));
        }
        let keys: std::collections::BTreeSet<String> = signs()
            .into_iter()
            .map(|seen| event("prod", &Change::Began(seen), 1, now).fingerprint.to_string())
            .collect();
        assert_eq!(keys.len(), Trouble::ALL.len(), "each is its own trouble");
    }
}
