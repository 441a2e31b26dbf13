//! Programs of this workspace as real processes.

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::process::{Child, Command};

/// The folder with this build's programs: the test binary stands in `<target>/<profile>/deps`.
pub fn program(name: &str) -> PathBuf {
    let me = std::env::current_exe().expect("own path");
    let mut folder = me.parent().expect("a folder").to_path_buf();
    if folder.ends_with("deps") {
        folder.pop();
    }
    let path = folder.join(name);
    assert!(
        path.exists(),
        "{name} is not built: run `./dev test`, or `cargo build -p bot -p practice` first"
    );
    path
}

/// SIGKILL, by id.
pub fn kill(pid: u32) {
    if let Some(pid) = Pid::from_raw(pid as i32) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// A running program; killed when dropped.
pub struct Process {
    child: Child,
    /// Where its output goes.
    pub log: PathBuf,
}

impl Process {
    /// Starts it with its output in `log` (appended).
    pub fn spawn(name: &str, args: &[&str], env: &[(&str, &str)], log: &Path) -> Result<Process> {
        let file = File::options().create(true).append(true).open(log)?;
        let mut command = Command::new(program(name));
        command.args(args).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).kill_on_drop(true);
        for (key, value) in env {
            command.env(key, value);
        }
        let child = command.spawn().with_context(|| format!("start {name}"))?;
        Ok(Process { child, log: log.to_path_buf() })
    }

    /// Its id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// True when it has ended.
    pub fn ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// SIGKILL and wait.
    pub async fn kill(&mut self) {
        let _ = self.child.kill().await;
    }

    /// SIGTERM and wait; the exit code. Panics when it takes longer than `within`.
    pub async fn terminate(&mut self, within: Duration) -> Option<i32> {
        if let Some(pid) = self.child.id().and_then(|pid| Pid::from_raw(pid as i32)) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let status = tokio::time::timeout(within, self.child.wait())
            .await
            .unwrap_or_else(|_| panic!("did not stop within {within:?}; its log:\n{}", self.tail()));
        status.ok().and_then(|status| status.code())
    }

    /// The end of its output.
    pub fn tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}
