//! The record's figures, on one private durable Postgres: `./dev bench ledger`.
//!
//! Appending through the ledger, with the sealer at work, against plain single-row inserts through the same driver with as
//! many clients: rounds of both alternate, medians are compared. Then verification of a million entries.

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use ledger::private::PrivatePostgres;
use ledger::{Connect, EntryFilter, Ledger};
use serde_json::{Value, json};
use sqlx::postgres::{PgPool, PgPoolOptions};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tests::figure::{self, row};
use tokio::task::JoinSet;

const CLIENTS: u32 = 32;
const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_secs(3);
const VERIFIED: u64 = 1_000_000;

#[tokio::main]
async fn main() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let server = PrivatePostgres::start(dir.path()).await?;
    figure::head();
    let done = async {
        append(&server).await?;
        verify(&server).await
    };
    let done = done.await;
    server.stop().await?;
    done
}

async fn connect(url: &str, connections: u32) -> Result<Ledger> {
    Ok(Ledger::connect(&Connect { url: url.into(), connections }).await?)
}

/// As large as what a vote or a step leaves behind.
fn body() -> Value {
    json!({
        "revision": 1, "person": "ann", "groups": ["oncall", "payments"], "verdict": "approve",
        "digest": "5f2c0e9b7a1d4c3e8f6a5b4c3d2e1f0a9b8c7d6e5f4a3b2c1d0e9f8a7b6c5d4e", "reason": "sale starts at nine",
    })
}

async fn append(server: &PrivatePostgres) -> Result<()> {
    let (url, owner_url) = server.database("append").await?;
    let plain =
        PgPoolOptions::new().max_connections(CLIENTS).test_before_acquire(false).connect(&owner_url).await?;
    sqlx::query(
        "create table plain (id bigint generated always as identity primary key, at timestamptz not null,
             kind text not null, actor text not null, body text not null)",
    )
    .execute(&plain)
    .await?;
    let writers = connect(&url, CLIENTS).await?;
    let sealer = connect(&url, 2).await?;
    let sealing = tokio::spawn(async move { sealer.keep_sealed("bench", std::future::pending()).await });

    let (mut plains, mut records, mut delays) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let plain_rate = clients(&plain, insert_plain).await?;
        let watcher = connect(&url, 1).await?;
        let watching = tokio::spawn(async move { watch_delays(&watcher, ROUND).await });
        let record_rate = clients(&writers, record).await?;
        let seen = watching.await??;
        // The first round warms up.
        if round > 0 {
            plains.push(plain_rate);
            records.push(record_rate);
            delays.extend(seen);
        }
    }
    delays.sort();
    let (plain_rate, record_rate) = (median(&mut plains), median(&mut records));
    row("plain durable inserts, 32 clients", format!("{plain_rate:.0} /s"), "");
    row("ledger append, 32 clients, sealer running", format!("{record_rate:.0} /s"), "");
    row("ledger append / plain insert", format!("{:.0} %", 100.0 * record_rate / plain_rate), ">= 60 %");
    let longest = delays.last().context("no seal was seen")?;
    row(
        "commit to sealed, under this load: median",
        format!("{} ms", delays[delays.len() / 2].as_millis()),
        "",
    );
    row(
        &format!("commit to sealed: longest of {}", delays.len()),
        format!("{} ms", longest.as_millis()),
        "<= 250 ms",
    );
    sealing.abort();
    Ok(())
}

/// Writes per second by all clients together.
async fn clients<T, F>(with: &T, write: fn(T) -> F) -> Result<f64>
where
    T: Clone + Send + 'static,
    F: Future<Output = Result<()>> + Send + 'static,
{
    let count = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..CLIENTS {
        let (count, with) = (count.clone(), with.clone());
        tasks.spawn(async move {
            while begun.elapsed() < ROUND {
                write(with.clone()).await?;
                count.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(count.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64())
}

async fn insert_plain(pool: PgPool) -> Result<()> {
    let at = Timestamp::now().as_microsecond() as f64 / 1e6;
    let insert =
        "insert into plain (at, kind, actor, body) values (to_timestamp($1), $2, $3, $4) returning id";
    let _: i64 = sqlx::query_scalar(insert)
        .bind(at)
        .bind("vote.approved")
        .bind("console:ann")
        .bind(body().to_string())
        .fetch_one(&pool)
        .await?;
    Ok(())
}

async fn record(ledger: Ledger) -> Result<()> {
    ledger.record("vote.approved", "console:ann", None, &body(), Timestamp::now()).await?;
    Ok(())
}

/// Writes one entry after the other and looks, from another transaction, when each is in the chain.
async fn watch_delays(ledger: &Ledger, during: Duration) -> Result<Vec<Duration>> {
    let begun = Instant::now();
    let mut delays = Vec::new();
    while begun.elapsed() < during {
        let id = ledger.record("bench.watched", "console:ann", None, &body(), Timestamp::now()).await?;
        let committed = Instant::now();
        let filter = EntryFilter { before: Some(id + 1), limit: 1, ..Default::default() };
        while ledger.entries(&filter).await?.first().is_none_or(|entry| entry.seq.is_none()) {
            ensure!(committed.elapsed() < Duration::from_secs(10), "entry {id} was not sealed in 10 s");
            tokio::time::sleep(Duration::from_millis(4)).await;
        }
        delays.push(committed.elapsed());
    }
    Ok(delays)
}

async fn verify(server: &PrivatePostgres) -> Result<()> {
    let (url, owner_url) = server.database("verify").await?;
    let owner = PgPool::connect(&owner_url).await?;
    sqlx::query(
        "insert into entry (at, kind, actor, request, body)
         select now(), 'vote.approved', 'console:ann', gen_random_uuid(), $1::json from generate_series(1, $2::bigint)",
    )
    .bind(body().to_string())
    .bind(VERIFIED as i64)
    .execute(&owner)
    .await?;
    sqlx::query("vacuum analyze entry").execute(&owner).await?;
    let ledger = connect(&url, 4).await?;
    let lease = ledger
        .take_lease("sealer", "bench", Duration::from_secs(3600))
        .await?
        .context("the sealer's lease")?;
    let begun = Instant::now();
    while ledger.seal(&lease).await? > 0 {}
    row(
        "seal a backlog of 1,000,000",
        format!("{:.0} /s", VERIFIED as f64 / begun.elapsed().as_secs_f64()),
        "",
    );
    let mut rates = Vec::new();
    for _ in 0..3 {
        let begun = Instant::now();
        let found = ledger.verify(&[], None, |_, _| {}).await?;
        rates.push(VERIFIED as f64 / begun.elapsed().as_secs_f64());
        ensure!(
            found.entries == VERIFIED && found.faults_total == 0 && found.unsealed_total == 0,
            "{found:?}"
        );
    }
    row("verify 1,000,000 entries", format!("{:.0} /s", median(&mut rates)), ">= 300000 /s");
    Ok(())
}

fn median(of: &mut [f64]) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}
