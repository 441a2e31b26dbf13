//! `pods/log`.

use super::{Answer, Call, Target, verbs};
use crate::cluster::Cluster;
use crate::failure::Failure;
use crate::load::{self, Line};
use crate::object::{at, list, text};
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

pub(crate) fn answer(cluster: &Arc<Cluster>, call: &Call, target: &Target) -> Result<Answer, Failure> {
    let pod = verbs::find(&cluster.lock().store, target)?;
    let name = choose(&pod, call.query("container"), &target.name)?;
    let (from, to, crashed) = life(&pod, &name, &target.name, call.query("previous") == "true")?;
    let number = |field: &str| call.query(field).parse::<i64>().ok();
    let mut lines = load::log(&pod, &name, from, to.unwrap_or_else(now), crashed);
    if let Some(seconds) = number("sinceSeconds") {
        lines.retain(|line| line.at >= now() - seconds);
    }
    if let Ok(since) = call.query("sinceTime").parse::<Timestamp>() {
        lines.retain(|line| line.at >= since.as_second());
    }
    if let Some(tail) = number("tailLines") {
        let skip = lines.len().saturating_sub(tail.max(0) as usize);
        lines.drain(..skip);
    }
    let stamped = call.query("timestamps") == "true";
    let mut out: String = lines.iter().map(|line| write(line, stamped)).collect();
    if let Some(limit) = number("limitBytes") {
        let mut end = out.len().min(limit.max(0) as usize);
        while !out.is_char_boundary(end) {
            end -= 1;
        }
        out.truncate(end);
    }
    if call.query("follow") != "true" || to.is_some() {
        return Ok(Answer::Text(out));
    }
    Ok(follow(cluster.clone(), target, pod, name, out, stamped))
}

/// The container that is meant.
pub(crate) fn choose(pod: &Value, asked: &str, called: &str) -> Result<String, Failure> {
    let names: Vec<&str> =
        list(pod, &["spec", "containers"]).iter().map(|container| text(container, &["name"])).collect();
    if asked.is_empty() {
        return match names[..] {
            [only] => Ok(only.to_owned()),
            _ => Err(Failure::bad_request(format!(
                "a container name must be specified for pod {called}, choose one of: [{}]",
                names.join(" ")
            ))),
        };
    }
    load::container(pod, asked)
        .map(|_| asked.to_owned())
        .ok_or_else(|| Failure::bad_request(format!("container {asked} is not valid for pod {called}")))
}

/// From when to when the wanted instance of the container ran (no end: it still does), and whether it crashed.
fn life(pod: &Value, name: &str, called: &str, previous: bool) -> Result<(i64, Option<i64>, bool), Failure> {
    let status = list(pod, &["status", "containerStatuses"])
        .iter()
        .chain(list(pod, &["status", "initContainerStatuses"]))
        .find(|status| text(status, &["name"]) == name);
    let seconds = |value: &Value, field: &str| {
        text(value, &[field]).parse::<Timestamp>().map(Timestamp::as_second).unwrap_or_else(|_| now())
    };
    let ended = |state: &Value| {
        (seconds(state, "startedAt"), Some(seconds(state, "finishedAt")), at(state, &["exitCode"]) != 0)
    };
    let Some(status) = status else {
        return Err(Failure::bad_request(format!(
            "container \"{name}\" in pod \"{called}\" is not available"
        )));
    };
    let last = at(status, &["lastState", "terminated"]);
    if previous {
        return if last.is_object() {
            Ok(ended(last))
        } else {
            Err(Failure::bad_request(format!(
                "previous terminated container \"{name}\" in pod \"{called}\" not found"
            )))
        };
    }
    let (running, terminated, waiting) = (
        at(status, &["state", "running"]),
        at(status, &["state", "terminated"]),
        text(status, &["state", "waiting", "reason"]),
    );
    if running.is_object() {
        return Ok((seconds(running, "startedAt"), None, false));
    }
    if terminated.is_object() {
        return Ok(ended(terminated));
    }
    if last.is_object() {
        return Ok(ended(last));
    }
    let why = match waiting {
        "ErrImagePull" | "ImagePullBackOff" => "trying and failing to pull image".to_owned(),
        "" => "ContainerCreating".to_owned(),
        reason => reason.to_owned(),
    };
    Err(Failure::bad_request(format!("container \"{name}\" in pod \"{called}\" is waiting to start: {why}")))
}

fn write(line: &Line, stamped: bool) -> String {
    if !stamped {
        return format!("{}\n", line.text);
    }
    let stamp = Timestamp::from_second(line.at).unwrap_or_default();
    format!("{} {}\n", stamp.strftime("%Y-%m-%dT%H:%M:%S.000000000Z"), line.text)
}

/// Goes on with what the container writes, until it or the client goes.
fn follow(
    cluster: Arc<Cluster>,
    target: &Target,
    pod: Arc<Value>,
    container: String,
    first: String,
    stamped: bool,
) -> Answer {
    let (out, stream) = mpsc::channel::<io::Result<Bytes>>(8);
    let target = Target {
        resource: target.resource.clone(),
        namespace: target.namespace.clone(),
        name: target.name.clone(),
        subresource: String::new(),
    };
    tokio::spawn(async move {
        let mut seen = now();
        let mut next = first;
        loop {
            if !next.is_empty() && out.send(Ok(std::mem::take(&mut next).into())).await.is_err() {
                return;
            }
            tokio::select! {
                _ = tokio::time::sleep(Duration::from_secs(1)) => {}
                _ = out.closed() => return,
                _ = cluster.stop.cancelled() => return,
            }
            if verbs::find(&cluster.lock().store, &target).is_err() {
                return;
            }
            let until = now();
            next = load::log(&pod, &container, i64::MIN / 2, until, false)
                .iter()
                .filter(|line| line.at > seen)
                .map(|line| write(line, stamped))
                .collect();
            seen = until;
        }
    });
    Answer::Stream { content_type: "text/plain", body: Box::pin(ReceiverStream::new(stream)) }
}

fn now() -> i64 {
    Timestamp::now().as_second()
}
