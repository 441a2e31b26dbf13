//! `clusters`: which there are and how they are.

use super::Command;
use crate::{
    app::App,
    card::{Card, Table, Tone},
    grammar::OwnLine,
    line::{Caller, Reply},
};
use actions::cluster::Health;
use futures::future::BoxFuture;
use ledger::LedgerError;

/// See the module.
pub struct Clusters;

impl Command for Clusters {
    fn name(&self) -> &'static str {
        "clusters"
    }

    fn group(&self) -> &'static str {
        "Look"
    }

    fn command(&self) -> clap::Command {
        clap::Command::new("clusters")
            .about("Every cluster you may ask: version, nodes, how fast it answers")
            .after_help("Example: clusters")
    }

    fn run<'a>(
        &'a self,
        app: &'a App,
        caller: &'a Caller,
        _line: &'a OwnLine,
    ) -> BoxFuture<'a, Result<Reply, LedgerError>> {
        Box::pin(async move {
            let policy = app.policy.current();
            let mut health = app.clusters.health().await;
            health.retain(|cluster| {
                policy.may_query(&caller.who, self.name(), &cluster.name, &cluster.labels, caller.now).is_ok()
            });
            Ok(Reply::said(draw(&health)))
        })
    }
}

fn draw(health: &[Health]) -> Card {
    let healthy = health.iter().filter(|cluster| cluster.trouble.is_none()).count();
    let tone = if healthy == health.len() { Tone::Neutral } else { Tone::Bad };
    let title = match health.len() {
        0 => "No cluster is configured that you may ask".to_string(),
        all if all == healthy => format!("{all} {}, all well", if all == 1 { "cluster" } else { "clusters" }),
        all => format!("{healthy} of {all} clusters are well"),
    };
    let row = |cluster: &Health| {
        let labels = cluster.labels.iter().map(|(name, value)| format!("{name}={value}"));
        vec![
            cluster.name.clone(),
            cluster.version.clone().unwrap_or_else(|| "-".into()),
            cluster.nodes.map_or_else(|| "-".into(), |(ready, all)| format!("{ready}/{all}")),
            cluster.latency_ms.map_or_else(|| "-".into(), |ms| format!("{ms} ms")),
            labels.collect::<Vec<_>>().join(" "),
            cluster.trouble.clone().unwrap_or_else(|| "ok".into()),
        ]
    };
    let header =
        ["cluster", "version", "nodes ready", "answers in", "labels", "state"].map(String::from).to_vec();
    let table = (!health.is_empty()).then(|| Table {
        header,
        rows: health.iter().map(row).collect(),
        links: Vec::new(),
    });
    Card { table, link: Some("/clusters".into()), ..Card::titled(tone, title) }
}
