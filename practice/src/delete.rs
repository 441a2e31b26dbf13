//! Deleting: preconditions, grace, finalizers, propagation.

use crate::failure::Failure;
use crate::object::{self, at, is_deleting, list, number, set, text};
use crate::resource::Resource;
use crate::store::Store;
use serde_json::{Value, json};
use std::sync::Arc;

/// What became of a delete.
pub(crate) enum Gone {
    /// Nothing is left (or, on a dry run, would be).
    Now(Arc<Value>),
    /// It is marked, and goes when grace and finalizers are done.
    Later(Arc<Value>),
}

/// DeleteOptions, from body and query.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub grace: Option<i64>,
    pub uid: Option<String>,
    pub version: Option<String>,
    pub propagation: Option<String>,
    pub dry_run: bool,
}

impl Options {
    pub fn read(body: &Value) -> Options {
        let own = |path: &[&str]| at(body, path).as_str().map(str::to_owned);
        let propagation = own(&["propagationPolicy"]).or_else(|| {
            body["orphanDependents"]
                .as_bool()
                .map(|orphan| if orphan { "Orphan" } else { "Background" }.to_owned())
        });
        Options {
            grace: number(body, &["gracePeriodSeconds"]),
            uid: own(&["preconditions", "uid"]),
            version: own(&["preconditions", "resourceVersion"]),
            propagation,
            dry_run: list(body, &["dryRun"]).iter().any(|word| word == "All"),
        }
    }
}

impl Store {
    /// Deletes an object as far as that goes at once.
    pub fn delete(
        &mut self,
        resource: &Resource,
        namespace: &str,
        called: &str,
        options: &Options,
    ) -> Result<Gone, Failure> {
        let old = self
            .get(&resource.id(), namespace, called)
            .ok_or_else(|| Failure::not_found(resource, called))?;
        for (asked, is, what) in [
            (&options.uid, object::uid(&old), "UID"),
            (&options.version, object::version(&old), "ResourceVersion"),
        ] {
            if let Some(asked) = asked.as_deref().filter(|asked| *asked != is) {
                return Err(Failure::precondition(resource, namespace, called, what, asked, is));
            }
        }
        if let Some(policy) = options
            .propagation
            .as_deref()
            .filter(|policy| !matches!(*policy, "Background" | "Foreground" | "Orphan"))
        {
            let cause = crate::failure::Cause::invalid(
                "propagationPolicy",
                &json!(policy),
                r#"must be one of "Foreground", "Background", "Orphan" or nil"#,
            );
            return Err(Failure::invalid("", "DeleteOptions", "", &[cause]));
        }
        let mut new = (*old).clone();
        let mut finalizers: Vec<Value> = list(&old, &["metadata", "finalizers"]).to_vec();
        // Jobs deleted without a word leave their pods, for the sake of old clients.
        let policy =
            options.propagation.as_deref().unwrap_or(if resource.is("jobs.batch") { "Orphan" } else { "" });
        let wanted = match policy {
            "Foreground" => Some("foregroundDeletion"),
            "Orphan" => Some("orphan"),
            _ => None,
        };
        if !policy.is_empty() {
            finalizers.retain(|finalizer| finalizer != "foregroundDeletion" && finalizer != "orphan");
        }
        if let Some(finalizer) =
            wanted.filter(|_| !self.dependents(object::uid(&old)).is_empty() || options.propagation.is_some())
        {
            finalizers.push(json!(finalizer));
        }
        if resource.is("namespaces") {
            finalizers.push(json!("kubernetes"));
            finalizers.dedup();
            set(&mut new, &["status", "phase"], json!("Terminating"));
        }
        set(&mut new, &["metadata", "finalizers"], Value::Array(finalizers.clone()));
        if finalizers.is_empty() {
            object::remove(&mut new, &["metadata", "finalizers"]);
        }
        let grace = self.grace(resource, &old, options);
        if grace == 0 && finalizers.is_empty() {
            if options.dry_run {
                return Ok(Gone::Now(old));
            }
            return Ok(Gone::Now(self.commit(resource, Some(old), None)));
        }
        if !is_deleting(&old) {
            let end = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(grace);
            set(
                &mut new,
                &["metadata", "deletionTimestamp"],
                json!(end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
            );
            set(&mut new, &["metadata", "deletionGracePeriodSeconds"], json!(grace));
            if let Some(generation) = object::generation(&old) {
                set(&mut new, &["metadata", "generation"], json!(generation + 1));
            }
        } else if grace < number(&old, &["metadata", "deletionGracePeriodSeconds"]).unwrap_or(0) {
            set(&mut new, &["metadata", "deletionGracePeriodSeconds"], json!(grace));
        }
        if options.dry_run || new == *old {
            return Ok(Gone::Later(Arc::new(new)));
        }
        Ok(Gone::Later(self.commit(resource, Some(old), Some(new))))
    }

    /// Only a pod that a kubelet may be running has grace.
    fn grace(&self, resource: &Resource, old: &Value, options: &Options) -> i64 {
        let bound = resource.is("pods") && !text(old, &["spec", "nodeName"]).is_empty();
        if !bound || matches!(text(old, &["status", "phase"]), "Succeeded" | "Failed") {
            return 0;
        }
        let node = self.get("nodes", "", text(old, &["spec", "nodeName"]));
        if node.is_none() {
            return 0;
        }
        options
            .grace
            .unwrap_or_else(|| number(old, &["spec", "terminationGracePeriodSeconds"]).unwrap_or(30))
            .max(0)
    }

    /// Takes a finalizer off; the object goes when it was the last and it is to go.
    pub fn finalized(&mut self, resource: &Resource, old: &Arc<Value>, finalizer: &str) {
        let left: Vec<Value> =
            list(old, &["metadata", "finalizers"]).iter().filter(|is| *is != finalizer).cloned().collect();
        let grace = number(old, &["metadata", "deletionGracePeriodSeconds"]).unwrap_or(0);
        if left.is_empty() && is_deleting(old) && grace == 0 {
            self.commit(resource, Some(old.clone()), None);
            return;
        }
        let mut new = (**old).clone();
        if left.is_empty() {
            object::remove(&mut new, &["metadata", "finalizers"]);
        } else {
            set(&mut new, &["metadata", "finalizers"], Value::Array(left));
        }
        self.commit(resource, Some(old.clone()), Some(new));
    }

    /// The end of a pod that was given grace: the kubelet is done with it.
    pub fn grace_over(&mut self, resource: &Resource, old: &Arc<Value>) {
        if list(old, &["metadata", "finalizers"]).is_empty() {
            self.commit(resource, Some(old.clone()), None);
        } else if number(old, &["metadata", "deletionGracePeriodSeconds"]) != Some(0) {
            let mut new = (**old).clone();
            set(&mut new, &["metadata", "deletionGracePeriodSeconds"], json!(0));
            self.commit(resource, Some(old.clone()), Some(new));
        }
    }
}
