//! Bodies and queries of the HTTP API.

use crate::mutant::fuzz;
use axum::{extract::Query, http::Uri};
use bot::{
    api::{AskBody, CancelBody, EntriesQuery, RequestsQuery, VoteBody},
    grammar,
};

const BODIES: &[&str] = &[
    r#"{"line": "scale deploy/checkout 6 -n shop -c prod-eu", "why": "flash \"sale\""}"#,
    r#"{"words": ["restart", "deploy/checkout", "-n", "shop", "-c", "prod-eu", "--why", "it's $slow"]}"#,
    r#"{"line": "break-glass restart deploy/checkout -n shop -c prod-eu", "why": "-outage"}"#,
    r#"{"verdict": "approve", "typed": "prod-eu", "digest": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}"#,
    r#"{"verdict": "deny", "reason": "not \u0000 now"}"#,
    r#"{"reason": null}"#,
    "{}",
];

const QUERIES: &[&str] = &[
    "/api/v1/requests?state=awaiting,approved&cluster=prod-eu&limit=10",
    "/api/v1/requests?text=flash%20sale&before=2026-01-01T00:00:00Z&action=scale&person=ann",
    "/api/v1/entries?request=0199c0de-7abc-7def-8123-456789abcdef&kind=vote.&before=12&limit=5",
    "/api/v1/entries?actor=console%3Aann",
];

#[test]
fn a_body_is_read_or_refused_and_its_words_and_reason_stay_words_and_reason() {
    let clusters = ["prod-eu".to_string()];
    let context = grammar::Context { clusters: &clusters, cluster: None, namespace: None };
    assert!(
        serde_json::from_str::<AskBody>(BODIES[0]).is_ok()
            && serde_json::from_str::<VoteBody>(BODIES[3]).is_ok()
    );
    fuzz!(BODIES, |text: &str| {
        let _ = serde_json::from_str::<VoteBody>(text);
        let _ = serde_json::from_str::<CancelBody>(text);
        let Ok(body) = serde_json::from_str::<AskBody>(text) else { return };
        let line = match (body.line, body.words) {
            (Some(line), None) => line,
            (None, Some(words)) => grammar::join(&words),
            _ => return,
        };
        let Ok(grammar::Line::Ask(plain)) = grammar::parse(&line, &context) else { return };
        let Some(why) = body.why.filter(|_| plain.why.is_none()) else { return };
        // A reason changes nothing but the reason, whatever it says.
        if let Ok(grammar::Line::Ask(ask)) = grammar::parse(&grammar::with_why(&line, &why), &context) {
            assert_eq!(
                (ask.action, ask.target, ask.parameters),
                (plain.action, plain.target, plain.parameters)
            );
            assert_eq!((ask.dry_run, ask.break_glass), (plain.dry_run, plain.break_glass));
            // A blank reason is none.
            assert_eq!(ask.why.as_deref().map(str::trim), Some(why.trim()).filter(|why| !why.is_empty()));
        }
    });
}

#[test]
fn a_query_is_read_or_refused() {
    let read = |text: &str| {
        let Ok(uri) = text.parse::<Uri>() else { return false };
        Query::<RequestsQuery>::try_from_uri(&uri).is_ok() | Query::<EntriesQuery>::try_from_uri(&uri).is_ok()
    };
    assert!(QUERIES.iter().all(|query| read(query)));
    fuzz!(QUERIES, |text: &str| {
        read(text);
    });
}
