//! Discord's REST API, as far as it is needed here.
//!
//! The words (embeds, buttons, commands, numbers) are serenity's. The requests are sent here, because serenity's rate limiter
//! sends past another base address, and without it the headers that tell the limits cannot be seen.

use super::{
    Config,
    draw::PICTURE,
    pace::{Hold, Limits, Pace, Route},
};
use reqwest::{Method, StatusCode, header::HeaderMap};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Discord asks for this form: <https://docs.discord.com/developers/reference#user-agent>.
const USER_AGENT: &str = concat!("DiscordBot (petrel, ", env!("CARGO_PKG_VERSION"), ")");
/// Within the outbox's claim, with room to spare.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Why a call did not do what it should.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Failed {
    /// A limit; nothing was sent, or Discord said 429.
    #[error("discord's rate limit: again in {} ms", .0.as_millis())]
    Limited(Duration),
    /// 401, now or a while ago: nothing is sent until then.
    #[error("discord does not take the bot's token; put a new one into the token file and restart (asked again in {} s)", .0.as_secs())]
    Token(Duration),
    /// Discord said no.
    #[error("discord says {status} to {what}: {message} (code {code})")]
    Refused {
        /// What was asked.
        what: &'static str,
        /// HTTP status.
        status: u16,
        /// Discord's own code; 0: none.
        code: u64,
        /// It was about an interaction's answer.
        webhook: bool,
        /// Discord's words.
        message: String,
    },
    /// No answer, or one that makes no sense; it may have been done.
    #[error("no answer from discord to {what}: {why}")]
    Lost {
        /// What was asked.
        what: &'static str,
        /// Why.
        why: String,
    },
}

impl Failed {
    /// Discord's own code of a refusal.
    pub fn code(&self) -> Option<u64> {
        match self {
            Failed::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Surely nothing was made.
    pub fn left_nothing(&self) -> bool {
        !matches!(self, Failed::Lost { .. } | Failed::Refused { status: 500.., .. })
    }

    /// Is it a refusal with this status?
    pub fn is_status(&self, wanted: u16) -> bool {
        matches!(self, Failed::Refused { status, .. } if *status == wanted)
    }
}

/// What has an id; the rest of it does not matter here.
#[derive(Clone, Debug, Deserialize)]
pub struct Made {
    /// Discord's id.
    pub id: String,
}

/// `/gateway/bot`.
#[derive(Clone, Debug, Deserialize)]
pub struct Gateway {
    /// Where to connect.
    pub url: String,
    /// How many sessions may still be begun today.
    #[serde(default)]
    pub session_start_limit: StartLimit,
}

/// How many sessions may still be begun.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct StartLimit {
    /// Until the reset.
    pub remaining: u64,
    /// Milliseconds until the reset.
    pub reset_after: u64,
}

impl Default for StartLimit {
    fn default() -> Self {
        StartLimit { remaining: 1, reset_after: 0 }
    }
}

/// The bot, the commands and messages of one application.
#[derive(Debug)]
pub struct Api {
    base: String,
    application: String,
    token: SecretString,
    http: reqwest::Client,
    pace: Mutex<Pace>,
}

/// A message to post, or to put in another's place.
#[derive(Clone, Debug)]
pub struct Post {
    /// Without a nonce.
    pub body: Value,
    /// Attached as [`PICTURE`].
    pub png: Option<Vec<u8>>,
}

impl Post {
    /// Put in another's place, it takes away the picture that was there.
    fn instead(mut self) -> Post {
        if self.png.is_none() {
            self.body["attachments"] = json!([]);
        }
        self
    }
}

impl From<Value> for Post {
    fn from(body: Value) -> Post {
        Post { body, png: None }
    }
}

struct Call {
    what: &'static str,
    method: Method,
    path: String,
    route: Route,
    body: Option<Post>,
}

impl Api {
    /// Nothing is asked yet.
    pub fn new(config: &Config) -> Result<Api, reqwest::Error> {
        let http = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .timeout(ANSWER_WITHIN)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Api {
            base: config.api_url.clone(),
            application: config.application_id.clone(),
            token: config.token.clone(),
            http,
            pace: Mutex::default(),
        })
    }

    /// The application that this is about.
    pub fn application_id(&self) -> &str {
        &self.application
    }

    /// The bot's token, for the gateway.
    pub fn token(&self) -> &SecretString {
        &self.token
    }

    /// Posts a message in a channel. The same `nonce` within some minutes gives the message that is there already.
    pub async fn post(&self, channel: &str, nonce: &str, message: &Post) -> Result<String, Failed> {
        let mut post = message.clone();
        post.body["nonce"] = json!(nonce);
        post.body["enforce_nonce"] = json!(true);
        let body = Some(post);
        let path = format!("channels/{channel}/messages");
        self.made(self.bot("post a message", Method::POST, path, "POST channels/messages", channel, body))
            .await
    }

    /// Edits one of the bot's own messages.
    pub async fn edit(&self, channel: &str, message: &str, body: &Post) -> Result<String, Failed> {
        let path = format!("channels/{channel}/messages/{message}");
        let body = Some(body.clone().instead());
        self.made(self.bot("edit a message", Method::PATCH, path, "PATCH channels/messages", channel, body))
            .await
    }

    /// The newest messages of a channel.
    pub async fn recent(&self, channel: &str) -> Result<Vec<Value>, Failed> {
        let path = format!("channels/{channel}/messages?limit=50");
        self.answer(self.bot("read a channel", Method::GET, path, "GET channels/messages", channel, None))
            .await
    }

    /// Shows for some seconds that an answer is on its way.
    pub async fn typing(&self, channel: &str) -> Result<(), Failed> {
        let path = format!("channels/{channel}/typing");
        self.done(self.bot("show that it works", Method::POST, path, "POST channels/typing", channel, None))
            .await
    }

    /// The channel of direct messages with somebody.
    pub async fn direct(&self, user: &str) -> Result<String, Failed> {
        let body = Some(json!({ "recipient_id": user }).into());
        let path = "users/@me/channels".to_string();
        self.made(self.bot("open direct messages", Method::POST, path, "POST users/channels", "", body)).await
    }

    /// The first answer to an interaction of the gateway.
    pub async fn respond(&self, interaction: &str, token: &str, response: &Value) -> Result<(), Failed> {
        let path = format!("interactions/{interaction}/{token}/callback");
        let body = Some(response.clone().into());
        self.done(self.webhook(
            "answer an interaction",
            Method::POST,
            path,
            "POST interactions/callback",
            token,
            body,
        ))
        .await
    }

    /// Fills the first answer, or edits it.
    pub async fn edit_original(&self, token: &str, message: &Post) -> Result<String, Failed> {
        let path = format!("webhooks/{}/{token}/messages/@original", self.application);
        let body = Some(message.clone().instead());
        self.made(self.webhook("fill an answer", Method::PATCH, path, "PATCH webhooks/messages", token, body))
            .await
    }

    /// Takes the first answer away.
    pub async fn delete_original(&self, token: &str) -> Result<(), Failed> {
        let path = format!("webhooks/{}/{token}/messages/@original", self.application);
        self.done(self.webhook(
            "take an answer away",
            Method::DELETE,
            path,
            "DELETE webhooks/messages",
            token,
            None,
        ))
        .await
    }

    /// Says something more to an interaction.
    pub async fn follow_up(&self, token: &str, message: &Post) -> Result<String, Failed> {
        let path = format!("webhooks/{}/{token}", self.application);
        let body = Some(message.clone());
        self.made(self.webhook("follow an answer up", Method::POST, path, "POST webhooks", token, body)).await
    }

    /// Where the gateway is.
    pub async fn gateway(&self) -> Result<Gateway, Failed> {
        self.answer(self.bot(
            "find the gateway",
            Method::GET,
            "gateway/bot".into(),
            "GET gateway/bot",
            "",
            None,
        ))
        .await
    }

    /// Any other reading: `users/@me`, `applications/@me`, `channels/1`, `guilds/1`.
    pub async fn read(&self, what: &'static str, path: String) -> Result<Value, Failed> {
        self.answer(self.bot(what, Method::GET, path, what, "", None)).await
    }

    /// The application's commands: of one guild, or global.
    pub async fn commands(&self, guild: Option<&str>) -> Result<Vec<Value>, Failed> {
        let path = self.commands_path(guild);
        self.answer(self.bot(
            "read the commands",
            Method::GET,
            path,
            "GET commands",
            guild.unwrap_or(""),
            None,
        ))
        .await
    }

    /// Replaces them all.
    pub async fn set_commands(&self, guild: Option<&str>, commands: &Value) -> Result<(), Failed> {
        let (path, body) = (self.commands_path(guild), Some(commands.clone().into()));
        self.done(self.bot(
            "register the commands",
            Method::PUT,
            path,
            "PUT commands",
            guild.unwrap_or(""),
            body,
        ))
        .await
    }

    fn commands_path(&self, guild: Option<&str>) -> String {
        match guild {
            Some(guild) => format!("applications/{}/guilds/{guild}/commands", self.application),
            None => format!("applications/{}/commands", self.application),
        }
    }

    fn bot(
        &self,
        what: &'static str,
        method: Method,
        path: String,
        name: &'static str,
        about: &str,
        body: Option<Post>,
    ) -> Call {
        Call { what, method, path, route: Route { name, about: about.into(), as_bot: true }, body }
    }

    fn webhook(
        &self,
        what: &'static str,
        method: Method,
        path: String,
        name: &'static str,
        about: &str,
        body: Option<Post>,
    ) -> Call {
        Call { what, method, path, route: Route { name, about: about.into(), as_bot: false }, body }
    }

    async fn made(&self, call: Call) -> Result<String, Failed> {
        self.answer::<Made>(call).await.map(|made| made.id)
    }

    async fn done(&self, call: Call) -> Result<(), Failed> {
        self.send(call).await.map(drop)
    }

    async fn answer<T: DeserializeOwned>(&self, call: Call) -> Result<T, Failed> {
        let what = call.what;
        let body = self.send(call).await?;
        serde_json::from_slice(&body)
            .map_err(|error| Failed::Lost { what, why: format!("it makes no sense: {error}") })
    }

    async fn send(&self, call: Call) -> Result<Vec<u8>, Failed> {
        match self.pace().take(&call.route, Instant::now()) {
            Ok(()) => {}
            Err(Hold::Token(wait)) => return Err(Failed::Token(wait)),
            Err(Hold::Limit(wait)) => return Err(Failed::Limited(wait)),
        }
        let what = call.what;
        let lost = |error: reqwest::Error| Failed::Lost { what, why: chain(&error.without_url()) };
        let mut request = self.http.request(call.method, format!("{}/{}", self.base, call.path));
        if call.route.as_bot {
            request = request.header("authorization", format!("Bot {}", self.token.expose_secret()));
        }
        if let Some(post) = call.body {
            request = match post.png {
                None => request.json(&post.body),
                Some(png) => {
                    let boundary = format!("petrel-{:032x}", rand::random::<u128>());
                    let kind = format!("multipart/form-data; boundary={boundary}");
                    request.header("content-type", kind).body(form(&boundary, &post.body, &png))
                }
            };
        }
        let response = request.send().await.map_err(lost)?;
        let (status, mut limits) = (response.status(), limits(response.headers()));
        let body = response.bytes().await.map_err(lost);
        let said: Value =
            body.as_ref().ok().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
        if status == StatusCode::TOO_MANY_REQUESTS {
            limits.retry_after = limits.retry_after.or_else(|| seconds(said["retry_after"].as_f64()?));
            limits.global |= said["global"].as_bool() == Some(true);
            // Not from the API but from the guard before it: that is about everything.
            limits.global |= limits.bucket.is_none() && said["retry_after"].is_null();
        }
        self.pace().heed(&call.route, status.as_u16(), &limits, Instant::now());
        match status.as_u16() {
            200..=299 => body.map(|body| body.to_vec()),
            429 => Err(Failed::Limited(limits.retry_after.unwrap_or(Duration::from_secs(1)))),
            status => Err(Failed::Refused {
                what,
                status,
                code: said["code"].as_u64().unwrap_or(0),
                webhook: !call.route.as_bot,
                message: said["message"].as_str().unwrap_or("no reason given").chars().take(200).collect(),
            }),
        }
    }

    fn pace(&self) -> std::sync::MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A message with its picture: <https://docs.discord.com/developers/reference#uploading-files>.
fn form(boundary: &str, body: &Value, png: &[u8]) -> Vec<u8> {
    let mut form = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"payload_json\"\r\nContent-Type: application/json\r\n\r\n{body}\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"files[0]\"; filename=\"{PICTURE}\"\r\nContent-Type: image/png\r\n\r\n"
    )
    .into_bytes();
    form.extend_from_slice(png);
    form.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    form
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn limits(headers: &HeaderMap) -> Limits {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    Limits {
        bucket: text("x-ratelimit-bucket").map(str::to_string),
        remaining: text("x-ratelimit-remaining").and_then(|value| value.parse().ok()),
        reset_after: text("x-ratelimit-reset-after").and_then(|value| seconds(value.parse().ok()?)),
        retry_after: text("retry-after").and_then(|value| seconds(value.parse().ok()?)),
        global: text("x-ratelimit-global").is_some() || text("x-ratelimit-scope") == Some("global"),
    }
}

/// Whatever a header says, no wait is negative or longer than an hour.
fn seconds(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(if seconds > 3_600.0 { 3_600.0 } else { seconds }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_tell_the_limits_and_nonsense_tells_nothing() {
        let read = |pairs: &[(&'static str, &'static str)]| {
            limits(
                &pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect(),
            )
        };
        let said = read(&[
            ("x-ratelimit-bucket", "abcd"),
            ("x-ratelimit-remaining", "3"),
            ("x-ratelimit-reset-after", "1.5"),
            ("x-ratelimit-scope", "shared"),
        ]);
        assert_eq!((said.bucket.as_deref(), said.remaining), (Some("abcd"), Some(3)));
        assert_eq!((said.reset_after, said.global), (Some(Duration::from_millis(1_500)), false));
        let global = read(&[("retry-after", "65"), ("x-ratelimit-global", "true")]);
        assert_eq!((global.retry_after, global.global), (Some(Duration::from_secs(65)), true));
        let junk = read(&[
            ("retry-after", "-1"),
            ("x-ratelimit-remaining", "many"),
            ("x-ratelimit-reset-after", "NaN"),
        ]);
        assert_eq!(junk, Limits::default());
        assert_eq!(seconds(1e300), Some(Duration::from_secs(3_600)));
    }
}
