//! Socket Mode: Petrel calls Slack and listens (<https://docs.slack.dev/apis/events-api/using-socket-mode>).
//!
//! slack-morphism has a listener for this. It closes a socket before it opens the next one, reads one envelope at a time until it is
//! handled, and waits the same time before every new try; events would be late or sent again where nothing is wrong. So the
//! socket itself is ours: [`LINES`] sockets at once, each envelope on its own task, acknowledged by the socket it came on; when
//! Slack says that a socket will be closed, the next one is open before the old one is left.

use super::{
    api::{Api, is_loopback},
    inlet::{Answer, Inlet, Parcel},
    trouble::Failure,
};
use futures::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};
use tokio_tungstenite::{
    connect_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};
use tokio_util::sync::CancellationToken;

/// Sockets at once, so that one that breaks loses nothing. Slack takes ten of an app, for all replicas.
const LINES: usize = 2;
/// Slack's own pings come more often; a socket that is silent for so long is dead.
const SILENT: Duration = Duration::from_secs(30);
/// How often we ping.
const PING: Duration = Duration::from_secs(10);
/// Connecting and the first word (`hello`) may take so long.
const HELLO: Duration = Duration::from_secs(10);
/// An old socket is listened to for so long after Slack said that it will close it.
const LINGER: Duration = Duration::from_secs(30);
/// Envelopes in hand at once on one socket; more wait in Slack's pipe.
const IN_HAND: usize = 64;
/// The longest envelope.
const LONGEST: usize = 4 << 20;
/// A socket that was open for less than this counts as a try that came to nothing.
const BRIEF: Duration = Duration::from_secs(5);
/// Waits between tries: doubling from the first to the last.
const WAITS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Listens until `stop`.
pub async fn listen(app: Arc<Api>, inlet: Arc<Inlet>, stop: CancellationToken) {
    let lines = (0..LINES).map(|line| keep(line, app.clone(), inlet.clone(), stop.clone()));
    futures::future::join_all(lines).await;
}

/// One line: always one socket that is open, and the ones before it until they are closed.
async fn keep(line: usize, app: Arc<Api>, inlet: Arc<Inlet>, stop: CancellationToken) {
    let mut sockets = JoinSet::new();
    let mut tries = 0;
    while !stop.is_cancelled() {
        let (leaving, left) = oneshot::channel();
        let opened = tokio::select! {
            () = stop.cancelled() => break,
            opened = open(&app) => opened,
        };
        let wait = match opened {
            Ok(socket) => {
                let since = Instant::now();
                tracing::info!(slack.line = line, "a socket to Slack is open");
                sockets.spawn(read(line, socket, inlet.clone(), leaving, stop.clone()));
                // Resolves when Slack says that it will close the socket, or when it is gone.
                let _ = left.await;
                // Those that have ended are let go.
                while sockets.try_join_next().is_some() {}
                tries = if since.elapsed() < BRIEF { tries + 1 } else { 0 };
                back_off(tries, rand::random())
            }
            Err(Broken { why, rest }) => {
                let wait = rest.unwrap_or_else(|| back_off(tries, rand::random()));
                tries += 1;
                tracing::warn!(slack.line = line, why, wait_ms = wait.as_millis(), "no socket to Slack");
                wait
            }
        };
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(wait) => {}
        }
    }
    while sockets.join_next().await.is_some() {}
}

struct Broken {
    why: String,
    rest: Option<Duration>,
}

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

/// Asks where to, connects, and waits for Slack's hello.
async fn open(app: &Api) -> Result<Socket, Broken> {
    let url = app.socket().await.map_err(|failure| {
        let rest = match &failure {
            Failure::Limited(wait) => Some(*wait),
            // A token or scope is wrong: it takes a person, and asking more often makes it no better.
            Failure::Refused { .. } => Some(WAITS.1),
            Failure::Unclear(_) => None,
        };
        Broken { why: words(&failure), rest: rest.map(|rest| rest + jitter(Duration::from_secs(1))) }
    })?;
    let broken = |why: String| Broken { why, rest: None };
    // The address is a ticket; it is not logged.
    let plain = url.strip_prefix("ws://").map(|rest| format!("http://{rest}"));
    if !(url.starts_with("wss://") || plain.is_some_and(|url| is_loopback(&url))) {
        return Err(broken("Slack gave an address that is not wss://".into()));
    }
    let config = WebSocketConfig::default().max_message_size(Some(LONGEST)).max_frame_size(Some(LONGEST));
    let hello = async {
        let connected = connect_async_with_config(url.as_str(), Some(config), true).await;
        let (mut socket, _) = connected.map_err(|error| broken(format!("cannot connect: {error}")))?;
        while let Some(frame) = socket.next().await {
            let frame = frame.map_err(|error| broken(format!("the socket broke: {error}")))?;
            let Message::Text(text) = frame else { continue };
            let said: Envelope = serde_json::from_str(&text).map_err(|error| broken(error.to_string()))?;
            return match said.kind.as_str() {
                "hello" => Ok(socket),
                "disconnect" => Err(refused(said.reason.as_deref())),
                other => Err(broken(format!("Slack said '{other}' before hello"))),
            };
        }
        Err(broken("Slack closed the socket before hello".into()))
    };
    tokio::time::timeout(HELLO, hello)
        .await
        .unwrap_or_else(|_| Err(broken(format!("no hello within {} s", HELLO.as_secs()))))
}

fn refused(reason: Option<&str>) -> Broken {
    match reason {
        Some("link_disabled") => Broken {
            why: "Socket Mode is turned off for this app; turn it on under Settings, Socket Mode".into(),
            rest: Some(Duration::from_secs(60)),
        },
        reason => {
            Broken { why: format!("Slack disconnects: {}", reason.unwrap_or("no reason given")), rest: None }
        }
    }
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "type")]
    kind: String,
    envelope_id: Option<String>,
    #[serde(default)]
    accepts_response_payload: bool,
    #[serde(default)]
    payload: Value,
    reason: Option<String>,
    retry_attempt: Option<u32>,
}

/// Reads one socket to its end. `leaving` is dropped, or sent to, when the next one is needed.
async fn read(
    line: usize,
    socket: Socket,
    inlet: Arc<Inlet>,
    leaving: oneshot::Sender<()>,
    stop: CancellationToken,
) {
    let (mut write, mut read) = socket.split();
    let (done, mut answers) = mpsc::channel::<Option<String>>(IN_HAND);
    let mut in_hand = 0;
    let mut leaving = Some(leaving);
    let mut heard = Instant::now();
    let mut linger: Option<Instant> = None;
    let mut ping = tokio::time::interval(PING);
    ping.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let why = loop {
        let is_over = stop.is_cancelled() || linger.is_some_and(|until| Instant::now() >= until);
        if is_over && in_hand == 0 {
            break "left".to_string();
        }
        tokio::select! {
            biased;
            Some(answer) = answers.recv() => {
                in_hand -= 1;
                // A socket that is gone takes no acknowledgement; Slack sends the envelope again, and it is handled once.
                if let Some(ack) = answer
                    && let Err(error) = write.send(Message::text(ack)).await
                {
                    break format!("could not acknowledge: {error}");
                }
            }
            () = stop.cancelled(), if !is_over => {}
            _ = ping.tick() => {
                if heard.elapsed() > SILENT {
                    break format!("silent for {} s", heard.elapsed().as_secs());
                }
                if let Err(error) = write.send(Message::Ping(Default::default())).await {
                    break format!("could not ping: {error}");
                }
            }
            // While too many are in hand, what comes waits in the pipe.
            frame = read.next(), if !is_over && in_hand < IN_HAND => {
                heard = Instant::now();
                let text = match frame {
                    None | Some(Ok(Message::Close(_))) => break "closed by Slack".into(),
                    Some(Err(error)) => break format!("the socket broke: {error}"),
                    Some(Ok(Message::Text(text))) => text,
                    // Pings are answered by the library.
                    Some(Ok(_)) => continue,
                };
                let envelope: Envelope = match serde_json::from_str(&text) {
                    Ok(envelope) => envelope,
                    Err(error) => {
                        tracing::warn!(slack.line = line, %error, "left aside a frame that is no envelope");
                        continue;
                    }
                };
                if envelope.kind == "disconnect" {
                    tracing::info!(slack.line = line, reason = envelope.reason, "Slack will close this socket; opening the next one");
                    linger = Some(Instant::now() + LINGER);
                    leaving.take();
                    continue;
                }
                in_hand += 1;
                let (inlet, done) = (inlet.clone(), done.clone());
                tokio::spawn(async move {
                    let answer = take(&inlet, envelope).await;
                    let _ = done.send(answer).await;
                });
            }
        }
    };
    tracing::info!(slack.line = line, why, "a socket to Slack is closed");
    let _ = write.close().await;
}

/// One envelope, to its acknowledgement; None: Slack is to send it again.
async fn take(inlet: &Inlet, envelope: Envelope) -> Option<String> {
    let id = envelope.envelope_id?;
    if let Some(retry) = envelope.retry_attempt.filter(|retry| *retry > 0) {
        tracing::info!(slack.envelope = id, slack.retry = retry, "Slack sends something again");
    }
    let answer = match parcel(&envelope.kind, envelope.payload) {
        Ok(Some(parcel)) => inlet.take(parcel).await,
        Ok(None) => Answer::Ack,
        Err(error) => {
            tracing::warn!(slack.envelope = id, error, "left aside an envelope that cannot be read");
            Answer::Ack
        }
    };
    match answer {
        Answer::Ack => Some(json!({ "envelope_id": id }).to_string()),
        Answer::Say(payload) if envelope.accepts_response_payload => {
            Some(json!({ "envelope_id": id, "payload": payload }).to_string())
        }
        Answer::Say(_) => Some(json!({ "envelope_id": id }).to_string()),
        Answer::Again => None,
    }
}

/// What an envelope holds. None: a kind that Petrel has no use for.
pub fn parcel(kind: &str, payload: Value) -> Result<Option<Parcel>, String> {
    Ok(match kind {
        "events_api" => Some(Parcel::Event(payload)),
        "interactive" => Some(Parcel::Interaction(payload)),
        "slash_commands" => {
            let command = serde_json::from_value(payload).map_err(|error| error.to_string())?;
            Some(Parcel::Command(Box::new(command)))
        }
        _ => None,
    })
}

fn words(failure: &Failure) -> String {
    match failure.is_about_token() || failure.code() == "not_allowed_token_type" {
        true => format!(
            "Slack does not accept the app-level token ({}); make one with the scope connections:write under Basic Information",
            failure.code()
        ),
        false => failure.words("could not ask for a socket"),
    }
}

/// Half of the wait is certain, half is chance, so that replicas do not come all at once.
fn back_off(tries: u32, chance: f64) -> Duration {
    let wait = WAITS.0.saturating_mul(1 << tries.min(10)).min(WAITS.1);
    wait / 2 + (wait / 2).mul_f64(chance.clamp(0.0, 1.0))
}

fn jitter(most: Duration) -> Duration {
    most.mul_f64(rand::random())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_from_half_a_second_to_half_a_minute_and_chance_spreads_them() {
        assert_eq!(
            (back_off(0, 0.0), back_off(0, 1.0)),
            (Duration::from_millis(250), Duration::from_millis(500))
        );
        assert_eq!(back_off(3, 1.0), Duration::from_secs(4));
        assert_eq!(
            (back_off(99, 0.0), back_off(99, 1.0)),
            (Duration::from_secs(15), Duration::from_secs(30))
        );
    }
}
