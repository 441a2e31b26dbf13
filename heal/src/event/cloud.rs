//! CloudEvents 1.0 over HTTP: structured (one JSON body) and binary (attributes in headers).
//!
//! Rules know an event by its `type`. Extension attributes and the plain values at the top of `data` become labels, so
//! that `{"data": {"namespace": "shop", "severity": "critical", "used": 97}}` can be asked for with `labels.used > 95`. Two are
//! taken out of `data` as they are: objects named `labels` and `annotations`. `status` there, when it is `resolved`, ends
//! the trouble.

use super::{
    Batch, Context, Event, Fingerprint, LONGEST_NAME, ReadError, Severity, State, Subject, bounded, cut,
    evidence, trace,
};
use crate::language::ast::Origin;
use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

const WHAT: &str = "CloudEvent";
/// Attributes of the specification; every other one is an extension.
const KNOWN: [&str; 9] =
    ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "data"];

/// A body of `application/cloudevents+json`.
pub fn structured(body: &[u8], context: Context<'_>) -> Result<Batch, ReadError> {
    let json = |source| ReadError::Json { what: WHAT, source };
    let mut attributes: Map<String, Value> = serde_json::from_slice(body).map_err(json)?;
    let mut data = attributes.remove("data").unwrap_or(Value::Null);
    if let Some(encoded) = attributes.remove("data_base64") {
        let bytes = encoded.as_str().and_then(|text| BASE64_STANDARD.decode(text).ok());
        let bytes = bytes.ok_or_else(|| shape("`data_base64` is not base64".into()))?;
        data = payload(&bytes, attributes.get("datacontenttype").and_then(Value::as_str))?;
    }
    let attributes =
        attributes.into_iter().filter_map(|(name, value)| Some((name, plain(&value)?))).collect();
    event(attributes, data, context)
}

/// Headers and body of a message whose attributes are in `ce-` headers. Names of headers in any case.
pub fn binary<'a>(
    headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    body: &[u8],
    context: Context<'_>,
) -> Result<Batch, ReadError> {
    let mut attributes = BTreeMap::new();
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        if name == "content-type" {
            attributes.insert("datacontenttype".to_string(), value.to_string());
        } else if let Some(attribute) = name.strip_prefix("ce-") {
            attributes.insert(attribute.to_string(), percent_decoded(value));
        }
    }
    let data = payload(body, attributes.get("datacontenttype").map(String::as_str))?;
    event(attributes, data, context)
}

/// The body as JSON where it says that it is, or as one text.
fn payload(body: &[u8], kind: Option<&str>) -> Result<Value, ReadError> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    let kind =
        kind.unwrap_or("application/json").split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind == "application/json" || kind.ends_with("+json") || kind == "text/json" {
        return serde_json::from_slice(body).map_err(|source| ReadError::Json { what: WHAT, source });
    }
    Ok(Value::String(String::from_utf8_lossy(body).into_owned()))
}

fn event(
    attributes: BTreeMap<String, String>,
    data: Value,
    context: Context<'_>,
) -> Result<Batch, ReadError> {
    match attributes.get("specversion").map(String::as_str) {
        Some("1.0") => {}
        Some(other) => {
            return Err(shape(format!(
                "specversion `{}` is not known; this reads 1.0",
                cut(other, 40).escape_debug()
            )));
        }
        None => return Err(shape("it has no `specversion`".into())),
    }
    let needed = |name: &str| match attributes.get(name) {
        Some(value) if value.len() > LONGEST_NAME => {
            Err(shape(format!("`{name}` is longer than {LONGEST_NAME} bytes")))
        }
        Some(value) if !value.is_empty() => Ok(value.clone()),
        _ => Err(shape(format!("it has no `{name}`"))),
    };
    let (id, source, name) = (needed("id")?, needed("source")?, needed("type")?);
    let time = attributes.get("time").map(|time| time.parse::<Timestamp>());
    let started = match time {
        None => context.received,
        Some(Ok(time)) => time,
        Some(Err(_)) => return Err(shape("`time` is not a time such as 2026-01-31T12:00:00Z".into())),
    };
    let mut labels: BTreeMap<String, String> = BTreeMap::new();
    let mut annotations = BTreeMap::new();
    if let Value::Object(fields) = data {
        for (name, value) in fields {
            match (name.as_str(), value) {
                ("labels", Value::Object(inner)) => labels.extend(texts(inner)),
                ("annotations", Value::Object(inner)) => annotations.extend(texts(inner)),
                (_, value) => labels.extend(plain(&value).map(|value| (name, value))),
            }
        }
    } else if let Some(text) = plain(&data) {
        annotations.insert("message".to_string(), text);
    }
    // What the envelope says counts more than what the letter says.
    let extensions = attributes.iter().filter(|(name, _)| !KNOWN.contains(&name.as_str()));
    labels.extend(extensions.map(|(name, value)| (name.clone(), value.clone())));
    let subject = Subject::from_labels(&labels, context.cluster);
    let about = attributes.get("subject").map_or("", String::as_str);
    let workload = subject.workload.as_ref();
    let fingerprint = Fingerprint::new(
        Origin::Event,
        &name,
        subject.cluster.as_deref(),
        [
            ("source", source.as_str()),
            ("subject", about),
            ("namespace", subject.namespace.as_deref().unwrap_or_default()),
            ("kind", workload.map_or("", |workload| &workload.kind)),
            ("workload", workload.map_or("", |workload| &workload.name)),
            ("pod", subject.pod.as_deref().unwrap_or_default()),
            ("node", subject.node.as_deref().unwrap_or_default()),
        ],
    );
    let resolved = labels.get("status").is_some_and(|status| status == "resolved");
    let severity =
        labels.get("severity").and_then(|word| Severity::from_word(word)).unwrap_or(Severity::WARNING);
    let trace = ["traceparent", "trace_id"].iter().find_map(|name| trace(labels.get(*name)?));
    let annotations = bounded(annotations);
    let event = Event {
        id: format!("{source}/{id}"),
        source,
        origin: Origin::Event,
        name,
        severity,
        state: if resolved { State::Resolved } else { State::Firing },
        started,
        ended: resolved.then_some(started),
        subject,
        labels: bounded(labels),
        evidence: evidence(&annotations),
        annotations,
        trace,
        fingerprint,
    };
    Ok(Batch { events: vec![event], ..Batch::default() })
}

fn shape(why: String) -> ReadError {
    ReadError::Shape { what: WHAT, why }
}

/// A text, number or boolean as a text.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

fn texts(fields: Map<String, Value>) -> impl Iterator<Item = (String, String)> {
    fields.into_iter().filter_map(|(name, value)| Some((name, plain(&value)?)))
}

/// As the HTTP binding asks: `%C3%A9` is `é`. What is no UTF-8 then becomes replacement characters.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let code = (*first == b'%').then(|| behind.get(..2)).flatten().and_then(|hex| {
            let mut byte = [0];
            hex::decode_to_slice(hex, &mut byte).ok().map(|()| byte[0])
        });
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &behind[2..] } else { behind };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
