//! Everything one end-to-end test needs: a database of its own behind a proxy, a cluster, a policy, and replicas.

use crate::{api::Api, cluster::Cluster, petrel::Petrel, proxy::Proxy};
use anyhow::{Context, Result};
use ledger::{
    Connect, Ledger,
    private::{PrivatePostgres, test_dir},
};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// `[[api.token]]` and `[[console.person]]` share their token text in tests: `token-of-<name>`.
pub fn token(name: &str) -> String {
    format!("token-of-{name}-0123456789")
}

/// The policy of the end-to-end tests: ann may scale at once, everything else needs one yes, `set-image` two.
pub const POLICY: &str = include_str!("policy.toml");

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
    config: PathBuf,
    /// What the replicas are told.
    database_url: String,
    /// A server of this world's own, where a test restarts it.
    postgres: Option<PrivatePostgres>,
}

impl World {
    /// A database, a cluster, a config; no replica yet.
    pub async fn new() -> Result<World> {
        World::shaped(3, true, None).await
    }

    /// A world with a server of its own, which [`World::restart_database`] restarts.
    pub async fn with_own_database(count: usize) -> Result<World> {
        let folder = tempfile::tempdir()?;
        let postgres = PrivatePostgres::start(folder.path()).await?;
        let mut world = World::shaped(3, true, Some((folder, postgres))).await?;
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
        World::shaped(40, false, None).await
    }

    async fn shaped(nodes: u32, proxied: bool, own: Option<(TempDir, PrivatePostgres)>) -> Result<World> {
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
        let replicas = Vec::new();
        let world =
            World { folder, proxy, cluster, replicas, ledger, owner_url, config, database_url, postgres };
        world.write_config(8)?;
        Ok(world)
    }

    /// A world with `count` replicas ready.
    pub async fn with(count: usize) -> Result<World> {
        let mut world = World::new().await?;
        for _ in 0..count {
            world.start().await?;
        }
        Ok(world)
    }

    /// Starts one more replica; its index.
    pub async fn start(&mut self) -> Result<usize> {
        let petrel = Petrel::start(&self.config, self.log()).await?;
        self.replicas.push(petrel);
        Ok(self.replicas.len() - 1)
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

    /// Writes `petrel.toml`; replicas started afterwards take it. `concurrency` 0: they run nothing.
    pub fn write_config(&self, concurrency: usize) -> Result<()> {
        std::fs::write(self.folder.path().join("policy.toml"), POLICY)?;
        let mut people = String::new();
        for name in ["ann", "bob", "cat", "eve"] {
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
lease = "2s"

{people}
"#,
            database_url = self.database_url,
            kubeconfig = self.cluster.kubeconfig.display(),
        );
        std::fs::write(&self.config, text)?;
        Ok(())
    }
}

/// The unix socket behind `postgres:///db?host=/folder&user=...`.
fn socket_of(url: &str) -> Result<PathBuf> {
    let (_, query) = url.split_once('?').context("no parameters in the url")?;
    let host = query.split('&').find_map(|pair| pair.strip_prefix("host=")).context("no host in the url")?;
    let port = query.split('&').find_map(|pair| pair.strip_prefix("port=")).unwrap_or("5432");
    Ok(PathBuf::from(host.replace("%2F", "/")).join(format!(".s.PGSQL.{port}")))
}
