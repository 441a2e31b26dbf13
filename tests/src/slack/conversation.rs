//! Conversations as the Web API shows them: which the bot may see and write into, their messages, page by page.

use super::{
    state::{BOT, Kind, State, TEAM},
    web::{Answer, No, flag, number, text},
};
use serde_json::{Value, json};

/// A conversation that the bot may see.
pub(super) fn visible(state: &State, id: &str) -> Result<String, No> {
    let channel = state.channels.get(id).ok_or("channel_not_found")?;
    let seen = channel.kind == Kind::Public || channel.members.contains(BOT);
    if seen { Ok(id.to_string()) } else { Err("channel_not_found".into()) }
}

/// A conversation that the bot may write into.
pub(super) fn writable(state: &State, id: &str) -> Result<(), No> {
    let id = visible(state, id)?;
    let channel = &state.channels[&id];
    if channel.archived {
        return Err("is_archived".into());
    }
    if !channel.members.contains(BOT) {
        return Err("not_in_channel".into());
    }
    Ok(())
}

pub(super) fn existing(state: &State, arguments: &Value) -> Result<(String, String), No> {
    let channel = text(arguments, "channel").ok_or("channel_not_found")?;
    let channel = visible(state, channel)?;
    let ts = text(arguments, "ts").ok_or("message_not_found")?;
    Ok((channel, ts.to_string()))
}

/// A message that is still there.
pub(super) fn message<'a>(
    state: &'a mut State,
    channel: &str,
    ts: &str,
) -> Result<&'a mut super::Message, No> {
    let message = state.channels.get_mut(channel).and_then(|channel| channel.messages.get_mut(ts));
    message.filter(|message| !message.deleted).ok_or_else(|| "message_not_found".into())
}

pub(super) fn history(state: &mut State, name: &str, arguments: &Value) -> Answer {
    let id = text(arguments, "channel").ok_or("channel_not_found")?;
    let id = visible(state, id)?;
    let channel = &state.channels[&id];
    if !channel.members.contains(BOT) {
        return Err("not_in_channel".into());
    }
    let scope = match channel.kind {
        Kind::Public => "channels:history",
        Kind::Private => "groups:history",
        Kind::Direct(_) => "im:history",
    };
    if !state.scopes.contains(scope) {
        return Err(No("missing_scope", json!({"needed": scope})));
    }
    let limit = number(arguments, "limit").unwrap_or(100).clamp(1, 999) as usize;
    let oldest = text(arguments, "oldest").unwrap_or("0");
    let latest = text(arguments, "latest").unwrap_or("9999999999");
    let inclusive = flag(arguments, "inclusive");
    let within = |ts: &str| match inclusive {
        true => ts >= oldest && ts <= latest,
        false => ts > oldest && ts < latest,
    };
    let thread = text(arguments, "ts");
    let belongs = |message: &super::Message| match (name, thread) {
        ("conversations.replies", Some(thread)) => {
            message.ts == thread || message.thread.as_deref() == Some(thread)
        }
        _ => message.thread.is_none(),
    };
    let cursor = text(arguments, "cursor").and_then(|cursor| cursor.strip_prefix("next_ts:"));
    let matching: Vec<_> = channel
        .messages
        .values()
        .rev()
        .filter(|message| !message.deleted && message.only_for.is_none() && belongs(message))
        .filter(|message| within(&message.ts) && cursor.is_none_or(|cursor| message.ts.as_str() < cursor))
        .collect();
    let page: Vec<_> = matching.iter().take(limit).collect();
    let more = matching.len() > page.len();
    let next = page.last().filter(|_| more).map(|last| format!("next_ts:{}", last.ts)).unwrap_or_default();
    let with_metadata = flag(arguments, "include_all_metadata");
    Ok(json!({
        "messages": page.iter().map(|message| message.json(with_metadata)).collect::<Vec<_>>(),
        "has_more": more, "pin_count": 0, "response_metadata": {"next_cursor": next},
    }))
}

pub(super) fn describe(state: &State, id: &str) -> Value {
    let channel = &state.channels[id];
    let mut json = json!({
        "id": channel.id, "created": 1_700_000_000, "is_archived": channel.archived, "updated": 1_700_000_000_000_u64,
        "is_im": matches!(channel.kind, Kind::Direct(_)), "is_org_shared": false,
        "context_team_id": TEAM,
    });
    match &channel.kind {
        Kind::Direct(user) => json["user"] = json!(user),
        kind => {
            json["name"] = json!(channel.name);
            json["name_normalized"] = json!(channel.name);
            json["is_channel"] = json!(*kind == Kind::Public);
            json["is_private"] = json!(*kind == Kind::Private);
            json["is_group"] = json!(*kind == Kind::Private);
            json["is_member"] = json!(channel.members.contains(BOT));
            json["is_general"] = json!(false);
            json["creator"] = json!("U0ADMIN01");
            json["topic"] = json!({"value": "", "creator": "", "last_set": 0});
            json["purpose"] = json!({"value": "", "creator": "", "last_set": 0});
            json["num_members"] = json!(channel.members.len());
        }
    }
    json
}
