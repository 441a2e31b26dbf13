//! What a file may say. Every refusal names the line and column.

use super::scene::{EXAMPLE, PEOPLE, policy};
use actions::policy::Policy;

/// The message of a refused file, with its place.
fn refused(rest: &str) -> String {
    match Policy::parse("p", &format!("{PEOPLE}\n{rest}")) {
        Ok(_) => panic!("this policy should be refused:\n{rest}"),
        Err(error) => {
            // The lines of PEOPLE are not what the tests are about.
            let line = error.line.saturating_sub(PEOPLE.matches('\n').count() + 1);
            format!("{line}:{}: {}", error.column, error.message)
        }
    }
}

#[test]
fn the_documented_example_is_a_policy() {
    let policy = Policy::parse("policy.example.toml", EXAMPLE).unwrap();
    assert_eq!(policy.people().len(), 6);
    assert_eq!(policy.version().len(), 12);
    assert_eq!(policy.contact(), Some("the platform team in #ops"));
}

#[test]
fn the_reference_shows_the_example_as_it_is() {
    let reference = include_str!("../../../docs/POLICY.md");
    assert!(
        reference.contains(EXAMPLE.trim_end()),
        "docs/POLICY.md must contain docs/policy.example.toml word for word"
    );
}

#[test]
fn the_version_is_of_the_content() {
    let one = Policy::parse("a", PEOPLE).unwrap();
    let same = Policy::parse("b", PEOPLE).unwrap();
    let other = Policy::parse("a", &format!("{PEOPLE}\n")).unwrap();
    assert_eq!(one.version(), same.version());
    assert_ne!(one.version(), other.version());
}

#[test]
fn several_identities_are_one_person() {
    let policy = policy("");
    let console = policy.who(&"console:ann".parse().unwrap()).unwrap();
    let slack = policy.who(&"slack:T1:U2".parse().unwrap()).unwrap();
    assert_eq!(console, slack);
    assert_eq!(policy.who(&"slack:T1:U9".parse().unwrap()), None);
}

#[test]
fn an_empty_file_is_a_policy_that_knows_nobody() {
    let policy = Policy::parse("p", "").unwrap();
    assert!(policy.people().is_empty());
}

#[test]
fn mistakes_are_named_with_their_place() {
    let rule = "[[rule]]\nname = \"r\"\naction = \"scale\"\ndecide = \"allow\"\n";
    let approve = "[[rule]]\nname = \"r\"\naction = \"scale\"\ndecide = \"approve\"\n";
    let cases: Vec<(&str, String)> = vec![
        ("not toml", "x = = 1".to_string()),
        ("an unknown key", format!("{rule}wehn = 'true'")),
        ("an unknown table", "[[rules]]\nname = \"r\"".to_string()),
        ("a missing key", "[[rule]]\nname = \"r\"\naction = \"scale\"".to_string()),
        ("an unknown verdict", "[[rule]]\nname = \"r\"\naction = \"scale\"\ndecide = \"aprove\"".to_string()),
        (
            "an unknown action",
            "[[rule]]\nname = \"r\"\naction = [\"scale\", \"restrat\"]\ndecide = \"allow\"".to_string(),
        ),
        ("no action", "[[rule]]\nname = \"r\"\naction = []\ndecide = \"allow\"".to_string()),
        ("two of one name", format!("{rule}when = 'true'\n{rule}")),
        ("a rule that is never reached", format!("{rule}{}", rule.replace("\"r\"", "\"s\""))),
        ("approve without from", approve.to_string()),
        ("a group nobody is in", format!("{approve}from = [\"sre\", \"laeds\"]")),
        ("too few people", format!("{approve}from = [\"leads\"]\nvotes = 2")),
        ("machines do not count", format!("{approve}from = [\"automation\"]")),
        ("no votes", format!("{approve}from = [\"leads\"]\nvotes = 0")),
        ("a bad duration", format!("{approve}from = [\"leads\"]\nwithin = \"half an hour\"")),
        ("a duration that is too long", format!("{approve}from = [\"leads\"]\nwithin = \"999999h\"")),
        ("votes for an allowing rule", format!("{rule}votes = 2")),
        ("a message for an allowing rule", format!("{rule}message = \"no\"")),
        (
            "a refusing rule that needs a reason",
            "[[rule]]\nname = \"r\"\naction = \"scale\"\ndecide = \"refuse\"\nneeds_why = true".to_string(),
        ),
        (
            "approval of a question",
            "[[rule]]\nname = \"r\"\naction = \"query\"\ndecide = \"approve\"\nfrom = [\"sre\"]".to_string(),
        ),
        ("a bad schedule", "[[freeze]]\nname = \"f\"\nfrom = \"at six\"\nlasts = \"2h\"".to_string()),
        (
            "a bad zone",
            "[[freeze]]\nname = \"f\"\nfrom = \"0 0 18 * * Fri\"\nlasts = \"2h\"\ntimezone = \"Berlin\""
                .to_string(),
        ),
        ("a cap of nothing", "[[cap]]\nname = \"c\"\neach = \"person\"".to_string()),
        (
            "a cap of two things",
            "[[cap]]\nname = \"c\"\neach = \"person\"\nper_hour = 1\nat_once = 1".to_string(),
        ),
    ];
    let said = cases.iter().map(|(what, text)| format!("{what}\n    {}", refused(text))).collect::<Vec<_>>();
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn mistakes_about_people_are_named_with_their_place() {
    let cases = [
        (
            "an identity of two people",
            "[[person]]\nname = \"a\"\nidentities = [\"console:a\"]\n[[person]]\nname = \"b\"\nidentities = [\"console:b\", \"console:a\"]",
        ),
        (
            "a name of two people",
            "[[person]]\nname = \"a\"\nidentities = [\"console:a\"]\n[[machine]]\nname = \"a\"\nidentities = [\"api:a\"]",
        ),
        ("no identity", "[[person]]\nname = \"a\"\nidentities = []"),
        ("not an identity", "[[person]]\nname = \"a\"\nidentities = [\"ann\"]"),
        ("an unknown platform", "[[person]]\nname = \"a\"\nidentities = [\"slak:T1:U2\"]"),
        ("a machine's identity", "[[person]]\nname = \"a\"\nidentities = [\"alert:HighCPU\"]"),
        ("a person's identity", "[[machine]]\nname = \"a\"\nidentities = [\"slack:T1:U2\"]"),
        ("a name with blanks", "[[person]]\nname = \"ann b\"\nidentities = [\"console:a\"]"),
    ];
    let said = cases.iter().map(|(what, text)| {
        let error = Policy::parse("p", text).err().unwrap_or_else(|| panic!("{what} should be refused"));
        format!("{what}\n    {}:{}: {}", error.line, error.column, error.message)
    });
    insta::assert_snapshot!(said.collect::<Vec<_>>().join("\n"));
}

#[test]
fn conditions_that_could_never_work_are_refused_where_they_are_wrong() {
    let conditions = [
        "plan.risk ==",
        "plan.risk = 'high'",
        "cluster.labels.production == true",
        "plan.pods > '3'",
        "plan.pods",
        "'high'",
        "clustr.name == 'x'",
        "plan.rsik == 'high'",
        "plan.risk == 'hihg'",
        "plan.risk in ['low', 'middle']",
        "time.weekday == 'Friday'",
        "'sra' in actor.groups",
        "actor.person == 'anne'",
        "action == 'scael'",
        "action.name == 'scale'",
        "plan.pods == 1 && (plan.of < 3 || target.name.startswith('x'))",
        "false && plan.pods.size() > 1",
        "has(cluster.labels.production)",
        "actor.groups.exists(g, actor.groups.exists(h, h == g))",
        "actor.groups.exists(g, grp == 'x')",
        "{'a': 1}.a == 1",
        "timestamp('2026-01-01T00:00:00Z') == timestamp('2026-01-01T00:00:00Z')",
        "target.name.matches('(')",
        "1 + 1",
        "",
    ];
    let said = conditions.map(|condition| {
        let text =
            format!("[[rule]]\nname = \"r\"\naction = \"*\"\ndecide = \"allow\"\nwhen = '''{condition}'''");
        format!("{condition}\n    {}", refused(&text))
    });
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn a_condition_about_what_a_question_has_not_is_refused() {
    for condition in ["plan.pods > 1", "params.replicas > 1", "target.name == 'x'", "actor.kind == 'api'"] {
        let text = format!(
            "[[rule]]\nname = \"r\"\naction = \"query\"\ndecide = \"refuse\"\nwhen = '''{condition}'''"
        );
        assert!(refused(&text).contains("a question has no"), "{condition}");
    }
}

#[test]
fn conditions_that_make_sense_are_taken() {
    for condition in [
        "true",
        "params.replicas > 10",
        "has(params.images) && params.images.all(c, params.images[c].startsWith('registry.example/'))",
        "'sre' in actor.groups || actor.person == 'eve'",
        "actor.groups.exists(g, g.startsWith('on'))",
        "plan.budgets.size() > 0 && plan.percent >= 50",
        "size(plan.budgets) == 0 && plan.pods * 2 > plan.of",
        "cluster.labels['region'] == 'eu' && 'production' in cluster.labels",
        "time.weekday in ['Sat', 'Sun'] || time.hour < 7 || time.date == '2026-12-24'",
        "target.namespace.matches('^(kube-|istio-)') ? plan.risk == 'low' : true",
        "action in ['restart', 'rollback'] && !target.busy",
        "int(params.replicas) > 3 && string(plan.pods) != '0'",
    ] {
        let text = format!(
            "{PEOPLE}\n[[rule]]\nname = \"r\"\naction = \"*\"\ndecide = \"allow\"\nwhen = '''{condition}'''"
        );
        if let Err(error) = Policy::parse("p", &text) {
            panic!("{condition}: {error}");
        }
    }
}

#[test]
fn hostile_conditions_are_refused_and_exhaust_nothing() {
    let deep =
        |open: &str, close: &str, times: usize| format!("{}true{}", open.repeat(times), close.repeat(times));
    for condition in [
        deep("(", ")", 900),
        deep("!(", ")", 600),
        deep("[", "]", 900),
        deep("-", "", 1_899),
        format!("true{}", "+1".repeat(900)),
        format!("a{}", ".a".repeat(900)),
        format!("true{}", " ? true : true".repeat(120)),
        "(".repeat(1_999),
        "x".repeat(100_000),
        "\u{0}\u{1}\u{7f}\u{202e}é".to_string(),
    ] {
        let quoted = serde_json::to_string(&condition).unwrap().replace('\u{7f}', "\\u007f");
        let text = format!("[[rule]]\nname = \"r\"\naction = \"*\"\ndecide = \"allow\"\nwhen = {quoted}");
        let refusal = refused(&text);
        assert!(refusal.len() < 400, "{refusal}");
        assert!(!refusal.contains("report this as a bug"), "{refusal}");
    }
}
