//! The database that the config names: yours, or a private one that this process starts and stops.

use crate::config::{Database, DatabaseSource};
use anyhow::{Context, Result};
use ledger::{
    Connect, Ledger,
    private::{PrivateError, PrivatePostgres},
};
use secrecy::ExposeSecret;
use std::{path::Path, time::Duration};
use tokio_util::sync::CancellationToken;

/// A connected ledger, and the private server behind it if this process started one.
pub struct Open {
    /// The record.
    pub ledger: Ledger,
    private: Option<PrivatePostgres>,
}

impl Open {
    /// Stops a private server that this process started.
    pub async fn close(self) -> Result<()> {
        self.ledger.close().await;
        match self.private {
            Some(private) => private.stop().await.context("stop the private Postgres"),
            None => Ok(()),
        }
    }
}

/// For `petrel serve`: starts a private server if that is configured, and waits for the database as long as it takes.
/// None: stopped while waiting.
pub async fn open(database: &Database, stop: &CancellationToken) -> Result<Option<Open>> {
    let (url, private) = match &database.source {
        DatabaseSource::Url { url, .. } => (url.expose_secret().to_string(), None),
        DatabaseSource::Private(dir) => {
            let private = start_private(dir).await?;
            (private.url(), Some(private))
        }
    };
    let to = Connect { url, connections: database.connections };
    let mut wait = Duration::from_millis(50);
    loop {
        let error = match Ledger::connect(&to).await {
            Ok(ledger) => return Ok(Some(Open { ledger, private })),
            Err(error) if error.is_passing() => error,
            Err(error) => return Err(error.into()),
        };
        tracing::warn!(%error, retry_in_ms = wait.as_millis(), "waiting for the database");
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(wait) => {}
        }
        // Short, because readiness is promised within a second after the database answers.
        wait = (wait * 2).min(Duration::from_millis(500));
    }
}

/// For tools: once, without waiting; beside a `petrel serve` that runs the private server, its server is used.
pub async fn open_once(database: &Database) -> Result<Open> {
    let (url, private) = match &database.source {
        DatabaseSource::Url { url, .. } => (url.expose_secret().to_string(), None),
        DatabaseSource::Private(dir) => match start_private(dir).await {
            Ok(private) => (private.url(), Some(private)),
            Err(error) if matches!(error.downcast_ref(), Some(PrivateError::InUse(_))) => {
                (PrivatePostgres::running(dir).await?.url(), None)
            }
            Err(error) => return Err(error),
        },
    };
    let ledger = Ledger::connect(&Connect { url, connections: database.connections.min(4) }).await?;
    Ok(Open { ledger, private })
}

async fn start_private(dir: &Path) -> Result<PrivatePostgres> {
    std::fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
    Ok(PrivatePostgres::start(dir).await?)
}

/// Brings the schema up to date. The private server does so whenever it starts.
pub async fn migrate(database: &Database) -> Result<()> {
    match &database.source {
        DatabaseSource::Private(_) => open_once(database).await?.close().await,
        DatabaseSource::Url { url, owner_url } => {
            let owner = owner_url.as_ref().context(
                "[database] owner_url is not set; migrations run as the schema's owner, which must not be the role that \
                 serves. PETREL_DATABASE__OWNER_URL works too",
            )?;
            let serving = user(url.expose_secret())
                .context("[database] url names no user; write postgres://user@host/database")?;
            anyhow::ensure!(
                user(owner.expose_secret()).as_ref() != Some(&serving),
                "[database] url and owner_url name the same role {serving}; the role that serves must not own the record"
            );
            Ok(Ledger::migrate(owner.expose_secret(), &serving).await?)
        }
    }
}

/// The role in a database url: before the host, or as a parameter.
fn user(url: &str) -> Option<String> {
    let url = reqwest::Url::parse(url).ok()?;
    let parameter = url.query_pairs().find(|(name, _)| name == "user").map(|(_, value)| value.into_owned());
    let before_host = (!url.username().is_empty()).then(|| url.username().to_string());
    parameter.or(before_host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_role_is_found_where_postgres_finds_it() {
        assert_eq!(user("postgres://petrel:pw@db:5432/petrel"), Some("petrel".into()));
        assert_eq!(user("postgres:///petrel?host=/run/pg&user=petrel"), Some("petrel".into()));
        assert_eq!(user("postgres://db/petrel"), None);
    }
}
