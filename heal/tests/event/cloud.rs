//! CloudEvents 1.0.

use super::{context, only};
use heal::event::{
    Event, State,
    cloud::{binary, structured},
};
use serde_json::json;

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn read(body: serde_json::Value) -> Event {
    only(structured(&serde_json::to_vec(&body).unwrap(), context()).unwrap().events)
}

#[test]
fn a_structured_event_is_read_whole() {
    let event = read(json!({
        "specversion": "1.0", "id": "42", "source": "/disks/worker-7", "type": "disk_full", "subject": "/data",
        "time": "2026-02-03T05:00:00+01:00", "datacontenttype": "application/json", "traceparent": TRACE,
        "data": {"node": "worker-7", "severity": "P2", "used": 97, "gone": null, "deep": {"x": 1},
                 "labels": {"team": "shop"}, "annotations": {"description": "nearly full", "graph": "https://g.example/1"}},
    }));
    insta::assert_debug_snapshot!(event);
}

#[test]
fn the_same_event_in_headers_is_the_same_event() {
    let body = json!({"node": "worker-7", "used": 97});
    let whole = read(json!({
        "specversion": "1.0", "id": "42", "source": "/disks", "type": "disk_full", "subject": "Größe",
        "datacontenttype": "application/json", "traceparent": TRACE, "data": body,
    }));
    let headers = [
        ("Content-Type", "application/json"),
        ("ce-specversion", "1.0"),
        ("Ce-Id", "42"),
        ("ce-source", "/disks"),
        ("ce-type", "disk_full"),
        ("ce-subject", "Gr%C3%B6%C3%9Fe"),
        ("ce-traceparent", TRACE),
        ("host", "petrel"),
    ];
    let bytes = serde_json::to_vec(&body).unwrap();
    assert_eq!(only(binary(headers, &bytes, context()).unwrap().events), whole);
}

#[test]
fn what_is_measured_does_not_make_another_trouble_and_where_it_is_does() {
    let event = |data: serde_json::Value| {
        read(json!({"specversion": "1.0", "id": "1", "source": "/d", "type": "disk_full", "data": data}))
    };
    let first = event(json!({"node": "a", "used": 96}));
    assert_eq!(
        event(json!({"node": "a", "used": 97, "severity": "critical"})).fingerprint,
        first.fingerprint
    );
    assert_ne!(event(json!({"node": "b", "used": 96})).fingerprint, first.fingerprint);
    let over = event(json!({"node": "a", "status": "resolved"}));
    assert_eq!((over.fingerprint, over.state), (first.fingerprint, State::Resolved));
}

#[test]
fn data_in_base64_and_data_that_is_no_json_are_understood() {
    let event = read(json!({
        "specversion": "1.0", "id": "1", "source": "/d", "type": "x", "data_base64": "eyJub2RlIjoiYSJ9"
    }));
    assert_eq!(event.subject.node.as_deref(), Some("a"));
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "/d"),
        ("ce-type", "x"),
        ("content-type", "text/plain"),
    ];
    let text = only(binary(headers, b"it burns", context()).unwrap().events);
    assert_eq!(text.evidence[0].text, "it burns");
}

#[test]
fn a_malformed_event_says_what_is_wrong() {
    let why = |body: serde_json::Value| {
        structured(&serde_json::to_vec(&body).unwrap(), context()).unwrap_err().to_string()
    };
    let good = json!({"specversion": "1.0", "id": "1", "source": "/d", "type": "x"});
    let with = |name: &str, value: serde_json::Value| {
        let mut body = good.clone();
        body[name] = value;
        why(body)
    };
    assert_eq!(why(json!({})), "read CloudEvent: it has no `specversion`");
    assert_eq!(
        with("specversion", json!("0.3")),
        "read CloudEvent: specversion `0.3` is not known; this reads 1.0"
    );
    assert_eq!(with("type", json!("")), "read CloudEvent: it has no `type`");
    assert_eq!(with("id", json!("x".repeat(300))), "read CloudEvent: `id` is longer than 256 bytes");
    assert_eq!(
        with("time", json!("yesterday")),
        "read CloudEvent: `time` is not a time such as 2026-01-31T12:00:00Z"
    );
    assert_eq!(with("data_base64", json!("%")), "read CloudEvent: `data_base64` is not base64");
    assert!(why(json!([])).starts_with("read CloudEvent: invalid type: sequence"));
    assert_eq!(
        binary([("ce-id", "1")], b"", context()).unwrap_err().to_string(),
        "read CloudEvent: it has no `specversion`"
    );
}
