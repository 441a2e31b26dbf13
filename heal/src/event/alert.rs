//! What Alertmanager (webhook, version 4) and Grafana post. Grafana's body is Alertmanager's with more in it.

use super::{
    Batch, Context, Event, Evidence, Fingerprint, LONGEST_NAME, LONGEST_VALUE, MOST_ALERTS, ReadError,
    Refused, Severity, State, Subject, bounded, cut, evidence, link, trace,
};
use crate::language::ast::Origin;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// What both have in common. Unknown fields are allowed: both add some with each version.
#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    version: String,
    #[serde(default, rename = "truncatedAlerts")]
    truncated: u64,
    /// Grafana's own.
    #[serde(default, rename = "orgId")]
    org: Option<Value>,
    alerts: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    status: String,
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    starts_at: Timestamp,
    #[serde(default)]
    ends_at: Option<Timestamp>,
    #[serde(default, rename = "generatorURL")]
    generator: String,
    #[serde(default, rename = "dashboardURL")]
    dashboard: String,
    #[serde(default, rename = "panelURL")]
    panel: String,
    #[serde(default, rename = "imageURL")]
    image: String,
    /// The measured values, as Grafana writes them.
    #[serde(default)]
    value_string: String,
}

/// All alerts of a message. An error means that none of it could be read.
pub fn read(body: &[u8], context: Context<'_>) -> Result<Batch, ReadError> {
    let what = "alerts";
    let message: Message = serde_json::from_slice(body).map_err(|source| ReadError::Json { what, source })?;
    let grafana = message.org.is_some();
    if !grafana && message.version != "4" {
        let why = format!(
            "version `{}` of Alertmanager's webhook is not known; this reads version 4",
            cut(&message.version, 40).escape_debug()
        );
        return Err(ReadError::Shape { what, why });
    }
    if message.alerts.len() > MOST_ALERTS {
        let why = format!(
            "{} alerts in one message, and {MOST_ALERTS} are allowed; set `max_alerts` in the webhook's config",
            message.alerts.len()
        );
        return Err(ReadError::Shape { what, why });
    }
    let mut batch = Batch { truncated: message.truncated, ..Batch::default() };
    for (index, alert) in message.alerts.into_iter().enumerate() {
        match one(alert, grafana, context) {
            Ok(event) => batch.events.push(event),
            Err(why) => batch.refused.push(Refused { index, why }),
        }
    }
    Ok(batch)
}

fn one(alert: Value, grafana: bool, context: Context<'_>) -> Result<Event, String> {
    let alert: Alert = serde_json::from_value(alert).map_err(|error| error.to_string())?;
    let state = match alert.status.as_str() {
        "firing" => State::Firing,
        "resolved" => State::Resolved,
        other => {
            return Err(format!(
                "status `{}` is neither `firing` nor `resolved`",
                cut(other, 40).escape_debug()
            ));
        }
    };
    let name =
        alert.labels.get("alertname").filter(|name| !name.is_empty()).ok_or("it has no label `alertname`")?;
    if name.len() > LONGEST_NAME {
        return Err(format!("its name is longer than {LONGEST_NAME} bytes"));
    }
    let name = name.clone();
    // Of all labels as they came, so that cutting them never makes two troubles one.
    let identity = alert.labels.iter().filter(|(name, _)| !Fingerprint::PASSING.contains(&name.as_str()));
    let subject = Subject::from_labels(&alert.labels, context.cluster);
    let fingerprint = Fingerprint::new(
        Origin::Alert,
        &name,
        subject.cluster.as_deref(),
        identity.map(|(name, value)| (name.as_str(), value.as_str())),
    );
    let severity =
        alert.labels.get("severity").and_then(|word| Severity::from_word(word)).unwrap_or(Severity::WARNING);
    let trace = ["trace_id", "traceparent"]
        .iter()
        .find_map(|name| trace(alert.labels.get(*name).or_else(|| alert.annotations.get(*name))?));
    let annotations = bounded(alert.annotations);
    let mut evidence = evidence(&annotations);
    let links = [
        ("graph", &alert.generator),
        ("dashboard", &alert.dashboard),
        ("panel", &alert.panel),
        ("image", &alert.image),
    ];
    evidence.extend(links.into_iter().filter_map(|(title, address)| link(title, address)));
    if !alert.value_string.trim().is_empty() {
        let text = cut(&alert.value_string, LONGEST_VALUE);
        evidence.push(Evidence { title: "values".into(), text, link: false });
    }
    let started = alert.starts_at;
    // An alert that goes on has the year 1 there, or when it would be taken for over.
    let ended = (state == State::Resolved)
        .then(|| alert.ends_at.filter(|end| *end >= started).unwrap_or(context.received));
    let word = if state == State::Firing { "firing" } else { "resolved" };
    Ok(Event {
        id: format!("{fingerprint}/{word}/{}", ended.unwrap_or(started)),
        source: if grafana { "grafana".into() } else { "alertmanager".into() },
        origin: Origin::Alert,
        name,
        severity,
        state,
        started,
        ended,
        subject,
        labels: bounded(alert.labels),
        annotations,
        evidence,
        trace,
        fingerprint,
    })
}
