//! The calls of the Web API that Petrel makes, through slack-morphism's client. Answers are read into small types of our own: a
//! message that was posted and whose echo the library cannot read must not count as not posted.

use super::{draw::Message, trouble::Failure};
use anyhow::{Context, Result};
use hyper_rustls::HttpsConnectorBuilder;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use slack_morphism::{errors::SlackClientError, prelude::*};
use std::{collections::HashMap, future::Future, net::IpAddr, time::Duration};

/// Metadata of our messages: which card they are.
const EVENT_TYPE: &str = "petrel_card";
/// No call takes longer; a delivery's lease is 10 s.
const CALL: Duration = Duration::from_secs(4);
/// Slack gives a trigger three seconds.
const FORM: Duration = Duration::from_millis(2_300);
/// Where Slack names no time.
const REST: Duration = Duration::from_secs(10);
/// Messages read at once.
const PAGE: &str = "100";
/// Pages read at most when a message is looked for.
const PAGES: usize = 3;

/// A client of one workspace.
pub struct Api {
    client: SlackHyperClient,
    token: SlackApiToken,
}

/// Who we are.
#[derive(Clone, Debug, Deserialize)]
pub struct Identity {
    /// The app's own user.
    pub user_id: String,
    /// The workspace.
    #[serde(default)]
    pub team: String,
    /// Its id.
    #[serde(default)]
    pub team_id: String,
}

/// A message that is there.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Posted {
    /// In which channel.
    pub channel: String,
    /// Its id there.
    pub ts: String,
}

#[derive(Deserialize)]
struct Nothing {}

impl Api {
    /// A client for `base` (`https://slack.com/api`). Plain http is spoken to this machine only.
    pub fn new(base: &str, token: &SecretString) -> Result<Api> {
        let builder = HttpsConnectorBuilder::new();
        let connector = match is_loopback(base) {
            true => {
                // Whoever stands in for Slack on this machine is not certified by anybody.
                let nobody =
                    rustls::ClientConfig::builder().with_root_certificates(rustls::RootCertStore::empty());
                builder
                    .with_tls_config(nobody.with_no_client_auth())
                    .https_or_http()
                    .enable_all_versions()
                    .build()
            }
            false => {
                let builder =
                    builder.with_native_roots().context("read the machine's certificates for Slack")?;
                builder.https_only().enable_all_versions().build()
            }
        };
        let connector = SlackClientHyperConnector::with_connector(connector)
            .with_slack_api_url(base.trim_end_matches('/'));
        let token = SlackApiToken::new(token.expose_secret().into());
        Ok(Api { client: SlackClient::new(connector), token })
    }

    /// `auth.test`.
    pub async fn identity(&self) -> Result<Identity, Failure> {
        self.call("auth.test", &serde_json::json!({}), CALL).await
    }

    /// `chat.postMessage`, marked as this card.
    pub async fn post(&self, channel: &str, message: &Message, card: &str) -> Result<Posted, Failure> {
        let metadata = SlackMessageMetadata::new(EVENT_TYPE.into())
            .with_event_payload(HashMap::from([("card".to_string(), card.to_string())]));
        let request =
            SlackApiChatPostMessageRequest::new(channel.into(), content(message).with_metadata(metadata))
                .with_link_names(false)
                .with_parse("none".into())
                .with_unfurl_links(false)
                .with_unfurl_media(false);
        self.call("chat.postMessage", &request, CALL).await
    }

    /// `chat.update`. The mark stays.
    pub async fn update(&self, at: &Posted, message: &Message) -> Result<(), Failure> {
        let (channel, ts) = (at.channel.as_str(), at.ts.as_str());
        let request = SlackApiChatUpdateRequest::new(channel.into(), content(message), ts.into())
            .with_link_names(false)
            .with_parse("none".into());
        let _: Nothing = self.call("chat.update", &request, CALL).await?;
        Ok(())
    }

    /// `chat.postEphemeral`: seen by one person, until they look away.
    pub async fn whisper(&self, channel: &str, user: &str, message: &Message) -> Result<(), Failure> {
        let request = SlackApiChatPostEphemeralRequest::new(channel.into(), user.into(), content(message))
            .with_link_names(false)
            .with_parse("none".into());
        let _: Nothing = self.call("chat.postEphemeral", &request, CALL).await?;
        Ok(())
    }

    /// Answers at a `response_url`: to the person alone, or into the channel. No token is sent along.
    pub async fn respond(&self, url: &str, message: &Message, to_all: bool) -> Result<(), Failure> {
        // slack-morphism's type for this has no response_type.
        #[derive(Serialize)]
        struct Response<'a> {
            response_type: &'a str,
            replace_original: bool,
            #[serde(flatten)]
            content: SlackMessageContent,
        }
        let unusable = |why: String| Failure::Refused { code: why, needed: None };
        let url = Url::parse(url).map_err(|error| unusable(error.to_string()))?;
        let response_type = if to_all { "in_channel" } else { "ephemeral" };
        let response = Response { response_type, replace_original: false, content: content(message) };
        let span = tracing::Span::none();
        let context = SlackClientApiCallContext {
            rate_control_params: None,
            token: None,
            tracing_span: &span,
            is_sensitive_url: true,
        };
        let post = self.client.http_api.connector.http_post_uri::<_, Nothing>(url, &response, context);
        within(CALL, async { is_taken(post.await) }).await
    }

    /// Puts a PNG where our messages can show it (`files.getUploadURLExternal`, the upload, `files.completeUploadExternal`). Shared
    /// with no channel: it is seen in the message that names it.
    pub async fn upload(&self, alt: &str, png: &[u8]) -> Result<SlackFileId, Failure> {
        #[derive(Deserialize)]
        struct Place {
            upload_url: Url,
            file_id: SlackFileId,
        }
        let session = self.client.open_session(&self.token);
        let length = png.len().to_string();
        let params = vec![
            ("filename", Some("picture.png")),
            ("length", Some(length.as_str())),
            ("alt_txt", Some(alt)),
        ];
        let place: Place =
            within(CALL, session.http_session_api.http_get("files.getUploadURLExternal", &params, None))
                .await?;
        let span = tracing::Span::none();
        // The address is a ticket of its own: the library would send the token along.
        let context = SlackClientApiCallContext {
            rate_control_params: None,
            token: None,
            tracing_span: &span,
            is_sensitive_url: true,
        };
        let upload = self.client.http_api.connector.http_post_uri_binary(
            place.upload_url,
            "image/png".into(),
            png,
            context,
        );
        within(CALL, async { is_taken::<Nothing>(upload.await) }).await?;
        let file =
            SlackApiFilesComplete::new(place.file_id.clone()).with_title(alt.chars().take(200).collect());
        let request = SlackApiFilesCompleteUploadExternalRequest::new(vec![file]);
        let _: Nothing = self.call("files.completeUploadExternal", &request, CALL).await?;
        Ok(place.file_id)
    }

    /// `views.open`.
    pub async fn open_form(&self, trigger: &str, view: &SlackView) -> Result<(), Failure> {
        let request = SlackApiViewsOpenRequest::new(trigger.into(), view.clone());
        let _: Nothing = self.call("views.open", &request, FORM).await?;
        Ok(())
    }

    /// `conversations.open`: the channel between the app and a person.
    pub async fn direct(&self, user: &str) -> Result<String, Failure> {
        #[derive(Deserialize)]
        struct Opened {
            channel: Id,
        }
        #[derive(Deserialize)]
        struct Id {
            id: String,
        }
        let request = serde_json::json!({ "users": user });
        let opened: Opened = self.call("conversations.open", &request, CALL).await?;
        Ok(opened.channel.id)
    }

    /// Looks through the newest messages of a channel, back to Unix second `since`, for one that is marked as this card.
    pub async fn find(&self, channel: &str, card: &str, since: u64) -> Result<Option<Posted>, Failure> {
        #[derive(Deserialize)]
        struct History {
            #[serde(default)]
            messages: Vec<Said>,
            response_metadata: Option<Next>,
        }
        #[derive(Deserialize)]
        struct Said {
            ts: String,
            metadata: Option<Metadata>,
        }
        #[derive(Deserialize)]
        struct Metadata {
            event_type: Option<String>,
            #[serde(default)]
            event_payload: serde_json::Value,
        }
        #[derive(Deserialize)]
        struct Next {
            next_cursor: Option<String>,
        }
        let (since, mut cursor) = (since.to_string(), None::<String>);
        for _ in 0..PAGES {
            let session = self.client.open_session(&self.token);
            let params = vec![
                ("channel", Some(channel)),
                ("include_all_metadata", Some("true")),
                ("oldest", Some(since.as_str())),
                ("limit", Some(PAGE)),
                ("cursor", cursor.as_deref()),
            ];
            let history: History =
                within(CALL, session.http_session_api.http_get("conversations.history", &params, None))
                    .await?;
            let ours = history.messages.into_iter().find(|said| {
                said.metadata.as_ref().is_some_and(|metadata| {
                    metadata.event_type.as_deref() == Some(EVENT_TYPE)
                        && metadata.event_payload["card"] == card
                })
            });
            if let Some(said) = ours {
                return Ok(Some(Posted { channel: channel.to_string(), ts: said.ts }));
            }
            cursor =
                history.response_metadata.and_then(|next| next.next_cursor).filter(|next| !next.is_empty());
            if cursor.is_none() {
                break;
            }
        }
        Ok(None)
    }

    /// `apps.connections.open`, with an app-level token: where to connect a socket.
    pub async fn socket(&self) -> Result<String, Failure> {
        #[derive(Deserialize)]
        struct Opened {
            url: String,
        }
        let opened: Opened = self.call("apps.connections.open", &serde_json::json!({}), CALL).await?;
        Ok(opened.url)
    }

    async fn call<T: DeserializeOwned + Send>(
        &self,
        method: &str,
        request: &(impl Serialize + Send + Sync),
        most: Duration,
    ) -> Result<T, Failure> {
        let session = self.client.open_session(&self.token);
        within(most, session.http_session_api.http_post(method, request, None)).await
    }
}

/// Some of Slack's addresses answer `ok` in whatever form.
fn is_taken<T>(answer: Result<T, SlackClientError>) -> Result<(), SlackClientError> {
    match answer {
        Err(SlackClientError::ProtocolError(error))
            if error.json_body.as_deref().is_some_and(|body| !body.trim_start().starts_with('{')) =>
        {
            Ok(())
        }
        answer => answer.map(drop),
    }
}

/// An empty list of blocks takes away the ones that a message had.
fn content(message: &Message) -> SlackMessageContent {
    SlackMessageContent::new().with_text(message.text.clone()).with_blocks(message.blocks.clone())
}

async fn within<T>(
    most: Duration,
    call: impl Future<Output = Result<T, SlackClientError>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(most, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(failure(error)),
        Err(_) => Err(Failure::Unclear(format!("no answer from Slack within {} ms", most.as_millis()))),
    }
}

/// The library's errors carry whole bodies in their texts; only what is needed is taken.
fn failure(error: SlackClientError) -> Failure {
    match error {
        SlackClientError::ApiError(error) => match error.code.as_str() {
            "ratelimited" | "rate_limited" | "message_limit_exceeded" => Failure::Limited(REST),
            // Some of it may have happened, Slack says of these.
            "fatal_error" | "internal_error" | "service_unavailable" | "request_timeout" => {
                Failure::Unclear(format!("Slack says {}", error.code))
            }
            _ => {
                let body: Option<serde_json::Value> =
                    error.http_response_body.as_deref().and_then(|body| serde_json::from_str(body).ok());
                let needed = body.and_then(|body| body["needed"].as_str().map(String::from));
                Failure::Refused { code: error.code, needed }
            }
        },
        SlackClientError::RateLimitError(error) => Failure::Limited(error.retry_after.unwrap_or(REST)),
        SlackClientError::HttpError(error) if error.status_code.is_client_error() => {
            let body: Option<serde_json::Value> =
                error.http_response_body.as_deref().and_then(|body| serde_json::from_str(body).ok());
            let code = body.and_then(|body| body["error"].as_str().map(String::from));
            let code = code.unwrap_or_else(|| format!("http_{}", error.status_code.as_u16()));
            Failure::Refused { code, needed: None }
        }
        SlackClientError::HttpError(error) => {
            Failure::Unclear(format!("Slack answers with HTTP {}", error.status_code))
        }
        SlackClientError::ProtocolError(error) => {
            Failure::Unclear(format!("Slack's answer is none: {}", error.json_error))
        }
        SlackClientError::HttpProtocolError(error) => {
            let why = error.cause.map_or_else(String::new, |cause| format!(": {}", chain(&*cause)));
            Failure::Unclear(format!("no connection to Slack{why}"))
        }
        _ => Failure::Unclear("no connection to Slack".into()),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Is this address on this machine? Only then may it be without TLS.
pub fn is_loopback(base: &str) -> bool {
    let Ok(url) = Url::parse(base) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_may_be_without_tls() {
        for near in ["http://127.0.0.1:9/api", "http://localhost", "http://[::1]:80/api", "https://127.1.2.3"]
        {
            assert!(is_loopback(near), "{near}");
        }
        for far in
            ["https://slack.com/api", "http://127.0.0.1.example.com", "http://10.0.0.1", "localhost", ""]
        {
            assert!(!is_loopback(far), "{far}");
        }
    }
}
