//! In Slack's channel `ops`: by slash command and by mentioning the bot, in turn.

use super::{Door, PATIENCE, Said, fill, is_placeholder, request_in};
use crate::{
    slack::{BOT, Message, Slack, account, channel_id},
    wait,
};
use futures::future::BoxFuture;
use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Instant,
};

/// Slack.
pub struct BySlack {
    slack: Slack,
    channel: String,
    turn: AtomicUsize,
}

impl BySlack {
    /// In `ops`.
    pub fn new(slack: &Slack) -> BySlack {
        BySlack { slack: slack.clone(), channel: channel_id("ops"), turn: AtomicUsize::new(0) }
    }

    /// What `who` sees of Petrel.
    fn seen(&self, who: &str) -> Vec<Message> {
        let seen = self.slack.seen_by(&account(who), &self.channel);
        seen.into_iter().filter(|message| message.user == BOT && !is_placeholder(&text(message))).collect()
    }

    fn known(&self, who: &str) -> BTreeSet<String> {
        self.seen(who).into_iter().map(|message| message.ts).collect()
    }

    /// The live card of a request, the newest there is.
    pub fn card(&self, request: &str) -> Option<Message> {
        let shown = |message: &Message| {
            message.only_for.is_none() && !message.deleted && request_of(message).as_deref() == Some(request)
        };
        self.slack.messages(&self.channel).into_iter().rev().find(shown)
    }

    /// The same, as soon as it is there.
    pub async fn card_soon(&self, request: &str) -> Message {
        wait::until(&format!("the card of {request} in Slack"), PATIENCE, || async { self.card(request) })
            .await
    }
}

/// The request that a message is about.
pub fn request_of(message: &Message) -> Option<String> {
    message
        .content
        .all_blocks()
        .find_map(|block| request_in(&block.to_string()))
        .or_else(|| request_in(&message.content.text))
}

fn text(message: &Message) -> String {
    message.content.read()
}

impl Door for BySlack {
    fn say<'a>(&'a self, who: &'a str, line: &'a str) -> BoxFuture<'a, Said> {
        Box::pin(async move {
            let (user, known) = (account(who), self.known(who));
            let outcome = match self.turn.fetch_add(1, Relaxed) % 2 {
                0 => self.slack.command(&user, &self.channel, line).await,
                _ => self.slack.mention(&user, &self.channel, line).await,
            };
            assert!(outcome.acknowledged.is_some(), "'{line}' was not acknowledged");
            let message = wait::until(&format!("an answer to '{line}' in Slack"), PATIENCE, || async {
                self.seen(who).into_iter().find(|message| !known.contains(&message.ts))
            })
            .await;
            Said { request: request_of(&message), text: text(&message) }
        })
    }

    fn click<'a>(&'a self, who: &'a str, request: &'a str, button: &'a str) -> BoxFuture<'a, String> {
        Box::pin(async move {
            let (user, known) = (account(who), self.known(who));
            let card = self.card_soon(request).await;
            let at = Instant::now();
            let clicked = self.slack.click(&user, &self.channel, &card.ts, button).await.expect("a button");
            assert!(clicked.outcome.acknowledged.is_some(), "the click on {button} was not acknowledged");
            loop {
                if let Some(modal) = self.slack.modal(&user) {
                    let outcome = self.slack.submit(&user, &modal, fill).await;
                    assert!(outcome.acknowledged.is_some(), "the modal was not acknowledged");
                    if let Some(modal) = self.slack.modal(&user).filter(|modal| !modal.errors.is_empty()) {
                        return modal.errors.into_values().collect();
                    }
                }
                let whisper = self.seen(who).into_iter().find(|message| !known.contains(&message.ts));
                let edited = self.card(request).filter(|now| now.edited_at.is_some_and(|edited| edited > at));
                if let Some(message) = whisper.or(edited) {
                    return text(&message);
                }
                assert!(at.elapsed() < PATIENCE, "nothing came of {who}'s click on {button} in Slack");
                self.slack.changed().await;
            }
        })
    }
}
