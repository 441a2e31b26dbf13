//! The chats' figures, measured on real processes against the stand-ins: `./dev bench chat`.
//!
//! Everything is on one machine: Postgres (durable), the practice cluster, the replica, both platforms and this load.

use anyhow::{Context, Result};
use serde_json::json;
use std::time::{Duration, Instant};
use tests::{
    api::FINAL,
    discord,
    door::{ByDiscord, BySlack},
    figure::{self, latencies, row},
    slack,
    world::{Inward, Platforms, World},
};
use tokio::task::JoinSet;

const RATE: u64 = 100;
const SECONDS: u64 = 10;
const BURST: u64 = 2000;
const BURST_SECONDS: u64 = 10;
const CLICKS: usize = 60;

#[tokio::main]
async fn main() -> Result<()> {
    figure::head();
    for inward in [Inward::Connection, Inward::Http] {
        let ms = commands(Platform::Slack(inward), RATE * SECONDS, RATE).await?;
        latencies(
            &format!("Slack, {}: event in -> durable -> acknowledged, {RATE}/s", name(inward)),
            ms,
            "<= 50 ms",
        );
        let ms = commands(Platform::Discord(inward), RATE * SECONDS, RATE).await?;
        latencies(
            &format!("Discord, {}: event in -> durable -> acknowledged, {RATE}/s", name(inward)),
            ms,
            "<= 50 ms",
        );
    }
    clicks().await?;
    for platform in [Platform::Slack(Inward::Connection), Platform::Discord(Inward::Connection)] {
        let mut ms = commands(platform, BURST, BURST / BURST_SECONDS).await?;
        ms.sort_by(f64::total_cmp);
        let late = ms.iter().filter(|ms| **ms > 3000.0).count();
        let who = match platform {
            Platform::Slack(_) => "Slack",
            Platform::Discord(_) => "Discord",
        };
        row(
            &format!("{who}: burst of {BURST} events in {BURST_SECONDS} s: lost"),
            format!("{}", BURST as usize - ms.len()),
            "0",
        );
        row(&format!("{who}: burst: acknowledged later than 3 s"), late.to_string(), "0");
        row(&format!("{who}: burst: slowest"), format!("{:.0} ms", ms.last().context("some")?), "");
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Platform {
    Slack(Inward),
    Discord(Inward),
}

fn name(inward: Inward) -> &'static str {
    match inward {
        Inward::Connection => "connection",
        Inward::Http => "HTTP",
    }
}

/// Rates that do not hinder: what is measured is Petrel.
fn unhindered(platforms: Platforms) -> Platforms {
    let slack_rules = slack::Rules { faster: 1000.0, ..slack::Rules::default() };
    let discord_rules = discord::Rules { faster: 1000.0, ..discord::Rules::default() };
    Platforms { slack_rules, discord_rules, ..platforms }
}

/// So many commands at an even rate; how long each acknowledgement took. A command acknowledged is a row in the inbox. A first
/// second, in which connections are opened and statements planned, is not counted.
async fn commands(platform: Platform, count: u64, rate: u64) -> Result<Vec<f64>> {
    let platforms = match platform {
        Platform::Slack(inward) => Platforms { slack: Some(inward), ..Platforms::default() },
        Platform::Discord(inward) => Platforms { discord: Some(inward), ..Platforms::default() },
    };
    let world = World::with_platforms(1, unhindered(platforms)).await?;
    let mut tasks = JoinSet::new();
    let mut tick = tokio::time::interval(Duration::from_micros(1_000_000 / rate));
    for _ in 0..rate {
        tick.tick().await;
        command(&world, platform, &mut tasks);
    }
    while let Some(done) = tasks.join_next().await {
        done?;
    }
    tick.reset();
    for _ in 0..count {
        tick.tick().await;
        command(&world, platform, &mut tasks);
    }
    let mut ms = Vec::new();
    while let Some(done) = tasks.join_next().await {
        ms.extend(done?.map(|took| took.as_secs_f64() * 1000.0));
    }
    Ok(ms)
}

/// One command on its way; its acknowledgement comes with the task.
fn command(world: &World, platform: Platform, tasks: &mut JoinSet<Option<Duration>>) {
    match platform {
        Platform::Slack(_) => {
            let slack = world.slack().clone();
            tasks.spawn(async move {
                let (ann, ops) = (slack::account("ann"), slack::channel_id("ops"));
                slack.command(&ann, &ops, "whoami").await.acknowledged
            });
        }
        Platform::Discord(_) => {
            let discord = world.discord().clone();
            tasks.spawn(async move {
                let options = json!([{"name": "command", "type": 3, "value": "clusters"}]);
                let (ann, ops) = (discord::account("ann"), discord::channel_id("ops"));
                discord.command(&ann, &ops, "petrel", options).await.answered
            });
        }
    }
}

/// From a click in Slack to the edit of the card on each platform, one request after the other, at the platforms' own rates.
async fn clicks() -> Result<()> {
    let mut platforms = Platforms::both(Inward::Connection);
    (platforms.slack_rules, platforms.discord_rules) = (slack::Rules::default(), discord::Rules::default());
    platforms.room = "notices = [\"approvals\"]".into();
    let world = World::with_platforms(1, platforms).await?;
    world.cluster.deployment("checkout", 1).await?;
    let (in_slack, in_discord) = (BySlack::new(world.slack()), ByDiscord::new(world.discord(), false));
    let (ann, ops) = (world.api("ann"), slack::channel_id("ops"));
    let (mut slack_ms, mut discord_ms) = (Vec::new(), Vec::new());
    for n in 0..CLICKS {
        // Every second one is called off and changes nothing.
        let applied = n.div_ceil(2);
        let line = format!("scale deploy/checkout {}{}", 1 + (applied + 1) % 2, world.at());
        let asked = ann.ask(&format!("click-{n}"), &line).await?;
        let id = asked["request"]["id"].as_str().context("an id")?.to_string();
        let card = in_slack.card_soon(&id).await;
        in_discord.card_soon(&id).await;
        // Nobody reads a card faster; a click within that time would wait for the end of it.
        tokio::time::sleep(ledger::CARD_RESTS).await;
        let clicked = Instant::now();
        let button = if n % 2 == 0 { "approve" } else { "cancel" };
        let who = if n % 2 == 0 { "bob" } else { "ann" };
        world.slack().click(&slack::account(who), &ops, &card.ts, button).await?;
        let (mut slack_at, mut discord_at) = (None, None);
        while (slack_at.is_none() || discord_at.is_none()) && clicked.elapsed() < Duration::from_secs(20) {
            slack_at = slack_at.or_else(|| in_slack.card(&id)?.edited_at.filter(|at| *at > clicked));
            discord_at = discord_at.or_else(|| in_discord.card(&id)?.edited_at.filter(|at| *at > clicked));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let ms = |at: Option<Instant>| at.map(|at| (at - clicked).as_secs_f64() * 1000.0);
        slack_ms.push(ms(slack_at).context("an edit in Slack")?);
        discord_ms.push(ms(discord_at).context("an edit in Discord")?);
        ann.wait_for(&id, &FINAL, Duration::from_secs(60)).await;
        // The platforms' own limits (50 edits a minute) are no part of the figure: one request every four seconds.
        tokio::time::sleep(Duration::from_secs(4).saturating_sub(clicked.elapsed())).await;
    }
    latencies("click -> card edited in Slack", slack_ms, "<= 1000 ms");
    latencies("click -> card edited in Discord", discord_ms, "<= 1000 ms");
    Ok(())
}
