//! `external.metrics.k8s.io/v1beta1`: forecasts as the External metric `petrel_forecast`, for HPAs. An aggregated API server with a
//! listener of its own: a cluster's API server, and nobody else, calls it over TLS with its front-proxy certificate, after it has found
//! out who asks and whether they may.

mod common_name;
mod document;
mod tls;

use crate::{app::App, config::ExternalMetrics, expected::Wanted};
use actions::query::{QueryError, expected};
use axum::{
    Router,
    extract::{ConnectInfo, Path, Query, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use document::{Failure, Reason};
use jiff::Timestamp;
use serde::Deserialize;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tls::{Caller, Listener};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::task::TaskTracker;

pub use tls::{TlsFault, tls};

/// The one metric.
pub const METRIC: &str = "petrel_forecast";
/// An HPA gives up after half a minute.
const PATIENCE: Duration = Duration::from_secs(20);
/// Forecasts that are made at once; the rest wait.
const AT_ONCE: usize = 4;

#[derive(Clone)]
struct Server {
    app: App,
    config: Arc<ExternalMetrics>,
    turns: Arc<Semaphore>,
}

/// Serves until the app stops. The error is about the certificate files.
pub fn start(
    app: &App,
    config: &ExternalMetrics,
    listener: TcpListener,
    tasks: &TaskTracker,
) -> Result<(), TlsFault> {
    let listener = Listener::new(listener, config, &app.stop, tasks)?;
    let server = Server {
        app: app.clone(),
        config: Arc::new(config.clone()),
        turns: Arc::new(Semaphore::new(AT_ONCE)),
    };
    let stop = app.stop.clone();
    tasks.spawn(async move {
        let service = router(server).into_make_service_with_connect_info::<Caller>();
        let served = axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::error!(%error, "the server of external metrics ended");
        }
    });
    Ok(())
}

fn router(server: Server) -> Router {
    let resources = "/apis/external.metrics.k8s.io/v1beta1";
    Router::new()
        .route("/apis", get(async || document::groups()))
        .route("/apis/external.metrics.k8s.io", get(async || document::group()))
        .route(resources, get(async || document::resources(METRIC)))
        .route(&format!("{resources}/namespaces/{{namespace}}/{{metric}}"), get(metric))
        .fallback(async || Failure::new(Reason::NotFound, "there is no such path"))
        .method_not_allowed_fallback(async || Failure::new(Reason::MethodNotAllowed, "metrics are only read"))
        .layer(middleware::from_fn_with_state(server.clone(), allowed))
        .with_state(server)
}

/// Only by a name that the cluster's API server goes by; that the certificate is of its authority, TLS has made sure.
async fn allowed(
    State(server): State<Server>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    request: axum::extract::Request,
    next: Next,
) -> Response {
    let names = &server.config.allowed_names;
    if names.is_empty() || caller.name.as_ref().is_some_and(|name| names.contains(name)) {
        return next.run(request).await;
    }
    tracing::warn!(
        name = caller.name,
        "a client certificate of the right authority has a name that is not allowed"
    );
    let why = "the client certificate's common name is not in [external_metrics] allowed_names";
    Failure::new(Reason::Forbidden, why).into_response()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Selected {
    label_selector: Option<String>,
}

async fn metric(
    State(server): State<Server>,
    Path((namespace, name)): Path<(String, String)>,
    Query(selected): Query<Selected>,
) -> Result<Response, Failure> {
    if name != METRIC {
        return Err(Failure::new(Reason::NotFound, &format!("there is one metric here, {METRIC}")));
    }
    let bad = |why: String| Failure::new(Reason::BadRequest, &why);
    let labels = labels(selected.label_selector.as_deref().unwrap_or_default()).map_err(bad)?;
    let asked = Asked::of(&labels).map_err(bad)?;
    let answered = tokio::time::timeout(PATIENCE, answer(&server, &namespace, asked)).await;
    let (value, newest) = answered.map_err(|_| {
        Failure::new(Reason::Unavailable, &format!("no forecast within {} s", PATIENCE.as_secs()))
    })??;
    Ok(document::values(METRIC, &labels, value, newest))
}

/// The same number as `GET /api/v1/forecast`, and when the newest sample under it was taken.
async fn answer(server: &Server, namespace: &str, asked: Asked) -> Result<(f64, Timestamp), Failure> {
    // Never closed.
    let _turn = server.turns.acquire().await;
    let unavailable = |why: String| Failure::new(Reason::Unavailable, &why);
    let cluster =
        server.app.clusters.get(&server.config.cluster).map_err(|error| unavailable(error.to_string()))?;
    let Wanted { metric, ahead, quantile } = &asked.wanted;
    let now = Timestamp::now();
    let told = expected(&cluster, namespace, &asked.workload, metric, *ahead, *quantile, now).await;
    let told = told.map_err(|error| match error {
        QueryError::Invalid(why) => Failure::new(Reason::BadRequest, &why),
        error => unavailable(format!("there is no forecast to rely on: {error}")),
    })?;
    Ok((told.value, Timestamp::from_second(told.newest).unwrap_or(now)))
}

/// Whose load, in the labels of an HPA's metric selector.
struct Asked {
    /// `Deployment/checkout`.
    workload: String,
    wanted: Wanted,
}

impl Asked {
    fn of(labels: &BTreeMap<String, String>) -> Result<Asked, String> {
        const KNOWN: [&str; 5] = ["workload", "kind", "metric", "ahead", "quantile"];
        if let Some(other) = labels.keys().find(|label| !KNOWN.contains(&label.as_str())) {
            return Err(format!("there is no label {other}; there are {}", KNOWN.join(", ")));
        }
        let label = |name: &str| labels.get(name).map(String::as_str);
        let workload = label("workload").ok_or("select a workload: matchLabels: {workload: checkout}")?;
        let quantile = label("quantile").map(|text| text.parse::<f64>().map_err(|_| Wanted::QUANTILE));
        Ok(Asked {
            workload: format!("{}/{workload}", label("kind").unwrap_or("Deployment")),
            wanted: Wanted::new(label("metric"), label("ahead"), quantile.transpose()?)?,
        })
    }
}

/// `workload=checkout,quantile=0.9`, as an HPA's `matchLabels` come.
fn labels(selector: &str) -> Result<BTreeMap<String, String>, String> {
    let mut labels = BTreeMap::new();
    for part in selector.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (name, value) = part
            .split_once("==")
            .or_else(|| part.split_once('='))
            .filter(|(name, _)| !name.ends_with('!') && !name.contains([' ', '(']))
            .ok_or_else(|| format!("'{part}' selects in a way that is not known here; use matchLabels"))?;
        if labels.insert(name.trim().to_string(), value.trim().to_string()).is_some() {
            return Err(format!("{name} is selected twice"));
        }
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(selector: &str) -> Result<Asked, String> {
        Asked::of(&labels(selector)?)
    }

    #[test]
    fn labels_say_whose_load() {
        let all = asked("workload=db,kind=StatefulSet,metric=cpu,ahead=30m,quantile=0.95").unwrap();
        assert_eq!(all.workload, "StatefulSet/db");
        let wanted = Wanted { metric: "cpu".into(), ahead: Duration::from_secs(1800), quantile: 0.95 };
        assert_eq!(all.wanted, wanted);
        assert_eq!(asked("workload==checkout").unwrap().workload, "Deployment/checkout");
    }

    #[test]
    fn what_is_not_understood_is_never_left_out() {
        for (selector, words) in [
            ("", "select a workload"),
            ("workload=a,colour=red", "no label colour"),
            ("workload!=a", "not known here"),
            ("workload in (a,b)", "not known here"),
            ("workload=a,workload=b", "twice"),
            ("workload=a,ahead=soon", "1m to 24h"),
            ("workload=a,quantile=most", "0.5 to 0.999"),
            ("workload=a,quantile=2", "0.5 to 0.999"),
        ] {
            let said = asked(selector).err().unwrap_or_default();
            assert!(said.contains(words), "{selector}: {said}");
        }
    }

    #[test]
    fn the_example_in_deploy_is_understood() {
        let example = include_str!("../../../deploy/external-metrics/hpa.yaml");
        let selector = example.split_once("matchLabels: {").unwrap().1.split_once('}').unwrap().0;
        let selector = selector.replace(": ", "=").replace(['"', ' '], "");
        assert_eq!(asked(&selector).unwrap().workload, "Deployment/checkout");
        assert!(example.contains(&format!("name: {METRIC}")));
    }
}
