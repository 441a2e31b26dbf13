//! Label selectors of Kubernetes objects (`matchLabels`, `matchExpressions`): does one match, and how it is written in a
//! list call. They come from the cluster's own objects, never from what people typed.

use serde_json::Value;

/// One requirement on a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// The label has one of these values.
    In(String, Vec<String>),
    /// It has none of these values, or is not there.
    NotIn(String, Vec<String>),
    /// It is there.
    Exists(String),
    /// It is not there.
    Absent(String),
}

impl Requirement {
    fn matches(&self, labels: &Value) -> bool {
        let value = |key: &String| labels[key].as_str();
        match self {
            Requirement::In(key, values) => {
                value(key).is_some_and(|value| values.iter().any(|known| known == value))
            }
            Requirement::NotIn(key, values) => {
                !value(key).is_some_and(|value| values.iter().any(|known| known == value))
            }
            Requirement::Exists(key) => value(key).is_some(),
            Requirement::Absent(key) => value(key).is_none(),
        }
    }
}

/// A LabelSelector; no requirement at all matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector(pub Vec<Requirement>);

impl Selector {
    /// From `spec.selector`. None when there is no selector or when it has an operator that we do not know: such a one
    /// must match nothing rather than everything.
    pub fn of(selector: &Value) -> Option<Selector> {
        let selector = selector.as_object()?;
        let mut requirements = Vec::new();
        for (key, value) in selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten() {
            requirements.push(Requirement::In(key.clone(), vec![value.as_str()?.to_string()]));
        }
        for expression in selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten() {
            let key = expression["key"].as_str()?.to_string();
            let values = expression["values"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|value| value.as_str().map(String::from))
                .collect();
            requirements.push(match expression["operator"].as_str()? {
                "In" => Requirement::In(key, values),
                "NotIn" => Requirement::NotIn(key, values),
                "Exists" => Requirement::Exists(key),
                "DoesNotExist" => Requirement::Absent(key),
                _ => return None,
            });
        }
        Some(Selector(requirements))
    }

    /// Do these labels (an object of strings, or null) match?
    pub fn matches(&self, labels: &Value) -> bool {
        self.0.iter().all(|requirement| requirement.matches(labels))
    }
}

/// As a list call wants it: `app=checkout,tier in (a,b),!canary`.
impl std::fmt::Display for Selector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, requirement) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            match requirement {
                Requirement::In(key, values) if values.len() == 1 => write!(f, "{key}={}", values[0])?,
                Requirement::In(key, values) => write!(f, "{key} in ({})", values.join(","))?,
                Requirement::NotIn(key, values) if values.len() == 1 => write!(f, "{key}!={}", values[0])?,
                Requirement::NotIn(key, values) => write!(f, "{key} notin ({})", values.join(","))?,
                Requirement::Exists(key) => f.write_str(key)?,
                Requirement::Absent(key) => write!(f, "!{key}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn labels_and_expressions_both_count() {
        let selector = Selector::of(&json!({"matchLabels": {"app": "checkout"}, "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["a", "b"]}, {"key": "canary", "operator": "DoesNotExist"},
            {"key": "zone", "operator": "NotIn", "values": ["z"]}, {"key": "team", "operator": "Exists"}]}))
        .unwrap();
        assert_eq!(selector.to_string(), "app=checkout,tier in (a,b),!canary,zone!=z,team");
        assert!(selector.matches(&json!({"app": "checkout", "tier": "b", "team": "x"})));
        assert!(!selector.matches(&json!({"app": "checkout", "tier": "c", "team": "x"})));
        assert!(!selector.matches(&json!({"app": "checkout", "tier": "b", "team": "x", "canary": "1"})));
        assert!(!selector.matches(&json!({"app": "checkout", "tier": "b", "team": "x", "zone": "z"})));
        assert!(!selector.matches(&Value::Null));
    }

    #[test]
    fn an_empty_selector_matches_all_and_a_missing_or_strange_one_nothing() {
        assert!(Selector::of(&json!({})).unwrap().matches(&Value::Null));
        assert_eq!(Selector::of(&Value::Null), None);
        assert_eq!(Selector::of(&json!({"matchExpressions": [{"key": "a", "operator": "Near"}]})), None);
    }
}
