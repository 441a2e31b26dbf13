//! What people type, and what they read when it is wrong.

use actions::{catalogue::catalogue, query::queries};
use bot::{
    command::commands,
    draw,
    grammar::{Context, Line, Names, complete, overview, parse, reference, with_why},
};
use proptest::prelude::*;

fn clusters() -> Vec<String> {
    ["prod-eu", "prod-us", "staging"].map(String::from).to_vec()
}

/// In a room without defaults.
fn typed(line: &str) -> Result<Line, String> {
    let clusters = clusters();
    parse(line, &Context { clusters: &clusters, cluster: None, namespace: None })
        .map_err(|card| draw::text(&card, str::to_string))
}

fn wrong(line: &str) -> String {
    match typed(line) {
        Ok(_) => panic!("{line} was understood"),
        Err(text) => format!("> {line}\n{text}"),
    }
}

fn every_example() -> Vec<String> {
    let commands = catalogue().iter().map(|action| action.command());
    let commands = commands.chain(queries().iter().map(|query| query.command()));
    let commands = commands.chain(commands_of_our_own());
    commands
        .map(|command| {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let example = help
                .trim()
                .strip_prefix("Example: ")
                .unwrap_or_else(|| panic!("{} has no example", command.get_name()));
            example.lines().next().unwrap_or_default().to_string()
        })
        .collect()
}

fn commands_of_our_own() -> impl Iterator<Item = clap::Command> {
    commands().iter().map(|command| command.command())
}

#[test]
fn every_commands_own_example_is_understood_and_its_canonical_form_is_the_same_command() {
    let examples = every_example();
    assert!(examples.len() > 20, "{}", examples.len());
    for example in examples {
        let line = typed(&example).unwrap_or_else(|error| panic!("{example}\n{error}"));
        let again = typed(line.canonical()).unwrap_or_else(|error| panic!("{}\n{error}", line.canonical()));
        assert_eq!(again.canonical(), line.canonical());
        if let (Line::Ask(line), Line::Ask(again)) = (&line, &again) {
            assert_eq!(line, again);
        }
    }
}

#[test]
fn the_whole_tree_is_sound() {
    // clap's own assertions: no two arguments share a name or a letter.
    for example in every_example() {
        let name = example.split(' ').next().unwrap_or_default().to_string();
        let _ = typed(&format!("{name} --help"));
        let _ = typed(&format!("break-glass {name} --help"));
    }
}

#[test]
fn a_room_with_defaults_fills_in_cluster_and_namespace_and_the_line_can_say_otherwise() {
    let clusters = clusters();
    let room = Context { clusters: &clusters, cluster: Some("prod-eu"), namespace: Some("shop") };
    let Ok(Line::Ask(line)) = parse("Scale deploy/checkout 6", &room) else { panic!("not an ask") };
    assert_eq!(line.canonical, "scale deploy/checkout 6 -n shop -c prod-eu");
    assert_eq!(line.target.to_string(), "prod-eu: shop/Deployment checkout");
    let Ok(Line::Ask(line)) = parse("scale deploy/checkout 6 -c staging --why 'load test'", &room) else {
        panic!("not an ask")
    };
    assert_eq!((line.target.cluster.as_str(), line.why.as_deref()), ("staging", Some("load test")));
    let Ok(Line::Query(line)) = parse("get pods -A", &room) else { panic!("not a query") };
    assert_eq!((line.namespace, line.canonical.as_str()), (None, "get pods -A -c prod-eu"));
}

#[test]
fn break_glass_goes_before_an_action_and_needs_a_reason() {
    let Ok(Line::Ask(line)) =
        typed("break-glass restart deploy/checkout -n shop -c prod-eu --why 'all hang'")
    else {
        panic!("not an ask")
    };
    assert!(line.break_glass);
    assert_eq!(line.canonical, "break-glass restart deploy/checkout --why \"all hang\" -n shop -c prod-eu");
    assert!(wrong("break-glass restart deploy/checkout -n shop -c prod-eu").contains("--why"));
    assert!(wrong("break-glass restart deploy/checkout -n shop -c prod-eu --why ' '").contains("reason"));
    assert!(wrong("break-glass get pods").contains("there is no command 'get'"));
}

#[test]
fn what_is_wrong_is_pointed_at() {
    let lines = [
        "scael deploy/checkout 6 -n shop -c prod-eu",
        "scale deploy/checkout six -n shop -c prod-eu",
        "scale deplyo/checkout 6 -n shop -c prod-eu",
        "scale deploy/checkout 6 -n shop -c prod-ue",
        "scale deploy/checkout 6 -n shop",
        "scale deploy/checkout 6 -c prod-eu",
        "scale deploy/checkout",
        "scale deploy/checkout 6 7 -n shop -c prod-eu",
        "scale deploy/checkout 6 -n shop -c prod-eu --why",
        "scale deploy/checkout 6 -n shop -c prod-eu --wyh x",
        "scale deploy/checkout 6 -n Shop -c prod-eu",
        "scale deploy/checkout 6 -n shop -n other -c prod-eu",
        "scale deploy/checkout 6 -n shop -c prod-eu --why sale tonight",
        "restart deploy/checkout -n shop -c prod-eu --why \"sale",
        "requests --state runing",
        "approve 12",
        "restart deploy/checkout\u{202e} -n shop -c prod-eu",
        "restart deploy/checkout\nscale deploy/checkout 0",
    ];
    insta::assert_snapshot!(lines.map(wrong).join("\n"));
}

#[test]
fn an_empty_line_and_help_answer_with_the_short_list() {
    insta::assert_snapshot!(draw::text(&overview(), str::to_string));
    assert_eq!(typed("   ").map(|_| ()).unwrap_err(), draw::text(&overview(), str::to_string));
}

#[test]
fn a_reason_is_added_where_it_belongs() {
    for line in ["restart deploy/a -n b -c prod-eu", "break-glass restart deploy/a -n b -c prod-eu"] {
        let Ok(Line::Ask(ask)) = typed(&with_why(line, "it \"hangs\" $now")) else { panic!("{line}") };
        assert_eq!(ask.why.as_deref(), Some("it \"hangs\" $now"));
    }
}

#[test]
fn completion_offers_what_may_stand_there() {
    let clusters = clusters();
    let context = Context { clusters: &clusters, ..Context::default() };
    let names = Names {
        namespaces: vec!["shop".into()],
        targets: vec!["deploy/cart".into(), "deploy/checkout".into()],
    };
    let offered = |text: &str| complete(text, text.len(), &context, &names);
    assert_eq!(offered("scal"), ["scale", "scale-nodes"]);
    assert_eq!(offered("scale deploy/ch"), ["deploy/checkout"]);
    assert_eq!(offered("scale deploy/cart 3 -c prod"), ["prod-eu", "prod-us"]);
    assert_eq!(offered("scale deploy/cart 3 -c prod-eu -n "), ["shop"]);
    assert_eq!(offered("scale deploy/cart 3 --w"), ["--why"]);
    assert_eq!(offered("scale deploy/cart 3 --why x --w"), [""; 0]);
    assert_eq!(offered("break-glass resta"), ["restart"]);
    assert_eq!(offered("requests --state roll"), ["rolled_back"]);
    assert_eq!(complete("scale deploy/ch 6", 15, &context, &names), ["deploy/checkout"]);
    assert_eq!(complete("scale sts/", 10, &context, &Names::default()), [""; 0]);
    assert!(complete("scale ", 6, &context, &Names::default()).contains(&"sts/".to_string()));
}

#[test]
fn docs_commands_is_current() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/COMMANDS.md");
    let page = std::fs::read_to_string(file).expect("docs/COMMANDS.md");
    assert!(
        page == reference(),
        "docs/COMMANDS.md is not current; run: petrel docs commands > docs/COMMANDS.md"
    );
}

/// Lines that are nearly right, because pure noise never gets past the first word.
fn likely() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("scale".to_string()),
        Just("break-glass".into()),
        Just("set-image".into()),
        Just("run-job".into()),
        Just("logs".into()),
        Just("get".into()),
        Just("requests".into()),
        Just("approve".into()),
        Just("help".into()),
        Just("deploy/checkout".into()),
        Just("6".into()),
        Just("-n".into()),
        Just("shop".into()),
        Just("-c".into()),
        Just("prod-eu".into()),
        Just("--why".into()),
        Just("--dry-run".into()),
        Just("-A".into()),
        Just("--".into()),
        Just("--help".into()),
        Just("--why=x".into()),
        Just("\"".into()),
        "[a-z/=:-]{0,8}",
        "\\PC{0,6}",
    ];
    proptest::collection::vec(word, 0..9).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(line in ".{0,120}") {
        let _ = typed(&line);
    }

    #[test]
    fn nearly_right_lines_neither_panic_nor_change_meaning_in_their_canonical_form(line in likely()) {
        if let Ok(line) = typed(&line) {
            let again = typed(line.canonical());
            prop_assert!(again.is_ok(), "{}", line.canonical());
            let again = again.map_err(TestCaseError::fail)?;
            prop_assert_eq!(again.canonical(), line.canonical());
            if let (Line::Ask(line), Line::Ask(again)) = (line, again) {
                prop_assert_eq!(line, again);
            }
        }
    }

    #[test]
    fn any_reason_survives_the_canonical_form(why in "[^\\p{C}]{1,60}") {
        prop_assume!(!why.trim().is_empty());
        let line = with_why("restart deploy/a -n b -c prod-eu", &why);
        if let Ok(Line::Ask(ask)) = typed(&line) {
            prop_assert_eq!(ask.why.as_deref(), Some(why.as_str()));
            let Ok(Line::Ask(again)) = typed(&ask.canonical) else { return Err(TestCaseError::fail(ask.canonical)) };
            prop_assert_eq!(again, ask);
        }
    }

    #[test]
    fn completion_never_panics(line in likely(), cursor in 0usize..80) {
        let clusters = clusters();
        complete(&line, cursor, &Context { clusters: &clusters, ..Context::default() }, &Names::default());
    }
}
