//! In Discord's channel `ops`: by slash command, or by slash command and by mentioning the bot in turn.

use super::{Door, PATIENCE, Said, fill, is_placeholder, request_in};
use crate::{
    discord::{APP, Discord, Message, account, channel_id},
    wait,
};
use futures::future::BoxFuture;
use serde_json::json;
use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Instant,
};

/// Discord.
pub struct ByDiscord {
    discord: Discord,
    channel: String,
    mentions: bool,
    turn: AtomicUsize,
}

impl ByDiscord {
    /// In `ops`; with `mentions`, every second line mentions the bot.
    pub fn new(discord: &Discord, mentions: bool) -> ByDiscord {
        ByDiscord {
            discord: discord.clone(),
            channel: channel_id("ops"),
            mentions,
            turn: AtomicUsize::new(0),
        }
    }

    /// What `who` sees of Petrel: in the channel, and directly where an answer for them alone has no other place.
    fn seen(&self, who: &str) -> Vec<Message> {
        let user = account(who);
        let direct = self.discord.direct_channel(&user);
        let seen = self
            .discord
            .seen_by(&user, &self.channel)
            .into_iter()
            .chain(self.discord.seen_by(&user, &direct));
        seen.filter(|message| message.author == APP && !is_placeholder(&message.content.read())).collect()
    }

    fn known(&self, who: &str) -> BTreeSet<u64> {
        self.seen(who).into_iter().map(|message| message.id).collect()
    }

    /// The live card of a request, the newest there is.
    pub fn card(&self, request: &str) -> Option<Message> {
        let shown = |message: &Message| {
            message.only_for.is_none() && !message.deleted && request_of(message).as_deref() == Some(request)
        };
        self.discord.messages(&self.channel).into_iter().rev().find(shown)
    }

    /// The same, as soon as it is there.
    pub async fn card_soon(&self, request: &str) -> Message {
        wait::until(&format!("the card of {request} in Discord"), PATIENCE, || async { self.card(request) })
            .await
    }
}

/// The request that a message is about.
pub fn request_of(message: &Message) -> Option<String> {
    let parts = message.content.embeds.iter().chain(&message.content.components);
    parts
        .into_iter()
        .find_map(|part| request_in(&part.to_string()))
        .or_else(|| request_in(&message.content.content))
}

impl Door for ByDiscord {
    fn say<'a>(&'a self, who: &'a str, line: &'a str) -> BoxFuture<'a, Said> {
        Box::pin(async move {
            let (user, known) = (account(who), self.known(who));
            if self.mentions && self.turn.fetch_add(1, Relaxed) % 2 == 1 {
                assert!(self.discord.mention(&user, &self.channel, line).await, "nobody listens");
            } else {
                let options = json!([{"name": "command", "type": 3, "value": line}]);
                let outcome = self.discord.command(&user, &self.channel, "petrel", options).await;
                assert!(outcome.answered.is_some(), "'{line}' was not answered in time");
            }
            let message = wait::until(&format!("an answer to '{line}' in Discord"), PATIENCE, || async {
                self.seen(who).into_iter().find(|message| !known.contains(&message.id))
            })
            .await;
            Said { request: request_of(&message), text: message.content.read() }
        })
    }

    fn click<'a>(&'a self, who: &'a str, request: &'a str, button: &'a str) -> BoxFuture<'a, String> {
        Box::pin(async move {
            let (user, known) = (account(who), self.known(who));
            let card = self.card_soon(request).await;
            let at = Instant::now();
            let outcome = self.discord.click(&user, &self.channel, card.id, button).await.expect("a button");
            assert!(outcome.answered.is_some(), "the click on {button} was not answered in time");
            if let Some(modal) = self.discord.modal(&user) {
                let outcome = self.discord.submit(&modal, fill).await;
                assert!(outcome.answered.is_some(), "the modal was not answered in time");
            }
            loop {
                let whisper = self.seen(who).into_iter().find(|message| !known.contains(&message.id));
                let edited = self.card(request).filter(|now| now.edited_at.is_some_and(|edited| edited > at));
                if let Some(message) = whisper.or(edited) {
                    return message.content.read();
                }
                assert!(at.elapsed() < PATIENCE, "nothing came of {who}'s click on {button} in Discord");
                self.discord.changed().await;
            }
        })
    }
}
