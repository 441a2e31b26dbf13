//! Commands of rules, by the real program, with their entries in the record.

use bot::{
    config::Config,
    script::{ScriptError, output},
};
use ledger::{
    Connect, EntryFilter, Ledger,
    private::{self, PrivatePostgres},
};
use sandbox::{Layer, Sandbox};
use std::{fs, os::unix::fs::MetadataExt, path::Path, process::Command};

async fn ledger(name: &str) -> Ledger {
    let server = PrivatePostgres::join(&private::test_dir()).await.expect("a server");
    let (url, _) = server.database(name).await.expect("a database");
    Ledger::connect(&Connect { url, connections: 4 }).await.expect("a ledger")
}

fn config(more: &str) -> Result<Config, bot::config::ConfigError> {
    let text = format!("[database]\nprivate = \"unused\"\n[policy]\nfile = \"unused\"\n{more}");
    Config::parse(Path::new("/petrel.toml"), &text, &|_| None)
}

/// As configured, but by the program that is tested and not by the test.
fn petrel(more: &str) -> Sandbox {
    let program = env!("CARGO_BIN_EXE_petrel").into();
    Sandbox { program, ..config(more).expect("a config").sandbox }
}

/// Whether users may make namespaces here; where not, it is said that the test is skipped.
fn namespaces() -> bool {
    let words = "--reuid 65534 --regid 65534 --clear-groups unshare --user --mount --pid --net --fork true";
    // Only root can become another user; everybody else asks as who they are.
    let asked = match fs::metadata("/proc/self").expect("/proc").uid() {
        0 => Command::new("setpriv").args(words.split(' ')).output(),
        _ => Command::new("unshare").args(words.split(' ').skip(6)).output(),
    };
    let may = asked.expect("unshare and setpriv, of util-linux").status.success();
    if !may {
        println!("skipped: this machine refuses namespaces");
    }
    may
}

#[tokio::test]
async fn a_command_runs_in_the_sandbox_and_the_record_has_its_digests_and_not_its_output() {
    if !namespaces() {
        return;
    }
    let ledger = ledger("script_ran").await;
    let actor = "alert:disk_full".parse().expect("an actor");
    let sandbox = petrel("[sandbox.limits]\nmemory = 1_000_000_000\n");
    let said = output(&ledger, &sandbox, &actor, "sh -c 'id -u; echo sword\"\"fish'").await.expect("output");
    assert_eq!(said.lines().nth(1), Some("swordfish"));
    assert_ne!(said.lines().next(), Some("0"));
    let failed = output(&ledger, &sandbox, &actor, "ls /no/such/file").await;
    assert_eq!(failed.expect_err("it failed").to_string(), "the command ended with code 2");

    let filter = EntryFilter { kind: Some("script.ran".into()), limit: 9, ..EntryFilter::default() };
    let entries = ledger.entries(&filter).await.expect("entries");
    assert_eq!(entries.len(), 2);
    let ran = &entries[1];
    assert_eq!(ran.actor, "alert:disk_full");
    assert_eq!(ran.body["layers"].as_array().map(Vec::len), Some(Layer::ALL.len()), "{}", ran.body);
    assert_eq!(ran.body["ended"]["exited"], 0);
    assert_eq!(ran.body["output_sha256"].as_str().map(str::len), Some(64));
    assert!(!ran.body.to_string().contains("swordfish"), "{}", ran.body);
}

#[tokio::test]
async fn without_a_required_layer_nothing_runs_and_the_record_says_so() {
    if !namespaces() {
        return;
    }
    let ledger = ledger("script_refused").await;
    let actor = "alert:disk_full".parse().expect("an actor");
    let sandbox = Sandbox { left_out: [Layer::Seccomp].into(), ..petrel("") };
    let refused = output(&ledger, &sandbox, &actor, "true").await.expect_err("it is refused");
    assert!(matches!(refused, ScriptError::Sandbox(sandbox::Error::Missing(_))), "{refused}");
    let filter = EntryFilter { kind: Some("script.refused".into()), limit: 9, ..EntryFilter::default() };
    assert!(ledger.entries(&filter).await.expect("entries")[0].body["why"].to_string().contains("seccomp"));
    let lenient = Sandbox {
        left_out: [Layer::Seccomp].into(),
        ..petrel("[sandbox]\nrequired = [\"user-namespace\", \"mount-namespace\"]\n")
    };
    assert_eq!(output(&ledger, &lenient, &actor, "true").await.expect("it runs"), "");
}

#[test]
fn the_config_is_checked() {
    let sandbox =
        petrel("[sandbox]\nread = [\"/var/log\"]\n[sandbox.limits]\ndeadline = 1.5\nprocesses = 4\n");
    assert_eq!((sandbox.limits.deadline.as_millis(), sandbox.limits.processes), (1500, 4));
    assert_eq!(sandbox.required.len(), Layer::ALL.len());
    for (wrong, why) in [
        ("[sandbox]\nread = [\"var\"]\n", "absolute"),
        ("[sandbox.limits]\ndeadline = 60\n", "at most 4 s"),
        ("[sandbox]\nrequired = [\"moat\"]\n", "moat"),
        ("[sandbox]\nleft_out = []\n", "left_out"),
    ] {
        let said = config(wrong).expect_err("it is wrong").to_string();
        assert!(said.contains(why), "{said}");
    }
}
