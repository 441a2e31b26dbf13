//! What the guild holds: people, channels, messages with their history, interactions, modals, commands.

use super::{Call, Delivered, gateway::Session};
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

/// The guild.
pub const GUILD: &str = "41771983423143937";
/// The application, and its bot user.
pub const APP: &str = "80351110224678912";
/// The bot's token.
pub const TOKEN: &str = "ODAzNTExMTAyMjQ2Nzg5MTI.stand-in.0123456789abcdefghijklmnop";

/// Permissions that matter here, by their documented bits.
pub mod permission {
    /// To see a channel at all.
    pub const VIEW: u64 = 1 << 10;
    /// To write.
    pub const SEND: u64 = 1 << 11;
    /// Without it embeds are dropped silently.
    pub const EMBED: u64 = 1 << 14;
    /// To attach pictures.
    pub const ATTACH: u64 = 1 << 15;
    /// To read what was written before.
    pub const HISTORY: u64 = 1 << 16;
    /// All that Petrel needs.
    pub const ENOUGH: u64 = VIEW | SEND | EMBED | ATTACH | HISTORY | (1 << 31) | (1 << 38);
}

/// A message only its addressee sees.
pub const EPHEMERAL: u64 = 1 << 6;
/// "Thinking..."
pub const LOADING: u64 = 1 << 7;
/// Components instead of content and embeds.
pub const COMPONENTS_V2: u64 = 1 << 15;

/// A person.
#[derive(Clone, Debug)]
pub struct User {
    /// Snowflake.
    pub id: String,
    /// `ann`.
    pub name: String,
    /// Takes direct messages from bots.
    pub open_to_bots: bool,
}

/// A channel.
#[derive(Clone, Debug)]
pub struct Channel {
    /// Snowflake.
    pub id: String,
    /// `ops`; empty for a direct one.
    pub name: String,
    /// With whom, for a direct one.
    pub recipient: Option<String>,
    /// What the bot may do in it.
    pub permissions: u64,
    /// By id.
    pub messages: BTreeMap<u64, Message>,
}

/// What a message said at some time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Content {
    /// The text.
    pub content: String,
    /// The embeds.
    pub embeds: Vec<Value>,
    /// The components.
    pub components: Vec<Value>,
}

/// A message.
#[derive(Clone, Debug)]
pub struct Message {
    /// Snowflake.
    pub id: u64,
    /// Snowflake.
    pub channel: String,
    /// Who wrote it: a person or [`APP`].
    pub author: String,
    /// An ephemeral one, for this person.
    pub only_for: Option<String>,
    /// What it says now.
    pub content: Content,
    /// What it said before, oldest first.
    pub before: Vec<Content>,
    /// [`EPHEMERAL`], [`LOADING`], [`COMPONENTS_V2`].
    pub flags: u64,
    /// As it was sent.
    pub nonce: Option<Value>,
    /// Whom it may ping.
    pub allowed_mentions: Option<Value>,
    /// Somebody deleted it.
    pub deleted: bool,
    /// When it came, and when it was last edited.
    pub at: Instant,
    /// See `at`.
    pub edited_at: Option<Instant>,
    /// Names of files attached.
    pub files: Vec<String>,
    /// The interaction it answers.
    pub interaction: Option<String>,
}

/// A modal on somebody's screen.
#[derive(Clone, Debug)]
pub struct Modal {
    /// Whose screen.
    pub user: String,
    /// Where they were.
    pub channel: String,
    /// The message with the button.
    pub message: Option<u64>,
    /// As Petrel sent it.
    pub data: Value,
    /// Not submitted yet.
    pub open: bool,
}

/// What somebody did, that Petrel has to answer.
#[derive(Clone, Debug)]
pub(super) struct Interaction {
    pub id: String,
    pub kind: u8,
    pub user: String,
    pub channel: String,
    pub message: Option<u64>,
    pub at: Instant,
    /// The type of the first answer.
    pub answered: Option<u8>,
    /// What the first answer became, for `@original`.
    pub original: Option<u64>,
    /// For autocomplete.
    pub choices: Option<Value>,
    /// After how long it was first answered.
    pub after: Option<std::time::Duration>,
}

/// Everything.
pub(super) struct State {
    pub users: BTreeMap<String, User>,
    pub channels: BTreeMap<String, Channel>,
    /// By token.
    pub interactions: HashMap<String, Interaction>,
    pub modals: Vec<Modal>,
    pub commands: Vec<Value>,
    pub guild_commands: Vec<Value>,
    pub sessions: Vec<Session>,
    pub identifies: u32,
    /// Windows of rate limits: when each began and how much of it is used.
    pub windows: HashMap<String, (Instant, u32)>,
    pub calls: Vec<Call>,
    pub delivered: Vec<Delivered>,
    /// The token no longer works.
    pub token_broken: bool,
    pub intents_granted: u64,
    pub invalid_requests: u32,
    pub refused_replies: u32,
    pub key: SigningKey,
    counter: u64,
}

impl State {
    pub fn new() -> State {
        State {
            users: BTreeMap::new(),
            channels: BTreeMap::new(),
            interactions: HashMap::new(),
            modals: Vec::new(),
            commands: Vec::new(),
            guild_commands: Vec::new(),
            sessions: Vec::new(),
            identifies: 0,
            windows: HashMap::new(),
            calls: Vec::new(),
            delivered: Vec::new(),
            token_broken: false,
            intents_granted: 1 << 15,
            invalid_requests: 0,
            refused_replies: 0,
            key: SigningKey::from_bytes(&[7; 32]),
            counter: 0,
        }
    }

    /// A new id, greater than all before: milliseconds since 2015, worker, counter.
    pub fn snowflake(&mut self) -> u64 {
        self.counter += 1;
        let ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        // The counter may overflow its 12 bits: it then counts as milliseconds.
        ((ms - 1_420_070_400_000) << 22) + self.counter
    }

    /// The conversation between Petrel and somebody.
    pub fn direct(&mut self, user: &str) -> String {
        let found = self.channels.values().find(|channel| channel.recipient.as_deref() == Some(user));
        if let Some(channel) = found {
            return channel.id.clone();
        }
        let id = self.snowflake().to_string();
        let channel = Channel {
            id: id.clone(),
            name: String::new(),
            recipient: Some(user.to_string()),
            permissions: permission::ENOUGH,
            messages: BTreeMap::new(),
        };
        self.channels.insert(id.clone(), channel);
        id
    }

    pub fn message(&mut self, channel: &str, id: u64) -> Option<&mut Message> {
        self.channels.get_mut(channel)?.messages.get_mut(&id).filter(|message| !message.deleted)
    }

    /// Writes a message.
    pub fn post(&mut self, channel: &str, author: &str, content: Content) -> &mut Message {
        let id = self.snowflake();
        let message = Message {
            id,
            channel: channel.to_string(),
            author: author.to_string(),
            only_for: None,
            content,
            before: Vec::new(),
            flags: 0,
            nonce: None,
            allowed_mentions: None,
            deleted: false,
            at: Instant::now(),
            edited_at: None,
            files: Vec::new(),
            interaction: None,
        };
        let channel = self.channels.get_mut(channel).expect("a channel");
        channel.messages.entry(id).or_insert(message)
    }

    /// A user object.
    pub fn user_json(&self, id: &str) -> Value {
        let bot = id == APP;
        let name = if bot { "petrel" } else { self.users.get(id).map_or("gone", |user| user.name.as_str()) };
        json!({
            "id": id, "username": name, "discriminator": "0", "global_name": name, "avatar": null, "bot": bot,
            "system": false, "mfa_enabled": true, "public_flags": 0, "flags": 0, "verified": true, "email": null,
            "banner": null, "accent_color": null, "locale": "en-GB", "premium_type": 0,
        })
    }

    /// A guild member object.
    pub fn member_json(&self, id: &str) -> Value {
        json!({
            "user": self.user_json(id), "nick": null, "avatar": null, "roles": [], "deaf": false, "mute": false,
            "joined_at": "2024-01-01T00:00:00.000000+00:00", "premium_since": null, "flags": 0, "pending": false,
            "communication_disabled_until": null, "permissions": "2147601408",
        })
    }

    /// A message object.
    pub fn message_json(&self, message: &Message) -> Value {
        let user = self.user_json(&message.author);
        let time = "2026-01-01T00:00:00.000000+00:00";
        let mut mentions = Vec::new();
        for user in self.users.keys().map(String::as_str).chain([APP]) {
            if message.content.content.contains(&format!("<@{user}>")) {
                mentions.push(self.user_json(user));
            }
        }
        let mut json = json!({
            "id": message.id.to_string(), "channel_id": message.channel, "author": user,
            "content": message.content.content, "timestamp": time,
            "edited_timestamp": message.edited_at.map(|_| time), "tts": false, "mention_everyone": false,
            "mentions": mentions, "mention_roles": [], "attachments": [], "embeds": message.content.embeds,
            "components": message.content.components, "pinned": false, "type": 0, "flags": message.flags,
        });
        if let Some(nonce) = &message.nonce {
            json["nonce"] = nonce.clone();
        }
        if message.author == APP {
            json["application_id"] = json!(APP);
        }
        json
    }

    /// A channel object.
    pub fn channel_json(&self, id: &str) -> Value {
        let channel = &self.channels[id];
        match &channel.recipient {
            Some(recipient) => json!({
                "id": id, "type": 1, "last_message_id": null, "flags": 0, "recipients": [self.user_json(recipient)],
            }),
            None => json!({
                "id": id, "type": 0, "guild_id": GUILD, "name": channel.name, "position": 1, "nsfw": false,
                "permission_overwrites": [{"id": APP, "type": 1, "allow": channel.permissions.to_string(), "deny": "0"}],
                "rate_limit_per_user": 0, "topic": null, "last_message_id": null,
                "parent_id": null, "flags": 0,
            }),
        }
    }
}

impl Message {
    /// Replaces what it says and keeps what it said.
    pub(super) fn edit(&mut self, content: Content) {
        let before = std::mem::replace(&mut self.content, content);
        if self.flags & LOADING == 0 {
            self.before.push(before);
            self.edited_at = Some(Instant::now());
        }
        self.flags &= !LOADING;
    }

    /// What was ever to be seen, the newest first.
    pub fn seen(&self) -> impl Iterator<Item = &Content> {
        std::iter::once(&self.content).chain(self.before.iter().rev())
    }
}
