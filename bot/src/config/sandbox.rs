//! `[sandbox]`: what commands of rules may see and use.

use sandbox::{Layer, Limits, Sandbox};
use serde::Deserialize;
use std::{collections::BTreeSet, path::PathBuf, time::Duration};

/// An answer to a rule's condition takes no longer than five seconds, so a command must be over before.
const LONGEST: Duration = Duration::from_secs(4);

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    required: Option<BTreeSet<Layer>>,
    #[serde(default)]
    read: Vec<PathBuf>,
    #[serde(default)]
    write: Vec<PathBuf>,
    #[serde(default)]
    limits: Limits,
}

impl Raw {
    pub(super) fn resolve(self) -> Result<Sandbox, String> {
        let usual = Sandbox::default();
        if self.limits.deadline > LONGEST {
            let given = self.limits.deadline.as_secs_f64();
            return Err(format!(
                "[sandbox.limits] deadline = {given} is too long; at most {} s",
                LONGEST.as_secs()
            ));
        }
        if let Some(path) = self.read.iter().chain(&self.write).find(|path| !path.is_absolute()) {
            return Err(format!("[sandbox] \"{}\" must be an absolute path", path.display()));
        }
        Ok(Sandbox {
            required: self.required.unwrap_or(usual.required),
            read: self.read,
            write: self.write,
            limits: self.limits,
            ..Sandbox::default()
        })
    }
}
