//! Cards: everything in them is text that came, in part, from people and clusters.

use crate::mutant::fuzz;
use bot::{
    card::Card,
    console::draw::card::{Clicks, card},
    draw,
};

const CARDS: &[&str] = &[
    r#"{"tone":"waiting","title":"scale checkout","status":"awaiting 1 of 2","cluster":{"name":"prod-eu","production":true},"text":"a\nb",
"fields":[["why","<b>sale</b>"]],"table":{"header":["NAME"],"rows":[["checkout"],["<script>"]]},"code":{"language":"diff","text":"+a\n-b\n@@"},
"steps":[{"state":"done","text":"patch"},{"state":"odd","text":"x"}],
"buttons":[{"id":"approve","label":"Approve","style":"primary","wants_reason":false,"wants_typed":"prod-eu"},
{"id":"deny","label":"Deny","style":"danger","wants_reason":true,"wants_typed":null},
{"id":"details","label":"Details","style":"plain","wants_reason":false,"wants_typed":null}],
"footer":"ann","link":"/requests/1","request":"0199c0de-7abc-7def-8123-456789abcdef","digest":"ab\"cd"}"#,
    r#"{"tone":"neutral","title":"pods","status":null,"cluster":null,"text":null,"fields":[],"table":null,"code":{"language":"text","text":"log"},
"steps":[],"buttons":[],"footer":null,"link":"javascript:alert(1)","request":null,"digest":null}"#,
    r#"{"tone":"bad","title":"\"><img src=x onerror=a()>","status":null,"cluster":null,"text":"' onclick='a()","fields":[],"table":null,"code":null,
"steps":[],"buttons":[],"footer":null,"link":"//elsewhere.example","request":null,"digest":null}"#,
];

/// The tags that a card is made of.
const TAGS: &[&str] = &[
    "a", "article", "button", "dd", "details", "div", "dl", "dt", "footer", "form", "h3", "header", "input",
    "label", "li", "ol", "p", "path", "pre", "span", "strong", "summary", "svg", "table", "tbody", "td",
    "th", "thead", "tr",
];

/// Nothing but the tags above, none with a handler, and no link out of the console.
fn assert_harmless(html: &str) {
    for tag in html.split('<').skip(1) {
        let (tag, _) = tag.split_once('>').unwrap_or_else(|| panic!("an open tag: {tag:?}"));
        let name = tag.trim_start_matches('/').split(' ').next().unwrap_or_default();
        assert!(TAGS.contains(&name), "<{tag}> in {html}");
        // What stands outside of quotes: the attributes' names.
        for attributes in tag.split('"').step_by(2) {
            let handler =
                attributes.split_whitespace().any(|word| word.to_ascii_lowercase().starts_with("on"));
            assert!(!handler && !attributes.contains('\''), "<{tag}> in {html}");
        }
        for place in tag.split("href=\"").skip(1).chain(tag.split("action=\"").skip(1)) {
            assert!(place.starts_with('/') && !place.starts_with("//"), "<{tag}> leads out");
        }
    }
}

#[test]
fn a_card_of_any_text_is_drawn_as_text() {
    for good in CARDS {
        serde_json::from_str::<Card>(good).unwrap_or_else(|error| panic!("a seed is refused: {error}"));
    }
    fuzz!(CARDS, |text: &str| {
        // What is no card in JSON is at least a title and a text.
        let any = serde_json::from_str(text).unwrap_or_else(|_| Card {
            text: Some(text.to_string()),
            footer: Some(text.to_string()),
            link: Some(text.to_string()),
            ..Card::titled(bot::card::Tone::Neutral, text)
        });
        let clicks = Clicks { csrf: "c".into(), room: "ops".into(), from: "room" };
        assert_harmless(&card(&any, &clicks, Some(&any)).into_string());
        let plain = draw::text(&any, |path| format!("https://petrel.example{path}"));
        assert!(!plain.contains(|c: char| c.is_control() && c != '\n'), "{plain:?} reaches a terminal");
        let again: Card =
            serde_json::from_str(&serde_json::to_string(&any).expect("a card")).expect("a card");
        assert_eq!(again, any);
    });
}
