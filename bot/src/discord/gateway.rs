//! The gateway: one connection, held by one replica, over which Discord tells what people do.
//! <https://docs.discord.com/developers/events/gateway>
//!
//! Spoken here and not through serenity's client, which resumes at another address than Discord asks for and gives a session up
//! where it could be resumed; what happened meanwhile would be lost.

use super::{
    Discord,
    session::{Ended, Next, Session},
};
use futures::{SinkExt, StreamExt};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};
use serenity::all::{GatewayIntents, Opcode};
use std::{
    future::Future,
    pin::Pin,
    time::{Duration, Instant},
};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        Message,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

/// What is listened to. None of them is privileged: the text of what is said to the bot comes without `MESSAGE_CONTENT`.
pub const INTENTS: GatewayIntents = GatewayIntents::GUILD_MESSAGES.union(GatewayIntents::DIRECT_MESSAGES);

/// Who does not answer in this time is not there.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);
/// Between two beginnings of a session: <https://docs.discord.com/developers/events/gateway#rate-limiting>.
const IDENTIFY_EVERY: Duration = Duration::from_secs(5);
/// A connection that lasted so long was a good one.
const HELD: Duration = Duration::from_secs(10);

/// Ends when there is no more to listen to.
type Stop<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What Discord tells.
pub trait Listener: Send + Sync {
    /// `INTERACTION_CREATE`, `MESSAGE_CREATE` and the like, and their number in the session.
    fn dispatch(&self, kind: &str, data: Value, seq: Option<u64>);
    /// The session as it is now: gone on with, or after something was dispatched.
    fn at(&self, session: &Session);
}

#[derive(Deserialize)]
struct Payload {
    op: u8,
    #[serde(default)]
    d: Value,
    s: Option<u64>,
    t: Option<String>,
}

/// Goes on with `session` until `stop`, through any number of connections. Gives plain words when there is no use in trying again.
pub async fn listen(
    discord: &Discord,
    listener: &dyn Listener,
    mut session: Session,
    stop: impl Future<Output = ()> + Send,
) -> Option<String> {
    let mut stop: Stop<'_> = Box::pin(stop);
    listener.at(&session);
    let mut identified: Option<Instant> = None;
    let mut failures = 0;
    loop {
        let begun = Instant::now();
        let ended = connection(discord, listener, &mut session, &mut identified, &mut stop).await;
        if matches!(ended, Ended::Told) {
            return None;
        }
        // One that held for a while shows that all is well; one that was at least let in is not waited for long.
        failures = match (begun.elapsed() > HELD, session.take_good()) {
            (true, _) => 0,
            (false, true) => (failures + 1).min(4),
            (false, false) => failures + 1,
        };
        tracing::info!(?ended, failures, "the connection to discord's gateway ended");
        match session.after(&ended, failures, rand::random::<f64>()) {
            Next::Stop(words) => return Some(words),
            Next::Again(wait) => {
                tokio::select! {
                    () = &mut stop => return None,
                    () = tokio::time::sleep(wait) => {}
                }
            }
        }
    }
}

/// One connection, from its beginning to its end.
async fn connection(
    discord: &Discord,
    listener: &dyn Listener,
    session: &mut Session,
    identified: &mut Option<Instant>,
    stop: &mut Stop<'_>,
) -> Ended {
    let url = match session.resume_url() {
        Some(url) => url.to_string(),
        None => match discord.api.gateway().await {
            Ok(gateway) if gateway.session_start_limit.remaining == 0 => {
                return Ended::Spent(Duration::from_millis(gateway.session_start_limit.reset_after));
            }
            Ok(gateway) => gateway.url,
            Err(error) => return Ended::Lost(error.to_string()),
        },
    };
    let mut socket = tokio::select! {
        () = &mut *stop => return Ended::Told,
        socket = tokio::time::timeout(CONNECT_WITHIN, connect_async(address(&url))) => match socket {
            Ok(Ok((socket, _))) => socket,
            Ok(Err(error)) => return Ended::Unreachable(error.to_string()),
            Err(_) => return Ended::Unreachable(format!("no answer within {} s", CONNECT_WITHIN.as_secs())),
        },
    };
    let ended = talk(discord, listener, session, identified, stop, &mut socket).await;
    // With 1000 Discord forgets the session; any other code keeps it, for us or whoever listens next.
    let frame = CloseFrame { code: CloseCode::Library(4_000), reason: "".into() };
    let _ = tokio::time::timeout(Duration::from_secs(1), socket.close(Some(frame))).await;
    ended
}

async fn talk(
    discord: &Discord,
    listener: &dyn Listener,
    session: &mut Session,
    identified: &mut Option<Instant>,
    stop: &mut Stop<'_>,
    socket: &mut Socket,
) -> Ended {
    let hello = tokio::select! {
        () = &mut *stop => return Ended::Told,
        hello = tokio::time::timeout(CONNECT_WITHIN, receive(socket)) => match hello {
            Ok(Ok(hello)) => hello,
            Ok(Err(ended)) => return ended,
            Err(_) => return Ended::Lost("discord did not say hello".into()),
        },
    };
    let Some(interval) =
        hello.d["heartbeat_interval"].as_u64().filter(|_| Opcode::from(hello.op) == Opcode::Hello)
    else {
        return Ended::Lost("discord's first word was not hello".into());
    };
    let interval = Duration::from_millis(interval.max(1));
    let token = discord.api.token().expose_secret();
    let first = match session.resume(token) {
        Some(resume) => resume,
        None => {
            // At most one beginning in five seconds.
            let wait = identified
                .map_or(Duration::ZERO, |at| (at + IDENTIFY_EVERY).saturating_duration_since(Instant::now()));
            if !wait.is_zero() {
                tokio::select! {
                    () = &mut *stop => return Ended::Told,
                    () = tokio::time::sleep(wait) => {}
                }
            }
            *identified = Some(Instant::now());
            identify(token)
        }
    };
    if let Err(ended) = send(socket, &first).await {
        return ended;
    }
    // The first beat somewhere within the first interval, so that not everybody's heart beats at once after an outage.
    let mut beat = tokio::time::interval_at(
        tokio::time::Instant::now() + interval.mul_f64(rand::random::<f64>()),
        interval,
    );
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut heard = true;
    loop {
        tokio::select! {
            () = &mut *stop => return Ended::Told,
            _ = beat.tick() => {
                if !heard {
                    return Ended::Zombie;
                }
                heard = false;
                if let Err(ended) = send(socket, &session.heartbeat()).await {
                    return ended;
                }
            }
            payload = receive(socket) => {
                let payload = match payload {
                    Ok(payload) => payload,
                    Err(ended) => return ended,
                };
                match Opcode::from(payload.op) {
                    Opcode::Dispatch => dispatch(listener, session, payload),
                    Opcode::Heartbeat => {
                        if let Err(ended) = send(socket, &session.heartbeat()).await {
                            return ended;
                        }
                    }
                    Opcode::HeartbeatAck => heard = true,
                    Opcode::Reconnect => return Ended::Asked,
                    Opcode::InvalidSession => return Ended::Invalid { resumable: payload.d.as_bool() == Some(true) },
                    _ => {}
                }
            }
        }
    }
}

fn dispatch(listener: &dyn Listener, session: &mut Session, payload: Payload) {
    let kind = payload.t.unwrap_or_default();
    match kind.as_str() {
        "READY" => {
            session.begun(&payload.d);
            tracing::info!("connected to discord's gateway");
        }
        "RESUMED" => {
            session.resumed();
            tracing::info!("resumed discord's gateway session");
        }
        _ => listener.dispatch(&kind, payload.d, payload.s),
    }
    session.seen(payload.s);
    listener.at(session);
}

fn identify(token: &str) -> Value {
    json!({ "op": Opcode::Identify, "d": {
        "token": token,
        "intents": INTENTS,
        "properties": { "os": std::env::consts::OS, "browser": "petrel", "device": "petrel" },
    } })
}

/// With the version and the encoding that are spoken here.
fn address(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let host = url.split_once("://").map_or(url, |(_, host)| host);
    let slash = if host.contains('/') { "" } else { "/" };
    format!("{url}{slash}?v=10&encoding=json")
}

async fn send(socket: &mut Socket, payload: &Value) -> Result<(), Ended> {
    socket.send(Message::text(payload.to_string())).await.map_err(|error| Ended::Lost(error.to_string()))
}

/// The next payload; what is no payload is passed over.
async fn receive(socket: &mut Socket) -> Result<Payload, Ended> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                Ok(payload) => return Ok(payload),
                Err(error) => {
                    tracing::warn!(%error, "discord's gateway sent something that is not understood")
                }
            },
            Some(Ok(Message::Close(frame))) => {
                return Err(Ended::Closed(frame.map(|frame| frame.code.into())));
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(Ended::Lost(error.to_string())),
            None => return Err(Ended::Closed(None)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_says_version_and_encoding_whatever_it_had() {
        for url in ["wss://gateway.discord.gg", "wss://gateway.discord.gg/", "wss://gateway.discord.gg/?v=9"]
        {
            assert_eq!(address(url), "wss://gateway.discord.gg/?v=10&encoding=json");
        }
        assert_eq!(address("ws://127.0.0.1:9/gateway"), "ws://127.0.0.1:9/gateway?v=10&encoding=json");
    }

    #[test]
    fn who_begins_a_session_asks_for_no_privileged_intent() {
        let identify = identify("t");
        assert_eq!((&identify["op"], &identify["d"]["intents"]), (&json!(2), &json!(512 + 4096)));
        assert!(!INTENTS.is_privileged());
    }
}
