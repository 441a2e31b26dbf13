//! Which files are rotated and which removed; pure.

use regex::Regex;
use std::{collections::BTreeMap, sync::LazyLock};

/// Bytes of a pattern.
const LONGEST: usize = 256;

/// A folder, and which of its files are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    /// Absolute, as written.
    pub folder: String,
    /// Of the name, with `*` and `?`.
    pub pattern: String,
}

/// A file as listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Tells it from another of its name.
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// Unix seconds of its last change.
    pub changed: i64,
    /// Without its folder.
    pub name: String,
}

/// What is done with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// An older generation that goes.
    Remove(Found),
    /// Compressed beside itself, and emptied.
    Rotate(Found),
}

impl Glob {
    /// The error says what would be right.
    pub fn parse(text: &str) -> Result<Glob, String> {
        let wrong = |why: &str| {
            let shown: String = text.chars().take(80).flat_map(char::escape_debug).collect();
            format!("'{shown}' {why}; write a folder and a pattern, such as /var/log/app/*.log")
        };
        if text.len() > LONGEST || text.chars().any(char::is_control) {
            return Err(wrong("is too long or has odd letters"));
        }
        let (folder, pattern) = text.rsplit_once('/').ok_or_else(|| wrong("is no path"))?;
        let parts: Vec<&str> = folder.split('/').collect();
        let plain = |part: &&str| !matches!(*part, "" | "." | "..") && !part.contains(['*', '?']);
        if parts.first() != Some(&"") || parts.len() < 2 || !parts[1..].iter().all(plain) {
            return Err(wrong("is not in a folder that is named from / on, without * and .."));
        }
        // Everything in a folder is hardly ever logs alone.
        if !pattern.contains(|c: char| c.is_alphanumeric()) {
            return Err(wrong("would mean all files of the folder"));
        }
        Ok(Glob { folder: folder.to_string(), pattern: pattern.to_string() })
    }

    fn matches(&self, name: &str) -> bool {
        let (pattern, name): (Vec<char>, Vec<char>) =
            (self.pattern.chars().collect(), name.chars().collect());
        // The last star, and where its match began: going back there is enough.
        let (mut p, mut n, mut star) = (0, 0, None);
        while n < name.len() {
            match pattern.get(p) {
                Some('*') => {
                    star = Some((p, n));
                    p += 1;
                }
                Some(c) if *c == '?' || *c == name[n] => (p, n) = (p + 1, n + 1),
                _ => match star {
                    Some((at, began)) => {
                        (p, n) = (at + 1, began + 1);
                        star = Some((at, began + 1));
                    }
                    None => return false,
                },
            }
        }
        pattern[p..].iter().all(|c| *c == '*')
    }
}

/// The lines of a listing; one that is not understood is no file that we know.
pub fn read(listed: &str) -> Vec<Found> {
    let line = |line: &str| {
        let mut parts = line.splitn(4, ' ');
        let (inode, size) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let changed = parts.next()?.parse().ok()?;
        let name = parts.next()?.strip_prefix("./")?;
        let is_name = !name.is_empty() && !name.contains('/') && !name.chars().any(char::is_control);
        is_name.then(|| Found { inode, size, changed, name: name.to_string() })
    };
    listed.lines().filter_map(line).collect()
}

/// Removals first: they make the room that compressing needs. Of each log the newest `keep` older generations stay, the one that is
/// being made now counted in. Where an application begins a new file each day by itself, its newest file is never touched.
pub fn choose(glob: &Glob, found: &[Found], keep: usize) -> Vec<Job> {
    let mut families: BTreeMap<String, Vec<&Found>> = BTreeMap::new();
    for file in found {
        let family = family(&file.name);
        if glob.matches(&file.name) || glob.matches(&family) {
            families.entry(family).or_default().push(file);
        }
    }
    let (mut removals, mut rotations) = (Vec::new(), Vec::new());
    for (family, mut files) in families {
        files.sort_by(|a, b| b.changed.cmp(&a.changed).then_with(|| b.name.cmp(&a.name)));
        let live = files.iter().position(|file| file.name == family).map(|at| files.remove(at));
        let rotates = live.is_some_and(|live| live.size > 0);
        if let Some(live) = live.filter(|_| rotates) {
            rotations.push(Job::Rotate(live.clone()));
        }
        let old = files.into_iter().skip(keep - usize::from(rotates).min(keep));
        removals.extend(old.map(|file| Job::Remove(file.clone())));
    }
    removals.extend(rotations);
    removals
}

/// What a file and its older generations are called without their numbers and dates: `app.log` of `app.log.1`, `app.log.2.gz`,
/// `app-2026-11-20.log`, `app.log.20261121T093000Z.gz`.
fn family(name: &str) -> String {
    static ENDING: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(\.\d{1,3})?(\.(gz|bz2|xz|zst))?$").unwrap_or_else(|_| unreachable!("it is well-formed"))
    });
    static DATE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"[-._]?(19|20)\d{2}-?(0\d|1[0-2])-?[0-3]\d([-_.T]?[0-2]\d[-:]?[0-5]\d([-:]?[0-5]\d)?Z?)?")
            .unwrap_or_else(|_| unreachable!("it is well-formed"))
    });
    let name = ENDING.replace(name, "");
    DATE.replace(&name, "").into_owned()
}

impl Job {
    fn found(&self) -> &Found {
        match self {
            Job::Remove(found) | Job::Rotate(found) => found,
        }
    }

    /// Of the file.
    pub fn name(&self) -> &str {
        &self.found().name
    }

    /// Of the file, in bytes.
    pub fn size(&self) -> u64 {
        self.found().size
    }

    /// As the script takes it.
    pub fn words(&self) -> [String; 3] {
        let act = if matches!(self, Job::Remove(_)) { "remove" } else { "rotate" };
        [act.to_string(), self.found().inode.to_string(), self.name().to_string()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn glob(text: &str) -> Glob {
        Glob::parse(text).unwrap()
    }

    /// Newest first.
    fn files(names: &[&str]) -> Vec<Found> {
        let file = |(age, name): (usize, &&str)| Found {
            inode: age as u64 + 1,
            size: 10,
            changed: 1_000_000 - age as i64,
            name: (*name).to_string(),
        };
        names.iter().enumerate().map(file).collect()
    }

    fn chosen(pattern: &str, names: &[&str], keep: usize) -> Vec<String> {
        let word = |job: &Job| format!("{} {}", job.words()[0], job.name());
        choose(&glob(pattern), &files(names), keep).iter().map(word).collect()
    }

    #[test]
    fn a_pattern_names_files_of_one_folder() {
        assert_eq!(
            glob("/var/log/app/*.log"),
            Glob { folder: "/var/log/app".into(), pattern: "*.log".into() }
        );
        for wrong in [
            "*.log",
            "/*.log",
            "var/log/*.log",
            "/var/../etc/*.log",
            "/var/*/a.log",
            "/var/log/*",
            "/var/log/",
            "//x.log",
            "/a/b\n.log",
        ] {
            assert!(Glob::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn stars_match_any_letters_and_question_marks_one() {
        let app = glob("/l/a*p?.log");
        assert!(app.matches("app1.log") && app.matches("a--p1p2.log"));
        assert!(!app.matches("ap.log") && !app.matches("app1.logs") && !app.matches("bapp1.log"));
    }

    #[test]
    fn a_log_is_compressed_and_its_oldest_generations_go() {
        let names = ["app.log", "app.log.1", "app.log.2.gz", "app.log.3.gz", "other.txt", "app.log.bak"];
        assert_eq!(
            chosen("/l/*.log", &names, 2),
            ["remove app.log.2.gz", "remove app.log.3.gz", "rotate app.log"]
        );
        assert_eq!(chosen("/l/*.log", &names, 7), ["rotate app.log"]);
        assert_eq!(chosen("/l/other*.log", &names, 1), [""; 0]);
    }

    #[test]
    fn what_the_application_dates_itself_is_only_thinned_out() {
        let names = ["app-2026-11-21.log", "app-2026-11-20.log", "app-2026-11-19.log"];
        assert_eq!(chosen("/l/*.log", &names, 2), ["remove app-2026-11-19.log"]);
        assert_eq!(chosen("/l/*.log", &names, 1).len(), 2);
    }

    #[test]
    fn workers_with_numbers_are_not_generations_of_each_other() {
        let names = ["worker-1.log", "worker-2.log", "worker-3.log"];
        assert_eq!(chosen("/l/*.log", &names, 1).len(), 3);
        assert!(chosen("/l/*.log", &names, 1).iter().all(|job| job.starts_with("rotate")));
    }

    #[test]
    fn generations_are_known_by_numbers_and_dates() {
        for name in [
            "app.log",
            "app.log.1",
            "app.log.12.gz",
            "app-20261120.log",
            "app.log.20261121T093000Z.gz",
            "app.log-20261120",
            "app.2026-11-20.log.gz",
        ] {
            assert_eq!(family(name), "app.log", "{name}");
        }
        assert_eq!(family("build-12345678.log"), "build-12345678.log");
    }

    proptest! {
        #[test]
        fn nothing_but_what_matches_is_ever_touched(names in proptest::collection::vec("[ab.]{1,6}(\\.log)?(\\.[0-9])?", 0..20), keep in 1..5_usize) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let glob = glob("/l/a*.log");
            for job in choose(&glob, &files(&names), keep) {
                prop_assert!(glob.matches(job.name()) || glob.matches(&family(job.name())), "{}", job.name());
            }
        }

        #[test]
        fn of_each_log_as_many_stay_as_were_asked_for(generations in 0..20_usize, keep in 1..10_usize) {
            let names: Vec<String> = (1..=generations).map(|n| format!("a.log.{n}")).collect();
            let mut all = vec!["a.log"];
            all.extend(names.iter().map(String::as_str));
            let jobs = choose(&glob("/l/*.log"), &files(&all), keep);
            let removed = jobs.iter().filter(|job| matches!(job, Job::Remove(_))).count();
            prop_assert_eq!(generations + 1 - removed, (generations + 1).min(keep));
        }

        #[test]
        fn listings_of_any_kind_are_read_without_panic(text in any::<String>()) {
            let _ = choose(&glob("/l/*.log"), &read(&text), 1);
        }
    }
}
