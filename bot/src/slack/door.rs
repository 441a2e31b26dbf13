//! The way out: cards as Slack messages.
//!
//! At least once, with identity: a message carries its card's id as metadata. When a post may have happened and nobody knows, the
//! channel's newest messages are searched for it, and it is edited instead of posted again. What that cannot see: messages in
//! channels whose history the app may not read, more than 300 messages back, and ephemeral ones and answers at a
//! response_url, which Slack shows nobody again. These may come twice after a lost answer.

use super::{
    api::{Api, Posted},
    draw::{self, Message},
    pace::{Method, Pace},
    reply::ReplyWith,
    trouble::Failure,
};
use crate::{
    card::Card,
    door::{Door, Undelivered},
    tried::Tried,
};
use futures::future::BoxFuture;
use jiff::Timestamp;
use ledger::{Actor, Delivery, Ledger, PictureId, Place};
use slack_morphism::SlackFileId;
use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A file that was just uploaded can be shown only after Slack has worked on it: so often the card waits for its picture, some six
/// seconds in all, and then it comes without.
const PICTURE_TRIES: u32 = 5;
/// A post that may have happened may also still be happening.
const UNCLEAR: Duration = Duration::from_secs(1);
/// No call is made for so long after Slack refused the token.
const CLOSED: Duration = Duration::from_secs(30);
/// Clocks differ; messages this much older than the card are looked at too.
const SKEW: u64 = 120;
/// The message id of what Slack lets nobody edit: ephemeral messages, answers at a response_url.
const UNSEEN: &str = "unseen";

/// How a message is said.
#[derive(Clone, Copy)]
enum Way<'a> {
    Post { channel: &'a str },
    Update(&'a Posted),
    Whisper { channel: &'a str, user: &'a str },
    Respond { url: &'a str, to_all: bool },
}

/// Slack, outwards.
pub struct Slack {
    api: Arc<Api>,
    ledger: Ledger,
    address: Box<dyn Fn(&str) -> String + Send + Sync>,
    pace: Mutex<Pace>,
    tried: Tried,
    /// Pictures that are at Slack already.
    files: Mutex<HashMap<PictureId, SlackFileId>>,
}

impl Slack {
    /// Links lead to `address`; pictures come from `ledger`.
    pub fn new(
        api: Arc<Api>,
        ledger: Ledger,
        address: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Slack {
        let (pace, files) = (Mutex::default(), Mutex::default());
        Slack { api, ledger, address: Box::new(address), pace, tried: Tried::default(), files }
    }

    /// The card's picture as a file of Slack's; put there once. None: there is none, or Slack does not take it, and the card says in
    /// words what is to be seen.
    async fn picture(&self, card: &Card) -> Option<SlackFileId> {
        let id = card.picture.as_ref()?.id;
        let known = self.files.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        if known.is_some() {
            return known;
        }
        let kept = self.ledger.picture(id).await;
        let kept = kept.inspect_err(|error| tracing::warn!(%error, "could not read a picture")).ok()??;
        match self.api.upload(&kept.alt, &kept.png).await {
            Ok(file) => {
                self.files.lock().unwrap_or_else(PoisonError::into_inner).insert(id, file.clone());
                Some(file)
            }
            Err(failure) => {
                tracing::warn!("{}", failure.words("could not put a picture into Slack"));
                None
            }
        }
    }

    async fn send(&self, delivery: &Delivery, card: &Card) -> Result<String, Undelivered> {
        let channel = channel(&delivery.place)?;
        let picture = self.picture(card).await;
        let message = draw::message(card, &self.address, picture.as_ref());
        let reply = ReplyWith::of(delivery, Timestamp::now());
        if let Some(actor) = &delivery.only_for {
            return self.whisper(delivery, channel, actor, reply, &message).await;
        }
        match delivery.message.as_deref() {
            None => self.post(delivery, channel, reply, &message).await,
            Some(UNSEEN) => Ok(UNSEEN.into()),
            Some(id) => self.edit(delivery, id, &message).await,
        }
    }

    async fn edit(&self, delivery: &Delivery, id: &str, message: &Message) -> Result<String, Undelivered> {
        match self.update(delivery, &message_id(id)?, message).await? {
            Ok(()) => Ok(id.to_string()),
            Err(failure) if failure.is_beyond_edit() => {
                Err(Undelivered::gone(failure.words("edit the card")))
            }
            Err(failure) => Err(self.undelivered(&failure, "edit the card")),
        }
    }

    /// Posts; where the app is not in the channel, answers at the response_url or writes to the person who asked.
    async fn post(
        &self,
        delivery: &Delivery,
        channel: &str,
        reply: Option<ReplyWith>,
        message: &Message,
    ) -> Result<String, Undelivered> {
        let failure = match self.place(delivery, channel, message).await? {
            Ok(posted) => return Ok(text_of(&posted)),
            Err(failure) => failure,
        };
        let Some(reply) = reply.filter(|_| failure.is_out_of_reach()) else {
            return Err(self.undelivered(&failure, "post the card"));
        };
        // A card that lives on must be edited later, which an answer at a response_url cannot be once its time is over.
        let lives = !matches!(delivery.subject, ledger::CardSubject::Said(_));
        if let Some(url) = reply.url.as_deref().filter(|_| !lives) {
            match self.say(delivery, message, Way::Respond { url, to_all: true }).await {
                Ok(_) => return Ok(UNSEEN.into()),
                Err(failure) => {
                    tracing::debug!(card.id = %delivery.card, ?failure, "could not answer at the response_url")
                }
            }
        }
        let posted = self.write_to(delivery, &reply.user, message).await?;
        if let Some(url) = reply.url.as_deref().filter(|_| lives) {
            let why = "Petrel is not in this channel, so the request's card is in your direct messages with it. To have cards \
                       here, type `/invite @petrel`.";
            if let Err(failure) = self.api.respond(url, &draw::words(why), false).await {
                tracing::debug!(card.id = %delivery.card, ?failure, "could not say where the card is");
            }
        }
        Ok(text_of(&posted))
    }

    /// To one person alone.
    async fn whisper(
        &self,
        delivery: &Delivery,
        channel: &str,
        actor: &Actor,
        reply: Option<ReplyWith>,
        message: &Message,
    ) -> Result<String, Undelivered> {
        let user = match actor.as_str().split(':').collect::<Vec<_>>()[..] {
            ["slack", _, user] => user,
            _ => return Err(Undelivered::later(format!("{actor} is nobody on Slack"))),
        };
        if let Some(url) = reply.and_then(|reply| reply.url) {
            match self.say(delivery, message, Way::Respond { url: &url, to_all: false }).await {
                Ok(_) => return Ok(UNSEEN.into()),
                // It may have arrived; twice is better than never.
                Err(failure) => {
                    tracing::debug!(card.id = %delivery.card, ?failure, "could not answer at the response_url")
                }
            }
        }
        // Between the app and a person everything is for the person alone, and a message that stays is better.
        if channel.starts_with('D') {
            let posted = self.place(delivery, channel, message).await?;
            match posted {
                Ok(posted) => return Ok(text_of(&posted)),
                Err(failure) if failure.is_out_of_reach() => {}
                Err(failure) => return Err(self.undelivered(&failure, "write to the person")),
            }
        } else {
            self.may(Method::Ephemeral, channel, delivery)?;
            match self.say(delivery, message, Way::Whisper { channel, user }).await {
                Ok(_) => return Ok(UNSEEN.into()),
                Err(failure) if failure.is_out_of_reach() => {}
                Err(failure) => {
                    return Err(self.told(Method::Ephemeral, channel, &failure, "answer the person"));
                }
            }
        }
        self.write_to(delivery, user, message).await.map(|posted| text_of(&posted))
    }

    /// In the channel between the app and the person.
    async fn write_to(
        &self,
        delivery: &Delivery,
        user: &str,
        message: &Message,
    ) -> Result<Posted, Undelivered> {
        self.may(Method::Open, "", delivery)?;
        let opened = self.api.direct(user).await;
        let channel = opened.map_err(|failure| {
            self.told(Method::Open, "", &failure, "open a conversation with the person")
        })?;
        let posted = self.place(delivery, &channel, message).await?;
        posted.map_err(|failure| self.undelivered(&failure, "write to the person"))
    }

    /// Puts the message into a channel unless it is there already. The inner error: Slack refused, and nothing happened.
    async fn place(
        &self,
        delivery: &Delivery,
        channel: &str,
        message: &Message,
    ) -> Result<Result<Posted, Failure>, Undelivered> {
        if self.tried.may_be_there(delivery)
            && let Some(posted) = self.find(delivery, channel).await?
        {
            match self.update(delivery, &posted, message).await? {
                // It is too old to be edited, or somebody has just deleted it.
                Err(failure) if failure.is_beyond_edit() => {}
                edited => {
                    tracing::info!(card.id = %delivery.card, place = %delivery.place, "the card was there already");
                    return Ok(edited.map(|()| posted));
                }
            }
        }
        self.may(Method::Post, channel, delivery).inspect_err(|_| self.tried.left_nothing(delivery))?;
        self.tried.begin(delivery);
        match self.say(delivery, message, Way::Post { channel }).await {
            Err(failure @ Failure::Unclear(_)) => {
                let undelivered = self.told(Method::Post, channel, &failure, "post the card");
                Err(Undelivered { after: Some(UNCLEAR), ..undelivered })
            }
            Err(failure @ Failure::Limited(_)) => {
                self.tried.left_nothing(delivery);
                Err(self.told(Method::Post, channel, &failure, "post the card"))
            }
            done => {
                if done.is_err() {
                    self.tried.left_nothing(delivery);
                }
                Ok(done)
            }
        }
    }

    async fn update(
        &self,
        delivery: &Delivery,
        at: &Posted,
        message: &Message,
    ) -> Result<Result<(), Failure>, Undelivered> {
        self.may(Method::Update, &at.channel, delivery)?;
        match self.say(delivery, message, Way::Update(at)).await {
            Ok(_) => Ok(Ok(())),
            // An edit may be made twice.
            Err(failure @ (Failure::Unclear(_) | Failure::Limited(_))) => {
                Err(self.told(Method::Update, &at.channel, &failure, "edit the card"))
            }
            Err(failure) => Ok(Err(failure)),
        }
    }

    /// Says it, ever more plainly as long as Slack refuses how it is drawn: what there is to say is said. Gives where it is.
    async fn say(&self, delivery: &Delivery, message: &Message, way: Way<'_>) -> Result<Posted, Failure> {
        let unseen = || Posted { channel: String::new(), ts: UNSEEN.into() };
        let mut message = Cow::Borrowed(message);
        loop {
            let said = match way {
                Way::Post { channel } => self.api.post(channel, &message, &delivery.card.to_string()).await,
                Way::Update(at) => self.api.update(at, &message).await.map(|()| at.clone()),
                Way::Whisper { channel, user } => {
                    self.api.whisper(channel, user, &message).await.map(|()| unseen())
                }
                Way::Respond { url, to_all } => {
                    self.api.respond(url, &message, to_all).await.map(|()| unseen())
                }
            };
            let failure = match said {
                Err(failure) if failure.is_about_blocks() => failure,
                said => return said,
            };
            let waits = message.has_picture() && delivery.attempts < PICTURE_TRIES;
            match message.plainer() {
                Some(plainer) if !waits => {
                    tracing::warn!(card.id = %delivery.card, place = %delivery.place, code = failure.code(),
                        "Slack does not take the card as it is drawn; saying it more plainly");
                    message = Cow::Owned(plainer);
                }
                _ => return Err(failure),
            }
        }
    }

    /// Our message for this card, where the channel's history can be read.
    async fn find(&self, delivery: &Delivery, channel: &str) -> Result<Option<Posted>, Undelivered> {
        self.may(Method::History, "", delivery)?;
        // A card's id begins with the time it was made (UUIDv7); it cannot be in the channel before.
        let made = delivery.card.0.get_timestamp().map_or(0, |at| at.to_unix().0);
        match self.api.find(channel, &delivery.card.to_string(), made.saturating_sub(SKEW)).await {
            Ok(found) => Ok(found),
            Err(failure @ Failure::Refused { .. }) if !failure.is_about_token() => {
                tracing::warn!(card.id = %delivery.card, place = %delivery.place,
                    "{}", failure.words("cannot look whether the card is there; it may come twice"));
                Ok(None)
            }
            Err(failure) => Err(self.told(Method::History, "", &failure, "look for the card")),
        }
    }

    /// May this call be made now?
    fn may(&self, method: Method, channel: &str, delivery: &Delivery) -> Result<(), Undelivered> {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        pace.may(method, channel, delivery.card.0.as_u128(), Instant::now()).map_err(Undelivered::paced)
    }

    /// Notes what Slack said of its limits, and makes it an answer for the outbox.
    fn told(&self, method: Method, channel: &str, failure: &Failure, what: &str) -> Undelivered {
        if let Failure::Limited(wait) = failure {
            self.pace.lock().unwrap_or_else(PoisonError::into_inner).told(
                method,
                channel,
                *wait,
                Instant::now(),
            );
        }
        self.undelivered(failure, what)
    }

    fn undelivered(&self, failure: &Failure, what: &str) -> Undelivered {
        let why = failure.words(what);
        if failure.is_about_token() {
            self.pace.lock().unwrap_or_else(PoisonError::into_inner).close(CLOSED, Instant::now());
            return Undelivered { after: Some(CLOSED), ..Undelivered::later(why) };
        }
        match failure {
            Failure::Limited(wait) => Undelivered { after: Some(*wait), ..Undelivered::later(why) },
            Failure::Unclear(_) => Undelivered::later(why),
            // Its picture is not ready; see `say`.
            Failure::Refused { .. } if failure.is_about_blocks() => Undelivered::later(why),
            Failure::Refused { .. } => Undelivered::never(why),
        }
    }
}

impl Door for Slack {
    fn platform(&self) -> &'static str {
        "slack"
    }

    fn deliver<'a>(
        &'a self,
        delivery: &'a Delivery,
        card: &'a Card,
    ) -> BoxFuture<'a, Result<String, Undelivered>> {
        Box::pin(self.send(delivery, card))
    }
}

fn channel(place: &Place) -> Result<&str, Undelivered> {
    let channel =
        place.room().split_once(':').map(|(_, channel)| channel).filter(|channel| !channel.is_empty());
    channel.ok_or_else(|| Undelivered::later(format!("{place} is no channel; write slack:workspace:channel")))
}

/// A message's id for the ledger: the channel it is really in, and its id there.
fn text_of(posted: &Posted) -> String {
    format!("{}:{}", posted.channel, posted.ts)
}

fn message_id(text: &str) -> Result<Posted, Undelivered> {
    let (channel, ts) = text
        .split_once(':')
        .ok_or_else(|| Undelivered::later(format!("'{text}' is no message of Slack's")))?;
    Ok(Posted { channel: channel.into(), ts: ts.into() })
}
