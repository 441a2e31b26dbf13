//! Chats that deliver twice, late and not at all, and a bot that is killed again and again: each command once, each vote once, and
//! every card ends in its true state. The cluster's audit trail is the witness of what was done.

use futures::{StreamExt, stream};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use tests::{
    api::Api,
    discord::{self, Discord},
    door::{discord_request, fill, slack_request},
    fault::Chances,
    long,
    slack::{self, Slack},
    wait,
    world::{Inward, Platforms, World},
};

/// A command or click whose platform says that it failed may have arrived all the same, and is taken over from a dead process
/// within seconds. People look for so long before they try again.
const LOOK: Duration = Duration::from_secs(30);
const WITHIN: Duration = Duration::from_secs(400);

/// One of the two chats, as the people of this test use it.
#[derive(Clone)]
enum Chat {
    Slack(Slack),
    Discord(Discord),
}

/// What is to be seen of one card.
#[derive(Debug)]
struct Card {
    request: String,
    text: String,
}

impl Chat {
    /// Petrel's cards about a workload.
    fn cards(&self, workload: &str) -> Vec<Card> {
        match self {
            Chat::Slack(slack) => slack
                .messages(&slack::channel_id("ops"))
                .iter()
                .filter(|one| one.user == slack::BOT && one.only_for.is_none() && !one.deleted)
                .map(|one| (slack_request(one), one.content.read()))
                .filter(|(_, text)| text.contains(workload))
                .filter_map(|(request, text)| Some(Card { request: request?, text }))
                .collect(),
            Chat::Discord(discord) => discord
                .messages(&discord::channel_id("ops"))
                .iter()
                .filter(|one| one.author == discord::APP && one.only_for.is_none() && !one.deleted)
                .map(|one| (discord_request(one), one.content.read()))
                .filter(|(_, text)| text.contains(workload))
                .filter_map(|(request, text)| Some(Card { request: request?, text }))
                .collect(),
        }
    }

    fn card(&self, workload: &str) -> Option<Card> {
        self.cards(workload).pop()
    }

    /// Types a command. True: it certainly never left.
    async fn command(&self, who: &str, line: &str) -> bool {
        match self {
            Chat::Slack(slack) => {
                slack.command(&slack::account(who), &slack::channel_id("ops"), line).await.lost
            }
            Chat::Discord(discord) => {
                let options = json!([{"name": "command", "type": 3, "value": line}]);
                let ops = discord::channel_id("ops");
                discord.command(&discord::account(who), &ops, "petrel", options).await.lost
            }
        }
    }

    /// Clicks the card's button, and fills in what is asked for.
    async fn click(&self, who: &str, request: &str, label: &str) {
        match self {
            Chat::Slack(slack) => {
                let (user, ops) = (slack::account(who), slack::channel_id("ops"));
                let of = |one: &slack::Message| {
                    slack_request(one).as_deref() == Some(request) && one.only_for.is_none()
                };
                let Some(card) = slack.messages(&ops).into_iter().rev().find(of) else { return };
                let _ = slack.click(&user, &ops, &card.ts, label).await;
            }
            Chat::Discord(discord) => {
                let (user, ops) = (discord::account(who), discord::channel_id("ops"));
                let of = |one: &discord::Message| {
                    discord_request(one).as_deref() == Some(request) && one.only_for.is_none()
                };
                let Some(card) = discord.messages(&ops).into_iter().rev().find(of) else { return };
                let _ = discord.click(&user, &ops, card.id, label).await;
                if let Some(modal) = discord.modal(&user) {
                    discord.submit(&modal, fill).await;
                }
            }
        }
    }
}

/// Asks until the card is there, as a person would; how often it was typed.
async fn ask(chat: &Chat, workload: &str, line: &str) -> usize {
    for typed in 1..20 {
        let lost = chat.command("ann", line).await;
        let typed_at = Instant::now();
        loop {
            if chat.card(workload).is_some() {
                return typed;
            }
            if lost || typed_at.elapsed() > LOOK {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    panic!("'{line}' never came to anything");
}

/// Clicks until the vote is taken, as a person would; then the card must end by itself.
async fn approve(chat: &Chat, api: &Api, workload: &str) {
    let id = chat.card(workload).expect("the card").request;
    loop {
        chat.click("bob", &id, "approve").await;
        let clicked = Instant::now();
        while clicked.elapsed() < Duration::from_secs(5) {
            let shown = chat.card(workload).expect("the card").text;
            if shown.contains("bob approved") || shown.contains("succeeded") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // Nothing is to be seen: a person would ask what became of it.
        if let Ok(request) = api.request(&id).await
            && request["state"] != "awaiting"
        {
            return;
        }
    }
}

/// How often each request's step has taken effect on the cluster, by request id.
fn effects(world: &World) -> BTreeMap<String, usize> {
    let mut count = BTreeMap::new();
    for effect in world.cluster.effects() {
        let key = effect.body.pointer("/metadata/annotations/petrel.dev~1step").and_then(Value::as_str);
        if let Some((request, _)) = key.and_then(|key| key.split_once('/')) {
            *count.entry(request.to_string()).or_default() += 1;
        }
    }
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_bad_deliveries_and_kills_each_command_and_each_vote_counts_once() {
    let (count, kills) = if long() { (1000, 10) } else { (100, 3) };
    let platforms = Platforms { roomy: long(), ..Platforms::both(Inward::Connection) };
    let mut world = World::with_platforms(2, platforms).await.expect("a world");
    if !world.cluster.is_practice() {
        return println!("skipped: the audit trail is the practice cluster's");
    }
    let made = stream::iter(0..count).map(|n| {
        let cluster = world.cluster.clone();
        async move { cluster.deployment(&format!("app-{n:04}"), 1).await.expect("a deployment") }
    });
    made.buffer_unordered(16).collect::<Vec<()>>().await;

    let chances = Chances { duplicated: 0.05, delayed: 0.05, delay: Duration::from_secs(2), lost: 0.02 };
    let (slack, discord) = (world.slack().clone(), world.discord().clone());
    slack.faults().set_chances(chances);
    discord.faults().set_chances(chances);
    let done = Arc::new(AtomicUsize::new(0));
    let (api, at) = (world.api("ann"), world.at());
    let people = tokio::spawn({
        let (slack, discord, done, api) = (slack.clone(), discord.clone(), done.clone(), api.clone());
        async move {
            let each = stream::iter(0..count).map(|n| {
                let chat =
                    if n % 2 == 0 { Chat::Slack(slack.clone()) } else { Chat::Discord(discord.clone()) };
                let (workload, done, api) = (format!("app-{n:04}"), done.clone(), api.clone());
                let line = format!("scale deploy/{workload} 2{at}");
                async move {
                    let typed = ask(&chat, &workload, &line).await;
                    approve(&chat, &api, &workload).await;
                    done.fetch_add(1, SeqCst);
                    typed
                }
            });
            each.buffered(8).collect::<Vec<usize>>().await
        }
    });
    // Spread over the whole: a kill each time another part is done.
    for kill in 0..kills {
        let part = (kill + 1) * count / (kills + 2);
        wait::until(&format!("{part} of {count} asked and approved"), WITHIN, || async {
            (done.load(SeqCst) >= part || people.is_finished()).then_some(())
        })
        .await;
        world.replicas[kill % 2].process.kill().await;
        world.start().await.expect("a new replica");
        let fresh = world.replicas.pop().expect("the new replica");
        world.replicas[kill % 2] = fresh;
    }
    let typed: Vec<usize> = people.await.expect("the people");
    slack.faults().set_chances(Chances::default());
    discord.faults().set_chances(Chances::default());

    let api = world.api("ann");
    let mut succeeded = Vec::new();
    for (n, &typed) in typed.iter().enumerate() {
        let chat = if n % 2 == 0 { Chat::Slack(slack.clone()) } else { Chat::Discord(discord.clone()) };
        let workload = format!("app-{n:04}");
        // The requests that are shown, and how they stand; None: a card does not tell the truth yet.
        let truth = async || {
            let (mut done, mut waiting) = (Vec::new(), Vec::new());
            for card in chat.cards(&workload) {
                let request = api.request(&card.request).await.expect("the request");
                let votes = request["votes"].as_array().map_or(0, Vec::len);
                match (request["state"].as_str(), votes) {
                    (Some("succeeded"), 1) if card.text.contains("succeeded") => done.push(card.request),
                    (Some("awaiting"), 0) if card.text.contains("awaiting") => waiting.push(card.request),
                    _ => return None,
                }
            }
            Some((done, waiting))
        };
        let Some((mut done, waiting)) = wait::within(WITHIN, &truth).await else {
            panic!("{}\nnot the truth about {workload}: {:#?}", world.logs(), chat.cards(&workload));
        };
        // One more waits where somebody typed it again, and what had been typed before came after all.
        assert!(done.len() == 1 && waiting.len() < typed, "{workload}: {done:?}, {waiting:?}, typed {typed}");
        succeeded.append(&mut done);
    }
    let effects = effects(&world);
    for id in &succeeded {
        assert_eq!(effects.get(id), Some(&1), "request {id}: not exactly one effect");
    }
    assert_eq!(effects.len(), count, "each command once, however often it was delivered");
    let typed: usize = typed.iter().sum();
    println!("{count} requests typed {typed} times, {kills} kills: each once");
}
