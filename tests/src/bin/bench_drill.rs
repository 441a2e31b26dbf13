//! How long a fault lasts when nobody has to click: `./dev bench drill`.
//!
//! `drill crash-loop` breaks a workload of the practice cluster. A real Prometheus scrapes and judges every second, a real Alertmanager waits 100 ms
//! for more of the group and calls Petrel; a rule rolls the release back, policy lets it; the drill is over when the fault is gone and the
//! rollout complete. The times are those of the drill's own report.

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::Value;
use std::time::Duration;
use tests::{
    alerting::Alerting,
    hook, wait,
    world::{Platforms, World},
};

const ROUNDS: usize = 7;
const WITHIN: Duration = Duration::from_secs(120);

const RULES: &str = r#"
rule "back" {
  on alert "NewPodsCrash"
  then [ rollback(workload) ]
  verify within 1m { alert resolved, rollout healthy }
  else [ escalate("console:alerts") ]
}
"#;

const ALERTS: &str = r#"
groups:
- name: practice
  rules:
  - alert: NewPodsCrash
    expr: max by (namespace, pod) (kube_pod_container_status_waiting_reason{reason="CrashLoopBackOff"}) > 0
    labels: {severity: critical}
    annotations: {summary: "{{ $labels.pod }} crash-loops"}
"#;

#[tokio::main]
async fn main() -> Result<()> {
    ensure!(Alerting::is_installed(), "install prometheus and prometheus-alertmanager first");
    let platforms = Platforms { config: hook::CONFIG.into(), ..Platforms::default() };
    let mut world = World::among(platforms).await?;
    std::fs::write(world.folder().join("hook.token"), hook::TOKEN)?;
    std::fs::create_dir(world.folder().join("rules"))?;
    std::fs::write(world.folder().join("rules/shop.heal"), RULES)?;
    std::fs::write(world.folder().join("policy.toml"), hook::unattended())?;
    world.start().await?;
    let cluster = world.cluster.metrics().await.context("a practice cluster")?;
    let _alerting = Alerting::start(&cluster, &world.replicas[0].base, ALERTS).await?;
    let mut reports = Vec::new();
    for round in 0..ROUNDS {
        reports.push(drill(&world, &format!("app-{round}")).await?);
    }
    println!(
        "{:<50} {:>10} {:>10} {:>10}",
        "drill crash-loop, from the fault until it is", "median", "longest", "target"
    );
    for (name, target) in [
        ("detected", ""),
        ("proposed", ""),
        ("approved", ""),
        ("acted", ""),
        ("healed", "<= 15 s"),
        ("verified", ""),
    ] {
        let mut times: Vec<f64> =
            reports.iter().filter_map(|report| report["seconds"][name].as_f64()).collect();
        ensure!(times.len() == ROUNDS, "{name} only {} of {ROUNDS} times", times.len());
        times.sort_by(f64::total_cmp);
        println!("{name:<50} {:>8.1} s {:>8.1} s {target:>10}", times[ROUNDS / 2], times[ROUNDS - 1]);
    }
    Ok(())
}

/// One fault, and its report.
async fn drill(world: &World, name: &str) -> Result<Value> {
    world.cluster.deployment(name, 2).await?;
    let ann = world.api("ann");
    let line = format!("drill crash-loop deploy/{name} --for 2m{}", world.at());
    let asked = ann.ask(name, &line).await?;
    let path = format!("/drills/{}", asked["request"]["id"].as_str().context("a request")?);
    let report = wait::until(&format!("the report on {name}"), WITHIN, || async {
        let (status, report) = ann.call(Method::GET, &path, None, None).await.ok()?;
        (status.is_success() && report["outcome"] != "under_way").then_some(report)
    })
    .await;
    ensure!(report["outcome"] == "healed", "{report}\n{}", world.logs());
    Ok(report)
}
