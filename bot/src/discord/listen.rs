//! What runs as long as the door is open: the gateway, in the one replica that holds its lease, and the command's registration.

use super::{
    Discord,
    api::Failed,
    command, gateway,
    hear::{self, Heard},
    interaction::{self, From, Sent},
    message::{self, Written},
};
use crate::{app::App, inbox};
use jiff::Timestamp;
use ledger::{Arrival, Event, Inbound, Lease, LedgerError};
use serde_json::Value;
use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

/// One replica listens.
const LEASE: &str = "discord.gateway";
/// A listener silent for so long is presumed dead.
const LEASE_LASTS: Duration = Duration::from_secs(6);
/// How often it is taken or renewed.
const RENEW: Duration = Duration::from_secs(2);
/// Without a renewal for so long the connection is closed, before another replica may open one.
const TRUSTED: Duration = Duration::from_secs(5);
/// Discord's three seconds, less the way there.
const WITHIN: Duration = Duration::from_millis(2_600);
/// A message is taken in until this has gone wrong so often.
const TRIES: u32 = 6;

/// Listens to the gateway whenever this replica holds the lease.
pub async fn listen(discord: Arc<Discord>) {
    let app = &discord.app;
    let stop = &app.stop;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(RENEW.mul_f64(rand::random::<f64>() / 4.0)) => {}
        }
        let lease = match app.ledger.take_lease(LEASE, &app.worker, LEASE_LASTS).await {
            Ok(Some(lease)) => lease,
            Ok(None) => {
                wait(&discord, RENEW).await;
                continue;
            }
            Err(error) => {
                tracing::warn!(%error, "could not take the lease of discord's gateway");
                wait(&discord, RENEW).await;
                continue;
            }
        };
        let ears =
            Ears { discord: discord.clone(), bot: RwLock::new(discord.api.application_id().to_string()) };
        let lost = async {
            tokio::select! {
                () = stop.cancelled() => {}
                () = hold(&discord, &lease) => tracing::warn!("lost the lease of discord's gateway; another replica listens"),
            }
        };
        if let Some(words) = gateway::listen(&discord, &ears, lost).await {
            // The lease is kept, so that no other replica runs into the same wall.
            tracing::error!("{words}");
            tokio::select! {
                () = stop.cancelled() => {}
                () = hold(&discord, &lease) => {}
            }
        }
        if let Err(error) = app.ledger.give_lease(&lease).await {
            tracing::debug!(%error, "could not give the lease of discord's gateway back");
        }
    }
}

async fn wait(discord: &Discord, time: Duration) {
    tokio::select! {
        () = discord.app.stop.cancelled() => {}
        () = tokio::time::sleep(time) => {}
    }
}

/// Renews the lease; ends when it is lost, or may be.
async fn hold(discord: &Discord, lease: &Lease) {
    let mut held = Instant::now();
    loop {
        tokio::time::sleep(RENEW).await;
        let asked = Instant::now();
        let renewal = discord.app.ledger.take_lease(&lease.name, &lease.holder, LEASE_LASTS);
        match tokio::time::timeout(RENEW, renewal).await {
            Ok(Ok(Some(renewed))) if renewed.epoch == lease.epoch => held = asked,
            Ok(Ok(_)) => return,
            Ok(Err(error)) => tracing::warn!(%error, "could not renew the lease of discord's gateway"),
            Err(_) => tracing::warn!("could not renew the lease of discord's gateway in time"),
        }
        if held.elapsed() > TRUSTED - RENEW {
            return;
        }
    }
}

/// Registers `/petrel` where it has changed; tries until it is done.
pub async fn register(discord: Arc<Discord>) {
    let guilds = discord.app.config.discord.as_ref().map(|config| config.guilds.clone()).unwrap_or_default();
    let mut pause = Duration::from_secs(5);
    loop {
        match command::register(&discord.api, &guilds).await {
            Ok(changed) => return tracing::info!(changed, "/petrel is registered at discord"),
            Err(error) => {
                tracing::warn!(%error, again_in_s = pause.as_secs(), "could not register /petrel at discord")
            }
        }
        wait(&discord, pause).await;
        if discord.app.stop.is_cancelled() {
            return;
        }
        pause = (pause * 2).min(Duration::from_secs(3_600));
    }
}

struct Ears {
    discord: Arc<Discord>,
    bot: RwLock<String>,
}

impl gateway::Listener for Ears {
    fn ready(&self, bot: &str) {
        if !bot.is_empty() {
            *self.bot.write().unwrap_or_else(PoisonError::into_inner) = bot.to_string();
        }
    }

    fn dispatch(&self, kind: &str, data: Value) {
        match kind {
            "INTERACTION_CREATE" => {
                let discord = self.discord.clone();
                tokio::spawn(async move { used(&discord, data).await });
            }
            "MESSAGE_CREATE" => {
                let bot = self.bot.read().unwrap_or_else(PoisonError::into_inner).clone();
                if let Some(written) = message::read(data, &bot) {
                    let discord = self.discord.clone();
                    tokio::spawn(async move { said(&discord, written).await });
                }
            }
            _ => {}
        }
    }
}

async fn used(discord: &Discord, data: Value) {
    let interaction = match interaction::read_value(data) {
        Ok(Sent::Used(interaction)) => *interaction,
        Ok(Sent::Ping) => return,
        Err(error) => return tracing::warn!(%error, "discord sent something that is not understood"),
    };
    let (id, token) = (interaction.id.clone(), interaction.token.clone());
    let heard =
        match tokio::time::timeout(WITHIN, hear::hear(&discord.app, interaction, Timestamp::now())).await {
            Ok(Ok(heard)) => heard,
            // Not acknowledged: Discord tells the person that it failed.
            Ok(Err(error)) => {
                return tracing::warn!(%error, interaction.id = id, "could not take in an interaction");
            }
            Err(_) => return tracing::warn!(interaction.id = id, "could not take in an interaction in time"),
        };
    let Heard { response, then, told, is_repeated } = heard;
    // Whoever heard it first answers it.
    if !is_repeated && let Err(error) = respond(discord, &id, &token, &response).await {
        // What is durable is done all the same; its answer finds another way.
        tracing::warn!(%error, interaction.id = id, "could not give the first answer");
        if let Some((inbound, card)) = told
            && let Err(error) = hear::say(&discord.app, &inbound, &card).await
        {
            tracing::warn!(%error, inbox.id = %inbound.id, "could not keep a private answer");
        }
    }
    if let Some(inbound) = then {
        inbox::spawn(&discord.app, inbound);
    }
}

async fn take_in(app: &App, id: &str, from: &From, text: &str) -> Result<Option<Inbound>, LedgerError> {
    let arrival = Arrival {
        key: format!("discord:{id}"),
        actor: hear::actor(app, from).await?,
        place: hear::place(from),
        event: Event::Line { text: text.into() },
        reply_to: None,
    };
    app.ledger.receive(&arrival, &app.worker, inbox::LEASE, Timestamp::now()).await
}

/// Twice, when Discord stumbles; that it was answered already is as good.
async fn respond(discord: &Discord, id: &str, token: &str, response: &Value) -> Result<(), Failed> {
    const ANSWERED: u64 = 40_060;
    let first = discord.api.respond(id, token, response).await;
    let again = match first {
        Err(Failed::Lost { .. }) => discord.api.respond(id, token, response).await,
        Err(Failed::Refused { status: 500.., .. }) => discord.api.respond(id, token, response).await,
        outcome => outcome,
    };
    again.or_else(|failed| if failed.code() == Some(ANSWERED) { Ok(()) } else { Err(failed) })
}

async fn said(discord: &Discord, written: Written) {
    let app = &discord.app;
    let Written { id, from, text } = written;
    let mut pause = Duration::from_millis(200);
    for _ in 0..TRIES {
        match take_in(app, &id, &from, &text).await {
            Ok(Some(inbound)) => return inbox::spawn(app, inbound),
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(%error, message.id = id, "could not take in a message; trying again")
            }
        }
        wait(discord, pause).await;
        pause *= 3;
    }
    tracing::error!(
        message.id = id,
        "a message could not be taken in and is lost; its author sees no answer"
    );
}
