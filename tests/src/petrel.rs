//! One replica of `petrel serve` as a real process.

use crate::{process::Process, wait};
use anyhow::Result;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// A replica.
pub struct Petrel {
    /// The process.
    pub process: Process,
    /// `http://127.0.0.1:port`.
    pub base: String,
}

impl Petrel {
    /// Starts a replica on its own port and waits until it is ready.
    pub async fn start(config: &Path, log: PathBuf) -> Result<Petrel> {
        let petrel = Petrel::spawn(config, log)?;
        petrel.ready(Duration::from_secs(30)).await;
        Ok(petrel)
    }

    /// Starts a replica without waiting.
    pub fn spawn(config: &Path, log: PathBuf) -> Result<Petrel> {
        let listen = format!("127.0.0.1:{}", practice::free_port()?);
        let process = Process::spawn(
            "petrel",
            &["serve", "--config", config.to_str().expect("utf-8 path")],
            &[("PETREL_SERVER__LISTEN", &listen), ("RUST_LOG", "info"), ("RUST_BACKTRACE", "1")],
            &log,
        )?;
        Ok(Petrel { process, base: format!("http://{listen}") })
    }

    /// Waits until `/readyz` says yes.
    pub async fn ready(&self, within: Duration) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::new();
        let url = format!("{}/readyz", self.base);
        let log = self.process.log.display().to_string();
        wait::until(&format!("petrel ready (its log: {log})"), within, || async {
            http.get(&url).send().await.ok().filter(|answer| answer.status().is_success()).map(|_| ())
        })
        .await;
    }
}
