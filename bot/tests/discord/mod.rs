//! Discord's door in one process: signed interactions come in through the router, cards go out to a small fake, over HTTP.

mod fake;
mod gateway;

use axum::{body::Body, http::Request};
use bot::{app::App, config::Config, serve};
use ed25519_dalek::{Signer, SigningKey};
use fake::{Fake, Message};
use gateway::Gateway;
use http_body_util::BodyExt;
use ledger::*;
use practice::{Practice, PracticeConfig};
use serde_json::{Value, json};
use std::{
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

const POLICY: &str = r#"
[[person]]
name = "ann"
identities = ["discord:100:1"]
groups = ["oncall"]

[[person]]
name = "bob"
identities = ["discord:100:2"]
groups = ["sre"]

[[person]]
name = "eve"
identities = ["discord:100:3"]
groups = ["guests"]

[[rule]]
name = "the rest needs one"
action = "*"
decide = "approve"
votes = 1
from = ["sre"]
within = "30m"
"#;

const WITHIN: Duration = Duration::from_secs(30);
const ANN: &str = "1";
const BOB: &str = "2";
const EVE: &str = "3";
const MALLORY: &str = "66";

struct World {
    app: App,
    discord: Fake,
    practice: Practice,
    key: SigningKey,
    next: AtomicU32,
    _folder: tempfile::TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        self.app.stop.cancel();
    }
}

impl World {
    async fn new(name: &str) -> World {
        World::with(name, Fake::start().await).await
    }

    async fn with(name: &str, discord: Fake) -> World {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let server = private::PrivatePostgres::join(&private::test_dir()).await.unwrap();
        let (url, _) = server.database(name).await.unwrap();
        let ledger = Ledger::connect(&Connect { url, connections: 8 }).await.unwrap();
        let practice =
            Practice::start(PracticeConfig { name: "prod-eu".into(), ..PracticeConfig::default() })
                .await
                .unwrap();
        practice.seed_shop();
        practice.settled().await;
        let key = SigningKey::from_bytes(&[7; 32]);
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        std::fs::write(&kubeconfig, practice.kubeconfig()).unwrap();
        let config = format!(
            r#"
            [database]
            private = "unused"
            [policy]
            file = "unused"
            [[cluster]]
            name = "prod-eu"
            kubeconfig = "{}"
            [[room]]
            place = "discord:100:7"
            cluster = "prod-eu"
            namespace = "shop"
            [discord]
            application_id = "900"
            token_env = "TOKEN"
            public_key = "{}"
            guilds = ["100"]
            api_url = "{}"
            "#,
            kubeconfig.display(),
            hex::encode(key.verifying_key().as_bytes()),
            discord.url,
        );
        let env = |name: &str| (name == "TOKEN").then(|| "the-token".to_string());
        let config = Config::parse(Path::new("/petrel.toml"), &config, &env).unwrap();
        let policy = actions::policy::PolicyHandle::fixed(
            actions::policy::Policy::parse("policy.toml", POLICY).unwrap(),
        );
        let app = App::new(config, ledger, policy, CancellationToken::new());
        serve::start(&app, &TaskTracker::new());
        World { app, discord, practice, key, next: AtomicU32::new(1), _folder: folder }
    }

    /// As Discord posts it: the status and the answer.
    async fn post(&self, body: &[u8], signature: &str) -> (u16, Value) {
        let request = Request::post("/discord/interactions")
            .header("x-signature-ed25519", signature)
            .header("x-signature-timestamp", "1700000000")
            .body(Body::from(body.to_vec()))
            .unwrap();
        let response = serve::router(self.app.clone()).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn signed(&self, interaction: &Value) -> (u16, Value) {
        let body = interaction.to_string();
        let signature = self.key.sign(format!("1700000000{body}").as_bytes());
        self.post(body.as_bytes(), &hex::encode(signature.to_bytes())).await
    }

    fn interaction(&self, kind: u8, user: &str, data: Value) -> Value {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        json!({
            "id": format!("{}", 1_000 + id), "application_id": "900", "type": kind, "token": format!("token-{id}"), "version": 1,
            "guild_id": "100", "channel_id": "7", "member": { "user": { "id": user } }, "data": data,
        })
    }

    fn command(&self, user: &str, line: &str) -> Value {
        let options = if line.is_empty() {
            json!([])
        } else {
            json!([{ "name": "command", "type": 3, "value": line }])
        };
        self.interaction(2, user, json!({ "id": "5", "name": "petrel", "type": 1, "options": options }))
    }

    /// Sends it, and lets the fake know how it was answered, as Discord would.
    async fn send(&self, interaction: &Value) -> Value {
        let (status, answer) = self.signed(interaction).await;
        assert_eq!(status, 200, "{answer}");
        if answer["type"] == 5 {
            let token = interaction["token"].as_str().unwrap().to_string();
            let hidden = answer["data"]["flags"] == 64;
            self.discord.with(|store| store.thinking.insert(token, ("7".into(), hidden)));
        }
        answer
    }

    /// Waits until the channel's only message says this.
    async fn card(&self, says: &str) -> Message {
        self.until(|world| {
            let shown = world.discord.shown("7");
            assert!(shown.len() <= 1, "one message, edited in place: {shown:#?}");
            shown.into_iter().find(|message| message.body.to_string().contains(says))
        })
        .await
    }

    async fn until<T>(&self, look: impl Fn(&World) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            assert!(
                begun.elapsed() < WITHIN,
                "{:#?}",
                self.discord.with(|store| format!("{:#?}\n{:#?}", store.messages, store.calls))
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn replicas(&self) -> i64 {
        let checkout = self.practice.get("apps/v1", "Deployment", Some("shop"), "checkout").unwrap();
        checkout["spec"]["replicas"].as_i64().unwrap()
    }
}

/// The custom id of a button of a message.
fn button(message: &Message, label: &str) -> String {
    let rows = message.body["components"].as_array().unwrap();
    let mut buttons = rows.iter().flat_map(|row| row["components"].as_array().unwrap());
    let found = buttons
        .find(|button| button["label"] == label)
        .unwrap_or_else(|| panic!("{label} in {:#?}", message.body));
    found["custom_id"].as_str().unwrap().to_string()
}

fn click(id: &str) -> Value {
    json!({ "custom_id": id, "component_type": 2 })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_is_acknowledged_filled_with_its_card_and_the_card_follows_the_button() {
    let world = World::new("discord_slice").await;
    let after = world.replicas() + 1;
    let answer = world.send(&world.command(ANN, &format!("scale deploy/checkout {after}"))).await;
    assert_eq!(answer, json!({ "type": 5 }), "acknowledged for all to see");
    let card = world.card("awaiting 0 of 1").await;
    assert_eq!(card.body["allowed_mentions"], json!({ "parse": [] }));
    let id = button(&card, "Approve");
    assert!(id.len() <= 100 && !id.contains("checkout"));

    let own = world.send(&world.interaction(3, ANN, click(&id))).await;
    assert_eq!((&own["type"], &own["data"]["flags"]), (&json!(4), &json!(64)));
    assert!(own.to_string().contains("You asked for this yourself"), "{own}");
    let stranger = world.send(&world.interaction(3, MALLORY, click(&id))).await;
    assert_eq!((&stranger["type"], &stranger["data"]["flags"]), (&json!(4), &json!(64)));

    let approval = world.interaction(3, BOB, click(&id));
    assert_eq!(world.send(&approval).await, json!({ "type": 6 }));
    assert_eq!(world.send(&approval).await, json!({ "type": 6 }), "a retry is the same click");
    let done = world.card("succeeded").await;
    assert_eq!((done.id, world.replicas()), (card.id, after));
    let calls = world.discord.with(|store| store.calls.clone());
    let fills = calls.iter().filter(|call| call.contains("@original")).count();
    assert_eq!(fills, 1, "later edits go by the bot's own token: {calls:#?}");
    let late = world.send(&world.interaction(3, BOB, click(&id))).await;
    assert!(late.to_string().contains("Too late"), "{late}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denial_asks_for_its_reason_and_only_the_sent_modal_counts() {
    let world = World::new("discord_modal").await;
    world.send(&world.command(ANN, "restart deploy/checkout")).await;
    let card = world.card("awaiting 0 of 1").await;
    let modal = world.send(&world.interaction(3, BOB, click(&button(&card, "Deny")))).await;
    assert_eq!(modal["type"], 9);
    let input = &modal["data"]["components"][0]["components"][0];
    let rows = json!([{ "type": 1, "components": [{ "type": 4, "custom_id": input["custom_id"], "value": "not *now*" }] }]);
    let sent =
        world.interaction(5, BOB, json!({ "custom_id": modal["data"]["custom_id"], "components": rows }));
    assert_eq!(world.send(&sent).await, json!({ "type": 6 }));
    let denied = world.card("Denied by bob").await;
    assert!(denied.body.to_string().contains("not \\\\*now\\\\*"), "{}", denied.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_be_known_at_once_is_told_to_the_person_alone() {
    let world = World::new("discord_told").await;
    for (user, line, says) in [
        (MALLORY, "get deploy", "Ask"),
        (ANN, "restart deplyo/checkout", "did you mean"),
        (ANN, "whoami", "You are ann"),
        (EVE, "help", "scale"),
    ] {
        let interaction = world.command(user, line);
        let answer = world.send(&interaction).await;
        assert_eq!((&answer["type"], &answer["data"]["flags"]), (&json!(4), &json!(64)), "{line}: {answer}");
        assert!(answer.to_string().contains(says), "{line}: {answer}");
        let again = world.send(&interaction).await;
        assert!(again.to_string().contains("Received already"), "{again}");
    }
    assert!(world.discord.shown("7").is_empty());
    let filter = EntryFilter { kind: Some("ask.rejected".into()), limit: 50, ..EntryFilter::default() };
    assert_eq!(
        world.app.ledger.entries(&filter).await.unwrap().len(),
        1,
        "the stranger's line is on record, once"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_found_later_takes_the_public_answer_away_and_reaches_one_person() {
    let world = World::new("discord_refused").await;
    assert_eq!(world.send(&world.command(ANN, "get nonsense")).await["type"], 5);
    let told = world.until(|world| world.discord.with(|store| store.messages.first().cloned())).await;
    assert!(told.hidden && told.body["flags"] == 64, "{told:?}");
    assert!(world.discord.shown("7").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_and_a_late_acknowledgement_make_no_second_message() {
    let world = World::new("discord_lost").await;
    let interaction = world.command(ANN, "get deploy");
    // Discord does not know of our acknowledgement yet.
    let (_, answer) = world.signed(&interaction).await;
    assert_eq!(answer["type"], 5);
    world
        .until(|world| {
            world
                .discord
                .with(|store| store.calls.iter().any(|call| call.contains("@original")).then_some(()))
        })
        .await;
    let token = interaction["token"].as_str().unwrap().to_string();
    world.discord.with(|store| {
        store.lose.insert(format!("PATCH webhooks/900/{token}/messages/@original"));
        store.thinking.insert(token, ("7".into(), false));
    });
    world.until(|world| world.discord.shown("7").first().filter(|message| message.edits > 0).cloned()).await;
    assert_eq!(world.discord.shown("7").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_lost_answer_the_newest_messages_are_looked_at_and_the_same_words_of_another_card_are_left_alone()
 {
    let world = World::new("discord_forgetful").await;
    let (post, place) = ("POST channels/8/messages".to_string(), Place("discord:100:8".into()));
    let card = bot::card::Card::titled(bot::card::Tone::Neutral, "the same words");
    let card = serde_json::to_value(card).unwrap();
    world.discord.with(|store| store.forgetful = true);
    for (n, key) in ["answered", "made, and not answered", "not made", "answered again"].iter().enumerate() {
        world.discord.with(|store| match n {
            1 => drop(store.lose.insert(post.clone())),
            2 => drop(store.faults.insert(post.clone(), vec![(502, Value::Null)])),
            _ => {}
        });
        world.app.ledger.say(key, &place, None, &card).await.unwrap();
        world.until(|world| (world.discord.shown("8").len() > n).then_some(())).await;
        // The one whose answer was lost is settled when it has been found and edited.
        let found = |world: &World| world.discord.shown("8")[n].edits > 0;
        world.until(|world| (n != 1 || found(world)).then_some(())).await;
    }
    assert_eq!(world.discord.shown("8").len(), 4, "each once");
    let posts = world.discord.with(|store| store.calls.iter().filter(|call| **call == post).count());
    assert_eq!(posts, 5, "only the one that was not made was posted again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_discords_own_signature_opens_the_door() {
    let world = World::new("discord_signature").await;
    assert_eq!(world.signed(&json!({ "type": 1, "version": 1 })).await, (200, json!({ "type": 1 })));
    let body = world.command(ANN, "get deploy").to_string();
    let signature = hex::encode(world.key.sign(format!("1700000000{body}").as_bytes()).to_bytes());
    for (body, signature) in [
        (body.replace("get", "got"), signature.clone()),
        (body.clone(), "00".repeat(64)),
        (body, String::new()),
    ] {
        assert_eq!(world.post(body.as_bytes(), &signature).await.0, 401);
    }
    let (status, _) = world.signed(&json!({ "type": 2, "id": "1" })).await;
    assert_eq!(status, 400);
    let (status, _) = world.signed(&json!({ "type": 1, "padding": "x".repeat(300_000) })).await;
    assert_eq!(status, 413);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_of_the_live_cluster_complete_the_options_for_people_who_are_known() {
    let world = World::new("discord_names").await;
    let typed = |user: &str, options: Value| {
        world.interaction(4, user, json!({ "id": "5", "name": "petrel", "options": options }))
    };
    let names = |answer: &Value| -> Vec<String> {
        assert_eq!(answer["type"], 8);
        let choices = answer["data"]["choices"].as_array().unwrap();
        choices.iter().map(|choice| choice["value"].as_str().unwrap().to_string()).collect()
    };
    let focused =
        |name: &str, value: &str| json!([{ "name": name, "type": 3, "value": value, "focused": true }]);
    assert!(
        names(&world.send(&typed(ANN, focused("target", "check"))).await)
            .contains(&"deploy/checkout".to_string())
    );
    assert_eq!(names(&world.send(&typed(ANN, focused("cluster", ""))).await), ["prod-eu"]);
    assert!(names(&world.send(&typed(ANN, focused("namespace", "sh"))).await).contains(&"shop".to_string()));
    assert!(
        names(&world.send(&typed(ANN, focused("command", "scale deploy/che"))).await)
            .contains(&"scale deploy/checkout".to_string())
    );
    assert!(names(&world.send(&typed(MALLORY, focused("cluster", ""))).await).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_card_is_posted_again_once() {
    let world = World::new("discord_deleted").await;
    world.send(&world.command(ANN, "restart deploy/checkout")).await;
    let card = world.card("awaiting 0 of 1").await;
    let approve = button(&card, "Approve");
    world.discord.with(|store| store.messages.clear());
    assert_eq!(world.send(&world.interaction(3, BOB, click(&approve))).await["type"], 6);
    world.card("succeeded").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_is_registered_once_in_the_guild() {
    let world = World::new("discord_register").await;
    world.until(|world| world.discord.with(|store| store.commands.is_array().then_some(()))).await;
    let calls = world
        .discord
        .with(|store| store.calls.iter().filter(|call| call.starts_with("PUT")).cloned().collect::<Vec<_>>());
    assert_eq!(calls, ["PUT applications/900/guilds/100/commands"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gateway_is_resumed_where_discord_says_and_what_was_missed_is_answered_once() {
    let (discord, gateway, resume) = (Fake::start().await, Gateway::start().await, Gateway::start().await);
    discord.with(|store| store.gateway = Some(gateway.url.clone()));
    let world = World::with("discord_gateway", discord).await;
    let mut line = gateway.accept(45_000).await;
    assert_eq!(line.address, "/?v=10&encoding=json");
    let identify = line.expect(2).await;
    assert_eq!((&identify["d"]["token"], &identify["d"]["intents"]), (&json!("the-token"), &json!(4_608)));
    let ready =
        json!({ "session_id": "s1", "resume_gateway_url": resume.url, "user": { "id": "901" }, "v": 10 });
    line.send(json!({ "op": 0, "t": "READY", "s": 1, "d": ready })).await;
    let command =
        json!({ "op": 0, "t": "INTERACTION_CREATE", "s": 2, "d": world.command(ANN, "get deploy") });
    line.send(command.clone()).await;
    world.until(|world| world.discord.shown("7").first().cloned()).await;

    line.send(json!({ "op": 7, "d": null })).await;
    let mut line = resume.accept(45_000).await;
    assert_eq!(line.address, "/?v=10&encoding=json");
    let resumed = line.expect(6).await;
    assert_eq!(resumed["d"], json!({ "token": "the-token", "session_id": "s1", "seq": 2 }));
    // Replayed: one that was answered, and one that was missed.
    line.send(command).await;
    let message = json!({ "id": "55", "channel_id": "8", "guild_id": "100", "type": 0, "content": "<@901> get deploy -n shop -c prod-eu",
        "author": { "id": ANN } });
    line.send(json!({ "op": 0, "t": "MESSAGE_CREATE", "s": 3, "d": message })).await;
    line.send(json!({ "op": 0, "t": "RESUMED", "s": 4, "d": {} })).await;
    let answer = world.until(|world| world.discord.shown("8").first().cloned()).await;
    assert!(answer.body.to_string().contains("checkout"));
    assert_eq!(world.discord.shown("7").len(), 1, "the replayed one is known");
    line.send(json!({ "op": 1, "d": null })).await;
    assert_eq!(line.expect(1).await["d"], 4, "a heartbeat that is asked for comes at once");

    // Given up by Discord: begun anew at the gateway's own address.
    line.send(json!({ "op": 9, "d": false })).await;
    let mut line = gateway.accept(45_000).await;
    line.expect(2).await;
    // A token that is no good any more: no use in trying again.
    line.close(4_004).await;
    assert!(
        gateway.is_left_alone(Duration::from_secs(4)).await && resume.is_left_alone(Duration::ZERO).await
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_answers_no_heartbeat_is_left_and_resumed() {
    let (discord, gateway) = (Fake::start().await, Gateway::start().await);
    discord.with(|store| store.gateway = Some(gateway.url.clone()));
    let world = World::with("discord_zombie", discord).await;
    let mut line = gateway.accept(200).await;
    line.expect(2).await;
    let ready = json!({ "session_id": "s1", "resume_gateway_url": gateway.url, "user": { "id": "901" } });
    line.send(json!({ "op": 0, "t": "READY", "s": 1, "d": ready })).await;
    // Nobody acknowledges a heartbeat.
    let code = line.closed_with().await;
    assert!(code.is_some_and(|code| code != 1_000 && code != 1_001), "{code:?}: the session stays");
    let mut line = gateway.accept(45_000).await;
    assert_eq!(line.expect(6).await["d"]["seq"], 1);
    line.send(json!({ "op": 0, "t": "RESUMED", "s": 2, "d": {} })).await;
    // Told to stop: the session stays, for whoever listens next.
    world.app.stop.cancel();
    assert_eq!(line.closed_with().await, Some(4_000));
    let (config, stop) = (Config::clone(&world.app.config), CancellationToken::new());
    let next = App::new(config, world.app.ledger.clone(), world.app.policy.clone(), stop.clone());
    serve::start(&next, &TaskTracker::new());
    let mut line = gateway.accept(45_000).await;
    let resume = line.expect(6).await;
    assert_eq!(resume["d"]["session_id"], "s1");
    assert!(matches!(resume["d"]["seq"].as_u64(), Some(1 | 2)), "as far as the first one had read: {resume}");
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_answer_to_a_mention_comes_directly_or_says_that_it_cannot() {
    let (discord, gateway) = (Fake::start().await, Gateway::start().await);
    discord.with(|store| {
        store.gateway = Some(gateway.url.clone());
        store.closed.insert(format!("direct-{EVE}"));
    });
    let world = World::with("discord_direct", discord).await;
    let mut line = gateway.accept(45_000).await;
    line.expect(2).await;
    let ready = json!({ "session_id": "s1", "resume_gateway_url": gateway.url, "user": { "id": "901" } });
    line.send(json!({ "op": 0, "t": "READY", "s": 1, "d": ready })).await;
    for (seq, who) in [(2, ANN), (3, EVE)] {
        let message = json!({ "id": format!("{}", 60 + seq), "channel_id": "8", "guild_id": "100", "content": "<@901> whoami", "author": { "id": who } });
        line.send(json!({ "op": 0, "t": "MESSAGE_CREATE", "s": seq, "d": message })).await;
    }
    let direct = world.until(|world| world.discord.shown(&format!("direct-{ANN}")).first().cloned()).await;
    assert!(direct.body.to_string().contains("You are ann"));
    let closed = world.until(|world| world.discord.shown("8").first().cloned()).await;
    assert!(
        closed.body["content"].as_str().unwrap().contains("no direct messages")
            && !closed.body.to_string().contains("You are")
    );
    assert_eq!(closed.body["allowed_mentions"], json!({ "parse": [] }));
    // Written directly, the account is the same person.
    let message = json!({ "id": "70", "channel_id": "9", "content": "whoami", "author": { "id": BOB } });
    line.send(json!({ "op": 0, "t": "MESSAGE_CREATE", "s": 4, "d": message })).await;
    let direct = world.until(|world| world.discord.shown("9").first().cloned()).await;
    assert!(direct.body.to_string().contains("You are bob"), "{}", direct.body);
}
