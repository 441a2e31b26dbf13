//! Deployments: a ReplicaSet per template, revisions, conditions.

use super::rollout::{self, set_annotation};
use super::{Control, Task, event, replicaset};
use crate::object::{self, annotation, at, condition, is_deleting, map_at, number, remove, set, text};
use crate::store::Place;
use crate::write::Writer;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

pub(crate) const SOURCE: &str = "deployment-controller";
pub(crate) const REVISION: &str = "deployment.kubernetes.io/revision";
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
pub(crate) const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
pub(crate) const MAX: &str = "deployment.kubernetes.io/max-replicas";
const HASH: &str = "pod-template-hash";
/// Annotations that are not handed down.
const OWN: &[&str] = &[
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    DESIRED,
    MAX,
    "deprecated.deployment.rollback.to",
];

/// The ReplicaSets of a Deployment: the one of its present template, and the others by age.
pub(crate) struct Sets {
    pub new: Option<Arc<Value>>,
    pub old: Vec<Arc<Value>>,
}

impl Sets {
    pub fn all(&self) -> impl Iterator<Item = &Arc<Value>> {
        self.old.iter().chain(&self.new)
    }
}

pub(crate) fn sync(control: &mut Control<'_>, place: &Place) {
    let Some(deployment) = control.get("deployments.apps", place) else { return };
    // What is about to be written to the Deployment itself; conditions are changed on the way.
    let mut draft = (*deployment).clone();
    if is_deleting(&deployment) {
        return finish(control, &deployment, draft);
    }
    note_pause(&mut draft);
    let sets = find(control, &deployment);
    let paused = deployment["spec"]["paused"] == true;
    if paused || rollout::is_scaling(&deployment, &sets) {
        take_existing(control, &deployment, &mut draft, &sets);
        let sets = find(control, &deployment);
        rollout::scale(control, &deployment, &sets);
        if paused {
            clean_up(control, &deployment);
        }
    } else if text(&deployment, &["spec", "strategy", "type"]) == "Recreate" {
        rollout::recreate(control, &deployment, &mut draft, &sets);
    } else {
        let new = ensure_new(control, &deployment, &mut draft, &sets);
        rollout::roll(control, &deployment, new);
    }
    finish(control, &deployment, draft);
}

/// The template as compared between Deployment and ReplicaSet.
fn bare(template: &Value) -> Value {
    let mut template = template.clone();
    remove(&mut template, &["metadata", "labels", HASH]);
    remove(&mut template, &["metadata", "creationTimestamp"]);
    template
}

/// Whether two templates are equal when they are [`bare`], without copying them.
fn is_same(one: &Value, other: &Value) -> bool {
    are_same(one, other, "", |key, one, other| match key {
        "metadata" => are_same(one, other, "creationTimestamp", |key, one, other| match key {
            "labels" => are_same(one, other, HASH, |_, one, other| one == other),
            _ => one == other,
        }),
        _ => one == other,
    })
}

/// Whether two maps, which are sorted, have the same under each key but one.
fn are_same(one: &Value, other: &Value, but: &str, same: fn(&str, &Value, &Value) -> bool) -> bool {
    let (Some(one), Some(other)) = (one.as_object(), other.as_object()) else { return one == other };
    let mut others = other.iter().filter(|(key, _)| *key != but);
    one.iter()
        .filter(|(key, _)| *key != but)
        .all(|(key, value)| others.next().is_some_and(|(of, with)| key == of && same(key, value, with)))
        && others.next().is_none()
}

pub(crate) fn find(control: &Control<'_>, deployment: &Value) -> Sets {
    let mut all = control.store.controlled(object::uid(deployment), "replicasets.apps");
    all.sort_by_key(|set| {
        (
            text(set, &["metadata", "creationTimestamp"]).to_owned(),
            revision_of(set),
            object::name(set).to_owned(),
        )
    });
    let wanted = &deployment["spec"]["template"];
    let new =
        all.iter().position(|set| is_same(&set["spec"]["template"], wanted)).map(|index| all.remove(index));
    Sets { new, old: all }
}

pub(crate) fn revision_of(object: &Value) -> i64 {
    annotation(object, REVISION).and_then(|revision| revision.parse().ok()).unwrap_or(0)
}

fn note_pause(draft: &mut Value) {
    let paused = draft["spec"]["paused"] == true;
    let reason =
        condition(draft, "Progressing").map(|is| text(is, &["reason"]).to_owned()).unwrap_or_default();
    if paused && reason != "DeploymentPaused" {
        progress(draft, "Unknown", "DeploymentPaused", "Deployment is paused");
    } else if !paused && reason == "DeploymentPaused" {
        progress(draft, "Unknown", "DeploymentResumed", "Deployment is resumed");
    }
}

/// The revision moves on and annotations are handed down, without making a ReplicaSet.
fn take_existing(control: &mut Control<'_>, deployment: &Value, draft: &mut Value, sets: &Sets) {
    let Some(new) = &sets.new else { return };
    let revision = next_revision(sets);
    annotate(control, deployment, new, revision);
    set(draft, &["metadata", "annotations", REVISION], json!(revision.to_string()));
    if condition(draft, "Progressing").is_none() {
        progress(
            draft,
            "True",
            "FoundNewReplicaSet",
            &format!("Found new replica set \"{}\"", object::name(new)),
        );
    }
}

/// The revision that the present template has: above all others.
fn next_revision(sets: &Sets) -> i64 {
    let above = sets.old.iter().map(|set| revision_of(set)).max().unwrap_or(0) + 1;
    sets.new.as_deref().map_or(above, |new| revision_of(new).max(above))
}

/// The ReplicaSet of the present template, made if need be.
pub(crate) fn ensure_new(
    control: &mut Control<'_>,
    deployment: &Value,
    draft: &mut Value,
    sets: &Sets,
) -> Option<Arc<Value>> {
    if sets.new.is_some() {
        take_existing(control, deployment, draft, sets);
        return find(control, deployment).new;
    }
    let revision = next_revision(sets);
    let wanted = number(deployment, &["spec", "replicas"]).unwrap_or(1);
    let (surge, _) = replicaset::fenceposts(deployment);
    let replicas = rollout::new_replicas(
        deployment,
        0,
        sets.old.iter().map(|set| number(set, &["spec", "replicas"]).unwrap_or(0)).sum(),
    );
    let mut template = deployment["spec"]["template"].clone();
    let hash = object::hash(&bare(&template));
    set(&mut template, &["metadata", "labels", HASH], json!(hash));
    let mut selector = deployment["spec"]["selector"].clone();
    set(&mut selector, &["matchLabels", HASH], json!(hash));
    let mut annotations = handed_down(deployment);
    annotations.insert(REVISION.into(), json!(revision.to_string()));
    annotations.insert(DESIRED.into(), json!(wanted.to_string()));
    annotations.insert(MAX.into(), json!((wanted + surge).to_string()));
    let made = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {"name": format!("{}-{hash}", object::name(deployment)), "labels": at(&template, &["metadata", "labels"]), "annotations": annotations,
            "ownerReferences": [object::owner_reference(deployment)]},
        "spec": {"replicas": replicas, "selector": selector, "template": template, "minReadySeconds": at(deployment, &["spec", "minReadySeconds"]).as_i64().unwrap_or(0)}});
    let mut made = made;
    if made["spec"]["minReadySeconds"] == 0 {
        remove(&mut made, &["spec", "minReadySeconds"]);
    }
    let resource = control.resource("replicasets.apps");
    match control.store.create(&resource, object::namespace(deployment), made, &Writer::CONTROLLER) {
        Ok(new) => {
            if replicas > 0 {
                event::record(
                    control,
                    deployment,
                    SOURCE,
                    false,
                    "ScalingReplicaSet",
                    &format!("Scaled up replica set {} from 0 to {replicas}", object::name(&new)),
                );
            }
            set(draft, &["metadata", "annotations", REVISION], json!(revision.to_string()));
            progress(
                draft,
                "True",
                "NewReplicaSetCreated",
                &format!("Created new replica set \"{}\"", object::name(&new)),
            );
            Some(new)
        }
        Err(failure) => {
            progress(draft, "False", "ReplicaSetCreateError", &failure.message);
            None
        }
    }
}

fn handed_down(deployment: &Value) -> Map<String, Value> {
    let annotations = at(deployment, &["metadata", "annotations"]).as_object().cloned().unwrap_or_default();
    annotations.into_iter().filter(|(key, _)| !OWN.contains(&key.as_str())).collect()
}

fn annotate(control: &mut Control<'_>, deployment: &Value, set_of_pods: &Arc<Value>, revision: i64) {
    let mut new = (**set_of_pods).clone();
    let old = revision_of(&new);
    let annotations = map_at(&mut new, &["metadata", "annotations"]);
    for (key, value) in handed_down(deployment) {
        annotations.insert(key, value);
    }
    if old < revision {
        annotations.insert(REVISION.into(), json!(revision.to_string()));
        if old > 0 {
            let history = annotations
                .get(HISTORY)
                .and_then(Value::as_str)
                .map_or_else(|| old.to_string(), |history| format!("{history},{old}"));
            annotations.insert(HISTORY.into(), json!(history));
        }
    }
    if new != **set_of_pods {
        let resource = control.resource("replicasets.apps");
        control.store.commit(&resource, Some(set_of_pods.clone()), Some(new));
    }
}

/// Removes old ReplicaSets beyond the history limit.
pub(crate) fn clean_up(control: &mut Control<'_>, deployment: &Value) {
    let limit = number(deployment, &["spec", "revisionHistoryLimit"]).unwrap_or(10);
    let mut idle: Vec<Arc<Value>> = find(control, deployment)
        .old
        .into_iter()
        .filter(|set| {
            number(set, &["spec", "replicas"]) == Some(0)
                && number(set, &["status", "replicas"]).unwrap_or(0) == 0
                && !is_deleting(set)
        })
        .collect();
    idle.sort_by_key(|set| revision_of(set));
    let surplus = (idle.len() as i64 - limit).max(0) as usize;
    let resource = control.resource("replicasets.apps");
    for set in idle.into_iter().take(surplus) {
        let _ = control.store.delete(
            &resource,
            object::namespace(&set),
            object::name(&set),
            &crate::delete::Options::default(),
        );
    }
}

fn progress(draft: &mut Value, is: &str, reason: &str, message: &str) {
    set_condition(draft, "Progressing", is, reason, message);
}

/// Like other conditions, but with `lastUpdateTime`, which moves at each call that changes something.
fn set_condition(draft: &mut Value, kind: &str, is: &str, reason: &str, message: &str) {
    let old = condition(draft, kind).cloned();
    let mut status = draft["status"].take();
    if status.is_null() {
        status = json!({});
    }
    super::pod::set_condition(&mut status, kind, is, reason, message);
    let now = object::now();
    if let Some(new) = status["conditions"]
        .as_array_mut()
        .into_iter()
        .flatten()
        .find(|condition| text(condition, &["type"]) == kind)
    {
        let same = old
            .as_ref()
            .is_some_and(|old| old["status"] == is && old["reason"] == reason && old["message"] == message);
        new["lastUpdateTime"] =
            if same { old.map(|old| old["lastUpdateTime"].clone()).unwrap_or_default() } else { json!(now) };
    }
    draft["status"] = status;
}

/// Counts, conditions, and the one write to the Deployment.
fn finish(control: &mut Control<'_>, deployment: &Arc<Value>, mut draft: Value) {
    let sets = find(control, deployment);
    let wanted = number(deployment, &["spec", "replicas"]).unwrap_or(1);
    let sum = |path: &[&str]| sets.all().map(|set| number(set, path).unwrap_or(0)).sum::<i64>();
    let updated = sets.new.as_ref().map_or(0, |new| number(new, &["status", "replicas"]).unwrap_or(0));
    let (replicas, ready, available) = (
        sum(&["status", "replicas"]),
        sum(&["status", "readyReplicas"]),
        sum(&["status", "availableReplicas"]),
    );
    let unavailable = (sum(&["spec", "replicas"]) - available).max(0);
    let before = deployment["status"].clone();
    let going = sum(&["status", "terminatingReplicas"]);
    let mut status =
        json!({"observedGeneration": object::generation(deployment), "terminatingReplicas": going});
    for (field, count) in [
        ("replicas", replicas),
        ("updatedReplicas", updated),
        ("readyReplicas", ready),
        ("availableReplicas", available),
        ("unavailableReplicas", unavailable),
    ] {
        if count > 0 {
            status[field] = json!(count);
        }
    }
    if let Some(conditions) = draft["status"].get("conditions") {
        status["conditions"] = conditions.clone();
    }
    draft["status"] = status;
    let (_, may_miss) = replicaset::fenceposts(deployment);
    if available >= wanted - may_miss {
        set_condition(
            &mut draft,
            "Available",
            "True",
            "MinimumReplicasAvailable",
            "Deployment has minimum availability.",
        );
    } else {
        set_condition(
            &mut draft,
            "Available",
            "False",
            "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.",
        );
    }
    let done = updated == wanted && replicas == wanted && available == wanted;
    if deployment["spec"]["paused"] != true && !is_deleting(deployment) {
        judge_progress(control, deployment, &mut draft, &before, &sets, done);
    }
    if draft != **deployment {
        let resource = control.resource("deployments.apps");
        control.store.commit(&resource, Some(deployment.clone()), Some(draft));
    }
    if done {
        clean_up(control, deployment);
    }
}

fn judge_progress(
    control: &mut Control<'_>,
    deployment: &Value,
    draft: &mut Value,
    before: &Value,
    sets: &Sets,
    done: bool,
) {
    let Some(deadline) = number(deployment, &["spec", "progressDeadlineSeconds"])
        .filter(|seconds| *seconds < i64::from(i32::MAX))
    else {
        return;
    };
    let name = sets.new.as_deref().map_or_else(|| object::name(deployment), object::name).to_owned();
    let what = if sets.new.is_some() { "ReplicaSet" } else { "Deployment" };
    let reason =
        condition(draft, "Progressing").map(|is| text(is, &["reason"]).to_owned()).unwrap_or_default();
    let count = |status: &Value, field: &str| number(status, &[field]).unwrap_or(0);
    let now = &draft["status"];
    let rolled_out =
        count(now, "replicas") == count(now, "updatedReplicas") && reason == "NewReplicaSetAvailable";
    if rolled_out {
        return;
    }
    let old_of = |status: &Value| count(status, "replicas") - count(status, "updatedReplicas");
    let moved = count(now, "updatedReplicas") > count(before, "updatedReplicas")
        || old_of(now) < old_of(before)
        || count(now, "readyReplicas") > count(before, "readyReplicas")
        || count(now, "availableReplicas") > count(before, "availableReplicas");
    if done {
        progress(
            draft,
            "True",
            "NewReplicaSetAvailable",
            &format!("{what} \"{name}\" has successfully progressed."),
        );
    } else if moved {
        progress(draft, "True", "ReplicaSetUpdated", &format!("{what} \"{name}\" is progressing."));
        if let Some(is) = draft["status"]["conditions"]
            .as_array_mut()
            .into_iter()
            .flatten()
            .find(|condition| condition["type"] == "Progressing")
        {
            is["lastUpdateTime"] = json!(object::now());
        }
    } else if let Some(is) = condition(draft, "Progressing")
        && reason != "ProgressDeadlineExceeded"
    {
        let still = deadline - object::age_seconds(is, &["lastUpdateTime"]).unwrap_or(0);
        if still <= 0 {
            progress(
                draft,
                "False",
                "ProgressDeadlineExceeded",
                &format!("{what} \"{name}\" has timed out progressing."),
            );
        }
    }
    if !done {
        let still = condition(draft, "Progressing")
            .and_then(|is| object::age_seconds(is, &["lastUpdateTime"]))
            .map_or(deadline, |age| deadline - age)
            .max(0);
        if text(condition(draft, "Progressing").unwrap_or(&Value::Null), &["reason"])
            != "ProgressDeadlineExceeded"
        {
            let place = (object::namespace(deployment).to_owned(), object::name(deployment).to_owned());
            control.work.after(Duration::from_secs(still as u64 + 1), Task::Deployment(place), false);
        }
    }
}

/// Scales one ReplicaSet, with the annotations that proportional scaling needs, and says so.
pub(crate) fn scale_set(control: &mut Control<'_>, deployment: &Value, of: &Arc<Value>, replicas: i64) {
    let wanted = number(deployment, &["spec", "replicas"]).unwrap_or(1);
    let (surge, _) = replicaset::fenceposts(deployment);
    let is = number(of, &["spec", "replicas"]).unwrap_or(0);
    let mut new = (**of).clone();
    set_annotation(&mut new, DESIRED, wanted);
    set_annotation(&mut new, MAX, wanted + surge);
    if is != replicas {
        set(&mut new, &["spec", "replicas"], json!(replicas));
        set(&mut new, &["metadata", "generation"], json!(object::generation(of).unwrap_or(0) + 1));
    }
    if new == **of {
        return;
    }
    let resource = control.resource("replicasets.apps");
    control.store.commit(&resource, Some(of.clone()), Some(new));
    if is != replicas {
        let way = if replicas > is { "up" } else { "down" };
        event::record(
            control,
            deployment,
            SOURCE,
            false,
            "ScalingReplicaSet",
            &format!("Scaled {way} replica set {} from {is} to {replicas}", object::name(of)),
        );
    }
}
