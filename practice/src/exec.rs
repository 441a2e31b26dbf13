//! What commands in containers do: there are no containers here, so whoever needs a program says what it answers.

use serde::{Deserialize, Serialize};
use std::sync::{Arc, PoisonError, RwLock};

/// A command that somebody runs in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exec {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// Name of the container.
    pub container: String,
    /// Word by word.
    pub command: Vec<String>,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Executed {
    /// Printed.
    pub stdout: String,
    /// Printed as an error.
    pub stderr: String,
    /// 0: it ended well.
    pub code: i32,
}

/// What the admin path takes: an answer for commands whose words, joined by blanks, contain a text.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scripted {
    pub contains: String,
    pub answer: Executed,
}

type Run = Arc<dyn Fn(&Exec) -> Option<Executed> + Send + Sync>;

/// The programs of all containers.
#[derive(Default)]
pub(crate) struct Programs(RwLock<Option<Run>>);

impl Programs {
    pub fn set(&self, run: impl Fn(&Exec) -> Option<Executed> + Send + Sync + 'static) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(run));
    }

    /// None: there is no such program.
    pub fn run(&self, exec: &Exec) -> Option<Executed> {
        let run = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        run.and_then(|run| run(exec))
    }
}
