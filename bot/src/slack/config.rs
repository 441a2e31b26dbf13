//! `[slack]` of the config.

use serde::Deserialize;
use std::path::Path;

/// How to reach Slack.
#[derive(Clone, Debug)]
pub struct Config {
    /// Base address of the Web API.
    pub api_url: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Raw {
    api_url: Option<String>,
}

impl Raw {
    /// Reads secrets (`config::secret`) and checks that it makes sense. `base` is the config's folder.
    pub(crate) fn resolve(
        self,
        _base: &Path,
        _env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Config, String> {
        Ok(Config { api_url: self.api_url.unwrap_or_else(|| "https://slack.com/api".into()) })
    }
}
