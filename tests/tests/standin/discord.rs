//! The stand-in Discord.

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::time::Duration;
use tests::{
    discord::{APP, Discord, ENOUGH, EPHEMERAL, GUILD, Mode, Rules, TOKEN, permission},
    fault::{Chances, Trouble},
    server::Server,
    wait,
};
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, tungstenite::Message};

const WITHIN: Duration = Duration::from_secs(10);
/// Guilds, messages in guilds and direct ones.
const INTENTS: u64 = 1 | (1 << 9) | (1 << 12);

struct Stage {
    discord: Discord,
    http: reqwest::Client,
    ann: String,
    ops: String,
}

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

impl Stage {
    async fn new(rules: Rules) -> Stage {
        let discord = Discord::start(rules).await.expect("a guild");
        let ann = discord.add_person("ann");
        let ops = discord.add_channel("ops", ENOUGH);
        Stage { discord, http: reqwest::Client::new(), ann, ops }
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let method = method.parse().expect("a method");
        let mut call = self.http.request(method, format!("{}{path}", self.discord.url()));
        call = call.header("authorization", format!("Bot {TOKEN}"));
        if !body.is_null() {
            call = call.json(&body);
        }
        let answer = call.send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    async fn code(&self, method: &str, path: &str, body: Value) -> (u16, u64) {
        let (status, body) = self.call(method, path, body).await;
        (status, body["code"].as_u64().unwrap_or_else(|| panic!("a code: {status} {body}")))
    }

    fn messages(&self) -> String {
        format!("/channels/{}/messages", self.ops)
    }

    async fn open(&self, path: &str) -> Client {
        let url = format!(
            "{}{path}?v=10&encoding=json",
            self.discord.url().replace("http:", "ws:").replace("/api/v10", "")
        );
        let (mut socket, _) = tokio_tungstenite::connect_async(url).await.expect("a connection");
        assert_eq!(next(&mut socket).await["op"], 10);
        socket
    }

    async fn identified(&self, intents: u64) -> (Client, Value) {
        let mut socket = self.open("/gateway").await;
        say(&mut socket, json!({"op": 2, "d": {"token": TOKEN, "intents": intents, "properties": {}}})).await;
        let ready = next(&mut socket).await;
        assert_eq!(ready["t"], "READY", "{ready}");
        assert_eq!(next(&mut socket).await["t"], "GUILD_CREATE");
        (socket, ready["d"].clone())
    }
}

async fn say(socket: &mut Client, value: Value) {
    socket.send(Message::text(value.to_string())).await.expect("sent");
}

/// The next JSON; a close code's number at the end.
async fn next(socket: &mut Client) -> Value {
    loop {
        match tokio::time::timeout(WITHIN, socket.next()).await.expect("something in time") {
            Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).expect("JSON"),
            Some(Ok(Message::Close(frame))) => return json!(frame.map(|frame| u16::from(frame.code))),
            Some(Err(_)) | None => return Value::Null,
            Some(Ok(_)) => {}
        }
    }
}

/// Past what else is told, to the event that is meant.
async fn event(socket: &mut Client, name: &str) -> Value {
    loop {
        let payload = next(socket).await;
        assert!(payload.is_object(), "the connection ended: {payload}");
        if payload["t"] == name {
            return payload["d"].clone();
        }
    }
}

fn pressed(label: &str, id: &str) -> Value {
    json!([{"type": 1, "components": [{"type": 2, "style": 1, "label": label, "custom_id": id}]}])
}

#[tokio::test]
async fn tokens_channels_and_permissions_are_checked_with_discords_codes() {
    let stage = Stage::new(Rules::default()).await;
    let nobody =
        stage.http.get(format!("{}/users/@me", stage.discord.url())).send().await.expect("an answer");
    assert_eq!(nobody.status(), 401);
    assert_eq!(stage.call("GET", "/users/@me", Value::Null).await.1["id"], APP);
    let hello = json!({"content": "hello"});
    assert_eq!(stage.code("POST", "/channels/1/messages", hello.clone()).await, (404, 10003));
    stage.discord.permit(&stage.ops, 0);
    assert_eq!(stage.code("POST", &stage.messages(), hello.clone()).await, (403, 50001));
    stage.discord.permit(&stage.ops, permission::VIEW);
    assert_eq!(stage.code("POST", &stage.messages(), hello.clone()).await, (403, 50013));
    stage.discord.permit(&stage.ops, permission::VIEW | permission::SEND);
    let embed = json!({"content": "x", "embeds": [{"title": "t"}]});
    let (status, message) = stage.call("POST", &stage.messages(), embed).await;
    assert_eq!((status, &message["embeds"]), (200, &json!([])), "without the permission embeds vanish");
    assert_eq!(stage.call("GET", &stage.messages(), Value::Null).await.1, json!([]), "nor may it read");

    let direct = stage.call("POST", "/users/@me/channels", json!({"recipient_id": stage.ann})).await.1;
    let path = format!("/channels/{}/messages", direct["id"].as_str().expect("an id"));
    stage.discord.open_to_bots(&stage.ann, false);
    assert_eq!(stage.code("POST", &path, hello).await, (403, 50007));
    assert_eq!(stage.discord.invalid_requests(), 4);
    stage.discord.break_token(true);
    assert_eq!(stage.call("GET", "/users/@me", Value::Null).await.0, 401);
}

#[tokio::test]
async fn messages_are_posted_edited_found_and_only_ones_own() {
    let stage = Stage::new(Rules::default()).await;
    let (status, made) = stage.call("POST", &stage.messages(), json!({"content": "one"})).await;
    assert_eq!(status, 200);
    let path = format!("{}/{}", stage.messages(), made["id"].as_str().expect("an id"));
    let edit = json!({"components": pressed("Approve", "a")});
    assert_eq!(stage.call("PATCH", &path, edit).await.1["content"], "one", "what is not given is kept");
    let message = stage.discord.messages(&stage.ops).pop().expect("the message");
    assert_eq!((message.before.len(), message.content.buttons().len()), (1, 1));
    stage.discord.mention(&stage.ann, &stage.ops, "hello").await;
    let (_, found) = stage.call("GET", &format!("{}?limit=1", stage.messages()), Value::Null).await;
    let theirs = format!("{}/{}", stage.messages(), found[0]["id"].as_str().expect("an id"));
    assert_eq!(stage.code("PATCH", &theirs, json!({"content": "x"})).await, (403, 50005));
    stage.discord.delete(&stage.ops, message.id);
    assert_eq!(stage.code("PATCH", &path, json!({"content": "x"})).await, (404, 10008));
}

#[tokio::test]
async fn what_is_beyond_discords_limits_is_refused_and_told_where() {
    let stage = Stage::new(Rules { faster: 100.0, ..Rules::default() }).await;
    let long = |n: usize| "x".repeat(n);
    let fields = |n: usize| json!({"fields": vec![json!({"name": "n", "value": "v"}); n]});
    let buttons = |n: usize| {
        let one = |n: usize| json!({"type": 2, "style": 1, "label": "x", "custom_id": n.to_string()});
        json!([{"type": 1, "components": (0..n).map(one).collect::<Vec<_>>()}])
    };
    let good = [
        json!({"content": long(2000)}),
        json!({"embeds": [{"title": long(256), "description": long(4096)}]}),
        json!({"embeds": [fields(25)], "components": buttons(5)}),
        json!({"content": "x", "components": pressed(&long(80), &long(100))}),
    ];
    for body in good {
        let (status, answer) = stage.call("POST", &stage.messages(), body).await;
        assert_eq!(status, 200, "{answer}");
    }
    let bad = [
        (json!({"content": long(2001)}), "/errors/content"),
        (json!({"embeds": [{"title": long(257)}]}), "/errors/embeds/0/title"),
        (json!({"embeds": [{"description": long(4097)}]}), "/errors/embeds/0/description"),
        (json!({"embeds": [{"description": long(4000)}, {"description": long(2001)}]}), "/errors/embeds"),
        (json!({"embeds": [fields(26)]}), "/errors/embeds/0/fields"),
        (json!({"embeds": [{"fields": [{"name": "n", "value": ""}]}]}), "/errors/embeds/0/fields/0/value"),
        (json!({"embeds": vec![json!({"title": "x"}); 11]}), "/errors/embeds"),
        (json!({"content": "x", "components": buttons(6)}), "/errors/components/0/components"),
        (
            json!({"content": "x", "components": pressed(&long(81), "a")}),
            "/errors/components/0/components/0/label",
        ),
        (
            json!({"content": "x", "components": pressed("x", &long(101))}),
            "/errors/components/0/components/0/custom_id",
        ),
        (
            json!({"content": "x", "components": [pressed("x", "a")[0], pressed("y", "a")[0]]}),
            "/errors/components/1/components/0/custom_id",
        ),
        (json!({"content": "x", "nonce": long(26)}), "/errors/nonce"),
        (
            json!({"content": "x", "flags": 1 << 15, "components": [{"type": 10, "content": "x"}]}),
            "/errors/content",
        ),
    ];
    for (body, path) in bad {
        let (status, answer) = stage.call("POST", &stage.messages(), body.clone()).await;
        assert_eq!((status, &answer["code"]), (400, &json!(50035)), "{answer} {body}");
        assert!(answer.pointer(path).is_some(), "{path} in {answer}");
    }
    assert_eq!(stage.code("POST", &stage.messages(), json!({"content": ""})).await, (400, 50006));
    let command = |name: &str| json!([{"name": name, "description": "d"}]);
    let path = format!("/applications/{APP}/commands");
    assert_eq!(stage.code("PUT", &path, command("Petrel")).await, (400, 50035));
    assert_eq!(stage.call("PUT", &path, command("petrel")).await.1[0]["name"], "petrel");
}

#[tokio::test]
async fn a_nonce_that_is_enforced_gives_the_same_message_again() {
    let stage = Stage::new(Rules::default()).await;
    let body = json!({"content": "card", "nonce": "card-1", "enforce_nonce": true});
    stage.discord.faults().plan("POST /channels", Trouble::LoseAnswer);
    let url = format!("{}{}", stage.discord.url(), stage.messages());
    let lost = stage.http.post(&url).header("authorization", format!("Bot {TOKEN}")).json(&body).send().await;
    assert!(lost.is_err(), "the answer is lost");
    let (status, again) = stage.call("POST", &stage.messages(), body).await;
    assert_eq!((status, &again["nonce"]), (200, &json!("card-1")));
    assert_eq!(stage.discord.messages(&stage.ops).len(), 1, "and there is one message");
}

#[tokio::test]
async fn windows_are_told_in_headers_and_kept_and_fifty_a_second_are_the_most() {
    let stage = Stage::new(Rules::default()).await;
    let url = format!("{}{}", stage.discord.url(), stage.messages());
    let post = async || {
        let call = stage.http.post(&url).header("authorization", format!("Bot {TOKEN}"));
        call.json(&json!({"content": "x"})).send().await.expect("an answer")
    };
    let first = post().await;
    assert_eq!(
        (&first.headers()["x-ratelimit-limit"], &first.headers()["x-ratelimit-remaining"]),
        (&"5".parse().unwrap(), &"4".parse().unwrap())
    );
    for _ in 0..4 {
        post().await;
    }
    let refused = post().await;
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["x-ratelimit-scope"], "user");
    let body: Value = refused.json().await.expect("JSON");
    assert!(body["retry_after"].as_f64().is_some_and(|s| s > 0.0 && s <= 5.0), "{body}");
    let mut global = None;
    for _ in 0..60 {
        let call = stage.http.get(format!("{}/users/@me", stage.discord.url()));
        let answer = call.header("authorization", format!("Bot {TOKEN}")).send().await.expect("an answer");
        if answer.status() == 429 {
            global = Some(answer);
            break;
        }
    }
    assert_eq!(global.expect("a limit").headers()["x-ratelimit-global"], "true");
}

#[tokio::test]
async fn an_interaction_is_answered_first_within_three_seconds_and_once() {
    let rules =
        Rules { respond: Duration::from_millis(400), token: Duration::from_millis(900), ..Rules::default() };
    let stage = Stage::new(rules).await;
    let path = format!("/applications/{APP}/commands");
    stage.call("PUT", &path, json!([{"name": "petrel", "description": "d"}])).await;
    let (mut socket, _) = stage.identified(INTENTS).await;
    let command = || {
        let (discord, ann, ops) = (stage.discord.clone(), stage.ann.clone(), stage.ops.clone());
        tokio::spawn(async move { discord.command(&ann, &ops, "petrel", json!([])).await })
    };
    let asked = command();
    let told = event(&mut socket, "INTERACTION_CREATE").await;
    assert_eq!((&told["member"]["user"]["id"], &told["guild_id"]), (&json!(stage.ann), &json!(GUILD)));
    let token = told["token"].as_str().expect("a token").to_string();
    let callback = format!("/interactions/{}/{token}/callback", told["id"].as_str().expect("an id"));
    let original = format!("/webhooks/{APP}/{token}/messages/@original");
    assert_eq!(
        stage.code("PATCH", &original, json!({"content": "x"})).await,
        (404, 10015),
        "not answered yet"
    );
    let update = json!({"type": 7, "data": {"content": "x"}});
    assert_eq!(stage.code("POST", &callback, update).await, (400, 50035), "nothing to update");
    let (status, _) = stage.call("POST", &callback, json!({"type": 5, "data": {"flags": EPHEMERAL}})).await;
    assert_eq!(status, 204);
    assert!(stage.discord.is_thinking(&stage.ops));
    assert_eq!(stage.code("POST", &callback, json!({"type": 5})).await, (400, 40060));
    let outcome = asked.await.expect("asked");
    assert!(outcome.answered.is_some() && outcome.with == Some(5));
    assert_eq!(stage.call("PATCH", &original, json!({"content": "there"})).await.0, 200);
    let bob = stage.discord.add_person("bob");
    assert_eq!(stage.discord.seen_by(&stage.ann, &stage.ops)[0].content.content, "there");
    assert!(stage.discord.seen_by(&bob, &stage.ops).is_empty(), "for ann alone");
    let follow = format!("/webhooks/{APP}/{token}");
    assert_eq!(stage.call("POST", &follow, json!({"content": "more"})).await.0, 200);
    wait::until("the token's end", WITHIN, || async {
        let (status, body) = stage.call("PATCH", &original, json!({"content": "late"})).await;
        (status == 401 && body["code"] == 50027).then_some(())
    })
    .await;

    let asked = command();
    let told = event(&mut socket, "INTERACTION_CREATE").await;
    assert_eq!(asked.await.expect("asked").answered, None, "the person sees that it failed");
    let late = format!(
        "/interactions/{}/{}/callback",
        told["id"].as_str().unwrap(),
        told["token"].as_str().unwrap()
    );
    assert_eq!(stage.code("POST", &late, json!({"type": 5})).await, (404, 10062));
}

#[tokio::test]
async fn a_click_opens_a_modal_that_is_filled_in() {
    let stage = Stage::new(Rules::default()).await;
    let (mut socket, _) = stage.identified(INTENTS).await;
    let (_, card) = stage
        .call("POST", &stage.messages(), json!({"content": "c", "components": pressed("Deny", "d1")}))
        .await;
    let id: u64 = card["id"].as_str().expect("an id").parse().expect("a number");
    let click = {
        let (discord, ann, ops) = (stage.discord.clone(), stage.ann.clone(), stage.ops.clone());
        tokio::spawn(async move { discord.click(&ann, &ops, id, "deny").await })
    };
    let told = event(&mut socket, "INTERACTION_CREATE").await;
    assert_eq!((&told["data"]["custom_id"], &told["message"]["id"]), (&json!("d1"), &card["id"]));
    let callback = |told: &Value| {
        format!("/interactions/{}/{}/callback", told["id"].as_str().unwrap(), told["token"].as_str().unwrap())
    };
    let modal = |title: &str| {
        json!({"type": 9, "data": {"custom_id": "m1", "title": title, "components": [{"type": 18, "label": "Why",
            "component": {"type": 4, "custom_id": "why", "style": 2}}]}})
    };
    assert_eq!(stage.code("POST", &callback(&told), modal(&"x".repeat(46))).await, (400, 50035));
    assert_eq!(stage.call("POST", &callback(&told), modal("Deny")).await.0, 204);
    click.await.expect("clicked").expect("a button");
    let shown = stage.discord.modal(&stage.ann).expect("on ann's screen");
    let submit = {
        let discord = stage.discord.clone();
        tokio::spawn(async move { discord.submit(&shown, |label| format!("my {label}")).await })
    };
    let told = event(&mut socket, "INTERACTION_CREATE").await;
    assert_eq!(told["type"], 5);
    assert_eq!(told["data"]["components"][0]["component"]["value"], "my Why");
    assert_eq!(
        stage.code("POST", &callback(&told), modal("again")).await,
        (400, 50035),
        "no modal after a modal"
    );
    assert_eq!(stage.call("POST", &callback(&told), json!({"type": 6})).await.0, 204);
    assert!(submit.await.expect("submitted").answered.is_some());
    assert!(stage.discord.modal(&stage.ann).is_none());
}

#[tokio::test]
async fn the_gateway_checks_who_identifies_and_wants_heartbeats() {
    let stage = Stage::new(Rules { heartbeat: Duration::from_millis(200), ..Rules::default() }).await;
    for (payload, code) in [
        (json!({"op": 2, "d": {"token": "wrong", "intents": 1, "properties": {}}}), 4004),
        (json!({"op": 2, "d": {"token": TOKEN, "intents": 1_u64 << 40, "properties": {}}}), 4013),
        (json!({"op": 2, "d": {"token": TOKEN, "intents": 1 << 8, "properties": {}}}), 4014),
        (json!({"op": 3, "d": {}}), 4003),
        (json!({"op": 99}), 4001),
    ] {
        let mut socket = stage.open("/gateway").await;
        say(&mut socket, payload).await;
        assert_eq!(next(&mut socket).await, json!(code));
    }
    let (mut socket, _) = stage.identified(INTENTS).await;
    say(&mut socket, json!({"op": 1, "d": 2})).await;
    assert_eq!(next(&mut socket).await["op"], 11);
    assert_eq!(next(&mut socket).await, json!(4009), "no further heartbeat");
    assert_eq!(stage.discord.connections(), 0);
}

#[tokio::test]
async fn a_session_is_resumed_with_what_was_missed_or_is_gone() {
    let stage = Stage::new(Rules::default()).await;
    let (mut socket, ready) = stage.identified(INTENTS).await;
    stage.discord.mention(&stage.ann, &stage.ops, "one").await;
    event(&mut socket, "MESSAGE_CREATE").await;
    stage.discord.drop_connections();
    assert_eq!(next(&mut socket).await, Value::Null);
    assert!(stage.discord.mention(&stage.ann, &stage.ops, "two").await, "kept for later");
    let resume = json!({"op": 6, "d": {"token": TOKEN, "session_id": ready["session_id"], "seq": 3}});
    let mut socket = stage.open("/gateway/resume").await;
    say(&mut socket, resume.clone()).await;
    let missed = event(&mut socket, "MESSAGE_CREATE").await;
    assert_eq!(missed["content"], format!("<@{APP}> two"));
    assert_eq!(next(&mut socket).await["t"], "RESUMED");
    stage.discord.ask_to_reconnect();
    assert_eq!(next(&mut socket).await["op"], 7);
    stage.discord.invalidate_sessions(false);
    assert_eq!(next(&mut socket).await["op"], 9);
    let mut socket = stage.open("/gateway").await;
    say(&mut socket, resume).await;
    assert_eq!(next(&mut socket).await, json!({"op": 9, "d": false}), "it is gone");
}

#[tokio::test]
async fn without_the_intent_only_what_mentions_the_bot_is_to_be_read() {
    let stage = Stage::new(Rules::default()).await;
    let (mut socket, _) = stage.identified(INTENTS).await;
    stage.discord.mention(&stage.ann, &stage.ops, "hello").await;
    assert_eq!(event(&mut socket, "MESSAGE_CREATE").await["content"], format!("<@{APP}> hello"));
    stage.discord.direct(&stage.ann, "psst").await;
    let direct = event(&mut socket, "MESSAGE_CREATE").await;
    assert_eq!((&direct["content"], direct.get("guild_id")), (&json!("psst"), None));
    let (mut deaf, _) = stage.identified(1).await;
    stage.discord.mention(&stage.ann, &stage.ops, "hello").await;
    stage.discord.close_connections(4000);
    assert_eq!(next(&mut deaf).await, json!(4000), "no intent, no event");
}

#[tokio::test]
async fn over_http_interactions_are_signed_and_the_reply_is_the_first_answer() {
    let stage = Stage::new(Rules::default()).await;
    let key: [u8; 32] = hex::decode(stage.discord.public_key()).expect("hex").try_into().expect("32 bytes");
    let key = ed25519_dalek::VerifyingKey::from_bytes(&key).expect("a key");
    let app = axum::Router::new().fallback(move |headers: axum::http::HeaderMap, body: String| async move {
        let text = |name: &str| headers[name].to_str().unwrap().to_string();
        let signature: [u8; 64] = hex::decode(text("x-signature-ed25519")).unwrap().try_into().unwrap();
        let signed = format!("{}{body}", text("x-signature-timestamp"));
        let signature = ed25519_dalek::Signature::from_bytes(&signature);
        if key.verify_strict(signed.as_bytes(), &signature).is_err() {
            return (axum::http::StatusCode::UNAUTHORIZED, axum::Json(json!({})));
        }
        let ping = serde_json::from_str::<Value>(&body).unwrap()["type"] == 1;
        let said = if ping { json!({"type": 1}) } else { json!({"type": 4, "data": {"content": "hi"}}) };
        (axum::http::StatusCode::OK, axum::Json(said))
    });
    let petrel = Server::start(app).await.expect("a listener");
    let url = format!("http://{}/discord", petrel.address());
    assert_eq!(stage.discord.verify_url(&url).await, (200, 401, true));
    stage.discord.set_mode(Mode::Http { url });
    let path = format!("/applications/{APP}/commands");
    stage.call("PUT", &path, json!([{"name": "petrel", "description": "d"}])).await;
    let outcome = stage.discord.command(&stage.ann, &stage.ops, "petrel", json!([])).await;
    assert_eq!(outcome.with, Some(4));
    assert_eq!(stage.discord.seen_by(&stage.ann, &stage.ops)[0].content.content, "hi");
    stage.discord.faults().set_chances(Chances { lost: 1.0, ..Chances::default() });
    let stage_rules_lost = stage.discord.command(&stage.ann, &stage.ops, "petrel", json!([])).await;
    assert_eq!(stage_rules_lost.answered, None);
}

#[tokio::test]
async fn pings_and_links_are_found_as_discord_would() {
    let stage = Stage::new(Rules::default()).await;
    let text =
        "@everyone <@123> `https://code.example` [console](https://evil.example) ```\nhttp://in.code\n```";
    stage.call("POST", &stage.messages(), json!({"content": text})).await;
    stage.call("POST", &stage.messages(), json!({"content": text, "allowed_mentions": {"parse": []}})).await;
    let messages = stage.discord.messages(&stage.ops);
    assert_eq!(messages[0].pings(), ["@everyone", "@123"]);
    assert_eq!(messages[1].pings(), Vec::<String>::new());
    assert_eq!(messages[0].content.links(), ["https://evil.example"]);
}
