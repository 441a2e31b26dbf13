//! The gateway: hello, identify, heartbeats, ready, dispatches, resume, and the ends of connections.

use super::{
    Discord,
    state::{APP, GUILD, Message, State, TOKEN},
};
use crate::server::Socket;
use axum::http::{HeaderMap, header};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::{
    Message as Frame,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

const GUILDS: u64 = 1;
const GUILD_MESSAGES: u64 = 1 << 9;
const DIRECT_MESSAGES: u64 = 1 << 12;
const MESSAGE_CONTENT: u64 = 1 << 15;
const PRIVILEGED: u64 = (1 << 1) | (1 << 8) | MESSAGE_CONTENT;
/// All intents there are.
const KNOWN: u64 = (1 << 26) - 1;
/// Events kept for a resume.
const KEPT: usize = 2000;

pub(super) enum Order {
    Send(Value),
    Close(u16, &'static str),
    Drop,
}

/// What an identify began, over one or more connections.
pub(super) struct Session {
    pub id: String,
    pub intents: u64,
    sequence: u64,
    kept: VecDeque<Value>,
    link: Option<mpsc::UnboundedSender<Order>>,
    /// Gone for good.
    over: bool,
    left_at: Instant,
}

impl Session {
    fn dispatch(&mut self, event: &str, data: &Value) {
        self.sequence += 1;
        let payload = json!({"op": 0, "t": event, "s": self.sequence, "d": data});
        self.kept.push_back(payload.clone());
        if self.kept.len() > KEPT {
            self.kept.pop_front();
        }
        if let Some(link) = &self.link {
            let _ = link.send(Order::Send(payload));
        }
    }
}

/// A guild object, as `GUILD_CREATE` has it.
pub(super) fn guild(state: &State) -> Value {
    let channels: Vec<_> = state.channels.values().filter(|channel| channel.recipient.is_none()).collect();
    let channels: Vec<_> = channels.iter().map(|channel| state.channel_json(&channel.id)).collect();
    // Two parts: the macro does not take so many fields at once.
    let mut guild = json!({
        "id": GUILD, "name": "Petrel test", "icon": null, "splash": null, "discovery_splash": null, "owner_id": "1",
        "afk_channel_id": null, "afk_timeout": 300, "verification_level": 0, "default_message_notifications": 1,
        "explicit_content_filter": 0, "emojis": [], "features": [], "mfa_level": 0, "application_id": null,
        "system_channel_id": null, "system_channel_flags": 0, "rules_channel_id": null, "vanity_url_code": null,
        "description": null, "banner": null, "premium_tier": 0, "premium_subscription_count": 0,
    });
    let more = json!({
        "preferred_locale": "en-US", "public_updates_channel_id": null, "nsfw_level": 0, "stickers": [],
        "premium_progress_bar_enabled": false, "safety_alerts_channel_id": null, "max_members": 500_000,
        "roles": [{"id": GUILD, "name": "@everyone", "color": 0, "hoist": false, "position": 0, "managed": false,
            "permissions": "2147601408", "mentionable": false, "flags": 0, "icon": null, "unicode_emoji": null}],
        "joined_at": "2024-01-01T00:00:00.000000+00:00", "large": false, "unavailable": false,
        "member_count": state.users.len() + 1, "voice_states": [], "presences": [], "threads": [],
        "members": [state.member_json(APP)], "channels": channels, "stage_instances": [],
        "guild_scheduled_events": [], "soundboard_sounds": [],
    });
    let fields = guild.as_object_mut().expect("an object");
    fields.extend(more.as_object().cloned().unwrap_or_default());
    guild
}

impl Discord {
    /// Where the gateway is, as the caller reaches us.
    pub(super) fn gateway_url(&self, headers: &HeaderMap) -> String {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        format!("ws://{host}/gateway")
    }

    /// Connections that are identified or resumed.
    pub fn connections(&self) -> usize {
        self.lock().sessions.iter().filter(|session| session.link.is_some()).count()
    }

    /// Identifies so far.
    pub fn identifies(&self) -> u32 {
        self.lock().identifies
    }

    fn order(&self, order: impl Fn() -> Order) {
        for session in &self.lock().sessions {
            if let Some(link) = &session.link {
                let _ = link.send(order());
            }
        }
    }

    /// Op 7: "reconnect and resume".
    pub fn ask_to_reconnect(&self) {
        self.order(|| Order::Send(json!({"op": 7, "d": null})));
    }

    /// Op 9; the sessions can be resumed or not.
    pub fn invalidate_sessions(&self, resumable: bool) {
        self.order(|| Order::Send(json!({"op": 9, "d": resumable})));
        if !resumable {
            self.lock().sessions.iter_mut().for_each(|session| session.over = true);
        }
    }

    /// Closes all connections with this code.
    pub fn close_connections(&self, code: u16) {
        self.order(|| Order::Close(code, "the test said so"));
    }

    /// Breaks all connections off without a word. Sessions stay, to be resumed.
    pub fn drop_connections(&self) {
        self.order(|| Order::Drop);
        self.lock().sessions.iter_mut().for_each(|session| {
            session.link = None;
            session.left_at = Instant::now();
        });
    }

    /// To every session that wants such events. Gives false when there is none that could get it now or later.
    pub(super) fn dispatch(&self, state: &mut State, event: &str, data: &Value, direct: bool) -> bool {
        let resume = self.shared.rules.resume;
        let mut heard = false;
        for session in &mut state.sessions {
            session.over |= session.link.is_none() && session.left_at.elapsed() > resume;
            let wanted = match event {
                "MESSAGE_CREATE" | "MESSAGE_UPDATE" if direct => DIRECT_MESSAGES,
                "MESSAGE_CREATE" | "MESSAGE_UPDATE" => GUILD_MESSAGES,
                _ => 0,
            };
            if session.over || session.intents & wanted != wanted {
                continue;
            }
            heard = true;
            if wanted == GUILD_MESSAGES && session.intents & MESSAGE_CONTENT == 0 {
                session.dispatch(event, &without_content(data));
            } else {
                session.dispatch(event, data);
            }
        }
        heard
    }

    /// Tells about a message; the bot hears its own, too.
    pub(super) fn message_event(&self, state: &mut State, event: &str, message: &Message) -> bool {
        let mut data = state.message_json(message);
        let direct = state.channels[&message.channel].recipient.is_some();
        if !direct {
            data["guild_id"] = json!(GUILD);
            let mut member = state.member_json(&message.author);
            member.as_object_mut().expect("an object").remove("user");
            data["member"] = member;
        }
        self.dispatch(state, event, &data, direct)
    }

    /// One connection to its end.
    pub(super) async fn serve(&self, mut socket: Socket) {
        let rules = self.shared.rules;
        let hello = json!({"op": 10, "s": null, "t": null, "d": {"heartbeat_interval": rules.heartbeat.as_millis() as u64}});
        if socket.send(Frame::text(hello.to_string())).await.is_err() {
            return;
        }
        let (orders, mut inbox) = mpsc::unbounded_channel();
        let mut session: Option<String> = None;
        let (mut beat, mut sent) = (Instant::now(), VecDeque::new());
        let mut check = tokio::time::interval(Duration::from_millis(100));
        let close = loop {
            let frame = tokio::select! {
                order = inbox.recv() => {
                    match order {
                        Some(Order::Send(value)) => {
                            if socket.send(Frame::text(value.to_string())).await.is_err() {
                                break None;
                            }
                        }
                        Some(Order::Close(code, why)) => break Some((code, why)),
                        Some(Order::Drop) | None => break None,
                    }
                    continue;
                }
                _ = check.tick() => {
                    // "If your app fails to send a heartbeat in time, your connection will be closed."
                    if beat.elapsed() > rules.heartbeat * 5 / 4 + Duration::from_millis(500) {
                        break Some((4009, "Session timed out."));
                    }
                    continue;
                }
                frame = socket.next() => frame,
            };
            let text = match frame {
                Some(Ok(Frame::Text(text))) => text,
                Some(Ok(Frame::Close(frame))) => {
                    // "When you close with 1000 or 1001, your session will be invalidated."
                    let code = frame.map_or(1005, |frame| u16::from(frame.code));
                    if [1000, 1001].contains(&code)
                        && let Some(id) = &session
                    {
                        self.lock()
                            .sessions
                            .iter_mut()
                            .filter(|one| one.id == *id)
                            .for_each(|one| one.over = true);
                    }
                    break None;
                }
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => break None,
            };
            sent.push_back(Instant::now());
            sent.retain(|at: &Instant| at.elapsed() < Duration::from_secs(60));
            if sent.len() > 120 {
                break Some((4008, "You are being rate limited."));
            }
            if text.len() > 4096 {
                break Some((4002, "Error while decoding payload."));
            }
            let Ok(payload) = serde_json::from_str::<Value>(&text) else {
                break Some((4002, "Error while decoding payload."));
            };
            match (payload["op"].as_u64(), &session) {
                (Some(1), _) => {
                    beat = Instant::now();
                    let _ = orders.send(Order::Send(json!({"op": 11, "d": null})));
                }
                (Some(2), Some(_)) => break Some((4005, "Already authenticated.")),
                (Some(2), None) => match self.identify(&payload["d"], &orders) {
                    Ok(id) => session = id,
                    Err(close) => break Some(close),
                },
                (Some(6), None) => match self.resume(&payload["d"], &orders) {
                    Ok(id) => session = id,
                    Err(close) => break Some(close),
                },
                (Some(3 | 4 | 8), Some(_)) => {}
                (Some(3 | 4 | 6 | 8), _) => break Some((4003, "Not authenticated.")),
                _ => break Some((4001, "Unknown opcode.")),
            }
        };
        if let Some((code, why)) = close {
            let frame = CloseFrame { code: CloseCode::from(code), reason: why.into() };
            let _ = socket.close(Some(frame)).await;
        }
        if let Some(id) = session {
            let mut state = self.lock();
            for one in state.sessions.iter_mut().filter(|one| one.id == id) {
                // A newer connection may have taken the session over.
                if one.link.as_ref().is_some_and(|link| link.same_channel(&orders)) {
                    (one.link, one.left_at) = (None, Instant::now());
                }
            }
        }
    }

    fn identify(
        &self,
        data: &Value,
        orders: &mpsc::UnboundedSender<Order>,
    ) -> Result<Option<String>, (u16, &'static str)> {
        let mut state = self.lock();
        if data["token"] != TOKEN || state.token_broken {
            return Err((4004, "Authentication failed."));
        }
        let intents = data["intents"].as_u64().ok_or((4013, "Invalid intent(s)."))?;
        if intents & !KNOWN != 0 {
            return Err((4013, "Invalid intent(s)."));
        }
        if intents & PRIVILEGED & !state.intents_granted != 0 {
            return Err((4014, "Disallowed intent(s)."));
        }
        if !data["properties"].is_object() {
            return Err((4002, "Error while decoding payload."));
        }
        state.identifies += 1;
        let id = uuid::Uuid::new_v4().simple().to_string();
        let address = self.address();
        let mut session = Session {
            id: id.clone(),
            intents,
            sequence: 0,
            kept: VecDeque::new(),
            link: Some(orders.clone()),
            over: false,
            left_at: Instant::now(),
        };
        session.dispatch(
            "READY",
            &json!({
                "v": 10, "user": state.user_json(APP), "guilds": [{"id": GUILD, "unavailable": true}],
                "session_id": id, "resume_gateway_url": format!("ws://{address}/gateway/resume"), "shard": [0, 1],
                "application": {"id": APP, "flags": 1 << 19}, "session_type": "normal", "private_channels": [],
                "presences": [], "relationships": [], "user_settings": {}, "_trace": [],
            }),
        );
        if intents & GUILDS != 0 {
            session.dispatch("GUILD_CREATE", &guild(&state));
        }
        state.sessions.push(session);
        drop(state);
        self.shared.changed.notify_waiters();
        Ok(Some(id))
    }

    fn resume(
        &self,
        data: &Value,
        orders: &mpsc::UnboundedSender<Order>,
    ) -> Result<Option<String>, (u16, &'static str)> {
        let mut state = self.lock();
        if data["token"] != TOKEN || state.token_broken {
            return Err((4004, "Authentication failed."));
        }
        let (id, sequence) =
            (data["session_id"].as_str().unwrap_or_default(), data["seq"].as_u64().unwrap_or(0));
        let resume = self.shared.rules.resume;
        let found = state.sessions.iter_mut().find(|session| {
            session.id == id
                && !session.over
                && (session.link.is_some() || session.left_at.elapsed() <= resume)
        });
        let Some(session) = found else {
            let _ = orders.send(Order::Send(json!({"op": 9, "d": false})));
            return Ok(None);
        };
        if sequence > session.sequence {
            return Err((4007, "Invalid seq."));
        }
        if let Some(old) = session.link.replace(orders.clone()) {
            let _ = old.send(Order::Drop);
        }
        for payload in session.kept.iter().filter(|payload| payload["s"].as_u64() > Some(sequence)) {
            let _ = orders.send(Order::Send(payload.clone()));
        }
        session.dispatch("RESUMED", &json!({"_trace": []}));
        let id = session.id.clone();
        drop(state);
        self.shared.changed.notify_waiters();
        Ok(Some(id))
    }
}

/// Without the intent, only messages that mention the bot or that it wrote itself carry what they say.
fn without_content(data: &Value) -> Value {
    let mut data = data.clone();
    let mentioned = data["mentions"].as_array().into_iter().flatten().any(|user| user["id"] == APP);
    if !mentioned && data["author"]["id"] != APP {
        data["content"] = json!("");
        for field in ["embeds", "components", "attachments"] {
            data[field] = json!([]);
        }
    }
    data
}
