//! The spine's figures, measured on real processes: `./dev bench spine`; the program itself takes the name of one.
//!
//! Everything is on one machine: Postgres (durable), the practice cluster, the replicas and this load. Each figure
//! stands beside its target; the durable round trip of the same Postgres in the same run says what the machine is.

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde_json::Value;
use std::time::{Duration, Instant};
use tests::{
    api::FINAL,
    figure::{self, Machine, latencies, row},
    world::{POLICY, World},
};
use tokio::task::JoinSet;

const RATE: u64 = 50;
const SECONDS: u64 = 20;
/// Connections are opened and statements planned in the first seconds, which are not counted.
const WARM_UP: u64 = 5;
const WORKLOADS: usize = 500;
const QUEUED: usize = 2000;

#[tokio::main]
async fn main() -> Result<()> {
    let only = std::env::args().nth(1);
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    figure::head();
    if wanted("submit") {
        allowed_request_to_first_call(["pause", "resume"], "<= 25 ms").await?;
        allowed_request_to_first_call(["restart"; 2], "").await?;
    }
    if wanted("click") {
        click_to_run().await?;
    }
    if wanted("drain") {
        drain("pause", ">= 200 /s").await?;
        drain("restart", "").await?;
    }
    if wanted("idle") {
        idle().await?;
    }
    Ok(())
}

async fn with_one_replica() -> Result<World> {
    let mut world = World::for_figures().await?;
    world.start().await?;
    Ok(world)
}

async fn workloads(world: &World, count: usize) -> Result<()> {
    let mut tasks = JoinSet::new();
    for n in 0..count {
        let cluster = world.cluster.clone();
        tasks.spawn(async move { cluster.deployment(&format!("app-{n}"), 1).await });
        if tasks.len() >= 16 {
            tasks.join_next().await.context("a task")???;
        }
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

/// 50 requests/s that policy allows at once; from sending the ask to the effect's call in the cluster's audit trail. All workloads in turn,
/// once with the first action, then with the second.
async fn allowed_request_to_first_call(actions: [&str; 2], target: &str) -> Result<()> {
    let mut world = World::for_figures().await?;
    allow_all(&world)?;
    world.start().await?;
    workloads(&world, WORKLOADS).await?;
    let (ann, at) = (world.api("ann"), world.at());
    let mut asks = JoinSet::new();
    let machine = Machine::begin();
    let beside = tokio::spawn(plain_inserts(world.owner_url.clone()));
    let mut tick = tokio::time::interval(Duration::from_micros(1_000_000 / RATE));
    for n in 0..RATE * (WARM_UP + SECONDS) {
        tick.tick().await;
        let action = actions[n as usize / WORKLOADS % actions.len()];
        let (ann, line) = (ann.clone(), format!("{action} deploy/app-{}{at}", n as usize % WORKLOADS));
        asks.spawn(async move {
            let sent = Timestamp::now();
            let asked = ann.ask(&format!("bench-{n}"), &line).await?;
            let id = asked["request"]["id"].as_str().context("an id")?.to_string();
            anyhow::Ok((n, id, sent))
        });
    }
    let mut sent = std::collections::HashMap::new();
    while let Some(asked) = asks.join_next().await {
        let (n, id, at) = asked??;
        if n >= RATE * WARM_UP {
            sent.insert(id, at);
        }
    }
    let (machine, plain) = (machine.end(), beside.await??);
    for id in sent.keys() {
        ann.wait_for(id, &FINAL, Duration::from_secs(60)).await;
    }
    let mut ms = Vec::new();
    for effect in world.cluster.effects() {
        let key = effect
            .body
            .pointer("/metadata/annotations/petrel.dev~1step")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if let Some(at) = key.split('/').next().and_then(|id| sent.get(id)) {
            let acted: Timestamp = effect.at.parse()?;
            ms.push(acted.duration_since(*at).as_secs_f64() * 1000.0);
        }
    }
    anyhow::ensure!(ms.len() == sent.len(), "{} of {} requests took effect", ms.len(), sent.len());
    latencies(&format!("{}, {RATE}/s: ask sent -> effect's API call", actions[0]), ms, target);
    latencies("  beside it: a durable insert of one row, as often", plain, "");
    machine.row();
    Ok(())
}

/// What the machine, its disk and Postgres give at that moment: durable inserts of one row, at the same rate and for as long.
async fn plain_inserts(url: String) -> Result<Vec<f64>> {
    let pool = sqlx::PgPool::connect(&url).await?;
    sqlx::query("create table raw (id bigint generated always as identity, body text)")
        .execute(&pool)
        .await?;
    let mut tick = tokio::time::interval(Duration::from_micros(1_000_000 / RATE));
    let mut ms = Vec::new();
    for n in 0..RATE * (WARM_UP + SECONDS) {
        tick.tick().await;
        let began = Instant::now();
        sqlx::query("insert into raw (body) values ('x')").execute(&pool).await?;
        if n >= RATE * WARM_UP {
            ms.push(began.elapsed().as_secs_f64() * 1000.0);
        }
    }
    Ok(ms)
}

/// From the deciding click to the run's start as the database has it.
async fn click_to_run() -> Result<()> {
    let world = with_one_replica().await?;
    workloads(&world, 20).await?;
    let (ann, bob, at) = (world.api("ann"), world.api("bob"), world.at());
    let (mut ms, machine) = (Vec::new(), Machine::begin());
    for n in 0..400 {
        let line = format!("scale deploy/app-{} {}{at}", n % 20, 1 + (1 + n / 20) % 2);
        let asked = ann.ask(&format!("click-{n}"), &line).await?;
        let id = asked["request"]["id"].as_str().context("an id")?.to_string();
        let clicked = Timestamp::now();
        bob.vote(&id, "approve", None).await?;
        let request = ann.wait_for(&id, &FINAL, Duration::from_secs(30)).await;
        let started: Timestamp =
            request["run"]["started_at"].as_str().with_context(|| format!("a start: {request}"))?.parse()?;
        ms.push(started.duration_since(clicked).as_secs_f64() * 1000.0);
    }
    latencies("click -> run started", ms, "<= 25 ms");
    machine.end().row();
    Ok(())
}

/// What is measured needs no vote.
fn allow_all(world: &World) -> Result<()> {
    let policy = POLICY.replacen("[\"restart\"]", "[\"restart\", \"pause\", \"resume\"]", 1);
    Ok(std::fs::write(world.folder().join("policy.toml"), policy)?)
}

/// Approved requests wait while nobody runs them; then three replicas start. A pause changes one field, and is verified by reading it
/// back; a restart also has the practice cluster, on the same cores, roll out a pod.
async fn drain(action: &str, target: &str) -> Result<()> {
    let mut world = World::for_figures().await?;
    world.write_config(0)?;
    allow_all(&world)?;
    world.start().await?;
    workloads(&world, QUEUED).await?;
    let at = world.at();
    let mut asks = JoinSet::new();
    for n in 0..QUEUED {
        let (ann, line) = (world.api("ann"), format!("{action} deploy/app-{n}{at}"));
        asks.spawn(async move { ann.ask(&format!("drain-{n}"), &line).await });
        if asks.len() >= 16 {
            asks.join_next().await.context("a task")???;
        }
    }
    while let Some(asked) = asks.join_next().await {
        asked??;
    }
    anyhow::ensure!(world.ledger.queue_depth().await?.0 == QUEUED as u64, "all wait");
    world.write_config(16)?;
    for _ in 0..3 {
        world.start().await?;
    }
    let (mut started, mut at_start, machine) = (Instant::now(), 0, Machine::begin());
    loop {
        let (queued, held) = world.ledger.queue_depth().await?;
        let done = QUEUED as u64 - queued - held;
        if done == 0 {
            started = Instant::now();
        } else if at_start == 0 {
            at_start = done;
        }
        if queued + held == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let rate = (QUEUED as u64 - at_start) as f64 / started.elapsed().as_secs_f64();
    row(&format!("{QUEUED} queued: {action}, 3 replicas, all verified"), format!("{rate:.0} runs/s"), target);
    machine.end().row();
    Ok(())
}

/// A replica that nobody asks anything.
async fn idle() -> Result<()> {
    let mut world = World::for_figures().await?;
    let started = Instant::now();
    world.start().await?;
    let ready = started.elapsed();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let pid = world.replicas[0].process.pid().context("a pid")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    let rss: f64 = rss.trim().trim_end_matches(" kB").trim().parse()?;
    row("petrel serve, 2 clusters: start -> ready", format!("{:.2} s", ready.as_secs_f64()), "<= 1 s");
    row("petrel serve, 2 clusters: resident memory, idle", format!("{:.0} MB", rss / 1024.0), "<= 60 MB");
    Ok(())
}
