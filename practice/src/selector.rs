//! Label selectors (as text and as objects) and field selectors.

use crate::failure::Failure;
use crate::object::text;
use crate::resource::Resource;
use serde_json::Value;

/// What labels must be like.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Labels(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    In(Vec<String>),
    /// Also true when the label is missing.
    NotIn(Vec<String>),
    Exists,
    Absent,
    Greater(i64),
    Less(i64),
}

impl Labels {
    /// `app=a,tier!=x,env in (prod, dev),!old,cpu>3`
    pub fn parse(selector: &str) -> Result<Labels, Failure> {
        split_outside_parentheses(selector)
            .into_iter()
            .filter(|part| !part.trim().is_empty())
            .map(|part| requirement(part.trim(), selector))
            .collect::<Result<_, _>>()
            .map(Labels)
    }

    /// A LabelSelector object; none when it selects nothing because it is missing.
    pub fn of(selector: &Value) -> Option<Labels> {
        let selector = selector.as_object()?;
        let mut all = Vec::new();
        if let Some(wanted) = selector.get("matchLabels").and_then(Value::as_object) {
            all.extend(wanted.iter().map(|(key, value)| Requirement {
                key: key.clone(),
                test: Test::In(vec![value.as_str().unwrap_or("").to_owned()]),
            }));
        }
        for expression in selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten() {
            let values = || {
                expression["values"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            };
            let test = match text(expression, &["operator"]) {
                "In" => Test::In(values()),
                "NotIn" => Test::NotIn(values()),
                "Exists" => Test::Exists,
                "DoesNotExist" => Test::Absent,
                _ => return None,
            };
            all.push(Requirement { key: text(expression, &["key"]).to_owned(), test });
        }
        Some(Labels(all))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Labels that an object must have with exactly this value.
    pub fn exact(&self) -> impl Iterator<Item = (String, String)> {
        self.0.iter().filter_map(|requirement| match &requirement.test {
            Test::In(values) if values.len() == 1 => Some((requirement.key.clone(), values[0].clone())),
            _ => None,
        })
    }

    /// `labels`: a map of text, or null.
    pub fn matches(&self, labels: &Value) -> bool {
        self.0.iter().all(|requirement| {
            let value = labels.get(&requirement.key).and_then(Value::as_str);
            match &requirement.test {
                Test::In(wanted) => value.is_some_and(|value| wanted.iter().any(|word| word == value)),
                Test::NotIn(unwanted) => value.is_none_or(|value| unwanted.iter().all(|word| word != value)),
                Test::Exists => value.is_some(),
                Test::Absent => value.is_none(),
                Test::Greater(bound) => {
                    value.and_then(|value| value.parse::<i64>().ok()).is_some_and(|value| value > *bound)
                }
                Test::Less(bound) => {
                    value.and_then(|value| value.parse::<i64>().ok()).is_some_and(|value| value < *bound)
                }
            }
        })
    }
}

impl std::fmt::Display for Labels {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, requirement) in self.0.iter().enumerate() {
            let key = &requirement.key;
            if index > 0 {
                out.write_str(",")?;
            }
            match &requirement.test {
                Test::In(values) if values.len() == 1 => write!(out, "{key}={}", values[0])?,
                Test::In(values) => write!(out, "{key} in ({})", values.join(","))?,
                Test::NotIn(values) if values.len() == 1 => write!(out, "{key}!={}", values[0])?,
                Test::NotIn(values) => write!(out, "{key} notin ({})", values.join(","))?,
                Test::Exists => write!(out, "{key}")?,
                Test::Absent => write!(out, "!{key}")?,
                Test::Greater(bound) => write!(out, "{key}>{bound}")?,
                Test::Less(bound) => write!(out, "{key}<{bound}")?,
            }
        }
        Ok(())
    }
}

fn split_outside_parentheses(selector: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_i32, 0);
    for (index, character) in selector.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&selector[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(&selector[start..]);
    parts
}

fn requirement(part: &str, whole: &str) -> Result<Requirement, Failure> {
    let wrong = |why: String| Failure::bad_request(format!("unable to parse requirement: {why}"));
    let build = |key: &str, test: Test| -> Result<Requirement, Failure> {
        let key = key.trim();
        let name = key.rsplit('/').next().unwrap_or("");
        let good = !name.is_empty()
            && name.len() <= 63
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if !good {
            return Err(wrong(format!("found '{key}', expected: a label key in '{whole}'")));
        }
        Ok(Requirement { key: key.to_owned(), test })
    };
    let set = |text: &str| -> Result<Vec<String>, Failure> {
        let inner = text
            .trim()
            .strip_prefix('(')
            .and_then(|text| text.strip_suffix(')'))
            .ok_or_else(|| wrong(format!("found '{}', expected: '('", text.trim())))?;
        Ok(inner.split(',').map(|word| word.trim().to_owned()).collect())
    };
    if let Some((key, values)) = part
        .split_once(" notin ")
        .or_else(|| part.split_once(" notin(").map(|(key, _)| (key, &part[part.find('(').unwrap_or(0)..])))
    {
        return build(key, Test::NotIn(set(values)?));
    }
    if let Some((key, values)) = part
        .split_once(" in ")
        .or_else(|| part.split_once(" in(").map(|(key, _)| (key, &part[part.find('(').unwrap_or(0)..])))
    {
        return build(key, Test::In(set(values)?));
    }
    if let Some((key, value)) = part.split_once("!=") {
        return build(key, Test::NotIn(vec![value.trim().to_owned()]));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return build(key, Test::In(vec![value.trim().to_owned()]));
    }
    if let Some((key, bound)) = part.split_once('>') {
        return build(
            key,
            Test::Greater(bound.trim().parse().map_err(|_| wrong(format!("'{bound}' is not a number")))?),
        );
    }
    if let Some((key, bound)) = part.split_once('<') {
        return build(
            key,
            Test::Less(bound.trim().parse().map_err(|_| wrong(format!("'{bound}' is not a number")))?),
        );
    }
    if let Some(key) = part.strip_prefix('!') {
        return build(key, Test::Absent);
    }
    build(part, Test::Exists)
}

/// What fields must be like.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(Vec<(Vec<String>, String, bool)>);

impl Fields {
    /// `metadata.name=a,status.phase!=Running`; only the fields that the real server knows for the kind.
    pub fn parse(selector: &str, resource: &Resource) -> Result<Fields, Failure> {
        let mut all = Vec::new();
        for part in selector.split(',').filter(|part| !part.trim().is_empty()) {
            let (field, value, equal) = part
                .split_once("!=")
                .map(|(field, value)| (field, value, false))
                .or_else(|| {
                    part.split_once("==")
                        .or_else(|| part.split_once('='))
                        .map(|(field, value)| (field, value, true))
                })
                .ok_or_else(|| {
                    Failure::bad_request(format!("invalid selector: '{part}'; can't understand '{part}'"))
                })?;
            let known = matches!(field, "metadata.name" | "metadata.namespace")
                || supported(&resource.id()).contains(&field);
            if !known {
                return Err(Failure::bad_request(format!(
                    "Unable to find \"{}, Resource={}\" that match label selector \"\", field selector \"{selector}\": field label not supported: {field}",
                    if resource.group.is_empty() {
                        format!("/{}", resource.version)
                    } else {
                        resource.api_version()
                    },
                    resource.plural
                )));
            }
            let field = if field == "source" { "source.component" } else { field };
            all.push((field.split('.').map(str::to_owned).collect(), value.to_owned(), equal));
        }
        Ok(Fields(all))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|(path, wanted, equal)| {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let is = match crate::object::at(object, &path) {
                Value::String(text) => text.clone(),
                Value::Null if path == ["spec", "unschedulable"] || path == ["spec", "hostNetwork"] => {
                    "false".into()
                }
                Value::Null => String::new(),
                other => other.to_string(),
            };
            (is == *wanted) == *equal
        })
    }
}

fn supported(id: &str) -> &'static [&'static str] {
    match id {
        "pods" => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        "events" => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        "nodes" => &["spec.unschedulable"],
        "secrets" => &["type"],
        "namespaces" => &["status.phase"],
        "jobs.batch" => &["status.successful"],
        "replicasets.apps" => &["status.replicas"],
        "services" => &["spec.clusterIP", "spec.type"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn every_form_of_label_selector_is_understood() {
        let labels = json!({"app": "a", "tier": "web", "n": "5"});
        for yes in [
            "app=a",
            "app==a",
            "app in (a, b)",
            "tier notin (db)",
            "none!=x",
            "app",
            "!none",
            "n>4",
            "n<6",
            "app=a,tier=web",
            "",
        ] {
            assert!(Labels::parse(yes).unwrap().matches(&labels), "{yes}");
        }
        for no in
            ["app=b", "app!=a", "app in (b)", "tier notin (web,db)", "!app", "none", "n>5", "app=a,tier=db"]
        {
            assert!(!Labels::parse(no).unwrap().matches(&labels), "{no}");
        }
        assert!(Labels::parse("app in a").is_err());
        assert!(Labels::parse("a b=c").is_err());
    }

    proptest! {
        #[test]
        fn no_selector_text_panics(text in ".{0,60}") {
            let _ = Labels::parse(&text);
        }
        #[test]
        fn a_parsed_selector_prints_and_parses_to_itself(key in "[a-z]{1,8}", values in proptest::collection::vec("[a-z0-9]{1,5}", 1..4), negate: bool) {
            let text = format!("{key} {} ({})", if negate { "notin" } else { "in" }, values.join(","));
            let parsed = Labels::parse(&text).unwrap();
            prop_assert_eq!(Labels::parse(&parsed.to_string()).unwrap(), parsed);
        }
    }
}
