//! The file as it is written, and the config it becomes: defaults, secrets, and what must fit together.

use super::{
    ApiToken, Audit, Config, ConsolePerson, Database, DatabaseSource, Room, Runner, Server, external, heal,
    sandbox, schedule, secret, watch,
};
use crate::{discord, slack};
use actions::cluster::ClusterConfig;
use jiff::SignedDuration;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

/// The shortest token that is accepted; 16 random bytes in hex are 32.
pub(super) const TOKEN_CHARS: usize = 16;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    #[serde(default)]
    server: RawServer,
    #[serde(default)]
    database: RawDatabase,
    #[serde(default)]
    policy: RawPolicy,
    #[serde(default, rename = "cluster")]
    clusters: Vec<ClusterConfig>,
    #[serde(default, rename = "room")]
    rooms: Vec<Room>,
    #[serde(default)]
    console: RawConsole,
    slack: Option<slack::Raw>,
    discord: Option<discord::Raw>,
    #[serde(default)]
    api: RawApi,
    #[serde(default, rename = "intake")]
    intakes: Vec<heal::RawIntake>,
    #[serde(default)]
    heal: heal::RawHeal,
    audit: Option<RawAudit>,
    #[serde(default, rename = "schedule")]
    schedules: Vec<schedule::Raw>,
    external_metrics: Option<external::Raw>,
    #[serde(default)]
    watch: watch::Raw,
    #[serde(default)]
    runner: RawRunner,
    #[serde(default)]
    sandbox: sandbox::Raw,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawServer {
    listen: Option<String>,
    public_url: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDatabase {
    url: Option<String>,
    owner_url: Option<String>,
    private: Option<PathBuf>,
    connections: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPolicy {
    file: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConsole {
    #[serde(default, rename = "person")]
    people: Vec<RawPerson>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawApi {
    #[serde(default, rename = "token")]
    tokens: Vec<RawToken>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPerson {
    person: String,
    token_file: Option<PathBuf>,
    token_env: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawToken {
    name: String,
    token_file: Option<PathBuf>,
    token_env: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAudit {
    checkpoint_dir: PathBuf,
    signing_key_file: PathBuf,
    every: Option<SignedDuration>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRunner {
    concurrency: Option<usize>,
    lease: Option<SignedDuration>,
}

impl Raw {
    pub(super) fn overrides(&mut self, env: &dyn Fn(&str) -> Option<String>) {
        if let Some(listen) = env("PETREL_SERVER__LISTEN") {
            self.server.listen = Some(listen);
        }
        if let Some(url) = env("PETREL_SERVER__PUBLIC_URL") {
            self.server.public_url = Some(url);
        }
        if let Some(url) = env("PETREL_DATABASE__URL") {
            self.database.url = Some(url);
            self.database.private = None;
        }
        if let Some(url) = env("PETREL_DATABASE__OWNER_URL") {
            self.database.owner_url = Some(url);
        }
        if let Some(file) = env("PETREL_POLICY__FILE") {
            self.policy.file = Some(file.into());
        }
    }

    pub(super) fn resolve(self, base: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, String> {
        let at = |path: PathBuf| base.join(path);
        let listen = self.server.listen.as_deref().unwrap_or("127.0.0.1:8420");
        let listen = listen.parse().map_err(|_| {
            format!(
                "[server] listen = \"{listen}\" is not an address; write host:port, such as 127.0.0.1:8420"
            )
        })?;
        if let Some(url) = &self.server.public_url
            && !(url.starts_with("http://") || url.starts_with("https://"))
        {
            return Err(format!("[server] public_url = \"{url}\" must begin with http:// or https://"));
        }
        let source = match (self.database.url, self.database.private) {
            (Some(url), None) => DatabaseSource::Url {
                url: url.into(),
                owner_url: self.database.owner_url.map(SecretString::from),
            },
            (None, Some(dir)) => DatabaseSource::Private(at(dir)),
            (Some(_), Some(_)) => return Err("[database] has both url and private; keep one".into()),
            (None, None) => {
                return Err(
                    "[database] needs url = \"postgres://...\", or private = \"folder\" for a Postgres that \
                            Petrel starts itself; PETREL_DATABASE__URL works too"
                        .into(),
                );
            }
        };
        let connections = self.database.connections.unwrap_or(16);
        if connections < 4 {
            return Err(format!("[database] connections = {connections} is too few; at least 4"));
        }
        let policy = at(self
            .policy
            .file
            .ok_or("[policy] needs file = \"policy.toml\"; without one nothing is allowed")?);

        let mut clusters = self.clusters;
        for cluster in &mut clusters {
            for path in
                [&mut cluster.kubeconfig, &mut cluster.token_file, &mut cluster.ca_file].into_iter().flatten()
            {
                *path = base.join(&path);
            }
            for pool in &cluster.pools {
                pool.check().map_err(|why| format!("[[cluster.pool]] of {}: {why}", cluster.name))?;
            }
            if let Some(prometheus) = &mut cluster.prometheus {
                let wrong = |why| format!("[cluster.prometheus] of {}: {why}", cluster.name);
                prometheus.check().map_err(wrong)?;
                for path in prometheus.files() {
                    *path = base.join(&path);
                }
            }
        }
        let names: Vec<String> = clusters.iter().map(|cluster| cluster.name.clone()).collect();
        let schedules = self.schedules.into_iter().map(|schedule| schedule.resolve(&names));
        let schedules = schedules.collect::<Result<Vec<_>, _>>()?;
        let measured: Vec<&str> = clusters
            .iter()
            .filter(|cluster| cluster.prometheus.is_some())
            .map(|cluster| cluster.name.as_str())
            .collect();
        let external_metrics = self.external_metrics.map(|raw| raw.resolve(&measured, base)).transpose()?;
        unique("[[schedule]] name", schedules.iter().map(|scheduled| scheduled.name.as_str()))?;
        unique("[[cluster]] name", clusters.iter().map(|cluster| cluster.name.as_str()))?;

        let mut rooms = self.rooms;
        let names: BTreeSet<&str> = clusters.iter().map(|cluster| cluster.name.as_str()).collect();
        let mut places = BTreeSet::new();
        for room in &rooms {
            room.check(&names)?;
            if !places.insert(&room.place) {
                return Err(format!("[[room]] place = \"{}\" is there twice", room.place));
            }
        }
        let intakes = heal::intakes(self.intakes, &names, base, env)?;
        let heal = self.heal.resolve(base);
        if !rooms.iter().any(|room| room.place.platform() == "console") {
            rooms.insert(0, Room::console("ops"));
        }

        let people = self.console.people.into_iter();
        let people = people.map(|RawPerson { person, token_file, token_env }| RawToken {
            name: person,
            token_file,
            token_env,
        });
        let people = tokens("console.person", people.collect(), base, env)?;
        let api = tokens("api.token", self.api.tokens, base, env)?;
        let slack = self.slack.map(|slack| slack.resolve(base, env)).transpose()?;
        let discord = self.discord.map(|discord| discord.resolve(base, env)).transpose()?;
        let audit = match self.audit {
            None => None,
            Some(audit) => Some(Audit {
                checkpoint_dir: at(audit.checkpoint_dir),
                signing_key_file: at(audit.signing_key_file),
                every: duration(
                    "[audit] every",
                    audit.every,
                    Duration::from_secs(3600),
                    Duration::from_secs(1),
                )?,
            }),
        };
        let concurrency = self.runner.concurrency.unwrap_or(8);
        if concurrency > 256 {
            return Err(format!("[runner] concurrency = {concurrency} is too much; at most 256"));
        }
        let lease =
            duration("[runner] lease", self.runner.lease, Duration::from_secs(15), Duration::from_secs(1))?;
        Ok(Config {
            server: Server { listen, public_url: self.server.public_url },
            database: Database { source, connections },
            policy,
            clusters,
            rooms,
            people: people.into_iter().map(|(person, token)| ConsolePerson { person, token }).collect(),
            slack,
            discord,
            api: api.into_iter().map(|(name, token)| ApiToken { name, token }).collect(),
            intakes,
            heal,
            audit,
            runner: Runner { concurrency, lease },
            schedules,
            external_metrics,
            watch: self.watch.resolve()?,
            sandbox: self.sandbox.resolve()?,
        })
    }
}

/// Names are part of actors and places, and are typed by people: lower case letters, digits, dashes.
fn unique<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !is_name(name) {
            return Err(format!(
                "{what} = \"{name}\" must be lower case letters, digits and dashes, at most 40"
            ));
        }
        if !seen.insert(name) {
            return Err(format!("{what} = \"{name}\" is there twice"));
        }
    }
    Ok(())
}

pub(super) fn is_name(name: &str) -> bool {
    (1..=40).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

pub(super) fn duration(
    what: &str,
    given: Option<SignedDuration>,
    default: Duration,
    least: Duration,
) -> Result<Duration, String> {
    let Some(given) = given else { return Ok(default) };
    match Duration::try_from(given) {
        Ok(duration) if duration >= least => Ok(duration),
        _ => Err(format!("{what} = \"{given:#}\" must be at least {} s", least.as_secs())),
    }
}

fn tokens(
    table: &str,
    raw: Vec<RawToken>,
    base: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<(String, SecretString)>, String> {
    unique(&format!("[[{table}]] name"), raw.iter().map(|token| token.name.as_str()))?;
    let mut all: Vec<(String, SecretString)> = Vec::with_capacity(raw.len());
    for RawToken { name, token_file, token_env } in raw {
        let table_of_one = format!("[[{table}]] {name}");
        let token = secret(&table_of_one, "token", token_file, token_env, base, env)?
            .ok_or_else(|| format!("{table_of_one} needs one of token_file and token_env"))?;
        let token = token.expose_secret();
        if token.len() < TOKEN_CHARS || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(format!(
                "[[{table}]] {name}: the token must be at least {TOKEN_CHARS} printable ASCII characters without \
                 spaces; `openssl rand -hex 16` makes one"
            ));
        }
        if let Some((other, _)) = all.iter().find(|(_, known)| known.expose_secret() == token) {
            return Err(format!("[[{table}]] {name} and {other} have the same token"));
        }
        all.push((name, token.into()));
    }
    Ok(all)
}
