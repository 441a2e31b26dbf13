//! Whether a rule applies, with its reasons, and what it would ask for.

use super::{alert, load};
use heal::{
    event::{Event, Workload},
    language::ast::Scope,
    rules::{Answer, Judgement, Known, Outcome, Past, Proposed, Rules, Verdict},
};
use jiff::{SignedDuration, Timestamp};

const ISSUE: &str = include_str!("../../examples/issue.heal");

fn now() -> Timestamp {
    "2026-02-03T05:00:00Z".parse().unwrap()
}

fn ago(minutes: i64) -> Timestamp {
    now() - SignedDuration::from_mins(minutes)
}

fn crash_loop() -> Event {
    let labels = [("namespace", "shop"), ("pod", "checkout-0"), ("severity", "critical")];
    let mut event = alert("KubePodCrashLooping", &labels);
    event.subject = event.subject.owned_by(Workload { kind: "Deployment".into(), name: "checkout".into() });
    event
}

fn yes() -> Answer {
    Answer { outcome: Outcome::Yes, why: "it is 0.3".into() }
}

fn judge(rules: &Rules, event: &Event, answers: &[Answer], past: &Past) -> Judgement {
    rules.all()[0].judge(event, Known { answers, past, replicas: Some(3), now: now() })
}

#[test]
fn a_rule_that_applies_says_why_and_what_it_would_ask_for() {
    let judgement = judge(&load(ISSUE), &crash_loop(), &[yes()], &Past::default());
    insta::assert_snapshot!(judgement.to_string());
    assert!(matches!(judgement.verdict, Verdict::Ask { alone: true, .. }));
}

#[test]
fn a_rule_that_does_not_apply_says_which_line_did_not_hold() {
    let event = alert("KubePodCrashLooping", &[("namespace", "pay"), ("severity", "info")]);
    let past = Past {
        healed: Some(ago(12)),
        asked: [(Scope::Workload, vec![ago(5), ago(30), ago(59), ago(61)])].into(),
    };
    let judgement = judge(&load(ISSUE), &event, &[yes()], &past);
    insta::assert_snapshot!(judgement.to_string());
}

#[test]
fn what_is_unknown_never_acts_alone() {
    let missing = Answer { outcome: Outcome::Unknown, why: "no such metric".into() };
    for answers in [&[missing][..], &[]] {
        let judgement = judge(&load(ISSUE), &crash_loop(), answers, &Past::default());
        assert!(matches!(judgement.verdict, Verdict::Ask { alone: false, .. }), "{judgement}");
        assert!(judgement.to_string().contains("and a person must agree, because not all is known"));
    }
}

#[test]
fn a_no_weighs_more_than_an_unknown() {
    let source = "rule \"a\" {\n on alert \"A\"\n when promql(\"a\") > 1\n when promql(\"b\") > 1\n then [ notify(\"#ops\") ]\n}";
    let answers = [Outcome::Unknown, Outcome::No].map(|outcome| Answer { outcome, why: String::new() });
    assert_eq!(judge(&load(source), &alert("A", &[]), &answers, &Past::default()).verdict, Verdict::Not);
}

#[test]
fn limits_and_unless_count_to_the_second() {
    let source = "rule \"a\" {\n on alert \"A\"\n unless healed within 30m\n limit 2 per 1h per cluster\n then [ notify(\"#ops\") ]\n}";
    let rules = load(source);
    let applies = |healed: Option<i64>, asked: &[i64]| {
        let asked = asked.iter().map(|minutes| ago(*minutes)).collect();
        let past = Past { healed: healed.map(ago), asked: [(Scope::Cluster, asked)].into() };
        judge(&rules, &alert("A", &[]), &[], &past).verdict != Verdict::Not
    };
    assert!(applies(None, &[]));
    assert!(applies(Some(30), &[]) && !applies(Some(29), &[]));
    assert!(applies(None, &[5]) && !applies(None, &[5, 59]) && applies(None, &[5, 60, 61]));
    // A clock that was turned back must not open the brake.
    assert!(!applies(Some(-5), &[]) && !applies(None, &[-1, -2]));
}

#[test]
fn a_resolved_event_starts_nothing() {
    let mut event = crash_loop();
    event.state = heal::event::State::Resolved;
    assert_eq!(judge(&load(ISSUE), &event, &[yes()], &Past::default()).verdict, Verdict::Not);
}

#[test]
fn an_event_that_names_too_little_is_stuck_and_says_what_is_missing() {
    let bare = alert("KubePodCrashLooping", &[("namespace", "shop"), ("severity", "critical")]);
    let judgement = judge(&load(ISSUE), &bare, &[yes()], &Past::default());
    assert!(
        judgement
            .to_string()
            .ends_with("so it applies, but the event names no workload for `restart(workload)`\n")
    );
    let mut nowhere = crash_loop();
    nowhere.subject.cluster = None;
    let judgement = judge(&load(ISSUE), &nowhere, &[yes()], &Past::default());
    assert!(judgement.to_string().contains("the event names no cluster"), "{judgement}");
}

/// What `scale(…)` of the event's workload would ask for.
fn scaled(arguments: &str, now: Option<u32>) -> Result<String, String> {
    proposed(&format!("scale(workload, {arguments})"), now)
}

fn proposed(step: &str, now: Option<u32>) -> Result<String, String> {
    let rules = load(&format!(
        "on alert \"KubePodCrashLooping\" {{\n then [ {step} ]\n verify within 1m {{ rollout healthy }}\n}}"
    ));
    let proposal = rules.all()[0].propose(&crash_loop(), now).map_err(|error| error.to_string())?;
    let [step @ Proposed::Action { .. }] = proposal.then.as_slice() else { panic!() };
    Ok(step.to_string())
}

#[test]
fn a_change_is_resolved_from_what_is_there_within_its_bounds() {
    let step = |words: &str| Ok(format!("scale prod-eu: shop/Deployment checkout, {words}"));
    assert_eq!(scaled("replicas: +2, max: 12", Some(3)), step("replicas 5 (3 + 2, at most 12)"));
    assert_eq!(scaled("replicas: +2, max: 12", Some(11)), step("replicas 12 (11 + 2, at most 12)"));
    assert_eq!(scaled("replicas: -2, min: 2", Some(3)), step("replicas 2 (3 - 2, at least 2)"));
    assert_eq!(scaled("replicas: -5", Some(3)), step("replicas 0 (3 - 5)"));
    assert_eq!(scaled("replicas: 6, max: 12", Some(3)), step("replicas 6"));
    // Not known yet: the gate counts, within the same bounds.
    let later = step("max 12, replicas \"+2\" (from what it has then, at most 12)");
    assert_eq!(scaled("replicas: +2, max: 12", None), later);
}

#[test]
fn replicas_of_the_events_workload_are_not_those_of_another() {
    let asked = proposed("scale(\"sts/db\", replicas: +2, max: 12)", Some(3));
    let words = "max 12, replicas \"+2\" (from what it has then, at most 12)";
    assert_eq!(asked, Ok(format!("scale prod-eu: shop/sts db, {words}")));
}

#[test]
fn a_step_says_where_its_target_is_when_that_is_not_where_the_event_is() {
    let asked = proposed("scale_nodes(\"md/workers\", nodes: 5, namespace: \"capi\")", None);
    assert_eq!(asked, Ok("scale_nodes prod-eu: capi/md workers, nodes 5".into()));
    assert_eq!(proposed("run_job(\"cj/clean\")", None), Ok("run_job prod-eu: shop/cj clean".into()));
    let drill = proposed("drill(workload, fault: \"pod-kill\", lasts: 5m)", None);
    assert_eq!(drill, Ok("drill prod-eu: shop/Deployment checkout, fault \"pod-kill\", lasts \"5m\"".into()));
}

#[test]
fn a_bound_never_turns_a_step_up_into_a_step_down() {
    for now in [12, 20] {
        assert_eq!(
            scaled("replicas: +2, max: 12", Some(now)),
            Err(format!(
                "`scale(workload, replicas: +2, max: 12)` has nothing left to do: it has {now} replicas"
            ))
        );
    }
    assert!(scaled("replicas: -1, min: 4", Some(3)).is_err());
    assert!(scaled("replicas: -1", Some(0)).is_err());
}

#[test]
fn the_short_rule_asks_for_what_it_says() {
    let rules = load(ISSUE);
    let rule = rules.by_title("event disk_full").unwrap();
    let mut event = alert("disk_full", &[("namespace", "shop"), ("deployment", "checkout")]);
    event.origin = heal::language::ast::Origin::Event;
    let known = Known { answers: &[yes()], past: &Past::default(), replicas: None, now: now() };
    insta::assert_snapshot!(rule.judge(&event, known).to_string());
}
