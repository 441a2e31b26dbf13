//! What healing takes, measured on real processes: `./dev bench heal`; the program itself takes the name of one figure.
//!
//! Everything is on one machine: Postgres (durable), the practice cluster, one replica and this load. A raw durable insert into the same
//! Postgres in the same run says what the machine is.

use anyhow::{Context, Result, ensure};
use heal::{
    event::{Context as Told, read},
    language::Catalogue,
    rules::{RuleFile, Rules},
};
use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::{PgPool, postgres::PgListener};
use std::{
    collections::HashMap,
    fmt::Write as _,
    hint::black_box,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};
use tests::{
    figure::{self, Machine, latencies, percentile, row},
    hook::{self, Hook, alert},
    world::World,
};
use tokio::task::JoinSet;

/// Alertmanager sends what belongs together in one message.
const ALERTS_A_MESSAGE: usize = 20;
const MESSAGES: usize = 2_000;
const SENDERS: usize = 8;
/// Caps hold healing back per namespace and hour, so the alerts of the second figure are about many clusters.
const CLUSTERS: usize = 34;
const WORKLOADS: usize = 9;
/// Each cluster is connected to, and each statement planned, by the first alerts, which are not counted.
const WARM_UP: usize = 3 * CLUSTERS;
const RULES: usize = 1_000;
const ROUNDS: usize = 5_001;

#[tokio::main]
async fn main() -> Result<()> {
    let only = std::env::args().nth(1);
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    figure::head();
    if wanted("match") {
        matching();
    }
    if wanted("propose") {
        proposing(100, "<= 30 ms").await?;
        proposing(20, "").await?;
    }
    if wanted("intake") {
        intake().await?;
    }
    Ok(())
}

/// One replica, with an intake of its own limits and these rules.
async fn world(rules: &str, clusters: usize) -> Result<World> {
    let mut config = hook::CONFIG.replace("cluster = \"test\"", "cluster = \"test\"\nper_minute = 1000000");
    let plain = World::for_figures().await?;
    for n in 0..clusters {
        let kubeconfig = plain.cluster.kubeconfig.display();
        write!(config, "\n[[cluster]]\nname = \"c{n}\"\nkubeconfig = \"{kubeconfig}\"\n")?;
    }
    let mut world = plain.with_more_config(config)?;
    std::fs::write(world.folder().join("hook.token"), hook::TOKEN)?;
    std::fs::create_dir(world.folder().join("rules"))?;
    std::fs::write(world.folder().join("rules/bench.heal"), rules)?;
    world.start().await?;
    Ok(world)
}

fn hook(world: &World) -> Result<Hook> {
    Ok(Hook::new(&world.replicas.last().context("a replica")?.base))
}

/// 1,000 rules against one event, by the index.
fn matching() {
    let mut source = String::new();
    for n in 0..RULES {
        let (name, namespace) = (n % 200, n);
        let _ = writeln!(
            source,
            "rule \"{n}\" {{\n on alert \"Alert{name}\" where labels.namespace == \"ns-{namespace}\" and severity >= 3\n then [ notify(\"#ops\") ]\n}}"
        );
    }
    let file = RuleFile { name: "bench.heal".into(), source };
    let Ok(rules) = Rules::load(&[file], &Catalogue::standard()) else { unreachable!("the rules are right") };
    let body = json!({"version": "4", "alerts": [alert(
        json!({"alertname": "Alert7", "namespace": "ns-207", "pod": "checkout-7d9f8b6c5-abcde", "severity": "critical", "app": "checkout"}),
        Timestamp::UNIX_EPOCH, None)]});
    let context = Told { cluster: Some("prod"), received: Timestamp::UNIX_EPOCH };
    let Ok(batch) = read(body.to_string().as_bytes(), context) else { unreachable!("the alert is right") };
    let event = &batch.events[0];
    let mut micros: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let began = Instant::now();
            black_box(rules.concerned(black_box(event)));
            began.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    micros.sort_by(f64::total_cmp);
    row("1,000 rules, one event: median", format!("{:.1} us", percentile(&micros, 0.5)), "<= 50 us");
    row("1,000 rules, one event: p99", format!("{:.1} us", percentile(&micros, 0.99)), "");
}

/// From the alert being sent to its request being in the database, at a steady rate; each is about an incident of its own, and its request waits for a
/// person.
async fn proposing(rate: u64, target: &str) -> Result<()> {
    let mut rules = String::new();
    for n in 0..CLUSTERS {
        writeln!(
            rules,
            "rule \"more in c{n}\" {{\n on alert \"Sick\" where cluster == \"c{n}\"\n then [ scale(workload, replicas: +1, max: 50) ]\n verify within 1m {{ alert resolved }}\n}}"
        )?;
    }
    let world = world(&rules, CLUSTERS).await?;
    for n in 0..WORKLOADS {
        world.cluster.deployment(&format!("w{n}"), 1).await?;
    }
    for n in 0..WORKLOADS {
        world.cluster.ready("Deployment", &format!("w{n}"), 1).await;
    }
    let (hook, namespace) = (hook(&world)?, world.cluster.namespace.clone());
    let pool = PgPool::connect(&world.owner_url).await?;
    // The first of each kind finds everything cold.
    hook.tell(&[alert(json!({"alertname": "Noise", "cluster": "c0"}), Timestamp::now(), None)]).await?;
    let mut sent: HashMap<String, Instant> = HashMap::new();
    let mut tasks = JoinSet::new();
    let mut tick = tokio::time::interval(Duration::from_micros(1_000_000 / rate));
    let machine = Machine::begin();
    let heard = told_of_requests(&pool).await?;
    let (done, seen) = (CLUSTERS * WORKLOADS, tokio::spawn(listen(heard, pool, CLUSTERS * WORKLOADS)));
    for n in 0..done {
        tick.tick().await;
        let (cluster, workload) = (format!("c{}", n % CLUSTERS), format!("w{}", n / CLUSTERS));
        let labels =
            json!({"alertname": "Sick", "cluster": cluster, "namespace": namespace, "deployment": workload});
        if n >= WARM_UP {
            sent.insert(format!("{cluster}: {namespace}/Deployment {workload}"), Instant::now());
        }
        let hook = hook.clone();
        tasks.spawn(async move { hook.tell(&[alert(labels, Timestamp::now(), None)]).await });
    }
    while let Some(told) = tasks.join_next().await {
        ensure!(told??.0.is_success(), "an alert was refused");
    }
    let (seen, machine) = (seen.await??, machine.end());
    let late: Vec<f64> = sent
        .iter()
        .filter_map(|(target, sent)| Some(seen.get(target)?.duration_since(*sent).as_secs_f64() * 1000.0))
        .collect();
    ensure!(seen.len() == done, "{} of {done} alerts led to a request", seen.len());
    latencies(&format!("alert sent to request submitted, {rate} alerts/s"), late, target);
    machine.row();
    Ok(())
}

/// Hears of each request with its commit. (Petrel itself tells of several together, some milliseconds later; and asking the database again and
/// again would take the time that is to be measured.)
async fn told_of_requests(pool: &PgPool) -> Result<PgListener> {
    let trigger = "create function bench_asked() returns trigger language plpgsql as
            $$ begin perform pg_notify('bench', new.id::text); return null; end $$;
        create trigger bench_asked after insert on request for each row execute function bench_asked();";
    sqlx::raw_sql(trigger).execute(pool).await?;
    let mut heard = PgListener::connect_with(pool).await?;
    heard.listen("bench").await?;
    Ok(heard)
}

/// When each target's request was there.
async fn listen(mut heard: PgListener, pool: PgPool, wanted: usize) -> Result<HashMap<String, Instant>> {
    let mut first: HashMap<String, Instant> = HashMap::new();
    let give_up = Instant::now() + Duration::from_secs(60);
    while first.len() < wanted {
        let left = give_up.saturating_duration_since(Instant::now());
        let Ok(note) = tokio::time::timeout(left, heard.recv()).await else { break };
        first.entry(note?.payload().to_string()).or_insert_with(Instant::now);
    }
    let targets: Vec<(String, String)> = sqlx::query_as(
        "select id::text, cluster || ': ' || namespace || '/' || kind || ' ' || name from request",
    )
    .fetch_all(&pool)
    .await?;
    Ok(targets.into_iter().filter_map(|(id, target)| Some((target, *first.get(&id)?))).collect())
}

/// As fast as eight senders can, each waiting for its answer. Folding goes on beside it, as it always does.
async fn intake() -> Result<()> {
    let world = world("", 0).await?;
    let pool = PgPool::connect(&world.owner_url).await?;
    raw(&pool).await?;
    let hook = hook(&world)?;
    let next = std::sync::Arc::new(AtomicUsize::new(0));
    let (began, machine) = (Instant::now(), Machine::begin());
    let mut senders = JoinSet::new();
    for _ in 0..SENDERS {
        let (hook, next) = (hook.clone(), next.clone());
        senders.spawn(async move {
            let mut ms = Vec::new();
            loop {
                let message = next.fetch_add(1, Ordering::Relaxed);
                if message >= MESSAGES {
                    return anyhow::Ok(ms);
                }
                let alerts: Vec<Value> =
                    (0..ALERTS_A_MESSAGE).map(|n| noise(message * ALERTS_A_MESSAGE + n)).collect();
                let sent = Instant::now();
                let (status, answer) = hook.tell(&alerts).await?;
                ms.push(sent.elapsed().as_secs_f64() * 1000.0);
                ensure!(status.is_success() && answer["new"] == ALERTS_A_MESSAGE, "{status}: {answer}");
            }
        });
    }
    let mut all = Vec::new();
    while let Some(ms) = senders.join_next().await {
        all.extend(ms??);
    }
    let (took, machine) = (began.elapsed().as_secs_f64(), machine.end());
    let stored: i64 = sqlx::query_scalar("select count(*) from event").fetch_one(&pool).await?;
    ensure!(stored as usize == MESSAGES * ALERTS_A_MESSAGE, "{stored} events are stored");
    let rate = stored as f64 / took;
    row("durable intake, 8 senders, 20 alerts a message", format!("{rate:.0} alerts/s"), ">= 5000");
    latencies("acknowledgement of a message", all, "<= 50 ms");
    machine.row();
    Ok(())
}

/// One of 10,000 series of 200 workloads.
fn noise(n: usize) -> Value {
    let labels = json!({"alertname": "Noise", "namespace": "shop", "deployment": format!("w{}", n % 200),
        "pod": format!("w{}-{n}", n % 200), "severity": "warning"});
    alert(labels, Timestamp::now(), None)
}

/// What the machine's disk and Postgres give: durable inserts of one row, eight at once.
async fn raw(pool: &PgPool) -> Result<()> {
    sqlx::query("create table raw (id bigint generated always as identity, body text)").execute(pool).await?;
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..SENDERS {
        let pool = pool.clone();
        tasks.spawn(async move {
            for _ in 0..200 {
                sqlx::query("insert into raw (body) values ('x')").execute(&pool).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    let rate = (SENDERS * 200) as f64 / began.elapsed().as_secs_f64();
    row("beside it: durable inserts of one row, 8 at once", format!("{rate:.0} rows/s"), "");
    Ok(())
}
