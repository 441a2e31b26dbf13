//! `stats`: how healing has done.

use super::Command;
use crate::{
    app::App,
    card::{Card, Table, Tone},
    grammar::OwnLine,
    line::{Caller, Reply},
};
use clap::Arg;
use futures::future::BoxFuture;
use jiff::SignedDuration;
use ledger::{LedgerError, RuleFigures};

/// See the module.
pub struct Stats;

impl Command for Stats {
    fn name(&self) -> &'static str {
        "stats"
    }

    fn group(&self) -> &'static str {
        "Heal"
    }

    fn command(&self) -> clap::Command {
        clap::Command::new("stats")
            .about("How incidents ended, and for each rule what came of it and how long it took")
            .arg(
                Arg::new("days")
                    .long("days")
                    .value_name("N")
                    .value_parser(clap::value_parser!(u16).range(1..=366))
                    .default_value("30")
                    .help("Within so many days"),
            )
            .after_help("Example: stats --days 7")
    }

    fn run<'a>(
        &'a self,
        app: &'a App,
        caller: &'a Caller,
        line: &'a OwnLine,
    ) -> BoxFuture<'a, Result<Reply, LedgerError>> {
        Box::pin(async move {
            let days = line.matches.get_one::<u16>("days").copied().unwrap_or(30);
            let since = caller.now - SignedDuration::from_hours(24 * i64::from(days));
            let fields = app.ledger.incident_figures(since).await?;
            let rules = app.ledger.rule_figures(since).await?;
            let table = of_rules(rules);
            let named = |(word, count): (String, i64)| (word.replace('_', " "), count.to_string());
            Ok(Reply::said(Card {
                fields: fields.into_iter().map(named).collect(),
                table,
                footer: Some("Times are medians of what helped.".into()),
                ..Card::titled(Tone::Neutral, format!("Incidents of {days} days"))
            }))
        })
    }
}

/// What came of each rule; None: of none.
pub fn of_rules(rules: Vec<RuleFigures>) -> Option<Table> {
    let seconds = |value: Option<f64>| value.map_or("-".to_string(), |value| format!("{value:.0} s"));
    let rows: Vec<Vec<String>> = rules
        .into_iter()
        .map(|rule| {
            vec![
                rule.rule,
                rule.begun.to_string(),
                rule.healed.to_string(),
                rule.ineffective.to_string(),
                rule.rolled_back.to_string(),
                rule.not_done.to_string(),
                seconds(rule.propose_s),
                seconds(rule.approve_s),
                seconds(rule.act_s),
                seconds(rule.recover_s),
            ]
        })
        .collect();
    let header = [
        "rule",
        "begun",
        "helped",
        "did not",
        "rolled back",
        "not done",
        "to propose",
        "to approve",
        "to act",
        "to recover",
    ];
    (!rows.is_empty()).then(|| Table { header: header.map(String::from).to_vec(), rows, links: Vec::new() })
}
