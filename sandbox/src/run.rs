//! The caller's side.

use crate::{
    capture::capture,
    digest,
    enter::OUTER,
    layer::{Layer, Standing},
    limits::Limits,
    outcome::{Ended, Printed, Ran},
    wire::{Order, Standings, Word},
};
use std::{
    collections::BTreeSet,
    io,
    os::fd::OwnedFd,
    path::PathBuf,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    process::{Child, Command},
    sync::Notify,
    time::{sleep, timeout},
};

/// Longer than the deadline we wait only when the outer half itself hangs, for example in a mount of a dead file server.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long output may still come when all is over.
const GRACE: Duration = Duration::from_millis(500);
/// More than the outer half ever says.
const MOST_SAID: u64 = 64 << 10;

/// A way to run scripts. Keep one; each run is new from the ground.
#[derive(Clone, Debug)]
pub struct Sandbox {
    /// The program whose `main` begins with [`enter_if_asked`](crate::enter_if_asked); usually the one that runs.
    pub program: PathBuf,
    /// Without these no script is run.
    pub required: BTreeSet<Layer>,
    /// Walls not put up at all. For tests that show what each is good for.
    pub left_out: BTreeSet<Layer>,
    /// Folders and files a script may read, at their own paths.
    pub read: Vec<PathBuf>,
    /// Folders and files it may also change, as far as its user may.
    pub write: Vec<PathBuf>,
    /// How much it may use.
    pub limits: Limits,
    /// The outer half of the next run.
    pub spare: Spare,
}

/// An outer half that is started after a run for the next one: to start our own program twice takes longer than all the rest. It waits in
/// its namespaces for its order and ends with us. Copies of a sandbox share it.
#[derive(Clone, Debug, Default)]
pub struct Spare(Arc<Mutex<Option<Waiting>>>);

#[derive(Debug)]
struct Waiting {
    program: PathBuf,
    left_out: BTreeSet<Layer>,
    child: Child,
    line: UnixStream,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self {
            program: "/proc/self/exe".into(),
            required: Layer::ALL.into(),
            left_out: BTreeSet::new(),
            read: Vec::new(),
            write: Vec::new(),
            limits: Limits::default(),
            spare: Spare::default(),
        }
    }
}

/// Why there was no run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A required wall could not be put up.
    #[error("the script was not run: {}; allow that in [sandbox] required, or give Petrel what it needs (docs/SANDBOX.md)", .0.iter().map(|(layer, why)| format!("no {layer} ({why})")).collect::<Vec<_>>().join(", "))]
    Missing(Vec<(Layer, String)>),
    /// Our own program could not be started or talked to.
    #[error("start the sandbox")]
    Start(#[source] io::Error),
    /// It ended without a word, for example because memory ran out or somebody killed it.
    #[error("the sandbox ended without a word of the script: {0}")]
    Lost(String),
}

impl Sandbox {
    /// Runs a program with its words. There is no shell: what is in a word stays in it. When the returned future is dropped, everything
    /// is ended.
    pub async fn run(&self, words: &[String]) -> Result<Ran, Error> {
        let began = Instant::now();
        let mut order = serde_json::to_vec(&self.order(words)).map_err(|error| Error::Start(error.into()))?;
        order.push(b'\n');
        let (mut child, mut hear, say) = self.begin(&order).await.map_err(Error::Start)?;

        let say = Mutex::new(Some(say));
        let ended = Notify::new();
        let listen = async {
            let mut said = Vec::new();
            let heard = (&mut hear).take(MOST_SAID).read_to_end(&mut said).await;
            ended.notify_one();
            heard.map(|_| said)
        };
        let (mut stdout, mut stderr) = (Printed::default(), Printed::default());
        let read = async {
            let out = kept(child.stdout.take(), &self.limits, &mut stdout, &say);
            let err = kept(child.stderr.take(), &self.limits, &mut stderr, &say);
            tokio::select! {
                _ = async { tokio::join!(out, err) } => {}
                // Only without a pid namespace can somebody be left who keeps our pipes open.
                () = async { ended.notified().await; sleep(GRACE).await } => {}
            }
        };
        let both = async { tokio::join!(listen, read).0 };
        let said = timeout(self.limits.deadline + PATIENCE, both)
            .await
            .map_err(|_| Error::Lost("it did not end at its deadline".into()))?
            .map_err(Error::Start)?;
        let Some((standings, ended)) = understand(&said) else {
            let status = child.wait().await.map_err(Error::Start)?;
            return Err(Error::Lost(format!("{status}: {}", String::from_utf8_lossy(&said))));
        };
        let next = self.clone();
        tokio::spawn(async move {
            let _ = child.wait().await;
            next.prepare();
        });
        self.all_stood(&standings)?;
        // Whether the closed pipe or we ended it first does not matter.
        let ended = if stdout.cut || stderr.cut { Ended::Output } else { ended };
        Ok(Ran {
            ended,
            took: began.elapsed(),
            script_sha256: digest::of(words.iter().map(String::as_bytes)),
            output_sha256: digest::of([stdout.bytes.as_slice(), stderr.bytes.as_slice()]),
            stdout,
            stderr,
            layers: standings.layers,
            remarks: standings.remarks,
        })
    }

    /// Gives the order to the spare outer half, or to a new one when there is none, or it has just ended.
    async fn begin(&self, order: &[u8]) -> io::Result<(Child, OwnedReadHalf, OwnedWriteHalf)> {
        if let Some(Waiting { child, line, .. }) = self.spare() {
            let (hear, mut say) = line.into_split();
            if say.write_all(order).await.is_ok() {
                return Ok((child, hear, say));
            }
        }
        let Waiting { child, line, .. } = self.start()?;
        let (hear, mut say) = line.into_split();
        say.write_all(order).await?;
        Ok((child, hear, say))
    }

    /// The spare one, when it is of this sandbox and still there.
    fn spare(&self) -> Option<Waiting> {
        let mut spare = self.spare.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let fits = spare.program == self.program && spare.left_out == self.left_out;
        (fits && matches!(spare.child.try_wait(), Ok(None))).then_some(spare)
    }

    /// For the next run. Where it cannot be started, that run says why.
    fn prepare(&self) {
        if let Ok(spare) = self.start() {
            *self.spare.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(spare);
        }
    }

    /// Starts the outer half. Its standard input is our line to it; the end that is ours closes when we are gone, whatever the reason.
    fn start(&self) -> io::Result<Waiting> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let child = Command::new(&self.program)
            .arg(OUTER)
            .arg(serde_json::to_string(&self.left_out)?)
            .env_clear()
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let line = UnixStream::from_std(ours)?;
        Ok(Waiting { program: self.program.clone(), left_out: self.left_out.clone(), child, line })
    }

    fn order(&self, words: &[String]) -> Order {
        Order {
            words: words.to_vec(),
            read: self.read.clone(),
            write: self.write.clone(),
            limits: self.limits.clone(),
            required: self.required.clone(),
            left_out: self.left_out.clone(),
        }
    }

    fn all_stood(&self, standings: &Standings) -> Result<(), Error> {
        let missing = |layer: &Layer| match standings.layers.get(layer) {
            Some(Standing::InForce) => None,
            Some(Standing::Missing(why)) => Some((*layer, why.clone())),
            None => Some((*layer, "it was not reached".into())),
        };
        let missing: Vec<_> = self.required.iter().filter_map(missing).collect();
        if missing.is_empty() { Ok(()) } else { Err(Error::Missing(missing)) }
    }
}

/// Reads one stream. At its cap we close our half of the line, which ends the script; what came of it is still said to us.
async fn kept(
    stream: Option<impl AsyncRead + Unpin>,
    limits: &Limits,
    printed: &mut Printed,
    say: &Mutex<Option<OwnedWriteHalf>>,
) {
    capture(stream, limits, printed).await;
    if printed.cut
        && let Ok(mut say) = say.lock()
    {
        say.take();
    }
}

/// What stood, and how it ended, out of what the outer half said. Nothing, if it did not come to both.
fn understand(said: &[u8]) -> Option<(Standings, Ended)> {
    let (mut standings, mut ended) = (None, None);
    for line in said.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice(line).ok()? {
            Word::Prepared(told) => standings = Some(told),
            Word::Ended(told) => ended = Some(told),
            // We close the line early for one reason only.
            Word::Stopped => ended = Some(Ended::Output),
        }
    }
    Some((standings?, ended?))
}
