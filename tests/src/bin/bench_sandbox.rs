//! What the walls around a script cost: `./dev bench sandbox`.
//!
//! `true` is started plainly and in the sandbox of the real `petrel`, by turns, so that a busy machine is as unfair to one as to the other. Once with a rest
//! before each, as rules run commands, in which the sandbox starts the outer half of its next run; and once without.

use anyhow::{Context, Result, ensure};
use sandbox::{Ended, Sandbox};
use std::time::{Duration, Instant};
use tokio::{process::Command, time::sleep};

const ROUNDS: usize = 300;
const REST: Duration = Duration::from_millis(50);

#[tokio::main]
async fn main() -> Result<()> {
    let program = std::env::current_exe()?.with_file_name("petrel");
    ensure!(program.exists(), "build petrel first: cargo build --release -p bot");
    let sandbox = Sandbox { program, ..Sandbox::default() };
    let words = ["true".to_owned()];
    println!("{:<50} {:>10} {:>10} {:>10}", "starting and ending `true`", "median", "p99", "target");
    for (rest, which, target) in
        [(REST, "with a rest before", "<= 5 ms"), (Duration::ZERO, "one after another", "")]
    {
        let (mut plain, mut walled, mut extra) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            sleep(rest).await;
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
        row(&format!("plain fork and exec, {which}"), plain, "");
        row("in the sandbox, all layers", walled, "");
        row("what the sandbox adds", extra, target);
    }
    Ok(())
}

fn row(figure: &str, mut times: Vec<Duration>, target: &str) {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0;
    println!("{figure:<50} {:>7.2} ms {:>7.2} ms {target:>10}", at(0.5), at(0.99));
}
