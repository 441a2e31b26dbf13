//! Everything one end-to-end test needs: a database of its own behind a proxy, a cluster, a policy, and replicas.

use crate::{
    api::Api,
    cluster::Cluster,
    discord::{self, Discord},
    petrel::Petrel,
    proxy::Proxy,
    slack::{self, Slack},
    wait,
};
use anyhow::{Context, Result};
use ledger::{
    Connect, Ledger,
    private::{PrivatePostgres, test_dir},
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;

const WITHIN: Duration = Duration::from_secs(30);

/// `[[api.token]]` and `[[console.person]]` share their token text in tests: `token-of-<name>`.
pub fn token(name: &str) -> String {
    format!("token-of-{name}-0123456789")
}

/// The policy of the end-to-end tests: ann may scale at once, everything else needs one yes, `set-image` two.
pub const POLICY: &str = include_str!("policy.toml");

/// Everybody whom the policy knows.
pub const PEOPLE: [&str; 4] = ["ann", "bob", "cat", "eve"];

/// How a chat platform reaches Petrel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inward {
    /// Through connections that Petrel opens: Socket Mode, the gateway.
    Connection,
    /// By signed requests.
    Http,
}

/// Which chat platforms a world has. Both have a channel `ops` with `-c test` as its default, where Petrel may do what it needs,
/// and `zed`, whom nobody knows, beside [`PEOPLE`].
#[derive(Clone, Debug, Default)]
pub struct Platforms {
    /// A Slack.
    pub slack: Option<Inward>,
    /// A Discord.
    pub discord: Option<Inward>,
    /// Slack's times and rates.
    pub slack_rules: slack::Rules,
    /// Discord's.
    pub discord_rules: discord::Rules,
    /// Room for some 4,000 pods.
    pub roomy: bool,
    /// Further keys of each platform's `[[room]]`.
    pub room: String,
    /// Further text for `petrel.toml`.
    pub config: String,
}

impl Platforms {
    /// Both, with times that tests can wait for.
    pub fn both(inward: Inward) -> Platforms {
        Platforms {
            slack: Some(inward),
            discord: Some(inward),
            slack_rules: slack::Rules::compressed(),
            discord_rules: discord::Rules::compressed(),
            roomy: false,
            room: String::new(),
            config: String::new(),
        }
    }
}

/// One test's world.
pub struct World {
    folder: TempDir,
    /// Between the replicas and their database.
    pub proxy: Proxy,
    /// The cluster, called `test`.
    pub cluster: Cluster,
    /// Replicas started so far.
    pub replicas: Vec<Petrel>,
    /// Straight to the database, past the proxy.
    pub ledger: Ledger,
    /// Owner's url, for tampering.
    pub owner_url: String,
    platforms: Platforms,
    slack: Option<Slack>,
    discord: Option<Discord>,
    config: PathBuf,
    /// What the replicas are told.
    database_url: String,
    /// In the config of a runner: replicas that are to die are soon presumed dead.
    lease: &'static str,
    /// A server of this world's own, where a test restarts it.
    postgres: Option<PrivatePostgres>,
}

impl World {
    /// A database, a cluster, a config; no replica yet.
    pub async fn new() -> Result<World> {
        World::among(Platforms::default()).await
    }

    /// The same among chat platforms; no replica yet.
    pub async fn among(platforms: Platforms) -> Result<World> {
        let nodes = if platforms.roomy { 40 } else { 3 };
        World::shaped(nodes, true, None, platforms).await
    }

    /// A world with a server of its own, which [`World::restart_database`] restarts.
    pub async fn with_own_database(count: usize) -> Result<World> {
        let folder = tempfile::tempdir()?;
        let postgres = PrivatePostgres::start(folder.path()).await?;
        let mut world = World::shaped(3, true, Some((folder, postgres)), Platforms::default()).await?;
        for _ in 0..count {
            world.start().await?;
        }
        Ok(world)
    }

    /// Stops this world's own server, which ends all its connections, and starts it again on the same files.
    pub async fn restart_database(&mut self) -> Result<()> {
        self.stop_database().await?;
        self.postgres = Some(PrivatePostgres::start(self.folder.path()).await?);
        Ok(())
    }

    /// Stops it for good. (Where a test fails before, the server ends by itself when it misses its files.)
    pub async fn stop_database(&mut self) -> Result<()> {
        self.postgres.take().context("a server of this world's own")?.stop().await.map_err(Into::into)
    }

    /// For figures: room for some 4,000 pods, and the replicas straight on the database.
    pub async fn for_figures() -> Result<World> {
        World::shaped(40, false, None, Platforms::default()).await
    }

    /// The same, with more text for `petrel.toml`, made from what is known of the world by now; before a replica is started.
    pub fn with_more_config(mut self, config: String) -> Result<World> {
        self.platforms.config = config;
        self.write_config(8)?;
        Ok(self)
    }

    async fn shaped(
        nodes: u32,
        proxied: bool,
        own: Option<(TempDir, PrivatePostgres)>,
        platforms: Platforms,
    ) -> Result<World> {
        let (folder, postgres, (url, owner_url)) = match own {
            Some((folder, postgres)) => {
                let urls = (postgres.url(), postgres.owner_url());
                (folder, Some(postgres), urls)
            }
            None => {
                let shared = PrivatePostgres::join(&test_dir()).await?;
                (tempfile::tempdir()?, None, shared.database("e2e").await?)
            }
        };
        let proxy = Proxy::start(socket_of(&url)?).await?;
        let database = url.split(['/', '?']).nth(3).context("no database in the url")?;
        let database_url = match proxied {
            true => format!("postgres://petrel@{}/{database}?sslmode=disable", proxy.address()),
            false => url.clone(),
        };
        let cluster = Cluster::start("test", folder.path(), nodes).await?;
        let ledger = Ledger::connect(&Connect { url, connections: 4 }).await?;
        let config = folder.path().join("petrel.toml");
        let slack = match platforms.slack {
            Some(_) => Some(workspace(platforms.slack_rules).await?),
            None => None,
        };
        let discord = match platforms.discord {
            Some(_) => Some(guild(platforms.discord_rules).await?),
            None => None,
        };
        let world = World {
            folder,
            proxy,
            cluster,
            replicas: Vec::new(),
            ledger,
            owner_url,
            platforms,
            slack,
            discord,
            config,
            database_url,
            lease: if proxied { "lease = \"2s\"" } else { "" },
            postgres,
        };
        world.write_config(8)?;
        Ok(world)
    }

    /// A world with `count` replicas ready.
    pub async fn with(count: usize) -> Result<World> {
        World::with_platforms(count, Platforms::default()).await
    }

    /// The same among chat platforms.
    pub async fn with_platforms(count: usize, platforms: Platforms) -> Result<World> {
        let mut world = World::among(platforms).await?;
        for _ in 0..count {
            world.start().await?;
        }
        Ok(world)
    }

    /// Starts one more replica; its index.
    pub async fn start(&mut self) -> Result<usize> {
        let petrel = Petrel::start(&self.config, self.log()).await?;
        self.reach(&petrel.base);
        self.replicas.push(petrel);
        self.connected().await;
        Ok(self.replicas.len() - 1)
    }

    /// Platforms that call send what they have to this replica.
    pub fn reach(&self, base: &str) {
        if let (Some(slack), Some(Inward::Http)) = (&self.slack, self.platforms.slack) {
            slack.set_mode(slack::Mode::Http {
                events: format!("{base}/slack/events"),
                commands: format!("{base}/slack/commands"),
                interactivity: format!("{base}/slack/interactions"),
            });
        }
        if let (Some(discord), Some(Inward::Http)) = (&self.discord, self.platforms.discord) {
            discord.set_mode(discord::Mode::Http { url: format!("{base}/discord/interactions") });
        }
    }

    /// Waits until Petrel is connected wherever it connects, and its command is registered.
    pub async fn connected(&self) {
        let log = self.folder.path().display().to_string();
        wait::until(&format!("connections to the chat platforms (logs in {log})"), WITHIN, || async {
            let slack = self.platforms.slack != Some(Inward::Connection) || self.slack().sockets() > 0;
            let discord = self
                .discord
                .as_ref()
                .is_none_or(|discord| discord.connections() > 0 && !discord.commands().is_empty());
            (slack && discord).then_some(())
        })
        .await;
    }

    /// Waits until Petrel has a socket at Slack again.
    pub async fn connected_to_slack(&self) {
        wait::until("a socket at Slack", WITHIN, || async { (self.slack().sockets() > 0).then_some(()) })
            .await;
    }

    /// The Slack of this world.
    pub fn slack(&self) -> &Slack {
        self.slack.as_ref().expect("a world with Slack")
    }

    /// The Discord of this world.
    pub fn discord(&self) -> &Discord {
        self.discord.as_ref().expect("a world with Discord")
    }

    /// Starts one more replica without waiting for it.
    pub fn spawn(&mut self) -> Result<usize> {
        self.replicas.push(Petrel::spawn(&self.config, self.log())?);
        Ok(self.replicas.len() - 1)
    }

    /// Waits until a replica has died, and starts a new one in its place.
    pub async fn replace_the_dead(&mut self) -> Result<()> {
        let mut dead = None;
        for _ in 0..500 {
            dead = self.replicas.iter_mut().position(|replica| replica.process.ended());
            if dead.is_some() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        let dead = dead.context("no replica has died")?;
        self.start().await?;
        self.replicas.swap_remove(dead);
        Ok(())
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join(format!("petrel-{}.log", uuid::Uuid::new_v4().simple()))
    }

    /// The config file.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Where this world keeps its files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The API of the last replica as `name` (`ann`, `bob`, `cat`, `eve`).
    pub fn api(&self, name: &str) -> Api {
        Api::new(&self.replicas.last().expect("a replica").base, &token(name))
    }

    /// ` -c test -n <namespace>`, to be appended to a command.
    pub fn at(&self) -> String {
        format!(" -c test -n {}", self.cluster.namespace)
    }

    /// The end of every replica's log, for a failing test.
    pub fn logs(&self) -> String {
        self.replicas
            .iter()
            .map(|petrel| format!("--- {}\n{}\n", petrel.base, petrel.process.tail()))
            .collect()
    }

    /// `[slack]`, `[discord]` and their rooms.
    fn platforms_config(&self) -> Result<String> {
        let (mut text, room) = (self.platforms.config.clone(), &self.platforms.room);
        let secret = |name: &str, value: &str| -> Result<String> {
            let file = self.folder.path().join(name);
            std::fs::write(&file, value)?;
            Ok(file.display().to_string())
        };
        if let (Some(slack), Some(inward)) = (&self.slack, self.platforms.slack) {
            let bot = secret("slack-bot", slack::BOT_TOKEN)?;
            let inward = match inward {
                Inward::Connection => {
                    format!("app_token_file = \"{}\"", secret("slack-app", slack::APP_TOKEN)?)
                }
                Inward::Http => {
                    format!("signing_secret_file = \"{}\"", secret("slack-signing", slack::SIGNING_SECRET)?)
                }
            };
            text.push_str(&format!(
                "\n[slack]\napi_url = \"{}\"\nbot_token_file = \"{bot}\"\n{inward}\n\
                 [[room]]\nplace = \"slack:{}:{}\"\ncluster = \"test\"\n{room}\n",
                slack.url(),
                slack::TEAM,
                slack::channel_id("ops"),
            ));
        }
        if let (Some(discord), Some(inward)) = (&self.discord, self.platforms.discord) {
            let token = secret("discord-token", discord::TOKEN)?;
            let key = match inward {
                Inward::Connection => String::new(),
                Inward::Http => format!("public_key = \"{}\"\n", discord.public_key()),
            };
            text.push_str(&format!(
                "\n[discord]\napi_url = \"{}\"\napplication_id = \"{}\"\ntoken_file = \"{token}\"\n{key}guilds = [\"{}\"]\n\
                 [[room]]\nplace = \"discord:{}:{}\"\ncluster = \"test\"\n{room}\n",
                discord.url(),
                discord::APP,
                discord::GUILD,
                discord::GUILD,
                discord::channel_id("ops"),
            ));
        }
        Ok(text)
    }

    /// Writes `petrel.toml`; replicas started afterwards take it. `concurrency` 0: they run nothing.
    pub fn write_config(&self, concurrency: usize) -> Result<()> {
        std::fs::write(self.folder.path().join("policy.toml"), POLICY)?;
        let mut people = String::new();
        for name in PEOPLE {
            let file = self.folder.path().join(format!("{name}.token"));
            std::fs::write(&file, token(name))?;
            people.push_str(&format!(
                "[[api.token]]\nname = \"{name}\"\ntoken_file = \"{0}\"\n[[console.person]]\nperson = \"{name}\"\ntoken_file = \"{0}\"\n",
                file.display()
            ));
        }
        let text = format!(
            r#"
[server]
listen = "127.0.0.1:0"

[database]
url = "{database_url}"
connections = 8

[policy]
file = "policy.toml"

[[cluster]]
name = "test"
kubeconfig = "{kubeconfig}"
labels = {{ production = "true" }}

# Nobody listens there: it must slow nobody.
[[cluster]]
name = "dead"
server = "http://127.0.0.1:9"
timeout_s = 2

[[room]]
place = "console:ops"
cluster = "test"

[runner]
concurrency = {concurrency}
{lease}

{people}
{platforms}
"#,
            database_url = self.database_url,
            lease = self.lease,
            platforms = self.platforms_config()?,
            kubeconfig = self.cluster.kubeconfig.display(),
        );
        std::fs::write(&self.config, text)?;
        Ok(())
    }
}

async fn workspace(rules: slack::Rules) -> Result<Slack> {
    let slack = Slack::start(rules).await?;
    for name in PEOPLE.into_iter().chain(["zed"]) {
        slack.add_person(name);
    }
    slack.add_channel("ops", slack::Kind::Public, true);
    Ok(slack)
}

async fn guild(rules: discord::Rules) -> Result<Discord> {
    let discord = Discord::start(rules).await?;
    for name in PEOPLE.into_iter().chain(["zed"]) {
        discord.add_person(name);
    }
    discord.add_channel("ops", discord::ENOUGH);
    Ok(discord)
}

/// The unix socket behind `postgres:///db?host=/folder&user=...`.
fn socket_of(url: &str) -> Result<PathBuf> {
    let (_, query) = url.split_once('?').context("no parameters in the url")?;
    let host = query.split('&').find_map(|pair| pair.strip_prefix("host=")).context("no host in the url")?;
    let port = query.split('&').find_map(|pair| pair.strip_prefix("port=")).unwrap_or("5432");
    Ok(PathBuf::from(host.replace("%2F", "/")).join(format!(".s.PGSQL.{port}")))
}
