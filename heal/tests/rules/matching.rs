//! Which rules an event concerns, and which files come into force.

use super::{alert, load};
use heal::{
    event::Event,
    language::Catalogue,
    rules::{RuleFile, Rules},
};
use proptest::{collection::vec, prelude::*, sample::select};

fn titles(rules: &Rules, event: &Event) -> Vec<String> {
    rules.concerned(event).iter().map(|rule| rule.title.clone()).collect()
}

fn plain_scan(rules: &Rules, event: &Event) -> Vec<String> {
    rules.all().iter().filter(|rule| rule.concerns(event)).map(|rule| rule.title.clone()).collect()
}

/// A rule for each filter, all on one alert.
fn rules(filters: &[&str]) -> Rules {
    let rules = filters.iter().enumerate().map(|(place, filter)| {
        format!("rule \"{place}\" {{\n on alert \"A\" where {filter}\n when promql(\"up\") > 0\n then [ notify(\"#ops\") ]\n}}\n")
    });
    load(&rules.collect::<String>())
}

/// Whether one filter passes.
fn passes(filter: &str, labels: &[(&str, &str)]) -> bool {
    !rules(&[filter]).concerned(&alert("A", labels)).is_empty()
}

#[test]
fn labels_are_compared_as_prometheus_compares_them() {
    let labels = [("app", "checkout"), ("code", "503"), ("severity", "critical"), ("namespace", "shop")];
    for (filter, expected) in [
        ("labels.app == \"checkout\"", true),
        ("labels.app == \"check\"", false),
        ("labels.app =~ \"check\"", false),
        ("labels.app =~ \"check.*\"", true),
        ("labels.app !~ \"check\"", true),
        ("labels.team != \"x\"", true),
        ("labels.team == \"\"", true),
        ("labels.team =~ \".+\"", false),
        ("labels.code >= 500", true),
        ("labels.code == 503", true),
        ("labels.app < 5", false),
        ("labels.app > 5", false),
        ("labels.app != 5", true),
        ("labels.code in [500, \"503\"]", true),
        ("labels.code in [500, 502]", false),
        ("severity == 5 and namespace == \"shop\"", true),
        ("severity in [1, 2] or not namespace == \"shop\"", false),
        ("namespace not in [\"shop\", \"pay\"]", false),
        ("cluster == \"prod-eu\" and source == \"alertmanager\" and name == \"A\"", true),
        ("not (labels.app == \"x\" or labels.code == \"503\") or annotations.x == \"\"", true),
    ] {
        assert_eq!(passes(filter, &labels), expected, "{filter}");
    }
}

#[test]
fn rules_are_found_in_the_order_they_are_written() {
    let rules = rules(&[
        "severity > 1",
        "labels.app == \"a\"",
        "labels.app in [\"b\", \"a\"]",
        "labels.x == \"1\"",
        "labels.app =~ \"a\"",
    ]);
    assert_eq!(titles(&rules, &alert("A", &[("app", "a")])), ["0", "1", "2", "4"]);
    assert_eq!(titles(&rules, &alert("A", &[("app", "b"), ("x", "1")])), ["0", "2", "3"]);
    assert!(titles(&rules, &alert("B", &[("app", "a")])).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn the_index_finds_what_asking_every_rule_finds(
        filters in vec(filter(), 1..12),
        labels in vec((select(&["app", "team"][..]), select(&["a", "b", "c", "7"][..])), 0..3),
    ) {
        let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
        let rules = rules(&filters);
        let event = alert("A", &labels);
        prop_assert_eq!(titles(&rules, &event), plain_scan(&rules, &event));
    }
}

/// Filters that are indexed in different ways.
fn filter() -> impl Strategy<Value = String> {
    let field = select(&["labels.app", "labels.team", "labels[\"app\"]"][..]);
    let value = select(&["\"a\"", "\"b\"", "\"\""][..]);
    let leaf = prop_oneof![
        (field.clone(), value.clone()).prop_map(|(field, value)| format!("{field} == {value}")),
        (field.clone(), value.clone()).prop_map(|(field, value)| format!("{field} != {value}")),
        (field.clone(), value.clone(), value.clone())
            .prop_map(|(field, a, b)| format!("{field} in [{a}, {b}, 7]")),
        (field.clone(), value.clone(), value.clone())
            .prop_map(|(field, a, b)| format!("{field} not in [{a}, {b}]")),
        (field.clone(), value).prop_map(|(field, value)| format!("{field} in [{value}, \"c\"]")),
        field.prop_map(|field| format!("{field} =~ \"[ab]\"")),
        Just("severity >= 3".to_string()),
    ];
    (leaf.clone(), select(&[" or ", " and not "][..]), leaf.clone(), any::<bool>()).prop_map(
        |(a, joint, b, one)| {
            // A contradiction would be refused when the rules are loaded; `and not` with two equal sides is none.
            if one { a } else { format!("({a}{joint}({b}))") }
        },
    )
}

#[test]
fn one_mistake_refuses_all_files_and_is_told_with_its_place() {
    let file = |name: &str, source: &str| RuleFile { name: name.into(), source: source.into() };
    let good = "rule \"a\" {\n  on alert \"A\"\n  then [ restart(workload) ]\n}\n";
    let files = [
        file("b.heal", "\nrule \"a\" {\n  on alert \"B\"\n  then [ notify(\"#ops\") ]\n}\n"),
        file("a.heal", good),
    ];
    let refused = Rules::load(&files, &Catalogue::standard()).unwrap_err();
    insta::assert_snapshot!(refused.reports.join("\n\n"));
    let rules = Rules::load(&files[1..], &Catalogue::standard()).unwrap();
    assert!(rules.warnings[0].contains("nobody looks whether `restart` helped"));
    assert_eq!((rules.by_title("a").unwrap().place.as_str(), rules.all().len()), ("a.heal:1", 1));
}

#[test]
fn the_version_is_of_the_texts_and_not_of_the_order_they_were_read_in() {
    let file = |name: &str, event: &str| RuleFile {
        name: name.into(),
        source: format!("on alert \"{event}\" {{ then [ notify(\"#ops\") ] }}"),
    };
    let version =
        |files: &[RuleFile]| Rules::load(files, &Catalogue::standard()).unwrap().version().to_string();
    let one = version(&[file("a", "A"), file("b", "B")]);
    assert_eq!(one, version(&[file("b", "B"), file("a", "A")]));
    assert_ne!(one, version(&[file("a", "B"), file("b", "A")]));
    assert_ne!(one, version(&[file("a", "A")]));
}

#[test]
fn a_rule_says_what_must_be_looked_up_before_it_can_ask() {
    use heal::language::ast::Subject;
    let rules = load(
        "on alert \"A\" {\n then [ restart(workload), delete_pod(pod), restart(\"deploy/x\") ]\n else [ escalate(\"#ops\") ]\n}",
    );
    assert_eq!(rules.all()[0].needs(), [Subject::Workload, Subject::Pod]);
}
