//! `petrel policy explain`: what policy says to a command, and why, without asking for it.

use super::Configured;
use crate::{
    app::App,
    database, draw,
    grammar::{Context as Meant, Line, parse},
    line::{Caller, ask_of},
};
use actions::policy::{Explained, PolicyHandle};
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use ledger::{Actor, Decision, Plan, RequestId};
use std::process::ExitCode;
use tokio_util::sync::CancellationToken;

/// See the module.
#[derive(Subcommand)]
pub enum Policy {
    /// Plan a command, decide it, and say why; nothing is asked for and nothing is written
    Explain(Explain),
}

/// See [`Policy::Explain`].
#[derive(Args)]
pub struct Explain {
    #[command(flatten)]
    configured: Configured,
    /// The command, as typed in chat
    command: String,
    /// Who would ask: slack:T1:U2, console:ann
    #[arg(long = "as", value_name = "ACTOR")]
    actor: Actor,
}

impl Policy {
    /// 0: allowed or needs approval. 1: refused, or no plan.
    pub async fn run(self) -> Result<ExitCode> {
        let Policy::Explain(explain) = self;
        let config = explain.configured.load()?;
        let policy = PolicyHandle::load(&config.policy)?;
        let database = database::open_once(&config.database).await?;
        let app = App::new(config, database.ledger.clone(), policy, CancellationToken::new());
        let outcome = explain.explain(&app).await;
        drop(app);
        database.close().await?;
        outcome
    }
}

impl Explain {
    async fn explain(&self, app: &App) -> Result<ExitCode> {
        let who = match app.gate.who(&self.actor).await? {
            Ok(who) => who,
            Err(refusal) => {
                println!("{refusal}");
                return Ok(ExitCode::FAILURE);
            }
        };
        let clusters = app.clusters.names();
        let line = match parse(&self.command, &Meant { clusters: &clusters, ..Meant::default() }) {
            Ok(Line::Ask(line)) => line,
            Ok(_) => {
                println!("This changes nothing, so policy only says whether {} may ask it.", who.person);
                return Ok(ExitCode::SUCCESS);
            }
            Err(card) => {
                println!("{}", draw::text(&card, str::to_string));
                return Ok(ExitCode::FAILURE);
            }
        };
        let now = Timestamp::now();
        let groups = if who.groups.is_empty() { "no groups".to_string() } else { who.groups.join(", ") };
        println!("{} is {} ({groups})", self.actor, who.person);
        let caller =
            Caller { actor: self.actor.clone(), who, place: None, key: RequestId::new().to_string(), now };
        let ask = ask_of(&caller, line, &self.command);
        let explained = app.gate.explain(&ask, now).await.context("explain")?;
        Ok(match explained {
            Ok((plan, explained)) => say(&plan, &explained),
            Err(why) => {
                println!("no plan: {why}");
                ExitCode::FAILURE
            }
        })
    }
}

fn say(plan: &Plan, explained: &Explained) -> ExitCode {
    println!("plan: {} ({} of {} pods, {} risk)", plan.summary, plan.blast.pods, plan.blast.of, plan.risk);
    for line in &explained.trace {
        println!("  {line}");
    }
    match &explained.decision {
        Decision::Allow { rule } => println!("decision: allowed at once, by rule \"{rule}\""),
        Decision::Needs { rule, quorum } => {
            let typed = if quorum.type_cluster { ", and the cluster's name typed" } else { "" };
            let groups = quorum.groups.join(" or ");
            println!(
                "decision: needs {} of {groups} within {} s{typed}, by rule \"{rule}\"",
                quorum.votes, quorum.within_s
            );
        }
        Decision::Refuse { rule, reason } => {
            println!("decision: refused by rule \"{rule}\": {reason}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
