//! What the workspace holds: people, channels, messages with their history, modals, tokens.

use super::{Call, Delivered};
use crate::bucket::Buckets;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

/// The workspace.
pub const TEAM: &str = "T0PETREL1";
/// Petrel's bot user.
pub const BOT: &str = "U0PETREL1";
/// The bot behind it.
pub const BOT_ID: &str = "B0PETREL1";
/// The app.
pub const APP: &str = "A0PETREL1";
/// What Petrel calls the Web API with.
pub const BOT_TOKEN: &str = "xoxb-0123456789-stand-in";
/// What Petrel opens sockets with.
pub const APP_TOKEN: &str = "xapp-1-A0PETREL1-0123456789-stand-in";
/// Signs what is sent over HTTP.
pub const SIGNING_SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";

/// What a bot that can all that Petrel does is granted.
pub const SCOPES: [&str; 12] = [
    "app_mentions:read",
    "channels:history",
    "channels:join",
    "channels:read",
    "chat:write",
    "commands",
    "files:write",
    "groups:history",
    "groups:read",
    "im:history",
    "im:write",
    "users:read",
];

/// A person or bot.
#[derive(Clone, Debug)]
pub struct User {
    /// `U0ANN`.
    pub id: String,
    /// `ann`.
    pub name: String,
    /// Whether it is a bot.
    pub bot: bool,
}

/// What a conversation is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Everybody may join.
    Public,
    /// By invitation.
    Private,
    /// Between Petrel and this person.
    Direct(String),
}

/// A conversation.
#[derive(Clone, Debug)]
pub struct Channel {
    /// `C0OPS`, `D0ANN`.
    pub id: String,
    /// `ops`; empty for a direct one.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Who is in it.
    pub members: BTreeSet<String>,
    /// Nobody may write any more.
    pub archived: bool,
    /// By timestamp, which is also their id.
    pub messages: BTreeMap<String, Message>,
}

/// What a message said at some time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Content {
    /// Fallback where there are blocks.
    pub text: String,
    /// Block Kit.
    pub blocks: Vec<Value>,
    /// With blocks of their own.
    pub attachments: Vec<Value>,
}

/// A message.
#[derive(Clone, Debug)]
pub struct Message {
    /// `1700000000.000100`.
    pub ts: String,
    /// `C0OPS`.
    pub channel: String,
    /// Who wrote it.
    pub user: String,
    /// An ephemeral one, for this person.
    pub only_for: Option<String>,
    /// What it says now.
    pub content: Content,
    /// What it said before, oldest first.
    pub before: Vec<Content>,
    /// `event_type` and `event_payload`.
    pub metadata: Option<Value>,
    /// In a thread.
    pub thread: Option<String>,
    /// Somebody deleted it.
    pub deleted: bool,
    /// When it came, and when it was last edited.
    pub at: Instant,
    /// See `at`.
    pub edited_at: Option<Instant>,
    /// Names of pictures shared with it.
    pub files: Vec<String>,
}

impl Message {
    /// As the Web API and events show it.
    pub fn json(&self, with_metadata: bool) -> Value {
        let mut json = json!({
            "type": "message", "user": self.user, "ts": self.ts, "text": self.content.text, "team": TEAM,
        });
        if self.user == BOT {
            json["bot_id"] = json!(BOT_ID);
            json["app_id"] = json!(APP);
            json["bot_profile"] = json!({"id": BOT_ID, "app_id": APP, "name": "petrel", "team_id": TEAM,
                "icons": {}, "deleted": false, "updated": 1_700_000_000});
        }
        if !self.content.blocks.is_empty() {
            json["blocks"] = json!(self.content.blocks);
        }
        if !self.content.attachments.is_empty() {
            json["attachments"] = json!(self.content.attachments);
        }
        if self.edited_at.is_some() {
            json["edited"] = json!({"user": self.user, "ts": self.ts});
        }
        if let Some(thread) = &self.thread {
            json["thread_ts"] = json!(thread);
        }
        if let (true, Some(metadata)) = (with_metadata, &self.metadata) {
            json["metadata"] = metadata.clone();
        }
        json
    }
}

/// A modal, open on somebody's screen or closed.
#[derive(Clone, Debug)]
pub struct Modal {
    /// `V0...`.
    pub id: String,
    /// Whose screen.
    pub user: String,
    /// As Petrel sent it.
    pub view: Value,
    /// Changes with every update.
    pub hash: String,
    /// On the screen.
    pub open: bool,
    /// What Petrel said is wrong with what was filled in, by block.
    pub errors: BTreeMap<String, String>,
}

/// A trigger to open a modal with.
pub(super) struct Trigger {
    pub at: Instant,
    pub user: String,
    pub used: bool,
}

/// What a `response_url` may still do.
pub(super) struct ResponseUrl {
    pub at: Instant,
    pub uses: u32,
    pub channel: String,
    pub user: String,
    /// The message with the button that was clicked.
    pub message: Option<String>,
}

/// A file on its way.
pub(super) struct Upload {
    pub name: String,
    pub length: u64,
    pub bytes: Option<Vec<u8>>,
}

/// Everything.
pub(super) struct State {
    pub users: BTreeMap<String, User>,
    pub channels: BTreeMap<String, Channel>,
    pub modals: Vec<Modal>,
    pub triggers: HashMap<String, Trigger>,
    pub responses: HashMap<String, ResponseUrl>,
    pub uploads: HashMap<String, Upload>,
    pub scopes: BTreeSet<String>,
    /// `token_expired`, `invalid_auth`, ...: every call gets this.
    pub auth_error: Option<String>,
    pub buckets: Buckets<String>,
    pub calls: Vec<Call>,
    pub delivered: Vec<Delivered>,
    counter: u64,
    last_ts: u64,
}

impl State {
    pub fn new() -> State {
        let mut state = State {
            users: BTreeMap::new(),
            channels: BTreeMap::new(),
            modals: Vec::new(),
            triggers: HashMap::new(),
            responses: HashMap::new(),
            uploads: HashMap::new(),
            scopes: SCOPES.iter().map(|scope| scope.to_string()).collect(),
            auth_error: None,
            buckets: Buckets::default(),
            calls: Vec::new(),
            delivered: Vec::new(),
            counter: 0,
            last_ts: 0,
        };
        state.users.insert(BOT.into(), User { id: BOT.into(), name: "petrel".into(), bot: true });
        state
    }

    /// A number nobody had before.
    pub fn next(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// A message's timestamp: now, and later than all others.
    pub fn ts(&mut self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64;
        self.last_ts = now.max(self.last_ts + 1);
        format!("{}.{:06}", self.last_ts / 1_000_000, self.last_ts % 1_000_000)
    }

    /// The conversation between Petrel and somebody.
    pub fn direct(&mut self, user: &str) -> String {
        let id = format!("D{}", &user[1..]);
        self.channels.entry(id.clone()).or_insert_with(|| Channel {
            id: id.clone(),
            name: String::new(),
            kind: Kind::Direct(user.to_string()),
            members: [user.to_string(), BOT.to_string()].into(),
            archived: false,
            messages: BTreeMap::new(),
        });
        id
    }

    /// Writes a message; its timestamp.
    pub fn post(&mut self, channel: &str, user: &str, only_for: Option<String>, content: Content) -> String {
        let ts = self.ts();
        let message = Message {
            ts: ts.clone(),
            channel: channel.to_string(),
            user: user.to_string(),
            only_for,
            content,
            before: Vec::new(),
            metadata: None,
            thread: None,
            deleted: false,
            at: Instant::now(),
            edited_at: None,
            files: Vec::new(),
        };
        if let Some(channel) = self.channels.get_mut(channel) {
            channel.messages.insert(ts.clone(), message);
        }
        ts
    }

    /// A trigger for what somebody just did.
    pub fn trigger(&mut self, user: &str) -> String {
        let id = format!("{}.{}.{}", self.next(), 1_700_000_000, uuid::Uuid::new_v4().simple());
        self.triggers.insert(id.clone(), Trigger { at: Instant::now(), user: user.to_string(), used: false });
        id
    }

    /// A place to answer to; its last part.
    pub fn response(&mut self, channel: &str, user: &str, message: Option<&str>) -> String {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let url = ResponseUrl {
            at: Instant::now(),
            uses: 0,
            channel: channel.to_string(),
            user: user.to_string(),
            message: message.map(str::to_string),
        };
        self.responses.insert(id.clone(), url);
        id
    }
}

impl Message {
    /// Replaces what it says and keeps what it said.
    pub(super) fn edit(&mut self, content: Content) {
        let before = std::mem::replace(&mut self.content, content);
        self.before.push(before);
        self.edited_at = Some(Instant::now());
    }
}
