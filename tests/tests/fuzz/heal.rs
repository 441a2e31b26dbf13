//! `.heal` rules, and what senders of alerts and events post.

use crate::mutant::{assert_inside, fuzz};
use ::heal::{
    event::{Context, cloud, read},
    language::{Catalogue, check, format, parse},
};

const RULES: &[&str] = &[
    include_str!("../../../heal/examples/issue.heal"),
    include_str!("../../../heal/examples/ladder.heal"),
    include_str!("../../../heal/examples/nodes.heal"),
];

#[test]
fn rules_are_read_or_the_mistake_is_located_and_what_is_read_is_printed_in_one_form() {
    let catalogue = Catalogue::standard();
    for good in RULES {
        assert!(parse(good).1.is_empty());
    }
    fuzz!(RULES, |text: &str| {
        let (file, problems) = parse(text);
        for problem in problems.iter().chain(&check(&file, &catalogue)) {
            let (line, column) = problem.position(text);
            assert_inside(text, line, column);
            let shown = problem.render("a.heal", text, false);
            assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?} reaches a terminal");
        }
        let printed = format(&file);
        let (again, problems) = parse(&printed);
        assert!(problems.is_empty(), "{printed:?} is not read back: {problems:?}");
        assert_eq!(again, file);
        assert_eq!(format(&again), printed);
    });
}

const MESSAGES: &[&str] = &[
    r#"{"version": "4", "truncatedAlerts": 1, "alerts": [{"status": "firing", "labels": {"alertname": "A", "pod": "x-0", "severity": "P1"},
"annotations": {"summary": "s", "runbook_url": "https://x.example"}, "startsAt": "2026-02-03T04:00:00Z", "endsAt": "0001-01-01T00:00:00Z"}]}"#,
    r#"{"orgId": 1, "alerts": [{"status": "resolved", "labels": {"alertname": "A"}, "startsAt": "2026-02-03T05:00:00+01:00",
"endsAt": "2026-02-03T06:00:00+01:00", "valueString": "[ value=97 ]", "panelURL": "http://x"}]}"#,
    r#"{"specversion": "1.0", "id": "1", "source": "/d", "type": "disk_full", "time": "2026-02-03T04:00:00Z",
"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "data": {"node": "a", "used": 97, "labels": {"x": true}}}"#,
    r#"{"specversion": "1.0", "id": "1", "source": "/d", "type": "x", "data_base64": "eyJub2RlIjoiYSJ9", "datacontenttype": "text/json"}"#,
];

#[test]
fn a_message_is_read_or_refused_and_its_events_are_bounded_and_can_be_stored() {
    let received = "2026-02-03T04:05:06Z".parse().expect("a time");
    let context = Context { cluster: Some("prod-eu"), received };
    for good in MESSAGES {
        assert_eq!(read(good.as_bytes(), context).expect("a seed").events.len(), 1);
    }
    fuzz!(MESSAGES, |text: &str| {
        let headers = [("ce-specversion", "1.0"), ("ce-id", text), ("ce-source", "%zz%e9"), ("ce-type", "x")];
        let _ = cloud::binary(headers, text.as_bytes(), context);
        let Ok(batch) = read(text.as_bytes(), context) else { return };
        for event in batch.events {
            assert!(
                event.evidence.iter().all(|evidence| !evidence.link || evidence.text.starts_with("http"))
            );
            let stored = serde_json::to_vec(&event).expect("an event");
            assert_eq!(read(&stored, context).expect("a stored event").events, [event]);
        }
    });
}

/// What the language says about steps and what the gate can do must not drift apart.
#[test]
fn every_action_of_the_gate_can_be_written_in_a_rule() {
    for action in actions::catalogue::catalogue() {
        let written = action.name().replace('-', "_");
        assert!(Catalogue::standard().shape(&written).is_some(), "{written} is in no rule's catalogue");
    }
}
