//! What the tests share.

use sandbox::{Layer, Limits, Ran, Sandbox};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, exit},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Ends the test, and says so, on a machine that lets nobody but root make namespaces (a container with its runtime's seccomp profile, a
/// chroot): asked of `unshare`, not of what is tested. nextest gives each test a process of its own.
fn or_skip() {
    let mut words =
        "unshare --user --mount --pid --net --ipc --uts --fork true".split(' ').collect::<Vec<_>>();
    if rustix::process::geteuid().is_root() {
        words.splice(0..0, "setpriv --reuid 65534 --regid 65534 --clear-groups".split(' '));
    }
    let asked =
        Command::new(words[0]).args(&words[1..]).output().expect("unshare and setpriv, of util-linux");
    if !asked.status.success() {
        println!(
            "skipped: this machine refuses namespaces: {}",
            String::from_utf8_lossy(&asked.stderr).trim()
        );
        exit(0);
    }
}

/// A sandbox with every wall but these.
pub fn without(left_out: &[Layer]) -> Sandbox {
    or_skip();
    let mut required = Sandbox::default().required;
    required.retain(|layer| !left_out.contains(layer));
    Sandbox {
        program: env!("CARGO_BIN_EXE_sandbox-try").into(),
        required,
        left_out: left_out.iter().copied().collect(),
        // These machines are busy; tests of the deadline set their own.
        limits: Limits { deadline: Duration::from_secs(30), ..Limits::default() },
        ..Sandbox::default()
    }
}

/// One with all of them.
pub fn whole() -> Sandbox {
    without(&[])
}

/// Runs a line of shell.
pub async fn sh(sandbox: &Sandbox, line: &str) -> Ran {
    run(sandbox, &["sh", "-c", line]).await
}

/// Runs a piece of Perl.
pub async fn perl(sandbox: &Sandbox, code: &str) -> Ran {
    run(sandbox, &["perl", "-e", code]).await
}

pub async fn run(sandbox: &Sandbox, words: &[&str]) -> Ran {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    sandbox.run(&words).await.expect("a run")
}

/// A folder of ours that every user may enter and change.
pub fn open_folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("permissions");
    folder
}

/// The processes of this machine that have this word on their command line, but for those that only pass it on.
pub fn with_word(word: &str) -> Vec<i32> {
    let processes = fs::read_dir("/proc")
        .expect("/proc")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let has_word = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        words.contains(&word.as_bytes()) && !words[0].ends_with(b"sandbox-try")
    };
    processes.filter(has_word).collect()
}

/// Waits until it is so.
pub async fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
