//! Server-side apply: merge what a manager states, find conflicts with other managers, take away what it no longer states.

use crate::failure::Failure;
use crate::fields::{Fields, Path, compare, key_of, print};
use crate::managed::{self, Manager};
use crate::object;
use crate::schema::{self, Shape};
use serde_json::{Map, Value};

/// Who applies, and how.
pub(crate) struct Applier<'a> {
    pub manager: &'a str,
    pub subresource: &'a str,
    pub force: bool,
    pub custom: bool,
}

/// The object after the apply, managers included; `live` is an empty object when there is none yet.
pub(crate) fn apply(live: &Value, config: &Value, who: &Applier<'_>) -> Result<Value, Failure> {
    if !object::at(config, &["metadata", "managedFields"]).is_null() {
        return Err(Failure::bad_request("metadata.managedFields must be nil"));
    }
    let api_version = object::text(config, &["apiVersion"]).to_owned();
    let mut managers = managed::of(live, who.custom);
    let stated = Fields::of(config, who.custom);
    let mut merged = live.clone();
    merge(&mut merged, config, &mut Vec::new(), who.custom);

    let difference = compare(live, &merged, who.custom);
    let mut touched = difference.added;
    touched.add(&difference.changed);
    let is_me = |manager: &Manager| manager.is(who.manager, true, &api_version, who.subresource);
    let mut conflicts: Vec<(String, &Path)> = Vec::new();
    for manager in managers.iter().filter(|manager| !is_me(manager)) {
        conflicts.extend(manager.fields.0.intersection(&touched.0).map(|path| (manager.print(), path)));
    }
    if !conflicts.is_empty() && !who.force {
        conflicts.sort_by(|a, b| a.1.cmp(b.1).then_with(|| a.0.cmp(&b.0)));
        let printed: Vec<(String, String)> =
            conflicts.into_iter().map(|(manager, path)| (manager, print(path))).collect();
        return Err(Failure::apply_conflict(&printed));
    }
    for manager in
        managers.iter_mut().filter(|manager| !manager.is(who.manager, true, &api_version, who.subresource))
    {
        manager.fields.subtract(&touched);
    }

    let mine = managers.iter().position(is_me);
    if let Some(index) = mine {
        let before = std::mem::take(&mut managers[index].fields);
        // Parents come before what is in them, so a whole list entry goes while its key still tells which one it is.
        let given_up = before.0.iter().filter(|path| !stated.covers(path));
        for path in given_up.filter(|path| !managers.iter().any(|manager| manager.fields.covers(path))) {
            take_away(&mut merged, path, &mut Vec::new(), who.custom);
        }
        if before != stated {
            managers[index].time = object::now();
        }
        managers[index].api_version = api_version;
        managers[index].fields = stated;
    } else {
        managers.push(Manager {
            name: who.manager.to_owned(),
            applies: true,
            api_version,
            subresource: who.subresource.to_owned(),
            time: object::now(),
            fields: stated,
        });
    }
    managed::write(&mut merged, managers);
    Ok(merged)
}

/// Lays what is stated over what is there.
fn merge<'a>(target: &mut Value, config: &'a Value, way: &mut Vec<&'a str>, custom: bool) {
    let shape = match config {
        Value::Object(_) => schema::shape(way, false, custom),
        Value::Array(_) => schema::shape(way, true, custom),
        _ => Shape::Atomic,
    };
    match (config, shape) {
        (Value::Object(stated), Shape::Granular) => {
            if !target.is_object() {
                *target = Value::Object(Map::new());
            }
            merge_map(target, stated, way, custom);
        }
        (Value::Array(entries), Shape::Keyed(keys)) => {
            let mut result = target.as_array().cloned().unwrap_or_default();
            for entry in entries {
                let key = key_of(entry, keys);
                match result.iter_mut().find(|is| key_of(is, keys) == key) {
                    Some(is) if way.last() == Some(&"ownerReferences") => *is = entry.clone(),
                    Some(is) => {
                        if let Value::Object(stated) = entry {
                            merge_map(is, stated, way, custom);
                        }
                    }
                    None => result.push(entry.clone()),
                }
            }
            *target = Value::Array(result);
        }
        (Value::Array(entries), Shape::Set) => {
            let mut result = target.as_array().cloned().unwrap_or_default();
            for entry in entries {
                if !result.contains(entry) {
                    result.push(entry.clone());
                }
            }
            *target = Value::Array(result);
        }
        _ => *target = config.clone(),
    }
}

fn merge_map<'a>(target: &mut Value, stated: &'a Map<String, Value>, way: &mut Vec<&'a str>, custom: bool) {
    for (field, value) in stated {
        way.push(field);
        let map = target.as_object_mut().expect("callers pass maps");
        merge(map.entry(field.clone()).or_insert(Value::Null), value, way, custom);
        way.pop();
    }
}

/// Removes the value at a path, and maps and lists that become empty by it.
fn take_away<'a>(target: &mut Value, path: &'a [String], way: &mut Vec<&'a str>, custom: bool) {
    let Some((element, rest)) = path.split_first() else { return };
    match (element.split_at(2), target) {
        (("f:", field), Value::Object(map)) => {
            way.push(field);
            if rest.is_empty() {
                map.remove(field);
            } else if let Some(below) = map.get_mut(field) {
                take_away(below, rest, way, custom);
                let empty = below.as_object().is_some_and(Map::is_empty)
                    || below.as_array().is_some_and(Vec::is_empty);
                if empty && way.len() > 1 {
                    map.remove(field);
                }
            }
        }
        (("v:", value), Value::Array(entries)) => entries.retain(|entry| format!("{entry}") != value),
        (_, Value::Array(entries)) => {
            let Shape::Keyed(keys) = schema::shape(way, true, custom) else { return };
            let Some(index) = entries.iter().position(|entry| key_of(entry, keys) == *element) else {
                return;
            };
            if rest.is_empty() {
                entries.remove(index);
            } else {
                take_away(&mut entries[index], rest, way, custom);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn as_manager<'a>(manager: &'a str, force: bool) -> Applier<'a> {
        Applier { manager, subresource: "", force, custom: false }
    }

    fn deployment(spec: Value) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "labels": {"x": "1"}}, "spec": spec})
    }

    #[test]
    fn what_a_manager_no_longer_states_goes_away_and_what_others_own_stays() {
        let first = apply(&json!({}), &deployment(json!({"replicas": 2, "template": {"spec": {"containers": [{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}]}}})), &as_manager("one", false)).unwrap();
        let second = apply(
            &first,
            &deployment(json!({"template": {"spec": {"containers": [{"name": "b", "image": "b:1"}]}}})),
            &as_manager("two", false),
        )
        .unwrap();
        let third = apply(
            &second,
            &json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": {}}),
            &as_manager("one", false),
        )
        .unwrap();
        assert_eq!(
            third["spec"],
            json!({"template": {"spec": {"containers": [{"name": "b", "image": "b:1"}]}}})
        );
        assert_eq!(third["metadata"]["labels"], json!({"x": "1"}));
    }

    #[test]
    fn a_conflict_names_manager_and_field_and_force_takes_over() {
        let first =
            apply(&json!({}), &deployment(json!({"replicas": 2})), &as_manager("one", false)).unwrap();
        let config = deployment(json!({"replicas": 5}));
        let refused = apply(&first, &config, &as_manager("two", false)).unwrap_err();
        assert_eq!(refused.message, r#"Apply failed with 1 conflict: conflict with "one": .spec.replicas"#);
        assert_eq!(
            refused.details,
            json!({"causes": [{"reason": "FieldManagerConflict", "message": "conflict with \"one\"", "field": ".spec.replicas"}]})
        );
        let forced = apply(&first, &config, &as_manager("two", true)).unwrap();
        assert_eq!(forced["spec"]["replicas"], 5);
        let owners: Vec<String> = managed::read(&forced)
            .into_iter()
            .filter(|manager| manager.fields.covers(&vec!["f:spec".into(), "f:replicas".into()]))
            .map(|manager| manager.name)
            .collect();
        assert_eq!(owners, ["two"]);
    }

    #[test]
    fn the_same_value_is_shared_without_conflict_and_applying_twice_changes_nothing() {
        let config = deployment(json!({"replicas": 2}));
        let first = apply(&json!({}), &config, &as_manager("one", false)).unwrap();
        let second = apply(&first, &config, &as_manager("two", false)).unwrap();
        assert_eq!(managed::read(&second).len(), 2);
        assert_eq!(apply(&second, &config, &as_manager("two", false)).unwrap(), second);
    }
}
