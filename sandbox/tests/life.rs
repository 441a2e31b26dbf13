//! The sandbox's own ends.

use crate::stage::{until, whole, with_word};
use rustix::process::{Pid, Signal, kill_process};
use sandbox::{Ended, Error, Layer, Limits, Sandbox, Standing};
use std::{
    fs,
    process::{Command, Stdio},
    time::Duration,
};

fn kill(pid: i32) {
    kill_process(Pid::from_raw(pid).expect("a pid"), Signal::KILL).expect("a kill");
}

/// A script that stays, with a word to find it by.
fn stay(word: &str) -> [String; 4] {
    ["perl", "-e", "sleep 60", word].map(str::to_owned)
}

fn parent_of(pid: i32) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("its state");
    let after_name = stat.rsplit(") ").next().expect("fields");
    after_name.split(' ').nth(1).and_then(|field| field.parse().ok()).expect("a parent")
}

#[tokio::test]
async fn when_its_caller_is_killed_the_script_ends() {
    let word = format!("orphan-{}", std::process::id());
    let mut caller = Command::new(env!("CARGO_BIN_EXE_sandbox-try"))
        .args(stay(&word))
        .stderr(Stdio::null())
        .spawn()
        .expect("a caller");
    until("the script runs", || !with_word(&word).is_empty()).await;
    caller.kill().expect("a kill");
    caller.wait().expect("its end");
    until("the script is gone", || with_word(&word).is_empty()).await;
}

#[tokio::test]
async fn when_a_half_of_the_sandbox_is_killed_the_script_ends_and_the_caller_hears_of_it() {
    for outer in [true, false] {
        let word = format!("half-{outer}-{}", std::process::id());
        let words = stay(&word);
        let running = tokio::spawn(async move { whole().run(&words).await });
        until("the script runs", || !with_word(&word).is_empty()).await;
        let inner = parent_of(with_word(&word)[0]);
        kill(if outer { parent_of(inner) } else { inner });
        let said = running.await.expect("it ended");
        match said {
            Err(Error::Lost(_)) if outer => {}
            Ok(ran) if !outer => assert!(
                matches!(ran.ended, sandbox::Ended::NotStarted(ref why) if why.contains("ended early")),
                "{ran:?}"
            ),
            other => panic!("{other:?}"),
        }
        until("the script is gone", || with_word(&word).is_empty()).await;
    }
}

#[tokio::test]
async fn when_nobody_waits_any_more_the_script_ends() {
    let word = format!("dropped-{}", std::process::id());
    let words = stay(&word);
    let running = tokio::spawn(async move { whole().run(&words).await });
    until("the script runs", || !with_word(&word).is_empty()).await;
    running.abort();
    until("the script is gone", || with_word(&word).is_empty()).await;
}

#[tokio::test]
async fn a_script_cannot_say_in_our_place_how_it_ended() {
    // Process 1 has the same user; were it not closed to the script, so would be our line.
    let look = "ls -l /proc/1/fd 2>&1; echo x > /proc/1/fd/0";
    let ran = crate::stage::sh(&whole(), look).await;
    assert!(ran.stdout.text().contains("Permission denied"), "{ran:?}");
    assert!(ran.ended != sandbox::Ended::Exited(0));
}

/// Children of this process that wait for an order.
fn spares() -> Vec<i32> {
    // Of whichever thread has started them.
    let threads = fs::read_dir("/proc/self/task").expect("our threads").filter_map(Result::ok);
    let children: Vec<String> =
        threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok()).collect();
    let is_outer = |pid: &i32| {
        fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| line.windows(13).any(|word| word == b"sandbox-enter"))
    };
    children.join(" ").split_whitespace().filter_map(|pid| pid.parse().ok()).filter(is_outer).collect()
}

#[tokio::test]
async fn the_next_run_is_started_ahead_and_as_walled_and_timed_from_its_order() {
    let limits = Limits { deadline: Duration::from_secs(2), ..Limits::default() };
    let sandbox = Sandbox { limits, ..whole() };
    let words = ["perl", "-e", "sleep 1"].map(str::to_owned);
    let first = sandbox.run(&words).await.expect("a run");
    until("a spare one waits", || spares().len() == 1).await;
    let spare = spares();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let second = sandbox.run(&words).await.expect("a run");
    assert_eq!((&second.ended, &second.layers), (&first.ended, &first.layers));
    until("another spare one waits", || spares().len() == 1 && spares() != spare).await;
    // One that is gone is not waited for, and one behind other walls is not taken.
    let dead = spares()[0];
    kill(dead);
    until("it is gone", || {
        fs::read_to_string(format!("/proc/{dead}/stat")).is_ok_and(|stat| stat.contains(") Z"))
    })
    .await;
    assert_eq!(sandbox.run(&words).await.expect("a run").ended, Ended::Exited(0));
    until("a spare one waits", || spares().len() == 1).await;
    let lower = Sandbox { left_out: [Layer::UtsNamespace].into(), required: [].into(), ..sandbox };
    let ran = lower.run(&words).await.expect("a run");
    assert!(matches!(ran.layers[&Layer::UtsNamespace], Standing::Missing(_)), "{ran:?}");
}
