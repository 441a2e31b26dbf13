//! The only code that speaks SQL. One file per table family; every write is one short transaction.

mod audit;
mod ceiling;
mod chain;
mod change;
mod checkpoint;
mod copy;
mod drill;
mod error;
mod event;
mod gateway;
mod gauge;
mod inbox;
mod incident;
mod lease;
mod notice;
mod notify;
mod outbox;
mod page;
mod people;
mod picture;
mod prune;
mod queue;
mod request;
mod room;
mod rows;
mod run;
mod schema;
mod seal;
mod snapshot;
mod time;
mod verify;
mod view;

pub use audit::*;
pub use ceiling::*;
pub use checkpoint::*;
pub use drill::*;
pub use error::*;
pub use event::*;
pub use gateway::*;
pub use gauge::*;
pub use inbox::*;
pub use incident::*;
pub use lease::*;
pub use notice::*;
pub use notify::*;
pub use outbox::*;
pub use page::*;
pub use people::*;
pub use picture::*;
pub use prune::*;
pub use request::{Along, Waiting};
pub use room::*;
pub(crate) use schema::schema_hash;
pub use verify::*;
pub use view::*;

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use uuid::Uuid;

/// A connection that has rested for so long is tried before it is used; a younger one is trusted, which saves a round trip
/// for every operation under load.
const RESTED: Duration = Duration::from_secs(5);

/// A handle to the database; cheap to clone.
#[derive(Clone, Debug)]
pub struct Ledger {
    pool: PgPool,
    waker: notify::Waker,
    /// Turns of those who may wait for the lock of a cluster: each holds a connection meanwhile, and there must be some for the others.
    changing: Arc<Semaphore>,
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
    pub async fn connect(to: &Connect) -> Result<Ledger, LedgerError> {
        let wrong = sql("connect to the database");
        let options = PgConnectOptions::from_str(&to.url)
            .map_err(wrong)?
            // Which process holds a lock, for whoever looks into pg_stat_activity; and whether the holder of a lease still lives.
            .application_name(&format!("petrel-{}-{}", std::process::id(), Uuid::new_v4().simple()))
            // A replica whose machine vanished must not hold row locks for the others to wait on.
            .options([("idle_in_transaction_session_timeout", "30s")])
            // What a statement wants is found by keys, whatever they are: planning it anew each time, as Postgres prefers for
            // large statements, costs more than running it. A list has its limit in its text: of any limit the plan believes
            // that it is a tenth of the table, which it reads and sorts.
            .options([("plan_cache_mode", "force_generic_plan")])
            // Plans are kept, and on the first day they are made while tables are small enough to be read as a whole.
            .options([("enable_seqscan", "off")])
            // A plan that has to read a table all the same counts as very dear by that, and would be compiled each time it is used.
            .options([("jit", "off")]);
        let pool = PgPoolOptions::new()
            .max_connections(to.connections)
            .acquire_timeout(Duration::from_secs(10))
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > RESTED {
                        sqlx::Connection::ping(connection).await?;
                    }
                    Ok(true)
                })
            })
            .connect_with(options)
            .await
            .map_err(wrong)?;
        schema::check(&pool).await?;
        let changing = Arc::new(Semaphore::new((to.connections as usize / 4).max(1)));
        Ok(Ledger { waker: notify::Waker::start(pool.clone()), pool, changing })
    }

    /// Brings the schema up to date as its owner, and grants the serving role what it needs and no more: no UPDATE,
    /// DELETE or TRUNCATE on entries and seals. Safe to call from several replicas at once.
    pub async fn migrate(owner_url: &str, serving_role: &str) -> Result<(), LedgerError> {
        schema::migrate(owner_url, serving_role).await
    }

    /// Says goodbye on every connection, also of other handles to the same pool.
    pub async fn close(self) {
        self.pool.close().await;
    }

    /// One round trip; for readiness and `petrel check`. Returns the server's version.
    pub async fn ping(&self) -> Result<String, LedgerError> {
        sqlx::query_scalar("show server_version")
            .fetch_one(&self.pool)
            .await
            .map_err(sql("ping the database"))
    }
}
