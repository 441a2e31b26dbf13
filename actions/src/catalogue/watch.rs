//! After `hpa propose` succeeded: is the load as it was foreseen, and do the pods that are ready hold it?

use super::{hpa::wish, *};
use crate::{
    autoscaler::{self, FLOORS, Floors, Outlook, ready_after},
    metric::Range,
};
use forecast::capacity::watch::{Record, compare, foreseen};
use jiff::SignedDuration;
use ledger::{ObjectRef, Request};
use serde_json::json;
use std::time::Duration;
use workload::{Subject, pods_of, text};

/// Looked at in so many steps, but in none shorter than this, nor longer than those of the forecast.
const STEPS: u32 = 60;
const SHORTEST: Duration = Duration::from_secs(5);

/// One proposal that was acted upon. The forecast is the one it was made from, worked out once.
pub struct Watch {
    workload: ObjectRef,
    object: Value,
    /// What the load is measured by.
    metric: String,
    /// What one unit of it costs, in cores, and what load a ready pod's request holds, in the same.
    per_load: f64,
    carries: f64,
    mean: Vec<f64>,
    /// Of the first value of the forecast, in Unix seconds.
    first: i64,
    step: Duration,
    /// The fields of `spec` that were set, and the floors that follow.
    wanted: Value,
    floors: Option<Floors>,
    applied: Timestamp,
}

/// What has come so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// Beside the forecast.
    pub record: Record,
    /// From the creation of the slowest pod that the autoscaler has added since until it was ready, or until now; None: it added none.
    pub slowest_start: Option<Duration>,
    /// A floor of the approved schedule that the autoscaler does not have yet.
    pub due: Option<Due>,
}

/// A step of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Counted from the first.
    pub index: usize,
    /// The last one, the giving back.
    pub is_last: bool,
}

impl Watch {
    /// None: the request proposed no autoscaler, or without any forecast.
    pub async fn begin(cluster: &Cluster, request: &Request) -> Result<Option<Watch>, PlanError> {
        let (Some(context), Some(wanted)) =
            (proposed::proposal(cluster, request), proposed::wanted_spec(request))
        else {
            return Ok(None);
        };
        let subject = Subject::read(&context).await?;
        let wish = wish(&context);
        let found = autoscaler::outlook(cluster, &subject.reference, &subject.object, &wish).await?;
        let Some(Outlook { series, forecast, relation, request: size }) = found else { return Ok(None) };
        let (Some(step), Some(first)) = (series.step(), series.time_at(series.values().len())) else {
            return Ok(None);
        };
        Ok(Some(Watch {
            workload: subject.reference.clone(),
            object: subject.object.clone(),
            metric: wish.load.unwrap_or_else(|| autoscaler::RESOURCE.into()),
            per_load: relation.per_load,
            carries: (size - relation.idle).max(0.0),
            mean: forecast.mean,
            first,
            step,
            wanted: wanted.clone(),
            floors: proposed::wanted_metadata(request)
                .and_then(|metadata| Floors::of(&json!({"metadata": metadata}))),
            applied: request.updated_at,
        }))
    }

    /// None: somebody has changed the autoscaler since, or put it back; then it is no business of ours.
    pub async fn look(&self, cluster: &Cluster, now: Timestamp) -> Result<Option<Seen>, PlanError> {
        let hpas = autoscaler::of_workload(cluster, &self.workload).await?;
        let Some(hpa) = hpas.iter().find(|hpa| self.stands(hpa)) else { return Ok(None) };
        let due = self.due(hpa, now);
        let slowest_start = self.slowest_start(cluster, now).await?;
        // Some minutes may lie between what had been measured and the first value of the forecast, which then stands for them.
        let begun = self.applied.as_second();
        let since = Duration::from_secs(u64::try_from(now.as_second() - begun).unwrap_or(0));
        let step = (since / STEPS).clamp(SHORTEST, self.step.max(SHORTEST));
        let range = Range::before(now, since, step);
        let (load, ready) = futures::future::try_join(
            autoscaler::points(cluster, &self.workload, &self.metric, range, step),
            autoscaler::points(cluster, &self.workload, "ready", range, step),
        )
        .await
        .map_err(|error| PlanError::Invalid(error.to_string()))?;
        let at = |points: &[(i64, f64)], moment: i64| {
            points.binary_search_by_key(&moment, |point| point.0).map_or(f64::NAN, |index| points[index].1)
        };
        let moments: Vec<i64> = (range.start()..=range.end())
            .step_by(range.step() as usize)
            .filter(|moment| *moment >= begun)
            .collect();
        let of = |value: &dyn Fn(i64) -> f64| moments.iter().map(|moment| value(*moment)).collect::<Vec<_>>();
        let expected = of(&|moment| foreseen(&self.mean, self.step, (moment - self.first) as f64));
        let came = of(&|moment| at(&load, moment) * self.per_load);
        let held = of(&|moment| at(&ready, moment) * self.carries);
        Ok(Some(Seen { record: compare(&expected, &came, &held, step), slowest_start, due }))
    }

    /// Floors follow the first one.
    pub fn is_scheduled(&self) -> bool {
        self.floors.is_some()
    }

    /// As it was proposed, and by Petrel.
    fn stands(&self, hpa: &Value) -> bool {
        let least = &hpa["spec"]["minReplicas"];
        let floor = match &self.floors {
            None => {
                *least == self.wanted["minReplicas"] && hpa["metadata"]["annotations"].get(FLOORS).is_none()
            }
            Some(floors) => Floors::of(hpa).as_ref() == Some(floors) && floors.has(least),
        };
        autoscaler::previous(hpa).is_some()
            && floor
            && hpa["spec"]["maxReplicas"] == self.wanted["maxReplicas"]
    }

    fn due(&self, hpa: &Value, now: Timestamp) -> Option<Due> {
        let floors = self.floors.as_ref()?;
        let (index, replicas) = floors.at(now)?;
        let is_last = index == floors.last();
        (is_last || hpa["spec"]["minReplicas"] != replicas).then_some(Due { index, is_last })
    }

    async fn slowest_start(
        &self,
        cluster: &Cluster,
        now: Timestamp,
    ) -> Result<Option<Duration>, ClusterError> {
        let pods = pods_of(cluster, &self.workload, &self.object).await?;
        let took = pods.iter().filter_map(|pod| {
            let created = text(pod, "/metadata/creationTimestamp").parse::<Timestamp>().ok()?;
            let took = match ready_after(pod) {
                Some(seconds) => SignedDuration::from_secs(seconds),
                // Restarted since, so that nobody knows any more.
                None if is_ready(pod) => return None,
                None => now.duration_since(created),
            };
            Duration::try_from(took).ok().filter(|_| created >= self.applied)
        });
        Ok(took.max())
    }
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|it| it["type"] == "Ready" && it["status"] == "True")
}
