//! Admission webhooks: who is asked before something in a namespace is created, changed or deleted. Nobody answers here, so each costs
//! its timeout, and its policy says what then. Reference: <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/>.

use crate::exposition::Sample;
use crate::failure::Failure;
use crate::object::{self, at, list, number, text};
use crate::resource::Resource;
use crate::selector::Labels;
use crate::store::Store;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

const TABLE: &str = "validatingwebhookconfigurations.admissionregistration.k8s.io";
/// Where a webhook says nothing else, in seconds.
const TIMEOUT: i64 = 10;

/// A webhook that is asked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hook {
    name: String,
    url: String,
    /// What nobody has answered for so long is over.
    pub timeout: Duration,
    /// Without an answer the write is refused, and else done.
    fails: bool,
}

/// How often a webhook did not answer, by its name and the operation that was refused; None: it was let pass.
pub(crate) type Counts = BTreeMap<(String, Option<&'static str>), u64>;

/// Of a verb, as webhooks name it.
pub(crate) fn operation(verb: &str) -> Option<&'static str> {
    match verb {
        "create" => Some("CREATE"),
        "update" | "patch" => Some("UPDATE"),
        "delete" | "deletecollection" => Some("DELETE"),
        _ => None,
    }
}

/// Those that are asked about a write, in their order.
pub(crate) fn asked(
    store: &Store,
    resource: &Resource,
    namespace: &str,
    subresource: &str,
    operation: &str,
) -> Vec<Hook> {
    // As on the real server, no webhook is asked about webhooks, so that a broken one can be taken away.
    if resource.group == "admissionregistration.k8s.io" {
        return Vec::new();
    }
    let configurations = store.list(TABLE, "");
    let hooks = configurations.flat_map(|configuration| list(configuration, &["webhooks"]));
    hooks
        .filter(|hook| {
            let rules = list(hook, &["rules"]);
            rules.iter().any(|rule| concerns(rule, resource, subresource, operation))
                && selects(store, hook, namespace)
        })
        .map(|hook| Hook {
            name: text(hook, &["name"]).to_owned(),
            url: text(hook, &["clientConfig", "url"]).to_owned(),
            timeout: Duration::from_secs(number(hook, &["timeoutSeconds"]).unwrap_or(TIMEOUT).unsigned_abs()),
            fails: text(hook, &["failurePolicy"]) != "Ignore",
        })
        .collect()
}

fn concerns(rule: &Value, resource: &Resource, subresource: &str, operation: &str) -> bool {
    let has = |field: &str, wanted: &str| {
        list(rule, &[field]).iter().any(|word| word == "*" || word.as_str() == Some(wanted))
    };
    let path = match subresource {
        "" => resource.plural.clone(),
        subresource => format!("{}/{subresource}", resource.plural),
    };
    let mut resources = list(rule, &["resources"]).iter().filter_map(Value::as_str);
    let named = resources.any(|pattern| match pattern {
        "*/*" => true,
        "*" => subresource.is_empty(),
        exact => exact == path,
    });
    let in_scope = match text(rule, &["scope"]) {
        "Namespaced" => resource.namespaced,
        "Cluster" => !resource.namespaced,
        _ => true,
    };
    named
        && in_scope
        && has("operations", operation)
        && has("apiGroups", &resource.group)
        && has("apiVersions", &resource.version)
}

/// What is in no namespace is selected by every selector.
fn selects(store: &Store, hook: &Value, namespace: &str) -> bool {
    let selector = at(hook, &["namespaceSelector"]);
    if namespace.is_empty() || selector.is_null() {
        return true;
    }
    let Some(found) = store.get("namespaces", "", namespace) else { return false };
    Labels::of(selector).is_none_or(|labels| labels.matches(object::labels(&found)))
}

impl Hook {
    /// Nobody has answered: it is counted, and the write goes on or not.
    pub fn unanswered(&self, store: &mut Store, operation: &'static str) -> Result<(), Failure> {
        let refused = self.fails.then_some(operation);
        *store.unanswered.entry((self.name.clone(), refused)).or_default() += 1;
        if !self.fails {
            return Ok(());
        }
        let seconds = self.timeout.as_secs();
        Err(Failure::internal(format!(
            "failed calling webhook \"{}\": failed to call webhook: Post \"{}?timeout={seconds}s\": context deadline exceeded",
            self.name, self.url
        )))
    }
}

/// As the API server counts them.
pub(crate) fn samples(store: &Store) -> Vec<Sample> {
    let sample = |((name, refused), count): (&(String, Option<&'static str>), &u64)| {
        let (name, kind, count) = (("name", name.as_str()), ("type", "validating"), *count as f64);
        let Some(operation) = refused else {
            return Sample::new("apiserver_admission_webhook_fail_open_count", &[name, kind], count);
        };
        let error = ("error_type", "calling_webhook_error");
        let labels = [error, name, ("operation", operation), ("rejection_code", "0"), kind];
        Sample::new("apiserver_admission_webhook_rejection_count", &labels, count)
    };
    store.unanswered.iter().map(sample).collect()
}
