//! What is known about a workload's load, as the question that a proposal answers.

use super::spec;
use crate::{
    catalogue::Quantity,
    cluster::Cluster,
    metric::{MetricError, Prometheus, Range, SETTLED, Scope, resolution},
};
use forecast::{
    Forecast, Options, Series,
    capacity::{
        NoRelation, Pod, Relation,
        hpa::{NoProposal, Proposal, Question, propose},
        replay::Autoscaler,
    },
};
use jiff::Timestamp;
use ledger::ObjectRef;
use serde_json::{Value, json};
use std::time::Duration;

/// By what it scales.
pub(crate) const RESOURCE: &str = "cpu";
/// How long pods take to start, where none has shown it.
const USUAL_START_UP: Duration = Duration::from_secs(60);
/// Start-up times are told apart no finer, so that one pod more or less is not another plan.
const START_UPS: [u64; 9] = [5, 15, 30, 60, 120, 180, 300, 600, 900];
/// What a container without a limit may use, as a multiple of its request.
const UNLIMITED: f64 = 10.0;

/// What a person asked for.
pub(crate) struct Wish {
    /// The metric of the load that the resource follows; None: the resource is the load.
    pub load: Option<String>,
    /// How far ahead.
    pub horizon: Duration,
    /// When it was asked; the metrics of that moment count, whenever this is worked out.
    pub at: Timestamp,
}

/// What came of it.
pub(crate) struct Study {
    /// The HPA as read, where there is one.
    pub hpa: Option<Value>,
    /// The answer.
    pub proposal: Proposal,
    /// What the load costs.
    pub relation: Relation,
    /// One replica.
    pub pod: Pod,
    /// Parts of the metrics may be missing.
    pub warnings: Vec<String>,
}

/// Why there is no proposal; every message says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoStudy {
    #[error("{0}")]
    Invalid(String),
    #[error(transparent)]
    Metric(#[from] MetricError),
    #[error(transparent)]
    Cluster(#[from] crate::cluster::ClusterError),
    #[error("{0}; look at its metrics with forecast")]
    Proposal(#[from] NoProposal),
    #[error("the load cannot be used: {0}; leave out --load to go by cpu alone")]
    Relation(#[from] NoRelation),
}

/// Reads the workload's HPA, pods and metrics, and asks for a proposal.
pub(crate) async fn study(
    cluster: &Cluster,
    workload: &ObjectRef,
    object: &Value,
    pods: &[Value],
    wish: &Wish,
) -> Result<Study, NoStudy> {
    let prometheus = cluster.prometheus()?;
    let mut hpas = spec::of_workload(cluster, workload).await?;
    if hpas.len() > 1 {
        let names: Vec<&str> = hpas.iter().filter_map(|hpa| hpa["metadata"]["name"].as_str()).collect();
        let words = format!("{} HPAs fight over it: {}; delete all but one", names.len(), names.join(", "));
        return Err(NoStudy::Invalid(words));
    }
    let hpa = hpas.pop();
    let current = match &hpa {
        None => None,
        Some(hpa) => {
            let now = spec::autoscaler(hpa, RESOURCE).map_err(|why| {
                let name = hpa["metadata"]["name"].as_str().unwrap_or_default();
                NoStudy::Invalid(format!("HPA {name} stays as it is: {why}"))
            })?;
            // What Petrel has changed is compared with what was before, or each step would be measured by the one before it.
            match spec::previous(hpa) {
                None => Some(now),
                Some(before) => spec::autoscaler(&json!({"spec": before}), RESOURCE).ok(),
            }
        }
    };
    let asked = Asked { prometheus, workload, wish };
    let (load, relation, warnings) = asked.load().await?;
    let replicas = asked.replicas().await?.unwrap_or_else(|| wanted(object));
    let (request, burst) = size(object).map_err(NoStudy::Invalid)?;
    let pod = Pod { request, idle: relation.idle, burst, start_up: start_up(pods) };
    let least = current.as_ref().map_or(1, |current: &Autoscaler| current.min.min(2));
    let ahead = wish.horizon;
    // A quarter of a second of arithmetic for weeks of history, which the async threads are not for.
    let answered = tokio::task::spawn_blocking(move || {
        propose(&Question { load: &load, relation, pod, replicas, current, least, ahead })
    });
    let proposal = answered
        .await
        .map_err(|_| NoStudy::Invalid("the proposal was given up; that is a mistake of ours".into()))??;
    Ok(Study { hpa, proposal, relation, pod, warnings })
}

/// The forecast that a proposal was made from.
pub(crate) struct Outlook {
    /// The history, in the unit of the resource.
    pub series: Series,
    /// Of the same.
    pub forecast: Forecast,
    /// What the load costs.
    pub relation: Relation,
    /// What one pod requests.
    pub request: f64,
}

/// As it was when it was asked for. None: there is no forecast.
pub(crate) async fn outlook(
    cluster: &Cluster,
    workload: &ObjectRef,
    object: &Value,
    wish: &Wish,
) -> Result<Option<Outlook>, NoStudy> {
    let asked = Asked { prometheus: cluster.prometheus()?, workload, wish };
    let (load, relation, _) = asked.load().await?;
    let (request, _) = size(object).map_err(NoStudy::Invalid)?;
    let (_, step) = asked.range();
    let steps = (wish.horizon.as_secs() / step.as_secs()) as usize;
    let worked = tokio::task::spawn_blocking(move || {
        let series = relation.demand(&load);
        let forecast = forecast::forecast(&series, &Options::horizon(steps)).ok()?;
        Some(Outlook { series, forecast, relation, request })
    });
    worked.await.map_err(|_| NoStudy::Invalid("the forecast was given up; that is a mistake of ours".into()))
}

/// One metric of a workload over a range.
pub(crate) async fn points(
    cluster: &Cluster,
    workload: &ObjectRef,
    metric: &str,
    range: Range,
    step: Duration,
) -> Result<Vec<(i64, f64)>, MetricError> {
    let prometheus = cluster.prometheus()?;
    let query = prometheus.metric(metric, scope(workload), step)?;
    Ok(prometheus.line(&query.promql, range).await?.data)
}

fn scope(workload: &ObjectRef) -> Scope<'_> {
    Scope {
        kind: &workload.kind,
        namespace: workload.namespace.as_deref().unwrap_or_default(),
        name: &workload.name,
    }
}

struct Asked<'a> {
    prometheus: &'a Prometheus,
    workload: &'a ObjectRef,
    wish: &'a Wish,
}

impl Asked<'_> {
    fn range(&self) -> (Range, Duration) {
        let (length, step) = resolution(self.wish.horizon);
        (Range::before(self.wish.at - SETTLED, length, step), step)
    }

    async fn points(&self, metric: &str) -> Result<(Vec<(i64, f64)>, Vec<String>), MetricError> {
        let (range, step) = self.range();
        let query = self.prometheus.metric(metric, scope(self.workload), step)?;
        let answer = self.prometheus.line(&query.promql, range).await?;
        Ok((answer.data, answer.warnings))
    }

    /// The load's history, what it costs, and warnings.
    async fn load(&self) -> Result<(Series, Relation, Vec<String>), NoStudy> {
        let (range, _) = self.range();
        let none = |metric: &str| {
            NoStudy::Invalid(format!(
                "Prometheus has no sample of {metric} of {} {}; check that it is scraped",
                self.workload.kind, self.workload.name
            ))
        };
        let (used, warnings) = self.points(RESOURCE).await?;
        let Some(metric) = &self.wish.load else {
            let series = range.series(&used).ok_or_else(|| none(RESOURCE))?;
            return Ok((series, Relation::identity(), warnings));
        };
        let (load, replicas) =
            futures::future::try_join(self.points(metric), self.points("replicas")).await?;
        let relation = Relation::learn(&together(&load.0, &replicas.0, &used))?;
        let series = range.series(&load.0).ok_or_else(|| none(metric))?;
        let mut all = warnings;
        all.extend(load.1.into_iter().chain(replicas.1));
        all.dedup();
        Ok((series, relation, all))
    }

    /// Of the moment asked about.
    async fn replicas(&self) -> Result<Option<u32>, MetricError> {
        let (points, _) = self.points("replicas").await?;
        let newest = points.iter().rev().find(|(_, value)| value.is_finite() && *value >= 0.0);
        Ok(newest.map(|(_, value)| value.min(1e6) as u32))
    }
}

/// Load, replicas and use of the moments that have all three.
fn together(load: &[(i64, f64)], replicas: &[(i64, f64)], used: &[(i64, f64)]) -> Vec<(f64, f64, f64)> {
    let at = |points: &[(i64, f64)], moment: i64| {
        points.binary_search_by_key(&moment, |point| point.0).ok().map(|index| points[index].1)
    };
    load.iter().filter_map(|&(moment, load)| Some((load, at(replicas, moment)?, at(used, moment)?))).collect()
}

fn wanted(object: &Value) -> u32 {
    object["spec"]["replicas"].as_u64().map_or(1, |count| count as u32)
}

/// What one pod requests, and what it may use as a multiple of that.
fn size(object: &Value) -> Result<(f64, f64), String> {
    let containers = object["spec"]["template"]["spec"]["containers"].as_array();
    let (mut request, mut limit) = (0.0, Some(0.0));
    for container in containers.into_iter().flatten() {
        let amount = |what: &str| {
            let text = container["resources"][what][RESOURCE].as_str()?;
            Some(text.parse::<Quantity>().ok()?.millis() as f64 / 1000.0)
        };
        // A request that is left out is as large as the limit.
        let Some(requested) = amount("requests").or_else(|| amount("limits")).filter(|cores| *cores > 0.0)
        else {
            let name = container["name"].as_str().unwrap_or_default();
            return Err(format!(
                "container {name} requests no cpu, so nothing can scale by its utilisation; give it one with set-resources"
            ));
        };
        request += requested;
        limit = limit.zip(amount("limits")).map(|(sum, limit)| sum + limit);
    }
    if request <= 0.0 {
        return Err("it has no containers".into());
    }
    Ok((request, limit.map_or(UNLIMITED, |limit| (limit / request).max(1.0))))
}

/// How long nine of ten pods took from creation to readiness, where they have not been restarted since; rounded up.
fn start_up(pods: &[Value]) -> Duration {
    let mut seconds: Vec<i64> = pods.iter().filter_map(ready_after).collect();
    seconds.sort_unstable();
    let Some(slow) = seconds.get((seconds.len() * 9).div_ceil(10).saturating_sub(1)) else {
        return USUAL_START_UP;
    };
    let slow = u64::try_from(*slow).unwrap_or(0);
    Duration::from_secs(
        START_UPS.into_iter().find(|&known| known >= slow).unwrap_or(START_UPS[START_UPS.len() - 1]),
    )
}

/// Seconds from a pod's creation until it was ready; None where it is not, or has been restarted, so that it cannot be told any more.
pub(crate) fn ready_after(pod: &Value) -> Option<i64> {
    let restarted = pod["status"]["containerStatuses"]
        .as_array()?
        .iter()
        .any(|container| container["restartCount"].as_u64().unwrap_or(0) > 0);
    let time = |value: &Value| value.as_str()?.parse::<Timestamp>().ok();
    let created = time(&pod["metadata"]["creationTimestamp"])?;
    let ready = pod["status"]["conditions"]
        .as_array()?
        .iter()
        .find(|condition| condition["type"] == "Ready" && condition["status"] == "True")?;
    let took = time(&ready["lastTransitionTime"])?.duration_since(created).as_secs();
    (!restarted && took >= 0).then_some(took)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_as_large_as_its_containers_together() {
        let workload = |second: Value| {
            json!({"spec": {"template": {"spec": {"containers": [
                {"name": "app", "resources": {"requests": {"cpu": "250m"}, "limits": {"cpu": "1"}}},
                {"name": "side", "resources": second}]}}}})
        };
        assert_eq!(size(&workload(json!({"limits": {"cpu": "250m"}}))), Ok((0.5, 2.5)));
        assert_eq!(size(&workload(json!({"requests": {"cpu": "250m"}}))), Ok((0.5, UNLIMITED)));
        assert!(size(&workload(json!({}))).unwrap_err().contains("container side requests no cpu"));
    }

    #[test]
    fn start_up_is_that_of_the_slow_pods_that_never_fell_over() {
        let pod = |ready: &str, restarts: u32| {
            json!({"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"}, "status": {
                "containerStatuses": [{"restartCount": restarts}],
                "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": ready}]}})
        };
        assert_eq!(start_up(&[]), USUAL_START_UP);
        let pods =
            [pod("2026-01-01T00:00:20Z", 0), pod("2026-01-01T00:00:50Z", 0), pod("2026-01-01T09:00:00Z", 3)];
        assert_eq!(start_up(&pods), Duration::from_secs(60));
    }

    #[test]
    fn only_moments_with_all_three_teach() {
        let found = together(&[(0, 1.0), (60, 2.0)], &[(60, 3.0), (120, 4.0)], &[(0, 5.0), (60, 6.0)]);
        assert_eq!(found, [(2.0, 3.0, 6.0)]);
    }
}
