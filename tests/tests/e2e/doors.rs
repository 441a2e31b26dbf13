//! Each chat platform by itself: who may come in, what its connections go through, and how fast it wants to be asked.

use serde_json::json;
use std::time::{Duration, Instant};
use tests::{
    discord,
    door::{ByDiscord, BySlack, Door, discord_request, fill, slack_request},
    fault::Trouble,
    process::program,
    slack, wait,
    world::{Inward, Platforms, World},
};

const WITHIN: Duration = Duration::from_secs(30);

async fn world(count: usize, platforms: Platforms) -> World {
    let world = World::with_platforms(count, platforms).await.expect("a world");
    world.cluster.deployment("checkout", 1).await.expect("a deployment");
    world
}

/// What a direct message of `who` was answered with: in Slack, in Discord.
async fn direct_answers(world: &World, who: &str, line: &str) -> (String, String) {
    let (slack, discord) = (world.slack(), world.discord());
    let outcome = slack.direct(&slack::account(who), line).await;
    assert!(outcome.acknowledged.is_some(), "'{line}' was not acknowledged by Slack's door");
    assert!(discord.direct(&discord::account(who), line).await, "nobody listens at Discord");
    let (in_slack, in_discord) =
        (slack.direct_channel(&slack::account(who)), discord.direct_channel(&discord::account(who)));
    wait::until(&format!("answers to '{line}'\n{}", world.logs()), WITHIN, || async {
        let slack = slack.messages(&in_slack).into_iter().rev().find(|one| one.user == slack::BOT)?;
        let discord =
            discord.messages(&in_discord).into_iter().rev().find(|one| one.author == discord::APP)?;
        Some((slack.content.read(), discord.content.read()))
    })
    .await
}

#[tokio::test]
async fn only_what_the_platform_signed_now_comes_in_over_http() {
    let world = world(1, Platforms::both(Inward::Http)).await;
    let (slack, base) = (world.slack(), world.replicas[0].base.clone());
    let command = format!(
        "command=%2Fpetrel&text=restart+deploy%2Fcheckout+-n+{}&team_id={}&channel_id={}&user_id={}&trigger_id=1.2.x",
        world.cluster.namespace,
        slack::TEAM,
        slack::channel_id("ops"),
        slack::account("ann"),
    );
    let url = format!("{base}/slack/commands");
    let (now, old) = (Duration::ZERO, Duration::from_secs(301));
    assert_eq!(slack.forge(&url, "somebody-elses-secret", now, &command).await, 401, "forged");
    assert_eq!(slack.forge(&url, slack::SIGNING_SECRET, old, &command).await, 401, "replayed much later");
    assert!(slack.verify_url(&format!("{base}/slack/events")).await);
    let interactions = format!("{base}/discord/interactions");
    assert_eq!(world.discord().verify_url(&interactions).await, (200, 401, true), "good, forged, pong");
    assert!(world.cluster.effects().is_empty(), "nothing of it came in");
    assert_eq!(slack.forge(&url, slack::SIGNING_SECRET, now, &command).await, 200);
    assert_eq!(slack.forge(&url, slack::SIGNING_SECRET, now, &command).await, 200, "the same again");
    let restarts = || async {
        let cards = slack.messages(&slack::channel_id("ops"));
        let mut requests: Vec<_> = cards.iter().filter_map(slack_request).collect();
        requests.dedup();
        requests.first().cloned().map(|_| requests.len())
    };
    assert_eq!(wait::until("the card", WITHIN, restarts).await, 1);
}

#[tokio::test]
async fn direct_messages_are_lines_and_their_answers_come_there() {
    let world = world(1, Platforms::both(Inward::Connection)).await;
    let line = format!("get deploy{}", world.at());
    let (slack, discord) = direct_answers(&world, "ann", &line).await;
    assert!(slack.contains("checkout") && discord.contains("checkout"), "{slack}\n{discord}");
    let (slack, discord) = direct_answers(&world, "zed", "whoami").await;
    for refusal in [slack, discord] {
        assert!(refusal.to_lowercase().contains("ask"), "says whom to ask: {refusal}");
    }
}

#[tokio::test]
async fn discord_completes_names_from_what_lives_in_the_cluster_now() {
    let world = world(1, Platforms::both(Inward::Connection)).await;
    let complete = async |option: &str, typed: &str| -> Vec<String> {
        let mut options = vec![json!({"name": option, "type": 3, "value": typed, "focused": true})];
        if option == "target" {
            options.push(json!({"name": "namespace", "type": 3, "value": world.cluster.namespace}));
        }
        let (user, ops) = (discord::account("ann"), discord::channel_id("ops"));
        let choices = world.discord().complete(&user, &ops, "petrel", json!(options)).await;
        choices.iter().filter_map(|choice| choice["value"].as_str().map(String::from)).collect()
    };
    assert!(complete("target", "check").await.contains(&"deploy/checkout".to_string()));
    assert!(complete("namespace", "").await.contains(&world.cluster.namespace));
    assert_eq!(complete("cluster", "te").await, ["test"]);
    world.cluster.deployment("brand-new", 1).await.expect("a deployment");
    wait::until("a name that was not there before", WITHIN, || async {
        complete("target", "brand").await.contains(&"deploy/brand-new".to_string()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_killed_listeners_session_is_resumed_and_what_was_said_meanwhile_is_done_once() {
    let mut world = world(1, Platforms::both(Inward::Connection)).await;
    let discord = world.discord().clone();
    let by = ByDiscord::new(&discord, false);
    by.say("ann", "whoami").await;
    let identified = discord.identifies();
    world.replicas[0].process.kill().await;
    wait::until("the connection to be gone", WITHIN, || async { (discord.connections() == 0).then_some(()) })
        .await;
    let line = format!("restart deploy/checkout{}", world.at());
    let (ann, ops) = (discord::account("ann"), discord::channel_id("ops"));
    assert!(discord.mention(&ann, &ops, &line).await, "the session can be resumed");
    world.start().await.expect("a new replica");
    let done = || async {
        let cards: Vec<_> = discord.messages(&ops).into_iter().filter(|one| !one.deleted).collect();
        let cards: Vec<_> = cards.iter().filter(|one| discord_request(one).is_some()).collect();
        let text = cards.first()?.content.read();
        text.contains("succeeded").then_some(cards.len())
    };
    assert_eq!(wait::until("what was said to be done", WITHIN, done).await, 1);
    assert_eq!(discord.identifies(), identified, "the session was gone on with");
    // With another replica at hand nobody notices: what is used at that moment is answered within Discord's three seconds.
    world.start().await.expect("another replica");
    world.replicas[1].process.kill().await;
    wait::until("the connection to be gone", WITHIN, || async { (discord.connections() == 0).then_some(()) })
        .await;
    let options = json!([{"name": "command", "type": 3, "value": "whoami"}]);
    let outcome = discord.command(&ann, &ops, "petrel", options).await;
    assert!(outcome.answered.is_some(), "nobody took over in time\n{}", world.logs());
    assert_eq!(discord.identifies(), identified);
}

#[tokio::test]
async fn discords_gateway_is_resumed_when_it_says_so_and_begun_anew_when_the_session_is_gone() {
    let world = world(1, Platforms::both(Inward::Connection)).await;
    let discord = world.discord();
    let by = ByDiscord::new(discord, false);
    let identified = discord.identifies();
    let (bob, ops) = (discord::account("bob"), discord::channel_id("ops"));
    let heard = async |step: usize| {
        assert!(discord.mention(&bob, &ops, &format!("history nothing-{step}")).await, "step {step}");
        wait::until(&format!("an answer after step {step}\n{}", world.logs()), WITHIN, || async {
            let said =
                discord.messages(&ops).into_iter().chain(discord.messages(&discord.direct_channel(&bob)));
            said.into_iter()
                .any(|one| {
                    one.author == discord::APP && one.content.read().contains(&format!("nothing-{step}"))
                })
                .then_some(())
        })
        .await;
    };
    discord.ask_to_reconnect();
    heard(1).await;
    discord.drop_connections();
    heard(2).await;
    discord.close_connections(4_000);
    heard(3).await;
    assert_eq!(discord.identifies(), identified, "all of these are resumed");
    discord.invalidate_sessions(false);
    wait::until("a new session", WITHIN, || async { (discord.identifies() > identified).then_some(()) })
        .await;
    world.connected().await;
    assert!(by.say("bob", "whoami").await.text.contains("bob"));
}

#[tokio::test]
async fn slacks_sockets_are_several_and_refreshed_without_a_gap() {
    let world = world(1, Platforms::both(Inward::Connection)).await;
    let slack = world.slack();
    let several = || async { (slack.sockets() >= 2).then_some(()) };
    wait::until("several sockets", WITHIN, several).await;
    let by = BySlack::new(slack);
    for reason in ["refresh_requested", "warning"] {
        slack.disconnect(reason);
        assert!(by.say("ann", "whoami").await.text.contains("ann"), "while it is refreshed");
        wait::until("several sockets again", WITHIN, several).await;
    }
    slack.drop_sockets();
    world.connected_to_slack().await;
    assert!(by.say("ann", "whoami").await.text.contains("ann"), "after they broke");
}

#[tokio::test]
async fn a_guarded_clusters_name_must_be_typed_and_be_right() {
    let world = world(1, Platforms::both(Inward::Connection)).await;
    world.cluster.deployment("guarded", 1).await.expect("a deployment");
    let (slack, discord) = (world.slack(), world.discord());
    let (by_slack, by_discord) = (BySlack::new(slack), ByDiscord::new(discord, false));
    let line = format!("scale deploy/guarded 2{}", world.at());
    let id = by_slack.say("ann", &line).await.request.expect("a request");
    let (bob, ops) = (slack::account("bob"), slack::channel_id("ops"));
    let card = by_slack.card_soon(&id).await;
    let clicked = slack.click(&bob, &ops, &card.ts, "approve").await.expect("a button");
    let modal = match clicked.modal {
        Some(modal) => modal,
        None => wait::until("the modal", WITHIN, || async { slack.modal(&bob) }).await,
    };
    assert_eq!(
        world.api("ann").request(&id).await.expect("it")["state"],
        "awaiting",
        "opening decides nothing"
    );
    slack.submit(&bob, &modal, |_| "tset".into()).await;
    let told = || async {
        let seen = slack.seen_by(&bob, &ops);
        let whispers = seen.into_iter().filter(|one| one.only_for.is_some());
        whispers.map(|one| one.content.read()).find(|text| text.contains("test"))
    };
    wait::until("to be told that the name is wrong", WITHIN, told).await;
    assert_eq!(world.api("ann").request(&id).await.expect("it")["state"], "awaiting");
    by_slack.click("bob", &id, "approve").await;
    wait::until("the run", WITHIN, || async {
        by_slack.card(&id)?.content.read().contains("succeeded").then_some(())
    })
    .await;

    let id = by_discord.say("ann", &format!("scale deploy/guarded 3{}", world.at())).await.request;
    let id = id.expect("a request");
    let (bob, ops) = (discord::account("bob"), discord::channel_id("ops"));
    let card = by_discord.card_soon(&id).await;
    discord.click(&bob, &ops, card.id, "approve").await.expect("a button");
    let modal = discord.modal(&bob).expect("a modal");
    discord.submit(&modal, |_| "tset".into()).await;
    wait::until("to be told that the name is wrong", WITHIN, || async {
        let seen = discord.seen_by(&bob, &ops);
        seen.iter().any(|one| one.only_for.is_some() && one.content.read().contains("test")).then_some(())
    })
    .await;
    assert_eq!(world.api("ann").request(&id).await.expect("it")["state"], "awaiting");
    discord.click(&bob, &ops, card.id, "approve").await.expect("a button");
    discord.submit(&discord.modal(&bob).expect("a modal"), fill).await;
    wait::until("the run", WITHIN, || async {
        by_discord.card(&id)?.content.read().contains("succeeded").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_click_whose_trigger_ran_out_is_explained_and_decides_nothing() {
    let mut platforms = Platforms::both(Inward::Connection);
    platforms.slack_rules.trigger = Duration::ZERO;
    let world = world(1, platforms).await;
    world.cluster.deployment("guarded", 1).await.expect("a deployment");
    let (slack, by) = (world.slack(), BySlack::new(world.slack()));
    let id =
        by.say("ann", &format!("scale deploy/guarded 2{}", world.at())).await.request.expect("a request");
    let (bob, ops) = (slack::account("bob"), slack::channel_id("ops"));
    let card = by.card_soon(&id).await;
    slack.click(&bob, &ops, &card.ts, "approve").await.expect("a button");
    wait::until("to be told what to do", WITHIN, || async {
        let seen = slack.seen_by(&bob, &ops);
        seen.iter()
            .any(|one| one.only_for.is_some() && one.content.read().contains("Click again"))
            .then_some(())
    })
    .await;
    assert!(slack.modal(&bob).is_none());
    assert_eq!(world.api("ann").request(&id).await.expect("it")["state"], "awaiting");
}

#[tokio::test]
async fn nothing_is_posted_in_a_channel_before_the_time_that_its_platform_asked_for() {
    const REST: Duration = Duration::from_secs(2);
    let mut platforms = Platforms::both(Inward::Connection);
    platforms.room = "notices = [\"approvals\"]".into();
    let world = world(1, platforms).await;
    let (slack, discord) = (world.slack(), world.discord());
    slack.faults().plan("chat.postMessage", Trouble::TooMany(REST.as_secs()));
    discord.faults().plan("POST /channels", Trouble::TooMany(REST.as_secs()));
    let line = format!("scale deploy/checkout 2{}", world.at());
    let key = uuid::Uuid::new_v4().to_string();
    let asked = world.api("ann").ask(&key, &line).await.expect("an answer");
    let id = asked["request"]["id"].as_str().expect("an id").to_string();
    BySlack::new(slack).card_soon(&id).await;
    ByDiscord::new(discord, false).card_soon(&id).await;
    let posts: Vec<Instant> = slack
        .calls()
        .into_iter()
        .filter(|call| call.name == "chat.postMessage")
        .map(|call| call.at)
        .collect();
    assert!(posts.len() == 2 && posts[1] - posts[0] >= REST, "Slack was asked again too soon: {posts:?}");
    let is_post =
        |call: &discord::Call| call.name.starts_with("POST /channels") && call.name.ends_with("/messages");
    let posts: Vec<Instant> =
        discord.calls().iter().filter(|call| is_post(call)).map(|call| call.at).collect();
    assert!(posts.len() == 2 && posts[1] - posts[0] >= REST, "Discord was asked again too soon: {posts:?}");
}

#[tokio::test]
async fn a_vote_in_one_chat_is_on_the_card_in_the_other_within_a_second() {
    const SECOND: Duration = Duration::from_secs(1);
    let mut platforms = Platforms::both(Inward::Connection);
    platforms.room = "notices = [\"approvals\"]".into();
    let world = world(1, platforms).await;
    let (by_slack, by_discord) = (BySlack::new(world.slack()), ByDiscord::new(world.discord(), false));
    // A machine that does much else may be late once; never being in time is a fault.
    let mut late = Vec::new();
    for replicas in 2..7 {
        let line = format!("scale deploy/checkout {replicas}{}", world.at());
        let id = by_slack.say("ann", &line).await.request.expect("a request");
        let card = by_discord.card_soon(&id).await;
        by_slack.card_soon(&id).await;
        let (bob, ops) = (discord::account("bob"), discord::channel_id("ops"));
        world.discord().click(&bob, &ops, card.id, "deny").await.expect("a button");
        let modal = world.discord().modal(&bob).expect("a modal");
        let voted = Instant::now();
        world.discord().submit(&modal, fill).await;
        wait::until("the vote on Slack's card", WITHIN, || async {
            by_slack.card(&id)?.content.read().contains("denied").then_some(())
        })
        .await;
        match voted.elapsed() {
            took if took <= SECOND => return,
            took => late.push(took),
        }
    }
    panic!("never within a second: {late:?}");
}

/// What `petrel check` prints of the chats.
async fn checked(world: &World, what: &str) -> String {
    let config = world.config().to_str().expect("utf-8 path");
    let run = tokio::process::Command::new(program("petrel")).args(["check", "--config", config]).output();
    let printed = run.await.expect("petrel check").stdout;
    let printed = String::from_utf8_lossy(&printed).into_owned();
    let chats = printed.lines().filter(|line| line.contains("slack") || line.contains("discord"));
    format!("-- {what}\n{}", chats.collect::<Vec<_>>().join("\n"))
}

#[tokio::test]
async fn petrel_check_says_in_plain_words_what_is_missing_and_what_to_do() {
    let mut world = World::among(Platforms::both(Inward::Connection)).await.expect("a world");
    let mut said = vec![checked(&world, "before the first start").await];
    world.start().await.expect("a replica");
    said.push(checked(&world, "all as it should be").await);
    let right = std::fs::read_to_string(world.config()).expect("the config");
    let wrong = right
        .replace(&format!("application_id = \"{}\"", discord::APP), "application_id = \"1\"")
        .replace(&format!("guilds = [\"{}\"]", discord::GUILD), "guilds = [\"9\"]")
        .replace(&discord::channel_id("ops"), "77")
        .replace(&slack::channel_id("ops"), "C0NOWHERE");
    std::fs::write(world.config(), wrong).expect("the config");
    said.push(checked(&world, "ids mixed up").await);
    std::fs::write(world.config(), right).expect("the config");
    let (slack, discord) = (world.slack(), world.discord());
    slack.take_scope("commands");
    slack.take_scope("files:write");
    discord.permit(&discord::channel_id("ops"), discord::permission::VIEW | discord::permission::SEND);
    said.push(checked(&world, "scopes and permissions taken away").await);
    slack.archive(&slack::channel_id("ops"), true);
    discord.permit(&discord::channel_id("ops"), 0);
    said.push(checked(&world, "a channel archived, one hidden").await);
    slack.break_auth(Some("token_revoked"));
    discord.break_token(true);
    said.push(checked(&world, "tokens revoked").await);
    insta::assert_snapshot!("petrel_check", said.join("\n\n"));
    world.slack().away(true);
    world.discord().away(true);
    let away = checked(&world, "platforms out of reach").await;
    for platform in [world.slack().url(), world.discord().url()] {
        assert!(away.contains(&format!("can this machine reach {platform}?")), "{away}");
    }
}
