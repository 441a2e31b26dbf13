//! A stand-in Discord that speaks the wire: REST (version 10), the gateway and signed HTTP interactions. It was written from
//! Discord's documents, not from Petrel's code. It rejects what Discord rejects, with Discord's codes, keeps its rates, and lets
//! tests do what people do: type, choose, click, fill in a modal; and look at what they would see.

mod check;
mod draw;
mod gateway;
mod limit;
mod person;
mod rest;
mod state;

pub use person::{ENOUGH, account, channel_id};
pub use state::{
    APP, COMPONENTS_V2, Channel, Content, EPHEMERAL, GUILD, LOADING, Message, Modal, TOKEN, User, permission,
};

use crate::{
    fault::Faults,
    server::{Server, websocket},
};
use anyhow::Result;
use axum::{
    Router,
    extract::{Request, State as Shared},
    response::Response,
    routing::{any, get},
};
use serde_json::Value;
use state::State;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, OnceLock},
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// Discord's times and rates. The default is what its documents say; tests may compress them.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// An interaction must be answered first within this.
    pub respond: Duration,
    /// Its token lives so long.
    pub token: Duration,
    /// What hello asks for.
    pub heartbeat: Duration,
    /// How long a session that was left may be resumed.
    pub resume: Duration,
    /// How long a nonce is remembered.
    pub nonce: Duration,
    /// All rates are so many times higher.
    pub faster: f64,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            respond: Duration::from_secs(3),
            token: Duration::from_secs(15 * 60),
            heartbeat: Duration::from_millis(41_250),
            resume: Duration::from_secs(120),
            nonce: Duration::from_secs(120),
            faster: 1.0,
        }
    }
}

impl Rules {
    /// For tests that do not wait for minutes: rates 20 times as high. What Petrel has to do within seconds stays as it is.
    pub fn compressed() -> Rules {
        Rules { faster: 20.0, ..Rules::default() }
    }
}

/// How Petrel gets interactions.
#[derive(Clone, Debug)]
pub enum Mode {
    /// Over the gateway.
    Gateway,
    /// By signed requests.
    Http {
        /// The interactions endpoint.
        url: String,
    },
}

/// One call of the REST API.
#[derive(Clone, Debug)]
pub struct Call {
    /// `POST /channels/1/messages`.
    pub name: String,
    /// The body.
    pub arguments: Value,
    /// Of the answer.
    pub status: u16,
    /// When.
    pub at: Instant,
}

/// What became of an interaction.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its token.
    pub token: String,
    /// After how long it was first answered; None: not in time, and a person sees "the application did not respond".
    pub answered: Option<Duration>,
    /// The type of that answer.
    pub with: Option<u8>,
    /// It never left: nobody was there to hear it, or it got lost on the way. Discord itself would not know.
    pub lost: bool,
}

/// A record of it.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// 2 command, 3 click, 4 autocomplete, 5 modal.
    pub kind: u8,
    /// Its token.
    pub token: String,
    /// After how long it was first answered.
    pub answered: Option<Duration>,
}

pub(crate) struct SharedState {
    state: Mutex<State>,
    rules: Rules,
    mode: Mutex<Mode>,
    faults: Faults,
    changed: Notify,
    server: OnceLock<Server>,
    http: reqwest::Client,
}

/// The platform; cheap to clone.
#[derive(Clone)]
pub struct Discord {
    shared: Arc<SharedState>,
}

impl Discord {
    /// A guild without people and channels, on loopback.
    pub async fn start(rules: Rules) -> Result<Discord> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let discord = Discord {
            shared: Arc::new(SharedState {
                state: Mutex::new(State::new()),
                rules,
                mode: Mutex::new(Mode::Gateway),
                faults: Faults::new(0xd15c),
                changed: Notify::new(),
                server: OnceLock::new(),
                http: reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?,
            }),
        };
        let app = Router::new()
            .route("/api/v10/{*path}", any(rest::call))
            .route("/gateway", get(connect))
            .route("/gateway/", get(connect))
            .route("/gateway/resume", get(connect))
            .route("/gateway/resume/", get(connect))
            .with_state(discord.clone());
        let _ = discord.shared.server.set(Server::start(app).await?);
        Ok(discord)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().expect("the guild")
    }

    fn server(&self) -> &Server {
        self.shared.server.get().expect("started")
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.server().address()
    }

    /// Base address of the REST API: `http://127.0.0.1:1234/api/v10`.
    pub fn url(&self) -> String {
        format!("http://{}/api/v10", self.address())
    }

    /// The application's public key, in hex.
    pub fn public_key(&self) -> String {
        hex::encode(self.lock().key.verifying_key().as_bytes())
    }

    /// What goes wrong.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// How Petrel gets interactions from now on.
    pub fn set_mode(&self, mode: Mode) {
        *self.shared.mode.lock().expect("mode") = mode;
    }

    /// All of Discord is away, or back. Connections drop.
    pub fn away(&self, away: bool) {
        self.server().away(away);
        if away {
            self.drop_connections();
        }
    }

    /// The bot's token stops working, or works again.
    pub fn break_token(&self, broken: bool) {
        self.lock().token_broken = broken;
    }

    /// The privileged intents that the application is granted.
    pub fn grant_intents(&self, intents: u64) {
        self.lock().intents_granted = intents;
    }

    /// Calls answered with 401, 403 or 429: 10,000 in ten minutes get an address banned.
    pub fn invalid_requests(&self) -> u32 {
        self.lock().invalid_requests
    }

    /// Replies to signed interactions that Discord would not take.
    pub fn refused_replies(&self) -> u32 {
        self.lock().refused_replies
    }

    /// Every call so far.
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// Every interaction and what came of it.
    pub fn delivered(&self) -> Vec<Delivered> {
        self.lock().delivered.clone()
    }

    /// Something was called, said or done since the last look.
    pub async fn changed(&self) {
        let _ = tokio::time::timeout(Duration::from_millis(20), self.shared.changed.notified()).await;
    }
}

async fn connect(Shared(discord): Shared<Discord>, request: Request) -> Response {
    websocket(request, move |socket| async move { discord.serve(socket).await })
}
