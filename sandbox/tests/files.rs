//! Reading and writing what was not given.

use crate::stage::{open_folder, perl, sh, whole, without};
use sandbox::{Ended, Layer, Sandbox};
use std::{fs, os::unix::fs::PermissionsExt};

#[tokio::test]
async fn the_password_hashes_cannot_be_read() {
    let ran = sh(&whole(), "cat /etc/shadow").await;
    assert_eq!(ran.ended, Ended::Exited(1));
    assert_eq!(ran.stdout.text(), "");
}

#[tokio::test]
async fn a_file_of_ours_is_hidden_by_the_root_and_again_by_landlock_and_again_by_its_mode() {
    let folder = open_folder();
    let file = folder.path().join("secret");
    fs::write(&file, "swordfish").expect("a file");
    let line = format!("cat {}", file.display());
    let seen = async |left_out: &[Layer]| sh(&without(left_out), &line).await;
    assert!(seen(&[]).await.stderr.text().contains("No such file"));
    assert!(seen(&[Layer::MountNamespace]).await.stderr.text().contains("Permission denied"));
    assert!(seen(&[Layer::Landlock]).await.stderr.text().contains("No such file"));
    assert_eq!(seen(&[Layer::MountNamespace, Layer::Landlock]).await.stdout.text(), "swordfish");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("permissions");
    if rustix::process::geteuid().is_root() {
        assert!(
            seen(&[Layer::MountNamespace, Layer::Landlock]).await.stderr.text().contains("Permission denied")
        );
    }
}

#[tokio::test]
async fn nothing_outside_is_written() {
    let folder = open_folder();
    let mark = folder.path().join("was-here");
    let line = format!("echo x > {}", mark.display());
    for left_out in [&[][..], &[Layer::MountNamespace], &[Layer::Landlock]] {
        let ran = sh(&without(left_out), &line).await;
        assert!(!mark.exists() && ran.ended != Ended::Exited(0), "{left_out:?}: {ran:?}");
    }
    sh(&without(&[Layer::MountNamespace, Layer::Landlock]), &line).await;
    assert!(mark.exists());
}

#[tokio::test]
async fn a_given_folder_is_read_but_not_written_and_a_writable_one_is_both() {
    let folder = open_folder();
    let path = folder.path();
    fs::write(path.join("old"), "as it was").expect("a file");
    fs::set_permissions(path.join("old"), fs::Permissions::from_mode(0o666)).expect("permissions");
    let line = format!(
        "cd {}; cat old; echo new > old; echo more > mine; mount -o remount,rw {0}; rm old",
        path.display()
    );
    for left_out in [&[][..], &[Layer::Landlock], &[Layer::MountNamespace]] {
        let reader = Sandbox { read: vec![path.into()], ..without(left_out) };
        assert_eq!(sh(&reader, &line).await.stdout.text(), "as it was", "{left_out:?}");
        assert_eq!(fs::read_to_string(path.join("old")).expect("it is there"), "as it was");
        assert!(!path.join("mine").exists());
    }
    let writer = Sandbox { write: vec![path.into()], ..whole() };
    assert_eq!(sh(&writer, &line).await.stdout.text(), "as it was");
    assert_eq!(fs::read_to_string(path.join("mine")).expect("it is there"), "more\n");
    assert!(!path.join("old").exists());
}

#[tokio::test]
async fn what_a_script_wrote_is_not_a_program() {
    let folder = open_folder();
    let line = format!("cp /bin/true {0}/t; chmod 755 {0}/t; {0}/t", folder.path().display());
    let run = async |left_out: &[Layer]| {
        sh(&Sandbox { write: vec![folder.path().into()], ..without(left_out) }, &line).await.ended
    };
    assert_eq!(run(&[]).await, Ended::Exited(126));
    assert_eq!(run(&[Layer::Landlock]).await, Ended::Exited(0));
}

#[tokio::test]
async fn a_given_link_shows_what_it_leads_to_at_its_own_place() {
    let folder = open_folder();
    let (file, link) = (folder.path().join("file"), folder.path().join("link"));
    fs::write(&file, "behind the link").expect("a file");
    std::os::unix::fs::symlink(&file, &link).expect("a link");
    let sandbox = Sandbox { read: vec![link.clone()], ..whole() };
    assert_eq!(sh(&sandbox, &format!("cat {}", link.display())).await.stdout.text(), "behind the link");
}

#[tokio::test]
async fn a_folder_that_is_not_there_or_is_everything_is_refused_by_name() {
    for (path, why) in [
        ("/no/such/folder", "No such file"),
        ("/", "cannot be given"),
        ("/proc", "cannot be given"),
        ("../etc", "cannot be given"),
    ] {
        let sandbox = Sandbox { read: vec![path.into()], ..whole() };
        match sh(&sandbox, "true").await.ended {
            Ended::NotStarted(said) => assert!(said.contains(path) && said.contains(why), "{said}"),
            other => panic!("{path}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_file_that_was_open_before_is_closed() {
    let mut inherited = tempfile::tempfile().expect("a file");
    rustix::io::fcntl_setfd(&mut inherited, rustix::io::FdFlags::empty()).expect("a flag");
    // 3 is the folder that is being read.
    let code = "opendir(my $d, '/proc/self/fd'); print join ' ', sort grep /\\d/, readdir $d";
    assert_eq!(perl(&whole(), code).await.stdout.text(), "0 1 2 3");
}
