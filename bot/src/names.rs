//! Names that only a cluster knows, for completion: read in the background when someone types, kept for a moment.

use crate::{app::App, grammar};
use actions::{
    cluster::{Cluster, ClusterError},
    policy::Who,
};
use jiff::Timestamp;
use serde_json::Value;
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;

/// Names are read again after so long.
const KEPT: Duration = Duration::from_secs(20);
/// A first reading is waited for so long.
const FIRST: Duration = Duration::from_millis(500);
/// Objects of one kind read at most.
const MOST: u32 = 500;
/// What commands act on, and how people write it.
const KINDS: [(&str, &str, &str); 6] = [
    ("apps/v1", "Deployment", "deploy"),
    ("apps/v1", "StatefulSet", "sts"),
    ("apps/v1", "DaemonSet", "ds"),
    ("v1", "Pod", "pod"),
    ("batch/v1", "Job", "job"),
    ("batch/v1", "CronJob", "cj"),
];

/// Of one cluster: (namespace, `deploy/checkout`), in the order of kinds.
#[derive(Debug, Default)]
pub struct Known(Vec<(String, String)>);

impl Known {
    /// Namespaces that have something in them.
    pub fn namespaces(&self) -> Vec<String> {
        let all: BTreeSet<&String> = self.0.iter().map(|(namespace, _)| namespace).collect();
        all.into_iter().cloned().collect()
    }

    /// Targets in one namespace, or in all.
    pub fn targets(&self, namespace: Option<&str>) -> Vec<String> {
        let fits = |of: &str| namespace.is_none_or(|wanted| wanted == of);
        self.0.iter().filter(|(of, _)| fits(of)).map(|(_, target)| target.clone()).collect()
    }
}

/// What is known of every cluster.
#[derive(Clone, Debug, Default)]
pub struct Names(Arc<Mutex<HashMap<String, Entry>>>);

#[derive(Debug, Default)]
struct Entry {
    asked: Option<Instant>,
    known: Option<Arc<Known>>,
}

impl Names {
    /// What is known now; what is old is read again for the next letter. Only the very first reading is waited for, briefly.
    pub async fn of(&self, cluster: &Cluster) -> Arc<Known> {
        let (known, reading) = self.look(cluster);
        match (known, reading) {
            (Some(known), _) => known,
            (None, Some(reading)) => match tokio::time::timeout(FIRST, reading).await {
                Ok(Ok(known)) => known,
                _ => Arc::default(),
            },
            (None, None) => Arc::default(),
        }
    }

    /// What is known, and the task that reads it anew if it is time for that.
    fn look(&self, cluster: &Cluster) -> (Option<Arc<Known>>, Option<JoinHandle<Arc<Known>>>) {
        let now = Instant::now();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = all.entry(cluster.name().to_string()).or_default();
        let known = entry.known.clone();
        if entry.asked.is_some_and(|asked| now.duration_since(asked) < KEPT) {
            return (known, None);
        }
        entry.asked = Some(now);
        let (names, cluster) = (self.clone(), cluster.clone());
        let reading = tokio::spawn(async move {
            let fresh = Arc::new(read(&cluster).await);
            let mut all = names.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.entry(cluster.name().to_string()).or_default().known = Some(fresh.clone());
            fresh
        });
        (known, Some(reading))
    }
}

async fn read(cluster: &Cluster) -> Known {
    let lists = KINDS.map(|(version, kind, short)| async move {
        let objects = cluster.list(version, kind, None, None, None, MOST).await;
        named(short, objects)
    });
    Known(futures::future::join_all(lists).await.concat())
}

/// A kind that cannot be read (not allowed, no answer) has no completions; the command itself will say why.
fn named(short: &str, objects: Result<Vec<Value>, ClusterError>) -> Vec<(String, String)> {
    let field = |object: &Value, name: &str| object["metadata"][name].as_str().map(str::to_string);
    let name =
        |object: &Value| Some((field(object, "namespace")?, format!("{short}/{}", field(object, "name")?)));
    objects.unwrap_or_default().iter().filter_map(name).collect()
}

/// Names of the cluster and namespace meant, if this person may look there.
pub async fn known(
    app: &App,
    who: &Who,
    cluster: Option<&str>,
    namespace: Option<&str>,
    now: Timestamp,
) -> grammar::Names {
    let Some(cluster) = cluster.and_then(|name| app.clusters.get(name).ok()) else {
        return grammar::Names::default();
    };
    if app.policy.current().may_query(who, "get", cluster.name(), cluster.labels(), now).is_err() {
        return grammar::Names::default();
    }
    let known = app.names.of(&cluster).await;
    grammar::Names { namespaces: known.namespaces(), targets: known.targets(namespace) }
}

/// The value of the last `-c x`, `--cluster x` or `--cluster=x` in a line that is being typed.
pub fn option<'a>(line: &'a str, short: &str, long: &str) -> Option<&'a str> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let pairs = words.windows(2).filter(|pair| pair[0] == short || pair[0] == long).map(|pair| pair[1]);
    let joined = words.iter().filter_map(|word| word.strip_prefix(long)?.strip_prefix('='));
    pairs.chain(joined).last()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_cluster_meant_is_the_last_one_typed() {
        let line = "get pods -n shop -c staging --cluster=prod-eu";
        assert_eq!(option(line, "-c", "--cluster"), Some("prod-eu"));
        assert_eq!(option(line, "-n", "--namespace"), Some("shop"));
        assert_eq!(option("get pods -c", "-c", "--cluster"), None);
    }

    #[test]
    fn targets_are_of_the_namespace_meant() {
        let object =
            |namespace: &str, name: &str| json!({ "metadata": { "namespace": namespace, "name": name } });
        let known =
            Known(named("deploy", Ok(vec![object("shop", "cart"), object("infra", "dns"), json!({})])));
        assert_eq!(known.targets(Some("shop")), ["deploy/cart"]);
        assert_eq!(known.targets(None).len(), 2);
        assert_eq!(known.namespaces(), ["infra", "shop"]);
        assert!(named("pod", Err(ClusterError::Forbidden { message: "no".into() })).is_empty());
    }
}
