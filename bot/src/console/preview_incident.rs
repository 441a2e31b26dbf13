//! Sample pages of incidents, for `preview`.

use super::draw::{
    self,
    card::{Clicks, card},
    incident,
    layout::{Here, page},
};
use super::session::Viewer;
use crate::{card::Table, draw as cards};
use heal::incident::{Handling, Incident, Seen};
use jiff::Timestamp;
use ledger::RequestView;
use maud::{Markup, html};
use serde_json::{Value, json};

const HELD: &str = "0190a5a4-0000-7000-8000-00000000beef";

fn sample(name: &str, end: Value, taken: Value, result: Value) -> (Incident, Handling) {
    let at = |minute: i64| Timestamp::from_second(1_795_248_000 + minute * 60).unwrap().to_string();
    let over = !end.is_null();
    let incident = json!({
        "id": HELD, "severity": 4, "troubles": 3, "going_on": if over { 0 } else { 2 },
        "group": {"workload": {"cluster": "prod-eu", "namespace": "shop", "workload": {"kind": "Deployment", "name": "checkout"}}},
        "names": [name], "taken": taken, "escalated": null, "end": end,
        "healings": [{"rule": "checkout crash loop", "request": HELD, "asked": at(3), "result": result}],
        "times": {"began": at(0), "detected": at(1), "proposed": at(3), "approved": at(5), "acted": at(5), "recovered": over.then(|| at(9))},
    });
    let handling = Handling {
        note: Some("rule \"checkout crash loop\" waits: it healed this 12 min ago".into()),
        seen: Some(Seen {
            at: Timestamp::from_second(1_795_248_000).unwrap(),
            pod: Some("checkout-6f7c9d5b8-2xk4p".into()),
            log: vec![
                "2026-11-21T08:38:00Z INFO  listening on :8080".into(),
                "2026-11-21T08:38:02Z ERROR no route to payments:5432, giving up".into(),
            ],
            reasons: vec![
                "BackOff: Back-off restarting failed container app in pod checkout-6f7c9d5b8-2xk4p".into(),
            ],
            picture: None,
        }),
        ..Handling::default()
    };
    (serde_json::from_value(incident).unwrap(), handling)
}

/// Several of them, and what came of rules.
pub fn list(viewer: &Viewer, hostile: &str) -> Markup {
    let taken = json!(["console:ann", "2026-11-21T08:10:00Z"]);
    let all = [
        sample("KubePodCrashLooping", Value::Null, Value::Null, Value::Null),
        sample("HighLatency", Value::Null, taken, Value::Null),
        sample("KubeNodeNotReady", json!({"healed": {"request": HELD}}), Value::Null, json!("effective")),
        sample(hostile, json!({"escalated": {"to": "#oncall"}}), Value::Null, json!("ineffective")),
    ];
    let row = |cells: [&str; 9]| cells.map(String::from).to_vec();
    let table = Table {
        header: row([
            "rule",
            "begun",
            "helped",
            "did not",
            "not done",
            "to propose",
            "to approve",
            "to act",
            "to recover",
        ]),
        rows: vec![
            row(["checkout crash loop", "12", "9", "2", "1", "1 s", "74 s", "2 s", "190 s"]),
            row([hostile, "1", "0", "1", "0", "-", "-", "-", "-"]),
        ],
        links: Vec::new(),
    };
    page(
        "Incidents",
        Here::Incidents,
        viewer,
        html! {
            h1 { "Incidents" }
            nav.pages aria-label="which" {
                a href="/incidents" aria-current="page" { "Going on" }
                a href="/incidents?show=all" { "All" }
            }
            ol.requests { @for (one, handling) in &all { (incident::row(one, handling, true)) } }
            section aria-labelledby="rules" {
                h2 id="rules" { "What came of each rule" }
                (draw::table(&table))
            }
        },
    )
}

/// One in full.
pub fn one(viewer: &Viewer, clicks: &Clicks, asked: RequestView) -> Markup {
    let (incident, handling) = sample("KubePodCrashLooping", Value::Null, Value::Null, json!("ineffective"));
    let labels = [("production".to_string(), "true".to_string())].into();
    let now = Timestamp::from_second(1_795_248_000 + 900).unwrap();
    let live = cards::incident(&incident, &handling, &[], Some(&asked), &labels, now);
    let main = html! {
        h1 { "Incident " code { "0000beef" } }
        (card(&live, clicks, None))
        (incident::incident(&incident, &handling, &[], &[asked]))
    };
    page("Incident 0000beef", Here::Incidents, viewer, main)
}
