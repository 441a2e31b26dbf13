//! Values that the unit tests of this folder share.

use crate::*;
use jiff::Timestamp;
use serde_json::json;

pub(crate) const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);

pub(crate) fn quorum() -> Quorum {
    Quorum { votes: 1, groups: vec!["sre".into()], within_s: 600, type_cluster: false }
}

pub(crate) fn needs(quorum: Quorum) -> Decision {
    Decision::Needs { rule: "prod".into(), quorum }
}

pub(crate) fn target() -> Target {
    Target {
        cluster: "prod-eu".into(),
        namespace: Some("shop".into()),
        kind: "Deployment".into(),
        name: "checkout".into(),
        uid: Some("u-1".into()),
    }
}

pub(crate) fn plan() -> Plan {
    let object = ObjectRef {
        api_version: "apps/v1".into(),
        kind: "Deployment".into(),
        namespace: Some("shop".into()),
        name: "checkout".into(),
        uid: Some("u-1".into()),
    };
    let scale = |replicas: u32| Step::Patch {
        object: object.clone(),
        kind: PatchKind::Merge,
        body: json!({"spec": {"replicas": replicas}}),
    };
    Plan {
        action: "scale".into(),
        parameters: json!({"replicas": 6}),
        target: target(),
        resource_version: "41".into(),
        summary: "scale Deployment checkout from 3 to 6 replicas".into(),
        steps: vec![scale(6)],
        diff: "-  replicas: 3\n+  replicas: 6\n".into(),
        blast: Blast { pods: 3, of: 3, ..Blast::default() },
        risk: Risk::Low,
        prior: json!({"replicas": 3}),
        undo: vec![scale(3)],
        verify: Verify { conditions: vec![Condition::Replicas { object, count: 6 }], within_s: 300 },
    }
}

pub(crate) fn ask() -> Ask {
    Ask {
        key: "k-1".into(),
        actor: "console:ann".parse().unwrap(),
        person: Person("ann".into()),
        place: None,
        line: "scale deploy/checkout 6 -n shop -c prod-eu".into(),
        action: "scale".into(),
        parameters: json!({"replicas": 6}),
        target: Target { uid: None, ..target() },
        why: None,
        break_glass: false,
        dry_run: false,
        with_person: None,
    }
}

pub(crate) fn vote(person: &str) -> Vote {
    Vote {
        person: Person(person.into()),
        actor: format!("console:{person}").parse().unwrap(),
        groups: vec!["sre".into()],
        verdict: Verdict::Approve,
        digest: plan().digest(),
        reason: None,
        typed: None,
        at: NOW,
    }
}

pub(crate) fn request(decision: Decision) -> Request {
    Request::new(RequestId::new(), ask(), plan(), decision, "policy-1".into(), NOW)
}
