//! Rotating logs: the commands of the plan are really run, in a folder of this machine in place of the container's.

use super::house::{House, NAMESPACE, eventually};
use ledger::RequestState;
use practice::{Exec, Executed};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, mpsc},
    time::{Duration, SystemTime},
};

const FOLDER: &str = "/var/log/app";
const LINE: &str = "rotate-logs deploy/checkout /var/log/app/*.log --keep 2";

/// What the command does with its folder in place of the container's.
fn really(exec: &Exec, folder: &Path) -> Executed {
    let words = exec.command.iter().map(|word| match word.as_str() {
        FOLDER => folder.display().to_string(),
        other => other.to_string(),
    });
    let words: Vec<String> = words.collect();
    let done = Command::new(&words[0]).args(&words[1..]).output().expect("a shell");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Executed {
        stdout: text(&done.stdout),
        stderr: text(&done.stderr),
        code: done.status.code().unwrap_or(-1),
    }
}

fn logs(folder: &Path) {
    let names = ["app.log", "app.log.1.gz", "app.log.2.gz", "app.log.3.gz", "notes.txt"];
    for (age, name) in names.iter().enumerate() {
        fs::write(folder.join(name), "lines\n").expect("a file");
        let at = SystemTime::now() - Duration::from_secs(3600 * age as u64);
        let file = fs::File::options().write(true).open(folder.join(name)).expect("it");
        file.set_modified(at).expect("a time");
    }
}

fn names(folder: &Path) -> Vec<String> {
    let items = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> =
        items.map(|item| item.expect("an item").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// A house with one pod, whose logs are in a folder.
async fn house(name: &str) -> (House, tempfile::TempDir, PathBuf) {
    let house = House::new(name).await;
    house.deployment("checkout", 1).await;
    let dir = tempfile::tempdir().expect("a folder");
    logs(dir.path());
    let folder = dir.path().to_path_buf();
    (house, dir, folder)
}

#[tokio::test]
async fn a_plan_names_each_file_and_the_run_does_that_and_nothing_else() {
    let (house, _dir, folder) = house("rotate").await;
    let at = folder.clone();
    house.practice.on_exec(move |exec| Some(really(exec, &at)));
    let request = house.planned(LINE, |_| {}).await;
    let plan = &request.plan;
    assert_eq!(plan.summary, "rotate logs of Deployment checkout: compress and empty 1, remove 2, in 1 pod");
    let told: Vec<&str> =
        plan.diff.lines().skip(1).map(|line| line.split(".2026").next().unwrap_or(line)).collect();
    assert_eq!(told.len(), 4, "{}", plan.diff);
    assert!(told.contains(&"-app.log.2.gz") && told.contains(&"-app.log.3.gz"), "{}", plan.diff);
    assert!(told.contains(&"!app.log is emptied"), "{}", plan.diff);
    assert_eq!(names(&folder).len(), 5, "a plan only reads");

    let id = house.submit(&request).await;
    let _runner = house.runner("w1").await;
    let (state, note) = house.end(id).await;
    assert_eq!(state, RequestState::Succeeded, "{note}");
    let left = names(&folder);
    assert_eq!(left.len(), 4, "{left:?}");
    assert!(left.iter().any(|name| name.starts_with("app.log.20") && name.ends_with("Z.gz")), "{left:?}");
    assert_eq!(fs::read(folder.join("app.log")).expect("it"), b"");
    let again = house.cluster();
    let pods = again.list("v1", "Pod", Some(NAMESPACE), None, None, 10).await.expect("pods");
    assert_eq!(pods.len(), 1, "no pod was restarted");
}

#[tokio::test]
async fn what_is_not_as_planned_any_more_is_asked_again() {
    let (house, _dir, folder) = house("rotate_moved").await;
    let at = folder.clone();
    house.practice.on_exec(move |exec| Some(really(exec, &at)));
    let request = house.planned(LINE, |_| {}).await;
    // The application has rotated by itself.
    fs::remove_file(folder.join("app.log.3.gz")).expect("gone");
    let id = house.submit(&request).await;
    let _runner = house.runner("w1").await;
    let (state, note) = house.end(id).await;
    assert_eq!(state, RequestState::Succeeded, "{note}");
    let view = house.view(id).await;
    assert_eq!(view.request.revision, 2, "it was planned anew before anything was done");
    assert!(!view.request.plan.diff.contains("app.log.3.gz"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_death_while_the_command_runs_loses_no_line_and_rotates_once() {
    let (house, _dir, folder) = house("rotate_death").await;
    let (at, begun) = (folder.clone(), Arc::new(Mutex::new(0)));
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let count = begun.clone();
    house.practice.on_exec(move |exec| {
        if !exec.command.iter().any(|word| word == "rotate") {
            return Some(really(exec, &at));
        }
        let done = really(exec, &at);
        let first = {
            let mut count = count.lock().expect("the count");
            *count += 1;
            *count == 1
        };
        if first {
            // It has run, and its answer is never heard. The runtime is told: nothing else may wait for this thread.
            let _ = tokio::task::block_in_place(|| wait.lock().expect("the wait").recv());
        }
        Some(done)
    });
    let id = house.ask(LINE).await;
    let dying = house.runner("w1").await;
    eventually("the command to have run", || async {
        (*begun.lock().expect("the count") == 1).then_some(())
    })
    .await;
    drop(dying);
    let _runner = house.runner("w2").await;
    let (state, note) = house.end(id).await;
    // Only now: an answer before that could still be heard by the runner that is dying.
    drop(go);
    assert_eq!(state, RequestState::Succeeded, "{note}");
    assert_eq!(*begun.lock().expect("the count"), 2, "it was run again");
    let left = names(&folder);
    assert_eq!(left.len(), 4, "{left:?}");
    let archive = left.iter().find(|name| name.ends_with("Z.gz")).expect("an archive");
    let lines = Command::new("gzip").arg("-dc").arg(folder.join(archive)).output().expect("gzip").stdout;
    assert_eq!(lines, b"lines\n");
}

#[tokio::test]
async fn a_command_that_fails_is_a_failed_step_and_says_why() {
    let (house, _dir, folder) = house("rotate_fails").await;
    house.practice.on_exec(move |exec| {
        let lists = !exec.command.iter().any(|word| word == "rotate");
        let full =
            Executed { stderr: "gzip: no space left on device\n".into(), code: 1, ..Executed::default() };
        Some(if lists { really(exec, &folder) } else { full })
    });
    let id = house.ask(LINE).await;
    let _runner = house.runner("w1").await;
    let (state, note) = house.end(id).await;
    assert_eq!(state, RequestState::Failed);
    assert!(note.contains("ended with code 1: gzip: no space left on device"), "{note}");
}
