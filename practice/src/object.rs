//! Reading and writing plain JSON objects.

use serde_json::{Map, Value, json};

const NOTHING: Value = Value::Null;

/// The value at a path of field names; null when anything on the way is missing.
pub(crate) fn at<'a>(object: &'a Value, path: &[&str]) -> &'a Value {
    path.iter().try_fold(object, |value, field| value.get(field)).unwrap_or(&NOTHING)
}

/// The text at a path; empty when missing.
pub(crate) fn text<'a>(object: &'a Value, path: &[&str]) -> &'a str {
    at(object, path).as_str().unwrap_or("")
}

/// The whole number at a path.
pub(crate) fn number(object: &Value, path: &[&str]) -> Option<i64> {
    at(object, path).as_i64()
}

/// The list at a path; empty when missing.
pub(crate) fn list<'a>(object: &'a Value, path: &[&str]) -> &'a [Value] {
    at(object, path).as_array().map_or(&[], Vec::as_slice)
}

/// Sets the value at a path, making the maps on the way.
pub(crate) fn set(object: &mut Value, path: &[&str], value: Value) {
    let Some((last, way)) = path.split_last() else {
        *object = value;
        return;
    };
    map_at(object, way).insert((*last).to_owned(), value);
}

/// The map at a path, made when it is missing or something else.
pub(crate) fn map_at<'a>(object: &'a mut Value, path: &[&str]) -> &'a mut Map<String, Value> {
    let mut here = object;
    for field in path {
        if !here.is_object() {
            *here = json!({});
        }
        here = here.as_object_mut().expect("just made").entry(*field).or_insert_with(|| json!({}));
    }
    if !here.is_object() {
        *here = json!({});
    }
    here.as_object_mut().expect("just made")
}

/// Takes the value at a path away.
pub(crate) fn remove(object: &mut Value, path: &[&str]) -> Option<Value> {
    let (last, way) = path.split_last()?;
    let mut here = object;
    for field in way {
        here = here.get_mut(field)?;
    }
    here.as_object_mut()?.remove(*last)
}

pub(crate) fn name(object: &Value) -> &str {
    text(object, &["metadata", "name"])
}
pub(crate) fn namespace(object: &Value) -> &str {
    text(object, &["metadata", "namespace"])
}
pub(crate) fn uid(object: &Value) -> &str {
    text(object, &["metadata", "uid"])
}
pub(crate) fn version(object: &Value) -> &str {
    text(object, &["metadata", "resourceVersion"])
}
pub(crate) fn generation(object: &Value) -> Option<i64> {
    number(object, &["metadata", "generation"])
}
pub(crate) fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    at(object, &["metadata", "annotations", key]).as_str()
}
pub(crate) fn is_deleting(object: &Value) -> bool {
    !at(object, &["metadata", "deletionTimestamp"]).is_null()
}

/// The label map; null when there is none.
pub(crate) fn labels(object: &Value) -> &Value {
    at(object, &["metadata", "labels"])
}

/// The owner reference that controls the object.
pub(crate) fn controller(object: &Value) -> Option<&Value> {
    list(object, &["metadata", "ownerReferences"])
        .iter()
        .find(|owner| at(owner, &["controller"]) == &Value::Bool(true))
}

/// An owner reference of a controller.
pub(crate) fn owner_reference(owner: &Value) -> Value {
    json!({"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": name(owner), "uid": uid(owner), "controller": true, "blockOwnerDeletion": true})
}

/// The condition of this type.
pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    list(object, &["status", "conditions"]).iter().find(|condition| text(condition, &["type"]) == kind)
}

/// True when the condition of this type says "True".
pub(crate) fn holds(object: &Value, kind: &str) -> bool {
    condition(object, kind).is_some_and(|condition| text(condition, &["status"]) == "True")
}

/// Now, as Kubernetes writes times: whole seconds, UTC.
pub(crate) fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Now with microseconds, as leases and the audit trail write it.
pub(crate) fn now_precise() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// Seconds since the time at a path; none when there is none.
pub(crate) fn age_seconds(object: &Value, path: &[&str]) -> Option<i64> {
    let then: jiff::Timestamp = text(object, path).parse().ok()?;
    Some(jiff::Timestamp::now().as_second() - then.as_second())
}

/// Five characters as the real server appends them to `generateName`.
pub(crate) fn random_suffix() -> String {
    (0..5).map(|_| ALPHABET[rand::random_range(0..ALPHABET.len())] as char).collect()
}

/// Without vowels and look-alikes, so that no words arise.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// FNV-1a of the value's canonical text, in the characters that names of ReplicaSets and revisions use.
pub(crate) fn hash(value: &Value) -> String {
    let number = fnv(value.to_string().as_bytes()) as u32;
    number.to_string().bytes().map(|digit| ALPHABET[usize::from(digit) % ALPHABET.len()] as char).collect()
}

pub(crate) fn fnv(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
