//! Mistakes as people see them.

use super::{problems, report};

/// One mistake, one picture.
macro_rules! shows {
    ($($name:ident: $source:expr;)+) => {$(
        #[test]
        fn $name() {
            insta::assert_snapshot!(report($source));
        }
    )+};
}

shows! {
    a_mistyped_clause: "rule \"a\" {\n  on alert \"A\"\n  thne [ notify(\"#ops\") ]\n}\n";
    a_mistyped_action: "on alert \"A\" {\n  then [ restrat(workload), wait 2m ]\n}\n";
    a_mistyped_parameter: "on alert \"A\" {\n  then [ scale(workload, replcas: +1, max: 3) ]\n  verify within 5m { rollout healthy }\n}\n";
    a_mistyped_attribute: "on alert \"A\" where serverity > 3 and namespace == \"shop\" and team == \"x\" {\n  then [ notify(\"#ops\") ]\n}\n";
    a_text_without_end: "on alert \"Größe {\n  then [ notify(\"#ops\") ]\n}\n";
    a_backslash_of_a_regular_expression: "on event \"x\" {\n  exec \"df\" -> parse(\"(\\d+)%\") > 95\n  then [ notify(\"#ops\") ]\n}\n";
    a_wrong_regular_expression: "on event \"x\" {\n  exec \"df\" -> parse(\"([0-9]+%\") > 95\n  then [ notify(\"#ops\") ]\n}\n";
    a_wrong_query: "on alert \"x\" {\n  promql(\"sum(rate(x[5m])\") > 1\n  then [ notify(\"#ops\") ]\n}\n";
    a_duration_without_unit: "on alert \"x\" {\n  unless healed within 30\n  then [ notify(\"#ops\"), wait 1h30 ]\n}\n";
    a_bracket_that_is_not_closed: "rule \"a\" {\n  on alert \"A\"\n  then [\n    notify(\"#ops\"\n  ]\n  verify within 5m { alert resolved }\n}\n";
    a_list_that_is_not_closed: "rule \"a\" {\n  on alert \"A\"\n  then [\n    notify(\"#ops\"),\n  verify within 5m { alert resolved }\n}\n";
    a_rule_that_is_not_closed: "rule \"a\" {\n  on alert \"A\"\n  then [ notify(\"#ops\") ]\n\nrule \"b\" {\n  on alert \"B\"\n  then [ notify(\"#ops\") ]\n}\n";
    a_comma_that_was_forgotten: "on alert \"A\" {\n  then [\n    notify(\"#ops\")\n    wait 2m,\n    escalate(\"#oncall\")\n  ]\n}\n";
    a_rule_without_steps: "rule \"a\" {\n  on alert \"A\"\n}\nrule \"b\" {\n  then []\n}\n";
    a_risky_step_that_nobody_verifies: "on alert \"A\" {\n  then [ restart(workload), rollback(workload) ]\n}\n";
    two_rules_of_one_name: "rule \"a\" {\n  on alert \"A\"\n  then [ notify(\"#ops\") ]\n}\nrule \"a\" {\n  on alert \"B\"\n  then [ notify(\"#ops\") ]\n}\n";
    a_rule_that_is_never_reached: "on alert \"A\" where severity > 1 {\n  then [ notify(\"#ops\") ]\n}\nrule \"b\" {\n  on alert \"A\" where labels.app == \"x\" and severity > 1\n  then [ notify(\"#ops\") ]\n}\n";
    what_can_never_be_true: "on alert \"A\" where severity > 5 or cluster == \"a\" and cluster == \"b\" or severity >= 4 and severity < 3 {\n  limit 0 per 0s per rule\n  then [ notify(\"#ops\") ]\n  verify within 5m { promql(\"up\") == 1 for 10m }\n}\n";
    values_of_the_wrong_type: "on alert \"A\" where severity == \"high\" and labels.app > \"x\" and node == 5 and labels.x =~ 5 {\n  condition(node, \"Ready\") == \"false\"\n  then [ delete_pod(workload), scale(workload, 3, replicas: 2.5), wait 2d ]\n}\n";
    words_of_other_languages: "on alert \"A\" where name = 'x' && severity > 1; {\n  then [ notify(`#ops`) ]\n}\n";
    conditions_joined_by_and: "rule \"a\" {\n  on alert \"A\"\n  when promql(\"up\") < 1 and promql(\"x\") > 2\n  then [ notify(\"#ops\") ]\n}\n";
    several_mistakes_in_one_file: "rule \"a\" {\n  on alrt \"A\"\n  limit 3 per hour\n  then [ restart(wrkload), wait 2x, explode() ]\n  verify { alert resolved }\n}\non event \"b\" {\n  then [ notify(ops) ]\n}\nruel \"c\" {\n}\non log \"d\" {\n  then [ notfy(\"#ops\") ]\n  verify within 5m { alert resolved }\n}\n";
    wide_letters_before_the_mistake: "on alert \"鸟🐦\" where labels.größe == \"日本\" and nmae == \"x\" {\n\tthen [ notify(\"#ops\") ]\n}\n";
}

#[test]
fn line_and_column_are_counted_in_letters_from_one() {
    let source = "# 🐦\r\non alert \"é\" where nmae == \"x\" { then [ notify(\"#ops\") ] }";
    let found = problems(source);
    assert_eq!(found[0].position(source), (2, 20));
}

#[test]
fn colour_is_for_terminals_only() {
    let source = "rul";
    assert!(problems(source)[0].render("a.heal", source, true).contains('\u{1b}'));
    assert!(!problems(source)[0].render("a.heal", source, false).contains('\u{1b}'));
}
