//! Whose a pod is, looked up in its cluster and remembered for a short while: ten thousand alerts about one namespace cost one list.

use crate::app::App;
use actions::owner::{self, Home};
use heal::event::{Event, Workload};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Remembered for so long.
const FRESH: Duration = Duration::from_secs(15);
/// A list older than this is read again for a pod that it does not know.
const UNKNOWN: Duration = Duration::from_secs(1);
/// A cluster that takes longer is not waited for: the trouble is then filed under its name and namespace.
const WITHIN: Duration = Duration::from_secs(2);

type Homes = Arc<BTreeMap<String, Home>>;
/// By cluster and namespace: when it was read, and what it says.
type Known = HashMap<(String, String), (Instant, Homes)>;

/// What is known about pods; cheap to clone.
#[derive(Clone, Default)]
pub struct Owners {
    known: Arc<Mutex<Known>>,
}

impl Owners {
    /// The event with what owns its pod and the node it runs on, where that can be found out.
    pub async fn complete(&self, app: &App, mut event: Event) -> Event {
        let subject = &event.subject;
        let (Some(cluster), Some(namespace), Some(pod)) =
            (&subject.cluster, &subject.namespace, subject.pod.clone())
        else {
            return event;
        };
        if subject.workload.is_some() && subject.node.is_some() {
            return event;
        }
        let Some(homes) = self.homes(app, cluster, namespace, &pod).await else { return event };
        if let Some(home) = homes.get(&pod) {
            event.subject.node = event.subject.node.or_else(|| home.node.clone());
            if let (None, Some((kind, name))) = (&event.subject.workload, &home.workload) {
                event.subject = event.subject.owned_by(Workload { kind: kind.clone(), name: name.clone() });
            }
        }
        event
    }

    async fn homes(&self, app: &App, cluster: &str, namespace: &str, pod: &str) -> Option<Homes> {
        let key = (cluster.to_string(), namespace.to_string());
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some((read, homes)) = known {
            let age = read.elapsed();
            if age < FRESH && (homes.contains_key(pod) || age < UNKNOWN) {
                return Some(homes);
            }
        }
        let cluster = app.clusters.get(cluster).ok()?;
        let listed = tokio::time::timeout(WITHIN, owner::homes(&cluster, namespace)).await;
        let homes = match listed {
            Ok(Ok(homes)) => Arc::new(homes),
            Ok(Err(error)) => {
                tracing::warn!(%error, cluster = cluster.name(), namespace, "could not look up whose pods are in trouble");
                // The next ones need not wait for it either.
                Arc::default()
            }
            Err(_) => Arc::default(),
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (read, _)| read.elapsed() < FRESH);
        known.insert(key, (Instant::now(), homes.clone()));
        Some(homes)
    }
}
