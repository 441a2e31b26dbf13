//! What an API server's answer means. The one distinction that everything rests on: a refused write did not take place;
//! a write whose answer was lost may have.

use super::ClusterError;
use serde_json::Value;

/// The error of an answer that is not 2xx. `what` names the object: `Deployment shop/checkout`. A write that was
/// answered with 5xx may have been stored (`504 Timeout`, `etcdserver: request timed out`): that is `Unreachable`, whose
/// meaning is "not known".
pub fn refusal(cluster: &str, what: &str, status: u16, body: &[u8], writes: bool) -> ClusterError {
    let answer: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let reason = answer["reason"].as_str().unwrap_or_default().to_string();
    let message = match answer["message"].as_str() {
        Some(message) if !message.is_empty() => message.to_string(),
        _ => {
            let text: String = String::from_utf8_lossy(body).chars().take(200).collect();
            format!("answered {status} {}", text.trim()).trim_end().to_string()
        }
    };
    let budget = || {
        message.contains("disruption budget")
            || answer["details"]["causes"]
                .as_array()
                .is_some_and(|causes| causes.iter().any(|cause| cause["reason"] == "DisruptionBudget"))
    };
    match status {
        404 if reason.is_empty() => {
            ClusterError::NotFound { what: format!("{what} (the cluster does not serve this kind)") }
        }
        404 => ClusterError::NotFound { what: what.to_string() },
        409 => ClusterError::Conflict { message, reason },
        401 if reason.is_empty() || message == "Unauthorized" => ClusterError::Forbidden {
            message: "it does not know who we are (401); check the cluster's credentials".into(),
        },
        401 | 403 => ClusterError::Forbidden { message },
        400 | 413 | 415 | 422 => ClusterError::Invalid { message },
        429 if budget() => ClusterError::Budget { message },
        500.. if writes => ClusterError::Unreachable {
            cluster: cluster.to_string(),
            why: format!("it answered {status} to a write, which may have been stored: {message}"),
        },
        _ => ClusterError::Other {
            cluster: cluster.to_string(),
            message: format!("{what}: {message} ({status})"),
        },
    }
}

/// An error with all its sources: hyper hides "connection refused" two levels down.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let more = inner.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(status: u16, reason: &str, message: &str, writes: bool) -> ClusterError {
        let body = json!({"kind": "Status", "status": "Failure", "reason": reason, "message": message, "code": status}).to_string();
        refusal("prod", "Deployment shop/checkout", status, body.as_bytes(), writes)
    }

    #[test]
    fn every_refusal_says_what_it_is() {
        assert!(
            matches!(of(404, "NotFound", "", false), ClusterError::NotFound { what } if what == "Deployment shop/checkout")
        );
        assert!(
            matches!(of(409, "Conflict", "modified", true), ClusterError::Conflict { reason, .. } if reason == "Conflict")
        );
        assert!(
            matches!(of(409, "AlreadyExists", "exists", true), ClusterError::Conflict { reason, .. } if reason == "AlreadyExists")
        );
        assert!(matches!(of(403, "Forbidden", "no", true), ClusterError::Forbidden { .. }));
        assert!(
            matches!(of(401, "Unauthorized", "Unauthorized", true), ClusterError::Forbidden { message } if message.contains("credentials"))
        );
        assert!(matches!(of(422, "Invalid", "bad", true), ClusterError::Invalid { .. }));
        assert!(matches!(of(400, "BadRequest", "bad", true), ClusterError::Invalid { .. }));
        assert!(matches!(
            of(
                429,
                "TooManyRequests",
                "Cannot evict pod as it would violate the pod's disruption budget.",
                true
            ),
            ClusterError::Budget { .. }
        ));
        assert!(matches!(of(429, "TooManyRequests", "slow down", true), ClusterError::Other { .. }));
    }

    #[test]
    fn a_server_error_on_a_write_is_not_mistaken_for_a_refusal() {
        for status in [500, 502, 503, 504] {
            assert!(
                matches!(
                    of(status, "Timeout", "etcdserver: request timed out", true),
                    ClusterError::Unreachable { .. }
                ),
                "{status}"
            );
            assert!(
                matches!(
                    of(status, "Timeout", "etcdserver: request timed out", false),
                    ClusterError::Other { .. }
                ),
                "{status}"
            );
        }
    }

    #[test]
    fn an_answer_that_is_no_status_is_shown_in_part() {
        let error = refusal("prod", "x", 418, "<html>teapot</html>".repeat(100).as_bytes(), false);
        assert!(error.to_string().len() < 300, "{error}");
        assert!(error.to_string().contains("teapot"));
    }
}
