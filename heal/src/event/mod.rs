//! What happened, in one form: an alert, an event, a log line or a finding, whoever told it.
//!
//! [`alert::read`] takes what Alertmanager (webhook version 4) and Grafana post, [`cloud::structured`] and [`cloud::binary`]
//! CloudEvents 1.0, and [`read`] any of them from a file. All are pure: bytes in, a [`Batch`] out. One bad alert among
//! good ones is told and does not take the others with it.
//!
//! An event belongs to its trouble by its [`Fingerprint`].

pub mod alert;
pub mod cloud;
mod fingerprint;
mod severity;
mod subject;

pub use fingerprint::Fingerprint;
pub use severity::Severity;
pub use subject::{Subject, Workload};

use crate::language::ast::Origin;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most alerts in one message.
pub const MOST_ALERTS: usize = 10_000;
/// Most labels, and most annotations, of one event.
pub const MOST_LABELS: usize = 128;
/// Longest value of a label or annotation in bytes; what is longer is cut.
pub const LONGEST_VALUE: usize = 4096;
/// Longest name of an event, a label or an object in bytes.
pub const LONGEST_NAME: usize = 256;

/// Something that happened, or is no longer so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Of this message; the same event sent again has the same one. CloudEvents `id`.
    pub id: String,
    /// Who tells it: `alertmanager`, `grafana`, or the `source` of a CloudEvent.
    pub source: String,
    /// What rules listen to it with.
    pub origin: Origin,
    /// What rules know it by: the alert's name, or the `type` of a CloudEvent.
    pub name: String,
    /// How bad.
    pub severity: Severity,
    /// Whether it goes on.
    pub state: State,
    /// Since when.
    pub started: Timestamp,
    /// Until when, once it is over.
    pub ended: Option<Timestamp>,
    /// What it is about.
    pub subject: Subject,
    /// As they came.
    pub labels: BTreeMap<String, String>,
    /// Words for people.
    pub annotations: BTreeMap<String, String>,
    /// What people will want to look at.
    pub evidence: Vec<Evidence>,
    /// W3C trace id, 32 hexadecimal digits, where there is one.
    pub trace: Option<String>,
    /// The trouble it belongs to.
    pub fingerprint: Fingerprint,
}

/// Whether an event goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It does.
    Firing,
    /// It is over.
    Resolved,
}

/// Something to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// What it is: `summary`, `runbook`, `graph`.
    pub title: String,
    /// A text, or an address that begins with `http://` or `https://` when `link` is set.
    pub text: String,
    /// Whether the text is an address.
    pub link: bool,
}

/// What one message said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// What could be read, in order.
    pub events: Vec<Event>,
    /// What could not.
    pub refused: Vec<Refused>,
    /// Alerts that the sender left out for length: they are somewhere, and only the sender knows which.
    pub truncated: u64,
}

/// One event of a message that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its place in the message, from 0.
    pub index: usize,
    /// What is wrong with it, for people.
    pub why: String,
}

/// What the receiver knows besides the message.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The cluster of an event that names none.
    pub cluster: Option<&'a str>,
    /// For an event that does not say when it began.
    pub received: Timestamp,
}

/// A message that could not be read at all. The sender should not send it again as it is.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not JSON, or not of the right shape.
    #[error("read {what}: {source}")]
    Json {
        /// Of what kind it should have been.
        what: &'static str,
        /// Where and why.
        source: serde_json::Error,
    },
    /// It is JSON, and still not what it should be.
    #[error("read {what}: {why}")]
    Shape {
        /// Of what kind it should have been.
        what: &'static str,
        /// What is wrong, and what would be right.
        why: String,
    },
}

/// A message from a file, of whatever kind: Alertmanager, Grafana, a structured CloudEvent, or an [`Event`] as it is stored.
pub fn read(body: &[u8], context: Context<'_>) -> Result<Batch, ReadError> {
    let what = "event";
    let value: serde_json::Value =
        serde_json::from_slice(body).map_err(|source| ReadError::Json { what, source })?;
    if value.get("alerts").is_some() {
        return alert::read(body, context);
    }
    if value.get("specversion").is_some() {
        return cloud::structured(body, context);
    }
    if value.get("fingerprint").is_some() {
        let event = serde_json::from_slice(body).map_err(|source| ReadError::Json { what, source })?;
        return Ok(Batch { events: vec![event], ..Batch::default() });
    }
    let why = "it has neither `alerts` (Alertmanager, Grafana) nor `specversion` (CloudEvents)".into();
    Err(ReadError::Shape { what, why })
}

impl Event {
    /// The text of an attribute that rules ask for by name; empty where the event has none.
    pub fn text(&self, attribute: &str, key: Option<&str>) -> &str {
        let map = match attribute {
            "labels" => &self.labels,
            "annotations" => &self.annotations,
            other => return self.own_text(other),
        };
        key.and_then(|key| map.get(key)).map_or("", String::as_str)
    }

    fn own_text(&self, attribute: &str) -> &str {
        let subject = &self.subject;
        let text = match attribute {
            "name" => Some(&self.name),
            "source" => Some(&self.source),
            "cluster" => subject.cluster.as_ref(),
            "namespace" => subject.namespace.as_ref(),
            "workload" => subject.workload.as_ref().map(|workload| &workload.name),
            "kind" => subject.workload.as_ref().map(|workload| &workload.kind),
            "pod" => subject.pod.as_ref(),
            "node" => subject.node.as_ref(),
            _ => None,
        };
        text.map_or("", String::as_str)
    }
}

/// At most so many bytes, cut between letters.
fn cut(text: &str, longest: usize) -> String {
    if text.len() <= longest {
        return text.to_string();
    }
    format!("{}…", &text[..text.floor_char_boundary(longest.saturating_sub('…'.len_utf8()))])
}

/// Labels as they are kept: not too many, not too long. What is over is left out in the order of names.
fn bounded(labels: impl IntoIterator<Item = (String, String)>) -> BTreeMap<String, String> {
    let labels: BTreeMap<String, String> = labels.into_iter().collect();
    labels
        .into_iter()
        .filter(|(name, _)| !name.is_empty() && name.len() <= LONGEST_NAME)
        .take(MOST_LABELS)
        .map(|(name, value)| (name, cut(&value, LONGEST_VALUE)))
        .collect()
}

/// The trace id of a W3C `traceparent`, or of 32 hexadecimal digits alone.
fn trace(text: &str) -> Option<String> {
    let id = match text.split('-').collect::<Vec<_>>()[..] {
        [version, id, parent, _] if version.len() == 2 && parent.len() == 16 => id,
        [id] => id,
        _ => return None,
    };
    let good = id.len() == 32
        && id.bytes().all(|byte| byte.is_ascii_hexdigit())
        && id.bytes().any(|byte| byte != b'0');
    good.then(|| id.to_ascii_lowercase())
}

/// What annotations tell people: their words and addresses, the known ones first.
fn evidence(annotations: &BTreeMap<String, String>) -> Vec<Evidence> {
    const WORDS: [&str; 4] = ["summary", "description", "message", "impact"];
    let words = WORDS.iter().filter_map(|name| {
        let text = annotations.get(*name).filter(|text| !text.trim().is_empty())?;
        Some(Evidence { title: (*name).into(), text: text.clone(), link: false })
    });
    let links = annotations.iter().filter_map(|(name, text)| {
        let title = name.trim_end_matches("_url").trim_end_matches("URL");
        link(title, text)
    });
    words.chain(links).collect()
}

/// An address that a browser may open. Others (`javascript:`) are no evidence.
fn link(title: &str, address: &str) -> Option<Evidence> {
    let good = (address.starts_with("http://") || address.starts_with("https://"))
        && address.len() <= LONGEST_VALUE
        && !address.contains(|c: char| c.is_whitespace() || c.is_control());
    good.then(|| Evidence { title: title.into(), text: address.into(), link: true })
}
