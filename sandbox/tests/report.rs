//! What is reported, and when a script is refused.

use crate::stage::{open_folder, run, sh, whole, without};
use sandbox::{Ended, Error, Layer, Sandbox, Standing};

#[tokio::test]
async fn every_layer_is_reported_and_stands_here() {
    let ran = sh(&whole(), "true").await;
    assert_eq!(ran.layers.len(), Layer::ALL.len());
    assert!(ran.layers.values().all(|standing| *standing == Standing::InForce), "{:?}", ran.layers);
    assert_eq!(ran.remarks, [] as [String; 0]);
}

#[tokio::test]
async fn a_script_is_refused_when_a_required_layer_is_missing() {
    let folder = open_folder();
    let words = ["touch".to_owned(), folder.path().join("ran").display().to_string()];
    for layer in Layer::ALL {
        // Given the folder, so that it would show if it ran.
        let sandbox =
            Sandbox { required: Layer::ALL.into(), write: vec![folder.path().into()], ..without(&[layer]) };
        match sandbox.run(&words).await {
            Err(error @ Error::Missing(_)) => {
                assert!(error.to_string().contains(&layer.to_string()), "{error}")
            }
            other => panic!("{layer}: {other:?}"),
        }
        assert!(!folder.path().join("ran").exists(), "{layer}");
    }
    run(&Sandbox { write: vec![folder.path().into()], ..whole() }, &["touch", &words[1]]).await;
    assert!(folder.path().join("ran").exists());
}

#[tokio::test]
async fn exits_and_signals_are_told_apart() {
    assert_eq!(sh(&whole(), "exit 3").await.ended, Ended::Exited(3));
    assert_eq!(sh(&whole(), "kill -TERM $$").await.ended, Ended::Signalled(15));
    match run(&whole(), &["no-such-program"]).await.ended {
        Ended::NotStarted(why) => assert!(why.contains("no-such-program"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn digests_name_the_script_and_what_it_printed() {
    let (one, again, other) =
        (sh(&whole(), "echo 1").await, sh(&whole(), "echo 1").await, sh(&whole(), "echo 1 >&2").await);
    assert_eq!((one.script_sha256, one.output_sha256), (again.script_sha256, again.output_sha256));
    assert_ne!(one.script_sha256, other.script_sha256);
    assert_ne!(one.output_sha256, other.output_sha256);
}

#[tokio::test]
async fn no_shell_reads_the_words() {
    assert_eq!(run(&whole(), &["echo", "$(id) `id` ; id", "*"]).await.stdout.text(), "$(id) `id` ; id *\n");
}

#[tokio::test]
async fn the_environment_is_clean() {
    let mut names: Vec<String> =
        run(&whole(), &["env"]).await.stdout.text().lines().map(str::to_owned).collect();
    names.sort();
    let expected = [
        "HOME=/tmp",
        "LANG=C.UTF-8",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "TERM=dumb",
        "TMPDIR=/tmp",
    ];
    assert_eq!(names, expected);
    assert_eq!(run(&whole(), &["pwd"]).await.stdout.text(), "/tmp\n");
}
