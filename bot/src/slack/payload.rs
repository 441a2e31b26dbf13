//! What Slack sends, over HTTP or a socket: only what Petrel needs of it, as an [`Arrival`] for the inbox.
//!
//! slack-morphism has types for whole payloads. A click carries the whole clicked message with them, and one block of a kind
//! that the library does not model as Slack sends it (or a workspace that is null, as for apps installed on an organisation)
//! would make the click undeliverable. So these are small types of what is read.

use super::{reply::ReplyWith, text};
use crate::press::Press;
use ledger::{Actor, Arrival, Event, Place};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The block of a form's one input, and the action in it.
pub const INPUT: (&str, &str) = ("petrel_input", "petrel_typed");
/// What the action ids of Petrel's buttons begin with.
pub const ACTION: &str = "petrel.";
/// The form that asks for more before a click counts.
pub const FORM: &str = "petrel_press";

/// What there is to do about something that came in.
#[derive(Clone, Debug, PartialEq)]
pub enum Taken {
    /// For the inbox.
    Arrival(Box<Arrival>),
    /// A click that counts only with something typed along: open this form.
    Form(Box<Form>),
    /// Slack asks whether this address is ours: send this back.
    Challenge(String),
    /// A click that cannot be counted: say so to the person, at the click's response_url.
    Tell {
        /// Where.
        url: Option<String>,
        /// What.
        why: String,
    },
    /// Not for Petrel; why.
    Nothing(&'static str),
}

/// A form to open.
#[derive(Clone, Debug, PartialEq)]
pub struct Form {
    /// Good for three seconds, once.
    pub trigger: String,
    /// The button.
    pub press: Press,
    /// Comes back when the form is sent.
    pub memo: Memo,
    /// The first line of the clicked card's text.
    pub headline: String,
}

/// What a form remembers about the click that opened it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, Deserialize)]
pub struct Memo {
    /// What the button carried.
    pub press: String,
    /// Where the card is.
    pub place: Place,
    /// The click's response_url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// What came is not what Slack documents.
#[derive(Debug, thiserror::Error)]
#[error("cannot read a payload of Slack's: {0}")]
pub struct Unreadable(String);

impl Unreadable {
    fn new(why: impl ToString) -> Unreadable {
        Unreadable(why.to_string())
    }
}

/// The body of the Events API, or the payload of an `events_api` envelope.
pub fn event(payload: Value) -> Result<Taken, Unreadable> {
    #[derive(Deserialize)]
    struct Outer {
        #[serde(rename = "type")]
        kind: String,
        challenge: Option<String>,
        team_id: Option<String>,
        context_team_id: Option<String>,
        event_id: Option<String>,
        #[serde(default)]
        authorizations: Vec<Authorization>,
        event: Option<Value>,
    }
    #[derive(Deserialize)]
    struct Authorization {
        user_id: Option<String>,
        #[serde(default)]
        is_bot: bool,
    }
    #[derive(Deserialize)]
    struct Message {
        #[serde(rename = "type")]
        kind: String,
        subtype: Option<String>,
        bot_id: Option<String>,
        edited: Option<Value>,
        user: Option<String>,
        text: Option<String>,
        channel: Option<Value>,
        channel_type: Option<String>,
        user_team: Option<String>,
        source_team: Option<String>,
        team: Option<String>,
    }
    let outer: Outer = serde_json::from_value(payload).map_err(Unreadable::new)?;
    match outer.kind.as_str() {
        "url_verification" => {
            return outer.challenge.map(Taken::Challenge).ok_or(Unreadable::new("no challenge"));
        }
        "event_callback" => {}
        // `app_rate_limited`, and what Slack may think of later.
        _ => return Ok(Taken::Nothing("not an event")),
    }
    let event_id = outer.event_id.ok_or(Unreadable::new("no event_id"))?;
    let message: Message =
        serde_json::from_value(outer.event.ok_or(Unreadable::new("no event"))?).map_err(Unreadable::new)?;
    if message.subtype.is_some() || message.edited.is_some() {
        return Ok(Taken::Nothing("an edit, or a notice of Slack's own"));
    }
    if message.bot_id.is_some() {
        return Ok(Taken::Nothing("an app's message"));
    }
    let channel = message.channel.as_ref().and_then(Value::as_str).unwrap_or_default();
    let is_direct = message.channel_type.as_deref().map_or(channel.starts_with('D'), |kind| kind == "im");
    let mentioned = message.kind == "app_mention";
    if !(mentioned || message.kind == "message" && is_direct) {
        // A mention in a channel comes as `message` too, where the app listens to channels.
        return Ok(Taken::Nothing("neither a mention nor a direct message"));
    }
    let bot = outer.authorizations.iter().find(|authorization| authorization.is_bot);
    let app = bot.and_then(|bot| bot.user_id.as_deref());
    let user = message.user.ok_or(Unreadable::new("no user"))?;
    if app == Some(user.as_str()) {
        return Ok(Taken::Nothing("our own message"));
    }
    let home = outer.context_team_id.or(outer.team_id).ok_or(Unreadable::new("no team_id"))?;
    // In a channel shared between workspaces, people are of their own.
    let team = message.user_team.or(message.source_team).or(message.team).unwrap_or_else(|| home.clone());
    let said = message.text.unwrap_or_default();
    // Slack says who the app is in `authorizations`, but not always; whoever writes to the app and begins with a mention means it.
    let names_app = mentioned || app.is_some() || said.starts_with("<@");
    arrival(
        format!("slack:event:{event_id}"),
        (&team, &user),
        place(&home, channel)?,
        Event::Line { text: text::typed(&said, app, names_app) },
        None,
    )
}

/// A slash command's fields: a form over HTTP, JSON over a socket.
#[derive(Debug, Deserialize)]
pub struct Command {
    command: String,
    #[serde(default)]
    text: String,
    team_id: Option<String>,
    enterprise_id: Option<String>,
    channel_id: String,
    user_id: String,
    response_url: Option<String>,
    trigger_id: String,
}

/// `/petrel ...`: with nothing behind it, an empty line.
pub fn command(command: Command) -> Result<Taken, Unreadable> {
    if !command.command.starts_with('/') {
        return Err(Unreadable::new("a command without a slash"));
    }
    let team = command.team_id.or(command.enterprise_id).ok_or(Unreadable::new("no team_id"))?;
    arrival(
        format!("slack:command:{}", command.trigger_id),
        (&team, &command.user_id),
        place(&team, &command.channel_id)?,
        Event::Line { text: text::typed(&command.text, None, false) },
        command.response_url,
    )
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

#[derive(Deserialize)]
struct User {
    id: String,
    team_id: Option<String>,
}

/// The `payload` of an interaction: a click, or a form that is sent.
pub fn interaction(payload: Value) -> Result<Taken, Unreadable> {
    match payload.get("type").and_then(Value::as_str) {
        Some("block_actions") => click(serde_json::from_value(payload).map_err(Unreadable::new)?),
        Some("view_submission") => submission(serde_json::from_value(payload).map_err(Unreadable::new)?),
        Some(_) => Ok(Taken::Nothing("an interaction that Petrel does not offer")),
        None => Err(Unreadable::new("an interaction without a type")),
    }
}

#[derive(Deserialize)]
struct Click {
    team: Option<Id>,
    user: User,
    trigger_id: String,
    channel: Option<Id>,
    container: Option<Container>,
    message: Option<Value>,
    response_url: Option<String>,
    #[serde(default)]
    actions: Vec<Action>,
}

#[derive(Deserialize)]
struct Container {
    channel_id: Option<String>,
}

#[derive(Deserialize)]
struct Action {
    #[serde(default)]
    action_id: String,
    value: Option<String>,
}

fn click(click: Click) -> Result<Taken, Unreadable> {
    let Some(action) = click.actions.iter().find(|action| action.action_id.starts_with(ACTION)) else {
        return Ok(Taken::Nothing("a click on what is no button of Petrel's"));
    };
    let carried = action.value.as_deref().unwrap_or_default();
    let press = match Press::decode(carried) {
        Ok(press) => press,
        Err(why) => return Ok(Taken::Tell { url: click.response_url, why: why.to_string() }),
    };
    let team = team(click.team, &click.user)?;
    let channel = click.container.and_then(|container| container.channel_id);
    let channel = channel.or(click.channel.map(|channel| channel.id)).ok_or(Unreadable::new("no channel"))?;
    let place = place(&team, &channel)?;
    if press.wants_reason || press.wants_typed {
        let said = click.message.as_ref().and_then(|message| message["text"].as_str()).unwrap_or_default();
        let headline = text::unescaped(said.lines().next().unwrap_or_default());
        let memo = Memo { press: carried.to_string(), place, url: click.response_url };
        return Ok(Taken::Form(Box::new(Form { trigger: click.trigger_id, press, memo, headline })));
    }
    let event = Event::Click {
        button: press.button,
        request: press.request,
        digest: press.digest.to_string(),
        reason: None,
        typed: None,
    };
    let of = click.user.team_id.unwrap_or(team);
    let key = format!("slack:click:{}", click.trigger_id);
    arrival(key, (&of, &click.user.id), place, event, click.response_url)
}

#[derive(Deserialize)]
struct Submission {
    team: Option<Id>,
    user: User,
    trigger_id: Option<String>,
    view: View,
}

#[derive(Deserialize)]
struct View {
    id: String,
    #[serde(default)]
    hash: String,
    #[serde(default)]
    callback_id: String,
    #[serde(default)]
    private_metadata: String,
    state: Option<State>,
}

#[derive(Deserialize)]
struct State {
    #[serde(default)]
    values: BTreeMap<String, BTreeMap<String, Typed>>,
}

#[derive(Deserialize)]
struct Typed {
    value: Option<String>,
}

fn submission(sent: Submission) -> Result<Taken, Unreadable> {
    if sent.view.callback_id != FORM {
        return Ok(Taken::Nothing("a form that is not Petrel's"));
    }
    let memo: Memo = serde_json::from_str(&sent.view.private_metadata).map_err(Unreadable::new)?;
    let press = Press::decode(&memo.press).map_err(Unreadable::new)?;
    let mut values = sent.view.state.map(|state| state.values).unwrap_or_default();
    let typed =
        values.remove(INPUT.0).and_then(|mut block| block.remove(INPUT.1)).and_then(|typed| typed.value);
    let typed = typed.map(|text| text::storable(text.trim())).filter(|text| !text.is_empty());
    let event = Event::Click {
        button: press.button,
        request: press.request,
        digest: press.digest.to_string(),
        reason: typed.clone().filter(|_| press.wants_reason),
        typed: typed.filter(|_| press.wants_typed),
    };
    // A form is sent once; where Slack names no trigger, its own id and state are as good.
    let once = sent.trigger_id.unwrap_or_else(|| format!("{}:{}", sent.view.id, sent.view.hash));
    let team = team(sent.team, &sent.user)?;
    let of = sent.user.team_id.unwrap_or(team);
    arrival(format!("slack:form:{once}"), (&of, &sent.user.id), memo.place, event, memo.url)
}

/// The workspace the app is in; null for an app that is installed on an organisation.
fn team(team: Option<Id>, user: &User) -> Result<String, Unreadable> {
    team.map(|team| team.id).or(user.team_id.clone()).ok_or(Unreadable::new("no team"))
}

fn place(team: &str, channel: &str) -> Result<Place, Unreadable> {
    Ok(Place(format!("slack:{}:{}", id(team)?, id(channel)?)))
}

fn arrival(
    key: String,
    (team, user): (&str, &str),
    place: Place,
    event: Event,
    url: Option<String>,
) -> Result<Taken, Unreadable> {
    let actor: Actor = format!("slack:{}:{}", id(team)?, id(user)?).parse().map_err(Unreadable::new)?;
    let reply_to = Some(ReplyWith { user: user.to_string(), url }.encode());
    if key.len() > 300 || key.contains(|c: char| !c.is_ascii_graphic()) {
        return Err(Unreadable::new("an id that is none"));
    }
    Ok(Taken::Arrival(Box::new(Arrival { key, actor, place, event, reply_to })))
}

/// Slack's ids are letters and digits.
fn id(text: &str) -> Result<&str, Unreadable> {
    let fits = (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
    if fits { Ok(text) } else { Err(Unreadable::new("an id that is none")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::{Digest, RequestId};
    use serde_json::json;

    fn said(event: Value) -> Value {
        json!({ "type": "event_callback", "team_id": "T1", "event_id": "Ev1",
                "authorizations": [{ "team_id": "T1", "user_id": "U0", "is_bot": true }], "event": event })
    }

    fn arrival(taken: Result<Taken, Unreadable>) -> Arrival {
        match taken {
            Ok(Taken::Arrival(arrival)) => *arrival,
            other => panic!("no arrival: {other:?}"),
        }
    }

    fn is_left_aside(event: Value) -> bool {
        matches!(super::event(said(event)), Ok(Taken::Nothing(_)))
    }

    #[test]
    fn a_mention_and_a_direct_message_are_lines() {
        let mention =
            json!({ "type": "app_mention", "user": "U1", "text": "hey <@U0> clusters", "channel": "C1" });
        let heard = arrival(event(said(mention)));
        assert_eq!(
            (heard.key.as_str(), heard.actor.as_str(), heard.place.0.as_str()),
            ("slack:event:Ev1", "slack:T1:U1", "slack:T1:C1")
        );
        assert_eq!(heard.event, Event::Line { text: "hey   clusters".into() });
        let direct = json!({ "type": "message", "channel_type": "im", "user": "U1", "text": "clusters", "channel": "D1" });
        assert_eq!(arrival(event(said(direct))).event, Event::Line { text: "clusters".into() });
    }

    #[test]
    fn in_a_shared_channel_people_are_of_their_own_workspace() {
        let event = json!({ "type": "app_mention", "user": "U9", "user_team": "T9", "team": "T9", "text": "<@U0>", "channel": "C1" });
        let heard = arrival(super::event(said(event)));
        assert_eq!((heard.actor.as_str(), heard.place.0.as_str()), ("slack:T9:U9", "slack:T1:C1"));
        assert_eq!(heard.event, Event::Line { text: String::new() }, "what waits for them");
    }

    #[test]
    fn apps_edits_and_talk_among_people_are_left_aside() {
        let direct = |extra: (&str, Value)| {
            let mut event = json!({ "type": "message", "channel_type": "im", "user": "U1", "text": "x", "channel": "D1" });
            event[extra.0] = extra.1;
            event
        };
        assert!(is_left_aside(direct(("bot_id", json!("B1")))));
        assert!(is_left_aside(direct(("subtype", json!("message_changed")))));
        assert!(is_left_aside(direct(("edited", json!({ "user": "U1" })))));
        assert!(is_left_aside(direct(("user", json!("U0")))), "our own");
        assert!(is_left_aside(direct(("channel_type", json!("channel")))), "a mention comes as app_mention");
        assert!(is_left_aside(json!({ "type": "member_joined_channel", "user": "U1", "channel": "C1" })));
        assert!(is_left_aside(json!({ "type": "channel_rename", "channel": { "id": "C1" } })));
    }

    fn press(wants_reason: bool, wants_typed: bool) -> Press {
        let (request, digest) = (RequestId::new(), Digest([7; 32]));
        Press { button: "approve".into(), request, digest, wants_reason, wants_typed }
    }

    fn clicked(press: &Press) -> Value {
        json!({ "type": "block_actions", "team": null, "enterprise": { "id": "E1" }, "user": { "id": "U2", "team_id": "T2" },
                "trigger_id": "1.2.a", "container": { "channel_id": "C1" }, "response_url": "https://hooks.example/1",
                "message": { "text": "title &amp; more\nrest", "blocks": [{ "type": "of tomorrow" }] },
                "actions": [{ "action_id": "petrel.approve", "value": press.encode() }] })
    }

    #[test]
    fn a_click_that_is_enough_is_taken_and_one_that_is_not_opens_a_form() {
        let plain = press(false, false);
        let heard = arrival(interaction(clicked(&plain)));
        assert_eq!(
            (heard.key.as_str(), heard.actor.as_str(), heard.place.0.as_str()),
            ("slack:click:1.2.a", "slack:T2:U2", "slack:T2:C1")
        );
        assert!(
            matches!(&heard.event, Event::Click { button, request, typed: None, .. } if button == "approve" && *request == plain.request)
        );
        assert!(heard.reply_to.unwrap().contains("https://hooks.example/1"));

        let guarded = press(false, true);
        let Ok(Taken::Form(form)) = interaction(clicked(&guarded)) else { panic!("no form") };
        assert_eq!((form.trigger.as_str(), form.headline.as_str()), ("1.2.a", "title & more"));
        let sent = json!({ "type": "view_submission", "team": { "id": "T1" }, "user": { "id": "U2", "team_id": "T2" },
            "view": { "id": "V1", "hash": "h1", "callback_id": FORM, "private_metadata": json!(form.memo).to_string(),
                      "state": { "values": { INPUT.0: { INPUT.1: { "type": "plain_text_input", "value": " prod-eu " } } } } } });
        let heard = arrival(interaction(sent));
        assert_eq!((heard.key.as_str(), heard.place.0.as_str()), ("slack:form:V1:h1", "slack:T2:C1"));
        assert!(
            matches!(&heard.event, Event::Click { typed: Some(typed), reason: None, .. } if typed == "prod-eu")
        );
    }

    #[test]
    fn a_damaged_button_is_told_of_and_others_buttons_are_left_aside() {
        let mut click = clicked(&press(false, false));
        click["actions"][0]["value"] = json!("approve.damaged");
        let Ok(Taken::Tell { url: Some(_), why }) = interaction(click.clone()) else {
            panic!("nothing said")
        };
        assert!(why.contains("type what you mean"), "{why}");
        click["actions"][0]["action_id"] = json!("somebody.else");
        assert!(matches!(interaction(click), Ok(Taken::Nothing(_))));
    }

    #[test]
    fn ids_that_are_none_are_refused() {
        let command = |user: &str, channel: &str| json!({ "command": "/petrel", "team_id": "T1", "channel_id": channel, "user_id": user, "trigger_id": "1.2.a" });
        let read = |value: Value| super::command(serde_json::from_value(value).unwrap());
        assert_eq!(arrival(read(command("U1", "C1"))).event, Event::Line { text: String::new() });
        assert!(read(command("U1:U2", "C1")).is_err() && read(command("U1", "")).is_err());
    }
}
