//! `petrel check`: is everything there that this door needs? One line each, and how to mend what is not.

use super::{Config, Inward};
use crate::door::Checked;
use reqwest::{Client, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use std::{collections::BTreeSet, time::Duration};

/// What the app must be allowed, and what for.
const NEEDED: [(&str, &str); 4] = [
    ("chat:write", "post cards"),
    ("commands", "hear /petrel"),
    ("app_mentions:read", "hear @petrel"),
    ("im:write", "write to people where it is not in the channel"),
];
/// What goes missing without it.
const WANTED: [(&str, &str); 7] = [
    ("im:history", "direct messages to Petrel are not heard"),
    ("chat:write.public", "Petrel must be invited to public channels too"),
    ("channels:history", "after a lost answer a card may come twice in a public channel"),
    ("groups:history", "after a lost answer a card may come twice in a private channel"),
    ("channels:read", "`petrel check` cannot see whether it is in a public channel"),
    ("groups:read", "`petrel check` cannot see whether it is in a private channel"),
    ("files:write", "pictures are not shown"),
];
const WITHIN: Duration = Duration::from_secs(10);

/// For `petrel check`: what is right and what is missing, if `[slack]` is configured.
pub async fn check(config: &crate::config::Config) -> Vec<Checked> {
    let Some(slack) = &config.slack else { return Vec::new() };
    let mut report = Vec::new();
    let client = match Client::builder().timeout(WITHIN).redirect(reqwest::redirect::Policy::none()).build() {
        Ok(client) => client,
        Err(error) => return vec![bad("slack", error.to_string(), "look at the machine's certificates")],
    };
    let scopes = bot_token(&client, slack, &mut report).await;
    if let Some(scopes) = &scopes {
        compare(scopes, &mut report);
    }
    match &slack.inward {
        Inward::Socket(token) => app_token(&client, slack, token, &mut report).await,
        Inward::Http(_) => report.push(address(config)),
    }
    if let Some(scopes) = &scopes {
        for room in config.rooms.iter().filter(|room| room.place.platform() == "slack") {
            let channel = room.place.room().split_once(':').map_or("", |(_, channel)| channel);
            report.push(channel_check(&client, slack, &room.place.to_string(), channel, scopes).await);
        }
    }
    report
}

/// Who the token is, and what it may; None: it is not accepted.
async fn bot_token(client: &Client, slack: &Config, report: &mut Vec<Checked>) -> Option<BTreeSet<String>> {
    match call(client, slack, "auth.test", &slack.bot_token, &[]).await {
        Ok((body, scopes)) if body["ok"] == true => {
            let (team, user) = (&body["team"], &body["user"]);
            let text = |value: &Value| value.as_str().unwrap_or("?").to_string();
            report.push(good(
                "slack",
                format!("the bot token is {}'s in {} ({})", text(user), text(team), text(&body["team_id"])),
            ));
            Some(scopes)
        }
        Ok((body, _)) => {
            let mend =
                "open the app at https://api.slack.com/apps, Install App, and copy the Bot User OAuth Token";
            report.push(bad("slack", format!("the bot token is not accepted ({})", code(&body)), mend));
            None
        }
        Err(why) => {
            let mend = format!("can this machine reach {}?", slack.api_url);
            report.push(bad("slack", format!("Slack cannot be asked: {why}"), &mend));
            None
        }
    }
}

fn compare(scopes: &BTreeSet<String>, report: &mut Vec<Checked>) {
    if scopes.is_empty() {
        report.push(mind(
            "slack",
            "Slack does not say what the app may do".into(),
            "compare its scopes with deploy/slack/manifest.yaml",
        ));
        return;
    }
    let missing = |list: &[(&str, &str)]| {
        let missing = list.iter().filter(|(scope, _)| !scopes.contains(*scope));
        missing.map(|(scope, why)| format!("{scope} ({why})")).collect::<Vec<_>>()
    };
    let mend = "add them under OAuth & Permissions, Bot Token Scopes, and install the app again";
    let (needed, wanted) = (missing(&NEEDED), missing(&WANTED));
    if !needed.is_empty() {
        report.push(bad("slack", format!("the app may not: {}", needed.join(", ")), mend));
    }
    if !wanted.is_empty() {
        report.push(mind("slack", format!("the app has no {}", wanted.join(", ")), mend));
    }
    if needed.is_empty() && wanted.is_empty() {
        report.push(good("slack", "the app may do all that Petrel uses".into()));
    }
}

async fn app_token(client: &Client, slack: &Config, token: &SecretString, report: &mut Vec<Checked>) {
    report.push(match call(client, slack, "apps.connections.open", token, &[]).await {
        Ok((body, _)) if body["ok"] == true => {
            good("slack", "Socket Mode is on, and the app-level token opens sockets".into())
        }
        Ok((body, _)) => {
            let mend = match code(&body) {
                "missing_scope" => {
                    "give the app-level token the scope connections:write, under Basic Information"
                }
                "not_allowed_token_type"
                | "invalid_auth"
                | "not_authed"
                | "token_revoked"
                | "token_expired"
                | "account_inactive" => {
                    "make an app-level token with the scope connections:write, under Basic Information"
                }
                _ => "turn Socket Mode on, under Settings, Socket Mode",
            };
            bad("slack", format!("the app-level token opens no socket ({})", code(&body)), mend)
        }
        Err(why) => bad("slack", format!("no socket can be asked for: {why}"), "look at the network"),
    });
}

/// Slack calls only what is public and has TLS.
fn address(config: &crate::config::Config) -> Checked {
    let events = config.address("/slack/events");
    match events.starts_with("https://") {
        true => good("slack", format!("Slack is to call {events}, as in deploy/slack/manifest.http.yaml")),
        false => mind(
            "slack",
            format!("Slack would have to call {events}"),
            "set [server] public_url to the https:// address that leads here",
        ),
    }
}

async fn channel_check(
    client: &Client,
    slack: &Config,
    place: &str,
    channel: &str,
    scopes: &BTreeSet<String>,
) -> Checked {
    let what = format!("room {place}");
    let invite = "type `/invite @petrel` there";
    match call(client, slack, "conversations.info", &slack.bot_token, &[("channel", channel)]).await {
        Ok((body, _)) if body["ok"] == true => {
            let info = &body["channel"];
            let name = info["name"].as_str().unwrap_or(channel);
            let is_public = info["is_private"] != true && info["is_channel"] == true;
            if info["is_archived"] == true {
                bad(&what, format!("#{name} is archived"), "unarchive it, or take the room out of the config")
            } else if info["is_member"] == true || info["is_im"] == true {
                good(&what, format!("Petrel is in #{name}"))
            } else if is_public && scopes.contains("chat:write.public") {
                mind(
                    &what,
                    format!("Petrel is not in #{name}; it can post there, and hears no mention"),
                    invite,
                )
            } else {
                bad(&what, format!("Petrel is not in #{name}"), invite)
            }
        }
        Ok((body, _)) => match code(&body) {
            "missing_scope" => mind(
                &what,
                "the app may not look".into(),
                "add channels:read and groups:read and install it again",
            ),
            code => bad(&what, format!("Slack does not show it ({code})"), invite),
        },
        Err(why) => bad(&what, format!("Slack cannot be asked: {why}"), "look at the network"),
    }
}

/// One call, and the scopes that Slack names in its answer's header. (slack-morphism keeps headers to itself.)
async fn call(
    client: &Client,
    slack: &Config,
    method: &str,
    token: &SecretString,
    form: &[(&str, &str)],
) -> Result<(Value, BTreeSet<String>), String> {
    let url: Url =
        format!("{}/{method}", slack.api_url).parse().map_err(|_| "api_url is no address".to_string())?;
    let answer = client.post(url).bearer_auth(token.expose_secret()).form(form).send().await;
    let answer = answer.map_err(|error| chain(&error.without_url()))?;
    let status = answer.status();
    let scopes =
        answer.headers().get("x-oauth-scopes").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let scopes =
        scopes.split(',').map(|scope| scope.trim().to_string()).filter(|scope| !scope.is_empty()).collect();
    let body = answer.json().await.map_err(|_| format!("it answers with HTTP {status} and no JSON"))?;
    Ok((body, scopes))
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn code(body: &Value) -> &str {
    body["error"].as_str().unwrap_or("no reason given")
}

fn good(what: &str, text: String) -> Checked {
    Checked::Good { what: what.into(), text }
}

fn mind(what: &str, text: String, mend: &str) -> Checked {
    Checked::Mind { what: what.into(), text, mend: mend.into() }
}

fn bad(what: &str, text: String, mend: &str) -> Checked {
    Checked::Bad { what: what.into(), text, mend: mend.into() }
}
