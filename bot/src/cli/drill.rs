//! `petrel drill suite FILE`: one drill after the other through the API, each held against what is expected of it.

use super::{api::Api, print};
use crate::drill::{Outcome, Report, Seconds};
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::json;
use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

/// What can be done with drills.
#[derive(Subcommand)]
pub enum Drill {
    /// Run a set of drills, one after the other; fails when healing is not as expected or has regressed
    Suite(Suite),
}

/// See [`Drill::Suite`].
#[derive(Args)]
pub struct Suite {
    /// Which drills, and what is expected of them (TOML)
    file: PathBuf,
    /// Where Petrel listens
    #[arg(long, env = "PETREL_URL", default_value = "http://127.0.0.1:8420")]
    url: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plan {
    cluster: String,
    namespace: Option<String>,
    #[serde(rename = "drill")]
    drills: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    fault: String,
    /// `deploy/cart`, `node/node-1`.
    target: String,
    /// Given back after this; `5m` by default, as the command's.
    #[serde(rename = "for")]
    lasts: Option<String>,
    /// At most so long from the fault until it is `detected`, `proposed`, `approved`, `acted`, `healed`, `verified`.
    #[serde(default)]
    within: BTreeMap<String, SignedDuration>,
}

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// From the request to the report, besides the time of the drill: approval, the proof of the healing, putting back.
const BESIDES: Duration = Duration::from_secs(30 * 60);
/// A healing may take so many times as long as the last time, and so many seconds more.
const SLOWER: (f64, f64) = (2.0, 10.0);

impl Drill {
    /// 0: all as expected. 1: not.
    pub async fn run(self) -> Result<ExitCode> {
        let Drill::Suite(Suite { file, url }) = self;
        let text = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        let plan: Plan = toml::from_str(&text).with_context(|| format!("read {}", file.display()))?;
        for entry in &plan.drills {
            let known = Seconds::default().all().map(|(name, _)| name);
            if let Some(wrong) = entry.within.keys().find(|name| !known.contains(&name.as_str())) {
                bail!("{}: `within.{wrong}` is none of {}", file.display(), known.join(", "));
            }
        }
        let api = Api::new(&url)?;
        let mut failed = 0;
        for entry in &plan.drills {
            let name = format!("{} {}", entry.fault, entry.target);
            let wrong = match run(&api, &plan, entry).await {
                Ok(report) => {
                    print(&format!("{name}: {}\n", report.sentence()))?;
                    wrong(&report, &entry.within)
                }
                Err(error) => vec![format!("{error:#}")],
            };
            for why in &wrong {
                print(&format!("  not as expected: {why}\n"))?;
            }
            failed += usize::from(!wrong.is_empty());
        }
        let all = plan.drills.len();
        print(&format!("{} of {all} drills as expected\n", all - failed))?;
        Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Asks for one drill and waits for its report.
async fn run(api: &Api, plan: &Plan, entry: &Entry) -> Result<Report> {
    let mut words = vec![
        "drill".to_string(),
        entry.fault.clone(),
        entry.target.clone(),
        "-c".into(),
        plan.cluster.clone(),
    ];
    if let Some(namespace) = &plan.namespace {
        words.extend(["-n".to_string(), namespace.clone()]);
    }
    if let Some(lasts) = &entry.lasts {
        words.extend(["--for".to_string(), lasts.clone()]);
    }
    let key = ledger::RequestId::new().to_string();
    let body = json!({"words": words, "why": "a suite of drills"});
    let (status, answer) = api.insist(&key, &body).await?;
    if !status.is_success() {
        let text = |name| answer[name].as_str().unwrap_or_default();
        bail!("{} {}", text("title"), text("detail"));
    }
    let id = answer["request"]["id"].as_str().context("the answer names no request")?.to_string();
    let begun = Instant::now();
    loop {
        let (status, report) = api.get(&format!("/drills/{id}")).await?;
        if status.is_success() {
            let report: Report = serde_json::from_value(report).context("read the report")?;
            if report.outcome != Outcome::UnderWay {
                return Ok(report);
            }
        } else {
            // Nothing is broken yet, and perhaps never will be.
            let (_, request) = api.get(&format!("/requests/{id}")).await?;
            if request["done"] == true {
                let (state, note) = (request["state"].as_str(), request["note"].as_str());
                bail!("nothing was broken: {} {}", state.unwrap_or_default(), note.unwrap_or_default());
            }
        }
        if begun.elapsed() > BESIDES + Duration::from_secs(3600) {
            bail!("there is no report of {id} yet");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What is not as it should be.
fn wrong(report: &Report, within: &BTreeMap<String, SignedDuration>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, took) in report.seconds.all() {
        let Some(most) = within.get(name).map(SignedDuration::as_secs_f64) else { continue };
        match took {
            None => wrong.push(format!("it was not {name}")),
            Some(took) if took > most => {
                wrong.push(format!("{name} after {took:.1} s, not within {most:.0} s"))
            }
            Some(_) => {}
        }
    }
    if let Some(before) = report.healed_before {
        match report.seconds.healed.filter(|_| report.outcome == Outcome::Healed) {
            None => wrong.push(format!("the time before it was healed after {before:.1} s")),
            Some(took) if took > before * SLOWER.0 + SLOWER.1 => {
                wrong.push(format!("healed after {took:.1} s; the time before it took {before:.1} s"));
            }
            Some(_) => {}
        }
    }
    if matches!(report.outcome, Outcome::Failed | Outcome::CalledOff) {
        wrong.push(report.sentence());
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(outcome: Outcome, healed: Option<f64>, healed_before: Option<f64>) -> Report {
        Report {
            request: ledger::RequestId::new(),
            fault: "crash-loop".into(),
            target: "staging: shop/Deployment cart".into(),
            began: jiff::Timestamp::UNIX_EPOCH,
            ended: Some(jiff::Timestamp::UNIX_EPOCH),
            outcome,
            seconds: Seconds { detected: Some(4.0), healed, ..Seconds::default() },
            incident: None,
            noticed_as: Vec::new(),
            rule: None,
            healing: None,
            healed_before,
        }
    }

    #[test]
    fn what_is_late_missing_or_worse_than_before_is_told() {
        let within = BTreeMap::from([("detected".to_string(), SignedDuration::from_secs(5))]);
        let healed = |took, before| report(Outcome::Healed, Some(took), before);
        assert_eq!(wrong(&healed(20.0, None), &within), [""; 0]);
        assert_eq!(wrong(&healed(20.0, Some(6.0)), &within), [""; 0], "not that much slower");
        assert_eq!(
            wrong(&healed(23.0, Some(6.0)), &within),
            ["healed after 23.0 s; the time before it took 6.0 s"]
        );
        let lost = report(Outcome::GivenBack, None, Some(6.0));
        assert_eq!(wrong(&lost, &within), ["the time before it was healed after 6.0 s"]);
        let strict = BTreeMap::from([
            ("detected".to_string(), SignedDuration::from_secs(3)),
            ("proposed".to_string(), SignedDuration::from_secs(9)),
        ]);
        assert_eq!(
            wrong(&healed(20.0, None), &strict),
            ["detected after 4.0 s, not within 3 s", "it was not proposed"]
        );
        assert!(!wrong(&report(Outcome::CalledOff, None, None), &BTreeMap::new()).is_empty());
    }
}
