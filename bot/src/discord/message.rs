//! Lines typed to the bot without the slash command: `@petrel ...` and direct messages. Discord shows their text to a bot that
//! is mentioned or written to directly, without the privileged intent.

use super::interaction::{From, is_id};
use serde::Deserialize;
use serde_json::Value;
use serenity::all::MessageType;

/// A line for the bot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The message's id: the delivery key.
    pub id: String,
    /// Who and where.
    pub from: From,
    /// Without the mention.
    pub text: String,
}

#[derive(Deserialize)]
struct Wire {
    id: String,
    channel_id: String,
    guild_id: Option<String>,
    author: Author,
    #[serde(default)]
    content: String,
    webhook_id: Option<String>,
    #[serde(default, rename = "type")]
    kind: u8,
}

#[derive(Deserialize)]
struct Author {
    id: String,
    #[serde(default)]
    bot: bool,
    #[serde(default)]
    system: bool,
}

/// Reads a `MESSAGE_CREATE`; None: it is not for the bot, or not from a person.
pub fn read(value: Value, bot: &str) -> Option<Written> {
    let message: Wire = serde_json::from_value(value).ok()?;
    let author = &message.author;
    let said_by_person = !author.bot && !author.system && message.webhook_id.is_none() && author.id != bot;
    let is_said = matches!(MessageType::from(message.kind), MessageType::Regular | MessageType::InlineReply);
    let ids = [&message.id, &message.channel_id, &author.id]
        .into_iter()
        .chain(&message.guild_id)
        .all(|id| is_id(id));
    if !said_by_person || !is_said || !ids {
        return None;
    }
    let content = message.content.trim_start();
    let spoken_to = [format!("<@{bot}>"), format!("<@!{bot}>")]
        .iter()
        .find_map(|mention| content.strip_prefix(mention.as_str()));
    let text = match (spoken_to, &message.guild_id) {
        (Some(rest), _) => rest,
        (None, None) => content,
        (None, Some(_)) => return None,
    };
    let from = From { guild: message.guild_id, channel: message.channel_id, user: message.author.id };
    Some(Written { id: message.id, from, text: text.trim().to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn message(content: &str) -> Value {
        json!({ "id": "1", "channel_id": "2", "guild_id": "3", "author": { "id": "4" }, "content": content, "type": 0 })
    }

    fn text(value: Value) -> Option<String> {
        read(value, "9").map(|written| written.text)
    }

    #[test]
    fn a_mention_at_the_beginning_is_for_us_and_other_talk_is_not() {
        assert_eq!(text(message("<@9> get pods")).as_deref(), Some("get pods"));
        assert_eq!(text(message("  <@!9>  help ")).as_deref(), Some("help"));
        assert_eq!(text(message("<@9>")).as_deref(), Some(""));
        for talk in ["get pods", "ask <@9> to restart it", "<@99> get pods", ""] {
            assert_eq!(text(message(talk)), None, "{talk}");
        }
    }

    #[test]
    fn a_direct_message_needs_no_mention() {
        let mut direct = message("whoami");
        direct.as_object_mut().unwrap().remove("guild_id");
        assert_eq!(read(direct, "9").unwrap().from.guild, None);
    }

    #[test]
    fn bots_webhooks_system_messages_and_we_ourselves_are_not_listened_to() {
        for (field, value) in [
            ("author", json!({ "id": "4", "bot": true })),
            ("author", json!({ "id": "9" })),
            ("webhook_id", json!("5")),
            ("type", json!(7)),
            ("id", json!("../1")),
        ] {
            let mut message = message("<@9> get pods");
            message[field] = value;
            assert_eq!(text(message), None, "{field}");
        }
    }
}
