//! serenity writes out every field that is not set; Discord, and whoever reads our logs, is told only what is.

use serde_json::Value;

/// Without what says nothing: nulls, `false`, empty lists and objects.
pub fn tidy(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (name, tidy(value)))
            .filter(|(_, value)| !is_default(value))
            .collect(),
        Value::Array(items) => items.into_iter().map(tidy).collect(),
        other => other,
    }
}

/// Is it what Discord takes a missing field for?
pub fn is_default(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}
