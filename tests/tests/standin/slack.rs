//! The stand-in Slack.

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tests::{
    fault::{Chances, Trouble},
    server::Server,
    slack::{APP_TOKEN, BOT, BOT_TOKEN, Kind, Mode, Rules, Slack, links, pings},
    wait,
};
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, tungstenite::Message};

const WITHIN: Duration = Duration::from_secs(10);

struct Stage {
    slack: Slack,
    http: reqwest::Client,
    ann: String,
    ops: String,
}

impl Stage {
    async fn new(rules: Rules) -> Stage {
        let slack = Slack::start(rules).await.expect("a workspace");
        let ann = slack.add_person("ann");
        let ops = slack.add_channel("ops", Kind::Public, true);
        Stage { slack, http: reqwest::Client::new(), ann, ops }
    }

    async fn call(&self, name: &str, arguments: Value) -> Value {
        self.call_as(BOT_TOKEN, name, arguments).await.1
    }

    async fn call_as(&self, token: &str, name: &str, arguments: Value) -> (u16, Value) {
        let call = self.http.post(format!("{}/{name}", self.slack.url())).bearer_auth(token);
        let answer = call.json(&arguments).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    }

    async fn get(&self, name: &str, query: &[(&str, &str)]) -> Value {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        let url = format!("{}/{name}?{query}", self.slack.url());
        let answer = self.http.get(url).bearer_auth(BOT_TOKEN).send().await.expect("an answer");
        answer.json().await.expect("JSON")
    }

    async fn error(&self, name: &str, arguments: Value) -> String {
        let answer = self.call(name, arguments).await;
        assert_eq!(answer["ok"], false, "{answer}");
        answer["error"].as_str().expect("a word").to_string()
    }

    async fn post(&self, text: &str) -> String {
        let answer = self.call("chat.postMessage", json!({"channel": self.ops, "text": text})).await;
        assert_eq!(answer["ok"], true, "{answer}");
        answer["ts"].as_str().expect("a ts").to_string()
    }

    async fn socket(&self) -> Client {
        let (_, opened) = self.call_as(APP_TOKEN, "apps.connections.open", json!({})).await;
        let url = opened["url"].as_str().unwrap_or_else(|| panic!("a url: {opened}"));
        let (mut socket, _) = tokio_tungstenite::connect_async(url).await.expect("a socket");
        assert_eq!(next(&mut socket).await["type"], "hello");
        socket
    }
}

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The next JSON; null at the end.
async fn next(socket: &mut Client) -> Value {
    loop {
        match tokio::time::timeout(WITHIN, socket.next()).await.expect("something in time") {
            Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).expect("JSON"),
            Some(Ok(Message::Close(_)) | Err(_)) | None => return Value::Null,
            Some(Ok(_)) => {}
        }
    }
}

async fn acknowledge(socket: &mut Client, envelope: &Value, payload: Option<Value>) {
    let mut answer = json!({"envelope_id": envelope["envelope_id"]});
    if let Some(payload) = payload {
        answer["payload"] = payload;
    }
    socket.send(Message::text(answer.to_string())).await.expect("sent");
}

fn button(value: &str) -> Value {
    json!([{"type": "actions", "block_id": "b", "elements": [{"type": "button", "action_id": "yes", "value": value,
        "text": {"type": "plain_text", "text": "Approve"}}]}])
}

#[tokio::test]
async fn tokens_scopes_channels_and_methods_are_checked_in_slacks_words() {
    let stage = Stage::new(Rules::default()).await;
    let url = format!("{}/auth.test", stage.slack.url());
    let nobody: Value = stage.http.post(&url).send().await.expect("sent").json().await.expect("JSON");
    assert_eq!(nobody["error"], "not_authed");
    assert_eq!(stage.call_as("xoxb-other", "auth.test", json!({})).await.1["error"], "invalid_auth");
    let (_, wrong_kind) = stage.call_as(BOT_TOKEN, "apps.connections.open", json!({})).await;
    assert_eq!(wrong_kind["error"], "not_allowed_token_type");
    assert_eq!(stage.error("chat.shout", json!({})).await, "unknown_method");
    let post = |channel: &str| json!({"channel": channel, "text": "x"});
    assert_eq!(stage.error("chat.postMessage", post("C0NOWHERE")).await, "channel_not_found");
    let dev = stage.slack.add_channel("dev", Kind::Public, false);
    assert_eq!(stage.error("chat.postMessage", post(&dev)).await, "not_in_channel");
    assert_eq!(stage.call("conversations.join", json!({"channel": dev})).await["ok"], true);
    assert_eq!(stage.call("chat.postMessage", post(&dev)).await["ok"], true);
    let hidden = stage.slack.add_channel("hidden", Kind::Private, false);
    assert_eq!(stage.error("chat.postMessage", post(&hidden)).await, "channel_not_found");
    stage.slack.archive(&dev, true);
    assert_eq!(stage.error("chat.postMessage", post(&dev)).await, "is_archived");
    stage.slack.take_scope("chat:write");
    let refused = stage.call("chat.postMessage", post(&stage.ops)).await;
    assert_eq!((&refused["error"], &refused["needed"]), (&json!("missing_scope"), &json!("chat:write")));
    stage.slack.break_auth(Some("token_expired"));
    assert_eq!(stage.error("auth.test", json!({})).await, "token_expired");
}

#[tokio::test]
async fn reading_methods_do_not_see_json() {
    let stage = Stage::new(Rules::default()).await;
    assert_eq!(stage.error("users.info", json!({"user": stage.ann})).await, "user_not_found");
    assert_eq!(stage.get("users.info", &[("user", &stage.ann)]).await["user"]["name"], "ann");
    let upload = stage.error("files.getUploadURLExternal", json!({"filename": "a.png", "length": 3})).await;
    assert_eq!(upload, "invalid_arguments");
}

#[tokio::test]
async fn messages_are_posted_edited_found_and_deleted_and_only_ones_own() {
    let stage = Stage::new(Rules::default()).await;
    assert_eq!(stage.error("chat.postMessage", json!({"channel": stage.ops})).await, "no_text");
    let ops = stage.ops.clone();
    let tagged = json!({"channel": ops, "text": "card", "metadata":
        {"event_type": "petrel_card", "event_payload": {"card": "c1"}}});
    let ts = stage.call("chat.postMessage", tagged).await["ts"].as_str().expect("a ts").to_string();
    let query = [("channel", ops.as_str()), ("include_all_metadata", "true")];
    let history = stage.get("conversations.history", &query).await;
    assert_eq!(history["messages"][0]["metadata"]["event_payload"]["card"], "c1", "{history}");
    let plain = stage.get("conversations.history", &[("channel", &ops)]).await;
    assert!(plain["messages"][0].get("metadata").is_none(), "only when asked for: {plain}");

    let edit = json!({"channel": ops, "ts": ts, "text": "new", "blocks": button("1")});
    assert_eq!(stage.call("chat.update", edit).await["ok"], true);
    assert_eq!(
        stage.call("chat.update", json!({"channel": ops, "ts": ts, "text": "newer"})).await["ok"],
        true
    );
    let message = stage.slack.messages(&ops).pop().expect("the message");
    assert_eq!(message.before.len(), 2);
    assert_eq!(message.content.blocks.len(), 1, "blocks that are not given are kept");
    let long = json!({"channel": ops, "ts": ts, "text": "x".repeat(4001)});
    assert_eq!(stage.error("chat.update", long).await, "msg_too_long");

    stage.slack.set_mode(Mode::Http {
        events: String::new(),
        commands: String::new(),
        interactivity: String::new(),
    });
    let theirs = {
        let (slack, ann, ops) = (stage.slack.clone(), stage.ann.clone(), ops.clone());
        tokio::spawn(async move { slack.mention(&ann, &ops, "hello").await });
        wait::until("ann's message", WITHIN, || async {
            stage.slack.messages(&stage.ops).into_iter().find(|message| message.user == stage.ann)
        })
        .await
    };
    let not_mine = json!({"channel": ops, "ts": theirs.ts, "text": "x"});
    assert_eq!(stage.error("chat.update", not_mine.clone()).await, "cant_update_message");
    assert_eq!(stage.error("chat.delete", not_mine).await, "cant_delete_message");
    stage.slack.delete(&ops, &ts);
    let gone = json!({"channel": ops, "ts": ts, "text": "x"});
    assert_eq!(stage.error("chat.update", gone).await, "message_not_found");
}

#[tokio::test]
async fn blocks_beyond_slacks_limits_are_refused() {
    let stage = Stage::new(Rules::default()).await;
    let section = |text: &str| json!({"type": "section", "text": {"type": "mrkdwn", "text": text}});
    let pressed = |text: &str, value: &str, id: &str| {
        json!({"type": "actions", "elements": [{"type": "button", "action_id": id, "value": value,
            "text": {"type": "plain_text", "text": text}}]})
    };
    let header = |kind: &str, text: &str| json!({"type": "header", "text": {"type": kind, "text": text}});
    let long = |n: usize| "x".repeat(n);
    let good = [
        json!(vec![section("x"); 50]),
        json!([
            section(&long(3000)),
            header("plain_text", &long(150)),
            pressed(&long(75), &long(2000), &long(255))
        ]),
    ];
    for blocks in good {
        let answer = stage.call("chat.postMessage", json!({"channel": stage.ops, "blocks": blocks})).await;
        assert_eq!(answer["ok"], true, "{answer}");
    }
    let bad = [
        json!(vec![section("x"); 51]),
        json!([section(&long(3001))]),
        json!([section("")]),
        json!([header("plain_text", &long(151))]),
        json!([header("mrkdwn", "x")]),
        json!([pressed(&long(76), "v", "a")]),
        json!([pressed("x", &long(2001), "a")]),
        json!([pressed("x", "v", &long(256))]),
        json!([{"type": "section", "fields": vec![json!({"type": "mrkdwn", "text": "x"}); 11]}]),
        json!([{"type": "section", "block_id": "a", "text": {"type": "mrkdwn", "text": "x"}},
            {"type": "divider", "block_id": "a"}]),
        json!([{"type": "context", "elements": vec![json!({"type": "mrkdwn", "text": "x"}); 11]}]),
        json!([{"type": "carousel3d"}]),
    ];
    for blocks in bad {
        let error = stage.error("chat.postMessage", json!({"channel": stage.ops, "blocks": blocks})).await;
        assert!(["invalid_blocks", "ratelimited"].contains(&error.as_str()), "{error}: {blocks}");
        stage.slack.changed().await;
    }
}

#[tokio::test]
async fn one_message_a_second_after_a_short_burst() {
    let stage = Stage::new(Rules::default()).await;
    for n in 0..4 {
        stage.post(&n.to_string()).await;
    }
    let url = format!("{}/chat.postMessage", stage.slack.url());
    let call = stage.http.post(&url).bearer_auth(BOT_TOKEN);
    let refused = call.json(&json!({"channel": stage.ops, "text": "5"})).send().await.expect("an answer");
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "1");
    let other = stage.slack.add_channel("dev", Kind::Public, true);
    let elsewhere = stage.call("chat.postMessage", json!({"channel": other, "text": "x"})).await;
    assert_eq!(elsewhere["ok"], true, "channels do not share");
}

#[tokio::test]
async fn a_trigger_opens_one_modal_and_not_for_long() {
    let rules = Rules { trigger: Duration::from_millis(300), ..Rules::default() };
    let stage = Stage::new(rules).await;
    let mut socket = stage.socket().await;
    let modal = json!({"type": "modal", "title": {"type": "plain_text", "text": "Deny"},
        "submit": {"type": "plain_text", "text": "Deny"}, "blocks": [{"type": "input", "block_id": "why",
        "label": {"type": "plain_text", "text": "Reason"}, "element": {"type": "plain_text_input", "action_id": "a"}}]});
    let ask = |slack: Slack, ann: String, ops: String| {
        tokio::spawn(async move { slack.command(&ann, &ops, "help").await })
    };
    let asked = ask(stage.slack.clone(), stage.ann.clone(), stage.ops.clone());
    let envelope = next(&mut socket).await;
    assert_eq!((&envelope["type"], &envelope["payload"]["text"]), (&json!("slash_commands"), &json!("help")));
    let trigger = envelope["payload"]["trigger_id"].clone();
    let open = json!({"trigger_id": trigger, "view": modal});
    assert_eq!(
        stage.error("views.open", json!({"trigger_id": "1.2.3", "view": modal})).await,
        "invalid_trigger_id"
    );
    let mut unfinished = modal.clone();
    unfinished.as_object_mut().expect("a view").remove("submit");
    let refused = stage.error("views.open", json!({"trigger_id": trigger, "view": unfinished})).await;
    assert_eq!(refused, "invalid_arguments", "an input needs a submit button");
    assert_eq!(stage.call("views.open", open.clone()).await["ok"], true);
    assert_eq!(stage.error("views.open", open).await, "exchanged_trigger_id");
    acknowledge(&mut socket, &envelope, None).await;
    assert!(asked.await.expect("asked").acknowledged.is_some());

    let shown = stage.slack.modal(&stage.ann).expect("on ann's screen");
    let submitting = {
        let (slack, ann, shown) = (stage.slack.clone(), stage.ann.clone(), shown.clone());
        tokio::spawn(async move { slack.submit(&ann, &shown, |label| format!("my {label}")).await })
    };
    let envelope = next(&mut socket).await;
    let values = &envelope["payload"]["view"]["state"]["values"];
    assert_eq!(values["why"]["a"]["value"], "my Reason");
    let errors = json!({"response_action": "errors", "errors": {"why": "too short"}});
    acknowledge(&mut socket, &envelope, Some(errors)).await;
    submitting.await.expect("submitted");
    let open = stage.slack.modal(&stage.ann).expect("still open");
    assert_eq!(open.errors["why"], "too short");

    let asked = ask(stage.slack.clone(), stage.ann.clone(), stage.ops.clone());
    let envelope = next(&mut socket).await;
    tokio::time::sleep(Duration::from_millis(350)).await;
    let late = json!({"trigger_id": envelope["payload"]["trigger_id"], "view": modal});
    assert_eq!(stage.error("views.open", late).await, "expired_trigger_id");
    acknowledge(&mut socket, &envelope, None).await;
    asked.await.expect("asked");
}

#[tokio::test]
async fn a_ticket_opens_one_socket_and_ten_are_the_most() {
    let stage = Stage::new(Rules::default()).await;
    let (_, opened) = stage.call_as(APP_TOKEN, "apps.connections.open", json!({})).await;
    let url = opened["url"].as_str().expect("a url");
    let (first, _) = tokio_tungstenite::connect_async(url).await.expect("a socket");
    assert!(tokio_tungstenite::connect_async(url).await.is_err(), "a ticket is used up");
    drop(first);
    wait::until("the socket to go", WITHIN, || async { (stage.slack.sockets() == 0).then_some(()) }).await;
    let mut open = Vec::new();
    for _ in 0..10 {
        open.push(stage.socket().await);
    }
    let (_, opened) = stage.call_as(APP_TOKEN, "apps.connections.open", json!({})).await;
    let (mut eleventh, _) =
        tokio_tungstenite::connect_async(opened["url"].as_str().expect("a url")).await.expect("a socket");
    assert_eq!(next(&mut eleventh).await["reason"], "too_many_websockets");
}

#[tokio::test]
async fn an_unacknowledged_event_comes_again_and_a_command_does_not() {
    let rules = Rules {
        acknowledge: Duration::from_millis(200),
        retries: [Duration::from_millis(50); 3],
        ..Rules::default()
    };
    let stage = Stage::new(rules).await;
    let mut socket = stage.socket().await;
    let mention = {
        let (slack, ann, ops) = (stage.slack.clone(), stage.ann.clone(), stage.ops.clone());
        tokio::spawn(async move { slack.mention(&ann, &ops, "scale <b> & go").await })
    };
    let first = next(&mut socket).await;
    assert_eq!(first["payload"]["event"]["text"], format!("<@{BOT}> scale &lt;b&gt; &amp; go"));
    assert_eq!(first["retry_attempt"], 0);
    let second = next(&mut socket).await;
    assert_eq!((&second["retry_attempt"], &second["retry_reason"]), (&json!(1), &json!("timeout")));
    assert_eq!(first["payload"]["event_id"], second["payload"]["event_id"], "the same event");
    assert_ne!(first["envelope_id"], second["envelope_id"], "in another envelope");
    acknowledge(&mut socket, &second, None).await;
    assert!(mention.await.expect("told").acknowledged.is_some());

    let outcome = stage.slack.command(&stage.ann, &stage.ops, "help").await;
    assert_eq!(outcome.acknowledged, None, "the person sees that it failed");
    assert_eq!(stage.slack.delivered().last().map(|one| one.failed), Some(1));
}

#[tokio::test]
async fn announced_and_sudden_ends_of_sockets() {
    let stage = Stage::new(Rules { warning: Duration::from_millis(100), ..Rules::default() }).await;
    let (mut a, mut b) = (stage.socket().await, stage.socket().await);
    assert_eq!(stage.slack.sockets(), 2);
    stage.slack.disconnect("refresh_requested");
    assert_eq!(next(&mut a).await["reason"], "refresh_requested");
    assert_eq!(next(&mut b).await["type"], "disconnect");
    assert_eq!(next(&mut a).await, Value::Null, "and then it is closed");
    let mut c = stage.socket().await;
    stage.slack.drop_sockets();
    assert_eq!(next(&mut c).await, Value::Null);
}

#[tokio::test]
async fn a_click_carries_the_message_and_works_on_a_stale_screen_too() {
    let stage = Stage::new(Rules::default()).await;
    let mut socket = stage.socket().await;
    let posted = stage.call("chat.postMessage", json!({"channel": stage.ops, "blocks": button("1")})).await;
    let ts = posted["ts"].as_str().expect("a ts").to_string();
    let gone = json!({"channel": stage.ops, "ts": ts, "text": "done", "blocks": []});
    assert_eq!(stage.call("chat.update", gone).await["ok"], true);
    let click = {
        let (slack, ann, ops) = (stage.slack.clone(), stage.ann.clone(), stage.ops.clone());
        tokio::spawn(async move { slack.click(&ann, &ops, &ts, "approve").await })
    };
    let envelope = next(&mut socket).await;
    let payload = &envelope["payload"];
    assert_eq!((&payload["type"], &payload["actions"][0]["value"]), (&json!("block_actions"), &json!("1")));
    assert_eq!(payload["message"]["text"], "done", "as it is now");
    acknowledge(&mut socket, &envelope, None).await;
    assert!(click.await.expect("clicked").expect("a button").outcome.acknowledged.is_some());

    let url = payload["response_url"].as_str().expect("a url").to_string();
    for n in 0..6 {
        let said =
            json!({"response_type": "ephemeral", "replace_original": false, "text": format!("no {n}")});
        let answer = stage.http.post(&url).json(&said).send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), if n < 5 { 200 } else { 404 });
    }
    let bob = stage.slack.add_person("bob");
    assert_eq!(stage.slack.seen_by(&stage.ann, &stage.ops).len(), 6, "five whispers and the card");
    assert_eq!(stage.slack.seen_by(&bob, &stage.ops).len(), 1, "nobody else sees them");
}

#[tokio::test]
async fn over_http_everything_is_signed_and_retried() {
    type Heard = Arc<Mutex<Vec<(axum::http::HeaderMap, String)>>>;
    let heard = Heard::default();
    let listener = axum::Router::new().fallback({
        let heard = heard.clone();
        move |headers: axum::http::HeaderMap, body: String| {
            let mut heard = heard.lock().unwrap();
            heard.push((headers, body));
            let status = if heard.len() == 1 { 500 } else { 200 };
            async move { axum::http::StatusCode::from_u16(status).unwrap() }
        }
    });
    let petrel = Server::start(listener).await.expect("a listener");
    let rules = Rules { retries: [Duration::from_millis(20); 3], ..Rules::default() };
    let stage = Stage::new(rules).await;
    let at = |path: &str| format!("http://{}/{path}", petrel.address());
    stage.slack.set_mode(Mode::Http { events: at("e"), commands: at("c"), interactivity: at("i") });
    assert!(stage.slack.mention(&stage.ann, &stage.ops, "help").await.acknowledged.is_some());
    assert!(stage.slack.command(&stage.ann, &stage.ops, "scale a=b&c").await.acknowledged.is_some());
    let heard = heard.lock().unwrap();
    assert_eq!(heard.len(), 3);
    assert!(heard[0].0.get("x-slack-retry-num").is_none());
    assert_eq!(heard[1].0["x-slack-retry-num"], "1");
    assert_eq!(heard[1].0["x-slack-retry-reason"], "http_error");
    assert!(
        heard.iter().all(|(headers, _)| headers["x-slack-signature"].to_str().unwrap().starts_with("v0="))
    );
    assert!(heard[2].1.contains("text=scale+a%3Db%26c"), "{}", heard[2].1);
}

#[tokio::test]
async fn what_is_planned_to_go_wrong_goes_wrong() {
    let stage = Stage::new(Rules::default()).await;
    let url = format!("{}/chat.postMessage", stage.slack.url());
    let post = async || {
        let message = json!({"channel": stage.ops, "text": "x"});
        stage.http.post(&url).bearer_auth(BOT_TOKEN).json(&message).send().await
    };
    stage.slack.faults().plan("chat.postMessage", Trouble::LoseAnswer);
    assert!(post().await.is_err(), "the answer is lost");
    assert_eq!(stage.slack.messages(&stage.ops).len(), 1, "and the message is there");
    stage.slack.faults().plan("chat.postMessage", Trouble::Break);
    assert!(post().await.is_err());
    stage.slack.faults().plan("chat.", Trouble::TooMany(7));
    assert_eq!(post().await.expect("an answer").headers()["retry-after"], "7");
    stage.slack.faults().plan("chat.", Trouble::Status(503));
    assert_eq!(post().await.expect("an answer").status(), 503);
    assert_eq!(stage.slack.messages(&stage.ops).len(), 1, "nothing took effect");
    stage.slack.away(true);
    assert!(post().await.is_err());
    stage.slack.away(false);
    assert!(post().await.is_ok());

    let mut socket = stage.socket().await;
    stage.slack.faults().set_chances(Chances { duplicated: 1.0, ..Chances::default() });
    let told = {
        let (slack, ann, ops) = (stage.slack.clone(), stage.ann.clone(), stage.ops.clone());
        tokio::spawn(async move { slack.command(&ann, &ops, "help").await })
    };
    let first = next(&mut socket).await;
    acknowledge(&mut socket, &first, None).await;
    assert_eq!(next(&mut socket).await, first, "the very same twice");
    told.await.expect("told");
    stage.slack.faults().set_chances(Chances { lost: 1.0, ..Chances::default() });
    assert_eq!(stage.slack.command(&stage.ann, &stage.ops, "help").await.acknowledged, None);
}

#[tokio::test]
async fn a_file_is_uploaded_in_three_steps() {
    let stage = Stage::new(Rules::default()).await;
    let asked = stage.get("files.getUploadURLExternal", &[("filename", "plot.png"), ("length", "3")]).await;
    let (url, id) = (asked["upload_url"].as_str().expect("a url"), asked["file_id"].clone());
    let complete = json!({"files": [{"id": id, "title": "Load"}], "channel_id": stage.ops});
    assert_eq!(stage.error("files.completeUploadExternal", complete.clone()).await, "file_update_failed");
    assert!(stage.http.post(url).body("png").send().await.expect("sent").status().is_success());
    assert_eq!(stage.call("files.completeUploadExternal", complete).await["ok"], true);
    assert_eq!(stage.slack.messages(&stage.ops)[0].files, ["Load"]);
}

#[tokio::test]
async fn pings_and_links_are_found_wherever_slack_would_see_them() {
    let stage = Stage::new(Rules::default()).await;
    let blocks = json!([
        {"type": "section", "text": {"type": "mrkdwn", "text": "hi <@U1> and <!here> &lt;!channel&gt;"}},
        {"type": "section", "text": {"type": "plain_text", "text": "<@U2>"}},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": "<https://evil.example|console>"}]},
    ]);
    stage.call("chat.postMessage", json!({"channel": stage.ops, "text": "<@U3>", "blocks": blocks})).await;
    let content = &stage.slack.messages(&stage.ops)[0].content;
    assert_eq!(pings(content), ["@U3", "@U1", "!here"]);
    assert_eq!(links(content), ["https://evil.example"]);
}
