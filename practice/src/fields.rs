//! Sets of field paths, as `metadata.managedFields` writes them (FieldsV1).

use crate::schema::{self, Shape};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// `f:spec`, `k:{"name":"app"}`, `v:"finalizer"`
pub(crate) type Path = Vec<String>;

/// A set of fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Fields(pub BTreeSet<Path>);

/// What a write did to fields.
#[derive(Debug, Default)]
pub(crate) struct Difference {
    pub added: Fields,
    pub changed: Fields,
    pub removed: Fields,
}

impl Fields {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    pub fn add(&mut self, other: &Fields) {
        self.0.extend(other.0.iter().cloned());
    }
    pub fn subtract(&mut self, other: &Fields) {
        if !other.is_empty() {
            self.0.retain(|path| !other.0.contains(path));
        }
    }
    /// True when the path or anything below it is in the set.
    pub fn covers(&self, path: &Path) -> bool {
        self.0.range(path.clone()..).next().is_some_and(|next| next.starts_with(path))
    }

    /// The fields that an object (as applied) states.
    pub fn of(object: &Value, custom: bool) -> Fields {
        let mut fields = Fields::default();
        let mut walk = Walk { custom, way: Vec::new(), path: Vec::new() };
        walk.collect(object, &mut fields);
        fields.strip();
        fields
    }

    /// From FieldsV1.
    pub fn parse(tree: &Value) -> Fields {
        fn walk(tree: &Value, path: &mut Path, out: &mut Fields) {
            let Some(map) = tree.as_object() else { return };
            if map.is_empty() && !path.is_empty() {
                out.0.insert(path.clone());
            }
            for (key, below) in map {
                if key == "." {
                    out.0.insert(path.clone());
                } else {
                    path.push(key.clone());
                    walk(below, path, out);
                    path.pop();
                }
            }
        }
        let mut fields = Fields::default();
        walk(tree, &mut Vec::new(), &mut fields);
        fields
    }

    /// As FieldsV1.
    pub fn tree(&self) -> Value {
        let mut root = Map::new();
        for path in &self.0 {
            let mut here = &mut root;
            for (depth, element) in path.iter().enumerate() {
                let last = depth + 1 == path.len();
                let below = here.entry(element.clone()).or_insert_with(|| json!({}));
                let below = below.as_object_mut().expect("trees are made of maps");
                // A member that also has members below it carries a dot; paths come in order, so it is met first.
                if last && self.0.range(path.clone()..).nth(1).is_some_and(|next| next.starts_with(path)) {
                    below.insert(".".into(), json!({}));
                }
                here = below;
            }
        }
        Value::Object(root)
    }

    /// What nobody manages.
    fn strip(&mut self) {
        const NEVER: &[&str] = &[
            "f:name",
            "f:namespace",
            "f:creationTimestamp",
            "f:selfLink",
            "f:uid",
            "f:generation",
            "f:managedFields",
            "f:resourceVersion",
        ];
        self.0.retain(|path| {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            match path[..] {
                [] | ["f:apiVersion" | "f:kind" | "f:metadata"] => false,
                ["f:metadata", field] => !NEVER.contains(&field),
                _ => true,
            }
        });
    }
}

/// `.spec.template.spec.containers[name="app"].image`
pub(crate) fn print(path: &Path) -> String {
    path.iter()
        .map(|element| match element.split_at(2) {
            ("f:", field) => format!(".{field}"),
            ("v:", value) => format!("[={value}]"),
            (_, key) => {
                let key: Value = serde_json::from_str(key).unwrap_or_default();
                let parts: Vec<String> = key
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(field, value)| format!("{field}={value}"))
                    .collect();
                format!("[{}]", parts.join(","))
            }
        })
        .collect()
}

/// The path element of an entry of a keyed list.
pub(crate) fn key_of(entry: &Value, keys: &[&str]) -> String {
    let mut sorted: Vec<&&str> = keys.iter().collect();
    sorted.sort();
    let parts: Vec<String> = sorted
        .into_iter()
        .filter_map(|key| {
            let value =
                entry.get(*key).cloned().or_else(|| schema::key_default(key).map(|text| json!(text)))?;
            Some(format!("{}:{value}", json!(key)))
        })
        .collect();
    format!("k:{{{}}}", parts.join(","))
}

/// What became of the fields between two states of an object.
pub(crate) fn compare(old: &Value, new: &Value, custom: bool) -> Difference {
    let mut difference = Difference::default();
    Walk { custom, way: Vec::new(), path: Vec::new() }.compare(Some(old), Some(new), &mut difference);
    difference.added.strip();
    difference.changed.strip();
    difference.removed.strip();
    difference
}

struct Walk<'a> {
    custom: bool,
    way: Vec<&'a str>,
    path: Path,
}

impl<'a> Walk<'a> {
    fn shape(&self, value: &Value) -> Shape {
        match value {
            Value::Object(_) => schema::shape(&self.way, false, self.custom),
            Value::Array(_) => schema::shape(&self.way, true, self.custom),
            _ => Shape::Atomic,
        }
    }

    fn collect(&mut self, value: &'a Value, out: &mut Fields) {
        match (value, self.shape(value)) {
            (Value::Object(map), Shape::Granular) => {
                if map.is_empty() && !self.path.is_empty() {
                    out.0.insert(self.path.clone());
                }
                self.collect_map(map, out);
            }
            (Value::Array(entries), Shape::Keyed(keys)) => {
                for entry in entries {
                    self.path.push(key_of(entry, keys));
                    out.0.insert(self.path.clone());
                    if let Value::Object(map) = entry
                        && self.way.last() != Some(&"ownerReferences")
                    {
                        self.collect_map(map, out);
                    }
                    self.path.pop();
                }
            }
            (Value::Array(entries), Shape::Set) => {
                for entry in entries {
                    self.path.push(format!("v:{entry}"));
                    out.0.insert(self.path.clone());
                    self.path.pop();
                }
            }
            _ => {
                out.0.insert(self.path.clone());
            }
        }
    }

    fn collect_map(&mut self, map: &'a Map<String, Value>, out: &mut Fields) {
        for (field, below) in map {
            self.way.push(field);
            self.path.push(format!("f:{field}"));
            self.collect(below, out);
            self.path.pop();
            self.way.pop();
        }
    }

    fn compare(&mut self, old: Option<&'a Value>, new: Option<&'a Value>, out: &mut Difference) {
        if old == new {
            return;
        }
        let shape = self.shape(new.or(old).unwrap_or(&Value::Null));
        let same_sort = |value: Option<&Value>| {
            value.is_none_or(|value| {
                value.is_object() == matches!(shape, Shape::Granular)
                    && value.is_array() == !matches!(shape, Shape::Granular)
            })
        };
        if shape != Shape::Atomic && same_sort(old) && same_sort(new) {
            self.mark_presence(old, new, out);
            match shape {
                Shape::Granular => {
                    self.compare_maps(old.and_then(Value::as_object), new.and_then(Value::as_object), out)
                }
                Shape::Keyed(keys) => self.compare_entries(old, new, keys, out),
                _ => self.compare_sets(old, new, out),
            }
            return;
        }
        match (old, new) {
            (None, Some(_)) => out.added.0.insert(self.path.clone()),
            (Some(_), None) => out.removed.0.insert(self.path.clone()),
            _ => out.changed.0.insert(self.path.clone()),
        };
    }

    /// A map or list that came or went is itself a field, beside what is in it.
    fn mark_presence(&self, old: Option<&Value>, new: Option<&Value>, out: &mut Difference) {
        if self.path.is_empty()
            || self.way.last().is_some_and(|field| schema::always_there(field))
                && self.path.last().is_some_and(|last| last.starts_with("f:"))
        {
            return;
        }
        match (old, new) {
            (None, Some(_)) => out.added.0.insert(self.path.clone()),
            (Some(_), None) => out.removed.0.insert(self.path.clone()),
            _ => false,
        };
    }

    fn compare_maps(
        &mut self,
        old: Option<&'a Map<String, Value>>,
        new: Option<&'a Map<String, Value>>,
        out: &mut Difference,
    ) {
        let fields: BTreeSet<&'a String> =
            old.into_iter().flat_map(Map::keys).chain(new.into_iter().flat_map(Map::keys)).collect();
        for field in fields {
            self.way.push(field);
            self.path.push(format!("f:{field}"));
            self.compare(old.and_then(|map| map.get(field)), new.and_then(|map| map.get(field)), out);
            self.path.pop();
            self.way.pop();
        }
    }

    fn compare_entries(
        &mut self,
        old: Option<&'a Value>,
        new: Option<&'a Value>,
        keys: &[&str],
        out: &mut Difference,
    ) {
        fn entries<'v>(list: Option<&'v Value>, keys: &[&str]) -> Vec<(String, &'v Value)> {
            list.and_then(Value::as_array)
                .into_iter()
                .flatten()
                .map(|entry| (key_of(entry, keys), entry))
                .collect()
        }
        let (before, after) = (entries(old, keys), entries(new, keys));
        let all: BTreeSet<&String> = before.iter().chain(&after).map(|(key, _)| key).collect();
        for key in all {
            let find =
                |list: &[(String, &'a Value)]| list.iter().find(|(of, _)| of == key).map(|(_, entry)| *entry);
            let (was, is) = (find(&before), find(&after));
            self.path.push(key.clone());
            if self.way.last() == Some(&"ownerReferences") {
                match (was, is) {
                    (None, Some(_)) => out.added.0.insert(self.path.clone()),
                    (Some(_), None) => out.removed.0.insert(self.path.clone()),
                    (was, is) if was != is => out.changed.0.insert(self.path.clone()),
                    _ => false,
                };
            } else {
                self.mark_presence(was, is, out);
                self.compare_maps(was.and_then(Value::as_object), is.and_then(Value::as_object), out);
            }
            self.path.pop();
        }
    }

    fn compare_sets(&mut self, old: Option<&Value>, new: Option<&Value>, out: &mut Difference) {
        let members = |list: Option<&Value>| -> BTreeSet<String> {
            list.and_then(Value::as_array).into_iter().flatten().map(|entry| format!("v:{entry}")).collect()
        };
        let (before, after) = (members(old), members(new));
        for (members, others, fields) in
            [(&after, &before, &mut out.added), (&before, &after, &mut out.removed)]
        {
            for member in members.difference(others) {
                self.path.push(member.clone());
                fields.0.insert(self.path.clone());
                self.path.pop();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_an_object_survive_the_wire_form() {
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "labels": {"app": "a"}, "finalizers": ["x/y"]},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "a"}}, "template": {"spec": {"containers": [
                {"name": "app", "image": "a:1", "ports": [{"containerPort": 80}], "resources": {"limits": {"cpu": "1"}}}]}}}});
        let fields = Fields::of(&object, false);
        assert_eq!(Fields::parse(&fields.tree()), fields);
        let printed: Vec<String> = fields.0.iter().map(print).collect();
        insta::assert_snapshot!(printed.join("\n"), @r#"
        .metadata.finalizers[="x/y"]
        .metadata.labels.app
        .spec.replicas
        .spec.selector
        .spec.template.spec.containers[name="app"]
        .spec.template.spec.containers[name="app"].image
        .spec.template.spec.containers[name="app"].name
        .spec.template.spec.containers[name="app"].ports[containerPort=80,protocol="TCP"]
        .spec.template.spec.containers[name="app"].ports[containerPort=80,protocol="TCP"].containerPort
        .spec.template.spec.containers[name="app"].resources.limits.cpu
        "#);
    }
}
