//! `[[intake]]` and `[heal]`: who may tell what happened, and which rules there are for it.

use super::{
    file::{TOKEN_CHARS, is_name},
    secret,
};
use ledger::Place;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// Messages a minute that one intake takes, unless it says otherwise.
const PER_MINUTE: u32 = 6_000;
/// MiB of one message, unless it says otherwise: ten thousand alerts of usual size.
const MAX_MIB: u32 = 16;

/// Someone who tells what happened, at `POST /hook/<kind>/<name>`.
#[derive(Clone, Debug)]
pub struct Intake {
    /// Part of the address; lower case letters, digits, dashes.
    pub name: String,
    /// What it sends.
    pub kind: IntakeKind,
    /// How it proves who it is.
    pub proof: Proof,
    /// The cluster of events that name none.
    pub cluster: Option<String>,
    /// Messages a minute.
    pub per_minute: u32,
    /// Bytes of one message.
    pub max_bytes: usize,
}

/// What an intake sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IntakeKind {
    /// Its webhook, version 4.
    Alertmanager,
    /// Its webhook contact point.
    Grafana,
    /// 1.0, structured or binary.
    CloudEvents,
}

impl IntakeKind {
    /// As in the address.
    pub fn as_str(self) -> &'static str {
        match self {
            IntakeKind::Alertmanager => "alertmanager",
            IntakeKind::Grafana => "grafana",
            IntakeKind::CloudEvents => "cloudevents",
        }
    }
}

/// How an intake proves who it is.
#[derive(Clone, Debug)]
pub enum Proof {
    /// `Authorization: Bearer <token>`.
    Token(SecretString),
    /// HMAC-SHA256 of the body: `X-Hub-Signature-256: sha256=<hex>`, or Grafana's `X-Grafana-Alerting-Signature: <hex>`.
    Hmac(SecretString),
}

/// What is done about what happens.
#[derive(Clone, Debug, Default)]
pub struct Heal {
    /// Files `*.heal`, read again when they change.
    pub rules: Option<PathBuf>,
    /// Rooms as rules call them: `"#oncall"`.
    pub rooms: BTreeMap<String, Place>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawIntake {
    name: String,
    kind: IntakeKind,
    token_file: Option<PathBuf>,
    token_env: Option<String>,
    hmac_file: Option<PathBuf>,
    hmac_env: Option<String>,
    cluster: Option<String>,
    per_minute: Option<u32>,
    max_mib: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHeal {
    rules: Option<PathBuf>,
    #[serde(default)]
    rooms: BTreeMap<String, Place>,
}

impl RawHeal {
    pub(super) fn resolve(self, base: &Path) -> Heal {
        Heal { rules: self.rules.map(|rules| base.join(rules)), rooms: self.rooms }
    }
}

pub(super) fn intakes(
    raw: Vec<RawIntake>,
    clusters: &BTreeSet<&str>,
    base: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<Intake>, String> {
    let mut names = BTreeSet::new();
    raw.into_iter()
        .map(|raw| {
            let name = raw.name.clone();
            let table = format!("[[intake]] {name}");
            if !is_name(&name) {
                return Err(format!("{table}: a name is lower case letters, digits and dashes, at most 40"));
            }
            if !names.insert(name.clone()) {
                return Err(format!("[[intake]] name = \"{name}\" is there twice"));
            }
            if let Some(cluster) = raw.cluster.as_deref().filter(|cluster| !clusters.contains(cluster)) {
                return Err(format!("{table}: there is no [[cluster]] named {cluster}"));
            }
            let token = secret(&table, "token", raw.token_file, raw.token_env, base, env)?;
            let hmac = secret(&table, "hmac", raw.hmac_file, raw.hmac_env, base, env)?;
            let proof = match (token, hmac) {
                (Some(token), None) => Proof::Token(token),
                (None, Some(key)) => Proof::Hmac(key),
                _ => {
                    return Err(format!(
                        "{table} needs one of token_file, token_env (a bearer token) and hmac_file, hmac_env (a signature)"
                    ));
                }
            };
            let (Proof::Token(text) | Proof::Hmac(text)) = &proof;
            if text.expose_secret().chars().count() < TOKEN_CHARS {
                return Err(format!("{table}: its secret is too short; make one with `openssl rand -hex 16`"));
            }
            let per_minute = raw.per_minute.unwrap_or(PER_MINUTE);
            let max_mib = raw.max_mib.unwrap_or(MAX_MIB);
            if per_minute == 0 || !(1..=64).contains(&max_mib) {
                return Err(format!("{table}: per_minute must be at least 1, and max_mib 1 to 64"));
            }
            let max_bytes = max_mib as usize * 1024 * 1024;
            Ok(Intake { name, kind: raw.kind, proof, cluster: raw.cluster, per_minute, max_bytes })
        })
        .collect()
}
