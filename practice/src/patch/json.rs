//! JSON patch, RFC 6902.

use crate::failure::Failure;
use crate::object::text;
use serde_json::Value;

/// All operations or none. The real server tells nothing about which one failed, so neither do we.
pub(crate) fn patch(target: &mut Value, operations: &Value) -> Result<(), Failure> {
    let operations = operations.as_array().ok_or_else(|| {
        Failure::bad_request(
            "error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch",
        )
    })?;
    if operations.len() > 10_000 {
        return Err(Failure::new(
            413,
            "RequestEntityTooLarge",
            "The allowed maximum operations in a JSON patch is 10000",
        ));
    }
    let mut result = target.clone();
    for operation in operations {
        one(&mut result, operation).ok_or_else(Failure::unprocessable)?;
    }
    *target = result;
    Ok(())
}

fn one(target: &mut Value, operation: &Value) -> Option<()> {
    let path = pointer(text(operation, &["path"]))?;
    match text(operation, &["op"]) {
        "add" => add(target, &path, operation.get("value")?.clone()),
        "remove" => take(target, &path).map(drop),
        "replace" => {
            *find(target, &path)? = operation.get("value")?.clone();
            Some(())
        }
        "move" => {
            let value = take(target, &pointer(text(operation, &["from"]))?)?;
            add(target, &path, value)
        }
        "copy" => {
            let value = find(target, &pointer(text(operation, &["from"]))?)?.clone();
            add(target, &path, value)
        }
        "test" => {
            let wanted = operation.get("value").unwrap_or(&Value::Null);
            // A missing field equals null, as in the library that the real server uses.
            (find(target, &path).map_or(wanted.is_null(), |is| is == wanted)).then_some(())
        }
        _ => None,
    }
}

fn pointer(path: &str) -> Option<Vec<String>> {
    if path.is_empty() {
        return Some(Vec::new());
    }
    Some(path.strip_prefix('/')?.split('/').map(|part| part.replace("~1", "/").replace("~0", "~")).collect())
}

fn find<'a>(target: &'a mut Value, path: &[String]) -> Option<&'a mut Value> {
    path.iter().try_fold(target, |here, part| match here {
        Value::Object(map) => map.get_mut(part),
        Value::Array(entries) => entries.get_mut(part.parse::<usize>().ok()?),
        _ => None,
    })
}

fn add(target: &mut Value, path: &[String], value: Value) -> Option<()> {
    let Some((last, way)) = path.split_last() else {
        *target = value;
        return Some(());
    };
    match find(target, way)? {
        Value::Object(map) => {
            map.insert(last.clone(), value);
        }
        Value::Array(entries) => {
            let index = if last == "-" {
                entries.len()
            } else {
                last.parse().ok().filter(|index| *index <= entries.len())?
            };
            entries.insert(index, value);
        }
        _ => return None,
    }
    Some(())
}

fn take(target: &mut Value, path: &[String]) -> Option<Value> {
    let (last, way) = path.split_last()?;
    match find(target, way)? {
        Value::Object(map) => map.remove(last),
        Value::Array(entries) => {
            let index: usize = last.parse().ok().filter(|index| *index < entries.len())?;
            Some(entries.remove(index))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn every_operation_works_and_a_failed_test_leaves_everything_alone() {
        let mut object = json!({"a": [1, 2], "b": {"c/d": "x"}});
        let all = json!([
            {"op": "test", "path": "/b/c~1d", "value": "x"}, {"op": "add", "path": "/a/1", "value": 9}, {"op": "add", "path": "/a/-", "value": 3},
            {"op": "remove", "path": "/a/0"}, {"op": "copy", "from": "/b", "path": "/e"}, {"op": "move", "from": "/b/c~1d", "path": "/b/f"}, {"op": "replace", "path": "/a/0", "value": 8}]);
        patch(&mut object, &all).unwrap();
        let is = json!({"a": [8, 2, 3], "b": {"f": "x"}, "e": {"c/d": "x"}});
        assert_eq!(object, is);
        let failing = json!([{"op": "remove", "path": "/a"}, {"op": "test", "path": "/b/f", "value": "y"}]);
        assert_eq!(patch(&mut object, &failing).unwrap_err().code, 422);
        assert_eq!(object, is);
    }

    proptest! {
        #[test]
        fn no_patch_panics(op in "(add|remove|replace|move|copy|test|x)", path in "(/[a-c0-2~-]{0,3}){0,3}", from in "(/[a-c0-2]{0,2}){0,3}", value in 0..3) {
            let mut object = json!({"a": [1, {"b": 2}], "b": {"c": []}});
            let _ = patch(&mut object, &json!([{"op": op, "path": path, "from": from, "value": value}]));
        }
    }
}
