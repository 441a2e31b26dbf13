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
