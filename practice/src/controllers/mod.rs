//! The controllers: small live copies of the real ones. Each change of an object wakes only those that care for it.

pub(crate) mod budget;
pub(crate) mod cronjob;
pub(crate) mod daemonset;
pub(crate) mod deployment;
pub(crate) mod event;
pub(crate) mod garbage;
pub(crate) mod hpa;
pub(crate) mod job;
pub(crate) mod kubelet;
pub(crate) mod pod;
pub(crate) mod replicaset;
pub(crate) mod revision;
pub(crate) mod rollout;
pub(crate) mod scheduler;
pub(crate) mod statefulset;
pub(crate) mod system;
pub(crate) mod work;

pub(crate) use work::Work;

use crate::cluster::{Cluster, State};
use crate::object::{self, text};
use crate::persist;
use crate::resource::Resource;
use crate::store::{Change, Key, Place, Store};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Something to look at again. Always the whole object: what exactly changed does not matter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Task {
    Deployment(Place),
    ReplicaSet(Place),
    StatefulSet(Place),
    DaemonSet(Place),
    Job(Place),
    CronJob(Place),
    Autoscaler(Place),
    Budget(Place),
    Schedule(Place),
    Kubelet(Place),
    Claim(Place),
    Namespace(String),
    Node(String),
    Definition(String),
    /// The owner with this uid is gone.
    Dependents(String),
    /// An object that is being deleted waits for its dependents.
    Finalize(Key),
    /// Old events go.
    Sweep,
}

impl Task {
    /// To look at a workload again.
    pub fn of(workload: &Value) -> Option<Task> {
        Task::by(text(workload, &["kind"]), object::namespace(workload), object::name(workload))
    }

    fn by(kind: &str, namespace: &str, name: &str) -> Option<Task> {
        let place = (namespace.to_owned(), name.to_owned());
        Some(match kind {
            "Deployment" => Task::Deployment(place),
            "ReplicaSet" => Task::ReplicaSet(place),
            "StatefulSet" => Task::StatefulSet(place),
            "DaemonSet" => Task::DaemonSet(place),
            "Job" => Task::Job(place),
            "CronJob" => Task::CronJob(place),
            _ => return None,
        })
    }
}

/// What a controller works with.
pub(crate) struct Control<'a> {
    pub store: &'a mut Store,
    pub work: &'a mut Work,
    pub speed: Duration,
}

impl Control<'_> {
    /// A built-in kind, by its table.
    pub fn resource(&self, id: &str) -> Arc<Resource> {
        self.store.registry.of_id(id).expect("controllers only name built-in kinds")
    }
    pub fn get(&self, id: &str, place: &Place) -> Option<Arc<Value>> {
        self.store.get(id, &place.0, &place.1)
    }
}

/// Tasks done under one taking of the lock.
const AT_ONCE: usize = 16;

/// Works until the cluster stops.
pub(crate) async fn run(cluster: Arc<Cluster>) {
    {
        let mut state = cluster.lock();
        state.work.push(Task::Sweep);
    }
    loop {
        let next = {
            let mut state = cluster.lock();
            (0..AT_ONCE)
                .all(|_| step(&mut state, cluster.speed))
                .then(Instant::now)
                .or_else(|| state.store.unseen.is_empty().then(|| state.work.next_timer()).flatten())
        };
        let now = Instant::now();
        if next.is_some_and(|next| next <= now) {
            tokio::task::yield_now().await;
            continue;
        }
        cluster.rest.send_modify(|times| *times += 1);
        let timer = async {
            match next {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = cluster.wake.notified() => {}
            _ = timer => {}
            _ = cluster.stop.cancelled() => return,
        }
    }
}

/// Does one task; false when there is none.
pub(crate) fn step(state: &mut State, speed: Duration) -> bool {
    for change in std::mem::take(&mut state.store.unseen) {
        route(&state.store, &mut state.work, &change);
    }
    let Some(task) = state.work.next(Instant::now()) else { return false };
    let mut control = Control { store: &mut state.store, work: &mut state.work, speed };
    let control = &mut control;
    match &task {
        Task::Deployment(place) => deployment::sync(control, place),
        Task::ReplicaSet(place) => replicaset::sync(control, place),
        Task::StatefulSet(place) => statefulset::sync(control, place),
        Task::DaemonSet(place) => daemonset::sync(control, place),
        Task::Job(place) => job::sync(control, place),
        Task::CronJob(place) => cronjob::sync(control, place),
        Task::Autoscaler(place) => hpa::sync(control, place),
        Task::Budget(place) => budget::sync(control, place),
        Task::Schedule(place) => scheduler::sync(control, place),
        Task::Kubelet(place) => kubelet::sync(control, place),
        Task::Claim(place) => system::claim(control, place),
        Task::Namespace(name) => system::namespace(control, name),
        Task::Node(name) => system::node(control, name),
        Task::Definition(name) => system::definition(control, name),
        Task::Dependents(uid) => garbage::dependents(control, uid),
        Task::Finalize(key) => garbage::finalize(control, key),
        Task::Sweep => {
            event::sweep(control);
            persist::fold_if_long(control.store);
            control.work.after(Duration::from_secs(60), Task::Sweep, false);
        }
    }
    true
}

/// Who has to look again after a change.
fn route(store: &Store, work: &mut Work, change: &Change) {
    let place = || (change.key.namespace.clone(), change.key.name.clone());
    let shown = &change.shown;
    match &*change.key.table {
        "pods" => route_pod(store, work, change),
        "deployments.apps" => {
            work.push(Task::Deployment(place()));
            route_replicas(store, work, change);
        }
        "replicasets.apps" => {
            work.push(Task::ReplicaSet(place()));
            route_replicas(store, work, change);
        }
        "statefulsets.apps" => {
            work.push(Task::StatefulSet(place()));
            route_replicas(store, work, change);
        }
        "daemonsets.apps" => work.push(Task::DaemonSet(place())),
        "jobs.batch" => work.push(Task::Job(place())),
        "cronjobs.batch" => work.push(Task::CronJob(place())),
        "horizontalpodautoscalers.autoscaling" => work.push(Task::Autoscaler(place())),
        "poddisruptionbudgets.policy" => work.push(Task::Budget(place())),
        "persistentvolumeclaims" => work.push(Task::Claim(place())),
        "namespaces" => work.push(Task::Namespace(change.key.name.clone())),
        "nodes" => route_node(store, work, change),
        "customresourcedefinitions.apiextensions.k8s.io" => {
            work.push(Task::Definition(change.key.name.clone()))
        }
        _ => {}
    }
    if let Some(owner) = object::controller(shown)
        && let Some(task) = Task::by(text(owner, &["kind"]), &change.key.namespace, text(owner, &["name"]))
    {
        work.push(task);
    }
    garbage::route(store, work, change);
}

fn route_pod(store: &Store, work: &mut Work, change: &Change) {
    let place = (change.key.namespace.clone(), change.key.name.clone());
    work.count_pod(change);
    if let Some(pod) = &change.new
        && object::text(pod, &["spec", "nodeName"]).is_empty()
        && !object::is_deleting(pod)
    {
        work.push(Task::Schedule(place.clone()));
    }
    if change.new.is_none() {
        work.retry_waiting_pods();
        // A Deployment that recreates waits for the last of its old pods.
        let set = object::controller(&change.shown).and_then(|owner| {
            store.get("replicasets.apps", &change.key.namespace, object::text(owner, &["name"]))
        });
        if let Some(owner) = set.as_deref().and_then(object::controller) {
            work.push(Task::Deployment((
                change.key.namespace.clone(),
                object::text(owner, &["name"]).to_owned(),
            )));
        }
    }
    work.push(Task::Kubelet(place));
    for budget in store.list("poddisruptionbudgets.policy", &change.key.namespace) {
        if crate::selector::Labels::of(&budget["spec"]["selector"])
            .is_some_and(|selector| selector.matches(object::labels(&change.shown)))
        {
            work.push(Task::Budget((change.key.namespace.clone(), object::name(budget).to_owned())));
        }
    }
}

/// A budget counts how many pods are wanted.
fn route_replicas(store: &Store, work: &mut Work, change: &Change) {
    let wanted =
        |object: &Option<Arc<Value>>| object.as_ref().map(|object| object["spec"]["replicas"].clone());
    if wanted(&change.old) != wanted(&change.new) {
        for budget in store.list("poddisruptionbudgets.policy", &change.key.namespace) {
            work.push(Task::Budget((change.key.namespace.clone(), object::name(budget).to_owned())));
        }
    }
}

fn route_node(store: &Store, work: &mut Work, change: &Change) {
    work.push(Task::Node(change.key.name.clone()));
    work.retry_waiting_pods();
    for set in store.list("daemonsets.apps", "") {
        work.push(Task::DaemonSet((object::namespace(set).to_owned(), object::name(set).to_owned())));
    }
}
