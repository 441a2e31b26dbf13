//! A real Prometheus that scrapes the practice clusters, with two weeks of their past as if it had been there all along, and that
//! tells a real Alertmanager when something crashes.

use crate::{
    files::Files,
    server::{Server, at, is_installed},
};
use anyhow::{Context, bail};
use practice::{Practice, free_port};
use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    net::SocketAddr,
    path::Path,
    process::Stdio,
    time::Duration,
};
use tokio::{process::Command, task::JoinHandle};

/// How far back the past goes.
const PAST: i64 = 14 * 86_400;
/// Seconds between its samples: `rate` over five minutes must see two of them at least.
const STEP: i64 = 120;
/// How often is noted that scraping goes on.
const NOTE: Duration = Duration::from_secs(30);
/// Debian's names.
const PROGRAMS: [&str; 3] = ["prometheus", "promtool", ALERTMANAGER];
const ALERTMANAGER: &str = "prometheus-alertmanager";

/// Both servers.
pub struct Watching {
    prometheus: Server,
    alertmanager: Server,
    noting: JoinHandle<()>,
}

/// Starts them; `petrel` is where alerts are told. None, with a line that says why: the demo goes on without forecasts and incidents.
pub async fn start(
    files: &Files,
    petrel: SocketAddr,
    clusters: [(&'static str, &Practice); 2],
) -> Option<Watching> {
    if let Some(missing) = PROGRAMS.into_iter().find(|program| !is_installed(program)) {
        println!(
            "{missing} is not installed, so there are no forecasts and no incidents: apt-get install prometheus prometheus-alertmanager"
        );
        return None;
    }
    match Watching::start(files, petrel, clusters).await {
        Ok(watching) => Some(watching),
        Err(error) => {
            println!("There are no forecasts and no incidents: {error:#}");
            None
        }
    }
}

impl Watching {
    async fn start(
        files: &Files,
        petrel: SocketAddr,
        clusters: [(&'static str, &Practice); 2],
    ) -> anyhow::Result<Watching> {
        let (port, folder) = (free_port().context("find a free port")?, &files.alertmanager);
        fs::write(folder.join("alertmanager.yml"), receivers(petrel)).context("write alertmanager.yml")?;
        let arguments = [
            format!("--config.file={}", folder.join("alertmanager.yml").display()),
            format!("--storage.path={}", folder.join("data").display()),
            "--cluster.listen-address=".into(),
        ];
        let alertmanager = Server::start(ALERTMANAGER, folder, port, &arguments).await?;
        let folder = &files.prometheus;
        let (config, tsdb) = (folder.join("prometheus.yml"), folder.join("tsdb"));
        fs::create_dir_all(&tsdb).with_context(|| format!("create {}", tsdb.display()))?;
        fs::write(&config, scrape(&clusters, port)).with_context(|| format!("write {}", config.display()))?;
        fs::write(folder.join("rules.yml"), ALERTS).context("write rules.yml")?;
        measure_past(folder, &clusters).await?;
        let arguments = [
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", tsdb.display()),
            "--storage.tsdb.retention.time=60d".into(),
            // Alerts carry it.
            format!("--web.external-url=http://{}", at(files.prometheus_port)),
        ];
        let prometheus = Server::start("prometheus", folder, files.prometheus_port, &arguments).await?;
        let noted = folder.clone();
        let noting = tokio::spawn(async move {
            loop {
                tokio::time::sleep(NOTE).await;
                note(&noted, now());
            }
        });
        Ok(Watching { prometheus, alertmanager, noting })
    }

    /// Waits until they have written everything.
    pub async fn stop(self, files: &Files) {
        self.noting.abort();
        tokio::join!(self.prometheus.stop(), self.alertmanager.stop());
        note(&files.prometheus, now());
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
fn scrape(clusters: &[(&'static str, &Practice)], alertmanager: u16) -> String {
    let mut text = format!(
        "# Written by the demo at every start.\n\
         global:\n  scrape_interval: 5s\n  evaluation_interval: 5s\n\
         rule_files: [rules.yml]\n\
         alerting:\n  alertmanagers:\n  - static_configs:\n    - targets: ['127.0.0.1:{alertmanager}']\n\
         scrape_configs:\n- job_name: practice\n  metrics_path: /practice/metrics\n  static_configs:\n"
    );
    for (name, cluster) in clusters {
        let address = cluster.url().replace("http://", "");
        text.push_str(&format!(
            "  - targets: ['{address}']\n    labels: {{cluster: {name}, instance: {name}}}\n"
        ));
    }
    text
}

/// As in the kubernetes-mixin, without its quarter of an hour: newcomers do not wait. Staging may crash as it likes.
const ALERTS: &str = r#"# Written by the demo at every start.
groups:
- name: demo
  rules:
  - alert: KubePodCrashLooping
    expr: max by (cluster, namespace, pod, container) (kube_pod_container_status_waiting_reason{reason="CrashLoopBackOff", cluster="prod-eu"}) > 0
    labels: {severity: critical}
    annotations:
      summary: "{{ $labels.pod }} crash-loops"
      description: "Container {{ $labels.container }} ends soon after each start; Kubernetes waits longer and longer between its tries."
  - alert: SlowAnswers
    expr: |
      sum by (cluster, namespace, service) (rate(http_request_duration_seconds_sum[15s]))
        / sum by (cluster, namespace, service) (rate(http_request_duration_seconds_count[15s])) > 1
    labels: {severity: warning, deployment: "{{ $labels.service }}"}
    annotations:
      summary: "{{ $labels.service }} answers slowly"
      description: "A request to {{ $labels.service }} takes {{ $value | humanizeDuration }}."
  - alert: AdmissionWebhookFails
    expr: |
      sum by (cluster, name) (increase(apiserver_admission_webhook_rejection_count{error_type="calling_webhook_error"}[1m])) > 0
        or sum by (cluster, name) (increase(apiserver_admission_webhook_fail_open_count[1m])) > 0
    labels: {severity: critical}
    annotations:
      summary: "webhook {{ $labels.name }} does not answer"
      description: "The API server asks it before things are created or changed; they are held up or refused."
"#;

fn receivers(petrel: SocketAddr) -> String {
    format!(
        "# Written by the demo at every start.\n\
         route: {{receiver: petrel, group_by: [alertname, cluster, namespace], group_wait: 1s, group_interval: 5s, repeat_interval: 1h}}\n\
         receivers:\n- name: petrel\n  webhook_configs:\n  - url: http://{petrel}/hook/alertmanager/prom\n    send_resolved: true\n    \
         http_config: {{authorization: {{credentials_file: ../hook.token}}}}\n"
    )
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
