//! A Postgres proxy between Petrel and its database. It reads the wire protocol just enough to know which labelled
//! statement (`/* run.claim */ UPDATE ...`) a commit belongs to, so that a process can be killed just before or just
//! after that commit; and it can cut connections and refuse new ones, as a restart or a failover does.

use anyhow::{Context, Result, bail};
use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, atomic::AtomicBool, atomic::Ordering::SeqCst},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
};

/// On which side of a commit to kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The database never hears of the commit.
    Before,
    /// The database has committed; the process never hears of it.
    After,
}

/// A kill that waits for its commit.
#[derive(Clone, Debug)]
pub struct Trap {
    /// Label of the commit: `run.claim`.
    pub label: String,
    /// Before or after it.
    pub side: Side,
    /// How many such commits to let pass first.
    pub skip: u32,
}

#[derive(Default)]
struct Shared {
    trap: Mutex<Option<Trap>>,
    sprung: AtomicBool,
    refuse: AtomicBool,
    seen: Mutex<BTreeMap<String, u64>>,
}

/// A running proxy; it goes with its value.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    cut: watch::Sender<u64>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    /// Listens on loopback and forwards to the server's unix socket.
    pub async fn start(socket: PathBuf) -> Result<Proxy> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let (cut, cuts) = watch::channel(0);
        let task = tokio::spawn({
            let shared = shared.clone();
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    if shared.refuse.load(SeqCst) {
                        continue; // dropped: connection reset, as a server that is down
                    }
                    let (shared, socket, mut cuts) = (shared.clone(), socket.clone(), cuts.clone());
                    cuts.mark_unchanged();
                    tokio::spawn(async move {
                        tokio::select! {
                            _ = forward(client, socket, shared) => {}
                            _ = cuts.changed() => {}
                        }
                    });
                }
            }
        });
        Ok(Proxy { address, shared, cut, task })
    }

    /// Where to connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets a trap; the earlier one is forgotten.
    pub fn arm(&self, trap: Trap) {
        self.shared.sprung.store(false, SeqCst);
        *self.shared.trap.lock().unwrap() = Some(trap);
    }

    /// Takes the trap away. True if it had killed.
    pub fn disarm(&self) -> bool {
        *self.shared.trap.lock().unwrap() = None;
        self.shared.sprung.load(SeqCst)
    }

    /// Whether the trap has killed.
    pub fn sprung(&self) -> bool {
        self.shared.sprung.load(SeqCst)
    }

    /// Cuts every connection there is; new ones are fine.
    pub fn cut(&self) {
        self.cut.send_modify(|n| *n += 1);
    }

    /// Refuses new connections (and cuts the ones there are), or accepts them again.
    pub fn refuse(&self, refuse: bool) {
        self.shared.refuse.store(refuse, SeqCst);
        if refuse {
            self.cut();
        }
    }

    /// How often each labelled commit has passed since the start.
    pub fn seen(&self) -> BTreeMap<String, u64> {
        self.shared.seen.lock().unwrap().clone()
    }
}

/// What one connection is doing.
#[derive(Default)]
struct Conversation {
    pid: u32,
    labels: HashMap<Vec<u8>, Option<String>>,
    last: Option<String>,
    in_transaction: bool,
    committing: Option<String>,
}

async fn forward(client: TcpStream, socket: PathBuf, shared: Arc<Shared>) -> Result<()> {
    client.set_nodelay(true)?;
    let server = UnixStream::connect(&socket).await.context("connect to the server's socket")?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let talk = Arc::new(Mutex::new(Conversation::default()));

    let up = {
        let (talk, shared) = (talk.clone(), shared.clone());
        async move {
            let length = from_client.read_u32().await?;
            let mut startup = vec![0; length as usize - 4];
            from_client.read_exact(&mut startup).await?;
            to_server.write_u32(length).await?;
            to_server.write_all(&startup).await?;
            let pid = pid_of(&startup)
                .context("no application_name petrel-<pid>-<random> in the startup message")?;
            talk.lock().unwrap().pid = pid;
            loop {
                let (kind, body) = message(&mut from_client).await?;
                let begins = commit_begins(kind, &body, &mut talk.lock().unwrap());
                if let Some(label) = begins {
                    *shared.seen.lock().unwrap().entry(label.clone()).or_default() += 1;
                    if springs(&shared, &label, Side::Before, pid) {
                        bail!("killed before {label}");
                    }
                    talk.lock().unwrap().committing = Some(label);
                }
                send(&mut to_server, kind, &body).await?;
            }
            #[allow(unreachable_code)]
            Ok::<(), anyhow::Error>(())
        }
    };
    let down = async move {
        loop {
            let (kind, body) = message(&mut from_server).await?;
            match kind {
                b'E' => talk.lock().unwrap().committing = None,
                // Ready for the next query: only now is an autocommitted statement durable too.
                b'Z' => {
                    let (committed, pid) = {
                        let mut talk = talk.lock().unwrap();
                        talk.in_transaction = body != b"I";
                        if !talk.in_transaction {
                            talk.last = None;
                        }
                        (talk.committing.take(), talk.pid)
                    };
                    if let Some(label) = committed
                        && springs(&shared, &label, Side::After, pid)
                    {
                        bail!("killed after {label}");
                    }
                }
                _ => {}
            }
            send(&mut to_client, kind, &body).await?;
        }
        #[allow(unreachable_code)]
        Ok::<(), anyhow::Error>(())
    };
    tokio::select! {
        done = up => done,
        done = down => done,
    }
}

/// The label of the commit that this frontend message asks for, if it does.
fn commit_begins(kind: u8, body: &[u8], talk: &mut Conversation) -> Option<String> {
    match kind {
        b'P' => {
            let (name, rest) = cstring(body)?;
            let (query, _) = cstring(rest)?;
            talk.labels.insert(name.to_vec(), label(query));
            None
        }
        b'B' => {
            let (_, rest) = cstring(body)?;
            let (statement, _) = cstring(rest)?;
            let label = talk.labels.get(statement)?.clone()?;
            talk.last = Some(label.clone());
            // Outside a transaction the statement is its own commit.
            (!talk.in_transaction).then_some(label)
        }
        b'Q' => {
            let (query, _) = cstring(body)?;
            if let Some(label) = label(query) {
                talk.last = Some(label.clone());
                return (!talk.in_transaction).then_some(label);
            }
            if query.eq_ignore_ascii_case(b"COMMIT") { talk.last.take() } else { None }
        }
        _ => None,
    }
}

/// Kills the process at the other end when the trap is for this commit and enough have passed. Only once.
fn springs(shared: &Shared, label: &str, side: Side, pid: u32) -> bool {
    let mut trap = shared.trap.lock().unwrap();
    match trap.as_mut() {
        Some(armed) if armed.label == label && armed.side == side => {
            if armed.skip > 0 {
                armed.skip -= 1;
                return false;
            }
            crate::process::kill(pid);
            shared.sprung.store(true, SeqCst);
            *trap = None;
            true
        }
        _ => false,
    }
}

/// Petrel tells the server its process id as `application_name=petrel-<pid>-<random>`.
fn pid_of(startup: &[u8]) -> Option<u32> {
    let words: Vec<_> = startup.get(4..)?.split(|byte| *byte == 0).collect();
    let name = words.chunks(2).find(|pair| pair[0] == b"application_name")?.get(1)?;
    let (pid, _) = std::str::from_utf8(name).ok()?.strip_prefix("petrel-")?.split_once('-')?;
    pid.parse().ok()
}

fn cstring(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|b| *b == 0)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// `run.claim` out of `/* run.claim */ ...`.
fn label(query: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(query).ok()?;
    let (name, _) = text.trim_start().strip_prefix("/*")?.split_once("*/")?;
    Some(name.trim().to_string())
}

async fn message<R: AsyncReadExt + Unpin>(from: &mut R) -> Result<(u8, Vec<u8>)> {
    let kind = from.read_u8().await?;
    let length = from.read_u32().await? as usize;
    let mut body = vec![0; length.checked_sub(4).context("impossible message length")?];
    from.read_exact(&mut body).await?;
    Ok((kind, body))
}

async fn send<W: AsyncWriteExt + Unpin>(to: &mut W, kind: u8, body: &[u8]) -> Result<()> {
    let mut bytes = Vec::with_capacity(body.len() + 5);
    bytes.push(kind);
    bytes.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
    bytes.extend_from_slice(body);
    to.write_all(&bytes).await?;
    Ok(())
}
