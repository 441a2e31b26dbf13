//! The file changes while Petrel runs.

use super::scene::PEOPLE;
use actions::policy::PolicyHandle;
use std::{fs, path::Path, time::Duration};
use tokio_util::sync::CancellationToken;

fn replace_by_rename(file: &Path, text: &str) {
    let other = file.with_extension("new");
    fs::write(&other, text).unwrap();
    fs::rename(&other, file).unwrap();
}

/// Waits until the policy in force has another version than `old`.
async fn changed(handle: &PolicyHandle, old: &str) {
    let wait = async {
        while handle.current().version() == old {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("the changed file should be read");
}

#[test]
fn a_bad_file_is_refused_and_the_old_one_stays_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.toml");
    fs::write(&file, PEOPLE).unwrap();
    let handle = PolicyHandle::load(&file).unwrap();
    let version = handle.current().version().to_string();

    fs::write(&file, "[[rule]]\nname = 1").unwrap();
    let error = handle.reload().unwrap_err();
    assert_eq!((error.line, error.column), (2, 8), "{error}");
    assert_eq!(handle.current().version(), version);

    fs::remove_file(&file).unwrap();
    assert!(handle.reload().unwrap_err().message.contains("cannot read the policy file"));
    assert_eq!(handle.current().version(), version);

    fs::write(&file, format!("{PEOPLE}# more\n")).unwrap();
    assert_eq!(handle.reload(), Ok(true));
    assert_eq!(handle.reload(), Ok(false));
    assert_ne!(handle.current().version(), version);
}

#[test]
fn a_file_that_is_not_there_is_no_policy() {
    let error = PolicyHandle::load(Path::new("/nowhere/policy.toml")).err().unwrap();
    assert!(error.to_string().starts_with("/nowhere/policy.toml:1:1: cannot read"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_written_renamed_over_or_relinked_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.toml");
    fs::write(&file, PEOPLE).unwrap();
    let handle = PolicyHandle::load(&file).unwrap();
    let stop = CancellationToken::new();
    let watch = tokio::spawn({
        let (handle, stop) = (handle.clone(), stop.clone());
        async move { handle.watch(stop).await }
    });

    let version = handle.current().version().to_string();
    fs::write(&file, format!("{PEOPLE}# written\n")).unwrap();
    changed(&handle, &version).await;

    let version = handle.current().version().to_string();
    replace_by_rename(&file, &format!("{PEOPLE}# renamed\n"));
    changed(&handle, &version).await;

    // As a mounted ConfigMap does: the name is a link into a folder that is swapped.
    let version = handle.current().version().to_string();
    let data = folder.path().join("..data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("policy.toml"), format!("{PEOPLE}# linked\n")).unwrap();
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("..data/policy.toml", &file).unwrap();
    changed(&handle, &version).await;

    stop.cancel();
    tokio::time::timeout(Duration::from_secs(10), watch)
        .await
        .expect("watch should end when told to")
        .unwrap();
}
