//! Programs that rules run: in the sandbox or in a pod, each with an entry in the record. The entry has digests, never the output: that
//! may hold anything.

use actions::cluster::{Bounds, Cluster, ClusterError};
use jiff::Timestamp;
use ledger::{Actor, Ledger, LedgerError, ObjectRef};
use sandbox::{Ended, Ran, Sandbox, Standing};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::time::{Duration, Instant};

/// In a pod, as the sandbox has it by default.
const IN_POD: Bounds = Bounds { takes: Duration::from_secs(4), prints: 64 << 10 };

/// Why there is no output to read from.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// The line is no list of words.
    #[error("the command is not readable: {0}")]
    Words(#[from] shell_words::ParseError),
    /// It did not run.
    #[error(transparent)]
    Sandbox(#[from] sandbox::Error),
    /// It ran and did not end well.
    #[error("the command {}", ended(.0))]
    Ended(Ended),
    /// It did not run in the pod, or did not end well there.
    #[error(transparent)]
    Pod(#[from] ClusterError),
    /// It may not run unrecorded.
    #[error(transparent)]
    Record(#[from] LedgerError),
}

/// What a command prints when it ends well. The line is split as a shell would split it; there is no shell.
pub async fn output(
    ledger: &Ledger,
    sandbox: &Sandbox,
    actor: &Actor,
    line: &str,
) -> Result<String, ScriptError> {
    let words = shell_words::split(line)?;
    let now = Timestamp::now();
    let ran = match sandbox.run(&words).await {
        Ok(ran) => ran,
        Err(error) => {
            let body = json!({"command": line, "why": error.to_string()});
            ledger.record("script.refused", actor.as_str(), None, &body, now).await?;
            return Err(error.into());
        }
    };
    ledger.record("script.ran", actor.as_str(), None, &account(line, &ran), now).await?;
    match ran.ended {
        Ended::Exited(0) => Ok(ran.stdout.text()),
        other => Err(ScriptError::Ended(other)),
    }
}

/// A container.
pub struct Place<'a> {
    /// Where the pod is.
    pub cluster: &'a Cluster,
    /// Of the pod.
    pub namespace: &'a str,
    /// Its name.
    pub pod: &'a str,
    /// None: the pod has only one.
    pub container: Option<&'a str>,
}

/// What a command prints in a container when it ends well. The line is split as a shell would split it; there is no shell.
pub async fn output_in_pod(
    ledger: &Ledger,
    place: Place<'_>,
    actor: &Actor,
    line: &str,
) -> Result<String, ScriptError> {
    let words = shell_words::split(line)?;
    let (now, began) = (Timestamp::now(), Instant::now());
    let pod = ObjectRef {
        api_version: "v1".into(),
        kind: "Pod".into(),
        namespace: Some(place.namespace.into()),
        name: place.pod.into(),
        uid: None,
    };
    let ran = place.cluster.exec(&pod, place.container, &words, IN_POD).await;
    let mut body = json!({
        "command": line, "cluster": place.cluster.name(), "namespace": place.namespace, "pod": place.pod,
        "container": place.container, "duration_ms": began.elapsed().as_millis() as u64,
    });
    match &ran {
        Ok(ran) => {
            body["code"] = ran.code.into();
            let both = Sha256::new().chain_update(&ran.stdout).chain_update(&ran.stderr);
            body["output_sha256"] = hex::encode(both.finalize()).into();
            body["output_bytes"] = (ran.stdout.len() + ran.stderr.len()).into();
        }
        Err(error) => body["why"] = error.to_string().into(),
    }
    ledger.record("script.ran", actor.as_str(), None, &body, now).await?;
    Ok(ran?.output()?)
}

/// What the record keeps of a run.
fn account(line: &str, ran: &Ran) -> Value {
    let missing: Vec<String> = ran
        .layers
        .iter()
        .filter_map(|(layer, standing)| match standing {
            Standing::InForce => None,
            Standing::Missing(why) => Some(format!("{layer}: {why}")),
        })
        .collect();
    let in_force: Vec<String> = ran
        .layers
        .iter()
        .filter(|(_, standing)| **standing == Standing::InForce)
        .map(|(layer, _)| layer.to_string())
        .collect();
    json!({
        "command": line,
        "sha256": hex::encode(ran.script_sha256),
        "ended": ran.ended,
        "duration_ms": ran.took.as_millis() as u64,
        "layers": in_force,
        "missing": missing,
        "remarks": ran.remarks,
        "output_sha256": hex::encode(ran.output_sha256),
        "output_bytes": ran.stdout.bytes.len() + ran.stderr.bytes.len(),
    })
}

/// Completes "the command".
fn ended(ended: &Ended) -> String {
    match ended {
        Ended::Exited(code) => format!("ended with code {code}"),
        Ended::Signalled(signal) => format!("was ended by signal {signal}"),
        Ended::Deadline => "did not end in time; [sandbox.limits] deadline sets it".into(),
        Ended::Output => {
            "printed too much; [sandbox.limits] output_bytes and output_lines set how much".into()
        }
        Ended::NotStarted(why) => format!("did not start: {why}"),
    }
}
