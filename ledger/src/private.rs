//! A private, fully durable Postgres for the demo, tests and small installations: the installed binaries, a private unix
//! socket, one data directory that is kept and reused, dropped to another user when we are root.

use std::path::{Path, PathBuf};

/// A running private server. Stops (fast, clean) when `stop` is called; when this process dies the server is stopped by
/// the next start on the same directory.
#[derive(Debug)]
pub struct PrivatePostgres {
    #[allow(dead_code)]
    dir: PathBuf,
}

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
pub enum PrivateError {
    /// The binaries are not installed.
    #[error("no PostgreSQL server is installed; on Debian: apt-get install postgresql")]
    NotInstalled,
    /// Something else, in words, with what to do.
    #[error("{0}")]
    Failed(String),
}

impl PrivatePostgres {
    /// initdb if the directory is empty, start, create roles `petrel_owner` and `petrel` and database `petrel`, migrate.
    pub async fn start(_dir: &Path) -> Result<PrivatePostgres, PrivateError> {
        todo!()
    }

    /// Url for the serving role.
    pub fn url(&self) -> String {
        todo!()
    }

    /// Url for the schema's owner.
    pub fn owner_url(&self) -> String {
        todo!()
    }

    /// Another empty database on the same server, migrated (tests: one each).
    pub async fn database(&self, _name: &str) -> Result<(String, String), PrivateError> {
        todo!()
    }

    /// Fast shutdown, waits for it.
    pub async fn stop(self) -> Result<(), PrivateError> {
        todo!()
    }
}
