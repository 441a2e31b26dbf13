//! `petrel heal replay`, the real program on a real database.

use bot::{
    app::App,
    config::Config,
    healing::{Owners, catalogue, fold, read, steward},
};
use heal::{
    event::{Context, alert},
    rules::Rules,
};
use jiff::{SignedDuration, Timestamp};
use ledger::{private, *};
use serde_json::json;
use std::{path::Path, process::Command};
use tokio_util::sync::CancellationToken;

const THEN: &str = "rule \"restart\" {\n  on alert \"Sick\"\n  then [ restart(workload) ]\n}\n";

#[test]
fn the_examples_are_accepted_by_this_installation() {
    let files = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../heal/examples")).unwrap();
    let rules =
        Rules::load(&files, &catalogue()).unwrap_or_else(|refused| panic!("{}", refused.reports.join("\n")));
    assert!(rules.by_title("event disk_full").is_some(), "the issue's short rule is among them");
}

/// The code, and what was printed.
fn replay(config: &Path, rules: &str, more: &[&str]) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.heal"), rules).unwrap();
    let done = Command::new(env!("CARGO_BIN_EXE_petrel"))
        .args(["heal", "replay", "--config"])
        .arg(config)
        .arg("--rules")
        .arg(folder.path())
        .args(more)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    (done.status.code().unwrap(), text)
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_rules_are_held_against_what_is_on_record_before_they_go_live() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let server = private::PrivatePostgres::join(&private::test_dir()).await.unwrap();
    let (url, _) = server.database("replay").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("rules")).unwrap();
    std::fs::write(folder.path().join("rules/a.heal"), THEN).unwrap();
    std::fs::write(
        folder.path().join("policy.toml"),
        "[[machine]]\nname = \"healer\"\nidentities = [\"alert:*\"]\n",
    )
    .unwrap();
    let text = format!(
        "[database]\nurl = \"{url}\"\n[policy]\nfile = \"policy.toml\"\n[heal]\nrules = \"rules\"\n\
         [[cluster]]\nname = \"dead\"\nserver = \"http://127.0.0.1:9\"\ntimeout_s = 1\n"
    );
    let file = folder.path().join("petrel.toml");
    std::fs::write(&file, &text).unwrap();
    let config = Config::parse(&file, &text, &|_| None).unwrap();
    let policy = actions::policy::Policy::parse(
        "policy.toml",
        "[[machine]]\nname = \"healer\"\nidentities = [\"alert:*\"]\n",
    )
    .unwrap();
    let ledger = Ledger::connect(&Connect { url, connections: 4 }).await.unwrap();
    let app =
        App::new(config, ledger, actions::policy::PolicyHandle::fixed(policy), CancellationToken::new());
    app.rules.reload().unwrap();

    // Three incidents of three workloads; only two of them are told of as severe.
    let now = Timestamp::now();
    let alerts: Vec<_> = [("a", "critical"), ("b", "critical"), ("c", "info")]
        .map(|(name, severity)| {
            json!({"status": "firing", "startsAt": now.to_string(), "endsAt": "0001-01-01T00:00:00Z", "annotations": {},
                "labels": {"alertname": "Sick", "namespace": "shop", "deployment": name, "severity": severity, "cluster": "dead"}})
        })
        .into();
    let body = json!({"version": "4", "alerts": alerts}).to_string();
    let batch = alert::read(body.as_bytes(), Context { cluster: None, received: now }).unwrap();
    let new = |(n, event): (usize, &heal::event::Event)| NewEvent {
        key: format!("k{n}"),
        body: serde_json::to_value(event).unwrap(),
    };
    let events: Vec<NewEvent> = batch.events.iter().enumerate().map(new).collect();
    app.ledger.receive_events("test", &events, now).await.unwrap();
    fold::fold(&app, &Owners::default(), now).await.unwrap();
    for stored in app.ledger.claim_incidents(10, &[], None, SignedDuration::from_secs(30), now).await.unwrap()
    {
        steward::look_after(&app, stored, now).await.unwrap();
    }

    let (code, text) = replay(&file, THEN, &[]);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("3 incidents since") && text.contains("0 would have been different, 3 the same"),
        "{text}"
    );

    let gentler = "rule \"gently\" {\n  on alert \"Sick\" where severity >= 4\n  limit 1 per 1h per namespace\n  when exec \"x\" -> parse(\"y\") > 1\n  then [ rollback(workload) ]\n  verify within 5m { alert resolved }\n}\n";
    let (code, text) = replay(&file, gentler, &["--since", "1h"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("3 would have been different, 0 the same"), "{text}");
    assert_eq!(
        text.matches("\"gently\": rollback (needs a click").count(),
        1,
        "the limit counts what would have been asked: {text}"
    );
    assert!(text.contains("no rule: limit 1 per 1h per namespace does not hold"), "{text}");
    assert!(
        text.contains("no rule: severity >= 4 does not hold") || text.contains("no rule is about it"),
        "{text}"
    );

    let (code, text) =
        replay(&file, "rule \"x\" {\n on alert \"Sick\"\n then [ restrat(workload) ]\n}\n", &[]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("did you mean `restart`?"), "{text}");
}
