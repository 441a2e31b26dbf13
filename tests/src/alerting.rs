//! A real Prometheus that scrapes the practice cluster, and a real Alertmanager that calls Petrel. Debian's packages.

use crate::{hook, wait};
use anyhow::{Context, Result};
use std::{fs::File, path::Path, process::Stdio, time::Duration};
use tempfile::TempDir;
use tokio::process::{Child, Command};

const ALERTMANAGER: &str = "prometheus-alertmanager";

/// Both, on loopback; they end with this.
pub struct Alerting {
    /// Of Prometheus.
    pub url: String,
    _servers: [Child; 2],
    folder: TempDir,
}

impl Alerting {
    /// False where they are not installed.
    pub fn is_installed() -> bool {
        let path = std::env::var_os("PATH").unwrap_or_default();
        ["prometheus", ALERTMANAGER]
            .iter()
            .all(|program| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
    }

    /// Scrapes `http://<cluster>/practice/metrics` and tells the intake `prom` of the Petrel at `petrel` what these rules say.
    pub async fn start(cluster: &str, petrel: &str, rules: &str) -> Result<Alerting> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().join(name);
        let (prometheus, alertmanager) = (practice::free_port()?, practice::free_port()?);
        std::fs::write(
            at("alertmanager.yml"),
            format!(
                "route: {{receiver: petrel, group_by: [alertname, namespace], group_wait: 100ms, group_interval: 1s, repeat_interval: 1h}}\n\
                 receivers:\n- name: petrel\n  webhook_configs:\n  - url: {petrel}/hook/alertmanager/prom\n    send_resolved: true\n    \
                 http_config: {{authorization: {{credentials: {}}}}}\n",
                hook::TOKEN
            ),
        )?;
        std::fs::write(at("rules.yml"), rules)?;
        std::fs::write(
            at("prometheus.yml"),
            format!(
                "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [rules.yml]\n\
                 alerting: {{alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{alertmanager}']}}]}}]}}\n\
                 scrape_configs:\n- job_name: practice\n  metrics_path: /practice/metrics\n  static_configs: [{{targets: ['{cluster}']}}]\n"
            ),
        )?;
        let servers = [
            spawn(
                ALERTMANAGER,
                &[
                    format!("--config.file={}", at("alertmanager.yml").display()),
                    format!("--storage.path={}", at("alertmanager").display()),
                    format!("--web.listen-address=127.0.0.1:{alertmanager}"),
                    "--cluster.listen-address=".into(),
                ],
                &at("alertmanager.log"),
            )?,
            spawn(
                "prometheus",
                &[
                    format!("--config.file={}", at("prometheus.yml").display()),
                    format!("--storage.tsdb.path={}", at("tsdb").display()),
                    format!("--web.listen-address=127.0.0.1:{prometheus}"),
                ],
                &at("prometheus.log"),
            )?,
        ];
        let http = reqwest::Client::new();
        for port in [alertmanager, prometheus] {
            wait::until("prometheus and alertmanager ready", Duration::from_secs(60), || async {
                let ready = http.get(format!("http://127.0.0.1:{port}/-/ready")).send().await.ok()?;
                ready.status().is_success().then_some(())
            })
            .await;
        }
        Ok(Alerting { url: format!("http://127.0.0.1:{prometheus}"), _servers: servers, folder })
    }

    /// What both have written, for a failing test.
    pub fn logs(&self) -> String {
        ["alertmanager.log", "prometheus.log"]
            .iter()
            .map(|name| std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default())
            .collect()
    }
}

fn spawn(program: &str, arguments: &[String], log: &Path) -> Result<Child> {
    let log = File::create(log)?;
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("start {program}"))
}
