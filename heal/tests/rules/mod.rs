//! Rules against events.

mod judging;
mod matching;

use heal::{
    event::{Context, Event, read},
    language::Catalogue,
    rules::{RuleFile, Rules},
};
use serde_json::json;

pub fn load(source: &str) -> Rules {
    let file = RuleFile { name: "shop.heal".into(), source: source.into() };
    Rules::load(&[file], &Catalogue::standard())
        .unwrap_or_else(|refused| panic!("{}", refused.reports.join("\n\n")))
}

/// A firing alert with these labels besides its name.
pub fn alert(name: &str, labels: &[(&str, &str)]) -> Event {
    let mut all: serde_json::Map<_, _> =
        labels.iter().map(|(name, value)| (name.to_string(), json!(value))).collect();
    all.insert("alertname".into(), json!(name));
    let alert = json!({"status": "firing", "labels": all, "startsAt": "2026-02-03T04:00:00Z"});
    let body = serde_json::to_vec(&json!({"version": "4", "alerts": [alert]})).unwrap();
    let context = Context { cluster: Some("prod-eu"), received: "2026-02-03T04:05:06Z".parse().unwrap() };
    read(&body, context).unwrap().events.remove(0)
}
