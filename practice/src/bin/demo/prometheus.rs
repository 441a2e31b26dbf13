//! A real Prometheus that scrapes the practice clusters, with two weeks of their past as if it had been there all along.

use crate::{END_WITHIN, end, files::Files, is_ready};
use anyhow::{Context, bail};
use practice::Practice;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::{
    process::{Child, Command},
    task::JoinHandle,
};

/// How far back the past goes.
const PAST: i64 = 14 * 86_400;
/// Seconds between its samples: `rate` over five minutes must see two of them at least.
const STEP: i64 = 120;
/// How often is noted that scraping goes on.
const NOTE: Duration = Duration::from_secs(30);
const READY_WITHIN: Duration = Duration::from_secs(60);

/// The running server.
pub struct Prometheus {
    server: Child,
    folder: PathBuf,
    noting: JoinHandle<()>,
}

/// Starts it. None, with a line that says why: the demo goes on without forecasts.
pub async fn start(files: &Files, clusters: [(&'static str, &Practice); 2]) -> Option<Prometheus> {
    if !["prometheus", "promtool"].into_iter().all(is_installed) {
        println!("Prometheus is not installed, so there are no forecasts: apt-get install prometheus");
        return None;
    }
    match Prometheus::start(files, clusters).await {
        Ok(server) => Some(server),
        Err(error) => {
            println!("Prometheus does not run, so there are no forecasts: {error:#}");
            None
        }
    }
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Ends the server of a demo that was killed: it holds the files and the port.
pub fn end_left_behind(folder: &Path) {
    let file = folder.join("pid");
    let Some(pid) = fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok()) else { return };
    let is_ours = || {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains(&storage(folder))
    };
    if let Some(left) = Pid::from_raw(pid).filter(|_| is_ours()) {
        let _ = kill_process(left, Signal::INT);
        let deadline = Instant::now() + END_WITHIN;
        while is_ours() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    let _ = fs::remove_file(file);
}

fn storage(folder: &Path) -> String {
    format!("--storage.tsdb.path={}", folder.join("tsdb").display())
}

impl Prometheus {
    async fn start(files: &Files, clusters: [(&'static str, &Practice); 2]) -> anyhow::Result<Prometheus> {
        let folder = files.prometheus.clone();
        fs::create_dir_all(folder.join("tsdb")).with_context(|| format!("create {}", folder.display()))?;
        let config = folder.join("prometheus.yml");
        fs::write(&config, scrape(&clusters)).with_context(|| format!("write {}", config.display()))?;
        measure_past(&folder, &clusters).await?;

        let log = File::create(folder.join("prometheus.log")).context("create its log")?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, files.prometheus_port));
        let mut server = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(storage(&folder))
            .arg("--storage.tsdb.retention.time=60d")
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=warn")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("start prometheus")?;
        fs::write(folder.join("pid"), server.id().unwrap_or_default().to_string())
            .context("note its process")?;
        let ready = async {
            while !is_ready(address, "/-/ready").await {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            ready = tokio::time::timeout(READY_WITHIN, ready) => ready.context("it was not ready within a minute")?,
            status = server.wait() => bail!("it ended with {}; see {}", status?, folder.join("prometheus.log").display()),
        }
        let noted = folder.clone();
        let noting = tokio::spawn(async move {
            loop {
                tokio::time::sleep(NOTE).await;
                note(&noted, now());
            }
        });
        Ok(Prometheus { server, folder, noting })
    }

    /// Waits until it has written everything.
    pub async fn stop(mut self) {
        self.noting.abort();
        end(&mut self.server, "prometheus").await;
        let _ = fs::remove_file(self.folder.join("pid"));
        note(&self.folder, now());
    }
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// Keeps until when there are samples; what is missing then is filled by the next start.
fn note(folder: &Path, at: i64) {
    if let Err(error) = fs::write(folder.join("measured-until"), at.to_string()) {
        tracing::warn!(%error, "could not note until when there are metrics");
    }
}

/// Ports are new ones at each start, so an instance is called as its cluster.
fn scrape(clusters: &[(&'static str, &Practice)]) -> String {
    let mut text = String::from(
        "# Written by the demo at every start.\nglobal:\n  scrape_interval: 15s\nscrape_configs:\n- job_name: practice\n  metrics_path: /practice/metrics\n  static_configs:\n",
    );
    for (name, cluster) in clusters {
        let address = cluster.url().replace("http://", "");
        text.push_str(&format!(
            "  - targets: ['{address}']\n    labels: {{cluster: {name}, instance: {name}}}\n"
        ));
    }
    text
}

/// Writes the blocks that Prometheus would have, had it scraped the clusters for two weeks, or since it last did.
async fn measure_past(folder: &Path, clusters: &[(&'static str, &Practice); 2]) -> anyhow::Result<()> {
    let until = now() / STEP * STEP;
    let noted =
        fs::read_to_string(folder.join("measured-until")).ok().and_then(|text| text.trim().parse().ok());
    let from = noted.unwrap_or(0).max(until - PAST) / STEP * STEP + STEP;
    if until - from < 2 * STEP {
        return Ok(());
    }
    let text = folder.join("past.openmetrics");
    let (file, of) = (text.clone(), clusters.map(|(name, cluster)| (name, cluster.clone())));
    let written = tokio::task::spawn_blocking(move || -> std::io::Result<()> {
        let mut out = BufWriter::new(File::create(file)?);
        for (name, cluster) in of {
            let labels = [("cluster", name), ("instance", name), ("job", "practice")];
            cluster.write_history(from..until, STEP as usize, &labels, &mut out)?;
        }
        out.write_all(b"# EOF\n")?;
        out.flush()
    });
    written.await.context("write the past")?.context("write the past")?;
    let made = Command::new("promtool")
        // Few large blocks: with the usual ones of two hours promtool reads the text once for each.
        .args(["tsdb", "create-blocks-from", "--max-block-duration=720h", "openmetrics"])
        .args([&text, &folder.join("tsdb")])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .context("start promtool")?;
    let _ = fs::remove_file(&text);
    if !made.status.success() {
        bail!("promtool could not write the past: {}", String::from_utf8_lossy(&made.stderr).trim());
    }
    note(folder, until);
    Ok(())
}
