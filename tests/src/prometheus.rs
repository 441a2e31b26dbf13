//! A real Prometheus that has measured what a test says it has. Debian's package; `./dev test` installs it.

use crate::wait;
use anyhow::{Context, Result, ensure};
use std::{
    fs::File,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;
use tokio::process::Child;

/// A running server on loopback; it ends with this.
pub struct Prometheus {
    /// `http://127.0.0.1:port`.
    pub url: String,
    _server: Child,
    _folder: TempDir,
}

impl Prometheus {
    /// None where it is not installed.
    pub fn is_installed() -> bool {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let there = |program| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
        there("prometheus") && there("promtool")
    }

    /// With the past that this OpenMetrics text (with times, without its `# EOF`) tells, in blocks as promtool writes them.
    pub async fn with_past(past: &str) -> Result<Prometheus> {
        Prometheus::scraping(past, None).await
    }

    /// The same; what is at this address (`127.0.0.1:port`, `/metrics`) goes on with it, each second.
    pub async fn scraping(past: &str, target: Option<&str>) -> Result<Prometheus> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("past"), format!("{past}# EOF\n"))?;
        backfill(&at("past"), &at("tsdb"))?;
        let scraped = target.map(|target| {
            // Without labels of its own, a scraped series is the same as the one that was filled in.
            format!(
                "scrape_configs:\n- job_name: live\n  scrape_interval: 1s\n  static_configs: [{{targets: [\"{target}\"]}}]\n  \
                 metric_relabel_configs: [{{action: labeldrop, regex: job|instance}}]\n"
            )
        });
        std::fs::write(at("prometheus.yml"), format!("global: {{}}\n{}", scraped.unwrap_or_default()))?;
        let port = practice::free_port()?;
        let log = File::create(at("log"))?;
        let server = tokio::process::Command::new("prometheus")
            .arg(format!("--config.file={}", at("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", at("tsdb").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--storage.tsdb.retention.time=90d")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("start prometheus")?;
        let url = format!("http://127.0.0.1:{port}");
        let (http, ready) = (reqwest::Client::new(), format!("{url}/-/ready"));
        wait::until("prometheus ready", Duration::from_secs(60), || async {
            http.get(&ready).send().await.ok().filter(|answer| answer.status().is_success()).map(drop)
        })
        .await;
        Ok(Prometheus { url, _server: server, _folder: folder })
    }
}

fn backfill(text: &Path, tsdb: &Path) -> Result<()> {
    // Few large blocks: with the usual ones of two hours promtool reads the text once for each.
    let done = Command::new("promtool")
        .args(["tsdb", "create-blocks-from", "--max-block-duration=720h", "openmetrics"])
        .args([text, tsdb])
        .output()
        .context("start promtool")?;
    ensure!(done.status.success(), "promtool: {}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}
