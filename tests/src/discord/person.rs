//! What people do in the guild, and what they see of it.

use super::{
    Channel, Content, Delivered, Discord, Message, Modal, Mode, Outcome,
    state::{APP, GUILD, Interaction, LOADING, User, permission},
};
use ed25519_dalek::Signer;
use serde_json::{Value, json};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The same id for the same name in every test; older than everything that happens in it.
fn named(kind: u8, name: &str) -> String {
    let number = name.bytes().take(7).fold(0_u64, |number, byte| number * 256 + u64::from(byte));
    format!("{kind}{number:0>17}")
}

/// The account of somebody.
pub fn account(name: &str) -> String {
    named(1, name)
}

/// A channel's id.
pub fn channel_id(name: &str) -> String {
    named(2, name)
}

impl Discord {
    /// Somebody joins the guild; their id.
    pub fn add_person(&self, name: &str) -> String {
        let id = account(name);
        let mut state = self.lock();
        state.users.insert(id.clone(), User { id: id.clone(), name: name.to_string(), open_to_bots: true });
        id
    }

    /// A channel; its id. `permissions` are what the bot has there.
    pub fn add_channel(&self, name: &str, permissions: u64) -> String {
        let id = channel_id(name);
        let mut state = self.lock();
        let channel = Channel {
            id: id.clone(),
            name: name.to_string(),
            recipient: None,
            permissions,
            messages: Default::default(),
        };
        state.channels.insert(id.clone(), channel);
        id
    }

    /// What the bot may do in a channel from now on.
    pub fn permit(&self, channel: &str, permissions: u64) {
        if let Some(channel) = self.lock().channels.get_mut(channel) {
            channel.permissions = permissions;
        }
    }

    /// Somebody takes direct messages from bots, or no longer.
    pub fn open_to_bots(&self, user: &str, open: bool) {
        if let Some(user) = self.lock().users.get_mut(user) {
            user.open_to_bots = open;
        }
    }

    /// A moderator deletes a message.
    pub fn delete(&self, channel: &str, id: u64) {
        let mut state = self.lock();
        if let Some(message) = state.message(channel, id) {
            message.deleted = true;
        }
        let data = json!({"id": id.to_string(), "channel_id": channel, "guild_id": GUILD});
        self.dispatch(&mut state, "MESSAGE_DELETE", &data, false);
    }

    /// All messages of a channel, deleted and ephemeral ones too, oldest first.
    pub fn messages(&self, channel: &str) -> Vec<Message> {
        let state = self.lock();
        state
            .channels
            .get(channel)
            .map(|channel| channel.messages.values().cloned().collect())
            .unwrap_or_default()
    }

    /// What `user` sees of a channel; "thinking..." is no message yet.
    pub fn seen_by(&self, user: &str, channel: &str) -> Vec<Message> {
        let seen = |message: &Message| {
            !message.deleted
                && message.flags & LOADING == 0
                && message.only_for.as_ref().is_none_or(|only_for| only_for == user)
        };
        self.messages(channel).into_iter().filter(seen).collect()
    }

    /// Whether somebody still sees "thinking..." in a channel.
    pub fn is_thinking(&self, channel: &str) -> bool {
        self.messages(channel).iter().any(|message| !message.deleted && message.flags & LOADING != 0)
    }

    /// The direct conversation of `user` and Petrel.
    pub fn direct_channel(&self, user: &str) -> String {
        self.lock().direct(user)
    }

    /// Writes `@petrel text` in a channel. False: nobody is connected to hear it.
    pub async fn mention(&self, user: &str, channel: &str, text: &str) -> bool {
        self.write(user, channel, &format!("<@{APP}> {text}")).await
    }

    /// Writes a direct message.
    pub async fn direct(&self, user: &str, text: &str) -> bool {
        let channel = self.direct_channel(user);
        self.write(user, &channel, text).await
    }

    async fn write(&self, user: &str, channel: &str, text: &str) -> bool {
        let content = Content { content: text.to_string(), ..Content::default() };
        let message = self.lock().post(channel, user, content).clone();
        let fate = self.shared.faults.fate();
        tokio::time::sleep(fate.delay).await;
        if fate.lost {
            return true;
        }
        let mut state = self.lock();
        if fate.twice {
            self.message_event(&mut state, "MESSAGE_CREATE", &message);
        }
        self.message_event(&mut state, "MESSAGE_CREATE", &message)
    }

    /// A slash command with its options, as `data.options` has them.
    pub async fn command(&self, user: &str, channel: &str, name: &str, options: Value) -> Outcome {
        self.interact(2, user, channel, None, self.command_data(name, options)).await
    }

    /// What is offered while somebody types: the option that is typed has `focused`.
    pub async fn complete(&self, user: &str, channel: &str, name: &str, options: Value) -> Vec<Value> {
        let outcome = self.interact(4, user, channel, None, self.command_data(name, options)).await;
        let state = self.lock();
        let choices = state.interactions.get(&outcome.token).and_then(|one| one.choices.clone());
        choices.and_then(|choices| choices.as_array().cloned()).unwrap_or_default()
    }

    fn command_data(&self, name: &str, options: Value) -> Value {
        let state = self.lock();
        let known =
            state.guild_commands.iter().chain(&state.commands).find(|command| command["name"] == name);
        let command = known.unwrap_or_else(|| panic!("no command /{name} is registered"));
        json!({"id": command["id"], "name": name, "type": 1, "options": options})
    }

    /// The commands that are registered.
    pub fn commands(&self) -> Vec<Value> {
        let state = self.lock();
        state.commands.iter().chain(&state.guild_commands).cloned().collect()
    }

    /// Clicks a button by what it says: on the message as it is, or as `user` still has it on the screen.
    pub async fn click(&self, user: &str, channel: &str, id: u64, label: &str) -> anyhow::Result<Outcome> {
        let button = {
            let state = self.lock();
            let message = state.channels[channel].messages.get(&id);
            let message = message.ok_or_else(|| anyhow::anyhow!("no message {id} in {channel}"))?;
            let button = message.seen().find_map(|content| content.button(label));
            button.ok_or_else(|| anyhow::anyhow!("no button '{label}' was ever on {:#?}", message.content))?
        };
        anyhow::ensure!(button.get("url").is_none(), "'{label}' is a link");
        let data = json!({"custom_id": button["custom_id"], "component_type": 2, "id": 2});
        Ok(self.interact(3, user, channel, Some(id), data).await)
    }

    /// The modal on somebody's screen.
    pub fn modal(&self, user: &str) -> Option<Modal> {
        self.lock().modals.iter().rev().find(|modal| modal.user == user && modal.open).cloned()
    }

    /// Fills in a modal, each input by its label, and submits it.
    pub async fn submit(&self, modal: &Modal, fill: impl Fn(&str) -> String) -> Outcome {
        let mut parts = Vec::new();
        for (index, part) in modal.data["components"].as_array().into_iter().flatten().enumerate() {
            let filled = |input: &Value, label: &Value| {
                json!({"type": 4, "id": 2 * index + 2, "custom_id": input["custom_id"],
                    "value": fill(label.as_str().unwrap_or_default())})
            };
            match part["type"].as_u64() {
                Some(1) => {
                    let input = &part["components"][0];
                    parts.push(json!({"type": 1, "id": 2 * index + 1, "components": [filled(input, &input["label"])]}));
                }
                Some(18) => {
                    parts.push(json!({"type": 18, "id": 2 * index + 1, "component": filled(&part["component"], &part["label"])}));
                }
                _ => {}
            }
        }
        let data = json!({"custom_id": modal.data["custom_id"], "components": parts});
        let outcome = self.interact(5, &modal.user, &modal.channel, modal.message, data).await;
        if outcome.answered.is_some() {
            let mut state = self.lock();
            let done =
                |one: &&mut Modal| one.user == modal.user && one.data["custom_id"] == modal.data["custom_id"];
            state.modals.iter_mut().filter(done).for_each(|one| one.open = false);
        }
        outcome
    }

    /// Sends an interaction and waits for its first answer.
    async fn interact(
        &self,
        kind: u8,
        user: &str,
        channel: &str,
        message: Option<u64>,
        data: Value,
    ) -> Outcome {
        let fate = self.shared.faults.fate();
        let mode = self.shared.mode.lock().expect("mode").clone();
        tokio::time::sleep(fate.delay).await;
        let (token, payload) = {
            let mut state = self.lock();
            let id = state.snowflake().to_string();
            let token =
                format!("aW50ZXJhY3Rpb246{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
            let direct = state.channels[channel].recipient.is_some();
            let mut payload = json!({
                "id": id, "application_id": APP, "type": kind, "data": data, "channel_id": channel,
                "channel": state.channel_json(channel), "token": token, "version": 1, "locale": "en-GB",
                "app_permissions": state.channels[channel].permissions.to_string(), "entitlements": [],
                "authorizing_integration_owners": {"0": GUILD}, "context": if direct { 1 } else { 0 },
                "attachment_size_limit": 524_288_000,
            });
            if direct {
                payload["user"] = state.user_json(user);
            } else {
                payload["guild_id"] = json!(GUILD);
                payload["guild"] = json!({"id": GUILD, "locale": "en-US", "features": []});
                payload["guild_locale"] = json!("en-US");
                payload["member"] = state.member_json(user);
            }
            if let Some(message) = message.and_then(|id| state.channels[channel].messages.get(&id)) {
                payload["message"] = state.message_json(message);
            }
            let interaction = Interaction {
                id,
                kind,
                user: user.to_string(),
                channel: channel.to_string(),
                message,
                at: Instant::now(),
                answered: None,
                original: None,
                choices: None,
                after: None,
            };
            state.interactions.insert(token.clone(), interaction);
            (token, payload)
        };
        let mut lost = fate.lost;
        if !fate.lost {
            match mode {
                Mode::Gateway => {
                    let mut state = self.lock();
                    // A session that may be resumed hears of it then.
                    lost = !self.dispatch(&mut state, "INTERACTION_CREATE", &payload, false);
                    if fate.twice {
                        self.dispatch(&mut state, "INTERACTION_CREATE", &payload, false);
                    }
                }
                Mode::Http { url } => {
                    if fate.twice {
                        let (discord, url, payload) = (self.clone(), url.clone(), payload.clone());
                        tokio::spawn(async move { discord.post_interaction(&url, &payload).await });
                    }
                    lost = !self.post_interaction(&url, &payload).await;
                }
            }
        }
        let deadline = Instant::now() + self.shared.rules.respond;
        let answered = loop {
            let found =
                self.lock().interactions.get(&token).and_then(|one| Some((one.answered?, one.after?)));
            if found.is_some() || Instant::now() > deadline {
                break found;
            }
            self.changed().await;
        };
        let after = answered.map(|(_, after)| after);
        self.lock().delivered.push(Delivered { kind, token: token.clone(), answered: after });
        Outcome { token, answered: after, with: answered.map(|(with, _)| with), lost }
    }

    /// As Discord signs it: timestamp and body.
    fn signed(&self, body: &str) -> (String, String) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().to_string();
        let signature = self.lock().key.sign(format!("{now}{body}").as_bytes());
        (now, hex::encode(signature.to_bytes()))
    }

    /// False: nobody was there.
    async fn post_interaction(&self, url: &str, payload: &Value) -> bool {
        let body = payload.to_string();
        let (timestamp, signature) = self.signed(&body);
        let sent = self
            .shared
            .http
            .post(url)
            .timeout(self.shared.rules.respond)
            .header("content-type", "application/json")
            .header("user-agent", "Discord-Interactions/1.0 (+https://discord.com)")
            .header("x-signature-ed25519", signature)
            .header("x-signature-timestamp", timestamp)
            .body(body)
            .send()
            .await;
        let answer = match sent {
            Ok(answer) => answer,
            Err(error) => return !error.is_connect(),
        };
        // 202: it answers through the callback.
        if answer.status().as_u16() != 200 {
            return true;
        }
        if let Ok(said) = answer.json::<Value>().await {
            let (id, token) =
                (payload["id"].as_str().unwrap_or_default(), payload["token"].as_str().unwrap_or_default());
            let refused = self.first_answer(&mut self.lock(), id, token, &said, &[]).is_err();
            if refused {
                self.lock().refused_replies += 1;
            }
            self.shared.changed.notify_waiters();
        }
        true
    }

    /// What Discord does when an address is entered: a ping that is signed, and one that is signed badly. The statuses; and
    /// whether the first was answered with a pong.
    pub async fn verify_url(&self, url: &str) -> (u16, u16, bool) {
        let body = json!({"id": "1", "application_id": APP, "type": 1, "version": 1, "token": "x",
            "user": {"id": "1", "username": "discord", "discriminator": "0", "avatar": null},
            "entitlements": [], "authorizing_integration_owners": {}, "attachment_size_limit": 1})
        .to_string();
        let (timestamp, signature) = self.signed(&body);
        let send = async |signature: String| {
            let call = self.shared.http.post(url).header("content-type", "application/json");
            let call =
                call.header("x-signature-ed25519", signature).header("x-signature-timestamp", &timestamp);
            call.body(body.clone()).send().await
        };
        let Ok(good) = send(signature).await else { return (0, 0, false) };
        let (status, said) = (good.status().as_u16(), good.json::<Value>().await.unwrap_or_default());
        let forged = send("00".repeat(64)).await.map_or(0, |answer| answer.status().as_u16());
        (status, forged, said["type"] == 1)
    }
}

impl Content {
    /// All buttons.
    pub fn buttons(&self) -> Vec<Value> {
        fn walk(component: &Value, found: &mut Vec<Value>) {
            if component["type"] == 2 {
                found.push(component.clone());
            }
            for inner in component["components"].as_array().into_iter().flatten() {
                walk(inner, found);
            }
            if let Some(accessory) = component.get("accessory") {
                walk(accessory, found);
            }
        }
        let mut found = Vec::new();
        self.components.iter().for_each(|component| walk(component, &mut found));
        found
    }

    /// The button that says so.
    pub fn button(&self, label: &str) -> Option<Value> {
        let says = |button: &Value| {
            button["label"].as_str().is_some_and(|text| text.to_lowercase().contains(&label.to_lowercase()))
        };
        self.buttons().into_iter().find(says)
    }
}

/// What the bot has in a channel where all is well.
pub const ENOUGH: u64 = permission::ENOUGH;
