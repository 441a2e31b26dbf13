//! Alertmanager and Grafana.

use super::{context, only};
use heal::event::{Event, LONGEST_VALUE, State, alert::read};
use proptest::prelude::*;
use serde_json::{Value, json};

/// As Alertmanager 0.25 posts it.
pub const ALERTMANAGER: &str = r##"{
  "receiver": "petrel", "status": "firing",
  "alerts": [
    {"status": "firing",
     "labels": {"alertname": "KubePodCrashLooping", "namespace": "shop", "pod": "checkout-7d9f8b6c5-abcde", "container": "app",
                "severity": "critical", "prometheus": "monitoring/k8s"},
     "annotations": {"summary": "Pod is crash looping.", "runbook_url": "https://runbooks.example/crash", "odd": "javascript:alert(1)"},
     "startsAt": "2026-02-03T04:00:00.123Z", "endsAt": "0001-01-01T00:00:00Z",
     "generatorURL": "http://prometheus.example/graph?g0.expr=up", "fingerprint": "c5a9d5e5ffcd5b3e"},
    {"status": "resolved",
     "labels": {"alertname": "HighLatency", "namespace": "shop", "deployment": "checkout", "cluster": "prod-us"},
     "annotations": {}, "startsAt": "2026-02-03T03:00:00Z", "endsAt": "2026-02-03T03:30:00Z", "generatorURL": "", "fingerprint": "aa"}
  ],
  "groupLabels": {"alertname": "x"}, "commonLabels": {}, "commonAnnotations": {},
  "externalURL": "http://alertmanager.example", "version": "4", "groupKey": "{}:{alertname=\"x\"}", "truncatedAlerts": 7
}"##;

/// As Grafana 11 posts it.
const GRAFANA: &str = r##"{
  "receiver": "petrel", "status": "firing", "orgId": 1, "version": "1", "groupKey": "k", "truncatedAlerts": 0, "title": "[FIRING:1]",
  "state": "alerting", "message": "x", "externalURL": "https://grafana.example/", "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {},
  "alerts": [{"status": "firing", "labels": {"alertname": "disk", "node": "worker-7"}, "annotations": {"summary": "full"},
    "startsAt": "2026-02-03T05:00:00+01:00", "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "https://grafana.example/g",
    "fingerprint": "57c6d9296de2ad39", "silenceURL": "https://grafana.example/s", "dashboardURL": "https://grafana.example/d",
    "panelURL": "", "values": {"A": 97.0}, "valueString": "[ var='A' labels={} value=97 ]"}]
}"##;

fn message(alerts: Value) -> Vec<u8> {
    serde_json::to_vec(&json!({"version": "4", "alerts": alerts})).unwrap()
}

fn alert(labels: Value) -> Value {
    json!({"status": "firing", "labels": labels, "startsAt": "2026-02-03T04:00:00Z"})
}

fn event(labels: Value) -> Event {
    only(read(&message(json!([alert(labels)])), context()).unwrap().events)
}

#[test]
fn a_message_of_alertmanager_becomes_its_alerts() {
    let batch = read(ALERTMANAGER.as_bytes(), context()).unwrap();
    assert_eq!((batch.truncated, batch.refused.len()), (7, 0));
    insta::assert_debug_snapshot!(batch.events);
}

#[test]
fn a_message_of_grafana_becomes_its_alerts() {
    insta::assert_debug_snapshot!(only(read(GRAFANA.as_bytes(), context()).unwrap().events));
}

#[test]
fn a_bad_alert_does_not_take_the_good_ones_with_it() {
    let no_name = alert(json!({"namespace": "shop"}));
    let good = alert(json!({"alertname": "A"}));
    let odd = json!({"status": "maybe", "labels": {"alertname": "A"}, "startsAt": "2026-02-03T04:00:00Z"});
    let batch = read(&message(json!([no_name, good, 3, odd])), context()).unwrap();
    assert_eq!(only(batch.events).name, "A");
    let told: Vec<_> = batch.refused.iter().map(|refused| (refused.index, refused.why.as_str())).collect();
    assert_eq!(
        told,
        [
            (0, "it has no label `alertname`"),
            (2, "invalid type: integer `3`, expected struct Alert"),
            (3, "status `maybe` is neither `firing` nor `resolved`"),
        ]
    );
}

#[test]
fn a_message_of_another_version_or_shape_is_refused_with_the_reason() {
    let why = |body: &str| read(body.as_bytes(), context()).unwrap_err().to_string();
    assert_eq!(
        why(r#"{"version": "3", "alerts": []}"#),
        "read alerts: version `3` of Alertmanager's webhook is not known; this reads version 4"
    );
    assert_eq!(why(r#"{"version": "4"}"#), "read alerts: missing field `alerts` at line 1 column 16");
    assert!(why("").starts_with("read alerts: EOF"));
    let flood = message(Value::Array(vec![json!(0); 10_001]));
    assert!(
        read(&flood, context())
            .unwrap_err()
            .to_string()
            .contains("10001 alerts in one message, and 10000 are allowed")
    );
}

#[test]
fn the_same_trouble_keeps_its_fingerprint_while_it_grows_moves_between_replicas_and_resolves() {
    let first =
        event(json!({"alertname": "A", "pod": "x", "severity": "warning", "prometheus_replica": "0"}));
    let worse =
        event(json!({"alertname": "A", "pod": "x", "severity": "critical", "prometheus_replica": "1"}));
    assert_eq!(first.fingerprint, worse.fingerprint);
    let mut over = alert(json!({"alertname": "A", "pod": "x"}));
    over["status"] = json!("resolved");
    over["annotations"] = json!({"summary": "other words"});
    let over = only(read(&message(json!([over])), context()).unwrap().events);
    assert_eq!((over.fingerprint, over.state), (first.fingerprint, State::Resolved));
    assert_eq!(over.ended, Some(context().received), "no end was given");
    assert_ne!(over.id, first.id);
    for other in [
        json!({"alertname": "B", "pod": "x"}),
        json!({"alertname": "A", "pod": "y"}),
        json!({"alertname": "A", "pod": "x", "cluster": "prod-us"}),
        json!({"alertname": "A", "podx": ""}),
    ] {
        assert_ne!(event(other).fingerprint, first.fingerprint);
    }
}

#[test]
fn the_fingerprint_is_stored_so_it_must_never_change() {
    let event = event(
        json!({"alertname": "KubePodCrashLooping", "namespace": "shop", "pod": "checkout-0", "severity": "critical"}),
    );
    // Computed from the definition, by other means.
    assert_eq!(event.fingerprint.to_string(), "bffaf359ddb698c0e58229b89f8a3d59");
}

#[test]
fn what_is_too_long_is_cut_and_two_troubles_stay_two() {
    let long = |end: &str| event(json!({"alertname": "A", "x": "é".repeat(LONGEST_VALUE) + end}));
    let (one, two) = (long("1"), long("2"));
    assert!(one.labels["x"].len() <= LONGEST_VALUE && one.labels["x"].ends_with('…'));
    assert_eq!(one.labels, two.labels);
    assert_ne!(one.fingerprint, two.fingerprint);
    let many: serde_json::Map<_, _> = (0..1000)
        .map(|place| (format!("l{place}"), json!("x")))
        .chain([("alertname".into(), json!("A"))])
        .collect();
    assert_eq!(event(Value::Object(many)).labels.len(), heal::event::MOST_LABELS);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(body in any::<Vec<u8>>()) {
        let _ = heal::event::read(&body, context());
    }

    #[test]
    fn pairs_that_only_look_alike_have_other_fingerprints(a in "[ab=,]{0,4}", b in "[ab=,]{0,4}", c in "[ab=,]{0,4}", d in "[ab=,]{0,4}") {
        let one = event(json!({"alertname": "A", format!("l{a}"): b}));
        let two = event(json!({"alertname": "A", format!("l{c}"): d}));
        prop_assert_eq!(one.fingerprint == two.fingerprint, (a, b) == (c, d));
    }
}
