//! What Discord sends when somebody uses the slash command, a button or a modal: the same payload by the gateway and by HTTP.
//! Read leniently (fields that are not needed may be missing or new) and trusted in nothing: any bytes may come.

use crate::press::{NotAPress, Press};
use serde::{Deserialize, Deserializer};
use serenity::all::{CommandOptionType, InteractionType};

/// The longest token that is taken; Discord's are about 200 characters.
const TOKEN: usize = 1_024;

/// One use of something of ours.
#[derive(Debug, PartialEq)]
pub struct Interaction {
    /// Discord's id: the delivery key.
    pub id: String,
    /// To answer with, for 15 minutes.
    pub token: String,
    /// Who and where.
    pub from: From,
    /// What.
    pub what: What,
}

/// Who did it, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct From {
    /// None: in direct messages.
    pub guild: Option<String>,
    /// The channel, thread or direct messages.
    pub channel: String,
    /// The account.
    pub user: String,
}

/// What was used.
#[derive(Debug, PartialEq)]
pub enum What {
    /// `/petrel` with its options.
    Command(Options),
    /// One of its options is being typed.
    Completion(Options),
    /// A button, ours or not.
    Button(Result<Press, NotAPress>),
    /// A modal was sent: the button it belongs to, the reason, the typed name.
    Modal {
        /// The button that opened it.
        press: Result<Press, NotAPress>,
        /// What stands in it for `reason`.
        reason: Option<String>,
        /// What stands in it for `typed`.
        typed: Option<String>,
    },
}

/// The options of `/petrel`, by name, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Name and text.
    pub given: Vec<(String, String)>,
    /// The one being typed.
    pub focused: Option<String>,
}

impl Options {
    /// What was given for this option, if anything.
    pub fn get(&self, name: &str) -> Option<&str> {
        let given = self.given.iter().find(|(given, _)| given == name);
        given.map(|(_, text)| text.trim()).filter(|text| !text.is_empty())
    }
}

/// What came.
#[derive(Debug, PartialEq)]
pub enum Sent {
    /// Discord asks whether somebody is there.
    Ping,
    /// Somebody used something.
    Used(Box<Interaction>),
}

/// Why bytes are no interaction.
#[derive(Debug, thiserror::Error)]
pub enum NotAnInteraction {
    /// Not JSON, or not of this shape.
    #[error("not an interaction: {0}")]
    Shape(#[from] serde_json::Error),
    /// Something that must be there is missing, or not what it should be.
    #[error("an interaction without {0}")]
    Lacks(&'static str),
    /// A type that Discord has added since.
    #[error("an interaction of the unknown type {0}")]
    Unknown(u8),
}

#[derive(Deserialize)]
struct Wire {
    #[serde(rename = "type")]
    kind: u8,
    #[serde(default, deserialize_with = "id")]
    id: String,
    #[serde(default)]
    token: String,
    #[serde(default, deserialize_with = "id")]
    guild_id: String,
    #[serde(default, deserialize_with = "id")]
    channel_id: String,
    channel: Option<HasId>,
    member: Option<Member>,
    user: Option<HasId>,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct HasId {
    #[serde(deserialize_with = "id")]
    id: String,
}

#[derive(Deserialize)]
struct Member {
    user: HasId,
}

#[derive(Default, Deserialize)]
struct Data {
    #[serde(default)]
    options: Vec<RawOption>,
    #[serde(default)]
    custom_id: String,
    #[serde(default)]
    components: Vec<Component>,
}

#[derive(Deserialize)]
struct RawOption {
    name: String,
    #[serde(default, rename = "type")]
    kind: u8,
    #[serde(default)]
    value: serde_json::Value,
    #[serde(default)]
    options: Vec<RawOption>,
    #[serde(default)]
    focused: bool,
}

/// An action row or a label around inputs, or an input.
#[derive(Deserialize)]
struct Component {
    #[serde(default)]
    custom_id: String,
    value: Option<String>,
    #[serde(default)]
    components: Vec<Component>,
    component: Option<Box<Component>>,
}

/// Ids are texts; a number is taken too.
fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Id {
        Text(String),
        Number(u64),
        Nothing(()),
    }
    Ok(match Id::deserialize(deserializer)? {
        Id::Text(text) => text,
        Id::Number(number) => number.to_string(),
        Id::Nothing(()) => String::new(),
    })
}

/// May this stand in a path and in an actor? Discord's ids are numbers; letters do no harm.
pub fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

fn is_token(text: &str) -> bool {
    (1..=TOKEN).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'=' | b'~'))
}

/// Reads one.
pub fn read(bytes: &[u8]) -> Result<Sent, NotAnInteraction> {
    sent(serde_json::from_slice(bytes)?)
}

/// Reads one that came as part of something else.
pub fn read_value(value: serde_json::Value) -> Result<Sent, NotAnInteraction> {
    sent(serde_json::from_value(value)?)
}

fn sent(wire: Wire) -> Result<Sent, NotAnInteraction> {
    use NotAnInteraction::Lacks;
    let kind = InteractionType::from(wire.kind);
    if kind == InteractionType::Ping {
        return Ok(Sent::Ping);
    }
    let user = wire.member.map(|member| member.user).or(wire.user).map(|user| user.id).unwrap_or_default();
    let channel = if wire.channel_id.is_empty() {
        wire.channel.map(|channel| channel.id).unwrap_or_default()
    } else {
        wire.channel_id
    };
    let guild = Some(wire.guild_id).filter(|guild| !guild.is_empty());
    for (fits, what) in [
        (is_id(&wire.id), "an id"),
        (is_token(&wire.token), "a token"),
        (is_id(&user), "a user"),
        (is_id(&channel), "a channel"),
        (guild.as_deref().is_none_or(is_id), "a guild's id"),
    ] {
        if !fits {
            return Err(Lacks(what));
        }
    }
    let data = wire.data.ok_or(Lacks("data"))?;
    let what = match kind {
        InteractionType::Command => What::Command(options(data.options)),
        InteractionType::Autocomplete => What::Completion(options(data.options)),
        InteractionType::Component => What::Button(Press::decode(&data.custom_id)),
        InteractionType::Modal => {
            let input = |name: &str| input(&data.components, name);
            What::Modal {
                press: Press::decode(&data.custom_id),
                reason: input("reason"),
                typed: input("typed"),
            }
        }
        _ => return Err(NotAnInteraction::Unknown(wire.kind)),
    };
    let from = From { guild, channel, user };
    Ok(Sent::Used(Box::new(Interaction { id: wire.id, token: wire.token, from, what })))
}

/// Flat: the names of sub-commands, should there ever be any, are what `command` begins with.
fn options(raw: Vec<RawOption>) -> Options {
    let mut options = Options::default();
    let mut rest = raw;
    while let Some(index) = rest.iter().position(|option| is_nested(option.kind)) {
        let nested = rest.swap_remove(index);
        options.given.push((super::command::COMMAND.into(), nested.name));
        rest.extend(nested.options);
    }
    for option in rest {
        let text = match option.value {
            serde_json::Value::String(text) => text,
            serde_json::Value::Null => String::new(),
            other => other.to_string(),
        };
        if option.focused {
            options.focused = Some(option.name.clone());
        }
        options.given.push((option.name, text));
    }
    options
}

fn is_nested(kind: u8) -> bool {
    matches!(
        CommandOptionType::from(kind),
        CommandOptionType::SubCommand | CommandOptionType::SubCommandGroup
    )
}

fn input(components: &[Component], name: &str) -> Option<String> {
    components.iter().find_map(|component| {
        if component.custom_id == name {
            return component.value.clone().filter(|text| !text.trim().is_empty());
        }
        let inner = component.component.as_deref().map(std::slice::from_ref).unwrap_or_default();
        input(&component.components, name).or_else(|| input(inner, name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn used(value: Value) -> Interaction {
        match read(value.to_string().as_bytes()).unwrap() {
            Sent::Used(interaction) => *interaction,
            Sent::Ping => panic!("not a ping"),
        }
    }

    fn with(kind: u8, data: Value) -> Value {
        json!({
            "id": "1", "application_id": "2", "type": kind, "token": "aW50.x-_", "version": 1, "guild_id": "3",
            "channel_id": "4", "member": { "user": { "id": "5", "username": "ann" }, "roles": [] }, "data": data,
        })
    }

    #[test]
    fn a_command_has_its_options_and_says_who_and_where() {
        let command = used(with(
            2,
            json!({ "id": "9", "name": "petrel", "type": 1, "options": [
            { "name": "command", "type": 3, "value": "scale" },
            { "name": "arguments", "type": 4, "value": 6 },
        ] }),
        ));
        assert_eq!(command.from, From { guild: Some("3".into()), channel: "4".into(), user: "5".into() });
        let What::Command(options) = command.what else { panic!("a command") };
        assert_eq!(
            (options.get("command"), options.get("arguments"), options.get("why")),
            (Some("scale"), Some("6"), None)
        );
    }

    #[test]
    fn in_direct_messages_there_is_a_user_and_no_guild() {
        let mut value = with(2, json!({ "name": "petrel" }));
        value["guild_id"] = Value::Null;
        value["member"] = Value::Null;
        value["user"] = json!({ "id": 7 });
        assert_eq!(used(value).from, From { guild: None, channel: "4".into(), user: "7".into() });
    }

    #[test]
    fn a_modal_has_what_was_typed_in_rows_and_in_labels() {
        let rows =
            json!([{ "type": 1, "components": [{ "type": 4, "custom_id": "reason", "value": "not now" }] }]);
        let labels =
            json!([{ "type": 18, "component": { "type": 4, "custom_id": "reason", "value": "not now" } }]);
        for components in [rows, labels] {
            let What::Modal { reason, typed, press } =
                used(with(5, json!({ "custom_id": "x", "components": components }))).what
            else {
                panic!("a modal")
            };
            assert_eq!((reason.as_deref(), typed, press), (Some("not now"), None, Err(NotAPress)));
        }
    }

    #[test]
    fn what_is_missing_is_named_and_nothing_dangerous_passes_as_an_id() {
        let broken = |change: fn(&mut Value)| {
            let mut value = with(2, json!({ "name": "petrel" }));
            change(&mut value);
            read(value.to_string().as_bytes()).unwrap_err().to_string()
        };
        assert_eq!(broken(|value| value["id"] = json!("../x")), "an interaction without an id");
        assert_eq!(broken(|value| value["token"] = json!("a/b")), "an interaction without a token");
        assert_eq!(broken(|value| value["member"] = Value::Null), "an interaction without a user");
        assert_eq!(broken(|value| value["guild_id"] = json!("a:b")), "an interaction without a guild's id");
        assert_eq!(broken(|value| value["data"] = Value::Null), "an interaction without data");
        assert_eq!(broken(|value| value["type"] = json!(99)), "an interaction of the unknown type 99");
        assert!(read(b"{").is_err());
        assert!(matches!(read(br#"{"type":1,"version":1}"#), Ok(Sent::Ping)));
    }
}
