//! An interaction, whichever way it came: made durable, answered first, then handled.
//!
//! Discord wants a first answer within three seconds, and shows the choice it makes (for all or for one) for good. So what can
//! be known at once (a stranger, a line that makes no sense, a vote, help) is done at once and told to the person alone; what
//! asks a cluster is acknowledged for all to see, and its answer fills that.

use super::{
    answer::{self, First, Handle},
    choices, command,
    interaction::{From, Interaction, What},
};
use crate::{
    app::App,
    card::Card,
    draw,
    inbox::{self, Handled},
    line,
    press::Press,
};
use jiff::Timestamp;
use ledger::{Actor, Arrival, Event, Inbound, LedgerError, Place};
use serde_json::Value;
use std::time::Duration;

/// What is done at once is waited for so long; then it is only acknowledged. Within Discord's three seconds.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// What to do with an interaction.
#[derive(Debug)]
pub struct Heard {
    /// Send this first.
    pub response: Value,
    /// Then have this handled (`inbox::spawn`).
    pub then: Option<Inbound>,
    /// What the response tells the person alone, in answer to what; should it not reach them, [`say`] it.
    pub told: Option<(Inbound, Card)>,
    /// It was heard before.
    pub is_repeated: bool,
}

impl Heard {
    fn only(response: Value) -> Heard {
        Heard { response, then: None, told: None, is_repeated: false }
    }
}

/// Where direct messages are, in places and actors.
pub const DIRECT: &str = "dm";

/// The channel it came from.
pub fn place(from: &From) -> Place {
    Place(format!("discord:{}:{}", from.guild.as_deref().unwrap_or(DIRECT), from.channel))
}

/// The identity it came from. Discord's accounts are the same in every guild: who writes directly is known by `discord:dm:<id>`,
/// or else as the person that a configured guild's identity belongs to.
pub async fn actor(app: &App, from: &From) -> Result<Actor, LedgerError> {
    let name = |guild: &str| format!("discord:{guild}:{}", from.user).parse::<Actor>();
    let guilds = app.config.discord.iter().flat_map(|config| &config.guilds);
    let candidates = match &from.guild {
        Some(guild) => vec![name(guild)],
        None => std::iter::once(name(DIRECT)).chain(guilds.map(|guild| name(guild))).collect(),
    };
    let candidates: Vec<Actor> = candidates.into_iter().flatten().collect();
    for actor in &candidates {
        if app.gate.who(actor).await?.is_ok() {
            return Ok(actor.clone());
        }
    }
    // Ids are checked when they are read, so there is at least one.
    Ok(candidates.into_iter().next().unwrap_or_else(|| unreachable!("ids make an actor")))
}

/// Takes an interaction in. The error means that it was not made durable: it must not be acknowledged.
pub async fn hear(app: &App, interaction: Interaction, now: Timestamp) -> Result<Heard, LedgerError> {
    let Interaction { id, token, from, what } = interaction;
    let address = |path: &str| app.config.address(path);
    let (place, actor) = (place(&from), actor(app, &from).await?);
    let (event, first, at_once) = match what {
        What::Completion(options) => {
            return Ok(Heard::only(answer::choices(
                choices::choices(app, &actor, &place, &options, now).await,
            )));
        }
        What::Command(options) => {
            let text = command::line(&options);
            let private = line::is_private(app, &actor, &place, &text, now).await?;
            (Event::Line { text }, if private { First::Private } else { First::Public }, private)
        }
        What::Button(Err(error)) | What::Modal { press: Err(error), .. } => {
            let card = answer::hint("This button does nothing any more", &error.to_string());
            return Ok(Heard::only(answer::told(&card, &address)));
        }
        // Opening a modal decides nothing; what is sent in it is the click.
        What::Button(Ok(press)) => match answer::modal(&press) {
            Some(modal) => return Ok(Heard::only(modal)),
            None => (click(press, None, None), First::Silent, true),
        },
        What::Modal { press: Ok(press), reason, typed } => (click(press, reason, typed), First::Silent, true),
    };
    let reply_to = Some(Handle { first, token }.text());
    let arrival = Arrival { key: format!("discord:{id}"), actor, place, event, reply_to };
    Ok(match app.ledger.receive(&arrival, &app.worker, inbox::LEASE, now).await? {
        None => Heard { is_repeated: true, ..Heard::only(again(first, &address)) },
        Some(inbound) if at_once => handle(app, inbound, first).await,
        Some(inbound) => Heard { then: Some(inbound), ..Heard::only(first.response()) },
    })
}

fn click(press: Press, reason: Option<String>, typed: Option<String>) -> Event {
    Event::Click {
        button: press.button,
        request: press.request,
        digest: press.digest.to_string(),
        reason,
        typed,
    }
}

/// It is known: the answer is on its way, or was given.
fn again(first: First, address: &dyn Fn(&str) -> String) -> Value {
    match first {
        First::Public | First::Silent => first.response(),
        First::Private => {
            let card = answer::hint("Received already", "If its answer did not reach you, ask again.");
            answer::told(&card, address)
        }
    }
}

/// Does it now, and gives the first answer; when it takes longer, an acknowledgement, and the answer goes through the outbox.
async fn handle(app: &App, inbound: Inbound, first: First) -> Heard {
    let address = |path: &str| app.config.address(path);
    let mut task = tokio::spawn({
        let (app, inbound) = (app.clone(), inbound.clone());
        async move { inbox::handle(&app, &inbound).await }
    });
    match tokio::time::timeout(PATIENCE, &mut task).await {
        Ok(Ok(Handled::Private(card))) => {
            Heard { told: Some((inbound, card.clone())), ..Heard::only(answer::told(&card, &address)) }
        }
        Ok(Ok(Handled::Shown)) if first == First::Silent => Heard::only(first.response()),
        Ok(Ok(Handled::Shown)) => {
            Heard::only(answer::told(&answer::hint("Done", "The card in the channel shows it."), &address))
        }
        Ok(Err(error)) => {
            tracing::error!(inbox.id = %inbound.id, %error, "handling an event failed; it will be tried again");
            Heard::only(first.response())
        }
        Err(_) => {
            let app = app.clone();
            tokio::spawn(async move {
                if let Ok(Handled::Private(card)) = task.await
                    && let Err(error) = say(&app, &inbound, &card).await
                {
                    tracing::warn!(inbox.id = %inbound.id, %error, "could not keep a private answer");
                }
            });
            Heard::only(first.response())
        }
    }
}

/// Through the outbox, to the person alone.
pub async fn say(app: &App, inbound: &Inbound, card: &Card) -> Result<(), LedgerError> {
    let key = format!("inbox:{}", inbound.id);
    app.ledger.say(&key, &inbound.place, Some(&inbound.actor), &draw::json(card)).await.map(drop)
}
