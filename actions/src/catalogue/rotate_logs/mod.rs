//! `rotate-logs`: makes room where an application writes its logs. What is done follows logrotate with `compress`, `dateext` and
//! `copytruncate`: a log that is being written is compressed beside itself and emptied, and of its older generations the newest are
//! kept. Nothing else in the folder is touched, and what the plan names is touched only while it is still the same file.
//!
//! It runs in the container, as the container's user, with the container's `sh`, `stat`, `rm`, `mv` and `gzip`. Names travel as
//! arguments of two fixed scripts; no shell ever reads them as code.

mod choose;

use super::*;
use crate::cluster::{Bounds, Executed};
use choose::{Found, Glob, Job};
use ledger::{Blast, ObjectRef, Risk, Step, Verify};
use serde_json::json;
use std::time::Duration;
use workload::{Subject, accept, text};

const ACCEPTED: [&str; 4] = ["Deployment", "StatefulSet", "DaemonSet", "Pod"];
const WHY_NOT: &str = "has no container that runs";
/// Pods of one plan.
const MOST_PODS: usize = 20;
/// Files that are touched in one pod.
const MOST_FILES: usize = 200;
/// Listing a folder.
const LISTING: Bounds = Bounds { takes: Duration::from_secs(5), prints: 256 << 10 };
/// Seconds that all of it may take.
const WITHIN_S: u32 = 300;

/// Inode, size, time of the last change (Unix seconds) and name of each file in a folder; links are none.
const LIST: &str = r#"cd -- "$1" || exit 1
for f in ./*; do
  [ -f "$f" ] && [ ! -L "$f" ] && stat -c '%i %s %Y %n' -- "$f"
done
exit 0"#;

/// Folder, stamp, and for each file what to do, its inode and its name. Safe to run twice: what is gone is done, what is another file by
/// now is left alone, and what has its archive was emptied, or keeps its lines twice rather than to lose them.
const ROTATE: &str = r#"cd -- "$1" || exit 1
stamp=$2; shift 2; rc=0
while [ $# -ge 3 ]; do
  act=$1; inode=$2; f=./$3; to="./$3.$stamp.gz"; shift 3
  [ -f "$f" ] && [ ! -L "$f" ] || continue
  [ "$(stat -c %i -- "$f")" = "$inode" ] || { echo "$f is another file now" >&2; continue; }
  if [ "$act" = remove ]; then
    rm -f -- "$f" || rc=1
  elif [ -e "$to.part" ]; then
    echo "$to.part is there: another rotation is at work, or was cut off" >&2; rc=1
  elif [ ! -e "$to" ]; then
    if (set -C; gzip -c < "$f" > "$to.part") && mv -- "$to.part" "$to"; then
      : > "$f" || rc=1
    else
      rm -f -- "$to.part"; rc=1
    fi
  fi
done
exit $rc"#;

/// See the module.
pub struct RotateLogs;

impl Action for RotateLogs {
    fn name(&self) -> &'static str {
        "rotate-logs"
    }

    fn command(&self) -> clap::Command {
        clap::Command::new("rotate-logs")
            .about("Compress and empty the logs that containers write to files, and remove old ones")
            .arg(target_arg("Deployment, StatefulSet, DaemonSet or Pod"))
            .arg(
                clap::Arg::new("files")
                    .value_name("FILES")
                    .required(true)
                    .help("A folder and a pattern with * and ?: /var/log/app/*.log"),
            )
            .arg(
                clap::Arg::new("keep")
                    .long("keep")
                    .value_name("N")
                    .default_value("7")
                    .value_parser(clap::value_parser!(u32).range(1..=1000))
                    .help("Older generations of each log that stay"),
            )
            .arg(
                clap::Arg::new("container")
                    .long("container")
                    .value_name("NAME")
                    .help("Where a pod has several"),
            )
            .after_help("Example: rotate-logs deploy/checkout /var/log/app/*.log --keep 7 -n shop -c prod-eu --why \"disk is full\"")
    }

    fn parse(&self, matches: &clap::ArgMatches) -> Result<(Named, Value), String> {
        let named = parse_accepted(matches, &ACCEPTED, WHY_NOT)?;
        let files = matches.get_one::<String>("files").map(String::as_str).unwrap_or_default();
        Glob::parse(files)?;
        let mut parameters = json!({"files": files, "keep": matches.get_one::<u32>("keep")});
        if let Some(container) = matches.get_one::<String>("container") {
            if !cluster::is_dns_label(container) {
                return Err(format!("'{}' is not a container's name", container.escape_debug()));
            }
            parameters["container"] = json!(container);
        }
        Ok((named, parameters))
    }

    fn plan<'a>(&'a self, context: PlanContext<'a>) -> BoxFuture<'a, Result<Plan, PlanError>> {
        Box::pin(plan(context))
    }
}

async fn plan(context: PlanContext<'_>) -> Result<Plan, PlanError> {
    accept(&context.target.kind, &ACCEPTED, WHY_NOT).map_err(PlanError::Invalid)?;
    let files = context.parameters["files"].as_str().unwrap_or_default();
    let glob = Glob::parse(files).map_err(PlanError::Invalid)?;
    let keep = context.parameters["keep"].as_u64().unwrap_or(1).max(1) as usize;
    let wanted = context.parameters["container"].as_str();
    let subject = Subject::read(&context).await?;
    let pods = match subject.reference.kind.as_str() {
        "Pod" => vec![subject.object.clone()],
        _ => subject.pods().await?,
    };
    let mut places = Vec::new();
    for pod in pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()) {
        let container = container(pod, wanted).map_err(PlanError::Invalid)?;
        if runs(pod, &container) {
            places.push((reference(pod), container));
        }
    }
    places.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    match places.len() {
        0 => return Err(PlanError::Invalid(format!("{} has no running container", subject.words()))),
        count if count > MOST_PODS => {
            let why = format!(
                "{} has {count} pods; more than {MOST_PODS} are too many at once: name one",
                subject.words()
            );
            return Err(PlanError::Invalid(why));
        }
        _ => {}
    }
    let listed = futures::future::try_join_all(
        places.iter().map(|(pod, container)| list(&subject.cluster, pod, container, &glob)),
    )
    .await?;
    let stamp = context.at.strftime("%Y%m%dT%H%M%SZ").to_string();
    let (mut steps, mut diff, mut notes) = (Vec::new(), String::new(), Vec::new());
    let (mut removed, mut emptied) = (0, 0);
    for ((pod, container), found) in places.iter().zip(&listed) {
        let jobs = choose::choose(&glob, found, keep);
        if jobs.is_empty() {
            continue;
        }
        if jobs.len() > MOST_FILES {
            let why = format!("{} files of pod {} are too many at once", jobs.len(), pod.name);
            return Err(PlanError::Invalid(why));
        }
        diff.push_str(&format!("@@ {} in container {container} of pod {} @@\n", glob.folder, pod.name));
        let mut freed = 0;
        for job in &jobs {
            let name = shown(job.name());
            freed += job.size();
            match job {
                Job::Remove(_) => {
                    removed += 1;
                    diff.push_str(&format!("-{name}\n"));
                }
                Job::Rotate(_) => {
                    emptied += 1;
                    diff.push_str(&format!("+{name}.{stamp}.gz\n!{name} is emptied\n"));
                }
            }
        }
        notes.push(format!("pod {}: {} of logs are removed or compressed", pod.name, bytes(freed)));
        steps.push(Step::Exec {
            object: pod.clone(),
            container: container.clone(),
            command: command(
                ROTATE,
                &glob.folder,
                std::iter::once(stamp.clone()).chain(jobs.iter().flat_map(Job::words)),
            ),
        });
    }
    if steps.is_empty() {
        let many: usize = listed.iter().map(Vec::len).sum();
        return Err(PlanError::Nothing(format!(
            "{many} files match {files}, none of them with anything to rotate or remove"
        )));
    }
    if emptied > 0 {
        notes.push("lines that are written while a log is compressed and emptied are lost".into());
    }
    let pods = steps.len();
    Ok(Plan {
        action: "rotate-logs".into(),
        parameters: context.parameters.clone(),
        resource_version: subject.resource_version(),
        summary: format!(
            "rotate logs of {}: compress and empty {emptied}, remove {removed}, in {pods} {}",
            subject.words(),
            if pods == 1 { "pod" } else { "pods" }
        ),
        diff,
        steps,
        blast: Blast { pods: 0, of: places.len() as u32, notes, ..Blast::default() },
        risk: Risk::Medium,
        prior: Value::Null,
        undo: Vec::new(),
        // The commands tell themselves whether they did it.
        verify: Verify { conditions: Vec::new(), within_s: WITHIN_S },
        target: subject.target,
    })
}

/// The container that is meant: as asked, as the pod's own annotation says, or the only one.
fn container(pod: &Value, wanted: Option<&str>) -> Result<String, String> {
    let names: Vec<&str> = pod["spec"]["containers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|container| container["name"].as_str())
        .collect();
    let usual = pod["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"].as_str();
    let pod = text(pod, "/metadata/name");
    match (wanted.or(usual), &names[..]) {
        (Some(name), _) if names.contains(&name) => Ok(name.to_string()),
        (Some(name), _) => Err(format!("pod {pod} has no container {name}; it has {}", names.join(", "))),
        (None, [only]) => Ok((*only).to_string()),
        (None, _) => Err(format!("say which container of pod {pod} with --container: {}", names.join(", "))),
    }
}

fn runs(pod: &Value, container: &str) -> bool {
    let statuses = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    statuses.into_iter().any(|status| status["name"] == container && status["state"]["running"].is_object())
}

fn reference(pod: &Value) -> ObjectRef {
    ObjectRef {
        api_version: "v1".into(),
        kind: "Pod".into(),
        namespace: Some(text(pod, "/metadata/namespace")),
        name: text(pod, "/metadata/name"),
        uid: Some(text(pod, "/metadata/uid")),
    }
}

async fn list(
    cluster: &Cluster,
    pod: &ObjectRef,
    container: &str,
    glob: &Glob,
) -> Result<Vec<Found>, ClusterError> {
    let command = command(LIST, &glob.folder, std::iter::empty());
    let done: Executed = cluster.exec(pod, Some(container), &command, LISTING).await?;
    let named = |error| match error {
        ClusterError::Command { message } => {
            ClusterError::Command { message: format!("list {} in pod {}: {message}", glob.folder, pod.name) }
        }
        other => other,
    };
    Ok(choose::read(&done.output().map_err(named)?))
}

/// A fixed script, whose `$0` is our name, and its arguments.
fn command(script: &str, folder: &str, arguments: impl Iterator<Item = String>) -> Vec<String> {
    let head = ["sh", "-c", script, "petrel", folder].map(String::from);
    head.into_iter().chain(arguments).collect()
}

fn shown(name: &str) -> String {
    name.chars().take(200).flat_map(char::escape_debug).collect()
}

/// `1.5 GiB`.
fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut left = count as f64;
    while left >= 1024.0 && unit + 1 < UNITS.len() {
        (left, unit) = (left / 1024.0, unit + 1);
    }
    if unit == 0 { format!("{count} bytes") } else { format!("{left:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::Path, process::Command, time::SystemTime};

    fn run(words: &[String]) -> (i32, String, String) {
        let done = Command::new(&words[0]).args(&words[1..]).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (done.status.code().unwrap(), text(&done.stdout), text(&done.stderr))
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|item| item.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// A file that was changed so many minutes ago.
    fn file(folder: &Path, name: &str, minutes: u64) {
        fs::write(folder.join(name), format!("lines of {name}\n")).unwrap();
        let at = SystemTime::now() - Duration::from_secs(60 * minutes);
        fs::File::options().write(true).open(folder.join(name)).unwrap().set_modified(at).unwrap();
    }

    /// Lists a real folder with the real shell, and rotates it.
    fn rotate(folder: &Path, keep: usize) -> (i32, String) {
        let glob = Glob::parse(&format!("{}/*.log", folder.display())).unwrap();
        let (code, listed, _) = run(&command(LIST, &glob.folder, std::iter::empty()));
        assert_eq!(code, 0);
        let jobs = choose::choose(&glob, &choose::read(&listed), keep);
        let words = std::iter::once("S".to_string()).chain(jobs.iter().flat_map(Job::words));
        let words = command(ROTATE, &glob.folder, words);
        let (code, _, said) = run(&words);
        // A second copy of the same command changes nothing any more.
        let before = names(folder);
        assert_eq!(run(&words).0, code, "{said}");
        assert_eq!(names(folder), before);
        (code, said)
    }

    #[test]
    fn a_real_folder_is_rotated_by_a_real_shell() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path();
        file(folder, "app.log", 0);
        for generation in 1..=4 {
            file(folder, &format!("app.log.{generation}.gz"), generation * 60);
        }
        file(folder, "notes.txt", 9_000);
        fs::write(folder.join("empty.log"), "").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.join("link.log")).unwrap();
        assert_eq!(rotate(folder, 2).0, 0);
        assert_eq!(
            names(folder),
            ["app.log", "app.log.1.gz", "app.log.S.gz", "empty.log", "link.log", "notes.txt"]
        );
        assert_eq!(fs::read_to_string(folder.join("app.log")).unwrap(), "");
        let (_, out, _) =
            run(&["gzip", "-dc", &folder.join("app.log.S.gz").to_string_lossy()].map(String::from));
        assert_eq!(out, "lines of app.log\n");
    }

    #[test]
    fn a_name_is_never_read_as_code() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a b");
        fs::create_dir(&folder).unwrap();
        let nasty =
            ["$(touch hit).log", "`touch hit`.log", "-rf .log", "a\nb.log", "; touch hit;.log", "'\"\\.log"];
        for name in nasty {
            file(&folder, name, 1);
        }
        let glob = Glob { folder: folder.display().to_string(), pattern: "*.log".into() };
        let (_, listed, _) = run(&command(LIST, &glob.folder, std::iter::empty()));
        let jobs = choose::choose(&glob, &choose::read(&listed), 1);
        // The one with a line break is not understood, and left alone.
        assert_eq!(jobs.len(), nasty.len() - 1, "{listed}");
        let words = std::iter::once("S".to_string()).chain(jobs.iter().flat_map(Job::words));
        let (code, _, said) = run(&command(ROTATE, &glob.folder, words));
        assert_eq!(code, 0, "{said}");
        assert!(!names(&folder).iter().any(|name| name == "hit"));
        assert_eq!(names(&folder).len(), nasty.len() * 2 - 1);
    }

    #[test]
    fn a_file_that_took_another_ones_place_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path();
        file(folder, "app.log.9", 90);
        let words = ["S", "remove", "1", "app.log.9"].map(String::from);
        let (code, _, said) = run(&command(ROTATE, &folder.display().to_string(), words.into_iter()));
        assert_eq!((code, said.contains("another file")), (0, true), "{said}");
        assert_eq!(names(folder), ["app.log.9"]);
    }

    #[test]
    fn a_log_that_cannot_be_compressed_keeps_its_lines() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path();
        file(folder, "app.log", 0);
        // A folder of the archive's name, so that nothing can be moved there.
        fs::write(folder.join("app.log.S.gz.part"), "").unwrap();
        let (code, said) = rotate(folder, 2);
        assert_eq!((code, said.contains("another rotation")), (1, true), "{said}");
        assert_eq!(fs::read_to_string(folder.join("app.log")).unwrap(), "lines of app.log\n");
    }

    #[test]
    fn sizes_are_said_as_people_say_them() {
        assert_eq!(bytes(12), "12 bytes");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(3 << 30), "3.0 GiB");
    }
}
