//! Everything at once, with nothing configured: two practice clusters, `petrel serve` with its private Postgres and console, a
//! Prometheus that has watched the clusters, an Alertmanager, and after half a minute an incident.

mod files;
mod prometheus;
mod server;
mod trouble;

use anyhow::{Context, bail};
use clap::Parser;
use files::Files;
use practice::{Practice, PracticeConfig};
use prometheus::Watching;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

/// Starts the demo: two practice clusters with a shop in each, and Petrel with its console.
#[derive(Parser)]
struct Arguments {
    /// Where everything is kept; starting again finds it there.
    #[arg(long, default_value = "data")]
    data: PathBuf,
    /// Where the console listens.
    #[arg(long, default_value = "127.0.0.1:8420")]
    listen: SocketAddr,
}

/// How long a pod takes in the demo: long enough to watch, short enough not to wait.
const SPEED: Duration = Duration::from_secs(2);
/// From the welcome to the incident.
const TROUBLE_AFTER: Duration = Duration::from_secs(30);
/// Postgres may have to recover; a first start makes it.
const READY_WITHIN: Duration = Duration::from_secs(90);
/// A server that is told to end ends its runs' steps first.
const END_WITHIN: Duration = Duration::from_secs(20);

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        // A past that is still being written is not waited for; the next start writes it anew.
        Ok(()) => std::process::exit(0),
        Err(error) => {
            eprintln!("the demo ended: {error:#}\nStart it again; what happened so far is kept.");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(tracing::Level::WARN).init();
    let ask = Arguments::parse();
    // Listened for from the start: whoever presses Ctrl-C early gets a clean end as well.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let files = Files::prepare(&ask.data)?;
    let production = cluster(&files, "prod-eu").await?;
    let staging = cluster(&files, "staging").await?;
    trouble::standing(&staging);

    let mut petrel = serve(&files, ask.listen)?;
    let result = tokio::select! {
        ready = ready(ask.listen) => match ready {
            Ok(()) => {
                println!("{}", files.welcome(ask.listen));
                let measured = [("prod-eu", &production), ("staging", &staging)];
                let mut watching = None;
                let result = tokio::select! {
                    () = story(&files, ask.listen, measured, &mut watching) => Ok(()),
                    status = petrel.wait() => Err(ended(&files, status?)),
                    _ = interrupt.recv() => Ok(()),
                    _ = terminate.recv() => Ok(()),
                };
                if let Some(servers) = watching {
                    servers.stop(&files).await;
                }
                result
            }
            Err(error) => Err(error.context(files.log_end())),
        },
        status = petrel.wait() => Err(ended(&files, status?)),
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };
    end(&mut petrel, "petrel").await;
    production.stop().await;
    staging.stop().await;
    result
}

/// What happens while people look around. Never returns.
async fn story(
    files: &Files,
    petrel: SocketAddr,
    clusters: [(&'static str, &Practice); 2],
    watching: &mut Option<Watching>,
) {
    let begun = Instant::now();
    *watching = prometheus::start(files, petrel, clusters).await;
    if watching.is_some() {
        println!("{}", files::METRICS);
        tokio::time::sleep_until(begun + TROUBLE_AFTER).await;
        let (name, production) = clusters[0];
        if let Some((workload, tag)) = trouble::bad_release(production) {
            println!(
                "Release {tag} of {workload} is going out in {name}, and it crash-loops. Prometheus sees it within seconds; look at the room.\n"
            );
        }
    }
    std::future::pending().await
}

/// Starts one cluster; the first time it gets its shop, all up and with a past, before it slows down to what people can watch.
async fn cluster(files: &Files, name: &str) -> anyhow::Result<Practice> {
    let data = files.cluster_data(name);
    let config =
        PracticeConfig { name: name.into(), speed: SPEED, nodes: 4, port: 0, data: Some(data.clone()) };
    if !data.exists() {
        let fresh = Practice::start(PracticeConfig { speed: Duration::ZERO, ..config.clone() }).await?;
        fresh.seed_shop_with_history().await;
        fresh.stop().await;
    }
    let cluster =
        Practice::start(config).await.with_context(|| format!("start the practice cluster {name}"))?;
    files.write_kubeconfig(name, &cluster.kubeconfig())?;
    Ok(cluster)
}

/// Starts the `petrel` beside this program, in a process group of its own: a Ctrl-C in the terminal reaches only us, and we
/// end it in our order.
fn serve(files: &Files, listen: SocketAddr) -> anyhow::Result<Child> {
    let program = std::env::current_exe()?.with_file_name("petrel");
    let log = File::create(&files.log).with_context(|| format!("create {}", files.log.display()))?;
    Command::new(&program)
        .arg("serve")
        .arg("--config")
        .arg(&files.config)
        .env("PETREL_SERVER__LISTEN", listen.to_string())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("start {}; build it with `cargo build -p bot`", program.display()))
}

/// Waits until `/readyz` says yes.
async fn ready(listen: SocketAddr) -> anyhow::Result<()> {
    let asking = async {
        while !is_ready(listen, "/readyz").await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(READY_WITHIN, asking)
        .await
        .with_context(|| format!("petrel was not ready within {} s", READY_WITHIN.as_secs()))
}

/// Does this path of a server on loopback answer with 200?
async fn is_ready(listen: SocketAddr, path: &str) -> bool {
    let ask = async {
        let mut socket = TcpStream::connect(listen).await?;
        let ask = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        socket.write_all(ask.as_bytes()).await?;
        let mut answer = String::new();
        socket.take(4096).read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer.starts_with("HTTP/1.1 200"))
    };
    matches!(tokio::time::timeout(Duration::from_secs(2), ask).await, Ok(Ok(true)))
}

fn ended(files: &Files, status: ExitStatus) -> anyhow::Error {
    anyhow::anyhow!("petrel ended with {status}\n{}", files.log_end())
}

/// Tells a program to end, and waits until it and what it started have.
async fn end(program: &mut Child, name: &str) {
    let Some(pid) = program.id().and_then(|id| Pid::from_raw(id as i32)) else { return };
    if kill_process(pid, Signal::INT).is_ok()
        && tokio::time::timeout(END_WITHIN, program.wait()).await.is_err()
    {
        eprintln!("{name} did not end within {} s; it is killed", END_WITHIN.as_secs());
        let _ = program.kill().await;
    }
}

/// A token that nobody guesses: 16 bytes of the system's randomness, in hex.
fn new_token() -> anyhow::Result<String> {
    let mut bytes = [0_u8; 16];
    std::io::Read::read_exact(&mut File::open("/dev/urandom")?, &mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Refuses a folder that cannot be meant.
fn usable(data: &Path) -> anyhow::Result<()> {
    if data.is_file() {
        bail!("{} is a file; --data wants a folder", data.display());
    }
    Ok(())
}
