//! Faults of the API server in one namespace: what makes up workloads there is created and changed slowly, or not at all, because an admission
//! webhook that is asked first never answers. That is what a webhook out of order does to a cluster. No webhook is asked about webhooks, so
//! its configuration can always be deleted again.

use super::*;
use ledger::{Blast, Condition, ObjectRef, Risk, Step, Verify};
use serde_json::json;
use workload::text;

const API_VERSION: &str = "admissionregistration.k8s.io/v1";
const KIND: &str = "ValidatingWebhookConfiguration";
/// An address that nobody has (RFC 5737, TEST-NET-1).
const NOBODY: &str = "https://192.0.2.1/petrel-drill";
const POINTER: &str = "/webhooks/0/clientConfig/url";
/// Where what keeps a cluster going writes: nodes would fall silent.
const SPARED: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];
/// Pods that are counted in a namespace.
const MOST: u32 = 10_000;

/// A fault of the API server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ApiFault {
    /// As people type it.
    pub name: &'static str,
    /// What happens without an answer.
    policy: &'static str,
    /// Seconds until there is none.
    timeout_s: u32,
    /// What happens, in words.
    what: &'static str,
}

/// All of them.
pub(super) const FAULTS: [ApiFault; 2] = [
    ApiFault { name: "slow-api", policy: "Ignore", timeout_s: 2, what: "takes two seconds longer" },
    ApiFault { name: "erroring-api", policy: "Fail", timeout_s: 1, what: "is refused after a second" },
];

/// By its name.
pub(super) fn of(word: &str) -> Option<ApiFault> {
    FAULTS.into_iter().find(|fault| fault.name == word)
}

impl ApiFault {
    /// Whether it can be of this.
    pub fn is_of(self, kind: &str, name: &str) -> Result<(), String> {
        if kind != "Namespace" {
            return Err(format!("drill {} is of ns/<name>", self.name));
        }
        if SPARED.contains(&name) {
            return Err(format!("drill {} never is of {name}: the cluster itself needs it", self.name));
        }
        Ok(())
    }

    fn configuration(self, name: &str, namespace: &str) -> Value {
        let rule = |group: &str, resources: &[&str]| {
            json!({
                "apiGroups": [group], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"],
                "resources": resources, "scope": "Namespaced",
            })
        };
        json!({
            "apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name},
            "webhooks": [{
                "name": "drill.petrel.dev",
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "clientConfig": {"url": NOBODY},
                "failurePolicy": self.policy,
                "timeoutSeconds": self.timeout_s,
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "rules": [
                    rule("", &["pods", "configmaps", "services"]),
                    rule("apps", &["deployments", "statefulsets", "daemonsets"]),
                    rule("batch", &["jobs", "cronjobs"]),
                    rule("autoscaling", &["horizontalpodautoscalers"]),
                ],
            }],
        })
    }
}

/// Reads only.
pub(super) async fn plan(
    context: PlanContext<'_>,
    fault: ApiFault,
    within_s: u32,
) -> Result<Plan, PlanError> {
    let (cluster, target) = (context.cluster, context.target);
    fault.is_of(&target.kind, &target.name).map_err(PlanError::Invalid)?;
    let namespace = ObjectRef {
        api_version: "v1".into(),
        kind: target.kind.clone(),
        namespace: None,
        name: target.name.clone(),
        uid: None,
    };
    let seen = cluster.get(&namespace).await?;
    let pods = cluster.list("v1", "Pod", Some(&target.name), None, None, MOST).await?;
    let name = format!("petrel-drill-{}", target.name);
    let object =
        ObjectRef { api_version: API_VERSION.into(), kind: KIND.into(), namespace: None, name, uid: None };
    let body = fault.configuration(&object.name, &target.name);
    let created = match cluster.create(&object, &body, true).await {
        Err(ClusterError::Conflict { .. }) => {
            let why = format!("Namespace {} has a drill of its API already", target.name);
            return Err(PlanError::Invalid(why));
        }
        created => created?,
    };
    Ok(Plan {
        action: "drill".into(),
        parameters: context.parameters.clone(),
        resource_version: text(&seen, "/metadata/resourceVersion"),
        summary: format!(
            "drill {}: what creates or changes workloads in Namespace {} {}, for {within_s} s",
            fault.name, target.name, fault.what
        ),
        diff: diff::created(&created),
        blast: Blast {
            facts: vec![("Pods there".into(), pods.len().to_string())],
            notes: vec![
                "Petrel's own changes there as well; what runs goes on, and can be deleted".into(),
                "a drill: broken on purpose, and given back at its end or when it is called off".into(),
            ],
            ..Blast::default()
        },
        risk: Risk::High,
        prior: Value::Null,
        steps: vec![Step::Create { object: object.clone(), body }],
        undo: vec![Step::Delete { object: object.clone(), grace_period_seconds: None }],
        verify: Verify {
            conditions: vec![Condition::Changed { object, pointer: POINTER.into(), from: NOBODY.into() }],
            within_s,
        },
        target: Target { namespace: None, uid: Some(text(&seen, "/metadata/uid")), ..target.clone() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_a_cluster_going_is_spared() {
        for fault in FAULTS {
            assert_eq!(fault.is_of("Namespace", "shop"), Ok(()));
            for name in SPARED {
                assert!(fault.is_of("Namespace", name).unwrap_err().contains("the cluster itself needs it"));
            }
            assert!(fault.is_of("Deployment", "checkout").unwrap_err().contains("ns/<name>"));
        }
    }
}
