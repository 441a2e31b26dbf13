//! The one server that all tests share, with a fresh database for each.

use super::place::open_lock;
use super::{OWNER, PrivateError, PrivatePostgres, SERVING, file};
use crate::Ledger;
use sqlx::{AssertSqlSafe, Connection, Executor};
use std::io;
use std::path::{Path, PathBuf};

/// Test databases that nobody is connected to are dropped after this.
const TEST_DATABASE_LASTS_S: u64 = 15 * 60;

/// The folder of the one server that all tests share: `PETREL_TEST_POSTGRES`, or one in the system's temp folder.
pub fn test_dir() -> PathBuf {
    std::env::var_os("PETREL_TEST_POSTGRES")
        .map_or_else(|| std::env::temp_dir().join("petrel-test-postgres"), PathBuf::from)
}

impl PrivatePostgres {
    /// Starts, or joins, a server that many processes share (tests). It is never stopped by us, and its own database
    /// `petrel` stays empty: use [`PrivatePostgres::database`].
    pub async fn join(dir: &Path) -> Result<PrivatePostgres, PrivateError> {
        let lock = open_lock(dir)?;
        let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock))
            .await
            .map_err(io::Error::other)
            .flatten()
            .map_err(file("lock", dir))?;
        let server = PrivatePostgres::prepare(dir).await?;
        server.up().await?;
        server.drop_old_test_databases().await?;
        drop(lock);
        Ok(server)
    }

    /// Another fresh database on the same server, migrated (tests: one each): (serving url, owner url). The name is made
    /// unique, so that the same test may run many times.
    pub async fn database(&self, name: &str) -> Result<(String, String), PrivateError> {
        let template = self.template().await?;
        let name: String =
            name.chars().filter(|c| c.is_ascii_alphanumeric()).take(30).collect::<String>().to_lowercase();
        let unique = uuid::Uuid::new_v4().simple().to_string();
        let name = format!("test_{}_{name}_{}", jiff::Timestamp::now().as_second(), &unique[..8]);
        let mut admin = self.admin("postgres").await?;
        admin
            .execute(AssertSqlSafe(format!("create database {name} template {template} owner {OWNER}")))
            .await?;
        admin.close().await?;
        Ok((self.url_of(&name, SERVING), self.url_of(&name, OWNER)))
    }

    /// The migrated database that `database` copies: made once for each set of migrations, whatever the number of
    /// processes that want it.
    async fn template(&self) -> Result<String, PrivateError> {
        let template = format!("petrel_template_{}", crate::schema_hash());
        let known = "SELECT 1 FROM pg_database WHERE datname = $1";
        let mut admin = self.admin("postgres").await?;
        if sqlx::query(known).bind(&template).fetch_optional(&mut admin).await?.is_none() {
            sqlx::query("SELECT pg_advisory_lock(hashtext('petrel_template'))").execute(&mut admin).await?;
            if sqlx::query(known).bind(&template).fetch_optional(&mut admin).await?.is_none() {
                let making = format!("{template}_making");
                admin
                    .execute(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {making} WITH (FORCE)")))
                    .await?;
                admin.execute(AssertSqlSafe(format!("CREATE DATABASE {making} OWNER {OWNER}"))).await?;
                Ledger::migrate(&self.url_of(&making, OWNER), SERVING).await?;
                // Closed to everyone, because a database in use cannot be copied.
                admin
                    .execute(AssertSqlSafe(format!("ALTER DATABASE {making} ALLOW_CONNECTIONS false")))
                    .await?;
                admin.execute(AssertSqlSafe(format!("ALTER DATABASE {making} RENAME TO {template}"))).await?;
            }
        }
        admin.close().await?;
        Ok(template)
    }

    /// Tests do not clean up after themselves, because a killed one could not.
    async fn drop_old_test_databases(&self) -> Result<(), PrivateError> {
        let mut admin = self.admin("postgres").await?;
        let old: Vec<(String,)> = sqlx::query_as(
            "SELECT datname::text FROM pg_database d
             WHERE datname ~ '^test_[0-9]+_'
               AND split_part(datname, '_', 2)::bigint < extract(epoch FROM now()) - $1
               AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.datid = d.oid)
             LIMIT 1",
        )
        .bind(TEST_DATABASE_LASTS_S as i64)
        .fetch_all(&mut admin)
        .await?;
        for (name,) in old {
            admin.execute(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name}"))).await?;
        }
        admin.close().await?;
        Ok(())
    }
}
