//! The private server itself.

use crate::support::{NOW, fresh};
use ledger::private::{PrivateError, PrivatePostgres};
use ledger::{Connect, EntryFilter, Ledger};

async fn ping(server: &PrivatePostgres) -> String {
    let ledger = Ledger::connect(&Connect { url: server.url(), connections: 2 }).await.expect("connect");
    ledger.ping().await.expect("ping")
}

#[tokio::test]
async fn it_starts_stops_and_starts_again_on_the_same_directory() {
    let dir = tempfile::tempdir().unwrap();
    let server = PrivatePostgres::start(dir.path()).await.unwrap();
    ping(&server).await;
    let second = PrivatePostgres::start(dir.path()).await;
    assert!(matches!(second, Err(PrivateError::InUse(_))), "{second:?}");
    server.stop().await.unwrap();

    let server = PrivatePostgres::start(dir.path()).await.unwrap();
    ping(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_left_behind_by_a_killed_owner_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    // Dropped without `stop`, as `kill -9` does it: the lock is free, the server lives.
    drop(PrivatePostgres::start(dir.path()).await.unwrap());
    let server = PrivatePostgres::start(dir.path()).await.unwrap();
    ping(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_stale_pid_file_and_a_long_path_do_not_matter() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("a very long folder name ".repeat(8));
    let server = PrivatePostgres::start(&dir).await.unwrap();
    server.stop().await.unwrap();
    // Found again whether the files are in `dir` or, where strangers cannot pass, elsewhere.
    let data = if dir.join("data").exists() { dir.join("data") } else { dir.join("database/data") };
    std::fs::write(data.join("postmaster.pid"), format!("{}\n", i32::MAX)).unwrap();
    let server = PrivatePostgres::start(&dir).await.unwrap();
    ping(&server).await;
    server.stop().await.unwrap();
    if let Ok(elsewhere) = std::fs::read_link(dir.join("database")) {
        std::fs::remove_dir_all(elsewhere).unwrap();
    }
}

#[tokio::test]
async fn many_processes_may_want_a_fresh_database_at_once() {
    let made =
        futures::future::join_all((0..8).map(|n| fresh(if n % 2 == 0 { "even" } else { "odd" }))).await;
    for (ledger, owner_url) in made {
        ledger.ping().await.unwrap();
        Ledger::migrate(&owner_url, "petrel").await.expect("migrating twice changes nothing");
    }
}

#[tokio::test]
async fn a_server_that_was_killed_itself_recovers_and_has_lost_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let server = PrivatePostgres::start(dir.path()).await.unwrap();
    let to = Connect { url: server.url(), connections: 2 };
    let ledger = Ledger::connect(&to).await.unwrap();
    let entry = ledger.record("test.said", "test", None, &serde_json::json!({}), NOW).await.unwrap();
    let text = std::fs::read_to_string(dir.path().join("data/postmaster.pid")).unwrap();
    let pid = rustix::process::Pid::from_raw(text.lines().next().unwrap().parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    drop((ledger, server));

    let server = PrivatePostgres::start(dir.path()).await.unwrap();
    let ledger = Ledger::connect(&to).await.unwrap();
    let entries = ledger.entries(&EntryFilter { limit: 9, ..EntryFilter::default() }).await.unwrap();
    assert_eq!(entries.iter().map(|entry| entry.id).collect::<Vec<_>>(), [entry]);
    server.stop().await.unwrap();
}
