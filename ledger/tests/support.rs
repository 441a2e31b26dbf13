//! A fresh database for each test, on the one server that all tests share.

use ledger::private::{PrivatePostgres, test_dir};
use ledger::{Connect, Ledger};

/// A fresh migrated database: connected as the serving role, and the owner's url.
pub async fn fresh(name: &str) -> (Ledger, String) {
    let server = PrivatePostgres::join(&test_dir()).await.expect("the tests' Postgres");
    let (url, owner_url) = server.database(name).await.expect("a fresh database");
    let ledger = Ledger::connect(&Connect { url, connections: 20 }).await.expect("connect");
    (ledger, owner_url)
}

/// Many connections by a url of ours, for what the ledger has no words for.
pub async fn owner(url: &str) -> sqlx::PgPool {
    sqlx::postgres::PgPoolOptions::new().max_connections(16).connect(url).await.expect("connect as the owner")
}

/// Looks again and again until there is something, for 20 seconds at most.
pub async fn eventually<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), looking).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}
