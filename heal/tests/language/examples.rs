//! Files that people would write: they parse, are in canonical form, and say what they seem to say.

use super::{parsed, problems};
use heal::language::{
    Catalogue, Level,
    ast::{Check, Condition, Expression, Given, Origin, Scope, Step, Value},
    format,
};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

const EXAMPLES: [(&str, &str); 3] = [
    ("issue.heal", include_str!("../../examples/issue.heal")),
    ("ladder.heal", include_str!("../../examples/ladder.heal")),
    ("nodes.heal", include_str!("../../examples/nodes.heal")),
];

#[test]
fn every_example_is_free_of_errors_and_in_canonical_form() {
    for (name, source) in EXAMPLES {
        for problem in problems(source) {
            assert_eq!(problem.level, Level::Warning, "{}", problem.render(name, source, false));
        }
        assert_eq!(format(&parsed(source)), source, "{name}");
    }
}

#[test]
fn every_file_among_the_examples_is_tested() {
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples")).unwrap();
    let mut found: Vec<String> =
        folder.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    found.sort();
    assert_eq!(found, EXAMPLES.map(|(name, _)| name));
}

#[test]
fn the_long_example_says_what_it_seems_to_say() {
    let file = parsed(EXAMPLES[0].1);
    let rule = &file.rules[0].value;
    assert_eq!(rule.title(), "checkout crash loop");
    let on = &rule.on.value;
    assert_eq!((on.origin.value, on.name.value.as_str()), (Origin::Alert, "KubePodCrashLooping"));
    let Some(Expression::And(parts)) = &on.filter else { panic!("{:?}", on.filter) };
    assert_eq!(parts.len(), 2);
    let Expression::Compare { attribute, operator, value } = &parts[0] else { panic!("{parts:?}") };
    assert_eq!(
        (
            attribute.name.value.as_str(),
            attribute.key.as_ref().unwrap().value.as_str(),
            operator.value.word()
        ),
        ("labels", "namespace", "==")
    );
    assert_eq!(value.value, Value::Text("shop".into()));
    let Condition::Promql { query, bound, lasting: None, .. } = &rule.when[0].value else { panic!() };
    assert_eq!(query.value, "sum(rate(http_requests_total{code=~'5..'}[5m]))");
    assert_eq!(bound.value, 0.05);
    assert_eq!(rule.unless.as_ref().unwrap().value.value, 30 * MINUTE);
    let limit = &rule.limits[0].value;
    assert_eq!((limit.count.value, limit.per.value, limit.scope.value), (3, 60 * MINUTE, Scope::Workload));
    let [restart, wait, scale] = rule.then.value.items.as_slice() else { panic!() };
    assert!(matches!(&restart.value, Step::Action(call) if call.action.value == "restart"));
    assert!(matches!(&wait.value, Step::Wait(wait) if wait.value == 2 * MINUTE));
    let Step::Action(scale) = &scale.value else { panic!() };
    let given: Vec<_> = scale
        .arguments
        .iter()
        .map(|argument| {
            (argument.name.as_ref().map(|name| name.value.as_str()), argument.value.value.clone())
        })
        .collect();
    assert_eq!(given[1..], [(Some("replicas"), Given::Change(2.0)), (Some("max"), Given::Number(12.0))]);
    let verify = &rule.verify.as_ref().unwrap().value;
    assert_eq!(verify.within.value, 5 * MINUTE);
    assert!(matches!(verify.checks.items[0].value, Check::AlertResolved(_)));
    assert!(matches!(verify.checks.items[1].value, Check::RolloutHealthy(_)));
    let Check::Holds(last) = &verify.checks.items[2].value else { panic!() };
    assert!(matches!(**last, Condition::Promql { .. }));
    assert_eq!(rule.otherwise.as_ref().unwrap().value.items.len(), 2);
}

#[test]
fn the_short_example_is_a_rule_called_after_its_event() {
    let file = parsed(EXAMPLES[0].1);
    let rule = &file.rules[1].value;
    assert_eq!((rule.title().as_str(), &rule.name), ("event disk_full", &None));
    let Condition::Exec { pod: None, command, pattern, operator, value } = &rule.when[0].value else {
        panic!()
    };
    assert_eq!(
        (command.value.as_str(), pattern.value.as_str(), operator.value.word()),
        ("df -h /data", "Use%: ([0-9]+)%", ">")
    );
    assert_eq!(value.value, Value::Number(95.0));
    assert_eq!(rule.then.value.items.len(), 2);
}

#[test]
fn formatting_tidies_and_keeps_every_comment() {
    let untidy = "\u{feff}# about the file\r\n\r\n\r\n//about the rule\r\non alert   \"A\"  where (severity>=3) and((name==\"A\")) { # inside\r\nlimit 1 # one\n per 90m per rule\n\nthen[restart( workload , ) // gently\n, wait 60s, # breathe\n # last\n]  else []# nothing\n# end of rule\n} # behind\n\n# end of file\n\n";
    insta::assert_snapshot!(format(&parsed(untidy)));
}

const REFERENCE: &str = include_str!("../../../docs/HEALING.md");

#[test]
fn every_rule_in_the_reference_is_free_of_errors_and_in_canonical_form() {
    // Blocks that name no language.
    let blocks = REFERENCE.split("\n```").skip(1).step_by(2).filter_map(|block| block.strip_prefix('\n'));
    let rules: Vec<String> =
        blocks.filter(|block| block.contains(" {\n")).map(|block| format!("{block}\n")).collect();
    assert_eq!(rules.len(), 3);
    for source in &rules {
        assert!(problems(source).iter().all(|problem| problem.level == Level::Warning), "{source}");
        assert_eq!(&format(&parsed(source)), source);
    }
}

#[test]
fn every_action_of_the_catalogue_stands_in_the_reference() {
    for shape in Catalogue::standard().shapes() {
        let row = REFERENCE
            .lines()
            .find(|line| line.starts_with("| `") && line.contains(&format!("`{}(", shape.name)));
        let row = row.unwrap_or_else(|| panic!("{} is not in docs/HEALING.md", shape.name));
        let risk = format!("{:?} |", shape.risk).to_lowercase();
        assert!(row.ends_with(&risk), "{row}");
        let unknown =
            shape.parameters.iter().find(|parameter| !parameter.by_place && !row.contains(&parameter.name));
        assert_eq!(unknown, None, "{row}");
    }
}
