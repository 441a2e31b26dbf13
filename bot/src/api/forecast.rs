//! `GET /api/v1/forecast`: the load of a workload as one number, for autoscalers that ask over HTTP (KEDA's metrics-api scaler).

use super::{Problem, auth::Bearer};
use crate::{app::App, expected::Wanted};
use actions::query::{QueryError, expected};
use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Whose load, and how far ahead.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ForecastQuery {
    /// Name in the registry.
    pub cluster: String,
    /// Where the workload lives.
    pub namespace: String,
    /// `deploy/checkout`.
    pub workload: String,
    /// `qps` unless said otherwise.
    pub metric: Option<String>,
    /// `10m` unless said otherwise: as long as new pods take until they answer.
    pub ahead: Option<String>,
    /// The share of cases that the number covers, 0.9 unless said otherwise.
    pub quantile: Option<f64>,
}

/// The load to be ready for.
#[derive(Debug, Serialize, ToSchema)]
pub struct Expected {
    /// The highest within that time, in the metric's unit: cores, bytes, requests a second.
    pub value: f64,
    /// When it is expected.
    pub at: String,
    /// Of the newest sample that it rests on.
    pub newest_sample: String,
}

/// The load to be ready for, of all pods together. Where nothing honest can be said (no samples, old samples, too little history), the
/// answer is 503, never an old number.
#[utoipa::path(
    get, path = "/api/v1/forecast", params(ForecastQuery),
    responses(
        (status = 200, body = Expected),
        (status = 400, body = Problem, description = "There is no such workload or metric"),
        (status = 403, body = Problem, description = "Not allowed"),
        (status = 503, body = Problem, description = "There is no forecast to rely on"),
    )
)]
pub async fn forecast(
    State(app): State<App>,
    Bearer(actor): Bearer,
    query: Result<Query<ForecastQuery>, QueryRejection>,
) -> Result<Json<Expected>, Problem> {
    let who = app.gate.who(&actor).await??;
    let Query(query) = query?;
    let now = Timestamp::now();
    app.policy.current().may_query(&who, "forecast", &query.cluster, &app.labels(&query.cluster), now)?;
    let Wanted { metric, ahead, quantile } =
        Wanted::new(query.metric.as_deref(), query.ahead.as_deref(), query.quantile).map_err(Problem::bad)?;
    let cluster = app.clusters.get(&query.cluster).map_err(|error| Problem::bad(&error.to_string()))?;
    let asked = expected(&cluster, &query.namespace, &query.workload, &metric, ahead, quantile, now).await;
    let expected = asked.map_err(|error| match error {
        QueryError::Invalid(why) => Problem::bad(&why),
        error => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "There is no forecast to rely on",
            &error.to_string(),
        ),
    })?;
    let time = |at: i64| Timestamp::from_second(at).map(|at| at.to_string()).unwrap_or_default();
    Ok(Json(Expected { value: expected.value, at: time(expected.at), newest_sample: time(expected.newest) }))
}
