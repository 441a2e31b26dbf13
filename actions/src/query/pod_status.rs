//! The READY, STATUS and RESTARTS of a pod as kubectl computes them.
//! Source: kubernetes/pkg/printers/internalversion/printers.go, printPod.

use jiff::Timestamp;
use serde_json::Value;

use super::age::age;

/// One pod in a table.
#[derive(Debug, PartialEq, Eq)]
pub struct PodStatus {
    /// `1/2`
    pub ready: String,
    /// `Running`, `CrashLoopBackOff`, `Init:0/1`, `Terminating`
    pub status: String,
    /// `3 (5m ago)`
    pub restarts: String,
    /// All its containers are ready.
    pub is_ready: bool,
    /// The number in `restarts`.
    pub restart_count: u64,
}

fn list<'a>(pod: &'a Value, pointer: &str) -> &'a [Value] {
    pod.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn condition_holds(pod: &Value, name: &str) -> bool {
    list(pod, "/status/conditions")
        .iter()
        .any(|condition| condition["type"] == name && condition["status"] == "True")
}

/// Of a pod as read.
pub fn pod_status(pod: &Value, now: Timestamp) -> PodStatus {
    let phase = pod["status"]["phase"].as_str().unwrap_or("Unknown");
    let mut status =
        pod["status"]["reason"].as_str().filter(|reason| !reason.is_empty()).unwrap_or(phase).to_string();
    if list(pod, "/status/conditions")
        .iter()
        .any(|condition| condition["type"] == "PodScheduled" && condition["reason"] == "SchedulingGated")
    {
        status = "SchedulingGated".into();
    }
    let init_specs = list(pod, "/spec/initContainers");
    let is_sidecar = |name: &Value| {
        init_specs.iter().any(|spec| spec["name"] == *name && spec["restartPolicy"] == "Always")
    };
    let total = list(pod, "/spec/containers").len()
        + init_specs.iter().filter(|spec| spec["restartPolicy"] == "Always").count();
    let (mut ready, mut restarts, mut sidecar_restarts) = (0usize, 0u64, 0u64);
    let (mut last, mut last_sidecar): (Option<&Value>, Option<&Value>) = (None, None);
    let mut initializing = false;
    for (index, container) in list(pod, "/status/initContainerStatuses").iter().enumerate() {
        let sidecar = is_sidecar(&container["name"]);
        restarts += count(container);
        later(&mut last, container);
        if sidecar {
            sidecar_restarts += count(container);
            later(&mut last_sidecar, container);
        }
        let state = &container["state"];
        if state["terminated"].is_object() && state["terminated"]["exitCode"] == 0 {
            continue;
        }
        if sidecar && container["started"] == true {
            ready += usize::from(container["ready"] == true);
            continue;
        }
        initializing = true;
        status = if state["terminated"].is_object() {
            format!("Init:{}", ended(&state["terminated"]))
        } else {
            match state["waiting"]["reason"].as_str() {
                Some(reason) if !reason.is_empty() && reason != "PodInitializing" => format!("Init:{reason}"),
                _ => format!("Init:{index}/{}", init_specs.len()),
            }
        };
        break;
    }
    if !initializing || condition_holds(pod, "Initialized") {
        (restarts, last) = (sidecar_restarts, last_sidecar);
        let mut runs = false;
        for container in list(pod, "/status/containerStatuses").iter().rev() {
            restarts += count(container);
            later(&mut last, container);
            let state = &container["state"];
            match state["waiting"]["reason"].as_str() {
                Some(reason) if !reason.is_empty() => status = reason.to_string(),
                _ if state["terminated"].is_object() => status = ended(&state["terminated"]),
                _ if container["ready"] == true && state["running"].is_object() => {
                    runs = true;
                    ready += 1;
                }
                _ => {}
            }
        }
        if status == "Completed" && runs {
            status = if condition_holds(pod, "Ready") { "Running" } else { "NotReady" }.into();
        }
    }
    if pod["metadata"]["deletionTimestamp"].is_string() {
        if pod["status"]["reason"] == "NodeLost" {
            status = "Unknown".into();
        } else if !matches!(phase, "Succeeded" | "Failed") {
            status = "Terminating".into();
        }
    }
    PodStatus {
        ready: format!("{ready}/{total}"),
        status,
        restarts: match last {
            Some(at) if restarts > 0 => format!("{restarts} ({} ago)", age(at, now)),
            _ => restarts.to_string(),
        },
        is_ready: ready == total && total > 0,
        restart_count: restarts,
    }
}

fn count(container: &Value) -> u64 {
    container["restartCount"].as_u64().unwrap_or(0)
}

/// Keeps the later end of a last run; RFC 3339 in UTC sorts as text.
fn later<'a>(last: &mut Option<&'a Value>, container: &'a Value) {
    let finished = &container["lastState"]["terminated"]["finishedAt"];
    if finished.is_string() && last.is_none_or(|last| last.as_str() < finished.as_str()) {
        *last = Some(finished);
    }
}

fn ended(terminated: &Value) -> String {
    match (terminated["reason"].as_str(), terminated["signal"].as_i64()) {
        (Some(reason), _) if !reason.is_empty() => reason.to_string(),
        (_, Some(signal)) if signal != 0 => format!("Signal:{signal}"),
        _ => format!("ExitCode:{}", terminated["exitCode"].as_i64().unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(pod: Value) -> (String, String, String) {
        let status = pod_status(&pod, "2026-01-01T01:00:00Z".parse().unwrap());
        (status.ready, status.status, status.restarts)
    }

    fn three(ready: &str, status: &str, restarts: &str) -> (String, String, String) {
        (ready.into(), status.into(), restarts.into())
    }

    #[test]
    fn pods_look_as_in_kubectl() {
        let spec = json!({"containers": [{"name": "a"}, {"name": "b"}]});
        let running = json!({"ready": true, "restartCount": 0, "state": {"running": {}}});
        assert_eq!(
            of(
                json!({"spec": spec, "status": {"phase": "Running", "containerStatuses": [running, running]}})
            ),
            three("2/2", "Running", "0")
        );
        let crashing = json!({"ready": false, "restartCount": 7, "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"finishedAt": "2026-01-01T00:55:00Z"}}});
        assert_eq!(
            of(
                json!({"spec": spec, "status": {"phase": "Running", "containerStatuses": [running, crashing]}})
            ),
            three("1/2", "CrashLoopBackOff", "7 (5m ago)")
        );
        let done = json!({"ready": false, "restartCount": 0, "state": {"terminated": {"reason": "Completed", "exitCode": 0}}});
        assert_eq!(
            of(json!({"spec": spec, "status": {"phase": "Running", "containerStatuses": [running, done]}})),
            three("1/2", "NotReady", "0")
        );
        assert_eq!(of(json!({"spec": spec, "status": {"phase": "Pending"}})), three("0/2", "Pending", "0"));
        assert_eq!(
            of(
                json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "spec": spec, "status": {"phase": "Running", "containerStatuses": [running, running]}})
            ),
            three("2/2", "Terminating", "0")
        );
        let killed = json!({"ready": false, "restartCount": 0, "state": {"terminated": {"exitCode": 137, "signal": 9}}});
        assert_eq!(
            of(
                json!({"spec": {"containers": [{}]}, "status": {"phase": "Failed", "containerStatuses": [killed]}})
            ),
            three("0/1", "Signal:9", "0")
        );
        assert_eq!(
            of(json!({"spec": {"containers": [{}]}, "status": {"phase": "Failed", "reason": "Evicted"}})),
            three("0/1", "Evicted", "0")
        );
    }

    #[test]
    fn init_containers_and_sidecars_count_as_in_kubectl() {
        let spec = json!({"initContainers": [{"name": "proxy", "restartPolicy": "Always"}, {"name": "setup"}], "containers": [{"name": "a"}]});
        let proxy = json!({"name": "proxy", "started": true, "ready": true, "restartCount": 1, "state": {"running": {}}});
        let waiting =
            json!({"name": "setup", "restartCount": 0, "state": {"waiting": {"reason": "PodInitializing"}}});
        assert_eq!(
            of(
                json!({"spec": spec, "status": {"phase": "Pending", "initContainerStatuses": [proxy, waiting]}})
            ),
            three("1/2", "Init:1/2", "1")
        );
        let failed = json!({"name": "setup", "restartCount": 2, "state": {"terminated": {"reason": "Error", "exitCode": 1}}});
        assert_eq!(
            of(
                json!({"spec": spec, "status": {"phase": "Pending", "initContainerStatuses": [proxy, failed]}})
            ),
            three("1/2", "Init:Error", "3")
        );
        let done = json!({"name": "setup", "restartCount": 0, "state": {"terminated": {"reason": "Completed", "exitCode": 0}}});
        let app = json!({"name": "a", "ready": true, "restartCount": 0, "state": {"running": {}}});
        assert_eq!(
            of(
                json!({"spec": spec, "status": {"phase": "Running", "initContainerStatuses": [proxy, done], "containerStatuses": [app]}})
            ),
            three("2/2", "Running", "1")
        );
    }
}
