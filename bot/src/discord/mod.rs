//! The door to Discord. Inwards: the slash command, buttons and modals, by the gateway or by HTTP, and lines that mention the
//! bot or are written to it directly. Outwards: cards as embeds.
//!
//! Promised: nothing is acknowledged before it is durable; every message is posted once, whatever is retried; nobody is pinged;
//! every limit of Discord's is kept before it has to refuse, and a refused token or channel is not hammered.
//!
//! Set-up: docs/DISCORD.md. serenity gives the words (embeds, components, commands, numbers); the connection is ours, see `api`
//! and `gateway` for why.

mod answer;
mod api;
mod check;
mod choices;
mod command;
mod config;
mod deliver;
mod draw;
mod endpoint;
mod escape;
mod gateway;
mod hear;
pub mod interaction;
mod listen;
mod message;
mod pace;
mod session;
pub mod signature;
mod tidy;
mod unheard;

use crate::{app::App, outbox, tried::Tried};
use api::Api;
pub use check::check;
pub use config::Config;
pub(crate) use config::Raw;
pub use endpoint::router;
use interaction::is_id;
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// One application at Discord.
pub struct Discord {
    app: App,
    api: Api,
    tried: Tried,
}

impl Discord {
    /// Absolute address of a path in the console.
    fn address(&self, path: &str) -> String {
        self.app.config.address(path)
    }
}

/// Starts what this door runs beside the HTTP server, if `[discord]` is configured.
pub fn start(app: &App, tasks: &TaskTracker) {
    let Some(config) = &app.config.discord else { return };
    let api = match Api::new(config) {
        Ok(api) => api,
        Err(error) => {
            return tracing::error!(%error, "discord's door stays shut: cannot make HTTPS connections");
        }
    };
    let discord = Arc::new(Discord { app: app.clone(), api, tried: Tried::default() });
    tasks.spawn(outbox::work(app.clone(), discord.clone()));
    tasks.spawn(listen::register(discord.clone()));
    tasks.spawn(listen::listen(discord));
}
