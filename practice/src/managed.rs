//! Who manages which field: reading and writing `metadata.managedFields`.

use crate::fields::{Fields, compare};
use crate::object::{self, list, text};
use serde_json::{Value, json};

/// One entry of managedFields.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Manager {
    pub name: String,
    /// True: Apply; false: Update.
    pub applies: bool,
    pub api_version: String,
    pub subresource: String,
    pub time: String,
    pub fields: Fields,
}

impl Manager {
    /// Appliers are the same whatever version they apply; updaters are told apart by it.
    pub fn is(&self, name: &str, applies: bool, api_version: &str, subresource: &str) -> bool {
        self.name == name
            && self.applies == applies
            && self.subresource == subresource
            && (applies || self.api_version == api_version)
    }
    /// As conflicts name it.
    pub fn print(&self) -> String {
        let subresource = if self.subresource.is_empty() {
            String::new()
        } else {
            format!(" with subresource {:?}", self.subresource)
        };
        let version = if self.applies { String::new() } else { format!(" using {}", self.api_version) };
        format!("{:?}{subresource}{version}", self.name)
    }
}

pub(crate) fn read(object: &Value) -> Vec<Manager> {
    list(object, &["metadata", "managedFields"])
        .iter()
        .filter(|entry| entry["fieldsV1"].is_object())
        .map(|entry| Manager {
            name: text(entry, &["manager"]).to_owned(),
            applies: text(entry, &["operation"]) == "Apply",
            api_version: text(entry, &["apiVersion"]).to_owned(),
            subresource: text(entry, &["subresource"]).to_owned(),
            time: text(entry, &["time"]).to_owned(),
            fields: Fields::parse(&entry["fieldsV1"]),
        })
        .collect()
}

pub(crate) fn write(object: &mut Value, mut managers: Vec<Manager>) {
    managers.retain(|manager| !manager.fields.is_empty());
    managers.sort_by(|a, b| {
        let key = |m: &Manager| {
            (!m.applies, m.time.clone(), m.name.clone(), m.api_version.clone(), m.subresource.clone())
        };
        key(a).cmp(&key(b))
    });
    let entries: Vec<Value> = managers
        .into_iter()
        .map(|manager| {
            let mut entry = json!({
                "manager": manager.name,
                "operation": if manager.applies { "Apply" } else { "Update" },
                "apiVersion": manager.api_version,
                "time": manager.time,
                "fieldsType": "FieldsV1",
                "fieldsV1": manager.fields.tree(),
            });
            if !manager.subresource.is_empty() {
                entry["subresource"] = json!(manager.subresource);
            }
            entry
        })
        .collect();
    if entries.is_empty() {
        object::remove(object, &["metadata", "managedFields"]);
    } else {
        object::set(object, &["metadata", "managedFields"], Value::Array(entries));
    }
}

/// The managers of an object. What our controllers made carries none, to save work: it is theirs by inference.
pub(crate) fn of(object: &Value, custom: bool) -> Vec<Manager> {
    let managers = read(object);
    if !managers.is_empty() || text(object, &["metadata", "resourceVersion"]).is_empty() {
        return managers;
    }
    let mut bare = object.clone();
    if let Some(map) = bare.as_object_mut() {
        map.remove("status");
    }
    vec![Manager {
        name: "kube-controller-manager".into(),
        applies: false,
        api_version: text(object, &["apiVersion"]).to_owned(),
        subresource: String::new(),
        time: text(object, &["metadata", "creationTimestamp"]).to_owned(),
        fields: Fields::of(&bare, custom),
    }]
}

/// After a write that is no apply: the writer owns what it changed, and nobody else does any more.
pub(crate) fn after_update(old: &Value, new: &mut Value, name: &str, subresource: &str, custom: bool) {
    let reset = new.pointer("/metadata/managedFields").and_then(Value::as_array).is_some_and(|entries| {
        entries.iter().all(|entry| entry.as_object().is_none_or(serde_json::Map::is_empty))
    });
    let asked_reset = reset && old.pointer("/metadata/managedFields").is_some();
    let mut managers = if asked_reset { Vec::new() } else { of(old, custom) };
    let difference = compare(old, new, custom);
    let mut gained = difference.added;
    gained.add(&difference.changed);
    if gained.is_empty() && difference.removed.is_empty() {
        return write(new, managers);
    }
    let api_version = text(new, &["apiVersion"]).to_owned();
    let mine = managers
        .iter()
        .position(|manager| manager.is(name, false, &api_version, subresource))
        .unwrap_or_else(|| {
            managers.push(Manager {
                name: name.to_owned(),
                applies: false,
                api_version,
                subresource: subresource.to_owned(),
                time: String::new(),
                fields: Fields::default(),
            });
            managers.len() - 1
        });
    for (index, manager) in managers.iter_mut().enumerate() {
        manager.fields.subtract(&difference.removed);
        if index == mine {
            let before = manager.fields.0.len();
            manager.fields.add(&gained);
            if manager.time.is_empty() || manager.fields.0.len() != before || !gained.is_empty() {
                manager.time = object::now();
            }
        } else {
            manager.fields.subtract(&difference.changed);
        }
    }
    write(new, managers);
}
