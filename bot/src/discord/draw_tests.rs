use super::*;
use crate::card::{ClusterBadge, Code};
use insta::assert_snapshot;
use ledger::RequestId;
use proptest::prelude::*;

fn drawn(card: &Card) -> String {
    let message = message(card, &|path| format!("https://petrel.example{path}"));
    serde_json::to_string_pretty(&message).unwrap()
}

fn button(id: &str, label: &str, style: &str) -> Button {
    Button { id: id.into(), label: label.into(), style: style.into(), wants_reason: false, wants_typed: None }
}

fn awaiting() -> Card {
    Card {
        status: Some("awaiting 0 of 1".into()),
        cluster: Some(ClusterBadge { name: "prod-eu".into(), production: true }),
        text: Some("Needs someone of sre.".into()),
        fields: vec![
            ("Target".into(), "shop/Deployment checkout".into()),
            ("Asked by".into(), "ann (discord:100:1)".into()),
            ("Expires".into(), "2026-11-21 09:05:01 UTC".into()),
        ],
        code: Some(Code { language: "diff".into(), text: "-  replicas: 4\n+  replicas: 6".into() }),
        buttons: vec![
            button("approve", "Approve", "primary"),
            button("deny", "Deny", "danger"),
            button("details", "Details", "plain"),
        ],
        footer: Some("eeeeffff · asked 2026-11-21 08:35:01 UTC".into()),
        link: Some("/requests/01999999-aaaa-7bbb-8ccc-ddddeeeeffff".into()),
        request: Some("01999999-aaaa-7bbb-8ccc-ddddeeeeffff".parse().unwrap()),
        digest: Some("07".repeat(32)),
        ..Card::titled(Tone::Waiting, "scale Deployment checkout to 6")
    }
}

#[test]
fn a_request_that_waits() {
    assert_snapshot!(drawn(&awaiting()));
}

#[test]
fn a_table_and_steps() {
    let rows = vec![vec!["checkout".into(), "4/4".into()], vec!["cart".into(), "10/12".into()]];
    let step = |state: &str, text: &str| StepLine { state: state.into(), text: text.into() };
    let card = Card {
        table: Some(Table {
            header: vec!["name".into(), "ready".into()],
            rows,
            links: vec!["/requests/1".into(), "/requests/2".into()],
        }),
        steps: vec![
            step("done", "change Deployment checkout"),
            step("working", "verify: rollout complete"),
            step("waiting", "x"),
        ],
        ..Card::titled(Tone::Neutral, "Deployments in shop")
    };
    assert_snapshot!(drawn(&card));
}

/// What people and clusters might say to fool a reader, in every place of a card.
const HOSTILE: &[&str] = &[
    "@everyone @here <@1> <@&2> <#3> </petrel:1> <t:0:R> <:a:1> :skull:",
    "https://evil.example [log in](https://evil.example) <https://evil.example> discord.gg/abc",
    "**approved** __by__ ~~bob~~ ||secret|| `code` # heading",
    "# heading\n> quote\n- list\n-# small\n1. one",
    "```\n@everyone\n```diff\n+ approved",
    "abc\u{202e}dessalc\u{200b}\u{1b}[31m",
    "\\",
];

#[test]
fn hostile_texts_are_only_texts() {
    for (index, text) in HOSTILE.iter().enumerate() {
        let text = text.to_string();
        let card = Card {
            status: Some(text.clone()),
            cluster: Some(ClusterBadge { name: text.clone(), production: false }),
            text: Some(text.clone()),
            fields: vec![(text.clone(), text.clone())],
            table: Some(Table { header: vec![text.clone()], rows: vec![vec![text.clone()]], links: vec![] }),
            code: Some(Code { language: "x\n@everyone".into(), text: text.clone() }),
            steps: vec![StepLine { state: "done".into(), text: text.clone() }],
            buttons: vec![button("approve", &text, "primary")],
            footer: Some(text.clone()),
            ..Card { title: text.clone(), ..awaiting() }
        };
        assert_snapshot!(format!("hostile_{index}"), drawn(&card));
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,40}",
        "[ -~\n]{0,2000}",
        "(@everyone|```|\\*|\\\\|<@1>|😀|\u{202e}|\n){0,900}",
        Just("x".repeat(5_000)),
        Just("😀".repeat(2_500)),
        Just(String::new()),
    ]
}

prop_compose! {
    fn card()(
        title in text(), status in prop::option::of(text()), cluster in prop::option::of(text()), body in prop::option::of(text()),
        fields in prop::collection::vec((text(), text()), 0..30), code in prop::option::of(text()), rows in prop::collection::vec(prop::collection::vec(text(), 0..4), 0..8),
        steps in prop::collection::vec(text(), 0..40), labels in prop::collection::vec(text(), 0..40), footer in prop::option::of(text()), has_link: bool,
    ) -> Card {
        // Each button once: Discord takes no custom id twice.
        let buttons = labels.iter().enumerate().map(|(index, label)| button(&format!("b{index}"), label, "plain")).collect();
        Card {
            status, text: body, fields, footer, buttons,
            cluster: cluster.map(|name| ClusterBadge { name, production: true }),
            code: code.map(|text| Code { language: "diff".into(), text }),
            table: Some(Table { header: vec!["a".into(), "b".into()], rows, links: vec![] }),
            steps: steps.into_iter().map(|text| StepLine { state: "working".into(), text }).collect(),
            link: has_link.then(|| "/requests/1".into()),
            request: Some(RequestId::new()),
            digest: Some("07".repeat(32)),
            ..Card::titled(Tone::Urgent, title)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_card_keeps_every_limit(card in card()) {
        let message = message(&card, &|path| format!("https://petrel.example{path}"));
        let embed = &message["embeds"][0];
        let size = |value: &Value| length(value.as_str().unwrap_or_default());
        let fields = embed["fields"].as_array().cloned().unwrap_or_default();
        let whole = size(&embed["title"]) + size(&embed["description"]) + size(&embed["author"]["name"]) + size(&embed["footer"]["text"])
            + fields.iter().map(|field| size(&field["name"]) + size(&field["value"])).sum::<usize>();
        prop_assert!(whole <= 6_000, "{whole}");
        prop_assert!(size(&embed["title"]) <= 256 && size(&embed["description"]) <= 4_096);
        prop_assert!(size(&embed["author"]["name"]) <= 256 && size(&embed["footer"]["text"]) <= 2_048);
        prop_assert!(fields.len() <= 25);
        for field in &fields {
            let filled = |value: &Value| !value.as_str().unwrap_or_default().trim().is_empty();
            prop_assert!(filled(&field["name"]) && filled(&field["value"]), "{field}");
            prop_assert!(size(&field["name"]) <= 256 && size(&field["value"]) <= 1_024);
        }
        prop_assert!(embed["author"]["name"].is_null() || embed["author"]["name"].as_str().unwrap().ends_with("PRODUCTION"));
        let rows = message["components"].as_array().unwrap();
        let buttons: Vec<&Value> = rows.iter().flat_map(|row| row["components"].as_array().unwrap()).collect();
        prop_assert!(rows.len() <= 5 && rows.len() + buttons.len() <= 40);
        prop_assert!(rows.iter().all(|row| (1..=5).contains(&row["components"].as_array().unwrap().len())));
        for button in buttons {
            prop_assert!((1..=80).contains(&size(&button["label"])) && size(&button["custom_id"]) <= 100, "{button}");
        }
        prop_assert_eq!(&message["allowed_mentions"], &serde_json::json!({ "parse": [] }));
        prop_assert!(message.get("content").is_none());
    }
}

#[test]
fn in_words_all_is_said_and_nobody_is_pinged() {
    let mut card = awaiting();
    card.text = Some("@everyone <@1> ".to_string() + &"long ".repeat(1_000));
    let words = words(&card, &|path| format!("https://petrel.example{path}"));
    let said = words["embeds"][0]["description"].as_str().unwrap();
    assert!(length(said) <= 4_096 && said.contains("scale Deployment checkout to 6"), "{said}");
    assert!(
        said.ends_with("\nhttps://petrel.example/requests/01999999-aaaa-7bbb-8ccc-ddddeeeeffff"),
        "{said}"
    );
    assert!(!said.contains(" <@1>") && !said.contains(" @everyone"), "{said}");
    assert_eq!(words["allowed_mentions"], json!({ "parse": [] }));
}
