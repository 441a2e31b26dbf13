//! `/practice/faults`, `/practice/exec` and `/practice/audit`, for tests that run the cluster as its own process, and `/practice/metrics`, which
//! Prometheus scrapes. Loopback only, no token.

use super::Answer;
use crate::cluster::Cluster;
use crate::exec::Scripted;
use crate::exposition;
use crate::failure::Failure;
use crate::faults::FaultRequest;
use http::Method;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn answer(
    cluster: &Arc<Cluster>,
    method: &Method,
    path: &[String],
    body: &[u8],
) -> Result<Answer, Failure> {
    match (method.as_str(), path.get(1).map(String::as_str)) {
        ("POST", Some("faults")) => {
            let ask: FaultRequest = serde_json::from_slice(body)
                .map_err(|error| Failure::bad_request(format!("read the faults: {error}")))?;
            cluster.faults.apply(&ask);
            if let Some(ms) = ask.refuse_for_ms {
                let cluster = cluster.clone();
                tokio::spawn(async move {
                    // First let the answer to this very call out.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    cluster.faults.refuse(true);
                    tokio::time::sleep(Duration::from_millis(ms)).await;
                    cluster.faults.refuse(false);
                });
            }
            Ok(Answer::Json(200, json!({"ok": true})))
        }
        ("POST", Some("exec")) => {
            let scripted: Vec<Scripted> = serde_json::from_slice(body)
                .map_err(|error| Failure::bad_request(format!("read the answers: {error}")))?;
            cluster.programs.set(move |exec| {
                let line = exec.command.join(" ");
                let found = scripted.iter().find(|one| line.contains(&one.contains));
                found.map(|one| one.answer.clone())
            });
            Ok(Answer::Json(200, json!({"ok": true})))
        }
        ("GET", Some("audit")) => {
            let entries = cluster.lock().trail.entries();
            Ok(Answer::Json(200, json!(entries)))
        }
        ("GET", Some("metrics")) => {
            let now = jiff::Timestamp::now().as_millisecond() as f64 / 1000.0;
            Ok(Answer::Text(exposition::page(cluster, now)))
        }
        _ => Err(Failure::no_resource()),
    }
}
