//! The JSON that Kubernetes expects: discovery, metric values and errors. Shapes: `k8s.io/apimachinery` `meta/v1`, and
//! `k8s.io/metrics` `external_metrics/v1beta1`.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const GROUP: &str = "external.metrics.k8s.io";
const VERSION: &str = "external.metrics.k8s.io/v1beta1";

fn group_value() -> Value {
    let version = json!({"groupVersion": VERSION, "version": "v1beta1"});
    json!({"name": GROUP, "versions": [version], "preferredVersion": version})
}

/// `/apis`
pub(super) fn groups() -> Response {
    Json(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [group_value()]})).into_response()
}

/// `/apis/external.metrics.k8s.io`
pub(super) fn group() -> Response {
    let mut group = group_value();
    group["kind"] = "APIGroup".into();
    group["apiVersion"] = "v1".into();
    Json(group).into_response()
}

/// `/apis/external.metrics.k8s.io/v1beta1`
pub(super) fn resources(metric: &str) -> Response {
    let resource = json!({"name": metric, "singularName": "", "namespaced": true,
        "kind": "ExternalMetricValueList", "verbs": ["get"]});
    let list = json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": VERSION, "resources": [resource]});
    Json(list).into_response()
}

/// One value, as of `at`.
pub(super) fn values(metric: &str, labels: &BTreeMap<String, String>, value: f64, at: Timestamp) -> Response {
    let item = json!({"metricName": metric, "metricLabels": labels, "timestamp": at.to_string(), "value": quantity(value)});
    Json(json!({"kind": "ExternalMetricValueList", "apiVersion": VERSION, "metadata": {}, "items": [item]}))
        .into_response()
}

/// Rounded up to thousandths, as whole numbers where it is one: `412`, `412500m`.
fn quantity(value: f64) -> String {
    // Thousandths of the largest quantity, 2^63 - 1; forecasts are never below zero here.
    let thousandths = (value.clamp(0.0, 9.2e15) * 1000.0).ceil() as i128;
    if thousandths % 1000 == 0 { (thousandths / 1000).to_string() } else { format!("{thousandths}m") }
}

/// Why there is no value, in the words of `meta/v1`'s `StatusReason`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Reason {
    BadRequest,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    Unavailable,
}

/// A `Status` object.
#[derive(Debug)]
pub(super) struct Failure {
    reason: Reason,
    message: String,
}

impl Failure {
    pub(super) fn new(reason: Reason, message: &str) -> Failure {
        Failure { reason, message: message.to_string() }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (code, reason) = match self.reason {
            Reason::BadRequest => (StatusCode::BAD_REQUEST, "BadRequest"),
            Reason::Forbidden => (StatusCode::FORBIDDEN, "Forbidden"),
            Reason::NotFound => (StatusCode::NOT_FOUND, "NotFound"),
            Reason::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
            Reason::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable"),
        };
        let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": reason, "code": code.as_u16()});
        (code, Json(status)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_never_too_low() {
        let said = [0.0, 412.0, 412.5, 0.0001, 1e-9, 2.5e9, 1e300].map(quantity);
        assert_eq!(said, ["0", "412", "412500m", "1m", "1m", "2500000000", "9200000000000000"]);
    }
}
