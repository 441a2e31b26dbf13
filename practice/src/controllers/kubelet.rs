//! The kubelets: pods start, become ready, crash, finish and stop, each in its time.
//!
//! What a pod does is read from its annotation `practice.petrel.dev/behaviour` (`crash`, `missing`, `slow`, `unready`), or from
//! its image: `crash` or `slow` in the name, `missing` in the name or the tag `nope`. Pods of jobs finish; they fail when
//! their command says `exit 1`.

use super::{Control, Task, event, pod};
use crate::object::{self, annotation, at, is_deleting, list, number, set, text};
use crate::store::Place;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const SOURCE: &str = "kubelet";
const BEHAVIOUR: &str = "practice.petrel.dev/behaviour";
/// A slow pod takes this many times longer,
const SLOW: u32 = 20;
/// than at least this.
const SLOW_AT_LEAST: Duration = Duration::from_millis(250);

/// Where the kubelet is with a pod. Not kept over restarts: a pod on its way starts its wait anew.
pub(crate) struct Run {
    uid: String,
    stage: Stage,
    until: Instant,
    /// The images it was started with: another one restarts the containers.
    images: Vec<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Starting,
    Running,
    /// Runs to its end.
    Finishing,
    /// Waits for its image, which will not come.
    Stuck,
    /// Waits for its next try.
    Crashed,
    Stopping,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Behaviour {
    Good,
    Slow,
    Crash,
    Missing,
    Unready,
}

fn behaviour(pod: &Value) -> Behaviour {
    let named = |word: &str| match word {
        "crash" => Some(Behaviour::Crash),
        "missing" => Some(Behaviour::Missing),
        "slow" => Some(Behaviour::Slow),
        "unready" => Some(Behaviour::Unready),
        _ => None,
    };
    if let Some(told) = annotation(pod, BEHAVIOUR).and_then(named) {
        return told;
    }
    let images = || list(pod, &["spec", "containers"]).iter().map(|container| text(container, &["image"]));
    if images().any(|image| image.contains("missing") || image.ends_with(":nope")) {
        Behaviour::Missing
    } else if images().any(|image| image.contains("crash")) || runs_into_the_ground(pod) {
        Behaviour::Crash
    } else if images().any(|image| image.contains("slow")) {
        Behaviour::Slow
    } else {
        Behaviour::Good
    }
}

/// Its program is not there (`crash` in its name), or it has too little memory to start.
fn runs_into_the_ground(pod: &Value) -> bool {
    let crashes = |container: &Value| {
        list(container, &["command"])
            .first()
            .and_then(Value::as_str)
            .is_some_and(|program| program.contains("crash"))
    };
    !is_task(pod) && list(pod, &["spec", "containers"]).iter().any(crashes) || is_out_of_memory(pod)
}

/// A limit of less than 16 MiB: nothing starts with that.
fn is_out_of_memory(pod: &Value) -> bool {
    let limits = list(pod, &["spec", "containers"])
        .iter()
        .map(|container| text(container, &["resources", "limits", "memory"]));
    limits.filter_map(|limit| limit.strip_suffix("Mi")?.parse::<u32>().ok()).any(|mebibytes| mebibytes < 16)
}

fn images(pod: &Value) -> Vec<Value> {
    list(pod, &["spec", "containers"]).iter().map(|container| container["image"].clone()).collect()
}

fn is_task(pod: &Value) -> bool {
    text(pod, &["spec", "restartPolicy"]) != "Always"
}

/// A task whose command says so fails.
fn fails(pod: &Value) -> bool {
    list(pod, &["spec", "containers"])
        .iter()
        .flat_map(|container| list(container, &["command"]).iter().chain(list(container, &["args"])))
        .any(|word| word.as_str().is_some_and(|word| word.contains("exit 1")))
}

pub(crate) fn sync(control: &mut Control<'_>, place: &Place) {
    let pod = control.get("pods", place).filter(|pod| !text(pod, &["spec", "nodeName"]).is_empty());
    let Some(pod) = pod else {
        control.work.runs.remove(place);
        return;
    };
    if control.work.runs.get(place).is_some_and(|run| run.uid != object::uid(&pod)) {
        control.work.runs.remove(place);
    }
    let now = Instant::now();
    if is_deleting(&pod) {
        return stop(control, place, &pod, now);
    }
    if pod::is_finished(&pod) {
        control.work.runs.remove(place);
        return;
    }
    let Some(run) = control.work.runs.get(place) else { return start(control, place, &pod, now) };
    let (stage, due) = (run.stage, now >= run.until);
    if run.images != images(&pod) && stage != Stage::Starting {
        event::record(
            control,
            &pod,
            SOURCE,
            false,
            "Killing",
            "Container definition changed, will be restarted",
        );
        return start(control, place, &pod, now);
    }
    match stage {
        Stage::Starting if due => started(control, place, &pod, now),
        Stage::Finishing if due => finished(control, place, &pod),
        Stage::Crashed if due => crash(control, place, &pod, now),
        Stage::Starting | Stage::Finishing | Stage::Crashed => {
            let (wait, moving) = (run.until - now, stage != Stage::Crashed);
            control.work.after(wait, Task::Kubelet(place.clone()), moving);
        }
        Stage::Running => resize(control, &pod),
        Stage::Stuck | Stage::Stopping => {}
    }
}

fn enter(control: &mut Control<'_>, place: &Place, pod: &Value, stage: Stage, wait: Duration) {
    let run =
        Run { uid: object::uid(pod).to_owned(), stage, until: Instant::now() + wait, images: images(pod) };
    control.work.runs.insert(place.clone(), run);
    if !wait.is_zero() {
        control.work.after(wait, Task::Kubelet(place.clone()), stage != Stage::Crashed);
    }
}

fn start(control: &mut Control<'_>, place: &Place, pod: &Arc<Value>, now: Instant) {
    // A pod of an earlier life that already runs goes on running.
    let runs_already = pod::is_ready(pod)
        && list(pod, &["status", "containerStatuses"])
            .iter()
            .map(|status| &status["image"])
            .eq(images(pod).iter());
    if runs_already {
        return enter(control, place, pod, Stage::Running, Duration::ZERO);
    }
    let wait = if behaviour(pod) == Behaviour::Slow {
        control.speed.max(SLOW_AT_LEAST) * SLOW
    } else {
        control.speed
    };
    enter(control, place, pod, Stage::Starting, wait);
    if wait.is_zero() {
        return started(control, place, pod, now);
    }
    let creating = |_: &Value| json!({"waiting": {"reason": "ContainerCreating"}});
    write(control, pod, "Pending", false, &creating);
}

/// The wait is over: it runs, or shows what is wrong with it.
fn started(control: &mut Control<'_>, place: &Place, pod: &Arc<Value>, now: Instant) {
    match behaviour(pod) {
        Behaviour::Missing => {
            enter(control, place, pod, Stage::Stuck, Duration::ZERO);
            let stuck = |container: &Value| {
                let image = text(container, &["image"]);
                json!({"waiting": {"reason": "ImagePullBackOff", "message": format!("Back-off pulling image \"{image}\": ErrImagePull: rpc error: code = NotFound desc = failed to pull and unpack image \"{image}\": not found")}})
            };
            let pod = write(control, pod, "Pending", false, &stuck);
            for container in list(&pod, &["spec", "containers"]) {
                let image = text(container, &["image"]);
                event::record(
                    control,
                    &pod,
                    SOURCE,
                    true,
                    "Failed",
                    &format!(
                        "Failed to pull image \"{image}\": rpc error: code = NotFound desc = failed to pull and unpack image \"{image}\": not found"
                    ),
                );
                event::record(
                    control,
                    &pod,
                    SOURCE,
                    false,
                    "BackOff",
                    &format!("Back-off pulling image \"{image}\""),
                );
            }
        }
        Behaviour::Crash => {
            say_started(control, pod);
            crash(control, place, pod, now);
        }
        told => {
            say_started(control, pod);
            let since = object::now();
            let running = |_: &Value| json!({"running": {"startedAt": since}});
            let task = is_task(pod);
            let pod = write(control, pod, "Running", told != Behaviour::Unready, &running);
            if task {
                enter(control, place, &pod, Stage::Finishing, control.speed);
                if control.speed.is_zero() {
                    finished(control, place, &pod);
                }
            } else {
                enter(control, place, &pod, Stage::Running, Duration::ZERO);
            }
        }
    }
}

fn say_started(control: &mut Control<'_>, pod: &Value) {
    for container in list(pod, &["spec", "containers"]) {
        let name = text(container, &["name"]);
        event::record(
            control,
            pod,
            SOURCE,
            false,
            "Pulled",
            &format!("Container image \"{}\" already present on machine", text(container, &["image"])),
        );
        event::record(control, pod, SOURCE, false, "Created", &format!("Container created: {name}"));
        event::record(control, pod, SOURCE, false, "Started", &format!("Container started: {name}"));
    }
}

fn terminated(pod: &Value, code: i64) -> Value {
    let name = object::name(pod);
    let since = list(pod, &["status", "containerStatuses"])
        .first()
        .map(|status| text(status, &["state", "running", "startedAt"]).to_owned())
        .filter(|since| !since.is_empty());
    let reason = match code {
        0 => "Completed",
        137 => "OOMKilled",
        _ => "Error",
    };
    json!({"exitCode": code, "reason": reason, "startedAt": since.unwrap_or_else(object::now), "finishedAt": object::now(),
        "containerID": format!("containerd://{:016x}", object::fnv(name.as_bytes()))})
}

fn finished(control: &mut Control<'_>, place: &Place, pod: &Arc<Value>) {
    if fails(pod) && text(pod, &["spec", "restartPolicy"]) == "OnFailure" {
        return crash(control, place, pod, Instant::now());
    }
    let code = i64::from(fails(pod));
    let end = terminated(pod, code);
    let over = |_: &Value| json!({"terminated": end});
    control.work.runs.remove(place);
    write(control, pod, if code == 0 { "Succeeded" } else { "Failed" }, false, &over);
}

/// One more crash, and the wait until the next try: 10 s, twice as long each time, at most five minutes.
fn crash(control: &mut Control<'_>, place: &Place, pod: &Arc<Value>, _now: Instant) {
    let restarts = list(pod, &["status", "containerStatuses"])
        .iter()
        .filter_map(|status| number(status, &["restartCount"]))
        .max()
        .unwrap_or(0);
    let wait = Duration::from_secs(10 << restarts.min(5)).min(Duration::from_secs(300));
    let message = format!(
        "back-off {}s restarting failed container={} pod={}_{}({})",
        wait.as_secs(),
        text(&pod["spec"]["containers"][0], &["name"]),
        place.1,
        place.0,
        object::uid(pod)
    );
    let end = terminated(pod, if is_out_of_memory(pod) { 137 } else { 1 });
    let looping = |_: &Value| json!({"waiting": {"reason": "CrashLoopBackOff", "message": message}});
    let mut new = (**pod).clone();
    for status in new["status"]["containerStatuses"].as_array_mut().into_iter().flatten() {
        set(status, &["lastState"], json!({"terminated": end}));
        status["restartCount"] = json!(restarts + 1);
    }
    if new["status"]["containerStatuses"].is_null() {
        let first: Vec<Value> = list(pod, &["spec", "containers"]).iter().map(|container| json!({"name": container["name"], "restartCount": 1, "lastState": {"terminated": end}})).collect();
        new["status"]["containerStatuses"] = Value::Array(first);
    }
    let status = status_of(&new, "Running", false, &looping);
    let resource = control.resource("pods");
    let pod = control.store.put_status(&resource, pod, status);
    enter(control, place, &pod, Stage::Crashed, wait);
    event::record(
        control,
        &pod,
        SOURCE,
        true,
        "BackOff",
        &format!(
            "Back-off restarting failed container {} in pod {}_{}({})",
            text(&pod["spec"]["containers"][0], &["name"]),
            place.1,
            place.0,
            object::uid(&pod)
        ),
    );
}

fn stop(control: &mut Control<'_>, place: &Place, pod: &Arc<Value>, now: Instant) {
    let stopping =
        control.work.runs.get(place).filter(|run| run.stage == Stage::Stopping).map(|run| run.until);
    match stopping {
        None => {
            let grace = number(pod, &["metadata", "deletionGracePeriodSeconds"]).unwrap_or(0).max(0) as u64;
            for container in list(pod, &["spec", "containers"]) {
                event::record(
                    control,
                    pod,
                    SOURCE,
                    false,
                    "Killing",
                    &format!("Stopping container {}", text(container, &["name"])),
                );
            }
            let wait = control.speed.min(Duration::from_secs(grace));
            enter(control, place, pod, Stage::Stopping, wait);
            if wait.is_zero() {
                stop(control, place, pod, now);
            }
        }
        Some(until) if now >= until => {
            let resource = control.resource("pods");
            control.work.runs.remove(place);
            control.store.grace_over(&resource, pod);
            // Somebody else's finalizer may still hold it; then there is nothing more to do here.
            if control.get("pods", place).is_some_and(|left| object::uid(&left) == object::uid(pod)) {
                enter(control, place, pod, Stage::Stopping, Duration::from_secs(3600));
            }
        }
        Some(until) => control.work.after(until - now, Task::Kubelet(place.clone()), true),
    }
}

/// Resources that were changed in place reach the container.
fn resize(control: &mut Control<'_>, pod: &Arc<Value>) {
    let mut status = pod["status"].clone();
    let mut changed = false;
    for shown in status["containerStatuses"].as_array_mut().into_iter().flatten() {
        let container =
            list(pod, &["spec", "containers"]).iter().find(|container| container["name"] == shown["name"]);
        let resources = container.map(|container| container["resources"].clone()).unwrap_or_default();
        if shown["resources"] != resources {
            shown["resources"] = resources.clone();
            shown["allocatedResources"] = resources["requests"].clone();
            changed = true;
        }
    }
    if changed {
        status["observedGeneration"] = json!(object::generation(pod));
        let resource = control.resource("pods");
        control.store.put_status(&resource, pod, status);
    }
}

fn write(
    control: &mut Control<'_>,
    pod: &Arc<Value>,
    phase: &str,
    ready: bool,
    state: &dyn Fn(&Value) -> Value,
) -> Arc<Value> {
    let status = status_of(pod, phase, ready, state);
    let resource = control.resource("pods");
    control.store.put_status(&resource, pod, status)
}

/// The whole status of a pod, from where it is and what its containers do.
fn status_of(pod: &Value, phase: &str, ready: bool, state: &dyn Fn(&Value) -> Value) -> Value {
    let mut status = pod["status"].clone();
    status["phase"] = json!(phase);
    status["observedGeneration"] = json!(object::generation(pod));
    if status["startTime"].is_null() {
        status["startTime"] = json!(object::now());
    }
    let node = object::fnv(text(pod, &["spec", "nodeName"]).as_bytes());
    let own = object::fnv(object::uid(pod).as_bytes());
    let host = format!("10.0.0.{}", node % 250 + 2);
    status["hostIP"] = json!(host);
    status["hostIPs"] = json!([{"ip": host}]);
    if phase != "Pending" && status["podIP"].is_null() {
        let address = format!("10.244.{}.{}", own >> 8 & 0xff, (own & 0xff).clamp(2, 254));
        status["podIP"] = json!(address);
        status["podIPs"] = json!([{"ip": address}]);
    }
    let names: Vec<&str> =
        list(pod, &["spec", "containers"]).iter().map(|container| text(container, &["name"])).collect();
    let unready = format!("containers with unready status: [{}]", names.join(" "));
    let (is, reason, message) = match (ready, phase) {
        (true, _) => ("True", "", ""),
        (false, "Succeeded") => ("False", "PodCompleted", ""),
        (false, "Failed") => ("False", "PodFailed", ""),
        (false, _) => ("False", "ContainersNotReady", unready.as_str()),
    };
    pod::set_condition(
        &mut status,
        "PodReadyToStartContainers",
        if phase == "Running" { "True" } else { "False" },
        "",
        "",
    );
    pod::set_condition(
        &mut status,
        "Initialized",
        "True",
        if phase == "Succeeded" { "PodCompleted" } else { "" },
        "",
    );
    pod::set_condition(&mut status, "Ready", is, reason, message);
    pod::set_condition(&mut status, "ContainersReady", is, reason, message);
    pod::set_condition(&mut status, "PodScheduled", "True", "", "");
    let before = list(pod, &["status", "containerStatuses"]).to_vec();
    let shown: Vec<Value> = list(pod, &["spec", "containers"])
        .iter()
        .map(|container| {
            let old = before.iter().find(|status| status["name"] == container["name"]).unwrap_or(&Value::Null);
            let state = state(container);
            let runs = state.get("running").is_some();
            let mut one = json!({"name": container["name"], "image": container["image"], "imageID": "", "ready": ready, "started": runs,
                "restartCount": number(old, &["restartCount"]).unwrap_or(0), "state": state, "lastState": if old["lastState"].is_object() { old["lastState"].clone() } else { json!({}) }});
            if runs {
                let image = object::fnv(text(container, &["image"]).as_bytes());
                one["imageID"] = json!(format!("{}@sha256:{image:064x}", text(container, &["image"])));
                one["containerID"] = json!(format!("containerd://{:064x}", own));
                one["resources"] = container["resources"].clone();
                if !at(container, &["resources", "requests"]).is_null() {
                    one["allocatedResources"] = at(container, &["resources", "requests"]).clone();
                }
            }
            one
        })
        .collect();
    status["containerStatuses"] = Value::Array(shown);
    let prepared: Vec<Value> = list(pod, &["spec", "initContainers"])
        .iter()
        .map(|container| json!({"name": container["name"], "image": container["image"], "imageID": "", "ready": true, "started": false, "restartCount": 0, "lastState": {},
            "state": {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": status["startTime"], "finishedAt": status["startTime"]}}}))
        .collect();
    if !prepared.is_empty() {
        status["initContainerStatuses"] = Value::Array(prepared);
    }
    status
}
