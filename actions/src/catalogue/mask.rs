//! Secrets never reach chat, logs or audit (G12): values that look like secrets are hidden before anything is shown.

use crate::secret::{HIDDEN, is_secret_name};
use serde_json::Value;

/// What stands for a hidden value that will be another one.
const HIDDEN_CHANGED: &str = "(hidden, changed)";

/// Hides secret-like values in a pod template or pod (`containers`, `initContainers` below `pod_spec`): `env` values by
/// name, and `--token=...` and `--token`, `...` in commands and arguments.
pub fn mask_pod_spec(pod_spec: &mut Value) {
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for container in items(pod_spec, list) {
            for variable in items(container, "env") {
                if variable["name"].as_str().is_some_and(is_secret_name)
                    && variable["value"].as_str().is_some_and(|value| !value.is_empty())
                {
                    variable["value"] = HIDDEN.into();
                }
            }
            for words in ["command", "args"] {
                mask_words(items(container, words));
            }
        }
    }
}

/// A list's items, if it is there. (Indexing would make it where it is not.)
fn items<'a>(object: &'a mut Value, list: &str) -> impl Iterator<Item = &'a mut Value> {
    object.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten()
}

fn mask_words<'a>(words: impl Iterator<Item = &'a mut Value>) {
    let mut hide_next = false;
    for word in words {
        let Some(text) = word.as_str() else { continue };
        let is_flag = text.starts_with('-');
        let hide = std::mem::replace(&mut hide_next, is_flag && is_plain(text) && is_secret_name(text));
        if hide && !is_flag && !text.is_empty() {
            *word = HIDDEN.into();
        } else if let Some(masked) = mask_word(text) {
            *word = masked.into();
        }
    }
}

fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

fn mask_word(word: &str) -> Option<String> {
    let (name, value) = word.split_once('=')?;
    (is_plain(name) && !value.is_empty() && is_secret_name(name)).then(|| format!("{name}={HIDDEN}"))
}

/// After both sides of a change were masked: says where a hidden value differs from the one before.
pub fn mark_changed(before: &Value, after: &Value, masked_after: &mut Value) {
    match (before, after, masked_after) {
        (Value::Object(before), Value::Object(after), Value::Object(masked)) => {
            for (key, masked) in masked {
                mark_changed(
                    before.get(key).unwrap_or(&Value::Null),
                    after.get(key).unwrap_or(&Value::Null),
                    masked,
                );
            }
        }
        (Value::Array(before), Value::Array(after), Value::Array(masked)) => {
            for (index, masked) in masked.iter_mut().enumerate() {
                // The counterpart is the item of the same name, or the one in the same place.
                let item = &after[index];
                let old = match item["name"].as_str() {
                    Some(name) => before.iter().find(|other| other["name"] == name),
                    None => before.get(index),
                };
                mark_changed(old.unwrap_or(&Value::Null), item, masked);
            }
        }
        (before, after, Value::String(masked))
            if masked.contains(HIDDEN) && before != after && !before.is_null() =>
        {
            *masked = masked.replace(HIDDEN, HIDDEN_CHANGED);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secret_like_values_are_hidden_and_others_are_not() {
        let mut spec = json!({"containers": [{"name": "app", "args": ["--api-token=abc", "--port=80", "serve", "--token", "abc", "--key", "--keyboard", "us"], "env": [
            {"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "LOG_LEVEL", "value": "info"}, {"name": "KEYCLOAK_URL", "value": "http://keycloak"},
            {"name": "API_KEY", "valueFrom": {"secretKeyRef": {"name": "api", "key": "k"}}}]}]});
        mask_pod_spec(&mut spec);
        assert_eq!(spec["containers"][0]["env"][0]["value"], HIDDEN);
        assert_eq!(spec["containers"][0]["env"][1]["value"], "info");
        assert_eq!(spec["containers"][0]["env"][2]["value"], "http://keycloak");
        assert_eq!(spec["containers"][0]["env"][3]["valueFrom"]["secretKeyRef"]["name"], "api");
        assert_eq!(
            spec["containers"][0]["args"],
            json!([
                "--api-token=(hidden)",
                "--port=80",
                "serve",
                "--token",
                "(hidden)",
                "--key",
                "--keyboard",
                "us"
            ])
        );
    }

    #[test]
    fn a_hidden_value_that_changes_says_so() {
        let before = json!({"containers": [{"name": "app", "env": [{"name": "TOKEN", "value": "a"}, {"name": "SECRET", "value": "s"}]}]});
        let after = json!({"containers": [{"name": "app", "env": [{"name": "SECRET", "value": "s"}, {"name": "TOKEN", "value": "b"}]}]});
        let mut masked = after.clone();
        mask_pod_spec(&mut masked);
        mark_changed(&before, &after, &mut masked);
        assert_eq!(masked["containers"][0]["env"][0]["value"], HIDDEN);
        assert_eq!(masked["containers"][0]["env"][1]["value"], HIDDEN_CHANGED);
    }
}
