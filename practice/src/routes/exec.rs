//! `pods/exec` over a WebSocket, in the subprotocol `v5.channel.k8s.io`: the first byte of each message is its channel.

use super::{Call, log, target, verbs};
use crate::audit::Audited;
use crate::cluster::Cluster;
use crate::exec::{Exec, Executed};
use crate::failure::Failure;
use crate::object::{self, list, text};
use futures::{SinkExt, StreamExt};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

/// The only one we speak.
pub(crate) const PROTOCOL: &str = "v5.channel.k8s.io";
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
/// How it ended.
const STATUS: u8 = 3;

/// What is said once the connection is a WebSocket.
pub(crate) struct Said {
    done: Executed,
    status: Value,
}

/// Runs the command. A program that is not there is no refusal: the connection is made, and its status says so.
pub(crate) fn begin(cluster: &Arc<Cluster>, call: &Call, command: Vec<String>) -> Result<Said, Failure> {
    let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
    let ["api", version, rest @ ..] = &path[..] else { return Err(Failure::no_path()) };
    let target = target(cluster, "", version, rest)?;
    if !target.resource.is("pods") || target.subresource != "exec" {
        return Err(Failure::no_resource());
    }
    call.user.check("create", &target.resource, "exec", &target.namespace, &target.name)?;
    let pod = verbs::find(&cluster.lock().store, &target)?;
    let container = log::choose(&pod, call.query("container"), &target.name)?;
    if command.is_empty() {
        return Err(Failure::bad_request("you must specify at least 1 command for the container"));
    }
    let running = list(&pod, &["status", "containerStatuses"])
        .iter()
        .any(|status| text(status, &["name"]) == container && status["state"]["running"].is_object());
    if !running {
        return Err(Failure::internal(format!("container not found (\"{container}\")")));
    }
    cluster.lock().trail.record(Audited {
        seq: 0,
        at: object::now_precise(),
        user: call.user.name.clone(),
        field_manager: call.manager(),
        verb: "create".into(),
        resource: target.resource.id(),
        namespace: target.namespace.clone(),
        name: target.name.clone(),
        subresource: "exec".into(),
        dry_run: false,
        code: 101,
        body: json!({"container": container, "command": command}),
        generation: None,
        version_before: None,
        version_after: None,
    });
    let exec = Exec { namespace: target.namespace, pod: target.name, container, command };
    Ok(match cluster.programs.run(&exec) {
        Some(done) if done.code == 0 => Said { done, status: json!({"metadata": {}, "status": "Success"}) },
        Some(done) => {
            let code = done.code;
            let status = json!({"metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
                "message": format!("command terminated with non-zero exit code: error executing command, exit code {code}"),
                "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]}});
            Said { done, status }
        }
        None => {
            let program = exec.command.first().map(String::as_str).unwrap_or_default();
            let status = json!({"metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500,
                "message": format!("Internal error occurred: error executing command in container: exec: \"{program}\": executable file not found in $PATH")});
            Said { done: Executed::default(), status }
        }
    })
}

/// Says it, and closes. Whoever hangs up hears the rest not.
pub(crate) async fn speak(upgrade: OnUpgrade, said: Said) {
    let Ok(upgraded) = upgrade.await else { return };
    let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
    let mut messages = Vec::new();
    for (channel, text) in [(STDOUT, &said.done.stdout), (STDERR, &said.done.stderr)] {
        for chunk in text.as_bytes().chunks(8 << 10) {
            messages.push(message(channel, chunk));
        }
    }
    messages.push(message(STATUS, said.status.to_string().as_bytes()));
    for message in messages {
        if socket.send(message).await.is_err() {
            return;
        }
    }
    let _ = socket.close(None).await;
    while let Some(Ok(_)) = socket.next().await {}
}

fn message(channel: u8, bytes: &[u8]) -> Message {
    let mut text = vec![channel];
    text.extend_from_slice(bytes);
    Message::Binary(text.into())
}
