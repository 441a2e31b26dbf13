//! A request that proposed an autoscaler, looked at again: what it set, and its picture.

use super::{hpa::wish, *};
use crate::{
    autoscaler::{self, Floors, Outlook},
    query::Plot,
};
use ledger::{Request, Step};
use serde_json::json;
use workload::Subject;

/// What a proposal was made from, to be drawn: the same for as long as the metrics of that moment are kept. None: the request
/// is about something else, or there was no forecast.
pub async fn drawing(cluster: &Cluster, request: &Request) -> Result<Option<Plot>, PlanError> {
    let Some(context) = proposal(cluster, request) else { return Ok(None) };
    let subject = Subject::read(&context).await?;
    let found = autoscaler::outlook(cluster, &subject.reference, &subject.object, &wish(&context)).await?;
    Ok(found.map(|Outlook { series, forecast, request: each, .. }| Plot {
        title: format!("{}: cpu (cores); what its pods hold now, and the floor as proposed", subject.words()),
        alt: format!(
            "The load of {}, its forecast, what its pods of now hold, and what the proposed floor holds",
            subject.words()
        ),
        capacity: Some(f64::from(request.plan.blast.of) * each).filter(|cores| *cores > 0.0),
        proposal: held(request, &series, each),
        series,
        forecast,
    }))
}

/// What the proposed floors hold, where a pod holds `each`; the last one, which gives the floor back, is beyond the picture.
fn held(request: &Request, series: &forecast::Series, each: f64) -> Vec<(usize, f64)> {
    let (Some(first), Some(step)) = (series.time_at(series.values().len()), series.step()) else {
        return Vec::new();
    };
    let place = |at: Timestamp| (at.as_second() - first).max(0) as usize / step.as_secs().max(1) as usize;
    let metadata = wanted_metadata(request).map(|metadata| json!({ "metadata": metadata }));
    match metadata.as_ref().and_then(Floors::of) {
        Some(floors) => {
            floors.steps().iter().map(|(at, floor)| (place(*at), f64::from(*floor) * each)).collect()
        }
        None => {
            let floor = wanted_spec(request).and_then(|spec| spec["minReplicas"].as_u64());
            floor.map(|floor| (0, floor as f64 * each)).into_iter().collect()
        }
    }
}

/// What planning saw, for a request that proposed an autoscaler.
pub(super) fn proposal<'a>(cluster: &'a Cluster, request: &'a Request) -> Option<PlanContext<'a>> {
    let proposes = request.plan.action == "hpa" && request.plan.parameters["do"] == "propose";
    proposes.then_some(PlanContext {
        cluster,
        target: &request.ask.target,
        parameters: &request.ask.parameters,
        request: request.id,
        at: request.created_at,
    })
}

/// The fields that it set.
pub(super) fn wanted_spec(request: &Request) -> Option<&Value> {
    request.plan.steps.iter().find_map(|step| match step {
        Step::Patch { body, .. } | Step::Create { body, .. } => body.get("spec"),
        Step::Delete { .. } | Step::Exec { .. } => None,
    })
}

/// The annotations that it set, in their place.
pub(super) fn wanted_metadata(request: &Request) -> Option<&Value> {
    request.plan.steps.iter().find_map(|step| match step {
        Step::Patch { body, .. } | Step::Create { body, .. } => body.get("metadata"),
        Step::Delete { .. } | Step::Exec { .. } => None,
    })
}
