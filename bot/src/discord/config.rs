//! `[discord]` of the config.

use crate::config::secret;
use ed25519_dalek::VerifyingKey;
use secrecy::SecretString;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// How to reach Discord, and as whom.
#[derive(Clone, Debug)]
pub struct Config {
    /// Of the application, and of its bot.
    pub application_id: String,
    /// The bot's.
    pub token: SecretString,
    /// With it, interactions are also taken by HTTP, at `/discord/interactions`. None: by the gateway only.
    pub public_key: Option<VerifyingKey>,
    /// Where `/petrel` is registered, and what a direct message's sender may be known by; none: it is registered globally.
    pub guilds: Vec<String>,
    /// Base address of the REST API, with its version and without a slash at its end.
    pub api_url: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Raw {
    application_id: String,
    token_file: Option<PathBuf>,
    token_env: Option<String>,
    public_key: Option<String>,
    #[serde(default)]
    guilds: Vec<String>,
    api_url: Option<String>,
}

impl Raw {
    /// Reads secrets (`config::secret`) and checks that it makes sense. `base` is the config's folder.
    pub(crate) fn resolve(self, base: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, String> {
        let token = secret("[discord]", "token", self.token_file, self.token_env, base, env)?.ok_or(
            "[discord] needs token_file or token_env: the bot's token, from the developer portal, page Bot",
        )?;
        for (what, id) in [("application_id", &self.application_id)]
            .into_iter()
            .chain(self.guilds.iter().map(|id| ("guilds", id)))
        {
            if !super::is_id(id) {
                return Err(format!(
                    "[discord] {what}: \"{id}\" is not an id; Discord's are long numbers, copied from its menus"
                ));
            }
        }
        let public_key = self.public_key.as_deref().map(key).transpose()?;
        Ok(Config {
            application_id: self.application_id,
            token,
            public_key,
            guilds: self.guilds,
            api_url: api_url(self.api_url)?,
        })
    }
}

fn key(text: &str) -> Result<VerifyingKey, String> {
    let wrong = || {
        "[discord] public_key must be the 64 hex digits from the developer portal, page General Information"
            .to_string()
    };
    let bytes: [u8; 32] =
        hex::decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(wrong)?;
    VerifyingKey::from_bytes(&bytes).map_err(|_| wrong())
}

/// A bare host gets the path of the version that is spoken here.
fn api_url(given: Option<String>) -> Result<String, String> {
    let Some(given) = given else { return Ok("https://discord.com/api/v10".into()) };
    let url = given.trim_end_matches('/');
    let host =
        url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).filter(|host| !host.is_empty());
    match host {
        Some(host) if host.contains('/') => Ok(url.to_string()),
        Some(_) => Ok(format!("{url}/api/v10")),
        None => Err(format!("[discord] api_url = \"{given}\" must begin with http:// or https://")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    fn read(text: &str) -> Result<Config, String> {
        let raw: Raw = toml::from_str(text).map_err(|error| error.message().to_string())?;
        raw.resolve(Path::new("/nowhere"), &|name| (name == "TOKEN").then(|| " t \n".into()))
    }

    #[test]
    fn a_token_and_an_application_are_enough() {
        let config = read("application_id = \"1\"\ntoken_env = \"TOKEN\"").unwrap();
        assert_eq!(config.token.expose_secret(), "t");
        assert_eq!(config.api_url, "https://discord.com/api/v10");
        assert!(config.public_key.is_none() && config.guilds.is_empty());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong =
            |text: &str| read(&format!("application_id = \"1\"\ntoken_env = \"TOKEN\"\n{text}")).unwrap_err();
        assert!(wrong("public_key = \"00\"").contains("64 hex digits"));
        assert!(wrong("guilds = [\"a b\"]").contains("\"a b\" is not an id"));
        assert!(wrong("api_url = \"discord.com\"").contains("http://"));
        assert!(read("application_id = \"1\"").unwrap_err().contains("token_file or token_env"));
    }

    #[test]
    fn another_address_may_be_a_host_alone() {
        let address = |text: &str| api_url(Some(text.into())).unwrap();
        assert_eq!(address("http://127.0.0.1:9000"), "http://127.0.0.1:9000/api/v10");
        assert_eq!(
            address("https://gateway.example/discord/api/v10/"),
            "https://gateway.example/discord/api/v10"
        );
    }
}
