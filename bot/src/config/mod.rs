//! `petrel.toml`: one typed file. Unknown keys are refused with line and column, a few keys can be overridden from the
//! environment, secrets come from files or the environment and are never printed.

mod external;
mod file;
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
use file::Raw;
use secrecy::SecretString;
use std::{
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

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

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
