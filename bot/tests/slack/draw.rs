//! Cards as Block Kit: as they look, from hostile texts, and within Slack's limits whatever they say.

use crate::draw::{ask, card, needs, request, started, verifying, view, vote, with_run};
use bot::{
    card::{Button, Card, ClusterBadge, Code, StepLine, Table, Tone},
    grammar,
    slack::draw::{Message, limit, message},
};
use ledger::*;
use proptest::{collection::vec as many, prelude::*};
use serde_json::Value;

fn drawn(card: &Card) -> Message {
    message(card, |path| format!("https://petrel.example{path}"), None)
}

/// One line of JSON per block, as it goes over the wire.
fn shown(card: &Card) -> String {
    let Message { text, blocks } = drawn(card);
    let blocks = serde_json::to_value(&blocks).unwrap();
    let lines = blocks.as_array().unwrap().iter().map(|block| block.to_string());
    format!("{text}\n\n{}\n", lines.collect::<Vec<_>>().join("\n"))
}

macro_rules! pictures {
    ($($name:ident: $card:expr;)*) => {$(
        #[test]
        fn $name() {
            let card = $card;
            assert_fits(&drawn(&card));
            insta::assert_snapshot!(stringify!($name), shown(&card));
        }
    )*};
}

pictures! {
    awaiting: card(&RequestView {
        votes: vec![vote("bob", Verdict::Approve, Some("traffic is up"))],
        ..view(request(ask(), needs(2, true)))
    });
    running: card(&with_run(started(), Phase::Act, None, &[(Phase::Act, StepState::Intended)]));
    succeeded: card(&with_run(
        verifying().end(Ended::Succeeded, "2026-11-21T09:01:40Z".parse().unwrap()).unwrap(),
        Phase::Done, None, &[(Phase::Act, StepState::Done)]));
    rolled_back: card(&with_run(
        verifying().end(Ended::RolledBack("2 pods crash-loop".into()), "2026-11-21T09:01:40Z".parse().unwrap()).unwrap(),
        Phase::Done, None, &[(Phase::Act, StepState::Done), (Phase::Undo, StepState::Done)]));
    a_refusal: bot::draw::refusal(&Refusal::OwnRequest);
    help: *grammar::parse("scale --help", &nowhere()).err().unwrap();
    a_typing_error: *grammar::parse("scael deploy/checkout 6 -c prod-eu", &nowhere()).err().unwrap();
    a_table: Card {
        table: Some(Table {
            header: vec!["NAME".into(), "READY".into(), "AGE".into()],
            rows: (0..4).map(|n| vec![format!("checkout-{n}"), "1/1".into(), format!("{n}m")]).collect(),
            links: vec!["/pods/0".into(), "/pods/1".into()],
        }),
        cluster: Some(ClusterBadge { name: "dev".into(), production: false }),
        footer: Some("get pods -n shop -c dev".into()),
        ..Card::titled(Tone::Neutral, "4 pods")
    };
    a_long_diff: Card {
        code: Some(Code { language: "diff".into(), text: (0..400).map(|n| format!("+  line {n} <of> many & more\n")).collect() }),
        link: Some("/requests/1".into()),
        cluster: Some(ClusterBadge { name: "prod-eu".into(), production: true }),
        ..Card::titled(Tone::Waiting, "set image of Deployment checkout")
    };
    hostile_texts: hostile();
}

fn nowhere() -> grammar::Context<'static> {
    grammar::Context { clusters: &[], cluster: None, namespace: None }
}

/// Everything people have tried to get past a chat bot, in every place where text stands.
fn hostile() -> Card {
    let texts = [
        "<!here> <!channel> <!everyone> @here",
        "<@U0ADMIN> <#C0SECRET|ops> <!subteam^S1>",
        "<https://evil.example|Approve> https://evil.example [x](https://evil.example)",
        "*bold* _it_ ~gone~ `code` > quote",
        "```\n*out of the fence* <!here>\n```",
        "a & b &lt; c &amp;lt;!here&gt;",
        "gpj\u{202e}exe.nimda \u{200b}zero\u{7}bell\u{1b}[31m",
        ":bomb: :white_check_mark: Approved by the boss",
        "\n\n\nApprove\n[Deny]",
    ];
    Card {
        status: Some(texts[0].into()),
        cluster: Some(ClusterBadge { name: texts[1].into(), production: true }),
        text: Some(texts.join("\n")),
        fields: texts.iter().map(|text| (text.to_string(), text.to_string())).collect(),
        table: Some(Table {
            header: vec![texts[0].into(), texts[4].into()],
            rows: texts.iter().map(|text| vec![text.to_string(), texts[2].into()]).collect(),
            links: Vec::new(),
        }),
        code: Some(Code { language: "text".into(), text: texts.join("\n") }),
        steps: texts.iter().map(|text| StepLine { state: "done".into(), text: text.to_string() }).collect(),
        buttons: vec![Button {
            id: "approve".into(),
            label: texts[2].into(),
            style: "primary".into(),
            wants_reason: false,
            wants_typed: Some(texts[1].into()),
        }],
        footer: Some(texts.join(" ")),
        link: Some("/requests/1?a=<b>|c".into()),
        request: Some("0199d2f0-0000-7000-8000-00001f3c9a2b".parse().unwrap()),
        digest: Some("ab".repeat(32)),
        ..Card::titled(Tone::Urgent, texts[0])
    }
}

/// Every text that goes over the wire, and whether Slack looks for markup in it.
fn texts(value: &Value, found: &mut Vec<(bool, String)>) {
    match value {
        Value::Object(fields) => {
            if let (Some(kind), Some(text)) = (fields.get("type"), fields.get("text").and_then(Value::as_str))
            {
                found.push((kind == "mrkdwn", text.to_string()));
            }
            fields.values().for_each(|value| texts(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        _ => {}
    }
}

/// Within Slack's limits, and nothing in it is a mention or a link except Petrel's own.
fn assert_fits(message: &Message) {
    let blocks = serde_json::to_value(&message.blocks).unwrap();
    let list = blocks.as_array().unwrap();
    assert!((1..=50).contains(&list.len()), "{} blocks", list.len());
    assert!((1..=4000).contains(&limit::length(&message.text)));
    assert!(!message.text.contains(['<', '>']), "{}", message.text);
    let between = |text: &Value, most: usize| {
        let length = limit::length(text["text"].as_str().unwrap());
        assert!((1..=most).contains(&length), "{length} of {most}: {text}");
    };
    for block in list {
        match block["type"].as_str().unwrap() {
            "header" => between(&block["text"], 150),
            "section" => {
                if block.get("text").is_some() {
                    between(&block["text"], 3000);
                }
                let fields = block["fields"].as_array().map_or(&[][..], |fields| fields);
                assert!(fields.len() <= 10 && (block.get("text").is_some() || !fields.is_empty()));
                fields.iter().for_each(|field| between(field, 2000));
            }
            "context" => {
                let elements = block["elements"].as_array().unwrap();
                assert!((1..=10).contains(&elements.len()));
                elements.iter().for_each(|element| between(element, 2000));
            }
            "actions" => {
                let buttons = block["elements"].as_array().unwrap();
                assert!((1..=25).contains(&buttons.len()));
                for button in buttons {
                    between(&button["text"], 75);
                    assert!(button["value"].as_str().unwrap().len() <= 2000);
                    assert!(button["action_id"].as_str().unwrap().len() <= 255);
                }
            }
            other => panic!("a block of type {other}"),
        }
    }
    let mut all = Vec::new();
    texts(&blocks, &mut all);
    for (marked, text) in &all {
        let own = text.split(" · ").all(|link| {
            link.starts_with("<https://petrel.example/")
                && link.matches('<').count() == 1
                && link.ends_with('>')
        });
        assert!(own || !text.contains(['<', '>']), "{text}");
        let fenced = text.strip_prefix("```\n").and_then(|text| text.strip_suffix("\n```"));
        let is_safe = own || fenced.is_some_and(|inside| !inside.contains("```"));
        assert!(!marked || is_safe, "markup is looked for in {text}");
    }
    let length: usize = all.iter().map(|(_, text)| limit::length(text)).sum();
    assert!(length <= 13_000, "{length} characters together");
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z<>&`*_~|!@#:\n 🚀ü\u{202e}]{0,60}",
        1 => "\\PC{0,400}",
        1 => (0..30_000usize, "[<>&`a\n]{1,7}").prop_map(|(times, part)| part.repeat(times / part.len())),
        1 => Just(String::new()),
    ]
}

fn any_card() -> impl Strategy<Value = Card> {
    let table = (many(text(), 0..4), many(many(text(), 0..4), 0..12)).prop_map(|(header, rows)| Table {
        header,
        rows,
        links: Vec::new(),
    });
    let button = (text(), text(), "primary|danger|plain|odd", any::<bool>(), any::<bool>()).prop_map(
        |(id, label, style, wants_reason, typed)| Button {
            id: if typed { "approve".into() } else { id },
            label,
            style,
            wants_reason,
            wants_typed: typed.then(|| "prod".into()),
        },
    );
    let cluster = (text(), any::<bool>()).prop_map(|(name, production)| ClusterBadge { name, production });
    let first = (text(), prop::option::of(text()), prop::option::of(cluster), prop::option::of(text()));
    let second =
        (many((text(), text()), 0..40), prop::option::of(table), prop::option::of((text(), any::<bool>())));
    let third =
        (many(text(), 0..30), many(button, 0..30), prop::option::of(text()), prop::option::of(text()));
    (first, second, third).prop_map(
        |((title, status, cluster, text), (fields, table, code), (steps, buttons, footer, link))| Card {
            status,
            cluster,
            text,
            fields,
            table,
            code: code.map(|(text, diff)| Code { language: if diff { "diff" } else { "text" }.into(), text }),
            steps: steps.into_iter().map(|text| StepLine { state: "done".into(), text }).collect(),
            buttons,
            footer,
            link,
            request: Some("0199d2f0-0000-7000-8000-00001f3c9a2b".parse().unwrap()),
            digest: Some("ab".repeat(32)),
            ..Card::titled(Tone::Working, title)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn whatever_a_card_says_slack_takes_it_and_nothing_in_it_is_markup(card in any_card()) {
        let message = drawn(&card);
        assert_fits(&message);
        if let Some(cluster) = &card.cluster {
            let blocks = serde_json::to_string(&message.blocks).unwrap();
            prop_assert_eq!(cluster.production, blocks.contains("⚠ PRODUCTION"));
        }
    }
}
