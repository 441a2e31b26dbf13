//! The card of a request in every state of its life.

use bot::{card::Card, draw};
use jiff::{SignedDuration, Timestamp};
use ledger::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn now() -> Timestamp {
    "2026-11-21T09:00:00Z".parse().unwrap()
}

fn labels() -> BTreeMap<String, String> {
    [("production".to_string(), "true".to_string())].into()
}

fn deployment() -> ObjectRef {
    let [api_version, kind, name, uid] = ["apps/v1", "Deployment", "checkout", "u-1"].map(String::from);
    ObjectRef { api_version, kind, namespace: Some("shop".into()), name, uid: Some(uid) }
}

fn patch(replicas: u32) -> Step {
    Step::Patch {
        object: deployment(),
        kind: PatchKind::Merge,
        body: json!({"spec": {"replicas": replicas}}),
    }
}

fn plan() -> Plan {
    Plan {
        action: "scale".into(),
        parameters: json!({"replicas": 6}),
        target: Target {
            cluster: "prod-eu".into(),
            namespace: Some("shop".into()),
            kind: "Deployment".into(),
            name: "checkout".into(),
            uid: Some("u-1".into()),
        },
        resource_version: "41".into(),
        summary: "scale Deployment checkout from 3 to 6 replicas".into(),
        steps: vec![patch(6)],
        diff: "--- now\n+++ planned\n@@\n spec:\n-  replicas: 3\n+  replicas: 6\n".into(),
        blast: Blast {
            pods: 3,
            of: 6,
            budgets: vec!["checkout-pdb (1 more)".into()],
            notes: vec!["an HPA (checkout, 2-10) will overrule this".into()],
            ..Blast::default()
        },
        risk: Risk::Low,
        prior: json!({"replicas": 3}),
        undo: vec![patch(3)],
        verify: Verify {
            conditions: vec![
                Condition::RolloutComplete { object: deployment() },
                Condition::Replicas { object: deployment(), count: 6 },
                Condition::NotCrashLooping { object: deployment() },
            ],
            within_s: 300,
        },
    }
}

pub(crate) fn ask() -> Ask {
    Ask {
        key: "k".into(),
        actor: "console:ann".parse().unwrap(),
        person: Person("ann".into()),
        place: Some(Place("console:ops".into())),
        line: "scale deploy/checkout 6 --why \"flash sale\"".into(),
        action: "scale".into(),
        parameters: json!({"replicas": 6}),
        target: Target { uid: None, ..plan().target },
        why: Some("flash sale".into()),
        break_glass: false,
        dry_run: false,
        with_person: None,
    }
}

pub(crate) fn needs(votes: u32, type_cluster: bool) -> Decision {
    let groups = vec!["sre".into(), "leads".into()];
    Decision::Needs {
        rule: "production needs people".into(),
        quorum: Quorum { votes, groups, within_s: 1800, type_cluster },
    }
}

pub(crate) fn request(ask: Ask, decision: Decision) -> Request {
    let id = "0199d2f0-0000-7000-8000-00001f3c9a2b".parse().unwrap();
    Request::new(id, ask, plan(), decision, "a1b2c3d4e5f6".into(), now())
}

pub(crate) fn vote(person: &str, verdict: Verdict, reason: Option<&str>) -> Vote {
    Vote {
        person: Person(person.into()),
        actor: format!("console:{person}").parse().unwrap(),
        groups: vec!["sre".into()],
        verdict,
        digest: plan().digest(),
        reason: reason.map(String::from),
        typed: Some("prod-eu".into()),
        at: now() + SignedDuration::from_secs(30),
    }
}

pub(crate) fn view(request: Request) -> RequestView {
    RequestView { request, votes: Vec::new(), run: None, steps: Vec::new() }
}

fn at(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

/// A run that has come so far.
pub(crate) fn with_run(
    request: Request,
    phase: Phase,
    progress: Option<&str>,
    steps: &[(Phase, StepState)],
) -> RequestView {
    let run = Run {
        id: "0199d2f0-0000-7000-8000-0000aaaa0001".parse().unwrap(),
        request: request.id,
        revision: 1,
        phase,
        attempt: 1,
        verify_until: steps.contains(&(Phase::Act, StepState::Done)).then(|| at(400)),
        undo_because: (phase == Phase::Undo || steps.iter().any(|(phase, _)| *phase == Phase::Undo))
            .then(|| "2 pods crash-loop".into()),
        progress: progress.map(String::from),
        started_at: Some(at(60)),
        ended_at: (phase == Phase::Done).then(|| at(100)),
    };
    let steps = steps.iter().map(|(phase, state)| StepRecord {
        phase: *phase,
        index: 0,
        state: *state,
        intent: json!({}),
        outcome: None,
        intended_at: at(61),
        ended_at: None,
    });
    RequestView { run: Some(run), steps: steps.collect(), ..view(request) }
}

pub(crate) fn started() -> Request {
    request(ask(), Decision::Allow { rule: "scale at once".into() }).start(at(60)).unwrap()
}

pub(crate) fn verifying() -> Request {
    started().verify(at(70)).unwrap()
}

pub(crate) fn card(view: &RequestView) -> Card {
    draw::request(view, &labels(), at(120))
}

/// As text, and what the text does not show.
fn shown(view: &RequestView) -> String {
    let card = card(view);
    let buttons = card.buttons.iter().map(|button| {
        let typed = button.wants_typed.as_ref().map(|text| format!(" (type {text})")).unwrap_or_default();
        format!("[{}{}{typed}]", button.label, if button.wants_reason { " (why?)" } else { "" })
    });
    let buttons = buttons.collect::<Vec<_>>().join(" ");
    format!("{:?}\n{}{buttons}\n", card.tone, draw::text(&card, str::to_string))
}

macro_rules! states {
    ($($name:ident: $view:expr;)*) => {$(
        #[test]
        fn $name() {
            insta::assert_snapshot!(stringify!($name), shown(&$view));
        }
    )*};
}

states! {
    a_dry_run: view(request(Ask { dry_run: true, ..ask() }, needs(1, false)));
    awaiting_one_of_two_with_the_cluster_to_be_typed: RequestView {
        votes: vec![vote("bob", Verdict::Approve, Some("traffic is up"))],
        ..view(request(ask(), needs(2, true)))
    };
    awaiting_a_new_plan: view(
        started().replan(plan(), needs(1, false), "a1b2c3d4e5f6".into(), at(61)).unwrap());
    queued: view(request(ask(), Decision::Allow { rule: "scale at once".into() }));
    running: with_run(started(), Phase::Act, None, &[(Phase::Act, StepState::Intended)]);
    verifying_with_progress: with_run(verifying(), Phase::Verify, Some("4 of 6 pods ready"), &[(Phase::Act, StepState::Done)]);
    being_cancelled: with_run(
        verifying().cancel(&"console:bob".parse().unwrap(), Some("wrong shop"), at(80)).unwrap(),
        Phase::Verify, Some("4 of 6 pods ready"), &[(Phase::Act, StepState::Done)]);
    succeeded: with_run(verifying().end(Ended::Succeeded, at(100)).unwrap(), Phase::Done, None, &[(Phase::Act, StepState::Done)]);
    refused: view(request(ask(), Decision::Refuse {
        rule: "freeze".into(), reason: "Production is frozen until Monday 08:00; use break-glass in an emergency.".into() }));
    denied: RequestView {
        votes: vec![vote("bob", Verdict::Deny, Some("not during the sale"))],
        ..view(request(ask(), needs(1, false)).vote(&[], &vote("bob", Verdict::Deny, Some("not during the sale"))).unwrap())
    };
    expired: view(request(ask(), needs(1, false)).expire(at(1801)).unwrap());
    cancelled: view(request(ask(), needs(1, false)).cancel(&"console:ann".parse().unwrap(), Some("changed my mind"), at(5)).unwrap());
    failed: with_run(
        started().end(Ended::Failed("the cluster refuses this as invalid: quota exceeded; nothing was changed".into()), at(70)).unwrap(),
        Phase::Done, None, &[(Phase::Act, StepState::Failed)]);
    rolled_back: with_run(
        verifying().end(Ended::RolledBack("2 pods crash-loop".into()), at(100)).unwrap(),
        Phase::Done, None, &[(Phase::Act, StepState::Done), (Phase::Undo, StepState::Done)]);
    unknown: with_run(
        started().end(Ended::Unknown("the cluster did not answer the change of Deployment checkout".into()), at(100)).unwrap(),
        Phase::Done, None, &[(Phase::Act, StepState::Unknown)]);
    break_glass: view(request(Ask { break_glass: true, ..ask() }, Decision::Allow { rule: "break-glass".into() }));
}

#[test]
fn all_about_a_request() {
    let view =
        with_run(verifying(), Phase::Verify, Some("4 of 6 pods ready"), &[(Phase::Act, StepState::Done)]);
    insta::assert_snapshot!(draw::text(&draw::details(&view, &labels(), at(120)), str::to_string));
}

#[test]
fn past_its_time_a_card_offers_no_approval_even_before_anybody_has_written_so() {
    let view = view(request(ask(), needs(1, false)));
    let card = draw::request(&view, &labels(), at(1801));
    assert_eq!(card.status.as_deref(), Some("expired"));
    assert_eq!(card.buttons.iter().map(|button| button.id.as_str()).collect::<Vec<_>>(), ["details"]);
}

#[test]
fn every_state_has_a_card_that_survives_json_and_says_its_cluster() {
    let mut request = request(ask(), needs(1, false));
    for state in RequestState::ALL {
        request.state = state;
        let card = card(&view(request.clone()));
        let value: Value = draw::json(&card);
        assert_eq!(serde_json::from_value::<Card>(value).unwrap(), card);
        assert!(card.cluster.is_some_and(|cluster| cluster.production));
        assert_eq!(card.buttons.iter().any(|button| button.id == "approve"), state == RequestState::Awaiting);
        assert_eq!(card.buttons.iter().any(|button| button.id == "cancel"), !state.is_final());
    }
}
