//! Outwards: where a card goes, and how it is found again.
//!
//! The answer to an interaction fills its first answer (`@original`), which may be tried any number of times. Every other
//! message is posted by the bot with a nonce made of the card and the place, for which Discord itself gives the same message again
//! within some minutes. After a try whose answer was lost it is looked for among the channel's newest first. Edits go by the bot's
//! own token, so they work hours later.
//!
//! What is for one person alone follows the interaction up as a message that only they see. After a first answer that all see,
//! Discord would make the first follow-up that answer, for all to see; so the first answer is taken away before. Without a
//! token that is still good it goes by direct message.

use super::{
    Discord,
    answer::{self, First, Handle},
    api::{Failed, Post},
    command, draw,
    hear::DIRECT,
};
use crate::{
    card::Card,
    door::{Door, Undelivered},
    press::Press,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use ledger::{CardSubject, Delivery};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::time::Duration;

/// An interaction's token is good for 15 minutes.
const TOKEN_LASTS: SignedDuration = SignedDuration::from_secs(14 * 60 + 30);
/// For so long Discord may not have heard of our first answer yet.
const ANSWER_ARRIVES: SignedDuration = SignedDuration::from_secs(5);
/// Between tries of what is not allowed; it doubles.
const FIRST_REST: Duration = Duration::from_secs(60);
/// At most.
const LONGEST_REST: Duration = Duration::from_secs(3_600);
/// `Unknown Message`: somebody has deleted it.
const UNKNOWN_MESSAGE: u64 = 10_008;
/// `Cannot send messages to this user`.
const CLOSED: u64 = 50_007;

impl Door for Discord {
    fn platform(&self) -> &'static str {
        "discord"
    }

    fn deliver<'a>(
        &'a self,
        delivery: &'a Delivery,
        card: &'a Card,
    ) -> BoxFuture<'a, Result<String, Undelivered>> {
        Box::pin(async move {
            let address = |path: &str| self.address(path);
            let message = self.with_picture(draw::message(card, &address), card).await;
            let put = match self.put(delivery, message, Timestamp::now()).await {
                Err(failed) if failed.is_status(400) => {
                    tracing::warn!(card.id = %delivery.card, place = %delivery.place, %failed,
                        "discord does not take the card as it is drawn; saying it in words");
                    self.put(delivery, draw::words(card, &address).into(), Timestamp::now()).await
                }
                put => put,
            };
            put.map_err(|failed| undelivered(&failed, delivery.attempts))
        })
    }
}

impl Discord {
    async fn put(&self, delivery: &Delivery, message: Post, now: Timestamp) -> Result<String, Failed> {
        let room = delivery.place.room().split_once(':');
        let (guild, channel) = room.ok_or(Failed::Lost {
            what: "find a channel",
            why: "its place is not one of Discord's".into(),
        })?;
        let handle = delivery.reply.as_ref().filter(|reply| now.duration_since(reply.at) < TOKEN_LASTS);
        let handle = handle.and_then(|reply| {
            Some((Handle::read(&reply.to)?, now.duration_since(reply.at) < ANSWER_ARRIVES))
        });
        let sending = Sending { delivery, channel, message, handle };
        if delivery.key.as_deref().is_some_and(|key| key.ends_with(":wait")) {
            return self.wait(&sending).await;
        }
        if delivery.only_for.is_some() && guild != DIRECT {
            return self.alone(&sending).await;
        }
        match delivery.message.as_deref() {
            Some(message) => self.again(&sending, message).await,
            None => self.first(&sending).await,
        }
    }

    /// A picture that is kept no longer is left out.
    async fn with_picture(&self, mut body: Value, card: &Card) -> Post {
        let Some(picture) = &card.picture else { return body.into() };
        match self.app.ledger.picture(picture.id).await {
            Ok(Some(kept)) => {
                draw::attach(&mut body, &kept.alt);
                Post { body, png: Some(kept.png) }
            }
            Ok(None) => body.into(),
            Err(error) => {
                tracing::warn!(%error, picture.id = %picture.id, "could not read a picture; the card goes without");
                body.into()
            }
        }
    }

    /// "Still looking": a first answer says so already; elsewhere Discord shows that somebody is typing.
    async fn wait(&self, sending: &Sending<'_>) -> Result<String, Failed> {
        if sending.handle.is_none() {
            self.api.typing(sending.channel).await?;
        }
        Ok("wait".into())
    }

    async fn first(&self, sending: &Sending<'_>) -> Result<String, Failed> {
        match &sending.handle {
            // What filled the first answer was deleted.
            _ if sending.delivery.reposted => self.post(sending).await,
            Some((Handle { first: First::Public, token }, fresh)) => {
                match self.api.edit_original(token, &sending.message).await {
                    Err(failed) if is_gone(&failed, *fresh) => self.post(sending).await,
                    outcome => outcome,
                }
            }
            Some((Handle { first: First::Private, token }, _)) => {
                let posted = self.post(sending).await?;
                let card = answer::hint("Done", "The card in the channel shows it.");
                let message = draw::message(&card, &|path| self.address(path)).into();
                if let Err(error) = self.api.edit_original(token, &message).await {
                    tracing::debug!(%error, "could not say where an answer is");
                }
                Ok(posted)
            }
            _ => self.post(sending).await,
        }
    }

    async fn again(&self, sending: &Sending<'_>, id: &str) -> Result<String, Failed> {
        match (self.api.edit(sending.channel, id, &sending.message).await, &sending.handle) {
            (Ok(_), _) => Ok(id.to_string()),
            // The bot may not be in the channel, and still answer what was asked there.
            (Err(failed), Some((Handle { first: First::Public, token }, _))) if failed.is_status(403) => {
                self.api.edit_original(token, &sending.message).await.map(|_| id.to_string())
            }
            (Err(failed), _) => Err(failed),
        }
    }

    async fn post(&self, sending: &Sending<'_>) -> Result<String, Failed> {
        let delivery = sending.delivery;
        let nonce = nonce(delivery, "");
        let may_be_there = self.tried.may_be_there(delivery);
        if may_be_there && let Some(id) = self.find(sending, &nonce).await {
            return self.api.edit(sending.channel, &id, &sending.message).await;
        }
        self.tried.begin(delivery);
        let posted = self.api.post(sending.channel, &nonce, &sending.message).await;
        if posted.as_ref().is_err_and(Failed::left_nothing) {
            self.tried.left_nothing(delivery);
        }
        match (may_be_there, &delivery.subject) {
            // The nonce may have given the message of the earlier try, as it was drawn then.
            (true, CardSubject::Request(_) | CardSubject::Incident(_)) => {
                self.api.edit(sending.channel, &posted?, &sending.message).await
            }
            _ => posted,
        }
    }

    /// The message of an earlier try whose answer was lost.
    async fn find(&self, sending: &Sending<'_>, nonce: &str) -> Option<String> {
        let recent = match self.api.recent(sending.channel).await {
            Ok(recent) => recent,
            Err(error) => {
                tracing::debug!(%error, "cannot look for an earlier message");
                return None;
            }
        };
        let of_request = |message: &Value| {
            let wanted = match sending.delivery.subject {
                CardSubject::Request(wanted) => wanted.0,
                CardSubject::Incident(wanted) => wanted.0,
                CardSubject::Said(_) => return false,
            };
            let rows = message["components"].as_array().into_iter().flatten();
            let mut buttons = rows.flat_map(|row| row["components"].as_array().into_iter().flatten());
            buttons.any(|button| {
                Press::decode(button["custom_id"].as_str().unwrap_or_default())
                    .is_ok_and(|press| press.request.0 == wanted)
            })
        };
        let of_words = |message: &Value| {
            let embeds = message["embeds"].as_array().map(Vec::as_slice).unwrap_or_default();
            matches!(sending.delivery.subject, CardSubject::Said(_))
                && command::is_same(embeds, &sending.message.body["embeds"])
        };
        let ours = recent.iter().filter(|message| {
            message["author"]["id"].as_str() == Some(self.api.application_id())
                && is_later(message["id"].as_str().unwrap_or_default(), sending.delivery)
                && (message["nonce"] == nonce || of_request(message) || of_words(message))
        });
        for id in ours.filter_map(|message| message["id"].as_str()) {
            // Somebody may have been told the very same words a moment before.
            match self.app.ledger.is_anothers(sending.delivery, id).await {
                Ok(false) => return Some(id.to_string()),
                Ok(true) => {}
                Err(error) => {
                    tracing::debug!(%error, "cannot tell whose an earlier message is");
                    return None;
                }
            }
        }
        None
    }

    /// For one person.
    async fn alone(&self, sending: &Sending<'_>) -> Result<String, Failed> {
        if let Some((handle, fresh)) = &sending.handle {
            match self.follow_up(handle, sending).await {
                Err(failed) if is_gone(&failed, *fresh) => {}
                outcome => return outcome,
            }
        }
        let user = sending
            .delivery
            .only_for
            .as_ref()
            .and_then(|actor| actor.as_str().rsplit(':').next())
            .unwrap_or_default();
        let channel = self.api.direct(user).await?;
        match self.api.post(&channel, &nonce(sending.delivery, "direct"), &sending.message).await {
            Err(failed) if failed.code() == Some(CLOSED) => self.closed(sending, user).await,
            outcome => outcome,
        }
    }

    async fn follow_up(&self, handle: &Handle, sending: &Sending<'_>) -> Result<String, Failed> {
        let Post { body, png } = sending.message.clone();
        let message = Post { body: answer::ephemeral(body), png };
        match handle.first {
            First::Private => self.api.edit_original(&handle.token, &sending.message).await,
            First::Silent => self.api.follow_up(&handle.token, &message).await,
            First::Public => {
                match self.api.delete_original(&handle.token).await {
                    // Taken away by an earlier try.
                    Err(failed) if failed.code() == Some(UNKNOWN_MESSAGE) => {}
                    outcome => outcome?,
                }
                self.api.follow_up(&handle.token, &message).await
            }
        }
    }

    /// Nothing of what is for them alone.
    async fn closed(&self, sending: &Sending<'_>, user: &str) -> Result<String, Failed> {
        let text = format!(
            "<@{user}>, there is an answer for you alone, and you take no direct messages from this server. \
             Ask with `/petrel` here: then only you see it."
        );
        let message = json!({ "content": text, "allowed_mentions": { "parse": [] } }).into();
        self.api.post(sending.channel, &nonce(sending.delivery, "closed"), &message).await
    }
}

/// One card on its way.
struct Sending<'a> {
    delivery: &'a Delivery,
    channel: &'a str,
    message: Post,
    /// The token that may still be used, and whether Discord may still not know of the first answer.
    handle: Option<(Handle, bool)>,
}

fn made_at(delivery: &Delivery) -> Option<Timestamp> {
    let (seconds, nanos) = delivery.card.0.get_timestamp()?.to_unix();
    Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(nanos).ok()?).ok()
}

/// Was this message made after the card? Discord's ids begin with milliseconds since 2015; of other ids nothing is known.
fn is_later(id: &str, delivery: &Delivery) -> bool {
    let at = id
        .parse::<u64>()
        .ok()
        .and_then(|id| Timestamp::from_millisecond(i64::try_from((id >> 22) + 1_420_070_400_000).ok()?).ok());
    match (at, made_at(delivery)) {
        // Clocks differ a little.
        (Some(at), Some(made)) if id.len() >= 15 => at.duration_since(made) > SignedDuration::from_secs(-60),
        _ => true,
    }
}

/// The same for every try of one card in one place; Discord takes 25 characters.
fn nonce(delivery: &Delivery, also: &str) -> String {
    let hash = Sha256::new()
        .chain_update(delivery.card.0)
        .chain_update(&delivery.place.0)
        .chain_update([u8::from(delivery.reposted)])
        .chain_update(also)
        .finalize();
    URL_SAFE_NO_PAD.encode(&hash[..16])
}

/// The token is no good (any more), or its first answer is not there. A fresh one may only not be known yet.
fn is_gone(failed: &Failed, fresh: bool) -> bool {
    failed.is_status(401) || failed.is_status(403) || (failed.is_status(404) && !fresh)
}

fn undelivered(failed: &Failed, attempts: u32) -> Undelivered {
    let rest = FIRST_REST.saturating_mul(1 << attempts.min(6)).min(LONGEST_REST);
    match failed {
        Failed::Limited(wait) => Undelivered::paced(*wait),
        Failed::Token(wait) => Undelivered { after: Some(*wait), ..Undelivered::never(failed) },
        Failed::Refused { status: 401, .. } => {
            Undelivered { after: Some(rest), ..Undelivered::never(failed) }
        }
        Failed::Refused { status: 403, .. } => {
            let advice =
                "give the bot View Channel, Send Messages, Embed Links and Read Message History there";
            Undelivered { after: Some(rest), ..Undelivered::never(format!("{failed}; {advice}")) }
        }
        // Asked too early for an answer that Discord does not know of yet.
        Failed::Refused { status: 404, webhook: true, .. } => {
            Undelivered { after: Some(Duration::from_millis(300)), ..Undelivered::later(failed) }
        }
        Failed::Refused { code: UNKNOWN_MESSAGE, .. } => Undelivered::gone(failed),
        // The channel is gone.
        Failed::Refused { status: 404, .. } => Undelivered::never(failed),
        Failed::Refused { .. } | Failed::Lost { .. } => Undelivered::later(failed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::{CardId, Place};

    fn delivery(place: &str) -> Delivery {
        Delivery {
            card: CardId::new(),
            place: Place(place.into()),
            only_for: None,
            subject: CardSubject::Said(Value::Null),
            key: None,
            reply: None,
            version: 1,
            message: None,
            reposted: false,
            attempts: 0,
            token: 1,
        }
    }

    #[test]
    fn a_nonce_is_one_cards_in_one_place_and_short_enough() {
        let (here, there) = (delivery("discord:1:2"), delivery("discord:1:3"));
        let elsewhere = Delivery { place: there.place.clone(), ..here.clone() };
        assert_eq!(nonce(&here, ""), nonce(&here, ""));
        assert_ne!(nonce(&here, ""), nonce(&elsewhere, ""));
        let again = Delivery { reposted: true, ..here.clone() };
        assert_ne!(nonce(&here, ""), nonce(&again, ""), "another message");
        assert!(nonce(&here, "").len() <= 25);
    }

    #[test]
    fn what_is_not_allowed_is_tried_ever_more_seldom_and_says_what_to_do() {
        let refused = Failed::Refused {
            what: "post a message",
            status: 403,
            code: 50_013,
            webhook: false,
            message: "Missing Permissions".into(),
        };
        let waits: Vec<u64> = [0, 1, 5, 9, 99]
            .map(|attempts| undelivered(&refused, attempts).after.unwrap().as_secs())
            .to_vec();
        assert_eq!(waits, [60, 120, 1_920, 3_600, 3_600]);
        assert!(undelivered(&refused, 0).why.contains("Send Messages"));
        let lost = Failed::Lost { what: "post a message", why: "reset".into() };
        assert_eq!(undelivered(&lost, 0).after, None, "the outbox backs off");
    }

    #[test]
    fn a_message_older_than_the_card_is_not_the_cards() {
        let delivery = delivery("discord:1:2");
        let snowflake = |ms: i64| (u64::try_from(ms - 1_420_070_400_000).unwrap() << 22).to_string();
        let now = made_at(&delivery).unwrap().as_millisecond();
        assert!(is_later(&snowflake(now + 5), &delivery));
        assert!(!is_later(&snowflake(now - 3_600_000), &delivery));
        assert!(is_later("m1", &delivery));
    }
}
