//! Commands, clicks and forms go in over signed HTTP or a socket; cards come out, once each.

use super::fake::{Fake, Trouble};
use bot::{
    app::App,
    card::{Card, Tone},
    config::Config,
    serve,
    slack::signature,
};
use futures::{SinkExt, StreamExt};
use jiff::Timestamp;
use ledger::*;
use practice::{Practice, PracticeConfig};
use serde_json::{Value, json};
use std::{
    path::Path,
    time::{Duration, Instant},
};
use tokio::net::TcpListener;
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const POLICY: &str = r#"
[[person]]
name = "ann"
identities = ["slack:T1:U1"]
groups = ["oncall"]

[[person]]
name = "bob"
identities = ["slack:T1:U2"]
groups = ["sre"]

[[rule]]
name = "scaling needs one"
action = "*"
decide = "approve"
votes = 1
from = ["sre"]
within = "30m"
"#;

const WITHIN: Duration = Duration::from_secs(30);
const SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";
const SCALE: &str = "scale deploy/checkout 4 -n shop -c prod-eu --why &lt;sale&gt;";

struct World {
    app: App,
    slack: Fake,
    base: String,
    petrel: String,
    http: reqwest::Client,
    _practice: Practice,
    _folder: tempfile::TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        self.app.stop.cancel();
    }
}

impl World {
    async fn new(name: &str, inward: &str) -> World {
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
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        std::fs::write(&kubeconfig, practice.kubeconfig()).unwrap();
        let (slack, base) = Fake::start().await;
        let config = format!(
            "[database]\nprivate = \"unused\"\n[policy]\nfile = \"unused\"\n\
             [[cluster]]\nname = \"prod-eu\"\nkubeconfig = \"{}\"\nlabels = {{ production = \"true\" }}\n\
             [slack]\nbot_token_env = \"BOT\"\n{inward}_env = \"INWARD\"\napi_url = \"{base}/api\"\n",
            kubeconfig.display()
        );
        let inward = if inward == "app_token" { "xapp-1-test" } else { SECRET };
        let env = |name: &str| Some(if name == "BOT" { "xoxb-1-test" } else { inward }.to_string());
        let env = |name: &str| env(name).filter(|_| name == "BOT" || name == "INWARD");
        let config = Config::parse(Path::new("/petrel.toml"), &config, &env).unwrap();
        let policy = actions::policy::Policy::parse("policy.toml", POLICY).unwrap();
        let policy = actions::policy::PolicyHandle::fixed(policy);
        let app = App::new(config, ledger, policy, CancellationToken::new());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let petrel = format!("http://{}", listener.local_addr().unwrap());
        let router = serve::router(app.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        World { app, slack, base, petrel, http: reqwest::Client::new(), _practice: practice, _folder: folder }
    }

    fn start(&self) {
        serve::start(&self.app, &TaskTracker::new());
    }

    /// As Slack signs it.
    async fn send(&self, path: &str, kind: &str, body: String) -> (u16, String) {
        let at = Timestamp::now().as_second().to_string();
        let signed = signature::sign(SECRET.as_bytes(), &at, body.as_bytes());
        self.send_signed(path, kind, body, &at, &signed).await
    }

    async fn send_signed(
        &self,
        path: &str,
        kind: &str,
        body: String,
        at: &str,
        signed: &str,
    ) -> (u16, String) {
        let request = self.http.post(format!("{}{path}", self.petrel)).header("content-type", kind);
        let request = request.header(signature::TIMESTAMP, at).header(signature::SIGNATURE, signed);
        let answer = request.body(body).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    fn command(&self, user: &str, channel: &str, text: &str, trigger: &str) -> Value {
        json!({ "command": "/petrel", "text": text, "team_id": "T1", "channel_id": channel, "user_id": user,
                "response_url": format!("{}/respond/{trigger}", self.base), "trigger_id": trigger, "token": "old" })
    }

    async fn typed(&self, user: &str, channel: &str, text: &str, trigger: &str) -> (u16, String) {
        let body =
            serde_urlencoded::to_string(self.command(user, channel, text, trigger).as_object().unwrap())
                .unwrap();
        self.send("/slack/commands", "application/x-www-form-urlencoded", body).await
    }

    async fn interaction(&self, payload: Value) -> (u16, String) {
        let body = serde_urlencoded::to_string([("payload", payload.to_string())]).unwrap();
        self.send("/slack/interactions", "application/x-www-form-urlencoded", body).await
    }

    async fn click(&self, user: &str, channel: &str, button: &Value, trigger: &str) -> (u16, String) {
        self.interaction(json!({
            "type": "block_actions", "team": { "id": "T1" }, "user": { "id": user, "team_id": "T1" }, "trigger_id": trigger,
            "container": { "type": "message", "channel_id": channel, "message_ts": "1.1" }, "channel": { "id": channel },
            "message": { "text": "[awaiting 0 of 1] scale  (prod-eu, production)\nmore", "blocks": [{ "type": "new_kind" }] },
            "response_url": format!("{}/respond/{trigger}", self.base),
            "actions": [{ "type": "button", "action_id": button["action_id"], "value": button["value"], "block_id": "x" }],
        }))
        .await
    }

    /// Waits for the channel's only message to say so.
    async fn message(&self, channel: &str, says: &str) -> Value {
        self.until(&format!("a message in {channel} that says '{says}'"), |world| {
            let state = world.slack.lock();
            let here: Vec<_> = state.messages.iter().filter(|(at, _, _)| at == channel).collect();
            assert!(here.len() <= 1, "one message, edited in place: {here:#?}");
            here.first()
                .filter(|(_, _, message)| message["text"].as_str().unwrap().contains(says))
                .map(|m| m.2.clone())
        })
        .await
    }

    async fn until<T>(&self, what: &str, found: impl Fn(&World) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = found(self) {
                return found;
            }
            assert!(begun.elapsed() < WITHIN, "not {what}: {:#?}", self.slack.lock().calls);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn button(message: &Value, id: &str) -> Value {
    let blocks = message["blocks"].as_array().unwrap();
    let actions = blocks.iter().find(|block| block["type"] == "actions").expect("buttons");
    let named = |element: &&Value| element["action_id"] == format!("petrel.{id}");
    actions["elements"].as_array().unwrap().iter().find(named).unwrap_or_else(|| panic!("no {id}")).clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_becomes_a_card_and_a_click_edits_it() {
    let world = World::new("slack_command", "signing_secret").await;
    world.start();
    assert_eq!(world.typed("U1", "C1", SCALE, "1.1.a").await, (200, String::new()));
    assert_eq!(world.typed("U1", "C1", SCALE, "1.1.a").await.0, 200, "Slack's second delivery");
    let card = world.message("C1", "[awaiting 0 of 1]").await;
    assert_eq!(card["metadata"]["event_type"], "petrel_card");
    assert!(card["text"].as_str().unwrap().contains("&lt;sale&gt;"), "{card}");
    let approve = button(&card, "approve");
    assert_eq!(world.click("U1", "C1", &approve, "2.1.a").await.0, 200);
    let own = world.until("a private refusal", |world| world.slack.lock().private.pop()).await;
    assert!(own["text"].as_str().unwrap().contains("You asked for this yourself"), "{own}");
    assert_eq!((&own["response_type"], &own["replace_original"]), (&json!("ephemeral"), &json!(false)));
    for _ in 0..2 {
        assert_eq!(world.click("U2", "C1", &approve, "2.2.a").await.0, 200);
    }
    world.message("C1", "[succeeded]").await;
    let filter = EntryFilter { kind: Some("vote.approved".into()), limit: 9, ..EntryFilter::default() };
    assert_eq!(world.app.ledger.entries(&filter).await.unwrap().len(), 1, "each click once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_lost_answer_the_card_is_edited_and_not_posted_again() {
    let world = World::new("slack_lost", "signing_secret").await;
    world.slack.trouble("chat.postMessage", [Trouble::Limited(1), Trouble::LoseAnswer]);
    world.slack.trouble("chat.update", [Trouble::LoseAnswer]);
    world.start();
    world.typed("U1", "C1", SCALE, "1.1.a").await;
    let update = world.until("an edit", |world| world.slack.called("chat.update").into_iter().nth(1)).await;
    assert!(update["text"].as_str().unwrap().contains("awaiting"));
    assert_eq!(world.slack.called("chat.postMessage").len(), 2, "one refused, one whose answer was lost");
    assert!(!world.slack.called("conversations.history").is_empty());
    world.message("C1", "awaiting").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_again_and_again_is_given_up_and_its_person_is_told() {
    let world = World::new("slack_given_up", "signing_secret").await;
    let ledger = &world.app.ledger;
    let arrival = Arrival {
        key: "slack:event:Ev1".into(),
        actor: "slack:T1:U1".parse().unwrap(),
        place: Place("slack:T1:C1".into()),
        event: Event::Line { text: SCALE.into() },
        reply_to: None,
    };
    ledger.receive(&arrival, "dead", Duration::ZERO, Timestamp::now()).await.unwrap().unwrap();
    for _ in 0..10 {
        assert_eq!(ledger.claim_inbox("dead", Duration::ZERO, 9).await.unwrap().len(), 1);
    }
    world.start();
    let told = world.until("word that it was given up", |world| world.slack.lock().private.pop()).await;
    assert!(
        told["user"] == "U1" && told["text"].as_str().unwrap().contains("could not be handled"),
        "{told}"
    );
    let filter = EntryFilter { kind: Some("event.given_up".into()), limit: 9, ..EntryFilter::default() };
    assert_eq!(world.app.ledger.entries(&filter).await.unwrap().len(), 1);
    assert_eq!(world.slack.called("chat.postMessage").len(), 0, "it was not done after all");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_whose_blocks_slack_refuses_is_said_in_words_with_the_way_to_its_buttons() {
    let world = World::new("slack_refused", "signing_secret").await;
    world.slack.trouble("chat.postMessage", [Trouble::Refused("invalid_blocks")]);
    world.start();
    world.typed("U1", "C1", SCALE, "1.1.a").await;
    let card = world.message("C1", "awaiting").await;
    assert_eq!(card["blocks"], json!([]), "{card}");
    let text = card["text"].as_str().unwrap();
    assert!(text.contains("&lt;sale&gt;") && text.contains("/requests/"), "{text}");
    let posts = world.slack.called("chat.postMessage");
    assert!(!posts[0]["blocks"].as_array().unwrap().is_empty(), "first as it is drawn");
    world.click("U2", "C1", &button(&posts[0], "approve"), "2.1.a").await;
    let card = world.message("C1", "[succeeded]").await;
    assert!(!card["blocks"].as_array().unwrap().is_empty(), "drawn again when Slack takes it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_whose_blocks_slack_refuses_is_said_in_words_too() {
    let world = World::new("slack_refused_edit", "signing_secret").await;
    world.slack.trouble("chat.update", [Trouble::Refused("msg_blocks_too_long")]);
    world.start();
    world.typed("U1", "C1", SCALE, "1.1.a").await;
    world.message("C1", "awaiting").await;
    // There is only one edit: nothing happens after a request was called off.
    let posts = world.slack.called("chat.postMessage");
    world.click("U1", "C1", &button(&posts[0], "cancel"), "2.1.a").await;
    let card = world.message("C1", "[cancelled]").await;
    assert_eq!(card["blocks"], json!([]), "{card}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_waits_a_little_for_its_picture_and_comes_without_it_rather_than_never() {
    let world = World::new("slack_picture", "signing_secret").await;
    let picture = Picture {
        id: PictureId::new(),
        alt: "load of checkout".into(),
        svg: "<svg/>".into(),
        png: vec![1; 4],
    };
    world.app.ledger.keep_picture(&picture, Timestamp::now()).await.unwrap();
    world.start();
    for (channel, refusals) in [("C1", 2), ("C2", 9)] {
        world
            .slack
            .trouble("chat.postMessage", std::iter::repeat_n(Trouble::Refused("invalid_blocks"), refusals));
        let shown = bot::card::Picture { id: picture.id, alt: picture.alt.clone() };
        let card = Card { picture: Some(shown), ..Card::titled(Tone::Neutral, "a chart") };
        let place = Place(format!("slack:T1:{channel}"));
        world.app.ledger.say(channel, &place, None, &serde_json::to_value(card).unwrap()).await.unwrap();
        let card = world.message(channel, "a chart").await;
        assert_eq!(card.to_string().contains("\"F1\""), channel == "C1", "{card}");
        assert!(card["text"].as_str().unwrap().contains("load of checkout"), "{card}");
    }
    assert_eq!(world.slack.called("files.completeUploadExternal").len(), 1, "put there once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_that_changed_while_its_answer_was_lost_is_still_found() {
    let world = World::new("slack_lost_changed", "signing_secret").await;
    world.slack.trouble("chat.postMessage", [Trouble::LoseAnswer]);
    world.start();
    world.typed("U1", "C1", SCALE, "1.1.a").await;
    let card = world.message("C1", "awaiting").await;
    world.click("U2", "C1", &button(&card, "approve"), "2.1.a").await;
    world.message("C1", "[succeeded]").await;
    assert_eq!(world.slack.called("chat.postMessage").len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denial_asks_for_its_reason_in_a_form_and_opening_it_decides_nothing() {
    let world = World::new("slack_form", "signing_secret").await;
    world.start();
    world.typed("U1", "C1", SCALE, "1.1.a").await;
    let card = world.message("C1", "awaiting").await;
    assert_eq!(world.click("U2", "C1", &button(&card, "deny"), "2.1.a").await, (200, String::new()));
    let opened = world.slack.called("views.open").pop().expect("a form");
    assert_eq!(opened["trigger_id"], "2.1.a");
    let view = &opened["view"];
    let headline = view["blocks"][0]["text"]["text"].as_str().unwrap();
    assert!(headline.contains("prod-eu, production"), "{headline}");
    world.message("C1", "[awaiting 0 of 1]").await;
    let input = &view["blocks"][1];
    let (block, action) =
        (input["block_id"].as_str().unwrap(), input["element"]["action_id"].as_str().unwrap());
    let sent = json!({
        "type": "view_submission", "team": null, "user": { "id": "U2", "team_id": "T1" }, "trigger_id": "3.1.a",
        "view": { "id": "V1", "hash": "h", "callback_id": view["callback_id"], "private_metadata": view["private_metadata"],
                  "state": { "values": { block: { action: { "type": "plain_text_input", "value": "not <now>" } } } } },
    });
    assert_eq!(world.interaction(sent).await, (200, String::new()));
    let denied = world.message("C1", "[denied]").await;
    assert!(denied["text"].as_str().unwrap().contains("not &lt;now&gt;"), "{denied}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_petrel_is_not_invited_the_card_goes_to_the_person_who_asked() {
    let world = World::new("slack_closed", "signing_secret").await;
    world.slack.lock().closed.push("C9".into());
    world.start();
    world.typed("U1", "C9", SCALE, "1.1.a").await;
    world.message("DU1", "awaiting").await;
    let said = world.until("a word about it", |world| world.slack.lock().private.pop()).await;
    assert!(said["text"].as_str().unwrap().contains("/invite @petrel"), "{said}");
    world.typed("U1", "C9", "whoami", "1.2.a").await;
    let answer = world.until("an answer", |world| world.slack.lock().private.pop()).await;
    assert!(answer["text"].as_str().unwrap().contains("slack:T1:U1"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_slack_did_not_sign_is_refused_and_its_address_check_is_answered() {
    let world = World::new("slack_signed", "signing_secret").await;
    let body = json!({ "type": "url_verification", "challenge": "3eZbrw1aB" }).to_string();
    let (status, answer) = world.send("/slack/events", "application/json", body.clone()).await;
    assert!(status == 200 && answer.contains("3eZbrw1aB"), "{answer}");
    let now = Timestamp::now().as_second();
    for (at, secret) in [(now, "another"), (now - 400, SECRET), (now + 400, SECRET)] {
        let at = at.to_string();
        let signed = signature::sign(secret.as_bytes(), &at, body.as_bytes());
        let (status, _) =
            world.send_signed("/slack/events", "application/json", body.clone(), &at, &signed).await;
        assert_eq!(status, 401);
    }
    // Refused while it is still being sent: whoever sends may see the answer, or only that nobody reads on.
    // By a client of its own: such a connection is not to be used again.
    let other = reqwest::Client::new();
    let large = other.post(format!("{}/slack/events", world.petrel)).body("x".repeat(2 << 20));
    assert!(large.send().await.map_or(true, |answer| answer.status() == 413));
    assert_eq!(world.send("/slack/events", "application/json", "{".into()).await.0, 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_database_events_are_to_be_sent_again_and_people_are_told() {
    let world = World::new("slack_down", "signing_secret").await;
    world.app.ledger.clone().close().await;
    let mention = mention("<@U0BOT> clusters", "Ev1").to_string();
    assert_eq!(world.send("/slack/events", "application/json", mention).await.0, 503);
    let (status, said) = world.typed("U1", "C1", "clusters", "1.1.a").await;
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((status, &said["response_type"]), (200, &json!("ephemeral")));
    assert!(said["text"].as_str().unwrap().contains("not taken in"), "{said}");
}

fn mention(text: &str, id: &str) -> Value {
    json!({ "type": "event_callback", "team_id": "T1", "event_id": id,
            "authorizations": [{ "team_id": "T1", "user_id": "U0BOT", "is_bot": true }],
            "event": { "type": "app_mention", "user": "U1", "text": text, "channel": "C1", "ts": "1.1", "team": "T1" } })
}

struct Line {
    socket: WebSocketStream<tokio::net::TcpStream>,
}

impl Line {
    async fn accept(listener: &TcpListener) -> Line {
        let (stream, _) = tokio::time::timeout(WITHIN, listener.accept()).await.expect("a socket").unwrap();
        let mut line = Line { socket: tokio_tungstenite::accept_async(stream).await.unwrap() };
        line.say(json!({ "type": "hello", "num_connections": 1, "connection_info": { "app_id": "A1" } }))
            .await;
        line
    }

    async fn say(&mut self, frame: Value) {
        self.socket.send(Message::text(frame.to_string())).await.unwrap();
    }

    /// The next acknowledgement.
    async fn ack(&mut self) -> Value {
        loop {
            let frame = tokio::time::timeout(WITHIN, self.socket.next()).await.expect("a frame");
            if let Message::Text(text) = frame.expect("an open socket").unwrap() {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_sockets_what_is_durable_is_acknowledged_and_the_next_socket_is_open_before_the_old_one_closes()
{
    let world = World::new("slack_socket", "app_token").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.slack.lock().socket = Some(format!("ws://{}/link", listener.local_addr().unwrap()));
    world.start();
    let (mut first, mut second) = (Line::accept(&listener).await, Line::accept(&listener).await);
    let envelope = |id: &str, payload: Value| json!({ "type": "events_api", "envelope_id": id, "payload": payload, "accepts_response_payload": false });
    let event = mention("please <@U0BOT> whoami", "Ev1");
    let plain = mention("<@U0BOT> whoami", "Ev2");
    first.say(envelope("e1", event)).await;
    assert_eq!(first.ack().await, json!({ "envelope_id": "e1" }));
    second.say(envelope("e2", plain.clone())).await;
    second.say(envelope("e3", plain)).await;
    let mut acks = [second.ack().await, second.ack().await].map(|ack| ack["envelope_id"].to_string());
    acks.sort();
    assert_eq!(acks, ["\"e2\"", "\"e3\""], "sent again, acknowledged again");
    let private = |world: &World| (world.slack.lock().private.len() == 2).then_some(());
    world.until("one answer to each line", private).await;
    first.say(json!({ "type": "disconnect", "reason": "warning" })).await;
    let mut third = Line::accept(&listener).await;
    first
        .say(envelope(
            "e4",
            json!({ "type": "event_callback", "event_id": "Ev3", "event": { "type": "unknown" } }),
        ))
        .await;
    assert_eq!(first.ack().await["envelope_id"], "e4", "the old socket still answers");
    let command = world.command("U1", "C1", "whoami", "5.5.a");
    third.say(json!({ "type": "slash_commands", "envelope_id": "e5", "payload": command, "accepts_response_payload": true })).await;
    assert_eq!(third.ack().await, json!({ "envelope_id": "e5" }));
    drop(second);
    Line::accept(&listener).await;
}
