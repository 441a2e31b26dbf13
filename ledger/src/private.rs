//! A private, fully durable Postgres for the demo, tests and small installations: the installed binaries, a private unix
//! socket, one directory that is kept and reused, dropped to another user when we are root.
//!
//! `pg_ctl start` gives the server its own session, so a Ctrl-C in our terminal never reaches it.

use crate::{Ledger, LedgerError};
use sha2::{Digest as _, Sha256};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection, Executor};
use std::fs::{self, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::process::Command;

/// The schema's owner.
const OWNER: &str = "petrel_owner";
/// The serving role.
const SERVING: &str = "petrel";
/// Only names the socket's file: nothing listens on the network.
const PORT: u16 = 5432;
/// A unix socket's path has at most 107 bytes; the server's file name takes 15 of them.
const LONGEST_SOCKET_DIR: usize = 107 - "/.s.PGSQL.5432.lock".len();
/// Recovery after a power cut can take a while.
const PATIENCE: Duration = Duration::from_secs(60);
/// Test databases that nobody is connected to are dropped after this.
const TEST_DATABASE_LASTS_S: u64 = 15 * 60;

/// A running private server. It stops when `stop` is called; when this process dies first, the server lives on and the next
/// start on the same directory takes it over.
#[derive(Debug)]
pub struct PrivatePostgres {
    bin: PathBuf,
    dir: PathBuf,
    socket: PathBuf,
    user: Option<User>,
    /// Held while we own the directory; None for a server that is shared (`join`).
    _lock: Option<File>,
}

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
pub enum PrivateError {
    /// The binaries are not installed.
    #[error("no PostgreSQL server is installed; on Debian: apt-get install postgresql")]
    NotInstalled,
    /// Another process owns the directory.
    #[error(
        "the private database in {0} is in use by another petrel; stop that one, or use another data directory"
    )]
    InUse(PathBuf),
    /// The data directory was made by another major version.
    #[error(
        "the private database in {dir} was made by PostgreSQL {version}, which is not installed; install it, or use another data directory"
    )]
    OtherVersion {
        /// Where.
        dir: PathBuf,
        /// Which.
        version: String,
    },
    /// A file operation.
    #[error("{what} {path}: {source}")]
    File {
        /// The operation: `create`.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// One of the installed programs failed.
    #[error("{program} failed: {output}; its log is {log}")]
    Program {
        /// `initdb` or `pg_ctl`.
        program: &'static str,
        /// What it said.
        output: String,
        /// Where to look.
        log: PathBuf,
    },
    /// The server runs, but does not do as told.
    #[error("set up the private database: {0}")]
    Sql(#[from] sqlx::Error),
    /// The schema could not be made.
    #[error(transparent)]
    Schema(#[from] LedgerError),
}

/// Who the server runs as, when we are root.
#[derive(Clone, Copy, Debug)]
struct User {
    uid: u32,
    gid: u32,
}

/// The folder of the one server that all tests share: `PETREL_TEST_POSTGRES`, or one in the system's temp folder.
pub fn test_dir() -> PathBuf {
    std::env::var_os("PETREL_TEST_POSTGRES")
        .map_or_else(|| std::env::temp_dir().join("petrel-test-postgres"), PathBuf::from)
}

impl PrivatePostgres {
    /// Makes the database in `dir` if there is none, starts it, creates the roles `petrel_owner` and `petrel` and the
    /// database `petrel`, and migrates it. A server left behind by a process that was killed is taken over.
    pub async fn start(dir: &Path) -> Result<PrivatePostgres, PrivateError> {
        let lock = open_lock(dir)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(PrivateError::InUse(dir.into())),
            Err(TryLockError::Error(source)) => return Err(file("lock", dir)(source)),
        }
        let mut server = PrivatePostgres::prepare(dir).await?;
        server.up().await?;
        Ledger::migrate(&server.owner_url(), SERVING).await?;
        server._lock = Some(lock);
        Ok(server)
    }

    /// Starts, or joins, a server that many processes share (tests). It is never stopped by us, and its own database
    /// `petrel` stays empty: use [`PrivatePostgres::database`].
    pub async fn join(dir: &Path) -> Result<PrivatePostgres, PrivateError> {
        let lock = open_lock(dir)?;
        let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock))
            .await
            .map_err(io::Error::other)
            .flatten()
            .map_err(file("lock", dir))?;
        let server = PrivatePostgres::prepare(dir).await?;
        server.up().await?;
        server.drop_old_test_databases().await?;
        drop(lock);
        Ok(server)
    }

    /// The server in `dir` that another process has started; it stays that process's. For tools beside `petrel serve`.
    pub async fn running(dir: &Path) -> Result<PrivatePostgres, PrivateError> {
        let server = PrivatePostgres::prepare(dir).await?;
        server.admin("postgres").await?.close().await?;
        Ok(server)
    }

    /// Url for the serving role.
    pub fn url(&self) -> String {
        self.url_of("petrel", SERVING)
    }

    /// Url for the schema's owner.
    pub fn owner_url(&self) -> String {
        self.url_of("petrel", OWNER)
    }

    /// Another fresh database on the same server, migrated (tests: one each): (serving url, owner url). The name is made
    /// unique, so that the same test may run many times.
    pub async fn database(&self, name: &str) -> Result<(String, String), PrivateError> {
        let template = self.template().await?;
        let name: String =
            name.chars().filter(|c| c.is_ascii_alphanumeric()).take(30).collect::<String>().to_lowercase();
        let unique = uuid::Uuid::new_v4().simple().to_string();
        let name = format!("test_{}_{name}_{}", jiff::Timestamp::now().as_second(), &unique[..8]);
        let mut admin = self.admin("postgres").await?;
        admin
            .execute(AssertSqlSafe(format!("create database {name} template {template} owner {OWNER}")))
            .await?;
        admin.close().await?;
        Ok((self.url_of(&name, SERVING), self.url_of(&name, OWNER)))
    }

    /// Fast shutdown, waits for it.
    pub async fn stop(self) -> Result<(), PrivateError> {
        self.pg_ctl(&["stop", "-m", "fast"]).await?;
        if !self.socket.starts_with(&self.dir) {
            fs::remove_dir(&self.socket).map_err(file("remove", &self.socket))?;
        }
        Ok(())
    }

    /// Finds the binaries, makes the folders, and the database files if there are none.
    async fn prepare(dir: &Path) -> Result<PrivatePostgres, PrivateError> {
        let dir = fs::canonicalize(dir).map_err(file("find", dir))?;
        let (dir, user) = match rustix::process::geteuid().is_root() {
            true => (within_reach(&dir)?, Some(nobody())),
            false => (dir, None),
        };
        let data = dir.join("data");
        let version = fs::read_to_string(data.join("PG_VERSION")).ok().map(|v| v.trim().to_string());
        let bin = match installed(version.as_deref()).await {
            Some(bin) => bin,
            None => match version {
                Some(version) => return Err(PrivateError::OtherVersion { dir, version }),
                None => return Err(PrivateError::NotInstalled),
            },
        };
        let socket = socket_dir(&dir, user)?;
        let server = PrivatePostgres { bin, dir, socket, user, _lock: None };
        if !data.exists() {
            server.initdb().await?;
        }
        Ok(server)
    }

    /// Made aside and renamed, so that a crash in the middle leaves nothing half done.
    async fn initdb(&self) -> Result<(), PrivateError> {
        let making = self.dir.join("data.making");
        if making.exists() {
            fs::remove_dir_all(&making).map_err(file("remove", &making))?;
        }
        private_folder(&making, self.user)?;
        let making_arg = making.to_string_lossy().into_owned();
        self.program(
            "initdb",
            &[
                "--pgdata",
                &making_arg,
                "--username",
                "postgres",
                "--encoding",
                "UTF8",
                "--locale",
                "C",
                "--data-checksums",
                "--auth",
                "trust",
                "--no-instructions",
            ],
        )
        .await?;
        // Nobody but the private socket's folder's owner (and root) comes this far, so `trust` trusts the folder's mode.
        let hba = making.join("pg_hba.conf");
        fs::write(&hba, "local all all trust\n").map_err(file("write", &hba))?;
        fs::rename(&making, self.data()).map_err(file("create", &self.data()))
    }

    /// Makes it answer: joins what runs, or starts it; then sees to roles and database.
    async fn up(&self) -> Result<(), PrivateError> {
        let mut admin = match self.admin("postgres").await {
            Ok(admin) => admin,
            Err(_) => self.launch().await?,
        };
        for role in [OWNER, SERVING] {
            let known = sqlx::query("select 1 from pg_roles where rolname = $1")
                .bind(role)
                .fetch_optional(&mut admin)
                .await?;
            if known.is_none() {
                admin.execute(AssertSqlSafe(format!("create role {role} login"))).await?;
            }
        }
        let known = sqlx::query("select 1 from pg_database where datname = 'petrel'")
            .fetch_optional(&mut admin)
            .await?;
        if known.is_none() {
            admin.execute(AssertSqlSafe(format!("create database petrel owner {OWNER}"))).await?;
        }
        admin.close().await?;
        Ok(())
    }

    /// Starts the server and waits until it answers. A stale pid file is the server's own to judge; one that is still
    /// going down, or whose children are, is waited for.
    async fn launch(&self) -> Result<PgConnection, PrivateError> {
        let conf = self.data().join("postgresql.conf");
        fs::write(&conf, self.settings()).map_err(file("write", &conf))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = self.log().to_string_lossy().into_owned();
            let started = self.pg_ctl(&["start", "--log", &log]).await;
            match self.admin("postgres").await {
                Ok(admin) => return Ok(admin),
                Err(_) if Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(200)).await,
                Err(error) => return Err(started.err().unwrap_or(error.into())),
            }
        }
    }

    fn settings(&self) -> String {
        format!(
            "# Written by petrel at every start.\n\
             listen_addresses = ''\n\
             port = {PORT}\n\
             unix_socket_directories = '{}'\n\
             unix_socket_permissions = 0700\n\
             max_connections = 300\n\
             shared_buffers = 128MB\n\
             max_wal_size = 1GB\n\
             fsync = on\n\
             full_page_writes = on\n\
             synchronous_commit = on\n\
             jit = off\n\
             log_checkpoints = off\n\
             timezone = 'UTC'\n",
            self.socket.display()
        )
    }

    /// The migrated database that `database` copies: made once for each set of migrations, whatever the number of
    /// processes that want it.
    async fn template(&self) -> Result<String, PrivateError> {
        let template = format!("petrel_template_{}", crate::schema_hash());
        let known = "SELECT 1 FROM pg_database WHERE datname = $1";
        let mut admin = self.admin("postgres").await?;
        if sqlx::query(known).bind(&template).fetch_optional(&mut admin).await?.is_none() {
            sqlx::query("SELECT pg_advisory_lock(hashtext('petrel_template'))").execute(&mut admin).await?;
            if sqlx::query(known).bind(&template).fetch_optional(&mut admin).await?.is_none() {
                let making = format!("{template}_making");
                admin
                    .execute(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {making} WITH (FORCE)")))
                    .await?;
                admin.execute(AssertSqlSafe(format!("CREATE DATABASE {making} OWNER {OWNER}"))).await?;
                Ledger::migrate(&self.url_of(&making, OWNER), SERVING).await?;
                // Closed to everyone, because a database in use cannot be copied.
                admin
                    .execute(AssertSqlSafe(format!("ALTER DATABASE {making} ALLOW_CONNECTIONS false")))
                    .await?;
                admin.execute(AssertSqlSafe(format!("ALTER DATABASE {making} RENAME TO {template}"))).await?;
            }
        }
        admin.close().await?;
        Ok(template)
    }

    /// Tests do not clean up after themselves, because a killed one could not.
    async fn drop_old_test_databases(&self) -> Result<(), PrivateError> {
        let mut admin = self.admin("postgres").await?;
        let old: Vec<(String,)> = sqlx::query_as(
            "SELECT datname::text FROM pg_database d
             WHERE datname ~ '^test_[0-9]+_'
               AND split_part(datname, '_', 2)::bigint < extract(epoch FROM now()) - $1
               AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.datid = d.oid)
             LIMIT 10",
        )
        .bind(TEST_DATABASE_LASTS_S as i64)
        .fetch_all(&mut admin)
        .await?;
        for (name,) in old {
            admin.execute(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name}"))).await?;
        }
        admin.close().await?;
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn log(&self) -> PathBuf {
        self.data().join("server.log")
    }

    fn url_of(&self, database: &str, role: &str) -> String {
        format!("postgres://{role}@localhost:{PORT}/{database}?host={}", self.socket.display())
    }

    async fn admin(&self, database: &str) -> Result<PgConnection, sqlx::Error> {
        let options = PgConnectOptions::new_without_pgpass()
            .socket(&self.socket)
            .port(PORT)
            .username("postgres")
            .database(database);
        PgConnection::connect_with(&options).await
    }

    async fn pg_ctl(&self, args: &[&str]) -> Result<(), PrivateError> {
        let data = self.data().to_string_lossy().into_owned();
        let patience = PATIENCE.as_secs().to_string();
        let args: Vec<&str> =
            args.iter().copied().chain(["--pgdata", &data, "--wait", "--timeout", &patience]).collect();
        self.program("pg_ctl", &args).await
    }

    async fn program(&self, program: &'static str, args: &[&str]) -> Result<(), PrivateError> {
        let mut command = Command::new(self.bin.join(program));
        // A clean environment: PGDATA, PGPORT and their like would speak to our server.
        command.args(args).current_dir(&self.dir).env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C");
        if let Some(User { uid, gid }) = self.user {
            command.uid(uid).gid(gid);
        }
        let output = command.output().await.map_err(file("run", &self.bin.join(program)))?;
        if output.status.success() {
            return Ok(());
        }
        let said = if output.stderr.is_empty() { output.stdout } else { output.stderr };
        Err(PrivateError::Program {
            program,
            output: String::from_utf8_lossy(&said).trim().to_string(),
            log: self.log(),
        })
    }
}

fn file(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PrivateError + use<> {
    let path = path.to_path_buf();
    move |source| PrivateError::File { what, path, source }
}

/// The lock that says who may start and stop the server of this directory. The kernel frees it when its holder dies.
fn open_lock(dir: &Path) -> Result<File, PrivateError> {
    fs::create_dir_all(dir).map_err(file("create", dir))?;
    let path = dir.join("lock");
    File::options().create(true).append(true).open(&path).map_err(file("open", &path))
}

/// Newest first; with `version`, only that major version.
async fn installed(version: Option<&str>) -> Option<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    let debian = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"));
    let asked = Command::new("pg_config").arg("--bindir").output().await.ok();
    let asked = asked.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    let path = std::env::var_os("PATH").unwrap_or_default();
    for bin in debian.chain(asked).chain(std::env::split_paths(&path)) {
        if !["postgres", "initdb", "pg_ctl"].iter().all(|program| bin.join(program).is_file()) {
            continue;
        }
        // "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"
        let Ok(output) = Command::new(bin.join("postgres")).arg("--version").output().await else { continue };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let major = text
            .split_whitespace()
            .nth(2)
            .and_then(|number| number.split('.').next())
            .and_then(|n| n.parse().ok());
        if let Some(major) = major {
            found.push((major, bin));
        }
    }
    found.retain(|(major, _)| version.is_none_or(|version| version == major.to_string()));
    found.into_iter().max_by_key(|(major, _)| *major).map(|(_, bin)| bin)
}

/// Any other uid would do; this one has no home, no shell and no files.
fn nobody() -> User {
    let line = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut ids = line
        .lines()
        .find(|line| line.starts_with("nobody:"))
        .into_iter()
        .flat_map(|line| line.split(':').skip(2).take(2))
        .filter_map(|id| id.parse().ok());
    User { uid: ids.next().unwrap_or(65534), gid: ids.next().unwrap_or(65534) }
}

/// Every folder on the way must let strangers pass. Where one does not (a checkout under /root), the files live in
/// /var/lib/petrel and `dir/database` points there.
fn within_reach(dir: &Path) -> Result<PathBuf, PrivateError> {
    let mode = |path: &Path| fs::metadata(path).map(|meta| meta.mode()).map_err(file("look at", path));
    // What must be private is in folders of its own, which are closed.
    fs::set_permissions(dir, Permissions::from_mode((mode(dir)? & 0o777) | 0o011))
        .map_err(file("open", dir))?;
    for folder in dir.ancestors() {
        if mode(folder)? & 0o001 == 0 {
            let name = hex::encode(&Sha256::digest(dir.as_os_str().as_encoded_bytes())[..8]);
            let elsewhere = Path::new("/var/lib/petrel").join(name);
            fs::create_dir_all(&elsewhere).map_err(file("create", &elsewhere))?;
            let sign = dir.join("database");
            match std::os::unix::fs::symlink(&elsewhere, &sign) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(file("create", &sign)(error));
                }
                _ => return Ok(elsewhere),
            }
        }
    }
    Ok(dir.into())
}

/// A folder that only the server's user (and root) can enter.
fn private_folder(path: &Path, user: Option<User>) -> Result<(), PrivateError> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(file("create", path)(error));
        }
        _ => {}
    }
    if let Some(User { uid, gid }) = user {
        std::os::unix::fs::lchown(path, Some(uid), Some(gid)).map_err(file("give away", path))?;
    }
    fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(file("close", path))
}

/// `dir/socket`, or where that is too long for a socket (or would need quoting), a short folder in the temp folder that
/// `dir/socket-dir` remembers.
fn socket_dir(dir: &Path, user: Option<User>) -> Result<PathBuf, PrivateError> {
    let plain = |path: &Path| {
        let text = path.to_string_lossy();
        text.len() <= LONGEST_SOCKET_DIR
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b))
    };
    let near = dir.join("socket");
    if plain(&near) {
        private_folder(&near, user)?;
        return Ok(near);
    }
    let remembered = dir.join("socket-dir");
    let owner = user.map_or_else(|| rustix::process::geteuid().as_raw(), |user| user.uid);
    if let Ok(text) = fs::read_to_string(&remembered) {
        let far = PathBuf::from(text);
        // The temp folder is everybody's: only a folder that is still ours will do.
        if fs::symlink_metadata(&far)
            .is_ok_and(|meta| meta.is_dir() && meta.uid() == owner && meta.mode() & 0o077 == 0)
        {
            return Ok(far);
        }
    }
    let unique = uuid::Uuid::new_v4().simple().to_string();
    let far = std::env::temp_dir().join(format!("petrel-{}", &unique[..12]));
    fs::DirBuilder::new().mode(0o700).create(&far).map_err(file("create", &far))?;
    private_folder(&far, user)?;
    fs::write(&remembered, far.to_string_lossy().as_bytes()).map_err(file("write", &remembered))?;
    Ok(far)
}
