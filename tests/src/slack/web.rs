//! The Web API: what Petrel calls. Names, arguments, errors and limits are those of each method's reference page.

use super::{
    Call, Slack,
    blocks::{self, Surface},
    conversation::{describe, existing, history, message, visible, writable},
    state::{APP, APP_TOKEN, BOT, BOT_ID, BOT_TOKEN, Content, Kind, Modal, State, TEAM, Upload},
};
use crate::fault::{Trouble, no_answer};
use axum::{
    Json,
    body::Bytes,
    extract::{Path, RawQuery, State as Shared},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};
use std::time::Instant;

/// A refusal in Slack's own words, with what else belongs into the answer.
pub(super) struct No(pub(super) &'static str, pub(super) Value);

impl From<&'static str> for No {
    fn from(error: &'static str) -> No {
        No(error, json!({}))
    }
}

pub(super) type Answer = Result<Value, No>;

/// What a method needs, and how often it may be called a minute. Tiers 1 to 4 are 1, 20, 50 and 100 and more; some burst is
/// "tolerated", "occasional", "welcome" and "generous".
struct Method_ {
    scope: Option<&'static str>,
    per_minute: f64,
    burst: f64,
    /// Read methods take forms and queries alone.
    takes_json: bool,
}

fn method(name: &str) -> Option<Method_> {
    let (scope, per_minute, takes_json) = match name {
        "auth.test" => (None, 600.0, true),
        "apps.connections.open" => (None, 1.0, true),
        "chat.postMessage" => (Some("chat:write"), 600.0, true),
        "chat.update" | "chat.delete" => (Some("chat:write"), 50.0, true),
        "chat.postEphemeral" => (Some("chat:write"), 100.0, true),
        "chat.getPermalink" => (None, 600.0, false),
        "conversations.history" => (Some("channels:history"), 50.0, false),
        "conversations.replies" => (Some("channels:history"), 50.0, false),
        "conversations.info" => (Some("channels:read"), 50.0, false),
        "conversations.members" => (Some("channels:read"), 100.0, false),
        "conversations.list" => (Some("channels:read"), 20.0, false),
        "users.conversations" => (Some("channels:read"), 50.0, false),
        "conversations.join" => (Some("channels:join"), 50.0, true),
        "conversations.open" => (Some("im:write"), 50.0, true),
        "users.info" => (Some("users:read"), 100.0, false),
        "bots.info" => (Some("users:read"), 50.0, false),
        "team.info" => (Some("team:read"), 50.0, false),
        "views.open" | "views.update" | "views.push" => (None, 100.0, true),
        "files.getUploadURLExternal" => (Some("files:write"), 100.0, false),
        "files.completeUploadExternal" => (Some("files:write"), 100.0, true),
        _ => return None,
    };
    let burst = match per_minute as u32 {
        1 => 20.0,
        20 => 20.0,
        50 => 50.0,
        _ => 100.0,
    };
    Some(Method_ { scope, per_minute, burst, takes_json })
}

/// `/api/{method}`.
pub(super) async fn call(
    Shared(slack): Shared<Slack>,
    Path(name): Path<String>,
    verb: Method,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let trouble = slack.shared.faults.meet(&name);
    if let Some(response) =
        trouble.and_then(|trouble| trouble.instead(json!({"ok": false, "error": "ratelimited"})))
    {
        slack.note(&name, Value::Null, Err("(planned trouble)"));
        return response;
    }
    let Some(about) = method(&name) else {
        slack.note(&name, Value::Null, Err("unknown_method"));
        return Json(json!({"ok": false, "error": "unknown_method", "req_method": name.replace('/', ".")}))
            .into_response();
    };
    let (arguments, token) = match arguments(&about, &verb, query.as_deref(), &headers, &body) {
        Ok(read) => read,
        Err(error) => {
            slack.note(&name, Value::Null, Err(error));
            return Json(json!({"ok": false, "error": error})).into_response();
        }
    };
    let answer = slack.answer(&name, &about, &arguments, token.as_deref(), &headers);
    slack.note(&name, arguments, answer.as_ref().map(|_| ()).map_err(|No(error, _)| *error));
    slack.shared.changed.notify_waiters();
    if let Some(Trouble::Late(by)) = trouble {
        tokio::time::sleep(by).await;
    }
    if matches!(trouble, Some(Trouble::LoseAnswer)) {
        return no_answer();
    }
    let granted = slack.lock().scopes.iter().cloned().collect::<Vec<_>>().join(",");
    let mut response = match answer {
        Ok(mut value) => {
            value["ok"] = json!(true);
            Json(value).into_response()
        }
        Err(No("ratelimited", seconds)) => {
            let mut response =
                (StatusCode::TOO_MANY_REQUESTS, Json(json!({"ok": false, "error": "ratelimited"})))
                    .into_response();
            let seconds = HeaderValue::from(seconds.as_u64().unwrap_or(1));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
            response
        }
        Err(No(error, mut more)) => {
            more["ok"] = json!(false);
            more["error"] = json!(error);
            Json(more).into_response()
        }
    };
    if let Ok(granted) = HeaderValue::from_str(&granted) {
        response.headers_mut().insert("x-oauth-scopes", granted);
    }
    response
}

/// From the query, a form or JSON; and the token, which may also stand among them.
fn arguments(
    about: &Method_,
    verb: &Method,
    query: Option<&str>,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<(Value, Option<String>), &'static str> {
    let mut arguments = Map::new();
    let form = |text: &[u8], arguments: &mut Map<String, Value>| {
        for (key, value) in form_urlencoded::parse(text) {
            // What is an array or object in JSON is JSON text in a form.
            let nested = ["blocks", "attachments", "metadata", "view", "files"].contains(&key.as_ref());
            let value = match nested.then(|| serde_json::from_str(&value)) {
                Some(Ok(value)) => value,
                _ => json!(value),
            };
            arguments.insert(key.into_owned(), value);
        }
    };
    form(query.unwrap_or_default().as_bytes(), &mut arguments);
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if verb == Method::POST && !body.is_empty() {
        match kind.split(';').next().unwrap_or_default().trim() {
            "application/json" if about.takes_json => match serde_json::from_slice(body) {
                Ok(Value::Object(object)) => arguments.extend(object),
                Ok(_) => return Err("json_not_object"),
                Err(_) => return Err("invalid_json"),
            },
            // "If you send JSON to a method that does not take it, the arguments are not seen."
            "application/json" => {}
            "application/x-www-form-urlencoded" => form(body, &mut arguments),
            _ => return Err("invalid_post_type"),
        }
    }
    let bearer = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .map(str::to_string);
    let token = bearer.or_else(|| arguments.get("token").and_then(Value::as_str).map(str::to_string));
    Ok((Value::Object(arguments), token))
}

/// What an argument says, when it is there.
pub(super) fn text<'a>(arguments: &'a Value, name: &str) -> Option<&'a str> {
    arguments.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

pub(super) fn flag(arguments: &Value, name: &str) -> bool {
    match arguments.get(name) {
        Some(Value::Bool(flag)) => *flag,
        Some(Value::String(text)) => text == "true" || text == "1",
        _ => false,
    }
}

pub(super) fn number(arguments: &Value, name: &str) -> Option<u64> {
    match arguments.get(name)? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

impl Slack {
    fn note(&self, name: &str, arguments: Value, answer: Result<(), &'static str>) {
        let error = answer.err().map(str::to_string);
        self.lock().calls.push(Call { name: name.to_string(), arguments, error, at: Instant::now() });
    }

    fn answer(
        &self,
        name: &str,
        about: &Method_,
        arguments: &Value,
        token: Option<&str>,
        headers: &HeaderMap,
    ) -> Answer {
        let mut state = self.lock();
        let state = &mut *state;
        let wanted = if name == "apps.connections.open" { APP_TOKEN } else { BOT_TOKEN };
        match token {
            None => return Err("not_authed".into()),
            Some(token) if token != wanted && [APP_TOKEN, BOT_TOKEN].contains(&token) => {
                return Err("not_allowed_token_type".into());
            }
            Some(token) if token != wanted => return Err("invalid_auth".into()),
            Some(_) => {}
        }
        if let Some(error) = &state.auth_error {
            let words = ["token_expired", "token_revoked", "account_inactive", "invalid_auth"];
            return Err(words.into_iter().find(|word| word == error).unwrap_or("invalid_auth").into());
        }
        if let Some(scope) = about.scope
            && !state.scopes.contains(scope)
        {
            let provided = state.scopes.iter().cloned().collect::<Vec<_>>().join(",");
            return Err(No("missing_scope", json!({"needed": scope, "provided": provided})));
        }
        self.pace(state, name, about, arguments)?;
        match name {
            "auth.test" => Ok(json!({
                "url": "https://petrel-test.slack.com/", "team": "Petrel test", "user": "petrel", "team_id": TEAM,
                "user_id": BOT, "bot_id": BOT_ID, "is_enterprise_install": false,
            })),
            "apps.connections.open" => {
                let ticket = self.shared.sockets.ticket();
                let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
                Ok(json!({"url": format!("ws://{host}/link/?ticket={ticket}&app_id={APP}")}))
            }
            "chat.postMessage" => self.post(state, arguments),
            "chat.update" => self.update(state, arguments),
            "chat.delete" => {
                let (channel, ts) = existing(state, arguments)?;
                let message = message(state, &channel, &ts)?;
                if message.user != BOT {
                    return Err("cant_delete_message".into());
                }
                message.deleted = true;
                Ok(json!({"channel": channel, "ts": ts}))
            }
            "chat.postEphemeral" => ephemeral(state, arguments),
            "chat.getPermalink" => {
                let (channel, ts) = (text(arguments, "channel"), text(arguments, "message_ts"));
                let (channel, ts) = channel.zip(ts).ok_or("channel_not_found")?;
                Ok(json!({"channel": channel, "permalink":
                    format!("https://petrel-test.slack.com/archives/{channel}/p{}", ts.replace('.', ""))}))
            }
            "conversations.history" | "conversations.replies" => history(state, name, arguments),
            "conversations.info" => {
                let id = text(arguments, "channel").ok_or("channel_not_found")?;
                let channel = visible(state, id)?;
                Ok(json!({"channel": describe(state, &channel)}))
            }
            "conversations.members" => {
                let id = text(arguments, "channel").ok_or("channel_not_found")?;
                let id = visible(state, id)?;
                let members: Vec<_> = state.channels[&id].members.iter().cloned().collect();
                Ok(json!({"members": members, "response_metadata": {"next_cursor": ""}}))
            }
            "conversations.list" | "users.conversations" => {
                let types = text(arguments, "types").unwrap_or("public_channel");
                let ids: Vec<_> = state
                    .channels
                    .values()
                    .filter(|channel| {
                        let member = channel.members.contains(BOT);
                        let kind = match channel.kind {
                            Kind::Public => "public_channel",
                            Kind::Private => "private_channel",
                            Kind::Direct(_) => "im",
                        };
                        types.split(',').any(|one| one == kind)
                            && (member || (channel.kind == Kind::Public && name == "conversations.list"))
                    })
                    .map(|channel| channel.id.clone())
                    .collect();
                let channels: Vec<_> = ids.iter().map(|id| describe(state, id)).collect();
                Ok(json!({"channels": channels, "response_metadata": {"next_cursor": ""}}))
            }
            "conversations.join" => {
                let id = text(arguments, "channel").ok_or("channel_not_found")?.to_string();
                let channel = state.channels.get_mut(&id).ok_or("channel_not_found")?;
                if channel.kind != Kind::Public {
                    return Err("method_not_supported_for_channel_type".into());
                }
                if channel.archived {
                    return Err("is_archived".into());
                }
                channel.members.insert(BOT.into());
                Ok(json!({"channel": describe(state, &id)}))
            }
            "conversations.open" => {
                let users = text(arguments, "users").ok_or("users_list_not_supplied")?.to_string();
                if !state.users.contains_key(&users) {
                    return Err("user_not_found".into());
                }
                let id = state.direct(&users);
                Ok(json!({"channel": {"id": id}}))
            }
            "users.info" => {
                let id = text(arguments, "user").ok_or("user_not_found")?;
                let user = state.users.get(id).ok_or("user_not_found")?;
                Ok(json!({"user": {
                    "id": user.id, "team_id": TEAM, "name": user.name, "real_name": user.name, "deleted": false,
                    "is_bot": user.bot, "is_app_user": false, "updated": 1_700_000_000, "tz": "Etc/UTC",
                    "profile": {"real_name": user.name, "display_name": user.name, "team": TEAM},
                }}))
            }
            "bots.info" => Ok(json!({"bot": {"id": BOT_ID, "deleted": false, "name": "petrel",
                "updated": 1_700_000_000, "app_id": APP, "user_id": BOT, "icons": {}}})),
            "team.info" => Ok(json!({"team": {"id": TEAM, "name": "Petrel test", "domain": "petrel-test"}})),
            "views.open" | "views.push" => self.open_view(state, arguments),
            "views.update" => {
                let view = arguments.get("view").cloned().ok_or("invalid_arguments")?;
                blocks::modal(&view).map_err(invalid_view)?;
                let id = text(arguments, "view_id").ok_or("not_found")?.to_string();
                let hash = state.next().to_string();
                let modal = state.modals.iter_mut().find(|modal| modal.id == id && modal.open);
                let modal = modal.ok_or("not_found")?;
                if text(arguments, "hash").is_some_and(|hash| hash != modal.hash) {
                    return Err("hash_conflict".into());
                }
                (modal.view, modal.hash) = (view, hash);
                Ok(json!({"view": shown(modal)}))
            }
            "files.getUploadURLExternal" => {
                let name = text(arguments, "filename").ok_or("invalid_arguments")?.to_string();
                let length = number(arguments, "length").ok_or("invalid_arguments")?;
                if length == 0 {
                    return Err("file_upload_size_restricted".into());
                }
                let id = format!("F{:09}", state.next());
                let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
                let url = format!("http://{host}/upload/v1/{id}");
                state.uploads.insert(id.clone(), Upload { name, length, bytes: None });
                Ok(json!({"upload_url": url, "file_id": id}))
            }
            "files.completeUploadExternal" => complete(state, arguments),
            _ => Err("unknown_method".into()),
        }
    }

    /// The method's tier; for posting also one message a second in each channel, "short bursts allowed".
    fn pace(&self, state: &mut State, name: &str, about: &Method_, arguments: &Value) -> Result<(), No> {
        let (rules, now) = (self.shared.rules, Instant::now());
        let tier = rules.paced(about.per_minute / 60.0, about.burst);
        state.buckets.take(name.to_string(), tier, now).map_err(too_many)?;
        if name == "chat.postMessage"
            && let Some(channel) = text(arguments, "channel")
        {
            let each = rules.paced(1.0, rules.post_burst);
            state.buckets.take(format!("post in {channel}"), each, now).map_err(too_many)?;
        }
        Ok(())
    }

    fn post(&self, state: &mut State, arguments: &Value) -> Answer {
        let to = text(arguments, "channel").ok_or("channel_not_found")?;
        let channel = match to.as_bytes()[0] {
            b'U' | b'W' if state.users.contains_key(to) => state.direct(to),
            _ => to.to_string(),
        };
        writable(state, &channel)?;
        let content = content(arguments, None)?;
        let metadata = metadata(arguments)?;
        let thread = text(arguments, "thread_ts").map(str::to_string);
        if let Some(thread) = &thread {
            message(state, &channel, thread).map_err(|_| No::from("thread_not_found"))?;
        }
        let ts = state.post(&channel, BOT, None, content);
        let made = message(state, &channel, &ts)?;
        (made.metadata, made.thread) = (metadata, thread);
        let shown = made.json(true);
        self.tell_own_message(state, &channel, &ts, None);
        Ok(json!({"channel": channel, "ts": ts, "message": shown}))
    }

    fn update(&self, state: &mut State, arguments: &Value) -> Answer {
        let (channel, ts) = existing(state, arguments)?;
        let before = message(state, &channel, &ts)?.clone();
        if before.only_for.is_some() {
            return Err("message_not_found".into());
        }
        if before.user != BOT {
            return Err("cant_update_message".into());
        }
        // Blocks and attachments that are not given are kept.
        if text(arguments, "text").is_some_and(|text| text.chars().count() > 4000) {
            return Err("msg_too_long".into());
        }
        let content = content(arguments, Some(&before.content))?;
        let metadata = metadata(arguments)?;
        let message = message(state, &channel, &ts)?;
        message.edit(content);
        if metadata.is_some() {
            message.metadata = metadata;
        }
        let shown = message.json(true);
        let said = message.content.text.clone();
        self.tell_own_message(state, &channel, &ts, Some(&before));
        Ok(json!({"channel": channel, "ts": ts, "text": said, "message": shown}))
    }

    fn open_view(&self, state: &mut State, arguments: &Value) -> Answer {
        let view = arguments.get("view").cloned().ok_or("invalid_arguments")?;
        let id = text(arguments, "trigger_id").ok_or("invalid_trigger_id")?;
        let trigger = state.triggers.get_mut(id).ok_or("invalid_trigger_id")?;
        if trigger.used {
            return Err("exchanged_trigger_id".into());
        }
        if trigger.at.elapsed() > self.shared.rules.trigger {
            return Err("expired_trigger_id".into());
        }
        blocks::modal(&view).map_err(invalid_view)?;
        trigger.used = true;
        let user = trigger.user.clone();
        let id = format!("V{:09}", state.next());
        let hash = state.next().to_string();
        let modal = Modal { id, user, view, hash, open: true, errors: Default::default() };
        let shown = shown(&modal);
        state.modals.push(modal);
        Ok(json!({"view": shown}))
    }
}

fn too_many(after: std::time::Duration) -> No {
    No("ratelimited", json!((after.as_secs_f64().ceil() as u64).max(1)))
}

fn invalid_view(why: String) -> No {
    No("invalid_arguments", json!({"response_metadata": {"messages": [format!("[ERROR] {why}")]}}))
}

/// A modal as Slack gives it back.
pub(super) fn shown(modal: &Modal) -> Value {
    let mut view = modal.view.clone();
    view["id"] = json!(modal.id);
    view["hash"] = json!(modal.hash);
    view["team_id"] = json!(TEAM);
    view["app_id"] = json!(APP);
    view["bot_id"] = json!(BOT_ID);
    view["app_installed_team_id"] = json!(TEAM);
    view["root_view_id"] = json!(modal.id);
    view["previous_view_id"] = Value::Null;
    for (field, otherwise) in
        [("private_metadata", json!("")), ("callback_id", json!("")), ("external_id", json!(""))]
    {
        if view.get(field).is_none_or(Value::is_null) {
            view[field] = otherwise;
        }
    }
    if view.get("state").is_none() {
        view["state"] = json!({"values": {}});
    }
    view["clear_on_close"] = json!(view["clear_on_close"] == true);
    view["notify_on_close"] = json!(view["notify_on_close"] == true);
    view
}

/// Text, blocks and attachments. None of them: there is nothing to say.
pub(super) fn content_of(arguments: &Value, before: Option<&Content>) -> Result<Content, String> {
    content(arguments, before).map_err(|No(error, why)| format!("{error} {why}"))
}

fn content(arguments: &Value, before: Option<&Content>) -> Result<Content, No> {
    let wrong = |error: &'static str| {
        move |why: String| {
            No(error, json!({"response_metadata": {"messages": [format!("[ERROR] {why}")]}, "errors": [why]}))
        }
    };
    let given = |name: &str| arguments.get(name).filter(|value| !value.is_null());
    let blocks = given("blocks").map(|given| blocks::blocks(given, Surface::Message)).transpose();
    let blocks = blocks.map_err(wrong("invalid_blocks"))?;
    let attachments = given("attachments").map(blocks::attachments).transpose();
    let attachments = attachments.map_err(wrong("invalid_attachments"))?;
    let said = text(arguments, "text");
    let nothing = blocks.as_ref().is_none_or(Vec::is_empty) && attachments.as_ref().is_none_or(Vec::is_empty);
    if said.is_none() && nothing {
        return Err("no_text".into());
    }
    // "Messages with text of more than 40,000 characters are truncated."
    let said: String = said.unwrap_or_default().chars().take(40_000).collect();
    let kept = |given: Option<Vec<Value>>, before: Option<&Vec<Value>>| {
        given.or_else(|| before.cloned()).unwrap_or_default()
    };
    let mut blocks = kept(blocks, before.map(|before| &before.blocks));
    for block in blocks.iter_mut().filter(|block| block.get("block_id").is_none()) {
        block["block_id"] = json!(&uuid::Uuid::new_v4().simple().to_string()[..5]);
    }
    let attachments = kept(attachments, before.map(|before| &before.attachments));
    Ok(Content { text: said, blocks, attachments })
}

fn metadata(arguments: &Value) -> Result<Option<Value>, No> {
    let Some(metadata) = arguments.get("metadata").filter(|value| !value.is_null()) else { return Ok(None) };
    let kind = metadata["event_type"].as_str().is_some_and(|kind| !kind.is_empty());
    if !kind || !metadata["event_payload"].is_object() {
        return Err("invalid_metadata_format".into());
    }
    if metadata.to_string().len() > 16 * 1024 {
        return Err("metadata_too_large".into());
    }
    Ok(Some(metadata.clone()))
}

fn ephemeral(state: &mut State, arguments: &Value) -> Answer {
    let channel = text(arguments, "channel").ok_or("channel_not_found")?.to_string();
    writable(state, &channel)?;
    let user = text(arguments, "user").ok_or("user_not_in_channel")?.to_string();
    if !state.channels[&channel].members.contains(&user) {
        return Err("user_not_in_channel".into());
    }
    let ts = state.post(&channel, BOT, Some(user), content(arguments, None)?);
    Ok(json!({"message_ts": ts}))
}

fn complete(state: &mut State, arguments: &Value) -> Answer {
    let files = arguments["files"].as_array().ok_or("invalid_arguments")?.clone();
    let channel = text(arguments, "channel_id").map(str::to_string);
    if let Some(channel) = &channel {
        writable(state, channel)?;
    }
    let mut done = Vec::new();
    for file in &files {
        let id = file["id"].as_str().ok_or("invalid_arguments")?;
        let upload = state.uploads.get(id).ok_or("file_not_found")?;
        if upload.bytes.as_ref().map(|bytes| bytes.len() as u64) != Some(upload.length) {
            return Err("file_update_failed".into());
        }
        done.push((id.to_string(), file["title"].as_str().unwrap_or(&upload.name).to_string()));
    }
    if let Some(channel) = &channel {
        let said = text(arguments, "initial_comment").unwrap_or_default().to_string();
        let ts = state.post(channel, BOT, None, Content { text: said, ..Content::default() });
        message(state, channel, &ts)?.files = done.iter().map(|(_, title)| title.clone()).collect();
    }
    let files: Vec<_> = done.iter().map(|(id, title)| json!({"id": id, "title": title})).collect();
    Ok(json!({"files": files}))
}

/// `/upload/v1/{id}`: the bytes of a file.
pub(super) async fn upload(Shared(slack): Shared<Slack>, Path(id): Path<String>, body: Bytes) -> Response {
    match slack.lock().uploads.get_mut(&id) {
        Some(upload) => {
            upload.bytes = Some(body.to_vec());
            format!("OK - {}", body.len()).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
