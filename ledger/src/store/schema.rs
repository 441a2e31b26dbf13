//! Bringing the schema up to date, and who may do what with it.

use crate::{LedgerError, store::sql};
use sha2::{Digest as _, Sha256};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor, PgPool};

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// What the serving role may do with each table, and no more. What is never edited cannot be; what may be deleted is what
/// `prune.rs` takes away.
const GRANTS: &[(&str, &str)] = &[
    ("entry", "select, insert"),
    ("seal", "select, insert"),
    ("lease", "select, insert, update"),
    ("gateway_session", "select, insert, update"),
    ("request", "select, insert, update"),
    ("vote", "select, insert"),
    ("run", "select, insert, update"),
    ("step", "select, insert, update"),
    ("card", "select, insert, update, delete"),
    ("delivery", "select, insert, update, delete"),
    ("inbox", "select, insert, update, delete"),
    ("room_message", "select, insert, update, delete"),
    ("notice", "select, insert, update, delete"),
    ("picture", "select, insert, delete"),
    ("link_offer", "select, insert, update"),
    ("identity", "select, insert, update"),
    ("link_attempt", "select, insert, update, delete"),
    ("event", "select, insert, delete"),
    ("event_waiting", "select, insert, delete"),
    ("trouble", "select, insert, update, delete"),
    ("incident", "select, insert, update"),
    ("silence", "select, insert, update"),
    ("storm", "select, insert, update"),
    ("brake", "select, insert, update"),
    ("attempt", "select, insert, update"),
    ("drill", "select, insert"),
];

/// The newest migration that this build knows.
fn needed() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// Names the schema that this build would make.
pub(crate) fn schema_hash() -> String {
    let mut hash = Sha256::new();
    for migration in MIGRATIONS.iter() {
        hash.update(&migration.checksum);
    }
    for (table, rights) in GRANTS {
        hash.update(format!("{table}:{rights};"));
    }
    hex::encode(&hash.finalize()[..8])
}

pub(crate) async fn check(pool: &PgPool) -> Result<(), LedgerError> {
    let wrong = sql("read the schema's version");
    let there: bool = sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null")
        .fetch_one(pool)
        .await
        .map_err(wrong)?;
    let found: i64 = match there {
        true => sqlx::query_scalar("select coalesce(max(version), 0) from _sqlx_migrations where success")
            .fetch_one(pool)
            .await
            .map_err(wrong)?,
        false => 0,
    };
    if found == needed() { Ok(()) } else { Err(LedgerError::Schema { found, needed: needed() }) }
}

pub(crate) async fn migrate(owner_url: &str, serving_role: &str) -> Result<(), LedgerError> {
    let wrong = sql("migrate the database");
    let mut owner = PgConnection::connect(owner_url).await.map_err(wrong)?;
    // One at a time: the lock goes with the connection.
    sqlx::query("select pg_advisory_lock(hashtext('petrel.migrate'))")
        .execute(&mut owner)
        .await
        .map_err(wrong)?;
    MIGRATIONS.run(&mut owner).await.map_err(|error| match error {
        MigrateError::VersionMissing(found) => LedgerError::Schema { found, needed: needed() },
        MigrateError::Execute(source) => wrong(source),
        other => wrong(sqlx::Error::Migrate(Box::new(other))),
    })?;
    let role = format!("\"{}\"", serving_role.replace('"', "\"\""));
    let mut grants =
        format!("begin; grant usage on schema public to {role}; grant select on _sqlx_migrations to {role};");
    for (table, rights) in GRANTS {
        grants += &format!("revoke all on {table} from {role}, public; grant {rights} on {table} to {role};");
    }
    grants += &format!("grant usage on all sequences in schema public to {role}; commit");
    owner.execute(AssertSqlSafe(grants)).await.map_err(wrong)?;
    owner.close().await.map_err(wrong)
}
