//! `[slack]` of the config.

use super::api::is_loopback;
use crate::config::secret;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// How to reach Slack, and how Slack reaches Petrel.
#[derive(Clone, Debug)]
pub struct Config {
    /// Base address of the Web API.
    pub api_url: String,
    /// `xoxb-...`: what the app may do.
    pub bot_token: SecretString,
    /// How events come in.
    pub inward: Inward,
}

/// How events come in.
#[derive(Clone, Debug)]
pub enum Inward {
    /// Over sockets that Petrel opens; no public address is needed. `xapp-...`.
    Socket(SecretString),
    /// To Petrel's HTTP server, signed with this secret.
    Http(SecretString),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Raw {
    api_url: Option<String>,
    bot_token_file: Option<PathBuf>,
    bot_token_env: Option<String>,
    app_token_file: Option<PathBuf>,
    app_token_env: Option<String>,
    signing_secret_file: Option<PathBuf>,
    signing_secret_env: Option<String>,
}

impl Raw {
    /// Reads secrets and checks that it makes sense. `base` is the config's folder.
    pub(crate) fn resolve(self, base: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, String> {
        let secret = |key: &str, file, variable| secret("[slack]", key, file, variable, base, env);
        let bot_token = secret("bot_token", self.bot_token_file, self.bot_token_env)?
            .ok_or("[slack] needs bot_token_file or bot_token_env: the token that begins with xoxb-; docs/SLACK.md says where it is")?;
        let app_token = secret("app_token", self.app_token_file, self.app_token_env)?;
        let signing = secret("signing_secret", self.signing_secret_file, self.signing_secret_env)?;
        let inward = match (app_token, signing) {
            (Some(token), None) => Inward::Socket(token),
            (None, Some(secret)) => Inward::Http(secret),
            (None, None) => {
                return Err(
                    "[slack] needs app_token_file or app_token_env (Socket Mode: no public address), or \
                            signing_secret_file or signing_secret_env (Slack calls Petrel over HTTP)"
                        .into(),
                );
            }
            (Some(_), Some(_)) => {
                return Err(
                    "[slack] has both app_token and signing_secret; keep app_token for Socket Mode, \
                            signing_secret for HTTP"
                        .into(),
                );
            }
        };
        kind(&bot_token, "xoxb-", "bot_token")?;
        if let Inward::Socket(token) = &inward {
            kind(token, "xapp-", "app_token")?;
        }
        let api_url = self.api_url.unwrap_or_else(|| "https://slack.com/api".into());
        if !(api_url.starts_with("https://") || api_url.starts_with("http://") && is_loopback(&api_url)) {
            return Err(format!(
                "[slack] api_url = \"{api_url}\" must begin with https://; http:// is taken for this machine only"
            ));
        }
        Ok(Config { api_url: api_url.trim_end_matches('/').to_string(), bot_token, inward })
    }
}

/// Slack's tokens say in front what they are. The token itself is never repeated.
fn kind(token: &SecretString, prefix: &str, key: &str) -> Result<(), String> {
    let token = token.expose_secret();
    if token.starts_with(prefix) && token.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(());
    }
    let is = match token.split_once('-').map(|(kind, _)| kind) {
        Some("xoxb") => "a bot token, which belongs in bot_token",
        Some("xapp") => "an app-level token, which belongs in app_token",
        Some("xoxp") => "a user's token, which Petrel never needs",
        Some("xoxe") => "a token that expires; turn token rotation off for this app",
        _ => "something else",
    };
    Err(format!("[slack] {key} must begin with {prefix}; this is {is}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        let env = |name: &str| {
            let value = match name {
                "BOT" => "xoxb-1-secret",
                "APP" => "xapp-1-secret",
                "USER" => "xoxp-1-secret",
                "SIGNING" => "8f742231b10e8888",
                _ => return None,
            };
            Some(value.to_string())
        };
        let raw: Raw = toml::from_str(text).map_err(|error| error.to_string())?;
        raw.resolve(Path::new("/nowhere"), &env)
    }

    #[test]
    fn a_socket_or_http_and_never_both() {
        let socket = read("bot_token_env = 'BOT'\napp_token_env = 'APP'").unwrap();
        assert!(matches!(socket.inward, Inward::Socket(_)) && socket.api_url == "https://slack.com/api");
        let http = read("bot_token_env = 'BOT'\nsigning_secret_env = 'SIGNING'").unwrap();
        assert!(matches!(http.inward, Inward::Http(_)));
        assert!(read("bot_token_env = 'BOT'").unwrap_err().contains("Socket Mode"));
        let both = "bot_token_env = 'BOT'\napp_token_env = 'APP'\nsigning_secret_env = 'SIGNING'";
        assert!(read(both).unwrap_err().contains("has both"));
        assert!(read("app_token_env = 'APP'").unwrap_err().contains("xoxb-"));
    }

    #[test]
    fn a_token_in_the_wrong_place_is_named_and_never_shown() {
        for (text, says) in [
            ("bot_token_env = 'APP'\napp_token_env = 'APP'", "belongs in app_token"),
            ("bot_token_env = 'BOT'\napp_token_env = 'BOT'", "belongs in bot_token"),
            ("bot_token_env = 'USER'\napp_token_env = 'APP'", "a user's token"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(says) && !error.contains("secret"), "{error}");
        }
        let config = read("bot_token_env = 'BOT'\napp_token_env = 'APP'").unwrap();
        assert!(!format!("{config:?}").contains("secret"), "{config:?}");
    }

    #[test]
    fn plain_http_is_for_this_machine_only() {
        let with =
            |url: &str| read(&format!("bot_token_env = 'BOT'\napp_token_env = 'APP'\napi_url = '{url}'"));
        assert_eq!(with("http://127.0.0.1:9/api/").unwrap().api_url, "http://127.0.0.1:9/api");
        assert!(with("https://slack.example.org/api").is_ok());
        assert!(with("http://slack.example.org/api").unwrap_err().contains("https://"));
    }
}
