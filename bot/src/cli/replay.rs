//! `petrel heal replay`: holds rules against the incidents on record and says what would have been different. It only reads: the
//! record, and what Prometheus has kept of that time.

use super::{Configured, heal::load};
use crate::{database, healing};
use actions::cluster::Clusters;
use anyhow::{Context as _, Result};
use clap::Args;
use heal::{
    event::Event,
    incident::{Attempt, End, Handling, Incident, past},
    language::{ast::Condition, parse_duration},
    rules::{Answer, Known, Outcome, Proposed, RuleFile, Rules, Verdict},
};
use jiff::{SignedDuration, Timestamp};
use ledger::{Ledger, RequestId, StoredIncident};
use std::{path::PathBuf, process::ExitCode, time::Duration};

/// Incidents that are read at once.
const PAGE: u32 = 200;
/// What limits look back at, and how many healings are remembered for it.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(7 * 24);
const MOST_REMEMBERED: usize = 20_000;
/// Something would be different.
const DIFFERENT: u8 = 2;

/// See the module.
#[derive(Args)]
pub struct Replay {
    #[command(flatten)]
    configured: Configured,
    /// How far back: 12h, 7d
    #[arg(long, default_value = "7d", value_parser = parse_duration)]
    since: Duration,
    /// The rules to try, a folder or a file; those of the config when left out
    #[arg(long)]
    rules: Option<PathBuf>,
    /// Also what would have been the same
    #[arg(long)]
    all: bool,
}

/// What was done about an incident, or would be.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Deed {
    rule: String,
    /// What it asked for first: `restart`; None: it never came to a request.
    action: Option<String>,
    /// For people.
    words: String,
}

impl Replay {
    /// 0: all would have been the same; 2: something would have been different.
    pub async fn run(self) -> Result<ExitCode> {
        let config = self.configured.load()?;
        let folder = self.rules.clone().or_else(|| config.heal.rules.clone());
        let folder = folder.context("say which rules with --rules; the config has no [heal] rules")?;
        let files = if folder.is_dir() { healing::read(&folder)? } else { vec![file(&folder)?] };
        let Some(rules) = load(&files)? else { return Ok(ExitCode::FAILURE) };
        let clusters = Clusters::new(config.clusters.clone());
        let database = database::open_once(&config.database).await?;
        let since = Timestamp::now() - SignedDuration::try_from(self.since)?;
        let played = self.play(&database.ledger, &clusters, &rules, since).await;
        database.close().await?;
        played
    }

    async fn play(
        &self,
        ledger: &Ledger,
        clusters: &Clusters,
        rules: &Rules,
        since: Timestamp,
    ) -> Result<ExitCode> {
        let (mut same, mut different, mut old) = (0_u64, 0_u64, 0_u64);
        let mut attempts: Vec<Attempt> = Vec::new();
        let mut after = None;
        super::print(&line("when", "where", "what", "then", "now"))?;
        loop {
            let page = ledger.incidents_since(since, after, PAGE).await?;
            for stored in &page {
                let (incident, handling) = healing::known::incident(stored)?;
                let Some(event) = handling.event.clone() else {
                    old += 1;
                    continue;
                };
                let then = then(ledger, &incident, &handling).await?;
                let (now, why) = now(clusters, rules, &incident, &event, &mut attempts).await;
                let differs = !is_same(&then, &now);
                if differs {
                    different += 1
                } else {
                    same += 1
                }
                if differs || self.all {
                    let words = |deed: &Option<Deed>| deed.as_ref().map(|deed| deed.words.clone());
                    super::print(&line(
                        &incident.times.detected.strftime("%m-%d %H:%M").to_string(),
                        &incident.group.to_string(),
                        &event.name,
                        &format!("{}{}", words(&then).unwrap_or_else(|| "no rule".into()), ended(&incident)),
                        &words(&now).unwrap_or(why),
                    ))?;
                }
            }
            after = page.last().map(|last: &StoredIncident| last.id);
            if page.len() < PAGE as usize {
                break;
            }
        }
        super::print(&format!(
            "\n{} incidents since {}: {different} would have been different, {same} the same\n",
            same + different + old,
            since.strftime("%Y-%m-%d %H:%M UTC"),
        ))?;
        if old > 0 {
            super::print(&format!(
                "{old} were recorded without their event, by an earlier version, and are left out\n"
            ))?;
        }
        Ok(if different > 0 { ExitCode::from(DIFFERENT) } else { ExitCode::SUCCESS })
    }
}

fn file(path: &std::path::Path) -> Result<RuleFile> {
    let source = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    Ok(RuleFile { name: path.display().to_string(), source })
}

/// The same rule asks for the same; what came to no request is known by its rule alone.
fn is_same(then: &Option<Deed>, now: &Option<Deed>) -> bool {
    match (then, now) {
        (None, None) => true,
        (Some(then), Some(now)) => {
            then.rule == now.rule && (then.action.is_none() || then.action == now.action)
        }
        _ => false,
    }
}

fn ended(incident: &Incident) -> &'static str {
    match &incident.end {
        None => "; it is open",
        Some(End::Healed { .. }) => "; healed",
        Some(End::TakenOver { .. }) => "; taken over",
        Some(End::Escalated { .. }) => "; escalated",
        Some(End::Itself) => "; over by itself",
    }
}

/// The first thing that a rule asked for.
async fn then(ledger: &Ledger, incident: &Incident, handling: &Handling) -> Result<Option<Deed>> {
    let Some(first) = incident.healings.first() else {
        // What only tells people is no healing.
        let course = handling.course.as_ref();
        return Ok(course.map(|course| Deed {
            rule: course.rule.clone(),
            action: None,
            words: format!("\"{}\"", course.rule),
        }));
    };
    let view = ledger.view(RequestId(first.request)).await?;
    let action = view.map(|view| view.request.ask.action);
    let words = format!("\"{}\": {}", first.rule, action.as_deref().unwrap_or("no plan could be made"));
    Ok(Some(Deed { rule: first.rule.clone(), action, words }))
}

/// What these rules would ask for, and remembers that they have; or why nothing.
async fn now(
    clusters: &Clusters,
    rules: &Rules,
    incident: &Incident,
    event: &Event,
    attempts: &mut Vec<Attempt>,
) -> (Option<Deed>, String) {
    let at = incident.times.detected;
    let recent = at.saturating_sub(REMEMBERED).unwrap_or(Timestamp::MIN);
    attempts.retain(|attempt| attempt.at >= recent);
    let mut why = "no rule is about it".to_string();
    for rule in rules.concerned(event) {
        let asked = rule.text.when.iter().map(|when| answer(clusters, &when.value, event, at));
        let answers = futures::future::join_all(asked).await;
        let past = past(&rule.title, &incident.group, attempts);
        // How many replicas there were, nobody knows any more: a change stays a change.
        let judgement = rule.judge(event, Known { answers: &answers, past: &past, replicas: None, now: at });
        match &judgement.verdict {
            Verdict::Not => {
                let miss = judgement.looks.iter().find(|look| look.outcome == Outcome::No);
                why = miss.map_or(why, |look| format!("no rule: {} does not hold", look.text));
            }
            Verdict::Stuck(stuck) => return (None, format!("\"{}\" is stuck: {stuck}", rule.title)),
            Verdict::Ask { proposal, alone } => {
                if attempts.len() < MOST_REMEMBERED {
                    attempts.push(Attempt {
                        rule: rule.title.clone(),
                        target: incident.group.clone(),
                        at,
                        healed: matches!(incident.end, Some(End::Healed { .. })),
                        rolled_back: false,
                    });
                }
                let action = action(&proposal.then);
                let click = if *alone { "" } else { " (needs a click: a condition cannot be told)" };
                let words = format!("\"{}\": {action}{click}", rule.title);
                return (Some(Deed { rule: rule.title.clone(), action: Some(action), words }), String::new());
            }
        }
    }
    (None, why)
}

/// As the gate calls it.
fn action(steps: &[Proposed]) -> String {
    let asks = steps.iter().find_map(|step| match step {
        Proposed::Action { action, .. } if !matches!(action.as_str(), "notify" | "escalate") => Some(action),
        _ => None,
    });
    match asks.map(String::as_str) {
        Some("scale_up") => "scale".into(),
        Some(action) => action.replace('_', "-"),
        None => "tells people".into(),
    }
}

/// Metrics are kept; what a command printed or a log said then is not.
async fn answer(clusters: &Clusters, condition: &Condition, event: &Event, at: Timestamp) -> Answer {
    match condition {
        Condition::Promql { query, lasting, .. } => {
            let lasting = lasting.as_ref().map(|length| length.value);
            condition.answer(&healing::condition::promql(clusters, &query.value, lasting, event, at).await)
        }
        Condition::Exec { .. } | Condition::Log { .. } | Condition::Status { .. } => {
            Answer { outcome: Outcome::Unknown, why: "it is not known how that was then".into() }
        }
    }
}

fn line(when: &str, place: &str, what: &str, then: &str, now: &str) -> String {
    let cut = |text: &str, width: usize| {
        let plain: String = text.chars().filter(|c| !c.is_control()).collect();
        if plain.chars().count() <= width {
            return plain;
        }
        plain.chars().take(width - 1).chain(['…']).collect()
    };
    let text = format!(
        "{:<11}  {:<36}  {:<24}  {:<34}  {}",
        when,
        cut(place, 36),
        cut(what, 24),
        cut(then, 34),
        cut(now, 90)
    );
    format!("{}\n", text.trim_end())
}
