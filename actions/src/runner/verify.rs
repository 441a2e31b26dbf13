//! Watching that the effect helped: poll the conditions until they hold, fail, or time is up.

use super::{
    attempt::Attempt,
    condition::{self, Holding, object_of},
    hold::{Exit, Pace},
    pods::{self, Sightings},
    words,
};
use crate::{
    catalogue::{Selector, pods_of},
    cluster::{Cluster, ClusterError},
};
use jiff::Timestamp;
use ledger::{Condition, Ended, ObjectRef};
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

/// Old replica sets are kept, ten by default.
const REPLICA_SETS: u32 = 1_000;
/// While a rollout goes on its pods are listed no more often than this: a pod that hiccups is no failure within two seconds anyway.
const PODS_EVERY: Duration = Duration::from_secs(2);
/// Lines of progress come no closer than this.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

impl Attempt<'_> {
    /// The plan's conditions, within the plan's time, which a rescue does not start anew. The inner error is why the
    /// effect does not count as a success.
    pub async fn verify(&self, cluster: &Cluster) -> Result<Result<(), String>, Exit> {
        let now = Timestamp::now();
        let until = match self.verify_until {
            Some(until) => until,
            None => {
                let until = now + self.verified_within();
                let (ledger, fence) = (&self.runner.ledger, self.hold.fence());
                self.hold.write(|| ledger.begin_verify(fence, until, now)).await?
            }
        };
        self.watch(cluster, &self.plan().verify.conditions, until, true).await
    }

    /// Until `until`, and one look at least. `may_cancel`: a person may call it off.
    pub async fn watch(
        &self,
        cluster: &Cluster,
        conditions: &[Condition],
        until: Timestamp,
        may_cancel: bool,
    ) -> Result<Result<(), String>, Exit> {
        let began = Instant::now();
        let mut pace = Pace::new(Duration::from_millis(100), Duration::from_secs(2));
        let mut watched = Watched::default();
        let mut shown = (String::new(), began);
        loop {
            self.hold.go_on()?;
            if may_cancel && let Some(by) = self.hold.cancelled() {
                // What is broken on purpose does not stay broken because nobody wants to know any more.
                if self.plan().fault().is_some() {
                    return Ok(Err(format!("called off by {by}")));
                }
                return Err(Exit::Ended(Ended::Cancelled(words::cancelled_in_verify(&by, self.plan()))));
            }
            let found = look(cluster, conditions, &mut watched, began.elapsed()).await;
            let left = Timestamp::now().duration_until(until);
            let line = match (found, left.is_positive()) {
                (Holding::Holds, _) => return Ok(Ok(())),
                (Holding::Fails(why), _) => return Ok(Err(format!("verification failed: {why}"))),
                (Holding::Waiting(why), false) => {
                    return Ok(Err(format!("verification failed, time is up: {why}")));
                }
                (Holding::Inconclusive(why), false) => {
                    return Ok(Err(format!("verification was inconclusive, time is up: {why}")));
                }
                (Holding::Waiting(line) | Holding::Inconclusive(line), true) => line,
            };
            if line != shown.0 && shown.1.elapsed() >= PROGRESS_EVERY {
                let (ledger, fence) = (&self.runner.ledger, self.hold.fence());
                self.hold.write(|| ledger.progress(fence, &line)).await?;
                shown = (line, Instant::now());
            }
            let left = Duration::try_from(left).unwrap_or(Duration::ZERO);
            self.hold.pause(pace.next().min(left)).await?;
        }
    }
}

/// What is remembered between looks.
#[derive(Default)]
struct Watched {
    sightings: Sightings,
    /// When the pods were listed last, counted from the start of the verification.
    listed: Duration,
}

/// One look at all conditions: the worst decides. Each object is read once.
async fn look(
    cluster: &Cluster,
    conditions: &[Condition],
    watched: &mut Watched,
    elapsed: Duration,
) -> Holding {
    let mut read: Vec<(&ObjectRef, Result<Option<Value>, String>)> = Vec::new();
    let mut worst = Holding::Holds;
    for condition in conditions {
        let object = object_of(condition);
        if !read.iter().any(|(known, _)| *known == object) {
            let seen = match cluster.get(object).await {
                Ok(seen) => Ok(Some(seen)),
                Err(ClusterError::NotFound { .. }) => Ok(None),
                Err(error) => Err(error.to_string()),
            };
            read.push((object, seen));
        }
        let found = match read.iter().find(|(known, _)| *known == object) {
            Some((_, Ok(seen))) => condition::look(condition, seen.as_ref()),
            Some((_, Err(why))) => Holding::Inconclusive(why.clone()),
            None => continue,
        };
        worst = worst.worse(found);
    }
    // Of a rollout that is not complete only a pod that stays in trouble is news.
    if worst != Holding::Holds && elapsed < watched.listed + PODS_EVERY {
        return worst;
    }
    watched.listed = elapsed;
    for condition in
        conditions.iter().filter(|condition| matches!(condition, Condition::NotCrashLooping { .. }))
    {
        let object = object_of(condition);
        if let Some((_, Ok(Some(workload)))) = read.iter().find(|(known, _)| *known == object)
            && condition::look(condition, Some(workload)) == Holding::Holds
        {
            let found = crash_loops(cluster, object, workload, &mut watched.sightings, elapsed).await;
            worst = worst.worse(found);
        }
    }
    worst
}

async fn crash_loops(
    cluster: &Cluster,
    object: &ObjectRef,
    workload: &Value,
    sightings: &mut Sightings,
    elapsed: Duration,
) -> Holding {
    let listed = match pods_of(cluster, object, workload).await {
        Ok(listed) => listed,
        Err(error) => return Holding::Inconclusive(format!("its pods cannot be listed: {error}")),
    };
    if !listed.iter().any(pods::in_trouble) {
        return Holding::Holds;
    }
    // Whether they are of the newest revision matters only now.
    let sets = match (object.kind.as_str(), Selector::of(&workload["spec"]["selector"])) {
        ("Deployment", Some(selector)) => {
            let (namespace, selector) = (object.namespace.as_deref(), selector.to_string());
            cluster.list("apps/v1", "ReplicaSet", namespace, Some(&selector), None, REPLICA_SETS).await
        }
        _ => Ok(Vec::new()),
    };
    match sets {
        Ok(sets) => {
            let newest = pods::of_newest_revision(&object.kind, workload, &listed, &sets);
            pods::not_crash_looping(&newest, sightings, elapsed)
        }
        Err(error) => Holding::Inconclusive(format!("its replica sets cannot be listed: {error}")),
    }
}
