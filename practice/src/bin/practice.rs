//! One practice cluster as its own process.

use anyhow::Context;
use clap::Parser;
use practice::{Practice, PracticeConfig};
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs one practice cluster with a sample shop in it, until it is told to stop.
///
/// Faults: POST /practice/faults with {"latency_ms": 50}, {"fail_next": 3, "fail_code": 500}, {"fail_share": 0.1},
/// {"drop_answers": 1}, {"drop_watches": true}, {"expire_watches": true}, {"refuse_for_ms": 2000}. Audit trail: GET /practice/audit.
#[derive(Parser)]
struct Arguments {
    /// Name of the cluster and of its kubeconfig context.
    #[arg(long, default_value = "practice")]
    name: String,
    /// Port on 127.0.0.1; 0: any free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Where to write the kubeconfig once the cluster listens.
    #[arg(long)]
    kubeconfig: PathBuf,
    /// Append every call that asks for a change to this file (JSON lines), before it is answered.
    #[arg(long)]
    audit: Option<PathBuf>,
    /// Time for a pod to become ready: 2s, 150ms, 0s.
    #[arg(long, default_value = "2s", value_parser = duration)]
    speed: Duration,
    /// How many nodes.
    #[arg(long, default_value_t = 3)]
    nodes: u32,
    /// Keep everything in this folder over restarts.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Start without the sample shop.
    #[arg(long)]
    empty: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration =
        text.parse().map_err(|error| format!("{error}; write it as 2s or 150ms"))?;
    span.try_into().map_err(|_| "it cannot be negative".to_owned())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let ask = Arguments::parse();
    let practice = Practice::start(PracticeConfig {
        name: ask.name,
        speed: ask.speed,
        nodes: ask.nodes,
        port: ask.port,
        data: ask.data,
    })
    .await?;
    if let Some(path) = &ask.audit {
        practice.audit_to(path)?;
    }
    if !ask.empty {
        practice.seed_shop();
    }
    // Whole or not at all: who waits for the file may read it at once.
    let fresh = ask.kubeconfig.with_extension("new");
    std::fs::write(&fresh, practice.kubeconfig()).with_context(|| format!("write {}", fresh.display()))?;
    std::fs::rename(&fresh, &ask.kubeconfig)
        .with_context(|| format!("write {}", ask.kubeconfig.display()))?;
    println!("{}", practice.url());
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    practice.stop().await;
    Ok(())
}
