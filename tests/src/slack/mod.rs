//! A stand-in Slack workspace that speaks the wire: the Web API, Socket Mode, signed HTTP and `response_url`. It was written from
//! Slack's documents, not from Petrel's code. It rejects what Slack rejects, in Slack's words, keeps its rates, and lets tests do
//! what people do: type, click, fill in a modal, delete a message; and look at what they would see.

mod blocks;
mod conversation;
mod deliver;
mod draw;
mod person;
mod socket;
mod state;
mod web;

pub use deliver::{Delivered, Outcome};
pub use draw::{links, pings};
pub use person::{Clicked, account, channel_id};
pub use state::{
    APP, APP_TOKEN, BOT, BOT_TOKEN, Channel, Content, Kind, Message, Modal, SCOPES, SIGNING_SECRET, TEAM,
    User,
};

use crate::{
    bucket::Limit,
    fault::Faults,
    server::{Server, websocket},
};
use anyhow::Result;
use axum::{
    Router,
    extract::{Path, Query, Request},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use serde_json::Value;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock},
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// Slack's times and rates. The default is what its documents say; tests may compress them.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// An event, command or click must be acknowledged within this.
    pub acknowledge: Duration,
    /// How long a trigger opens a modal.
    pub trigger: Duration,
    /// How long a `response_url` works.
    pub response_url: Duration,
    /// How often it works.
    pub response_uses: u32,
    /// Waits before an unacknowledged event is sent again.
    pub retries: [Duration; 3],
    /// From the `disconnect` warning to the end of the socket.
    pub warning: Duration,
    /// Messages at once in one channel; afterwards one a second.
    pub post_burst: f64,
    /// All rates are so many times higher.
    pub faster: f64,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            acknowledge: Duration::from_secs(3),
            trigger: Duration::from_secs(3),
            response_url: Duration::from_secs(30 * 60),
            response_uses: 5,
            retries: [Duration::from_secs(1), Duration::from_secs(60), Duration::from_secs(300)],
            warning: Duration::from_secs(10),
            post_burst: 4.0,
            faster: 1.0,
        }
    }
}

impl Rules {
    /// For tests that do not wait for minutes: retries after 0.3, 3 and 10 s, a second from warning to disconnect, rates 20 times
    /// as high. What Petrel has to do within seconds stays as it is.
    pub fn compressed() -> Rules {
        Rules {
            retries: [Duration::from_millis(300), Duration::from_secs(3), Duration::from_secs(10)],
            warning: Duration::from_secs(1),
            faster: 20.0,
            ..Rules::default()
        }
    }

    fn paced(&self, per_second: f64, burst: f64) -> Limit {
        Limit { burst: burst * self.faster.max(1.0), per_second: per_second * self.faster }
    }
}

/// How Petrel wants to be told.
#[derive(Clone, Debug)]
pub enum Mode {
    /// Through sockets that it opens.
    Socket,
    /// By signed requests to these addresses.
    Http {
        /// Events API.
        events: String,
        /// Slash commands.
        commands: String,
        /// Buttons and modals.
        interactivity: String,
    },
}

/// One call of the Web API.
#[derive(Clone, Debug)]
pub struct Call {
    /// `chat.postMessage`.
    pub name: String,
    /// As it was understood.
    pub arguments: Value,
    /// Slack's word for why not.
    pub error: Option<String>,
    /// When.
    pub at: Instant,
}

pub(crate) struct SharedState {
    state: Mutex<State>,
    rules: Rules,
    mode: Mutex<Mode>,
    faults: Faults,
    sockets: socket::Sockets,
    changed: Notify,
    server: OnceLock<Server>,
    http: reqwest::Client,
}

use state::State;

/// The workspace; cheap to clone.
#[derive(Clone)]
pub struct Slack {
    shared: Arc<SharedState>,
}

impl Slack {
    /// A workspace without people and channels, on loopback.
    pub async fn start(rules: Rules) -> Result<Slack> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let slack = Slack {
            shared: Arc::new(SharedState {
                state: Mutex::new(State::new()),
                rules,
                mode: Mutex::new(Mode::Socket),
                faults: Faults::new(0x51ac),
                sockets: socket::Sockets::default(),
                changed: Notify::new(),
                server: OnceLock::new(),
                http: reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?,
            }),
        };
        let app = Router::new()
            .route("/api/{method}", any(web::call))
            .route("/upload/v1/{id}", post(web::upload))
            .route("/link/", get(link))
            .route("/response/{id}", post(respond))
            .with_state(slack.clone());
        let _ = slack.shared.server.set(Server::start(app).await?);
        Ok(slack)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().expect("the workspace")
    }

    fn server(&self) -> &Server {
        self.shared.server.get().expect("started")
    }

    /// Base address of the Web API: `http://127.0.0.1:1234/api`.
    pub fn url(&self) -> String {
        format!("http://{}/api", self.server().address())
    }

    /// What goes wrong.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// How Petrel is told from now on.
    pub fn set_mode(&self, mode: Mode) {
        *self.shared.mode.lock().expect("mode") = mode;
    }

    /// All of Slack is away, or back. Sockets drop.
    pub fn away(&self, away: bool) {
        self.server().away(away);
        if away {
            self.shared.sockets.drop_all();
        }
    }

    /// The tokens stop working for this reason (`token_expired`, `token_revoked`, `invalid_auth`), or work again.
    pub fn break_auth(&self, error: Option<&str>) {
        self.lock().auth_error = error.map(str::to_string);
    }

    /// The app has this scope no longer.
    pub fn take_scope(&self, scope: &str) {
        self.lock().scopes.remove(scope);
    }

    /// Every call so far.
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// Everything that was sent to Petrel and what came of it.
    pub fn delivered(&self) -> Vec<Delivered> {
        self.lock().delivered.clone()
    }

    /// Sockets that are open.
    pub fn sockets(&self) -> usize {
        self.shared.sockets.count()
    }

    /// Asks Petrel to leave its sockets (`warning`, `refresh_requested`, `link_disabled`) and closes them a little later.
    pub fn disconnect(&self, reason: &str) {
        self.shared.sockets.disconnect(reason, self.shared.rules.warning);
    }

    /// Breaks all sockets off without a word.
    pub fn drop_sockets(&self) {
        self.shared.sockets.drop_all();
    }

    /// Something was called, said or done since the last look.
    pub async fn changed(&self) {
        let _ = tokio::time::timeout(Duration::from_millis(20), self.shared.changed.notified()).await;
    }
}

async fn link(
    axum::extract::State(slack): axum::extract::State<Slack>,
    Query(query): Query<HashMap<String, String>>,
    request: Request,
) -> Response {
    let known = query.get("ticket").is_some_and(|ticket| slack.shared.sockets.redeem(ticket));
    if !known {
        return StatusCode::NOT_FOUND.into_response();
    }
    websocket(request, move |socket| async move { slack.shared.sockets.serve(socket).await })
}

async fn respond(
    axum::extract::State(slack): axum::extract::State<Slack>,
    Path(id): Path<String>,
    body: axum::body::Bytes,
) -> Response {
    slack.respond(&id, &body)
}
