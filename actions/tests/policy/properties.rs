//! What holds for every policy and every ask.

use super::scene::{EXAMPLE, PEOPLE, Scene, permits};
use actions::policy::Policy;
use ledger::{Activity, Decision, RequestId, Risk};
use proptest::prelude::*;
use serde_json::{Value, json};

const CONDITIONS: &[&str] = &[
    "true",
    "cluster.labels.production == \"true\"",
    "plan.risk == \"high\"",
    "\"sre\" in actor.groups",
    "params.replicas > 5",
    "target.busy",
    "target.namespace.startsWith(\"kube\")",
    "time.hour < 12",
    "plan.percent > 50 || action == \"scale\"",
];
const ACTIONS: &[&str] = &["restart", "scale", "set-image", "break-glass"];

/// One rule as TOML; `name` makes it unique.
fn rule(name: usize, (action, when, decide): (usize, usize, usize)) -> String {
    let decide =
        ["decide = \"allow\"", "decide = \"refuse\"", "decide = \"approve\"\nfrom = [\"sre\", \"leads\"]"]
            [decide];
    format!(
        "[[rule]]\nname = \"r{name}\"\naction = \"{}\"\nwhen = '{}'\n{decide}\n",
        ACTIONS[action], CONDITIONS[when]
    )
}

fn rules() -> impl Strategy<Value = Vec<(usize, usize, usize)>> {
    prop::collection::vec((0..ACTIONS.len(), 0..CONDITIONS.len(), 0..3usize), 0..6)
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("replicas|image|.{0,5}", inner, 0..4)
                .prop_map(|fields| json!(fields)),
        ]
    })
}

prop_compose! {
    /// Any ask: the texts are arbitrary, the rest is anything that planning can give.
    fn scene()(
        actor in prop::sample::select(vec!["console:ann", "slack:T1:U2", "console:eve", "api:ci", "console:mallory"]),
        action in prop_oneof![prop::sample::select(vec!["restart", "scale", "set-image", "pause"]).prop_map(String::from), ".{0,12}"],
        texts in prop::array::uniform6(".{0,20}"),
        namespace in prop::option::of(prop_oneof![Just("kube-system".to_string()), ".{0,20}".prop_map(String::from)]),
        parameters in prop_oneof![json_value(), (0..20i64).prop_map(|count| json!({ "replicas": count }))],
        numbers in prop::array::uniform8(any::<u32>()),
        risk in prop::sample::select(vec![Risk::Low, Risk::Medium, Risk::High]),
        flags in prop::array::uniform4(any::<bool>()),
        why in prop::option::of(".{0,20}"),
        seconds in -10_000_000_000i64..10_000_000_000,
        budgets in prop::collection::vec(".{0,10}", 0..3),
    ) -> Scene {
        let mut scene = Scene::new(actor, &action);
        if flags[0] {
            scene = scene.production();
        }
        let [line, cluster, kind, name, summary, label] = texts;
        scene.ask.line = line;
        if flags[3] {
            scene.plan.target.cluster = cluster;
        }
        scene.plan.target.kind = kind;
        scene.plan.target.name = name;
        scene.plan.target.namespace = namespace;
        scene.plan.summary = summary;
        scene.labels.insert(label.clone(), label);
        scene.plan.parameters = parameters;
        scene.plan.blast.pods = numbers[0];
        scene.plan.blast.of = numbers[1];
        scene.plan.blast.budgets = budgets;
        scene.plan.risk = risk;
        scene.ask.break_glass = flags[1];
        scene.ask.why = why;
        scene.activity = Activity {
            person_last_hour: numbers[2] % 50,
            action_last_hour: numbers[3] % 50,
            cluster_last_hour: numbers[4] % 50,
            person_running: numbers[5] % 10,
            action_running: numbers[6] % 10,
            cluster_running: numbers[7] % 10,
            target_busy: flags[2].then(RequestId::new),
        };
        scene.now = jiff::Timestamp::from_second(seconds).unwrap();
        scene
    }
}

fn compile(rules: &[(usize, usize, usize)], rest: &str) -> Policy {
    let rules = rules.iter().enumerate().map(|(name, parts)| rule(name, *parts)).collect::<String>();
    Policy::parse("p", &format!("{PEOPLE}\n{rest}\n{rules}")).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn adding_a_refusing_rule_at_the_top_never_makes_anything_more_allowed(
        rules in rules(), action in 0..ACTIONS.len(), when in 0..CONDITIONS.len(), scene in scene(),
    ) {
        let before = scene.explained(&compile(&rules, ""));
        let refusing = format!("[[rule]]\nname = \"top\"\naction = \"{}\"\nwhen = '{}'\ndecide = \"refuse\"", ACTIONS[action], CONDITIONS[when]);
        let after = scene.explained(&compile(&rules, &refusing));
        prop_assert!(permits(&after.decision) <= permits(&before.decision), "{:?}\n{:?}", before, after);
    }

    #[test]
    fn a_freeze_without_exceptions_leaves_nothing_allowed(rules in rules(), scene in scene()) {
        // Cron knows the years 1970 to 2100.
        let year = scene.now.to_zoned(jiff::tz::TimeZone::UTC).year();
        prop_assume!((1971..=2099).contains(&year));
        let freeze = "[[freeze]]\nname = \"f\"\nfrom = \"0 0 0 * * *\"\nlasts = \"24h\"\n";
        let decision = scene.explained(&compile(&rules, freeze)).decision;
        prop_assert!(matches!(decision, Decision::Refuse { .. }), "{decision:?}");
    }

    #[test]
    fn a_freeze_a_cap_or_an_error_never_makes_anything_more_allowed(rules in rules(), scene in scene(), when in 0..CONDITIONS.len()) {
        let before = scene.explained(&compile(&rules, ""));
        for rest in [
            format!("[[freeze]]\nname = \"f\"\nfrom = \"0 0 6 * * *\"\nlasts = \"12h\"\nwhen = '{}'\n", CONDITIONS[when]),
            format!("[[cap]]\nname = \"c\"\neach = \"person\"\nper_hour = 25\nwhen = '{}'\n", CONDITIONS[when]),
        ] {
            let after = scene.explained(&compile(&rules, &rest));
            prop_assert!(permits(&after.decision) <= permits(&before.decision), "{:?}\n{:?}", before, after);
        }
    }

    #[test]
    fn breaking_the_glass_without_a_reason_is_always_refused(rules in rules(), mut scene in scene(), blank in "[ \t\n]{0,4}") {
        scene.ask.break_glass = true;
        scene.ask.why = Some(blank);
        let decision = scene.explained(&compile(&rules, "")).decision;
        prop_assert!(matches!(decision, Decision::Refuse { .. }), "{decision:?}");
    }

    #[test]
    fn nobody_is_needed_who_could_not_vote(rules in rules(), scene in scene()) {
        let policy = compile(&rules, "");
        if let Decision::Needs { quorum, .. } = scene.explained(&policy).decision {
            let asker = policy.who(&scene.actor).map(|who| who.person);
            let voters = policy.people().into_iter().filter(|(person, identities, _)| {
                let who = policy.who(&identities[0]).unwrap();
                Some(person) != asker.as_ref() && policy.may_vote(&who, &quorum).is_ok()
            });
            prop_assert!(voters.count() >= quorum.votes as usize);
        }
    }

    #[test]
    fn the_example_decides_every_ask_the_same_way_twice(scene in scene()) {
        let policy = Policy::parse("p", EXAMPLE).unwrap();
        prop_assert_eq!(scene.explained(&policy), scene.explained(&policy));
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        well_refused(&String::from_utf8_lossy(&bytes))?;
    }

    #[test]
    fn no_damage_to_a_good_file_makes_the_reader_panic(
        at in 0..EXAMPLE.len(), length in 0..60usize, insert in prop_oneof![
            ".{0,10}", "[\\[\\]\"'=.(){}\n]{0,6}", prop::sample::select(vec!["\"", "'''", "0", "99999999999999999999", "-1", "* ", "/0", "true", "\u{0}", "[[rule]]"]).prop_map(String::from),
        ],
    ) {
        let cut = |mut at: usize| { while !EXAMPLE.is_char_boundary(at) { at -= 1; } at };
        let (start, end) = (cut(at), cut((at + length).min(EXAMPLE.len())));
        well_refused(&format!("{}{insert}{}", &EXAMPLE[..start], &EXAMPLE[end..]))?;
    }

    #[test]
    fn no_schedule_makes_the_reader_panic_or_wait(schedule in "[0-9*/,?LW# \\-MonFri]{0,30}") {
        let quoted = serde_json::to_string(&schedule).unwrap();
        well_refused(&format!("[[freeze]]\nname = \"f\"\nfrom = {quoted}\nlasts = \"2h\""))?;
    }

    #[test]
    fn no_condition_makes_the_reader_panic(condition in "(plan\\.risk|params|'a'|1|[a-z]{1,3}| |==|&&|\\(|\\)|\\.|\\[|\\]|[!<>+*/?:,%\"{}-]|in|size|é){0,30}") {
        let quoted = serde_json::to_string(&condition).unwrap();
        well_refused(&format!("[[rule]]\nname = \"r\"\naction = \"*\"\ndecide = \"refuse\"\nwhen = {quoted}"))?;
    }
}

/// Either a policy, or refused at a place that is in the file, for a reason; never because the reader fell over.
fn well_refused(text: &str) -> Result<(), TestCaseError> {
    if let Err(error) = Policy::parse("p", text) {
        prop_assert!(!error.message.contains("report this as a bug"), "{text:?}: {error}");
        prop_assert!(error.line >= 1 && error.line <= text.matches('\n').count() + 1, "{error}");
        let line = text.split('\n').nth(error.line - 1).unwrap_or_default();
        prop_assert!(error.column >= 1 && error.column <= line.chars().count() + 1, "{error} in {line:?}");
    }
    Ok(())
}
