//! A program of others that the demo runs beside it, on loopback: started, waited for, ended, also after a demo that was killed.

use crate::{END_WITHIN, end, is_ready};
use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::process::{Child, Command};

const READY_WITHIN: Duration = Duration::from_secs(60);

/// It runs.
pub struct Server {
    name: &'static str,
    process: Child,
    folder: PathBuf,
}

impl Server {
    /// Starts it in a process group of its own, so that a Ctrl-C in the terminal does not reach it, and waits until `/-/ready` says yes.
    /// One of the arguments must name the folder: a later start knows by it what an earlier one left behind.
    pub async fn start(
        name: &'static str,
        folder: &Path,
        port: u16,
        arguments: &[String],
    ) -> anyhow::Result<Server> {
        let written = folder.join("log");
        let log = File::create(&written).with_context(|| format!("create {}", written.display()))?;
        let mut process = Command::new(name)
            .args(arguments)
            .arg(format!("--web.listen-address={}", at(port)))
            .arg("--log.level=warn")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {name}"))?;
        fs::write(folder.join("pid"), process.id().unwrap_or_default().to_string())
            .context("note its process")?;
        let ready = async {
            while !is_ready(at(port), "/-/ready").await {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            ready = tokio::time::timeout(READY_WITHIN, ready) => ready.with_context(|| format!("{name} was not ready within a minute"))?,
            status = process.wait() => bail!("{name} ended with {}; see {}", status?, written.display()),
        }
        Ok(Server { name, process, folder: folder.to_path_buf() })
    }

    /// Waits until it has written everything.
    pub async fn stop(mut self) {
        end(&mut self.process, self.name).await;
        let _ = fs::remove_file(self.folder.join("pid"));
    }
}

/// This port on loopback.
pub fn at(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Is there a program of this name?
pub fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Ends the server of a demo that was killed: it holds the files and the port.
pub fn end_left_behind(folder: &Path) {
    let file = folder.join("pid");
    let Some(pid) = fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok()) else { return };
    let is_ours = || {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains(&*folder.to_string_lossy())
    };
    if let Some(left) = Pid::from_raw(pid).filter(|_| is_ours()) {
        let _ = kill_process(left, Signal::INT);
        let deadline = Instant::now() + END_WITHIN;
        while is_ours() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    let _ = fs::remove_file(file);
}
