//! The rules in force, and their folder being watched.

use arc_swap::ArcSwap;
use heal::{
    language::Catalogue,
    rules::{Refused, RuleFile, Rules},
};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// How often the folder is read: network file systems and mounted ConfigMaps do not tell, and it is small.
const POLL: Duration = Duration::from_secs(2);

/// Words of rules that no action of the catalogue is called by.
const OWN: [&str; 3] = ["scale_up", "notify", "escalate"];

/// What rules may ask for here.
pub fn catalogue() -> Catalogue {
    Catalogue::standard()
        .only(|name| OWN.contains(&name) || actions::catalogue::action(&name.replace('_', "-")).is_some())
}

/// The rules in force; cheap to clone; swapped whole by a reload.
#[derive(Clone)]
pub struct RulesHandle {
    inner: Arc<Inner>,
}

struct Inner {
    /// None: there are none.
    folder: Option<PathBuf>,
    current: ArcSwap<Rules>,
    /// One reload at a time, so that an older reading never replaces a newer one.
    reloading: Mutex<()>,
}

/// Why a folder's rules cannot come into force.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// A file or the folder cannot be read.
    #[error("read rules in {folder}: {source}")]
    Read {
        /// Where.
        folder: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// They have mistakes.
    #[error("{refused}:\n{}", refused.reports.join("\n"))]
    Refused {
        /// Each with its place.
        refused: Refused,
    },
}

impl RulesHandle {
    /// Of a folder; empty until [`RulesHandle::reload`].
    pub fn new(folder: Option<PathBuf>) -> RulesHandle {
        let inner = Inner { folder, current: ArcSwap::default(), reloading: Mutex::new(()) };
        RulesHandle { inner: Arc::new(inner) }
    }

    /// Those in force now.
    pub fn current(&self) -> Arc<Rules> {
        self.inner.current.load_full()
    }

    /// Reads the folder again; on error the old ones stay and the error is returned. True when they changed.
    pub fn reload(&self) -> Result<bool, RulesError> {
        let Some(folder) = &self.inner.folder else { return Ok(false) };
        let _one_at_a_time = self.inner.reloading.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        self.take(&read(folder)?)
    }

    fn take(&self, files: &[RuleFile]) -> Result<bool, RulesError> {
        let rules = Rules::load(files, &catalogue()).map_err(|refused| RulesError::Refused { refused })?;
        let is_new = rules.version() != self.current().version();
        if is_new {
            self.inner.current.store(Arc::new(rules));
        }
        Ok(is_new)
    }

    /// Reloads whenever a file changes, until cancelled; logs refused rules, once. What reads the same twice is not being
    /// written.
    pub async fn watch(&self, stop: CancellationToken) {
        let Some(folder) = self.inner.folder.clone() else { return };
        let (mut before, mut looked, mut refused) = (None, None, None);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(POLL) => {}
            }
            let (handle, folder) = (self.clone(), folder.clone());
            let (last, done) = (before.take(), looked.clone());
            let read = tokio::task::spawn_blocking(move || {
                let files = read(&folder)
                    .map(|files| files.into_iter().map(|file| (file.name, file.source)).collect::<Vec<_>>());
                let outcome = match &files {
                    Ok(now) if Some(now) == last.as_ref() && Some(now) != done.as_ref() => {
                        let files: Vec<RuleFile> = now
                            .iter()
                            .map(|(name, source)| RuleFile { name: name.clone(), source: source.clone() })
                            .collect();
                        Some(handle.take(&files))
                    }
                    _ => None,
                };
                (files, outcome)
            });
            let Ok((files, outcome)) = read.await else { continue };
            let error = match (files, outcome) {
                (Ok(files), None) => {
                    before = Some(files);
                    continue;
                }
                (Ok(files), Some(outcome)) => {
                    (before, looked) = (Some(files.clone()), Some(files));
                    match outcome {
                        Ok(changed) => {
                            refused = None;
                            if changed {
                                let rules = self.current();
                                tracing::info!(
                                    rules.version = rules.version(),
                                    rules = rules.all().len(),
                                    "the rules changed and are in force"
                                );
                            }
                            continue;
                        }
                        Err(error) => error,
                    }
                }
                (Err(error), _) => error,
            };
            let error = error.to_string();
            if refused.as_ref() != Some(&error) {
                let version = self.current().version().to_string();
                tracing::error!(%error, rules.version = version, "the rules are refused; the old ones stay in force");
                refused = Some(error);
            }
        }
    }
}

/// All `*.heal` of a folder. What begins with a dot is an editor's, or how a mounted ConfigMap swaps its files.
pub fn read(folder: &Path) -> Result<Vec<RuleFile>, RulesError> {
    let wrong = |source| RulesError::Read { folder: folder.to_path_buf(), source };
    let mut files = Vec::new();
    for item in std::fs::read_dir(folder).map_err(wrong)? {
        let path = item.map_err(wrong)?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.ends_with(".heal") && !name.starts_with('.') {
            files.push(RuleFile { source: std::fs::read_to_string(&path).map_err(wrong)?, name });
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}
