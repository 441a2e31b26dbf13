//! Looks out for trouble in one cluster by itself: conditions of pods and nodes, and the warnings (`Event` objects) about what no condition
//! shows. Watched with kube's watcher, which resumes after a dropped connection and lists anew after `410 Gone`. No objects are kept, only
//! what is wrong with some of them.
//!
//! The end of a condition is seen. A warning has none: it is over when it is not said again, or when a pod shows that it is.
//!
//! Where several may watch, that only one does is the caller's business; two would say the same.

mod book;
mod sign;

pub use book::Change;
pub use sign::{CONTROLLERS, Key, Sign, Trouble};

use crate::{
    catalogue::controller,
    cluster::{Cluster, ClusterError},
    owner,
};
use book::{Book, Object, Sort};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use jiff::Timestamp;
use kube::{
    Api,
    core::{ApiResource, DynamicObject, GroupVersionKind},
    runtime::{WatchStreamExt, watcher},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};

/// How often it is looked whether something that was waited for has come.
const TICK: Duration = Duration::from_secs(1);
/// Objects in one answer of a list.
const PAGE: u32 = 500;

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watched {
    Pods,
    Nodes,
    Warnings,
}

type Seen = (Watched, watcher::Result<watcher::Event<DynamicObject>>);

/// A watch of one cluster; it ends when this is dropped.
pub struct Lookout {
    cluster: String,
    seen: BoxStream<'static, Seen>,
    pods: BoxStream<'static, Seen>,
    /// All warnings there were have been heard (or cannot be): now pods may show which of them are over.
    heard: bool,
    tick: tokio::time::Interval,
    book: Book,
    /// What cannot be watched just now.
    blind: BTreeSet<&'static str>,
}

impl Lookout {
    /// Begins to watch. `known` is what an earlier watch has told and nobody has taken back: what is not so any more will be said to
    /// have ended.
    pub async fn open(cluster: &Cluster, known: Vec<Sign>) -> Result<Lookout, ClusterError> {
        let client = cluster.watcher().await?;
        let watch = |kind: &str, watched: Watched| {
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", kind));
            let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
            let settings = watcher::Config::default().page_size(PAGE);
            let settings =
                if watched == Watched::Warnings { settings.fields("type=Warning") } else { settings };
            watcher(api, settings).default_backoff().map(move |seen| (watched, seen)).boxed()
        };
        let seen = stream::select(watch("Event", Watched::Warnings), watch("Node", Watched::Nodes)).boxed();
        let pods = watch("Pod", Watched::Pods);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (cluster, book) = (cluster.name().to_string(), Book::with(known, Timestamp::now()));
        Ok(Lookout { cluster, seen, pods, heard: false, tick, book, blind: BTreeSet::new() })
    }

    /// What changed next; waits for it. Nothing is lost when it is not waited for to the end.
    pub async fn next(&mut self) -> Vec<Change> {
        loop {
            let changes = tokio::select! {
                // A watcher's stream has no end.
                Some(seen) = self.seen.next() => self.take(seen, Timestamp::now()),
                Some(seen) = self.pods.next(), if self.heard => self.take(seen, Timestamp::now()),
                _ = self.tick.tick() => self.book.tick(Timestamp::now()),
            };
            if std::mem::take(&mut self.book.full) {
                tracing::warn!(
                    cluster = self.cluster,
                    "too much is wrong at once; some of it is left out for now"
                );
            }
            if !changes.is_empty() {
                return changes;
            }
        }
    }

    fn take(&mut self, (watched, seen): Seen, now: Timestamp) -> Vec<Change> {
        let what = match watched {
            Watched::Pods => "pods",
            Watched::Nodes => "nodes",
            Watched::Warnings => "events",
        };
        let done = matches!(seen, Ok(watcher::Event::InitDone) | Err(_));
        self.heard |= done && watched == Watched::Warnings;
        let event = match seen {
            Ok(event) => event,
            Err(error) => {
                // Told once; it is tried again with growing pauses.
                if self.blind.insert(what) {
                    tracing::warn!(
                        cluster = self.cluster,
                        what,
                        error = crate::cluster::chain(&error),
                        "cannot watch"
                    );
                }
                return Vec::new();
            }
        };
        if self.blind.remove(what) {
            tracing::info!(cluster = self.cluster, what, "watching again");
        }
        match watched {
            Watched::Pods => self.see(Sort::Pods, event, now),
            Watched::Nodes => self.see(Sort::Nodes, event, now),
            Watched::Warnings => self.hear(event, now),
        }
    }

    fn see(&mut self, sort: Sort, event: watcher::Event<DynamicObject>, now: Timestamp) -> Vec<Change> {
        match event {
            watcher::Event::Init => {
                self.book.list(sort);
                Vec::new()
            }
            watcher::Event::InitDone => self.book.listed(sort),
            watcher::Event::Delete(object) => self.book.gone(&named(sort, &object)),
            watcher::Event::InitApply(object) | watcher::Event::Apply(object) => {
                let (name, object) = (named(sort, &object), whole(object));
                if sort == Sort::Nodes {
                    return self.book.see(&name, sign::of_node(&object, now), now);
                }
                let mut changes = self.book.see(&name, sign::of_pod(&object, now), now);
                for (whose, of, then) in sign::relieved_by(&object, now) {
                    changes.extend(self.book.relieve(&whose, of, then));
                }
                changes
            }
        }
    }

    /// That a cluster forgets its warnings after an hour says nothing.
    fn hear(&mut self, event: watcher::Event<DynamicObject>, now: Timestamp) -> Vec<Change> {
        let (watcher::Event::InitApply(said) | watcher::Event::Apply(said)) = event else {
            return Vec::new();
        };
        let firing = sign::of_event(&whole(said), now);
        firing.and_then(|firing| self.book.hear(firing, now)).into_iter().collect()
    }
}

/// The Deployment of a ReplicaSet that cannot make its pods, in place of it: people know that one.
pub async fn find_workload(cluster: &Cluster, sign: &mut Sign) {
    let key = &sign.key;
    if sign.home.workload.is_some() || !key.trouble.is_of_controller() {
        return;
    }
    let Some(object) = owner::object(Some(&key.namespace), &key.part, &key.object) else { return };
    match cluster.get(&object).await {
        Ok(set) => {
            let owner =
                controller(&set).and_then(|owner| Some((owner["kind"].as_str()?, owner["name"].as_str()?)));
            sign.home.workload = owner.map(|(kind, name)| (kind.to_string(), name.to_string()));
        }
        Err(error) => {
            tracing::debug!(%error, cluster = cluster.name(), "could not look up whose pods cannot be made")
        }
    }
}

fn named(sort: Sort, object: &DynamicObject) -> Object {
    Object {
        sort,
        namespace: object.metadata.namespace.clone().unwrap_or_default(),
        name: object.metadata.name.clone().unwrap_or_default(),
    }
}

/// All of it.
fn whole(object: DynamicObject) -> Value {
    let mut all = object.data;
    all["metadata"] = json!(object.metadata);
    all
}
