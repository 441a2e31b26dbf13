//! Commands inside of containers, by the exec API over a WebSocket: subprotocols `v4.channel.k8s.io` and `v5.channel.k8s.io`, where
//! the first byte of each message says which channel it is of (KEP-4006).

use super::{Cluster, ClusterError, answer, path};
use futures::StreamExt;
use kube::client::Connection;
use ledger::ObjectRef;
use serde_json::Value;
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;

const STDOUT: u8 = 1;
const STDERR: u8 = 2;
/// How it ended, as a `Status` object.
const STATUS: u8 = 3;

/// How much of a command is waited for and kept.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Until then it must have ended. What still runs then is not waited for; the API has no way to end it.
    pub takes: Duration,
    /// Bytes that it may print, both streams together.
    pub prints: usize,
}

/// A command that has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Executed {
    /// 0: well.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it printed as errors.
    pub stderr: String,
}

impl Executed {
    /// What it printed, when it ended well; else why not.
    pub fn output(self) -> Result<String, ClusterError> {
        match self.code {
            0 => Ok(self.stdout),
            code => {
                let said = if self.stderr.trim().is_empty() { &self.stdout } else { &self.stderr };
                let said: String = said.trim().chars().take(300).collect();
                let colon = if said.is_empty() { "" } else { ": " };
                Err(ClusterError::Command {
                    message: format!("the command ended with code {code}{colon}{said}"),
                })
            }
        }
    }
}

impl Cluster {
    /// Runs a command, word by word and without a shell, in a pod's container (the only one, where none is named). The pod is found by
    /// name: whoever cares which pod it is looks before. `Unreachable`: it may have run.
    pub async fn exec(
        &self,
        pod: &ObjectRef,
        container: Option<&str>,
        command: &[String],
        bounds: Bounds,
    ) -> Result<Executed, ClusterError> {
        let mut pairs: Vec<(&str, String)> = command.iter().map(|word| ("command", word.clone())).collect();
        pairs.extend(container.map(|name| ("container", name.to_string())));
        pairs.extend(["stdout", "stderr"].map(|stream| (stream, "true".to_string())));
        let path = format!("{}/exec{}", self.path_of(pod).await?, path::query(&pairs));
        let (_turn, client, bearer) = self.ready(self.timeout()).await?;
        let mut request = http::Request::builder().method(http::Method::GET).uri(&path);
        if let Some(bearer) = bearer {
            request = request.header(http::header::AUTHORIZATION, bearer);
        }
        let request = request.header(http::header::USER_AGENT, super::call::USER_AGENT).body(Vec::new());
        let request = request.map_err(|error| ClusterError::Other {
            cluster: self.name().to_string(),
            message: format!("build a request: {error}"),
        })?;
        let connection = match tokio::time::timeout(self.timeout(), client.connect(request)).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(kube::Error::Api(status))) => {
                self.answered();
                let body = serde_json::to_vec(&*status).unwrap_or_default();
                let what = format!("Pod {}", pod.name);
                return Err(answer::refusal(self.name(), &what, status.code, &body, false));
            }
            Ok(Err(error)) => return Err(self.lost(answer::chain(&error))),
            Err(_) => return Err(self.lost(format!("no answer within {} s", self.timeout().as_secs()))),
        };
        self.answered();
        match tokio::time::timeout(bounds.takes, read(connection, bounds.prints)).await {
            Ok(Ok(executed)) => Ok(executed),
            Ok(Err(Broken::Refused(message))) => Err(ClusterError::Command { message }),
            Ok(Err(Broken::Lost(why))) => {
                Err(ClusterError::Unreachable { cluster: self.name().to_string(), why })
            }
            Err(_) => {
                let why = format!("the command had not ended after {} s", bounds.takes.as_secs());
                Err(ClusterError::Unreachable { cluster: self.name().to_string(), why })
            }
        }
    }
}

enum Broken {
    /// It did not run, or printed too much.
    Refused(String),
    /// The connection ended before the command.
    Lost(String),
}

async fn read(connection: Connection, prints: usize) -> Result<Executed, Broken> {
    let mut stream = connection.into_stream();
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    while let Some(message) = stream.next().await {
        let bytes = match message.map_err(|error| Broken::Lost(error.to_string()))? {
            Message::Binary(bytes) => bytes,
            Message::Close(_) => break,
            _ => continue,
        };
        match bytes.split_first() {
            Some((&STDOUT, more)) => stdout.extend_from_slice(more),
            Some((&STDERR, more)) => stderr.extend_from_slice(more),
            Some((&STATUS, status)) => {
                let code = ended(status).map_err(Broken::Refused)?;
                let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
                return Ok(Executed { code, stdout: text(stdout), stderr: text(stderr) });
            }
            _ => {}
        }
        if stdout.len() + stderr.len() > prints {
            return Err(Broken::Refused(format!("the command printed more than {prints} bytes")));
        }
    }
    Err(Broken::Lost("the connection ended before the command".into()))
}

/// The exit code out of a `Status`; the error is why it did not run.
fn ended(status: &[u8]) -> Result<i32, String> {
    let status: Value =
        serde_json::from_slice(status).map_err(|error| format!("its end is not readable: {error}"))?;
    if status["status"] == "Success" {
        return Ok(0);
    }
    let causes = status["details"]["causes"].as_array().into_iter().flatten();
    let code =
        causes.filter(|cause| cause["reason"] == "ExitCode").find_map(|cause| cause["message"].as_str());
    match code.and_then(|code| code.parse().ok()) {
        Some(code) => Ok(code),
        None => Err(status["message"].as_str().unwrap_or("the command did not run").to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_how_the_command_ended_or_why_it_did_not_run() {
        assert_eq!(ended(br#"{"metadata":{},"status":"Success"}"#), Ok(0));
        let failed = br#"{"status":"Failure","reason":"NonZeroExitCode","message":"command terminated","details":{"causes":[{"reason":"ExitCode","message":"3"}]}}"#;
        assert_eq!(ended(failed), Ok(3));
        let missing = br#"{"status":"Failure","reason":"InternalError","message":"executable file not found in $PATH","code":500}"#;
        assert_eq!(ended(missing), Err("executable file not found in $PATH".into()));
        assert!(ended(b"what").is_err());
    }
}
