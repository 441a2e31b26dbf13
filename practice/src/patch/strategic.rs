//! Strategic merge patch: a merge patch that knows which lists are maps by key, with `$patch`, `$retainKeys` and
//! `$deleteFromPrimitiveList`. `$setElementOrder` is accepted and not followed.

use crate::failure::Failure;
use crate::schema;
use serde_json::{Map, Value};

/// Merges the patch into the object.
pub(crate) fn patch(target: &mut Value, patch: &Value) -> Result<(), Failure> {
    let Value::Object(patch) = patch else {
        return Err(Failure::bad_request("error decoding patch: the patch is not an object"));
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    merge_map(target.as_object_mut().expect("just made"), patch, "")
}

fn merge_map(
    target: &mut Map<String, Value>,
    patch: &Map<String, Value>,
    field: &str,
) -> Result<(), Failure> {
    match patch.get("$patch").and_then(Value::as_str) {
        Some("replace") => {
            *target = patch
                .iter()
                .filter(|(key, _)| *key != "$patch")
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            return Ok(());
        }
        Some("delete") => {
            target.clear();
            return Ok(());
        }
        Some("merge") | None => {}
        Some(other) => return Err(Failure::bad_request(format!("unknown patch type found: {other}"))),
    }
    if let Some(keep) = patch.get("$retainKeys").and_then(Value::as_array) {
        target.retain(|key, _| keep.iter().any(|kept| kept.as_str() == Some(key)));
    }
    for (key, value) in patch {
        if let Some(list) = key.strip_prefix("$deleteFromPrimitiveList/") {
            if let (Some(Value::Array(entries)), Some(gone)) = (target.get_mut(list), value.as_array()) {
                entries.retain(|entry| !gone.contains(entry));
            }
            continue;
        }
        if key.starts_with('$') {
            continue;
        }
        match value {
            Value::Null => {
                target.remove(key);
            }
            Value::Object(below) => {
                let here = target.entry(key.clone()).or_insert_with(|| Value::Object(Map::new()));
                if !here.is_object() {
                    *here = Value::Object(Map::new());
                }
                merge_map(here.as_object_mut().expect("just made"), below, key)?;
            }
            Value::Array(entries) => {
                let old = match target.remove(key) {
                    Some(Value::Array(old)) => old,
                    _ => Vec::new(),
                };
                target.insert(key.clone(), Value::Array(merge_list(old, entries, key, field)?));
            }
            scalar => {
                target.insert(key.clone(), scalar.clone());
            }
        }
    }
    Ok(())
}

fn merge_list(
    mut old: Vec<Value>,
    patch: &[Value],
    field: &str,
    parent: &str,
) -> Result<Vec<Value>, Failure> {
    if schema::merges_as_set(field) {
        for entry in patch {
            if !old.contains(entry) {
                old.push(entry.clone());
            }
        }
        return Ok(old);
    }
    let Some(key) = schema::merge_key(field, parent) else { return Ok(patch.to_vec()) };
    if patch.iter().any(|entry| entry.get("$patch").and_then(Value::as_str) == Some("replace")) {
        return Ok(patch.iter().filter(|entry| entry.get("$patch").is_none()).cloned().collect());
    }
    for entry in patch {
        let Value::Object(entry_map) = entry else {
            return Err(Failure::bad_request(format!("an entry of {field} is not an object")));
        };
        let Some(name) = entry.get(key) else {
            return Err(Failure::internal(format!(
                "map: {entry} does not contain declared merge key: {key}"
            )));
        };
        let found = old.iter().position(|is| is.get(key) == Some(name));
        if entry.get("$patch").and_then(Value::as_str) == Some("delete") {
            old.retain(|is| is.get(key) != Some(name));
            continue;
        }
        let index = found.unwrap_or_else(|| {
            old.push(Value::Object(Map::new()));
            old.len() - 1
        });
        if !old[index].is_object() {
            old[index] = Value::Object(Map::new());
        }
        merge_map(old[index].as_object_mut().expect("just made"), entry_map, field)?;
    }
    Ok(old)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn after(target: Value, with: Value) -> Value {
        let mut target = target;
        patch(&mut target, &with).unwrap();
        target
    }

    #[test]
    fn containers_merge_by_name_and_their_env_and_ports_by_their_keys() {
        let pod = json!({"spec": {"containers": [
            {"name": "a", "image": "a:1", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}], "ports": [{"containerPort": 80}], "args": ["p"]},
            {"name": "b", "image": "b:1"}]}});
        let is = after(
            pod,
            json!({"spec": {"$setElementOrder/containers": [{"name": "a"}], "containers": [
            {"name": "a", "image": "a:2", "env": [{"name": "X", "$patch": "delete"}, {"name": "Z", "value": "3"}], "ports": [{"containerPort": 80, "name": "web"}], "args": ["q", "r"]},
            {"name": "c", "image": "c:1"}]}}),
        );
        assert_eq!(
            is,
            json!({"spec": {"containers": [
            {"name": "a", "image": "a:2", "env": [{"name": "Y", "value": "2"}, {"name": "Z", "value": "3"}], "ports": [{"containerPort": 80, "name": "web"}], "args": ["q", "r"]},
            {"name": "b", "image": "b:1"}, {"name": "c", "image": "c:1"}]}})
        );
    }

    #[test]
    fn directives_replace_delete_and_retain() {
        assert_eq!(
            after(
                json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}]}}),
                json!({"spec": {"containers": [{"$patch": "replace"}, {"name": "c"}]}})
            ),
            json!({"spec": {"containers": [{"name": "c"}]}})
        );
        assert_eq!(
            after(json!({"m": {"a": 1, "b": 2}}), json!({"m": {"$patch": "replace", "c": 3}})),
            json!({"m": {"c": 3}})
        );
        assert_eq!(
            after(
                json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}),
                json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}})
            ),
            json!({"spec": {"strategy": {"type": "Recreate"}}})
        );
        assert_eq!(
            after(
                json!({"metadata": {"finalizers": ["a", "b"]}}),
                json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]}})
            ),
            json!({"metadata": {"finalizers": ["b", "c"]}})
        );
        assert_eq!(
            after(
                json!({"spec": {"tolerations": [{"key": "a"}]}}),
                json!({"spec": {"tolerations": [{"key": "b"}]}})
            ),
            json!({"spec": {"tolerations": [{"key": "b"}]}})
        );
    }

    #[test]
    fn a_list_entry_without_its_key_is_refused() {
        assert!(
            patch(
                &mut json!({"spec": {"containers": []}}),
                &json!({"spec": {"containers": [{"image": "x"}]}})
            )
            .is_err()
        );
    }
}
