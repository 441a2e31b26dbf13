//! Events, as the real controllers write them: repeated ones are counted up.

use super::Control;
use crate::object::{self, number, set, text};
use crate::write::Writer;
use serde_json::{Value, json};

/// More are not kept.
const KEPT: usize = 20_000;
/// Seconds that an event lives.
const LIFE: i64 = 3600;

/// Says that something happened to an object.
pub(crate) fn record(
    control: &mut Control<'_>,
    about: &Value,
    source: &str,
    warning: bool,
    reason: &str,
    message: &str,
) {
    let resource = control.resource("events");
    let namespace = if object::namespace(about).is_empty() { "default" } else { object::namespace(about) };
    let number_of = object::fnv(format!("{}|{source}|{reason}|{message}", object::uid(about)).as_bytes());
    let name = format!("{}.{number_of:016x}", object::name(about));
    let now = object::now();
    if let Some(old) = control.store.get("events", namespace, &name) {
        let mut new = (*old).clone();
        set(&mut new, &["count"], json!(number(&old, &["count"]).unwrap_or(1) + 1));
        set(&mut new, &["lastTimestamp"], json!(now));
        control.store.commit(&resource, Some(old), Some(new));
        return;
    }
    let mut origin = json!({"component": source});
    let node = text(about, &["spec", "nodeName"]);
    if source == "kubelet" && !node.is_empty() {
        origin["host"] = json!(node);
    }
    let event = json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": name},
        "involvedObject": {"apiVersion": about["apiVersion"], "kind": about["kind"], "namespace": about["metadata"]["namespace"], "name": object::name(about),
            "uid": object::uid(about), "resourceVersion": object::version(about)},
        "reason": reason, "message": message, "type": if warning { "Warning" } else { "Normal" },
        "source": origin, "reportingComponent": source, "reportingInstance": node,
        "firstTimestamp": now, "lastTimestamp": now, "eventTime": null, "count": 1});
    // In a namespace that is going away there is nothing to tell any more.
    let Ok(event) = control.store.create(&resource, namespace, event, &Writer::CONTROLLER) else { return };
    control.work.events.push_back(crate::store::Key {
        table: "events".into(),
        namespace: namespace.to_owned(),
        name: object::name(&event).to_owned(),
    });
    while control.work.events.len() > KEPT {
        drop_oldest(control);
    }
}

fn drop_oldest(control: &mut Control<'_>) {
    let resource = control.resource("events");
    if let Some(key) = control.work.events.pop_front()
        && let Some(event) = control.store.get_key(&key)
    {
        control.store.commit(&resource, Some(event), None);
    }
}

/// Removes events that have lived their time, those of an earlier life included.
pub(crate) fn sweep(control: &mut Control<'_>) {
    let resource = control.resource("events");
    let old: Vec<_> = control
        .store
        .list("events", "")
        .filter(|event| object::age_seconds(event, &["lastTimestamp"]).is_some_and(|age| age > LIFE))
        .cloned()
        .collect();
    for event in old {
        control.store.commit(&resource, Some(event), None);
    }
    let store = &control.store;
    control.work.events.retain(|key| store.get_key(key).is_some());
}
