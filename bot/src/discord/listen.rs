//! What runs as long as the door is open: the gateway, in the one replica that holds its lease, and the command's registration.

use super::{
    Discord,
    api::Failed,
    command, gateway,
    hear::{self, Heard},
    interaction::{self, From, Sent},
    message::{self, Written},
    session::Session,
    unheard::Unheard,
};
use crate::{app::App, inbox};
use jiff::Timestamp;
use ledger::{Arrival, Event, GatewaySession, Inbound, Lease, LedgerError};
use serde_json::Value;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// One replica listens.
const LEASE: &str = "discord.gateway";
/// A listener silent for so long is presumed dead, whatever its machine does; one whose process is gone is seen at once.
const LEASE_LASTS: Duration = Duration::from_secs(6);
/// How often it is renewed.
const RENEW: Duration = Duration::from_secs(2);
/// How often those who do not hold it look whether they may: what people do in the meantime must be answered within three seconds.
const PROBE: Duration = Duration::from_millis(500);
/// Without a renewal for so long the connection is closed, before another replica may open one.
const TRUSTED: Duration = Duration::from_secs(5);
/// The session is kept so often at most. What was heard since comes again after a crash, and is handled once.
const KEEP_EVERY: Duration = Duration::from_millis(500);
/// Discord's three seconds, less the way there.
const WITHIN: Duration = Duration::from_millis(2_600);
/// A message is taken in until this has gone wrong so often.
const TRIES: u32 = 6;

/// Listens to the gateway whenever this replica holds the lease, and goes on where the last one was.
pub async fn listen(discord: Arc<Discord>) {
    let app = &discord.app;
    let stop = &app.stop;
    while !stop.is_cancelled() {
        match take_lease(app).await {
            Ok(Some(lease)) => listen_alone(&discord, &lease).await,
            Ok(None) => wait(&discord, PROBE.mul_f64(0.75 + rand::random::<f64>() / 2.0)).await,
            Err(error) => {
                tracing::warn!(%error, "could not take the lease of discord's gateway");
                wait(&discord, RENEW).await;
            }
        }
    }
}

async fn take_lease(app: &App) -> Result<Option<Lease>, LedgerError> {
    match app.ledger.take_lease(LEASE, &app.worker, LEASE_LASTS).await? {
        Some(lease) => Ok(Some(lease)),
        // Should the holder live after all: Discord lets one connection have the session, and what both hear is handled once.
        None => app.ledger.inherit_lease(LEASE, &app.worker, LEASE_LASTS).await,
    }
}

/// Until the lease is lost.
async fn listen_alone(discord: &Arc<Discord>, lease: &Lease) {
    let (app, application) = (&discord.app, discord.api.application_id());
    let left = app.ledger.gateway_session(application).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot go on with the last session at discord's gateway; beginning a new one");
        None
    });
    let ears =
        Ears { discord: discord.clone(), session: watch::Sender::new(None), unheard: Unheard::default() };
    let lost = async {
        tokio::select! {
            () = app.stop.cancelled() => {}
            () = hold(discord, lease) => tracing::warn!("lost the lease of discord's gateway; another replica listens"),
        }
    };
    let words = tokio::select! {
        words = gateway::listen(discord, &ears, left.map(Session::left).unwrap_or_default(), lost) => words,
        never = keep(&ears, lease) => match never {},
    };
    if let Some(words) = words {
        // The lease is kept, so that no other replica runs into the same wall.
        tracing::error!("{words}");
        tokio::select! {
            () = app.stop.cancelled() => {}
            () = hold(discord, lease) => {}
        }
    }
    keep_now(&ears, lease).await;
    if let Err(error) = app.ledger.give_lease(lease).await {
        tracing::debug!(%error, "could not give the lease of discord's gateway back");
    }
}

/// Keeps the session for whoever listens next: at once when there is one, and not too often.
async fn keep(ears: &Ears, lease: &Lease) -> std::convert::Infallible {
    let mut session = ears.session.subscribe();
    loop {
        if session.changed().await.is_ok() && ears.kept().is_some() {
            keep_now(ears, lease).await;
            tokio::time::sleep(KEEP_EVERY).await;
        }
    }
}

async fn keep_now(ears: &Ears, lease: &Lease) {
    let Some(session) = ears.kept() else { return };
    let (ledger, application) = (&ears.discord.app.ledger, ears.discord.api.application_id());
    match ledger.keep_gateway_session(lease, application, &session).await {
        Ok(true) => {}
        Ok(false) => tracing::debug!("the session at discord's gateway is another's by now"),
        Err(error) => tracing::warn!(%error, "could not keep the session at discord's gateway"),
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
    session: watch::Sender<Option<GatewaySession>>,
    unheard: Unheard,
}

impl Ears {
    /// The bot's own account. As long as it is not known: new applications have one with the same id.
    fn bot(&self) -> String {
        let known = self.session.borrow().as_ref().map(|session| session.bot.clone());
        known.filter(|bot| !bot.is_empty()).unwrap_or_else(|| self.discord.api.application_id().to_string())
    }

    /// The session up to what has been taken in.
    fn kept(&self) -> Option<GatewaySession> {
        let session = self.session.borrow().clone()?;
        let seq = session.seq.map(|seq| self.unheard.before(seq));
        Some(GatewaySession { seq, ..session })
    }
}

impl gateway::Listener for Ears {
    fn at(&self, session: &Session) {
        self.session.send_replace(session.kept());
    }

    fn dispatch(&self, kind: &str, data: Value, seq: Option<u64>) {
        match kind {
            "INTERACTION_CREATE" => {
                let (discord, unheard) = (self.discord.clone(), self.unheard.begin(seq));
                tokio::spawn(async move {
                    used(&discord, data).await;
                    drop(unheard);
                });
            }
            "MESSAGE_CREATE" => {
                if let Some(written) = message::read(data, &self.bot()) {
                    let (discord, unheard) = (self.discord.clone(), self.unheard.begin(seq));
                    tokio::spawn(async move {
                        said(&discord, written).await;
                        drop(unheard);
                    });
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
