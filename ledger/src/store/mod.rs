//! The only code that speaks SQL. One file per table family; every write is one short transaction.

mod audit;
mod error;
mod inbox;
mod lease;
mod notify;
mod outbox;
mod request;
mod room;
mod run;
mod time;

pub use audit::*;
pub use error::*;
pub use inbox::*;
pub use lease::*;
pub use notify::*;
pub use outbox::*;
pub use request::*;
pub use room::*;

use sqlx::PgPool;

/// A handle to the database; cheap to clone.
#[derive(Clone, Debug)]
pub struct Ledger {
    #[allow(dead_code)]
    pool: PgPool,
}

/// How to reach the database.
#[derive(Clone, Debug)]
pub struct Connect {
    /// `postgres://...`; a unix socket as `postgres:///petrel?host=/path&user=petrel`.
    pub url: String,
    /// Connections held at most.
    pub connections: u32,
}

impl Ledger {
    /// Connects, and checks that the schema is the one this build knows (it does not migrate).
    pub async fn connect(_to: &Connect) -> Result<Ledger, LedgerError> {
        todo!()
    }

    /// Brings the schema up to date as its owner, and grants the serving role what it needs and no more: no UPDATE,
    /// DELETE or TRUNCATE on entries and seals. Safe to call from several replicas at once.
    pub async fn migrate(_owner_url: &str, _serving_role: &str) -> Result<(), LedgerError> {
        todo!()
    }

    /// One round trip; for readiness and `petrel check`. Returns the server's version.
    pub async fn ping(&self) -> Result<String, LedgerError> {
        todo!()
    }
}
