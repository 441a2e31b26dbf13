//! `petrel.toml`: one typed file. Unknown keys are refused with line and column, a few keys can be overridden from the
//! environment, secrets come from files or the environment and are never printed.

mod external;
mod heal;
mod room;
mod sandbox;
mod schedule;
mod secret;
mod watch;

pub use external::ExternalMetrics;
pub use heal::{Heal, Intake, IntakeKind, Proof};
pub use room::{Notice, Room};
pub use schedule::Scheduled;
pub(crate) use secret::secret;

use crate::{discord, slack};
use actions::cluster::ClusterConfig;
use jiff::SignedDuration;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// Everything Petrel is told before it starts. Paths are absolute or relative to the working directory, no longer to
/// the file.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[server]`.
    pub server: Server,
    /// `[database]`.
    pub database: Database,
    /// `[policy] file`.
    pub policy: PathBuf,
    /// `[[cluster]]`, in order.
    pub clusters: Vec<ClusterConfig>,
    /// `[[room]]`, in order; at least one of the console, which is shown first there.
    pub rooms: Vec<Room>,
    /// `[[console.person]]`: who may sign in to the console, each with a token.
    pub people: Vec<ConsolePerson>,
    /// `[slack]`.
    pub slack: Option<slack::Config>,
    /// `[discord]`.
    pub discord: Option<discord::Config>,
    /// `[[api.token]]`.
    pub api: Vec<ApiToken>,
    /// `[[intake]]`, in order.
    pub intakes: Vec<Intake>,
    /// `[heal]`.
    pub heal: Heal,
    /// `[audit]`; none: no checkpoints are written outside the database.
    pub audit: Option<Audit>,
    /// `[[schedule]]`: lines that Petrel types by itself.
    pub schedules: Vec<Scheduled>,
    /// `[external_metrics]`; none: they are not served.
    pub external_metrics: Option<ExternalMetrics>,
    /// `[watch]`: when a proposal that was acted upon is to be put back.
    pub watch: forecast::capacity::watch::Bounds,
    /// `[runner]`.
    pub runner: Runner,
    /// `[sandbox]`: in which commands of rules run.
    pub sandbox: ::sandbox::Sandbox,
}

/// Where the console and the API listen.
#[derive(Clone, Debug)]
pub struct Server {
    /// `127.0.0.1:8420`.
    pub listen: SocketAddr,
    /// How people reach it, for links: `https://petrel.example.org`. None: `http://` and what it listens on.
    pub public_url: Option<String>,
}

/// Which database.
#[derive(Clone, Debug)]
pub struct Database {
    /// Whose.
    pub source: DatabaseSource,
    /// Connections held at most by this process.
    pub connections: u32,
}

/// Whose database.
#[derive(Clone, Debug)]
pub enum DatabaseSource {
    /// Yours.
    Url {
        /// The serving role: may append to the record and not change it.
        url: SecretString,
        /// The schema's owner, for `petrel migrate` only.
        owner_url: Option<SecretString>,
    },
    /// A private Postgres that Petrel starts, with its data in this folder.
    Private(PathBuf),
}

/// Someone who may sign in to the console; actor `console:<person>`.
#[derive(Clone, Debug)]
pub struct ConsolePerson {
    /// As in the actor; policy says which person that is.
    pub person: String,
    /// What they sign in with.
    pub token: SecretString,
}

/// A script's credential; actor `api:<name>`.
#[derive(Clone, Debug)]
pub struct ApiToken {
    /// As in the actor.
    pub name: String,
    /// Sent as `Authorization: Bearer`.
    pub token: SecretString,
}

/// Signed checkpoints of the record, kept outside the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// One file per checkpoint.
    pub checkpoint_dir: PathBuf,
    /// Ed25519 seed, 64 hex digits; made (mode 0600) when it is not there.
    pub signing_key_file: PathBuf,
    /// How often.
    pub every: Duration,
}

/// How this replica runs approved requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runner {
    /// Runs at once; 0: this replica runs nothing.
    pub concurrency: usize,
    /// A worker silent for so long is presumed dead.
    pub lease: Duration,
}

/// Why a file is not a configuration; says where and what would be right.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {file}: {source}")]
    Read {
        /// Which.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, or a wrong type.
    #[error("{file}:{line}:{column}: {message}")]
    Syntax {
        /// Which.
        file: PathBuf,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// Readable, but it makes no sense.
    #[error("{file}: {message}")]
    Invalid {
        /// Which.
        file: PathBuf,
        /// What is wrong and what would be right.
        message: String,
    },
}

/// The shortest token that is accepted; 16 random bytes in hex are 32.
const TOKEN_CHARS: usize = 16;

impl Config {
    /// Reads the file, applies `PETREL_SERVER__LISTEN`, `PETREL_SERVER__PUBLIC_URL`, `PETREL_DATABASE__URL`,
    /// `PETREL_DATABASE__OWNER_URL` and `PETREL_POLICY__FILE`, reads secrets, checks that it makes sense.
    pub fn load(file: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(file)
            .map_err(|source| ConfigError::Read { file: file.to_path_buf(), source })?;
        Self::parse(file, &text, &|name| std::env::var(name).ok())
    }

    /// As [`Config::load`], from text and another environment.
    pub fn parse(
        file: &Path,
        text: &str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Config, ConfigError> {
        let mut raw: Raw = toml::from_str(text).map_err(|error| {
            let (line, column) = line_and_column(text, error.span().map_or(0, |span| span.start));
            ConfigError::Syntax {
                file: file.to_path_buf(),
                line,
                column,
                message: error.message().to_string(),
            }
        })?;
        raw.overrides(env);
        let base = file.parent().unwrap_or(Path::new("")).to_path_buf();
        raw.resolve(&base, env).map_err(|message| ConfigError::Invalid { file: file.to_path_buf(), message })
    }

    /// What is special about a place, if it is listed.
    pub fn room(&self, place: &ledger::Place) -> Option<&Room> {
        self.rooms.iter().find(|room| room.place == *place)
    }

    /// The console's rooms, in order.
    pub fn console_rooms(&self) -> impl Iterator<Item = &Room> {
        self.rooms.iter().filter(|room| room.place.platform() == "console")
    }

    /// Where a notice about a cluster is posted.
    pub fn hearing<'a>(
        &'a self,
        notice: Notice,
        cluster: &'a str,
    ) -> impl Iterator<Item = &'a ledger::Place> {
        self.rooms.iter().filter(move |room| room.hears(notice, cluster)).map(|room| &room.place)
    }

    /// Absolute address of a path in the console.
    pub fn address(&self, path: &str) -> String {
        match &self.server.public_url {
            Some(base) => format!("{}{path}", base.trim_end_matches('/')),
            None => format!("http://{}{path}", self.server.listen),
        }
    }
}

fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(offset)];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
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
    fn overrides(&mut self, env: &dyn Fn(&str) -> Option<String>) {
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

    fn resolve(self, base: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, String> {
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

fn is_name(name: &str) -> bool {
    (1..=40).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn duration(
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

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "[database]\nprivate = \"data\"\n[policy]\nfile = \"policy.toml\"\n";

    fn parse(text: &str) -> Result<Config, String> {
        parse_with(text, &[])
    }

    fn parse_with(text: &str, env: &[(&str, &str)]) -> Result<Config, String> {
        let env =
            |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string());
        Config::parse(Path::new("/etc/petrel/petrel.toml"), text, &env).map_err(|error| error.to_string())
    }

    #[test]
    fn the_least_config_has_a_room_and_sane_defaults() {
        let config = parse(LEAST).unwrap();
        assert_eq!(config.server.listen.to_string(), "127.0.0.1:8420");
        assert_eq!(config.rooms[0].name(), "ops");
        assert_eq!(config.policy, Path::new("/etc/petrel/policy.toml"));
        assert!(
            matches!(config.database.source, DatabaseSource::Private(dir) if dir == Path::new("/etc/petrel/data"))
        );
        assert_eq!(config.runner.lease, Duration::from_secs(15));
    }

    #[test]
    fn an_unknown_key_is_refused_with_line_and_column() {
        let error = parse(&format!("{LEAST}[server]\nlissen = \"127.0.0.1:1\"\n")).unwrap_err();
        assert!(
            error.starts_with("/etc/petrel/petrel.toml:6:1: unknown field `lissen`, expected"),
            "{error}"
        );
    }

    #[test]
    fn a_cluster_label_of_the_wrong_type_is_refused_where_it_stands() {
        let error = parse(&format!("{LEAST}[[cluster]]\nname = \"a\"\ntimeout_s = \"long\"\n")).unwrap_err();
        assert!(error.starts_with("/etc/petrel/petrel.toml:7:13: invalid type"), "{error}");
    }

    #[test]
    fn the_environment_overrides_the_database_and_a_private_one_is_dropped() {
        let config = parse_with(LEAST, &[("PETREL_DATABASE__URL", "postgres://secret@db/petrel")]).unwrap();
        assert!(matches!(config.database.source, DatabaseSource::Url { .. }));
        assert!(!format!("{config:?}").contains("secret@db"), "a secret is printed");
    }

    #[test]
    fn tokens_come_from_files_or_the_environment_and_short_or_shared_ones_are_refused() {
        let person = |name: &str, variable: &str| {
            format!("[[console.person]]\nperson = \"{name}\"\ntoken_env = \"{variable}\"\n")
        };
        let both = format!("{LEAST}{}{}", person("ann", "A"), person("bob", "B"));
        let good = parse_with(&both, &[("A", "0123456789abcdef"), ("B", "fedcba9876543210")]).unwrap();
        assert_eq!(good.people[1].token.expose_secret(), "fedcba9876543210");
        let same = parse_with(&both, &[("A", "0123456789abcdef"), ("B", "0123456789abcdef")]).unwrap_err();
        assert!(same.contains("bob and ann have the same token"), "{same}");
        let short = parse_with(&both, &[("A", "short"), ("B", "fedcba9876543210")]).unwrap_err();
        assert!(short.contains("openssl rand -hex 16") && !short.contains("\"short\""), "{short}");
        let unset = parse_with(&both, &[]).unwrap_err();
        assert!(unset.contains("token_env A is not set"), "{unset}");
    }

    #[test]
    fn a_room_may_only_name_what_is_there() {
        let room = |text: &str| {
            let cluster = "[[cluster]]\nname = \"prod\"\nserver = \"http://127.0.0.1:1\"\n";
            parse(&format!("{LEAST}{cluster}[[room]]\nplace = {text}\n"))
        };
        let error = |text: &str| room(text).unwrap_err();
        assert!(error("\"console:shop\"\ncluster = \"pord\"").contains("there is no [[cluster]] named pord"));
        assert!(error("\"console:shop\"\ncommands = [\"reboot\"]").contains("there is no command reboot"));
        assert!(error("\"console:shop\"\nnotices = [\"all\"]").contains("unknown variant `all`"));
        for place in ["shop", "console:Shop", "slack:C1", "slack:T1:C1:9", "irc:a:b", "discord:1:<@2>"] {
            assert!(error(&format!("\"{place}\"")).contains("such as console:ops"), "{place}");
        }
        let twice = error("\"slack:T1:C1\"\n[[room]]\nplace = \"slack:T1:C1\"");
        assert!(twice.contains("is there twice"), "{twice}");
    }

    #[test]
    fn what_nobody_should_miss_is_heard_in_every_room_that_does_not_say_otherwise() {
        let rooms = "[[cluster]]\nname = \"prod\"\nserver = \"http://127.0.0.1:1\"\n\
            [[room]]\nplace = \"slack:T1:C1\"\nnotices = [\"approvals\"]\nnotice_clusters = [\"prod\"]\n\
            [[room]]\nplace = \"discord:1:2\"\n";
        let config = parse(&format!("{LEAST}{rooms}")).unwrap();
        let hearing = |notice, cluster| -> Vec<String> {
            config.hearing(notice, cluster).map(ToString::to_string).collect()
        };
        assert_eq!(hearing(Notice::Approvals, "prod"), ["slack:T1:C1"]);
        assert!(hearing(Notice::Approvals, "staging").is_empty());
        assert_eq!(hearing(Notice::Unknown, "prod"), ["console:ops", "discord:1:2"]);
        assert_eq!(hearing(Notice::BreakGlass, "staging"), ["console:ops", "discord:1:2"]);
    }

    #[test]
    fn a_room_takes_what_it_lists_and_help() {
        let config =
            parse(&format!("{LEAST}[[room]]\nplace = \"slack:T1:C1\"\ncommands = [\"get\"]\n")).unwrap();
        let room = config.room(&ledger::Place("slack:T1:C1".into())).unwrap();
        assert!(room.takes("get") && room.takes("help") && !room.takes("restart"));
    }

    #[test]
    fn what_is_missing_is_named_with_how_to_mend_it() {
        assert!(parse("").unwrap_err().contains("private = \"folder\""));
        assert!(parse("[database]\nprivate = \"d\"\n").unwrap_err().contains("[policy] needs file"));
        assert!(parse(&format!("{LEAST}[runner]\nlease = \"10ms\"\n")).unwrap_err().contains("at least 1 s"));
    }
}
