//! What people do in the workspace, and what they see of it.

use super::{
    Channel, Content, Kind, Message, Modal, Outcome, Slack,
    state::{APP, BOT, TEAM, User},
    web,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What came of a click.
#[derive(Clone, Debug)]
pub struct Clicked {
    /// Whether Petrel acknowledged it.
    pub outcome: Outcome,
    /// The modal that it opened so far.
    pub modal: Option<Modal>,
}

/// What Slack makes of what somebody types: entities, links, mail addresses.
fn typed(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let word = |word: &str| {
        let known = [".com/", ".org/", ".net/", ".io/", ".dev/"];
        if word.starts_with("http://") || word.starts_with("https://") {
            format!("<{word}>")
        } else if known.iter().any(|end| word.contains(end)) && !word.contains('=') {
            format!("<http://{word}|{word}>")
        } else if word.contains('@') && word.contains(".com") {
            format!("<mailto:{word}|{word}>")
        } else {
            word.to_string()
        }
    };
    escaped.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// The account of somebody.
pub fn account(name: &str) -> String {
    format!("U0{:0<7}", name.to_uppercase())
}

/// A channel's id.
pub fn channel_id(name: &str) -> String {
    format!("C0{:0<7}", name.replace('-', "").to_uppercase())
}

impl Slack {
    /// Somebody joins the workspace and all its channels; their id.
    pub fn add_person(&self, name: &str) -> String {
        let id = account(name);
        let mut state = self.lock();
        state.users.insert(id.clone(), User { id: id.clone(), name: name.to_string(), bot: false });
        for channel in state.channels.values_mut().filter(|channel| channel.kind == Kind::Public) {
            channel.members.insert(id.clone());
        }
        id
    }

    /// A channel with everybody in it, and Petrel if `invited`; its id.
    pub fn add_channel(&self, name: &str, kind: Kind, invited: bool) -> String {
        let id = channel_id(name);
        let mut state = self.lock();
        let mut members: BTreeSet<_> = state.users.keys().filter(|user| *user != BOT).cloned().collect();
        if invited {
            members.insert(BOT.to_string());
        }
        let channel = Channel {
            id: id.clone(),
            name: name.to_string(),
            kind,
            members,
            archived: false,
            messages: Default::default(),
        };
        state.channels.insert(id.clone(), channel);
        id
    }

    /// An admin archives a channel, or brings it back.
    pub fn archive(&self, channel: &str, archived: bool) {
        if let Some(channel) = self.lock().channels.get_mut(channel) {
            channel.archived = archived;
        }
    }

    /// Somebody deletes a message.
    pub fn delete(&self, channel: &str, ts: &str) {
        if let Some(message) =
            self.lock().channels.get_mut(channel).and_then(|channel| channel.messages.get_mut(ts))
        {
            message.deleted = true;
        }
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

    /// What `user` sees of a channel.
    pub fn seen_by(&self, user: &str, channel: &str) -> Vec<Message> {
        let seen = |message: &Message| {
            !message.deleted && message.only_for.as_ref().is_none_or(|only_for| only_for == user)
        };
        self.messages(channel).into_iter().filter(seen).collect()
    }

    /// The direct conversation of `user` and Petrel.
    pub fn direct_channel(&self, user: &str) -> String {
        self.lock().direct(user)
    }

    /// `/petrel text` in a channel.
    pub async fn command(&self, user: &str, channel: &str, text: &str) -> Outcome {
        let (payload, trigger) = {
            let mut state = self.lock();
            let trigger = state.trigger(user);
            let response = state.response(channel, user, None);
            let place = &state.channels[channel];
            let name = if place.name.is_empty() { "directmessage" } else { &place.name };
            let payload = json!({
                "token": "legacy-verification-token", "team_id": TEAM, "team_domain": "petrel-test",
                "channel_id": channel, "channel_name": name, "user_id": user, "user_name": state.users[user].name,
                "command": "/petrel", "text": text.trim(), "api_app_id": APP, "is_enterprise_install": "false",
                "response_url": self.response_url(&response), "trigger_id": trigger,
            });
            (payload, trigger)
        };
        let outcome = self.deliver("slash_commands", &trigger, payload).await;
        if outcome.said.is_object()
            && (outcome.said.get("text").is_some() || outcome.said.get("blocks").is_some())
        {
            let said = self.say(&mut self.lock(), channel, user, None, &outcome.said);
            said.expect("an answer to a command that Slack takes");
        }
        outcome
    }

    fn response_url(&self, id: &str) -> String {
        format!("http://{}/response/{id}", self.server().address())
    }

    /// `@petrel text` in a channel.
    pub async fn mention(&self, user: &str, channel: &str, text: &str) -> Outcome {
        self.write(user, channel, "app_mention", &format!("<@{BOT}> {}", typed(text))).await
    }

    /// A direct message.
    pub async fn direct(&self, user: &str, text: &str) -> Outcome {
        let channel = self.direct_channel(user);
        self.write(user, &channel, "message", &typed(text)).await
    }

    async fn write(&self, user: &str, channel: &str, kind: &str, text: &str) -> Outcome {
        let content = Content { text: text.to_string(), ..Content::default() };
        let ts = self.lock().post(channel, user, None, content);
        let mut event = json!({
            "type": kind, "user": user, "text": text, "ts": ts, "channel": channel, "event_ts": ts, "team": TEAM,
            "client_msg_id": uuid::Uuid::new_v4(),
            "blocks": [{"type": "rich_text", "block_id": "Xy1z", "elements": [{"type": "rich_text_section",
                "elements": [{"type": "text", "text": text}]}]}],
        });
        if kind == "message" {
            event["channel_type"] = json!("im");
        }
        self.event(event).await
    }

    /// Clicks a button by what it says: on the message as it is, or as `user` still has it on the screen.
    pub async fn click(&self, user: &str, channel: &str, ts: &str, label: &str) -> anyhow::Result<Clicked> {
        let (payload, trigger, before) = {
            let mut state = self.lock();
            let message = state.channels[channel].messages.get(ts).cloned();
            let message = message.ok_or_else(|| anyhow::anyhow!("no message {ts} in {channel}"))?;
            let (block, button) = message
                .seen()
                .find_map(|content| content.button(label))
                .ok_or_else(|| anyhow::anyhow!("no button '{label}' was ever on {:#?}", message.content))?;
            anyhow::ensure!(button.get("url").is_none(), "'{label}' is a link");
            let trigger = state.trigger(user);
            let response = state.response(channel, user, Some(ts));
            let name = state.users[user].name.clone();
            let ephemeral = message.only_for.is_some();
            let mut action = json!({
                "type": "button", "action_id": button["action_id"], "block_id": block, "text": button["text"],
                "action_ts": state.ts(),
            });
            for field in ["value", "style"] {
                if let Some(value) = button.get(field) {
                    action[field] = value.clone();
                }
            }
            let mut payload = json!({
                "type": "block_actions", "api_app_id": APP, "token": "legacy-verification-token",
                "user": {"id": user, "username": name, "name": name, "team_id": TEAM},
                "container": {"type": "message", "message_ts": ts, "channel_id": channel, "is_ephemeral": ephemeral},
                "trigger_id": trigger, "team": {"id": TEAM, "domain": "petrel-test"}, "enterprise": null,
                "is_enterprise_install": false,
                "channel": {"id": channel, "name": state.channels[channel].name},
                "state": {"values": {}}, "response_url": self.response_url(&response), "actions": [action],
            });
            if !ephemeral {
                payload["message"] = message.json(true);
            }
            (payload, trigger, state.modals.len())
        };
        let outcome = self.deliver("interactive", &trigger, payload).await;
        let modal = self.lock().modals[before..].iter().find(|modal| modal.user == user).cloned();
        Ok(Clicked { outcome, modal })
    }

    /// The modal on somebody's screen.
    pub fn modal(&self, user: &str) -> Option<Modal> {
        self.lock().modals.iter().rev().find(|modal| modal.user == user && modal.open).cloned()
    }

    /// Fills in a modal, each input by its label, and submits it.
    pub async fn submit(&self, user: &str, modal: &Modal, fill: impl Fn(&str) -> String) -> Outcome {
        let mut values = json!({});
        for block in modal.view["blocks"].as_array().into_iter().flatten() {
            if block["type"] == "input" {
                let label = block["label"]["text"].as_str().unwrap_or_default();
                let (id, action) = (&block["block_id"], &block["element"]["action_id"]);
                let text = fill(label);
                values[id.as_str().unwrap_or_default()][action.as_str().unwrap_or_default()] = json!({
                    "type": block["element"]["type"],
                    "value": if text.is_empty() { Value::Null } else { json!(text) },
                });
            }
        }
        let (payload, trigger) = {
            let mut state = self.lock();
            let trigger = state.trigger(user);
            let name = state.users[user].name.clone();
            let mut view = web::shown(modal);
            view["state"] = json!({"values": values});
            let payload = json!({
                "type": "view_submission", "team": {"id": TEAM, "domain": "petrel-test"},
                "user": {"id": user, "username": name, "name": name, "team_id": TEAM}, "api_app_id": APP,
                "token": "legacy-verification-token", "trigger_id": trigger, "view": view, "response_urls": [],
                "is_enterprise_install": false, "enterprise": null,
            });
            (payload, trigger)
        };
        let outcome = self.deliver("interactive", &trigger, payload).await;
        let mut state = self.lock();
        let shown = state.modals.iter_mut().find(|one| one.id == modal.id).expect("the modal");
        match outcome.said["response_action"].as_str() {
            Some("errors") => {
                shown.errors = serde_json::from_value(outcome.said["errors"].clone()).unwrap_or_default();
            }
            Some("update") => shown.view = outcome.said["view"].clone(),
            _ if outcome.acknowledged.is_some() => shown.open = false,
            _ => {}
        }
        outcome
    }
}

impl Message {
    /// What was ever to be seen, the newest first.
    pub fn seen(&self) -> impl Iterator<Item = &Content> {
        std::iter::once(&self.content).chain(self.before.iter().rev())
    }
}

impl Content {
    /// All blocks, also those in attachments.
    pub fn all_blocks(&self) -> impl Iterator<Item = &Value> {
        let inner = self.attachments.iter().flat_map(|one| one["blocks"].as_array().into_iter().flatten());
        self.blocks.iter().chain(inner)
    }

    /// The buttons, each with its block's id.
    pub fn buttons(&self) -> Vec<(Value, Value)> {
        let mut buttons = Vec::new();
        for block in self.all_blocks() {
            let elements = block["elements"].as_array().into_iter().flatten();
            for element in elements.chain(block.get("accessory")) {
                if element["type"] == "button" {
                    buttons.push((block["block_id"].clone(), element.clone()));
                }
            }
        }
        buttons
    }

    /// The button that says so.
    pub fn button(&self, label: &str) -> Option<(Value, Value)> {
        let says = |button: &Value| {
            button["text"]["text"]
                .as_str()
                .is_some_and(|text| text.to_lowercase().contains(&label.to_lowercase()))
        };
        self.buttons().into_iter().find(|(_, button)| says(button))
    }
}

#[cfg(test)]
mod tests {
    use super::typed;

    #[test]
    fn slack_escapes_what_people_type_and_links_what_looks_like_an_address() {
        assert_eq!(typed("a < b & c"), "a &lt; b &amp; c");
        assert_eq!(typed("see https://a.b/c now"), "see <https://a.b/c> now");
        assert_eq!(typed("gcr.io/shop/app:1"), "<http://gcr.io/shop/app:1|gcr.io/shop/app:1>");
    }
}
