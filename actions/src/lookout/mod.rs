//! Looks out for trouble in one cluster by itself: conditions of pods and nodes, watched with kube's watcher, which resumes after a
//! dropped connection and lists anew after `410 Gone`. No objects are kept, only what is wrong with some of them.
//!
//! Where several may watch, that only one does is the caller's business; two would say the same.

mod book;
mod sign;

pub use book::Change;
pub use sign::{Key, Sign, Trouble};

use crate::cluster::{Cluster, ClusterError};
use book::{Book, Sort};
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

type Seen = (Sort, watcher::Result<watcher::Event<DynamicObject>>);

/// A watch of one cluster; it ends when this is dropped.
pub struct Lookout {
    cluster: String,
    seen: BoxStream<'static, Seen>,
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
        let watch = |kind: &str, sort: Sort| {
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", kind));
            let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
            let settings = watcher::Config::default().page_size(PAGE);
            watcher(api, settings).default_backoff().map(move |seen| (sort, seen)).boxed()
        };
        let seen = stream::select(watch("Pod", Sort::Pods), watch("Node", Sort::Nodes)).boxed();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let cluster = cluster.name().to_string();
        Ok(Lookout { cluster, seen, tick, book: Book::with(known), blind: BTreeSet::new() })
    }

    /// What changed next; waits for it. Nothing is lost when it is not waited for to the end.
    pub async fn next(&mut self) -> Vec<Change> {
        loop {
            let changes = tokio::select! {
                // A watcher's stream has no end.
                Some(seen) = self.seen.next() => self.take(seen, Timestamp::now()),
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

    fn take(&mut self, (sort, seen): Seen, now: Timestamp) -> Vec<Change> {
        let what = match sort {
            Sort::Pods => "pods",
            Sort::Nodes => "nodes",
        };
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
        match event {
            watcher::Event::Init => {
                self.book.list(sort);
                Vec::new()
            }
            watcher::Event::InitDone => self.book.listed(sort),
            watcher::Event::InitApply(object) | watcher::Event::Apply(object) => {
                let (name, object) = whole(object);
                let firing = match sort {
                    Sort::Pods => sign::of_pod(&object, now),
                    Sort::Nodes => sign::of_node(&object, now),
                };
                self.book.see(&name, firing, now)
            }
            watcher::Event::Delete(object) => self.book.gone(&whole(object).0),
        }
    }
}

/// Its name, and all of it.
fn whole(object: DynamicObject) -> (book::Object, Value) {
    let name = (
        object.metadata.namespace.clone().unwrap_or_default(),
        object.metadata.name.clone().unwrap_or_default(),
    );
    let mut all = object.data;
    all["metadata"] = json!(object.metadata);
    (name, all)
}
