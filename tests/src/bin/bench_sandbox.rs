//! What the walls around a script cost: `./dev bench sandbox`.
//!
//! `true` is started plainly and in the sandbox of the real `petrel`, by turns, so that a busy machine is as unfair to one as to the other.

use anyhow::{Context, Result, ensure};
use sandbox::{Ended, Sandbox};
use std::time::{Duration, Instant};
use tokio::process::Command;

const ROUNDS: usize = 300;

#[tokio::main]
async fn main() -> Result<()> {
    let program = std::env::current_exe()?.with_file_name("petrel");
    ensure!(program.exists(), "build petrel first: cargo build --release -p bot");
    let sandbox = Sandbox { program, ..Sandbox::default() };
    let words = ["true".to_owned()];
    let (mut plain, mut walled, mut extra) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let began = Instant::now();
        ensure!(Command::new("true").output().await.context("start true")?.status.success());
        let without = began.elapsed();
        let began = Instant::now();
        ensure!(sandbox.run(&words).await?.ended == Ended::Exited(0));
        let with = began.elapsed();
        plain.push(without);
        walled.push(with);
        extra.push(with.saturating_sub(without));
    }
    println!("{:<50} {:>10} {:>10} {:>10}", "starting and ending `true`", "median", "p99", "target");
    row("plain fork and exec", plain, "");
    row("in the sandbox, all layers", walled, "");
    row("what the sandbox adds", extra, "<= 5 ms");
    Ok(())
}

fn row(figure: &str, mut times: Vec<Duration>, target: &str) {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0;
    println!("{figure:<50} {:>7.2} ms {:>7.2} ms {target:>10}", at(0.5), at(0.99));
}
