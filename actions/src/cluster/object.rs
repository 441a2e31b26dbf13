//! Objects of any kind, as JSON: get, list, patch, create, delete, logs.

use super::{Cluster, ClusterError, call::Call, kind, kind::Served, path};
use http::Method;
use ledger::{ObjectRef, PatchKind};
use serde_json::{Value, json};
use std::{sync::PoisonError, time::Duration};

/// Objects that one page of a list holds.
const PAGE: u32 = 500;
/// Logs may take longer than other calls.
const LOGS_TAKE: Duration = Duration::from_secs(20);
/// Who we are in managedFields.
const FIELD_MANAGER: &str = "petrel";

impl Cluster {
    /// One object as JSON.
    pub async fn get(&self, object: &ObjectRef) -> Result<Value, ClusterError> {
        self.read(self.path_of(object).await?, &what(object)).await
    }

    /// Objects of a kind, following `continue` up to `limit`. Selectors are built by our code only, never from user text.
    pub async fn list(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        labels: Option<&str>,
        fields: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Value>, ClusterError> {
        let path = path::path(api_version, &self.served(api_version, kind).await?, namespace, None)?;
        let mut items: Vec<Value> = Vec::new();
        let mut token: Option<String> = None;
        let mut restarted = false;
        loop {
            let mut pairs = vec![("limit", (limit - items.len() as u32).min(PAGE).to_string())];
            pairs.extend(labels.map(|text| ("labelSelector", text.to_string())));
            pairs.extend(fields.map(|text| ("fieldSelector", text.to_string())));
            pairs.extend(token.clone().map(|text| ("continue", text)));
            let mut page =
                match self.read(format!("{path}{}", path::query(&pairs)), &format!("{kind} list")).await {
                    // 410: the token is too old. Start over, once.
                    Err(ClusterError::Other { message, .. })
                        if token.is_some() && !restarted && message.ends_with("(410)") =>
                    {
                        (items, token, restarted) = (Vec::new(), None, true);
                        continue;
                    }
                    page => page?,
                };
            if let Value::Array(more) = page["items"].take() {
                items.extend(more);
            }
            token = page["metadata"]["continue"].as_str().filter(|token| !token.is_empty()).map(String::from);
            if token.is_none() || items.len() >= limit as usize {
                items.truncate(limit as usize);
                // Items of a list carry neither, but everything that shows an object wants both.
                for item in &mut items {
                    item["apiVersion"] = api_version.into();
                    item["kind"] = kind.into();
                }
                return Ok(items);
            }
        }
    }

    /// Patch with field manager `petrel`; returns the object after it. With a uid in `object` the patch is refused on any
    /// other object of that name.
    pub async fn patch(
        &self,
        object: &ObjectRef,
        kind: PatchKind,
        body: &Value,
        dry_run: bool,
    ) -> Result<Value, ClusterError> {
        let content_type = match kind {
            PatchKind::Merge => "application/merge-patch+json",
            PatchKind::Strategic => "application/strategic-merge-patch+json",
            // JSON is YAML.
            PatchKind::Apply => "application/apply-patch+yaml",
            PatchKind::Json => "application/json-patch+json",
        };
        let mut body = body.clone();
        match (&mut body, kind) {
            (Value::Array(operations), PatchKind::Json) => {
                let test = |uid: &String| json!({"op": "test", "path": "/metadata/uid", "value": uid});
                operations.splice(0..0, object.uid.as_ref().map(test));
            }
            (Value::Object(_), PatchKind::Merge | PatchKind::Strategic | PatchKind::Apply) => {
                if let Some(uid) = &object.uid {
                    body["metadata"]["uid"] = uid.as_str().into();
                }
            }
            _ => {
                return Err(ClusterError::Invalid {
                    message: "a patch of this kind has another form".into(),
                });
            }
        }
        let path = format!("{}{}", self.path_of(object).await?, write_query(dry_run));
        self.json(Call {
            method: Method::PATCH,
            path,
            what: &what(object),
            body: Some((content_type, &body)),
            writes: !dry_run,
            timeout: self.timeout(),
        })
        .await
    }

    /// Create with field manager `petrel`.
    pub async fn create(
        &self,
        object: &ObjectRef,
        body: &Value,
        dry_run: bool,
    ) -> Result<Value, ClusterError> {
        let collection = path::path(
            &object.api_version,
            &self.served(&object.api_version, &object.kind).await?,
            object.namespace.as_deref(),
            None,
        )?;
        // Checks the name too, though it travels in the body.
        self.path_of(object).await?;
        let path = format!("{collection}{}", write_query(dry_run));
        self.json(Call {
            method: Method::POST,
            path,
            what: &what(object),
            body: Some(("application/json", body)),
            writes: !dry_run,
            timeout: self.timeout(),
        })
        .await
    }

    /// Delete with the uid as precondition.
    pub async fn delete(
        &self,
        object: &ObjectRef,
        grace_period_seconds: Option<u32>,
        dry_run: bool,
    ) -> Result<(), ClusterError> {
        let Some(uid) = &object.uid else {
            return Err(ClusterError::Invalid {
                message: format!("deleting {} needs its uid", what(object)),
            });
        };
        let mut options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}, "propagationPolicy": "Background"});
        if let Some(seconds) = grace_period_seconds {
            options["gracePeriodSeconds"] = seconds.into();
        }
        if dry_run {
            options["dryRun"] = json!(["All"]);
        }
        let path = self.path_of(object).await?;
        self.call(Call {
            method: Method::DELETE,
            path,
            what: &what(object),
            body: Some(("application/json", &options)),
            writes: !dry_run,
            timeout: self.timeout(),
        })
        .await?;
        Ok(())
    }

    /// The last `lines` of a container's log, cut at `limit_bytes`.
    pub async fn logs(
        &self,
        namespace: &str,
        pod: &str,
        container: Option<&str>,
        previous: bool,
        lines: u32,
        limit_bytes: u32,
    ) -> Result<String, ClusterError> {
        let mut pairs = vec![("tailLines", lines.to_string()), ("limitBytes", limit_bytes.to_string())];
        pairs.extend(container.map(|name| ("container", name.to_string())));
        if previous {
            pairs.push(("previous", "true".into()));
        }
        self.log(namespace, pod, &pairs).await
    }

    /// What a container has logged in the last `since`, from its beginning on, cut at `limit_bytes`.
    pub async fn recent_logs(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        previous: bool,
        since: Duration,
        limit_bytes: u32,
    ) -> Result<String, ClusterError> {
        let mut pairs = vec![
            ("sinceSeconds", since.as_secs().max(1).to_string()),
            ("limitBytes", limit_bytes.to_string()),
            ("container", container.to_string()),
        ];
        if previous {
            pairs.push(("previous", "true".into()));
        }
        self.log(namespace, pod, &pairs).await
    }

    async fn log(
        &self,
        namespace: &str,
        pod: &str,
        pairs: &[(&str, String)],
    ) -> Result<String, ClusterError> {
        let pods = Served { plural: "pods".into(), namespaced: true };
        let path =
            format!("{}/log{}", path::path("v1", &pods, Some(namespace), Some(pod))?, path::query(pairs));
        let text = self
            .call(Call {
                method: Method::GET,
                path,
                what: &format!("Pod {namespace}/{pod}"),
                body: None,
                writes: false,
                timeout: self.timeout().max(LOGS_TAKE),
            })
            .await?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// `v1.36.1`.
    pub(super) async fn version(&self) -> Result<String, ClusterError> {
        let answer = self.read("/version".into(), "the version").await?;
        Ok(answer["gitVersion"].as_str().unwrap_or("unknown").to_string())
    }

    /// Whether it is a practice cluster, which can stage faults that no client can cause elsewhere.
    pub(crate) async fn is_practice(&self) -> Result<bool, ClusterError> {
        let answer = self.read("/version".into(), "the version").await?;
        Ok(answer["gitCommit"] == "practice")
    }

    pub(super) async fn path_of(&self, object: &ObjectRef) -> Result<String, ClusterError> {
        path::path(
            &object.api_version,
            &self.served(&object.api_version, &object.kind).await?,
            object.namespace.as_deref(),
            Some(&object.name),
        )
    }

    /// Where a kind is served: from the table, else by discovery, which is asked once.
    async fn served(&self, api_version: &str, name: &str) -> Result<Served, ClusterError> {
        if let Some(known) = kind::by_kind(api_version, name) {
            return Ok(Served { plural: known.plural.into(), namespaced: known.namespaced });
        }
        let key = (api_version.to_string(), name.to_string());
        if let Some(found) = self.0.discovered.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(found.clone());
        }
        let what = format!("kind {name} in {api_version}");
        let resources = self.read(path::group_path(api_version)?, &what).await?;
        let found = resources["resources"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|resource| {
                resource["kind"] == name && resource["name"].as_str().is_some_and(path::is_dns_label)
            })
            .map(|resource| Served {
                plural: resource["name"].as_str().unwrap_or_default().into(),
                namespaced: resource["namespaced"] == true,
            })
            .ok_or(ClusterError::NotFound { what })?;
        self.0.discovered.write().unwrap_or_else(PoisonError::into_inner).insert(key, found.clone());
        Ok(found)
    }
}

fn write_query(dry_run: bool) -> String {
    let mut pairs = vec![("fieldManager", FIELD_MANAGER.to_string()), ("fieldValidation", "Strict".into())];
    if dry_run {
        pairs.push(("dryRun", "All".into()));
    }
    path::query(&pairs)
}

fn what(object: &ObjectRef) -> String {
    match &object.namespace {
        Some(namespace) => format!("{} {namespace}/{}", object.kind, object.name),
        None => format!("{} {}", object.kind, object.name),
    }
}
