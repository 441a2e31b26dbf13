//! The policy in force, and its file being watched.

use super::{Policy, PolicyError};
use arc_swap::ArcSwap;
use notify::Watcher;
use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// How often the file is read when nothing told us that it changed: network file systems do not tell.
const POLL: Duration = Duration::from_secs(5);
/// A file that reads the same twice, this far apart, is not being written: half of a policy can be a policy too, and one
/// that permits more.
const SETTLE: Duration = Duration::from_millis(100);

/// The policy in force; cheap to clone; swapped whole by a reload.
#[derive(Clone)]
pub struct PolicyHandle {
    inner: Arc<Inner>,
}

struct Inner {
    /// None: fixed.
    file: Option<PathBuf>,
    current: ArcSwap<Policy>,
    /// One reload at a time, so that an older reading never replaces a newer one.
    reloading: Mutex<()>,
}

impl PolicyHandle {
    /// Reads a file.
    pub fn load(file: &Path) -> Result<PolicyHandle, PolicyError> {
        let policy = read(file)?;
        Ok(Self::new(Some(file.to_path_buf()), policy))
    }

    /// For tests and `explain`.
    pub fn fixed(policy: Policy) -> PolicyHandle {
        Self::new(None, policy)
    }

    fn new(file: Option<PathBuf>, policy: Policy) -> PolicyHandle {
        PolicyHandle {
            inner: Arc::new(Inner {
                file,
                current: ArcSwap::from_pointee(policy),
                reloading: Mutex::new(()),
            }),
        }
    }

    /// The one in force now.
    pub fn current(&self) -> Arc<Policy> {
        self.inner.current.load_full()
    }

    /// Reads the file again; on error the old one stays and the error is returned. True when it changed.
    pub fn reload(&self) -> Result<bool, PolicyError> {
        let Some(file) = &self.inner.file else { return Ok(false) };
        let _one_at_a_time = self.inner.reloading.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let policy = read(file)?;
        let is_new = policy.version() != self.current().version();
        if is_new {
            self.inner.current.store(Arc::new(policy));
        }
        Ok(is_new)
    }

    /// Reloads whenever the file changes, until cancelled; logs a refused file, once.
    ///
    /// The folder is watched, not the file: editors and mounted ConfigMaps replace it by renaming another over it.
    pub async fn watch(&self, stop: CancellationToken) {
        let Some(file) = self.inner.file.clone() else { return };
        let (changed, mut changes) = tokio::sync::mpsc::channel(1);
        let name = file.file_name().map(OsStr::to_os_string);
        let told = move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access() && is_about(&event.paths, name.as_deref())) {
                // A full channel means that a reload is due already.
                let _ = changed.try_send(());
            }
        };
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let watching = notify::recommended_watcher(told).and_then(|mut watcher| {
            watcher.watch(folder, notify::RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        // Kept alive until the end; dropping it ends the watch.
        let _watcher = watching
            .inspect_err(|error| tracing::warn!(%error, "cannot watch the policy file's folder; it is read every {POLL:?} instead"));
        let mut refused: Option<String> = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                // Without a watcher the channel is closed at once, and the timer alone remains.
                Some(()) = changes.recv() => {}
                () = tokio::time::sleep(POLL) => {}
            }
            settled(&file).await;
            let handle = self.clone();
            match tokio::task::spawn_blocking(move || handle.reload()).await {
                Ok(Ok(true)) => {
                    refused = None;
                    tracing::info!(
                        policy.version = self.current().version(),
                        "the policy file changed and is in force"
                    );
                }
                Ok(Ok(false)) => refused = None,
                Ok(Err(error)) => {
                    let error = error.to_string();
                    if refused.as_ref() != Some(&error) {
                        let version = self.current().version().to_string();
                        tracing::error!(%error, policy.version = version, "the policy file is refused; the old one stays in force");
                        refused = Some(error);
                    }
                }
                Err(error) => tracing::error!(%error, "reading the policy file was cut short"),
            }
        }
    }
}

/// Only the file itself, and the links that a mounted ConfigMap swaps (`..data`): a log that grows in the same folder is no
/// reason to read a policy.
fn is_about(paths: &[PathBuf], name: Option<&OsStr>) -> bool {
    paths.is_empty()
        || paths
            .iter()
            .filter_map(|path| path.file_name())
            .any(|changed| Some(changed) == name || changed.as_encoded_bytes().starts_with(b".."))
}

/// Waits until the file reads the same twice; gives up after a few seconds, and leaves it to the reader to complain.
async fn settled(file: &Path) {
    let mut before = tokio::fs::read(file).await.ok();
    for _ in 0..50 {
        tokio::time::sleep(SETTLE).await;
        let after = tokio::fs::read(file).await.ok();
        if after == before {
            return;
        }
        before = after;
    }
}

fn read(file: &Path) -> Result<Policy, PolicyError> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|error| PolicyError {
        file: name.clone(),
        line: 1,
        column: 1,
        message: format!("cannot read the policy file: {error}"),
    })?;
    Policy::parse(&name, &text)
}
