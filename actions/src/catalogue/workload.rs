//! What every action on a workload needs: the object as read, its pods, the budgets and autoscalers around it.

use super::{PlanContext, PlanError, selector::Selector};
use crate::cluster::{self, Cluster, ClusterError};
use ledger::{Blast, Condition, ObjectRef, PatchKind, Target};
use serde_json::Value;

/// Objects of one kind that we look at in a namespace.
const MOST: u32 = 5_000;
/// `progressDeadlineSeconds` of a Deployment that has none.
const USUAL_PROGRESS_S: u32 = 600;
/// No verification lasts longer.
const LONGEST_VERIFY_S: u32 = 2 * 3600;

/// An object that an action is about, as read while planning.
pub struct Subject {
    /// Where it is.
    pub cluster: Cluster,
    /// As read.
    pub object: Value,
    /// Exactly this one (with uid).
    pub reference: ObjectRef,
    /// The same, as a target.
    pub target: Target,
}

/// Checks that an action knows what to do with this kind; `why` completes the sentence for the others: `has no replicas`.
pub fn accept(kind: &str, accepted: &[&str], why: &str) -> Result<(), String> {
    if accepted.contains(&kind) {
        return Ok(());
    }
    let article = if kind.starts_with(['A', 'E', 'I', 'O', 'U']) { "an" } else { "a" };
    let (last, others) = accepted.split_last().unwrap_or((&"nothing", &[]));
    let list =
        if others.is_empty() { format!("{last}s") } else { format!("{}s and {last}s", others.join("s, ")) };
    Err(format!("{article} {kind} {why}; this works on {list}"))
}

impl Subject {
    /// Reads the target.
    pub async fn read(context: &PlanContext<'_>) -> Result<Subject, PlanError> {
        let target = context.target;
        let kind = cluster::by_word(&target.kind).ok_or_else(|| {
            PlanError::Invalid(format!("{} is not a kind that can be changed here", target.kind))
        })?;
        let namespace = match (&target.namespace, kind.namespaced) {
            (None, true) => {
                return Err(PlanError::Invalid(format!(
                    "say the namespace of {} {} with -n",
                    target.kind, target.name
                )));
            }
            (namespace, true) => namespace.clone(),
            (_, false) => None,
        };
        let mut reference = ObjectRef {
            api_version: kind.api_version.into(),
            kind: kind.kind.into(),
            namespace,
            name: target.name.clone(),
            uid: None,
        };
        let object = context.cluster.get(&reference).await?;
        let uid = text(&object, "/metadata/uid");
        reference.uid = Some(uid.clone());
        let target = Target { kind: kind.kind.into(), uid: Some(uid), ..target.clone() };
        Ok(Subject { cluster: context.cluster.clone(), object, reference, target })
    }

    /// `Deployment checkout`.
    pub fn words(&self) -> String {
        format!("{} {}", self.reference.kind, self.reference.name)
    }

    /// As read.
    pub fn resource_version(&self) -> String {
        text(&self.object, "/metadata/resourceVersion")
    }

    /// Wanted replicas; 1 where the field is absent, as the API server defaults it.
    pub fn replicas(&self) -> u32 {
        self.object["spec"]["replicas"].as_u64().map_or(1, |count| count as u32)
    }

    /// A paused Deployment does not roll out.
    pub fn is_paused(&self) -> bool {
        self.object["spec"]["paused"] == true
    }

    /// A StatefulSet or DaemonSet whose pods take a new template only when someone deletes them.
    pub fn updates_on_delete(&self) -> bool {
        self.object["spec"]["updateStrategy"]["type"] == "OnDelete"
    }

    /// The pod template.
    pub fn template(&self) -> &Value {
        &self.object["spec"]["template"]
    }

    /// Its pods that have not ended, from the workload's own selector and owner references.
    pub async fn pods(&self) -> Result<Vec<Value>, ClusterError> {
        pods_of(&self.cluster, &self.reference, &self.object).await
    }

    /// Pods, and the budgets that protect them, as a blast on all of them. The notes say what could not be read.
    pub async fn blast(&self) -> Result<Blast, ClusterError> {
        let (pods, budgets) = futures::future::try_join(
            self.pods(),
            budgets(&self.cluster, self.reference.namespace.as_deref()),
        )
        .await?;
        let count = pods.len() as u32;
        let mut blast = Blast { pods: count, of: count, ..Blast::default() };
        budgets.on(&pods, &mut blast);
        Ok(blast)
    }

    /// The object as it would be after a change. The resourceVersion goes along, as it will with the real step: what comes back
    /// is what we read plus the change and nothing else.
    pub async fn dry_run(&self, kind: PatchKind, change: &Value) -> Result<Value, ClusterError> {
        let mut body = change.clone();
        body["metadata"]["resourceVersion"] = self.resource_version().into();
        self.cluster.patch(&self.reference, kind, &body, true).await
    }

    /// The autoscalers that set this workload's replicas: name, least, most.
    pub async fn autoscalers(&self) -> Result<Vec<(String, u64, u64)>, ClusterError> {
        let namespace = self.reference.namespace.as_deref();
        let all = match self
            .cluster
            .list("autoscaling/v2", "HorizontalPodAutoscaler", namespace, None, None, MOST)
            .await
        {
            // Neither being forbidden to see them nor their absence keeps anyone from acting.
            Err(ClusterError::Forbidden { .. } | ClusterError::NotFound { .. }) => Vec::new(),
            all => all?,
        };
        Ok(all
            .iter()
            .filter(|scaler| {
                scaler["spec"]["scaleTargetRef"]["kind"] == self.reference.kind.as_str()
                    && scaler["spec"]["scaleTargetRef"]["name"] == self.reference.name.as_str()
            })
            .map(|scaler| {
                (
                    text(scaler, "/metadata/name"),
                    scaler["spec"]["minReplicas"].as_u64().unwrap_or(1),
                    scaler["spec"]["maxReplicas"].as_u64().unwrap_or(1),
                )
            })
            .collect())
    }

    /// Notes for whoever approves a change of the pod template.
    pub fn rollout_notes(&self, blast: &mut Blast) {
        if self.is_paused() {
            blast.notes.push(format!("{} is paused: its pods change only when it is resumed", self.words()));
        } else if self.updates_on_delete() {
            blast
                .notes
                .push(format!("{} updates OnDelete: each pod changes only when it is deleted", self.words()));
        }
        if let Some(partition) = self.object["spec"]["updateStrategy"]["rollingUpdate"]["partition"]
            .as_u64()
            .filter(|partition| *partition > 0)
        {
            blast.notes.push(format!(
                "rolling update partition {partition}: pods with a smaller ordinal keep what they have"
            ));
        }
        if self.object["spec"]["strategy"]["type"] == "Recreate" {
            blast.notes.push("strategy Recreate: all pods stop before new ones start".into());
        }
        if self.is_paused() || self.updates_on_delete() {
            (blast.pods, blast.budgets) = (0, Vec::new());
        }
    }

    /// Conditions after a change of the pod template; `fields` are what must hold where no rollout follows.
    pub fn rollout_conditions(&self, fields: Vec<Condition>) -> Vec<Condition> {
        if self.is_paused() || self.updates_on_delete() {
            return fields;
        }
        vec![
            Condition::RolloutComplete { object: self.reference.clone() },
            Condition::NotCrashLooping { object: self.reference.clone() },
        ]
    }

    /// Seconds that a rollout of so many pods may take: a Deployment's own progress deadline, which begins anew with
    /// every pod, or a minute a pod where pods change one by one; and a minute for us to see it.
    pub fn rollout_within_s(&self, pods: u32) -> u32 {
        let spec = &self.object["spec"];
        let number =
            |field: &str| spec[field].as_u64().map(|value| value.min(u64::from(LONGEST_VERIFY_S)) as u32);
        let least = number("minReadySeconds").unwrap_or(0);
        let seconds = match self.reference.kind.as_str() {
            "Deployment" => number("progressDeadlineSeconds").unwrap_or(USUAL_PROGRESS_S) + least,
            _ => pods.max(1).saturating_mul(60 + least).max(USUAL_PROGRESS_S / 2),
        };
        (seconds + 60).min(LONGEST_VERIFY_S)
    }
}

/// Pods of a workload that have not ended.
pub async fn pods_of(
    cluster: &Cluster,
    workload: &ObjectRef,
    object: &Value,
) -> Result<Vec<Value>, ClusterError> {
    let Some(selector) = Selector::of(&object["spec"]["selector"]).filter(|selector| !selector.0.is_empty())
    else {
        return Ok(Vec::new());
    };
    let pods = cluster
        .list("v1", "Pod", workload.namespace.as_deref(), Some(&selector.to_string()), None, MOST)
        .await?;
    Ok(pods.into_iter().filter(|pod| is_live(pod) && belongs_to(pod, workload, object)).collect())
}

/// Has not ended.
pub fn is_live(pod: &Value) -> bool {
    !matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

/// The controller among the owner references.
pub fn controller(object: &Value) -> Option<&Value> {
    object["metadata"]["ownerReferences"].as_array()?.iter().find(|owner| owner["controller"] == true)
}

/// Two workloads may have selectors that overlap; the owner decides. A Deployment owns its pods through ReplicaSets, whose
/// names begin with its own.
fn belongs_to(pod: &Value, workload: &ObjectRef, object: &Value) -> bool {
    let Some(owner) = controller(pod) else { return false };
    match workload.kind.as_str() {
        "Deployment" => {
            owner["kind"] == "ReplicaSet"
                && owner["name"]
                    .as_str()
                    .and_then(|name| name.strip_prefix(workload.name.as_str()))
                    .is_some_and(|rest| rest.starts_with('-') && !rest[1..].contains('-'))
        }
        _ => owner["uid"] == object["metadata"]["uid"],
    }
}

/// The disruption budgets of a namespace.
pub struct Budgets {
    all: Vec<Value>,
    readable: bool,
}

/// Reads them.
pub async fn budgets(cluster: &Cluster, namespace: Option<&str>) -> Result<Budgets, ClusterError> {
    match cluster.list("policy/v1", "PodDisruptionBudget", namespace, None, None, MOST).await {
        Err(ClusterError::Forbidden { .. } | ClusterError::NotFound { .. }) => {
            Ok(Budgets { all: Vec::new(), readable: false })
        }
        all => Ok(Budgets { all: all?, readable: true }),
    }
}

impl Budgets {
    /// Adds to a blast those that select one of these pods, and a note for each that allows no disruption now: rollouts,
    /// scaling and deletion do not ask budgets, only evictions do.
    pub fn on(&self, pods: &[Value], blast: &mut Blast) {
        if !self.readable {
            blast.notes.push("disruption budgets could not be read".into());
        }
        for budget in &self.all {
            let Some(selector) = Selector::of(&budget["spec"]["selector"]) else { continue };
            if !pods.iter().any(|pod| selector.matches(&pod["metadata"]["labels"])) {
                continue;
            }
            let name = text(budget, "/metadata/name");
            let allowed = budget["status"]["disruptionsAllowed"].as_u64().unwrap_or(0);
            if allowed == 0 {
                blast.notes.push(format!(
                    "disruption budget {name} allows no disruption now, and this does not ask it"
                ));
            }
            blast.budgets.push(format!("{name} ({allowed} more)"));
        }
    }
}

/// Text at a JSON pointer, empty where there is none.
pub fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_kind_and_what_would_do() {
        assert_eq!(
            accept("DaemonSet", &["Deployment", "StatefulSet"], "has no replicas").unwrap_err(),
            "a DaemonSet has no replicas; this works on Deployments and StatefulSets"
        );
        assert_eq!(
            accept("StatefulSet", &["Deployment"], "cannot be paused").unwrap_err(),
            "a StatefulSet cannot be paused; this works on Deployments"
        );
        assert!(accept("Pod", &["Pod"], "").is_ok());
    }
}
