//! `[cluster.prometheus]`: where a cluster's metrics are.

use super::template;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// How to reach the Prometheus (or Thanos, Mimir, VictoriaMetrics) that has measured a cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrometheusConfig {
    /// `https://prometheus.example:9090`, with the path before `/api/v1` if there is one.
    pub url: String,
    /// Bearer token, read anew for every question.
    pub token_file: Option<PathBuf>,
    /// The environment variable that holds the bearer token.
    pub token_env: Option<String>,
    /// For basic authentication, with `password_file`.
    pub user: Option<String>,
    /// Read anew for every question.
    pub password_file: Option<PathBuf>,
    /// PEM; none: the system's certificate authorities.
    pub ca_file: Option<PathBuf>,
    /// Seconds for one question.
    #[serde(default = "twenty")]
    pub timeout_s: u64,
    /// Labels that tell this cluster from others in the same Prometheus: `{ cluster = "prod-eu" }`.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Queries in place of the usual ones, and for metrics of one's own; the first that fits counts.
    #[serde(default, rename = "query")]
    pub queries: Vec<QueryConfig>,
}

/// `[[cluster.prometheus.query]]`: how to ask for one metric of a workload.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueryConfig {
    /// `cpu`, `qps`, or a name of one's own.
    pub metric: String,
    /// Kinds of workload that it is for: `["StatefulSet"]`. Empty: all.
    #[serde(default)]
    pub kinds: Vec<String>,
    /// PromQL that answers with one series. In double quotes `$namespace`, `$name` and `$pods` (a regular expression of the
    /// workload's pods); elsewhere `$window` (for `rate`) and `$labels` (those of `labels`, each with a comma after it).
    pub promql: String,
}

fn twenty() -> u64 {
    20
}

impl PrometheusConfig {
    /// What is wrong with it, before anything is asked.
    pub fn check(&self) -> Result<(), String> {
        let url: http::Uri =
            self.url.parse().map_err(|error| format!("url '{}' is not an address: {error}", self.url))?;
        if !matches!(url.scheme_str(), Some("http" | "https")) {
            return Err(format!("url '{}' must begin with http:// or https://", self.url));
        }
        if url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err("url holds a user; give it with user and password_file".into());
        }
        match (&self.token_file, &self.token_env, &self.user, &self.password_file) {
            (None, None, None, None)
            | (Some(_), None, None, None)
            | (None, Some(_), None, None)
            | (None, None, Some(_), Some(_)) => {}
            _ => {
                return Err("give one of token_file, token_env, or user with password_file".into());
            }
        }
        if self.timeout_s == 0 {
            return Err("timeout_s = 0 leaves no time to answer; at least 1".into());
        }
        if let Some(name) = self.labels.keys().find(|name| !template::is_label(name)) {
            return Err(format!("labels: '{name}' is not a name of a label"));
        }
        for query in &self.queries {
            template::check(query)?;
        }
        Ok(())
    }

    /// Every file that it names, to be made relative to the config's folder.
    pub fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        [&mut self.token_file, &mut self.password_file, &mut self.ca_file].into_iter().flatten()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn parsed(text: &str) -> PrometheusConfig {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_config_that_cannot_work_says_why() {
        let flaw = |text: &str| parsed(text).check().unwrap_err();
        assert!(flaw("url = 'prometheus:9090'").contains("must begin with http"));
        assert!(flaw("url = 'http://ann:pw@prometheus'").contains("password_file"));
        assert!(flaw("url = 'http://p'\nuser = 'ann'").contains("user with password_file"));
        assert!(flaw("url = 'http://p'\ntoken_file = 'a'\ntoken_env = 'B'").contains("give one of"));
        assert!(flaw("url = 'http://p'\ntimeout_s = 0").contains("at least 1"));
        assert!(flaw("url = 'http://p'\nlabels = { 'a b' = 'c' }").contains("'a b'"));
        assert!(flaw("url = 'http://p'\n[[query]]\nmetric = 'qps'\npromql = 'x{a=$name}'").contains("$name"));
        parsed("url = 'https://p/prometheus'\nuser = 'ann'\npassword_file = 'pw'").check().unwrap();
    }
}
