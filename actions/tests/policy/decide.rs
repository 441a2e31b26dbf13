//! What a policy decides.

use super::scene::{EXAMPLE, Scene, policy};
use actions::policy::{Policy, Who};
use ledger::{Activity, Decision, Person, Quorum, Refusal, RequestId, Risk};
use serde_json::json;
use std::collections::BTreeMap;

fn example() -> Policy {
    Policy::parse("policy.example.toml", EXAMPLE).unwrap()
}

#[test]
fn the_example_decides_as_its_rule_names_say() {
    let policy = example();
    let busy = Activity { target_busy: Some(RequestId::new()), ..Activity::default() };
    let friday_night = "2026-11-20T20:00:00Z";
    let cases = [
        (Scene::new("console:joe", "restart"), "allow by anything goes elsewhere"),
        (
            Scene::new("console:joe", "restart").production(),
            "1 of sre/leads by one more pair of eyes for the rest of production",
        ),
        (Scene::new("console:joe", "restart").activity(busy), "refuse by one thing at a time per workload"),
        (
            Scene::new("console:ann", "scale").production().risk(Risk::Low).params(json!({ "replicas": 6 })),
            "allow by on call may add replicas in production",
        ),
        (
            Scene::new("console:joe", "scale").production().risk(Risk::Low).params(json!({ "replicas": 6 })),
            "1 of sre/leads by one more pair of eyes for the rest of production",
        ),
        (
            Scene::new("console:ann", "scale").production().risk(Risk::High).params(json!({ "replicas": 0 })),
            "refuse by nobody scales production to zero",
        ),
        (
            Scene::new("console:ann", "scale").risk(Risk::High).params(json!({ "replicas": 0 })),
            "allow by anything goes elsewhere",
        ),
        (
            Scene::new("console:ann", "set-image").production().risk(Risk::High),
            "refuse by two people for what can hurt production",
        ),
        (
            Scene::new("console:ann", "set-image").production().risk(Risk::High).why("fix"),
            "2 of sre/leads by two people for what can hurt production",
        ),
        (
            Scene::new("api:pipeline", "set-image").risk(Risk::High),
            "allow by the pipeline sets images outside production",
        ),
        (Scene::new("api:pipeline", "set-image").production(), "refuse by machines do nothing else"),
        (Scene::new("console:ann", "restart").production().at(friday_night), "refuse by freeze weekend"),
        (Scene::new("console:ann", "restart").at(friday_night), "allow by anything goes elsewhere"),
        (Scene::new("console:ann", "restart").production().break_glass(), "refuse by break-glass"),
        (Scene::new("console:ann", "restart").production().break_glass().why("  "), "refuse by break-glass"),
        (
            Scene::new("console:ann", "restart").production().break_glass().why("outage").at(friday_night),
            "allow by on call may break the glass",
        ),
        (Scene::new("console:joe", "restart").break_glass().why("outage"), "refuse by default"),
        (
            Scene::new("console:ann", "scale")
                .production()
                .params(json!({ "replicas": 9 }))
                .at("2026-12-24T12:00:00Z"),
            "1 of sre/leads by one more pair of eyes for the rest of production",
        ),
        (
            Scene::new("console:ann", "restart").production().at("2026-12-24T12:00:00Z"),
            "refuse by freeze year's end 2026",
        ),
    ];
    for (scene, expected) in cases {
        let explained = scene.explained(&policy);
        assert_eq!(scene.short(&policy), expected, "{} {:#?}", scene.ask.line, explained);
    }
}

#[test]
fn an_explanation_shows_every_freeze_cap_and_rule_that_was_looked_at() {
    let scene = Scene::new("console:joe", "restart").production();
    insta::assert_debug_snapshot!(scene.explained(&example()));
}

#[test]
fn without_a_matching_rule_the_answer_is_no_and_says_what_to_add() {
    let explained = Scene::new("console:ann", "restart").explained(&policy(""));
    let Decision::Refuse { rule, reason } = explained.decision else { panic!("{explained:?}") };
    assert_eq!(rule, actions::policy::DEFAULT_RULE);
    assert!(reason.contains("action = \"restart\""), "{reason}");
}

#[test]
fn ordinary_rules_do_not_apply_to_broken_glass_nor_the_other_way_round() {
    let rules = r#"
        [[rule]]
        name = "all"
        action = "*"
        decide = "allow"
    "#;
    assert_eq!(
        Scene::new("console:ann", "restart").break_glass().why("x").short(&policy(rules)),
        "refuse by default"
    );
    let rules = rules.replace('*', "break-glass");
    assert_eq!(Scene::new("console:ann", "restart").short(&policy(&rules)), "refuse by default");
    assert_eq!(
        Scene::new("console:ann", "restart").break_glass().why("x").short(&policy(&rules)),
        "allow by all"
    );
}

#[test]
fn a_condition_that_cannot_be_evaluated_counts_against_the_ask() {
    let rules = |decide: &str| {
        format!(
            "[[rule]]\nname = \"first\"\naction = \"*\"\ndecide = \"{decide}\"\nwhen = 'params.replicas > 3'\n\
             [[rule]]\nname = \"last\"\naction = \"*\"\ndecide = \"allow\""
        )
    };
    // No such parameter, and one of another type.
    for parameters in [json!({}), json!({ "replicas": "many" })] {
        let scene = Scene::new("console:ann", "scale").params(parameters);
        assert_eq!(scene.short(&policy(&rules("refuse"))), "refuse by first");
        assert_eq!(scene.short(&policy(&rules("allow"))), "allow by last");
        assert!(scene.explained(&policy(&rules("refuse"))).trace[0].contains("cannot be evaluated"));
        assert!(scene.explained(&policy(&rules("allow"))).trace[0].contains("cannot be evaluated"));
    }
    for rest in [
        "[[freeze]]\nname = \"f\"\nfrom = \"0 * * * * *\"\nlasts = \"2m\"\nwhen = 'params.replicas > 3'",
        "[[cap]]\nname = \"f\"\neach = \"person\"\nper_hour = 0\nwhen = 'params.replicas > 3'",
    ] {
        let scene = Scene::new("console:ann", "restart");
        let policy =
            policy(&format!("{rest}\n[[rule]]\nname = \"last\"\naction = \"*\"\ndecide = \"allow\""));
        assert!(scene.short(&policy).starts_with("refuse by"), "{rest}");
    }
}

#[test]
fn a_condition_that_is_not_true_or_false_when_asked_counts_against_the_ask() {
    let policy = policy("[[rule]]\nname = \"odd\"\naction = \"*\"\ndecide = \"allow\"\nwhen = 'params.flag'");
    assert_eq!(
        Scene::new("console:ann", "scale").params(json!({ "flag": "yes" })).short(&policy),
        "refuse by default"
    );
    assert_eq!(
        Scene::new("console:ann", "scale").params(json!({ "flag": true })).short(&policy),
        "allow by odd"
    );
}

#[test]
fn caps_count_by_person_action_and_cluster_in_an_hour_and_at_once() {
    let one = |field: &str| {
        let mut activity = Activity::default();
        let count = match field {
            "person hour" => &mut activity.person_last_hour,
            "action hour" => &mut activity.action_last_hour,
            "cluster hour" => &mut activity.cluster_last_hour,
            "person once" => &mut activity.person_running,
            "action once" => &mut activity.action_running,
            _ => &mut activity.cluster_running,
        };
        *count = 2;
        activity
    };
    for each in ["person", "action", "cluster"] {
        for (key, span) in [("per_hour", "hour"), ("at_once", "once")] {
            let policy = policy(&format!(
                "[[cap]]\nname = \"c\"\neach = \"{each}\"\n{key} = 2\n[[rule]]\nname = \"all\"\naction = \"*\"\ndecide = \"allow\""
            ));
            for field in
                ["person hour", "action hour", "cluster hour", "person once", "action once", "cluster once"]
            {
                let expected =
                    if field == format!("{each} {span}") { "refuse by cap c" } else { "allow by all" };
                assert_eq!(
                    Scene::new("console:ann", "restart").activity(one(field)).short(&policy),
                    expected,
                    "{each} {key} {field}"
                );
            }
        }
    }
}

#[test]
fn an_approval_that_nobody_else_could_give_is_refused_at_once() {
    let rule = |votes: u32| {
        format!(
            "[[rule]]\nname = \"r\"\naction = \"*\"\ndecide = \"approve\"\nvotes = {votes}\nfrom = [\"sre\"]"
        )
    };
    assert_eq!(Scene::new("console:eve", "restart").short(&policy(&rule(2))), "2 of sre by r");
    assert_eq!(Scene::new("console:ann", "restart").short(&policy(&rule(2))), "refuse by r");
    assert_eq!(Scene::new("console:ann", "restart").short(&policy(&rule(1))), "1 of sre by r");
}

#[test]
fn only_people_in_the_groups_may_vote() {
    let policy = policy("");
    let quorum = Quorum { votes: 1, groups: vec!["sre".to_string()], within_s: 60, type_cluster: false };
    let may = |actor: &str| policy.may_vote(&policy.who(&actor.parse().unwrap()).unwrap(), &quorum);
    assert_eq!(may("console:ann"), Ok(()));
    assert_eq!(may("console:eve"), Err(Refusal::NotEntitled { groups: vec!["sre".to_string()] }));
    // In the group, but a machine.
    assert!(may("api:ci").is_err());
    // Groups that somebody claims to have do not count: the policy file says who is in them.
    let stranger = Who { person: Person("mallory".to_string()), groups: vec!["sre".to_string()] };
    assert!(policy.may_vote(&stranger, &quorum).is_err());
}

#[test]
fn questions_are_free_for_known_people_unless_a_rule_refuses() {
    let policy = example();
    let production = BTreeMap::from([("production".to_string(), "true".to_string())]);
    let may = |actor: &str, query: &str, labels: &BTreeMap<String, String>| {
        let who = policy.who(&actor.parse().unwrap()).unwrap();
        policy.may_query(&who, query, "prod-eu", labels, "2026-11-20T20:00:00Z".parse().unwrap())
    };
    assert_eq!(may("console:ann", "logs", &production), Ok(()));
    assert_eq!(may("console:joe", "get", &production), Ok(()));
    assert_eq!(may("console:joe", "logs", &BTreeMap::new()), Ok(()));
    let refusal = may("console:joe", "logs", &production).unwrap_err();
    assert_eq!(refusal.to_string(), "Production logs may hold customer data; ask someone on call.");
}

#[test]
fn time_is_local_time() {
    let policy = policy(
        "[[rule]]\nname = \"office hours\"\naction = \"*\"\ndecide = \"allow\"\n\
         when = 'time.hour >= 9 && time.hour < 17 && !(time.weekday in [\"Sat\", \"Sun\"])'",
    );
    for (at, expected) in [
        ("2026-11-18T08:59:59Z", "refuse by default"),
        ("2026-11-18T09:00:00Z", "allow by office hours"),
        ("2026-11-21T12:00:00Z", "refuse by default"),
    ] {
        assert_eq!(Scene::new("console:ann", "restart").at(at).short(&policy), expected, "{at}");
    }
}

#[test]
fn a_decision_takes_microseconds() {
    let policy = example();
    let scene = Scene::new("console:joe", "restart").production();
    let start = std::time::Instant::now();
    for _ in 0..1_000 {
        std::hint::black_box(scene.explained(&policy));
    }
    let each = start.elapsed() / 1_000;
    // Generous: an unoptimised build on a busy machine. It is about 20 µs in a release build.
    assert!(each < std::time::Duration::from_millis(2), "{each:?}");
    println!("one decision: {each:?}");
}

#[test]
fn images_can_be_held_to_a_registry() {
    let policy = policy(
        "[[rule]]\nname = \"ours\"\naction = \"set-image\"\ndecide = \"allow\"\n\
         when = 'params.images.all(c, params.images[c].startsWith(\"registry.example/\"))'",
    );
    let images =
        |images| Scene::new("console:ann", "set-image").params(json!({ "images": images })).short(&policy);
    assert_eq!(images(json!({ "app": "registry.example/app:1" })), "allow by ours");
    assert_eq!(
        images(json!({ "app": "registry.example/app:1", "side": "elsewhere/x:1" })),
        "refuse by default"
    );
}

#[test]
fn the_deepest_condition_that_is_taken_needs_no_more_than_an_ordinary_stack() {
    let nested = |times: usize| {
        (0..times).fold("target.busy".to_string(), |inner, _| format!("(plan.pods > 0 ? !{inner} : false)"))
    };
    let rule = |times: usize| {
        format!("[[rule]]\nname = \"deep\"\naction = \"*\"\ndecide = \"allow\"\nwhen = '{}'", nested(times))
    };
    let deepest = (1..60).rev().find(|times| Policy::parse("p", &rule(*times)).is_ok()).unwrap();
    assert!((10..59).contains(&deepest), "there is a limit, and it is no hindrance: {deepest}");
    let policy = policy(&rule(deepest));
    let expected = if deepest % 2 == 1 { "allow by deep" } else { "refuse by default" };
    assert_eq!(Scene::new("console:ann", "restart").short(&policy), expected);
}
