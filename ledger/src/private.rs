//! A private, fully durable Postgres for the demo, tests and small installations: the installed binaries, a private unix
//! socket, one directory that is kept and reused, dropped to another user when we are root.
//!
//! `pg_ctl start` gives the server its own session, so a Ctrl-C in our terminal never reaches it.

mod place;
mod shared;

pub use shared::test_dir;

use crate::{Ledger, LedgerError};
use place::{User, installed, nobody, open_lock, private_folder, socket_dir, within_reach};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection, Executor};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::process::Command;

/// The schema's owner.
const OWNER: &str = "petrel_owner";
/// The serving role.
const SERVING: &str = "petrel";
/// Only names the socket's file: nothing listens on the network.
const PORT: u16 = 5432;
/// Recovery after a power cut can take a while.
const PATIENCE: Duration = Duration::from_secs(60);

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
        // One log for each start, and the one before it: neither grows for ever.
        let _ = fs::rename(self.log(), self.log().with_extension("log.old"));
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
             log_checkpoints = off\n\
             timezone = 'UTC'\n",
            self.socket.display()
        )
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
