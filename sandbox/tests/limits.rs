//! Using things up.

use crate::stage::{perl, run, sh, until, whole, with_word, without};
use sandbox::{Ended, Layer, Limits, Sandbox};
use std::time::Duration;

/// With these limits, but time enough on a busy machine where the test is not about the deadline.
fn limited(left_out: &[Layer], mut limits: Limits) -> Sandbox {
    if limits.deadline == Limits::default().deadline {
        limits.deadline = Duration::from_secs(30);
    }
    Sandbox { limits, ..without(left_out) }
}

#[tokio::test]
async fn a_fork_bomb_goes_off_inside_and_nothing_of_it_is_left() {
    let limits = Limits { processes: 20, deadline: Duration::from_secs(2), ..Limits::default() };
    let word = format!("bomb-{}", std::process::id());
    let bomb = "$0 = 'x'; fork while 1";
    let ran = run(&limited(&[], limits), &["perl", "-e", bomb, &word]).await;
    assert_eq!(ran.ended, Ended::Deadline);
    assert_eq!(with_word(&word), [] as [i32; 0]);
}

#[tokio::test]
async fn there_are_only_so_many_processes() {
    let code = "my $n = 0; while ($n < 100) { my $c = fork; last unless defined $c; unless ($c) { sleep 60; exit } $n++ } print $n";
    let limits = Limits { processes: 20, ..Limits::default() };
    let started =
        async |left_out: &[Layer]| perl(&limited(left_out, limits.clone()), code).await.stdout.text();
    assert_eq!(started(&[]).await, "19", "with itself that is 20");
    assert_eq!(started(&[Layer::Limits]).await, "100");
}

#[tokio::test]
async fn a_memory_bomb_goes_off_inside() {
    let code = "my $x = 'x' x (200 << 20); print length $x";
    let limits = Limits { memory: 128 << 20, ..Limits::default() };
    let ran = perl(&limited(&[], limits.clone()), code).await;
    assert_ne!(ran.ended, Ended::Exited(0));
    assert!(ran.stderr.text().contains("Out of memory"), "{ran:?}");
    assert_eq!(perl(&limited(&[Layer::Limits], limits), code).await.stdout.text(), (200 << 20).to_string());
}

#[tokio::test]
async fn a_file_grows_only_so_far_and_so_do_all_of_them() {
    let limits = Limits { file_size: 1 << 20, scratch: 3 << 20, ..Limits::default() };
    let line = "head -c 2M /dev/zero > /tmp/one 2>/dev/null; stat -c %s /tmp/one";
    assert_eq!(sh(&limited(&[], limits.clone()), line).await.stdout.text().trim(), (1 << 20).to_string());
    assert_eq!(
        sh(&limited(&[Layer::Limits], limits.clone()), line).await.stdout.text().trim(),
        (2 << 20).to_string()
    );
    let many = "for i in 1 2 3 4 5 6; do head -c 1M /dev/zero > /tmp/$i; done; du -sk /tmp | cut -f 1";
    let ran = sh(&limited(&[], limits), many).await;
    assert!(ran.stdout.text().trim().parse::<u32>().expect("kilobytes") <= 3 << 10, "{ran:?}");
    assert!(ran.stderr.text().contains("No space left"), "{ran:?}");
}

#[tokio::test]
async fn cpu_time_ends() {
    let limits = Limits { cpu: 1, deadline: Duration::from_secs(60), ..Limits::default() };
    assert_eq!(perl(&limited(&[], limits.clone()), "1 while 1").await.ended, Ended::Signalled(9));
    let short = Limits { deadline: Duration::from_secs(3), ..limits };
    assert_eq!(perl(&limited(&[Layer::Limits], short), "1 while 1").await.ended, Ended::Deadline);
}

#[tokio::test]
async fn the_deadline_ends_what_does_not_want_to_end() {
    let word = format!("stubborn-{}", std::process::id());
    let limits = Limits { deadline: Duration::from_millis(700), ..Limits::default() };
    let code = "$SIG{$_} = 'IGNORE' for qw(TERM INT HUP PIPE); fork; print 'began'; $| = 1; sleep 1 while 1";
    let ran = run(&limited(&[], limits), &["perl", "-e", code, &word]).await;
    assert_eq!(ran.ended, Ended::Deadline);
    assert!(ran.took < Duration::from_secs(5), "{:?}", ran.took);
    assert_eq!(with_word(&word), [] as [i32; 0]);
}

#[tokio::test]
async fn endless_output_is_kept_up_to_the_cap_and_ended() {
    let limits = Limits { output_bytes: 10_000, output_lines: 10_000, ..Limits::default() };
    for line in ["exec yes", "exec yes >&2", "trap '' PIPE; while :; do yes || :; done"] {
        let ran = sh(&limited(&[], limits.clone()), line).await;
        let (full, empty) =
            if line.contains(">&2") { (&ran.stderr, &ran.stdout) } else { (&ran.stdout, &ran.stderr) };
        assert_eq!((full.bytes.len(), full.cut), (10_000, true), "{line}");
        assert!(!empty.cut, "{line}");
        assert_eq!(ran.ended, Ended::Output, "{line}");
    }
    let lines = Limits { output_lines: 3, ..Limits::default() };
    let ran = sh(&limited(&[], lines), "seq 10").await;
    assert_eq!((ran.stdout.text().as_str(), ran.stdout.cut), ("1\n2\n3\n", true));
}

#[tokio::test]
async fn a_daemon_ends_with_the_script() {
    let word = format!("daemon-{}", std::process::id());
    let code =
        "use POSIX; if (fork) { wait; exit } POSIX::setsid(); exit if fork; $SIG{HUP} = 'IGNORE'; sleep 60";
    let words = ["perl", "-e", code, &word];
    let ran = run(&whole(), &words).await;
    assert_eq!(ran.ended, Ended::Exited(0));
    assert!(ran.took < Duration::from_secs(20), "it was waited for: {:?}", ran.took);
    assert_eq!(with_word(&word), [] as [i32; 0]);

    // It is the namespace that does it: without one it lives on, though it is not waited for.
    let ran = run(&without(&[Layer::PidNamespace]), &words).await;
    assert_eq!(ran.ended, Ended::Exited(0));
    let left: Vec<i32> = with_word(&word);
    assert_eq!(left.len(), 1, "{ran:?}");
    for pid in left {
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(pid).expect("a pid"),
            rustix::process::Signal::KILL,
        )
        .expect("its end");
    }
    until("the daemon is gone", || with_word(&word).is_empty()).await;
}
