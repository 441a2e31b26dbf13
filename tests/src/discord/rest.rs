//! REST: what Petrel calls. Paths, errors and limits are those of the API's reference, version 10.

use super::{
    Call, Discord, check,
    limit::Paced,
    state::{APP, EPHEMERAL, GUILD, LOADING, Message, State, TOKEN, permission},
};
use crate::fault::{Trouble, no_answer};
use axum::{
    Json,
    body::Bytes,
    extract::{OriginalUri, State as Shared},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use std::time::Instant;

/// An error of the API: status, code, words; or a whole body.
pub(super) enum No {
    Code(u16, u32, &'static str),
    Body(Value),
}

impl From<Value> for No {
    fn from(body: Value) -> No {
        No::Body(body)
    }
}

const UNKNOWN_CHANNEL: No = No::Code(404, 10003, "Unknown Channel");
const UNKNOWN_MESSAGE: No = No::Code(404, 10008, "Unknown Message");
const UNKNOWN_WEBHOOK: No = No::Code(404, 10015, "Unknown Webhook");
const UNKNOWN_INTERACTION: No = No::Code(404, 10062, "Unknown interaction");
const ANSWERED: No = No::Code(400, 40060, "Interaction has already been acknowledged.");
const MISSING_ACCESS: No = No::Code(403, 50001, "Missing Access");
const MISSING_PERMISSIONS: No = No::Code(403, 50013, "Missing Permissions");
const NOT_MINE: No = No::Code(403, 50005, "Cannot edit a message authored by another user");
const NOT_TO_THEM: No = No::Code(403, 50007, "Cannot send messages to this user");
const INVALID_TOKEN: No = No::Code(401, 50027, "Invalid Webhook Token");
const UNAUTHORIZED: No = No::Code(401, 0, "401: Unauthorized");
const NOT_FOUND: No = No::Code(404, 0, "404: Not Found");

impl No {
    fn parts(self) -> (u16, Value) {
        match self {
            No::Code(status, code, message) => (status, json!({"code": code, "message": message})),
            No::Body(body) => (400, body),
        }
    }
}

/// What it gives: a status and a body; null has none.
type Answer = Result<(u16, Value), No>;

fn ok(body: Value) -> Answer {
    Ok((200, body))
}

/// Every path below `/api/v10`.
pub(super) async fn call(
    Shared(discord): Shared<Discord>,
    method: Method,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().trim_start_matches("/api/v10").to_string();
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let name = format!("{method} {path}");
    let trouble = discord.shared.faults.meet(&name);
    let too_many = json!({"message": "You are being rate limited.", "retry_after": 1.0, "global": false});
    if let Some(response) = trouble.and_then(|trouble| trouble.instead(too_many)) {
        discord.note(&name, Value::Null, response.status().as_u16());
        return response;
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let (arguments, files) = match read(kind, &body) {
        Ok(read) => read,
        Err(error) => {
            discord.note(&name, Value::Null, 400);
            return (StatusCode::BAD_REQUEST, Json(error)).into_response();
        }
    };
    let query: Vec<(String, String)> =
        form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let (paced, answer) = {
        let mut state = discord.lock();
        let paced = discord.pace(&mut state, &method, &parts);
        let answer = match &paced {
            Paced::Limited(_) => None,
            Paced::Free(_) => {
                let call = Request {
                    method: &method,
                    parts: &parts,
                    arguments: &arguments,
                    files: &files,
                    query: &query,
                };
                Some(discord.answer(&mut state, &call, &headers))
            }
        };
        (paced, answer)
    };
    let (status, body) = match answer {
        Some(Ok((status, body))) => (status, body),
        Some(Err(no)) => no.parts(),
        None => (429, paced.body()),
    };
    discord.note(&name, arguments, status);
    if let Some(Trouble::Late(by)) = trouble {
        tokio::time::sleep(by).await;
    }
    if matches!(trouble, Some(Trouble::LoseAnswer)) {
        return no_answer();
    }
    let status = StatusCode::from_u16(status).expect("a status");
    let mut response = match body {
        Value::Null => status.into_response(),
        body => (status, Json(body)).into_response(),
    };
    paced.headers(response.headers_mut());
    response
}

/// JSON, or a form with files beside `payload_json`.
fn read(kind: &str, body: &[u8]) -> Result<(Value, Vec<String>), Value> {
    let invalid = json!({"code": 50109, "message": "The request body contains invalid JSON."});
    if body.is_empty() {
        return Ok((Value::Null, Vec::new()));
    }
    let Some(boundary) = kind.split("boundary=").nth(1) else {
        if !kind.starts_with("application/json") {
            return Err(json!({"code": 50035, "message": "Invalid Form Body",
                "errors": {"_errors": [{"code": "CONTENT_TYPE_INVALID", "message": "Expected \"Content-Type\" header to be one of {'application/json'}."}]}}));
        }
        return serde_json::from_slice(body).map(|value| (value, Vec::new())).map_err(|_| invalid);
    };
    let text = String::from_utf8_lossy(body);
    let (mut payload, mut files) = (Value::Null, Vec::new());
    for part in text.split(&format!("--{}", boundary.trim_matches('"'))) {
        let Some((head, content)) = part.split_once("\r\n\r\n") else { continue };
        if head.contains("name=\"payload_json\"") {
            payload = serde_json::from_str(content.trim()).map_err(|_| invalid.clone())?;
        } else if let Some(name) = head.split("filename=\"").nth(1).and_then(|rest| rest.split('"').next()) {
            files.push(name.to_string());
        }
    }
    Ok((payload, files))
}

struct Request<'a> {
    method: &'a Method,
    parts: &'a [&'a str],
    arguments: &'a Value,
    files: &'a [String],
    query: &'a [(String, String)],
}

impl Discord {
    fn note(&self, name: &str, arguments: Value, status: u16) {
        let mut state = self.lock();
        if [401, 403, 429].contains(&status) {
            state.invalid_requests += 1;
        }
        state.calls.push(Call { name: name.to_string(), arguments, status, at: Instant::now() });
        drop(state);
        self.shared.changed.notify_waiters();
    }

    fn answer(&self, state: &mut State, call: &Request, headers: &HeaderMap) -> Answer {
        let (method, body) = (call.method.as_str(), call.arguments);
        // The token in the path is all that these need.
        match (method, call.parts) {
            ("POST", ["interactions", id, token, "callback"]) => {
                let message = self.first_answer(state, id, token, body, call.files)?;
                if call.query.iter().any(|(key, value)| key == "with_response" && value == "true") {
                    let message = message.map(|(channel, id)| {
                        let message = state.channels[&channel].messages[&id].clone();
                        json!({"type": body["type"], "message": state.message_json(&message)})
                    });
                    return ok(json!({"interaction": {"id": id, "type": 2}, "resource": message}));
                }
                return Ok((204, Value::Null));
            }
            ("POST", ["webhooks", _, token]) => return self.follow_up(state, token, body, call.files),
            (_, ["webhooks", _, token, "messages", id]) => {
                return self.answer_message(state, method, token, id, body);
            }
            _ => {}
        }
        let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if authorization != Some(&format!("Bot {TOKEN}")) || state.token_broken {
            return Err(UNAUTHORIZED);
        }
        match (method, call.parts) {
            ("GET", ["users", "@me"]) => ok(state.user_json(APP)),
            ("GET", ["users", id]) if state.users.contains_key(*id) => ok(state.user_json(id)),
            ("GET", ["users", "@me", "guilds"]) => {
                ok(json!([{"id": GUILD, "name": "Petrel test", "icon": null,
                "owner": false, "permissions": "2147601408", "features": []}]))
            }
            ("GET", ["applications", "@me"] | ["oauth2", "applications", "@me"]) => ok(json!({
                "id": APP, "name": "Petrel", "icon": null, "description": "", "bot_public": false,
                "bot_require_code_grant": false, "verify_key": hex::encode(state.key.verifying_key().as_bytes()),
                "team": null, "flags": 1 << 19, "summary": "", "tags": [], "rpc_origins": [], "owner": null,
                "interactions_endpoint_url": null, "bot": state.user_json(APP),
            })),
            ("GET", ["gateway"]) => ok(json!({"url": self.gateway_url(headers)})),
            ("GET", ["gateway", "bot"]) => ok(json!({
                "url": self.gateway_url(headers), "shards": 1, "session_start_limit":
                    {"total": 1000, "remaining": 1000 - state.identifies, "reset_after": 14_400_000, "max_concurrency": 1},
            })),
            ("GET", ["guilds", guild]) if *guild == GUILD => ok(super::gateway::guild(state)),
            ("GET", ["guilds", guild, "channels"]) if *guild == GUILD => {
                let ids: Vec<_> = state
                    .channels
                    .values()
                    .filter(|one| one.recipient.is_none())
                    .map(|one| one.id.clone())
                    .collect();
                ok(ids.iter().map(|id| state.channel_json(id)).collect())
            }
            // What the bot may do is said by each channel.
            ("GET", ["guilds", guild, "roles"]) if *guild == GUILD => {
                ok(json!([{"id": GUILD, "name": "@everyone",
                "color": 0, "hoist": false, "position": 0, "managed": false, "permissions": "0", "mentionable": false}]))
            }
            ("GET", ["guilds", guild, "members", id]) if *guild == GUILD => {
                match *id == APP || state.users.contains_key(*id) {
                    true => ok(state.member_json(id)),
                    false => Err(No::Code(404, 10007, "Unknown Member")),
                }
            }
            ("POST", ["users", "@me", "channels"]) => {
                let id = body["recipient_id"]
                    .as_str()
                    .map_or_else(|| body["recipient_id"].to_string(), str::to_string);
                if !state.users.contains_key(&id) {
                    return Err(No::Code(400, 50033, "Invalid Recipient(s)"));
                }
                let channel = state.direct(&id);
                ok(state.channel_json(&channel))
            }
            ("PUT", ["applications", app, "commands"]) if *app == APP => {
                check::commands(body)?;
                state.commands = registered(state, body);
                ok(json!(state.commands))
            }
            ("GET", ["applications", app, "commands"]) if *app == APP => ok(json!(state.commands)),
            ("PUT", ["applications", app, "guilds", guild, "commands"]) if *app == APP => {
                if *guild != GUILD {
                    return Err(MISSING_ACCESS);
                }
                check::commands(body)?;
                state.guild_commands = registered(state, body);
                ok(json!(state.guild_commands))
            }
            ("GET", ["applications", app, "guilds", _, "commands"]) if *app == APP => {
                ok(json!(state.guild_commands))
            }
            (_, ["channels", id, rest @ ..]) => {
                let id = state.channels.get(*id).ok_or(UNKNOWN_CHANNEL)?.id.clone();
                if state.channels[&id].permissions & permission::VIEW == 0 {
                    return Err(MISSING_ACCESS);
                }
                self.in_channel(state, call, &id, rest)
            }
            _ => Err(NOT_FOUND),
        }
    }

    fn in_channel(&self, state: &mut State, call: &Request, channel: &str, rest: &[&str]) -> Answer {
        let permissions = state.channels[channel].permissions;
        match (call.method.as_str(), rest) {
            ("GET", []) => ok(state.channel_json(channel)),
            ("POST", ["typing"]) => Ok((204, Value::Null)),
            ("POST", ["messages"]) => self.create(state, call, channel),
            ("GET", ["messages"]) => {
                // "If the user lacks READ_MESSAGE_HISTORY, no messages are returned."
                let number = |name: &str| {
                    let found = call.query.iter().find(|(key, _)| key == name);
                    found.and_then(|(_, value)| value.parse::<u64>().ok())
                };
                let limit = number("limit").unwrap_or(50).clamp(1, 100) as usize;
                let (before, after) = (number("before").unwrap_or(u64::MAX), number("after").unwrap_or(0));
                let mut found: Vec<Message> = state.channels[channel]
                    .messages
                    .range(after.saturating_add(1)..before)
                    .map(|(_, message)| message.clone())
                    .filter(|message| !message.deleted && message.only_for.is_none())
                    .filter(|_| permissions & permission::HISTORY != 0)
                    .collect();
                if number("after").is_none() {
                    found = found.split_off(found.len().saturating_sub(limit));
                }
                found.truncate(limit);
                ok(found.iter().rev().map(|message| state.message_json(message)).collect())
            }
            (method, ["messages", id]) => {
                let id = id.parse().map_err(|_| UNKNOWN_MESSAGE)?;
                let message = state.message(channel, id).ok_or(UNKNOWN_MESSAGE)?;
                if message.only_for.is_some() {
                    return Err(UNKNOWN_MESSAGE); // only its interaction's token reaches it
                }
                match method {
                    "GET" if permissions & permission::HISTORY == 0 => Err(MISSING_PERMISSIONS),
                    "GET" => {
                        let message = message.clone();
                        ok(state.message_json(&message))
                    }
                    "PATCH" if message.author != APP => Err(NOT_MINE),
                    "PATCH" => {
                        let (content, flags) =
                            check::message(call.arguments, Some((&message.content, message.flags)))?;
                        message.edit(content);
                        message.flags |= flags;
                        note_mentions(message, call.arguments);
                        let message = message.clone();
                        self.message_event(state, "MESSAGE_UPDATE", &message);
                        ok(state.message_json(&message))
                    }
                    "DELETE" if message.author != APP => Err(MISSING_PERMISSIONS),
                    "DELETE" => {
                        message.deleted = true;
                        Ok((204, Value::Null))
                    }
                    _ => Err(No::Code(405, 0, "405: Method Not Allowed")),
                }
            }
            _ => Err(NOT_FOUND),
        }
    }

    fn create(&self, state: &mut State, call: &Request, channel: &str) -> Answer {
        let place = &state.channels[channel];
        if place.permissions & permission::SEND == 0 {
            return Err(MISSING_PERMISSIONS);
        }
        if place.recipient.as_ref().is_some_and(|who| !state.users[who].open_to_bots) {
            return Err(NOT_TO_THEM);
        }
        let mut body = call.arguments.clone();
        if !call.files.is_empty() && body["attachments"].is_null() {
            body["attachments"] = json!(call.files);
        }
        let (mut content, flags) = check::message(&body, None)?;
        if place.permissions & permission::EMBED == 0 {
            content.embeds.clear();
        }
        let nonce = body.get("nonce").filter(|nonce| !nonce.is_null()).cloned();
        // "If another message was created by the same author with the same nonce, that message will be returned."
        if body["enforce_nonce"] == true && nonce.is_some() {
            let recent = |message: &&Message| message.at.elapsed() < self.shared.rules.nonce;
            let same = place.messages.values().filter(recent).find(|message| message.nonce == nonce).cloned();
            if let Some(message) = same {
                return ok(state.message_json(&message));
            }
        }
        let message = state.post(channel, APP, content);
        (message.nonce, message.flags, message.files) = (nonce, flags & !EPHEMERAL, call.files.to_vec());
        note_mentions(message, &body);
        let message = message.clone();
        self.message_event(state, "MESSAGE_CREATE", &message);
        ok(state.message_json(&message))
    }

    /// The first answer to an interaction: through the callback, or as the reply to it.
    pub(super) fn first_answer(
        &self,
        state: &mut State,
        id: &str,
        token: &str,
        body: &Value,
        files: &[String],
    ) -> Result<Option<(String, u64)>, No> {
        let interaction =
            state.interactions.get(token).filter(|one| one.id == id).ok_or(UNKNOWN_INTERACTION)?.clone();
        if interaction.answered.is_some() {
            return Err(ANSWERED);
        }
        let after = interaction.at.elapsed();
        if after > self.shared.rules.respond {
            return Err(UNKNOWN_INTERACTION);
        }
        let kind = body["type"].as_u64().unwrap_or(0) as u8;
        let data = &body["data"];
        let on_message = interaction.message.is_some();
        let fits = match kind {
            4 | 5 => interaction.kind != 4,
            6 | 7 => [3, 5].contains(&interaction.kind) && on_message,
            8 => interaction.kind == 4,
            9 => [2, 3].contains(&interaction.kind),
            _ => false,
        };
        if !fits {
            return Err(json!({"code": 50035, "message": "Invalid Form Body", "errors": {"type": {"_errors": [{
                "code": "INTERACTION_APPLICATION_COMMAND_INVALID_TYPE",
                "message": format!("a callback of type {kind} does not answer an interaction of type {}", interaction.kind)}]}}})
            .into());
        }
        let mut original = interaction.message.map(|id| (interaction.channel.clone(), id));
        let mut choices = None;
        match kind {
            4 | 5 => {
                let mut data = data.clone();
                if !files.is_empty() {
                    data["attachments"] = json!(files);
                }
                let flags = data["flags"].as_u64().unwrap_or(0);
                let content = match kind {
                    4 => check::message(&data, None)?.0,
                    _ if flags & !EPHEMERAL != 0 => {
                        return Err(json!({"code": 50035, "message": "Invalid Form Body", "errors": {"data": {"flags":
                            {"_errors": [{"code": "BITFIELD_INVALID", "message": "Only EPHEMERAL may be set"}]}}}}).into());
                    }
                    _ => Default::default(),
                };
                let message = state.post(&interaction.channel, APP, content);
                message.flags = if kind == 5 { flags | LOADING } else { flags };
                message.only_for = (flags & EPHEMERAL != 0).then(|| interaction.user.clone());
                message.interaction = Some(interaction.id.clone());
                message.files = files.to_vec();
                note_mentions(message, &data);
                original = Some((interaction.channel.clone(), message.id));
            }
            7 => {
                let (channel, id) = original.clone().ok_or(UNKNOWN_MESSAGE)?;
                let message = state.message(&channel, id).ok_or(UNKNOWN_MESSAGE)?;
                let (content, _) = check::message(data, Some((&message.content, message.flags)))?;
                message.edit(content);
            }
            8 => {
                check::choices(data)?;
                choices = Some(data["choices"].clone());
            }
            9 => {
                check::modal(data)?;
                state.modals.push(super::Modal {
                    user: interaction.user.clone(),
                    channel: interaction.channel.clone(),
                    message: interaction.message,
                    data: data.clone(),
                    open: true,
                });
                original = None;
            }
            _ => {}
        }
        let entry = state.interactions.get_mut(token).expect("found above");
        entry.answered = Some(kind);
        entry.after = Some(after);
        entry.original = original.as_ref().map(|(_, id)| *id);
        entry.choices = choices;
        Ok(original)
    }

    /// The interaction of a token that still works.
    fn living(&self, state: &State, token: &str) -> Result<super::state::Interaction, No> {
        let interaction = state.interactions.get(token).ok_or(INVALID_TOKEN)?;
        if interaction.at.elapsed() > self.shared.rules.token {
            return Err(INVALID_TOKEN);
        }
        if interaction.answered.is_none() {
            return Err(UNKNOWN_WEBHOOK);
        }
        Ok(interaction.clone())
    }

    fn follow_up(&self, state: &mut State, token: &str, body: &Value, files: &[String]) -> Answer {
        let interaction = self.living(state, token)?;
        let mut body = body.clone();
        if !files.is_empty() {
            body["attachments"] = json!(files);
        }
        let (content, flags) = check::message(&body, None)?;
        // After "thinking...", the first follow-up takes its place.
        let loading = interaction.original.filter(|id| {
            state.message(&interaction.channel, *id).is_some_and(|message| message.flags & LOADING != 0)
        });
        let message = match loading {
            Some(id) => {
                let message = state.message(&interaction.channel, id).expect("found above");
                message.edit(content);
                message
            }
            None => {
                let message = state.post(&interaction.channel, APP, content);
                message.flags = flags;
                message.only_for = (flags & EPHEMERAL != 0).then(|| interaction.user.clone());
                message
            }
        };
        message.interaction = Some(interaction.id);
        message.files = files.to_vec();
        note_mentions(message, &body);
        let message = message.clone();
        ok(state.message_json(&message))
    }

    fn answer_message(&self, state: &mut State, method: &str, token: &str, id: &str, body: &Value) -> Answer {
        let interaction = self.living(state, token)?;
        let id = match id {
            "@original" => interaction.original.ok_or(UNKNOWN_MESSAGE)?,
            id => id.parse().map_err(|_| UNKNOWN_MESSAGE)?,
        };
        let mine = |message: &Message| {
            message.interaction.as_ref() == Some(&interaction.id) || interaction.original == Some(message.id)
        };
        let message =
            state.message(&interaction.channel, id).filter(|message| mine(message)).ok_or(UNKNOWN_MESSAGE)?;
        match method {
            "GET" => {
                let message = message.clone();
                ok(state.message_json(&message))
            }
            "PATCH" => {
                let before = (message.flags & LOADING == 0).then_some((&message.content, message.flags));
                let (content, flags) = check::message(body, before)?;
                message.edit(content);
                message.flags |= flags & super::COMPONENTS_V2;
                note_mentions(message, body);
                let message = message.clone();
                ok(state.message_json(&message))
            }
            "DELETE" => {
                message.deleted = true;
                Ok((204, Value::Null))
            }
            _ => Err(NOT_FOUND),
        }
    }
}

/// Only what was said with the newest content counts.
fn note_mentions(message: &mut Message, body: &Value) {
    message.allowed_mentions = body.get("allowed_mentions").filter(|allowed| !allowed.is_null()).cloned();
}

/// Commands as Discord gives them back, with ids.
fn registered(state: &mut State, body: &Value) -> Vec<Value> {
    let mut commands = body.as_array().cloned().unwrap_or_default();
    for command in &mut commands {
        command["id"] = json!(state.snowflake().to_string());
        command["application_id"] = json!(APP);
        command["version"] = json!(state.snowflake().to_string());
        for (field, otherwise) in
            [("type", json!(1)), ("default_member_permissions", Value::Null), ("nsfw", json!(false))]
        {
            if command.get(field).is_none() {
                command[field] = otherwise;
            }
        }
    }
    commands
}
