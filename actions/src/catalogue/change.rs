//! The smallest patch that makes one value of another: RFC 7386 merge patches, and strategic ones for pod templates.

use serde_json::{Map, Value, json};

/// The merge patch (RFC 7386) that makes `to` of `from`; `{}` when they are equal.
pub fn merge_patch(from: &Value, to: &Value) -> Value {
    let (Value::Object(from), Value::Object(to)) = (from, to) else { return to.clone() };
    let mut patch = Map::new();
    for key in from.keys().filter(|key| !to.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, new) in to {
        match from.get(key) {
            Some(old) if old == new => {}
            Some(old) => {
                patch.insert(key.clone(), merge_patch(old, new));
            }
            None => {
                patch.insert(key.clone(), new.clone());
            }
        }
    }
    Value::Object(patch)
}

/// The strategic merge patch that makes the pod template `to` of `from`: lists with a merge key item by item, so that only
/// what differs (and no other container's environment) is in it. `{}` when they are equal.
pub fn strategic_patch(from: &Value, to: &Value) -> Value {
    let (Value::Object(from), Value::Object(to)) = (from, to) else { return to.clone() };
    let mut patch = Map::new();
    for key in from.keys().filter(|key| !to.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, new) in to {
        match (from.get(key), new, merge_key(key)) {
            (Some(old), new, _) if old == new => {}
            (Some(Value::Array(old)), Value::Array(new), Some(merge_key)) => {
                list_patch(key, merge_key, old, new, &mut patch)
            }
            (Some(old), new, _) => {
                patch.insert(key.clone(), strategic_patch(old, new));
            }
            (None, new, _) => {
                patch.insert(key.clone(), new.clone());
            }
        }
    }
    Value::Object(patch)
}

/// Merge keys of the lists in a pod template (`patchMergeKey` in k8s.io/api/core/v1); other lists are replaced whole.
fn merge_key(list: &str) -> Option<&'static str> {
    Some(match list {
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "env"
        | "volumes"
        | "imagePullSecrets"
        | "resourceClaims" => "name",
        "volumeMounts" => "mountPath",
        "volumeDevices" => "devicePath",
        "ports" => "containerPort",
        "hostAliases" => "ip",
        "topologySpreadConstraints" => "topologyKey",
        _ => return None,
    })
}

fn list_patch(list: &str, merge_key: &str, old: &[Value], new: &[Value], patch: &mut Map<String, Value>) {
    let keys = |items: &[Value]| -> Option<Vec<Value>> {
        let mut keys: Vec<Value> = Vec::new();
        for item in items {
            let key = item.get(merge_key)?;
            if keys.contains(key) {
                return None;
            }
            keys.push(key.clone());
        }
        Some(keys)
    };
    let (Some(old_keys), Some(new_keys)) = (keys(old), keys(new)) else {
        // Without unique keys (one port number for TCP and UDP) items cannot be merged: replace the list.
        let items = std::iter::once(json!({"$patch": "replace"})).chain(new.iter().cloned()).collect();
        patch.insert(list.to_string(), Value::Array(items));
        return;
    };
    let mut items = Vec::new();
    for (key, item) in new_keys.iter().zip(new) {
        match old_keys.iter().position(|known| known == key) {
            Some(index) if old[index] == *item => {}
            Some(index) => {
                let mut change = strategic_patch(&old[index], item);
                change[merge_key] = key.clone();
                items.push(change);
            }
            None => items.push(item.clone()),
        }
    }
    for key in old_keys.iter().filter(|key| !new_keys.contains(key)) {
        items.push(json!({merge_key: key, "$patch": "delete"}));
    }
    let kept = old_keys.iter().filter(|key| new_keys.contains(key));
    let added = new_keys.iter().filter(|key| !old_keys.contains(key));
    if !kept.chain(added).eq(new_keys.iter()) {
        let order = new_keys.iter().map(|key| json!({merge_key: key})).collect();
        patch.insert(format!("$setElementOrder/{list}"), Value::Array(order));
    }
    patch.insert(list.to_string(), Value::Array(items));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 7386, section 2.
    fn apply_merge(target: &Value, patch: &Value) -> Value {
        let Value::Object(patch) = patch else { return patch.clone() };
        let mut result = target.as_object().cloned().unwrap_or_default();
        for (key, value) in patch {
            if value.is_null() {
                result.remove(key);
            } else {
                result.insert(key.clone(), apply_merge(result.get(key).unwrap_or(&Value::Null), value));
            }
        }
        Value::Object(result)
    }

    /// Objects without nulls, as stored by an API server.
    fn object() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            (0..5i64).prop_map(Value::from),
            "[a-c]{0,2}".prop_map(Value::from)
        ];
        let any = leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a-d]", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect()))
            ]
        });
        prop::collection::btree_map("[a-d]", any, 0..4)
            .prop_map(|map| Value::Object(map.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn a_merge_patch_makes_the_one_of_the_other(from in object(), to in object()) {
            let made = apply_merge(&from, &merge_patch(&from, &to));
            prop_assert_eq!(made, to);
        }
    }

    #[test]
    fn only_the_container_that_differs_is_in_the_patch() {
        let from = json!({"spec": {"containers": [{"name": "app", "image": "a:1", "env": [{"name": "TOKEN", "value": "t"}, {"name": "LEVEL", "value": "info"}]}, {"name": "proxy", "image": "p:1"}]}});
        let to = json!({"spec": {"containers": [{"name": "app", "image": "a:2", "env": [{"name": "TOKEN", "value": "t"}]}, {"name": "proxy", "image": "p:1"}]}});
        assert_eq!(
            strategic_patch(&from, &to),
            json!({"spec": {"containers": [{"name": "app", "image": "a:2", "env": [{"name": "LEVEL", "$patch": "delete"}]}]}})
        );
        assert_eq!(strategic_patch(&to, &to), json!({}));
    }

    #[test]
    fn an_item_that_comes_back_to_the_middle_brings_the_order_along() {
        let from = json!({"env": [{"name": "A", "value": "1"}, {"name": "C", "value": "3"}]});
        let to = json!({"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}, {"name": "C", "value": "3"}]});
        assert_eq!(
            strategic_patch(&from, &to),
            json!({"$setElementOrder/env": [{"name": "A"}, {"name": "B"}, {"name": "C"}], "env": [{"name": "B", "value": "2"}]})
        );
    }

    #[test]
    fn ports_that_share_a_number_are_replaced_whole() {
        let from = json!({"ports": [{"containerPort": 53, "protocol": "UDP"}]});
        let to = json!({"ports": [{"containerPort": 53, "protocol": "UDP"}, {"containerPort": 53, "protocol": "TCP"}]});
        assert_eq!(strategic_patch(&from, &to)["ports"][0], json!({"$patch": "replace"}));
        assert_eq!(strategic_patch(&from, &to)["ports"].as_array().unwrap().len(), 3);
    }
}
