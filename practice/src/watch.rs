//! Watches: from a version on, with bookmarks, ended by a timeout, by forgetting (410), or by a fault.

use crate::cluster::Cluster;
use crate::failure::Failure;
use crate::list::Filter;
use crate::object;
use crate::resource::Resource;
use crate::routes::{Answer, Call};
use crate::store::Change;
use bytes::Bytes;
use serde_json::{Value, json};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

/// The real server sends one about every minute; here everything is faster.
const BOOKMARK_EVERY: Duration = Duration::from_secs(5);

type Out = mpsc::Sender<io::Result<Bytes>>;

struct Watch {
    cluster: Arc<Cluster>,
    resource: Arc<Resource>,
    filter: Filter,
    bookmarks: bool,
    deadline: Instant,
    position: u64,
}

/// Starts a watch; its events come as a stream of lines.
pub(crate) fn start(
    cluster: &Arc<Cluster>,
    call: &Call,
    resource: &Arc<Resource>,
    namespace: &str,
) -> Result<Answer, Failure> {
    if cluster.faults.answers_gone() {
        return Err(Failure::expired("too old resource version (fault switched on)"));
    }
    let filter = Filter::read(call, resource, namespace)?;
    let asked = call.query("resourceVersion");
    let from: Option<u64> = match asked {
        "" | "0" => None,
        text => Some(
            text.parse().map_err(|_| Failure::bad_request(format!("invalid resource version {text:?}")))?,
        ),
    };
    let initial = call.query("sendInitialEvents");
    if initial == "true" && call.query("resourceVersionMatch") != "NotOlderThan" {
        let cause = crate::failure::Cause::forbidden(
            "resourceVersionMatch",
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        );
        return Err(Failure::invalid("meta.k8s.io", "ListOptions", "", &[cause]));
    }
    let bookmarks = call.query("allowWatchBookmarks") == "true";
    let seconds: u64 = call.query("timeoutSeconds").parse().unwrap_or(3600);
    let mut lines: Vec<u8> = Vec::new();
    let position = {
        let state = cluster.lock();
        let version = state.store.version();
        if initial == "true" || (from.is_none() && initial != "false") {
            for object in state.store.list(&resource.id(), namespace).filter(|object| filter.matches(object))
            {
                event(&mut lines, "ADDED", object);
            }
            if initial == "true" && bookmarks {
                let mut end = bookmark(resource, version);
                object::set(
                    &mut end,
                    &["metadata", "annotations", "k8s.io/initial-events-end"],
                    json!("true"),
                );
                event(&mut lines, "BOOKMARK", &end);
            }
            version
        } else {
            from.unwrap_or(version)
        }
    };
    let watch = Watch {
        cluster: cluster.clone(),
        resource: resource.clone(),
        filter,
        bookmarks,
        deadline: Instant::now() + Duration::from_secs(seconds.max(1)),
        position,
    };
    let (out, stream) = mpsc::channel(64);
    tokio::spawn(async move {
        if lines.is_empty() || out.send(Ok(lines.into())).await.is_ok() {
            watch.run(out).await;
        }
    });
    Ok(Answer::Stream { content_type: "application/json", body: Box::pin(ReceiverStream::new(stream)) })
}

impl Watch {
    async fn run(mut self, out: Out) {
        let id = self.resource.id();
        let mut latest = self.cluster.lock().store.follow(&id);
        let (mut drops, mut expiries) =
            (self.cluster.faults.watch_drops(), self.cluster.faults.watch_expiries());
        let mut next_bookmark = Instant::now() + BOOKMARK_EVERY;
        loop {
            latest.borrow_and_update();
            let mut lines = Vec::new();
            if let Err(why) = self.catch_up(&id, &mut lines) {
                event(&mut lines, "ERROR", &Failure::expired(why).status());
                let _ = out.send(Ok(lines.into())).await;
                return;
            }
            if !lines.is_empty() && out.send(Ok(lines.into())).await.is_err() {
                return;
            }
            tokio::select! {
                changed = latest.changed() => if changed.is_err() { return },
                _ = tokio::time::sleep_until(self.deadline) => {
                    self.mark(&out).await;
                    return;
                }
                _ = tokio::time::sleep_until(next_bookmark) => {
                    self.mark(&out).await;
                    next_bookmark = Instant::now() + BOOKMARK_EVERY;
                }
                _ = drops.changed() => {
                    let _ = out.send(Err(io::Error::other("the watch is dropped by a fault"))).await;
                    return;
                }
                _ = expiries.changed() => {
                    let mut lines = Vec::new();
                    event(&mut lines, "ERROR", &Failure::expired(format!("too old resource version: {} (fault switched on)", self.position)).status());
                    let _ = out.send(Ok(lines.into())).await;
                    return;
                }
                _ = out.closed() => return,
                _ = self.cluster.stop.cancelled() => return,
            }
        }
    }

    /// What has changed since the last look; an error when it is forgotten.
    fn catch_up(&mut self, id: &str, lines: &mut Vec<u8>) -> Result<(), String> {
        let state = self.cluster.lock();
        let changes = state.store.since(id, self.position).ok_or_else(|| {
            format!("too old resource version: {} ({})", self.position, state.store.oldest(id))
        })?;
        changes.iter().for_each(|change| self.show(change, lines));
        self.position = self.position.max(state.store.version());
        Ok(())
    }

    async fn mark(&self, out: &Out) {
        if self.bookmarks {
            let mut lines = Vec::new();
            event(&mut lines, "BOOKMARK", &bookmark(&self.resource, self.position));
            let _ = out.send(Ok(lines.into())).await;
        }
    }

    /// A change that moves an object into or out of the selection looks like its birth or death.
    fn show(&self, change: &Change, lines: &mut Vec<u8>) {
        let was = change.old.as_ref().filter(|old| self.filter.matches(old));
        let is = change.new.as_ref().filter(|new| self.filter.matches(new));
        match (was, is) {
            (Some(_), Some(new)) => event(lines, "MODIFIED", new),
            (None, Some(new)) => event(lines, "ADDED", new),
            (Some(_), None) if change.new.is_none() => event(lines, "DELETED", &change.shown),
            (Some(old), None) => {
                let mut last = (**old).clone();
                object::set(&mut last, &["metadata", "resourceVersion"], json!(change.version.to_string()));
                event(lines, "DELETED", &last);
            }
            (None, None) => {}
        }
    }
}

fn event(lines: &mut Vec<u8>, kind: &str, object: &Value) {
    lines.extend_from_slice(format!("{{\"type\":\"{kind}\",\"object\":").as_bytes());
    serde_json::to_writer(&mut *lines, object).expect("writing to memory");
    lines.extend_from_slice(b"}\n");
}

fn bookmark(resource: &Resource, version: u64) -> Value {
    json!({"kind": resource.kind, "apiVersion": resource.api_version(), "metadata": {"resourceVersion": version.to_string(), "creationTimestamp": null}})
}
