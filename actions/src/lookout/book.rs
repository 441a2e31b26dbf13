//! Which signs there are just now. Pure: objects as they are seen go in, what began and what ended comes out.

use super::sign::{Firing, Key, Sign, Trouble};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Signs that are kept for one cluster. Beyond that they are not taken up, until there is room and their object is seen again.
const MOST: usize = 5_000;
/// What was said longer ago is not news; whoever goes on having trouble says so again.
const FRESH: SignedDuration = SignedDuration::from_mins(2);

/// What changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Something is wrong.
    Began(Sign),
    /// It is no longer.
    Ended(Sign),
}

/// Objects that one can have trouble with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sort {
    Pods,
    Nodes,
    /// What makes pods. Nobody watches them: what goes on there is only said.
    Controllers,
}

/// One of them; the namespace of a node is empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Object {
    pub sort: Sort,
    pub namespace: String,
    pub name: String,
}

#[derive(Debug)]
struct Open {
    sign: Sign,
    /// None: it was said to have begun.
    begins: Option<Timestamp>,
    ends: Option<Timestamp>,
    /// Of what is only said: when it was, as far as we know.
    said: Option<Timestamp>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Book {
    open: BTreeMap<Object, BTreeMap<Key, Open>>,
    count: usize,
    /// Objects with signs that a list under way has shown.
    listed: BTreeMap<Sort, BTreeSet<Object>>,
    /// There was no room for one.
    pub full: bool,
}

impl Book {
    /// With signs that somebody else said have begun.
    pub fn with(known: impl IntoIterator<Item = Sign>, now: Timestamp) -> Book {
        let mut book = Book::default();
        for sign in known {
            // Who was only told has to be told again.
            let is_said = sign.key.trouble.is_only_said();
            let (ends, said) = (is_said.then(|| end(&sign, now)), is_said.then_some(sign.since));
            book.put(Open { sign, begins: None, ends, said });
        }
        book
    }

    fn put(&mut self, open: Open) {
        let key = open.sign.key.clone();
        self.count += usize::from(self.open.entry(key.whose()).or_default().insert(key, open).is_none());
    }

    /// An object was seen, with all that is wrong with it.
    pub fn see(&mut self, object: &Object, firing: Vec<Firing>, now: Timestamp) -> Vec<Change> {
        let (mut changes, mut fires) = (Vec::new(), BTreeSet::new());
        for firing in firing {
            fires.insert(firing.sign.key.clone());
            changes.extend(self.hear(firing, now));
        }
        let Some(open) = self.open.get_mut(object) else { return changes };
        let seen = |key: &Key| !key.trouble.is_only_said() && !fires.contains(key);
        for (_, open) in open.iter_mut().filter(|(key, _)| seen(key)) {
            // What never began is simply forgotten.
            open.ends =
                Some(if open.begins.is_some() { now } else { open.ends.unwrap_or(end(&open.sign, now)) });
        }
        if let Some(listed) = self.listed.get_mut(&object.sort) {
            listed.insert(object.clone());
        }
        changes.extend(self.close(|at, open| at == object && open.ends.is_some_and(|end| end <= now)));
        changes
    }

    /// Something is wrong; what else is, that does not tell.
    pub fn hear(&mut self, firing: Firing, now: Timestamp) -> Option<Change> {
        let said = firing.said();
        let Firing { sign, from, until } = firing;
        let known = self.open.get_mut(&sign.key.whose()).and_then(|open| open.get_mut(&sign.key));
        if let Some(open) = known {
            // Of what is said more than once, in any order, the last counts.
            open.ends = until.map(|until| open.ends.map_or(until, |ends| ends.max(until)));
            open.said = open.said.max(said);
            return None;
        }
        if said.is_some_and(|said| now.duration_since(said) > FRESH) {
            return None;
        }
        if self.count >= MOST {
            self.full = true;
            return None;
        }
        let begins = (from > now).then_some(from);
        let began = begins.is_none().then(|| Change::Began(sign.clone()));
        self.put(Open { sign, begins, ends: until, said });
        began
    }

    /// What was only said of an object, the last time before then, is over.
    pub fn relieve(&mut self, object: &Object, of: &[Trouble], then: Timestamp) -> Vec<Change> {
        if !self.open.contains_key(object) {
            return Vec::new();
        }
        self.close(|at, Open { sign, said, .. }| {
            at == object && of.contains(&sign.key.trouble) && said.is_some_and(|said| said < then)
        })
    }

    /// An object is no longer there.
    pub fn gone(&mut self, object: &Object) -> Vec<Change> {
        if self.open.contains_key(object) { self.close(|at, _| at == object) } else { Vec::new() }
    }

    /// A list of all objects begins.
    pub fn list(&mut self, sort: Sort) {
        self.listed.insert(sort, BTreeSet::new());
    }

    /// It is complete: what it did not show is gone.
    pub fn listed(&mut self, sort: Sort) -> Vec<Change> {
        let listed = self.listed.remove(&sort).unwrap_or_default();
        self.close(|object, _| object.sort == sort && !listed.contains(object))
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Change> {
        let mut changes = Vec::new();
        for open in self.open.values_mut().flat_map(BTreeMap::values_mut) {
            if open.begins.is_some_and(|begins| begins <= now) {
                open.begins = None;
                changes.push(Change::Began(open.sign.clone()));
            }
        }
        changes.extend(self.close(|_, open| open.ends.is_some_and(|end| end <= now)));
        changes
    }

    fn close(&mut self, is_over: impl Fn(&Object, &Open) -> bool) -> Vec<Change> {
        let mut changes = Vec::new();
        self.open.retain(|object, all| {
            all.retain(|_, open| {
                let over = is_over(object, open);
                // What was never said to have begun needs no end.
                if over && open.begins.is_none() {
                    changes.push(Change::Ended(open.sign.clone()));
                }
                self.count -= usize::from(over);
                !over
            });
            !all.is_empty()
        });
        changes
    }
}

/// When it is over, if it is seen or said no more from now on.
fn end(sign: &Sign, now: Timestamp) -> Timestamp {
    now.saturating_add(sign.key.trouble.holds()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::owner::Home;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn object(name: &str) -> Object {
        Object { sort: Sort::Pods, namespace: "shop".into(), name: name.into() }
    }

    fn firing(trouble: Trouble, name: &str, from: i64, until: Option<i64>) -> Firing {
        let key = Key { trouble, namespace: "shop".into(), object: name.into(), part: "app".into() };
        let sign =
            Sign { key, since: at(0), words: String::new(), home: Home { workload: None, node: None } };
        Firing { sign, from: at(from), until: until.map(at) }
    }

    fn loops(name: &str) -> Vec<Firing> {
        vec![firing(Trouble::CrashLoopBackOff, name, 0, None)]
    }

    /// `+name`, `-name`.
    fn words(changes: Vec<Change>) -> Vec<String> {
        let word = |change| match change {
            Change::Began(sign) => format!("+{}", sign.key.object),
            Change::Ended(sign) => format!("-{}", sign.key.object),
        };
        changes.into_iter().map(word).collect()
    }

    #[test]
    fn a_container_that_runs_between_two_crashes_is_one_trouble() {
        let (mut book, pod) = (Book::default(), object("a"));
        assert_eq!(words(book.see(&pod, loops("a"), at(0))), ["+a"]);
        for second in [10, 50, 90] {
            assert!(book.see(&pod, Vec::new(), at(second)).is_empty(), "it runs, for how long?");
            assert!(book.tick(at(second + 30)).is_empty());
            assert!(book.see(&pod, loops("a"), at(second + 31)).is_empty(), "the same trouble");
        }
        book.see(&pod, Vec::new(), at(200));
        assert!(book.tick(at(259)).is_empty());
        assert_eq!(words(book.tick(at(260))), ["-a"]);
        assert_eq!(book.count, 0);
    }

    #[test]
    fn what_passes_before_it_counts_is_never_told() {
        let (mut book, pod) = (Book::default(), object("a"));
        let waits = || vec![firing(Trouble::Unschedulable, "a", 30, None)];
        assert!(book.see(&pod, waits(), at(0)).is_empty());
        assert!(book.see(&pod, Vec::new(), at(10)).is_empty());
        assert!(book.tick(at(31)).is_empty());
        assert!(book.see(&pod, waits(), at(12)).is_empty());
        assert_eq!(words(book.tick(at(30))), ["+a"]);
        assert_eq!(words(book.see(&pod, Vec::new(), at(40))), ["-a"], "a pod that has a node now");
    }

    #[test]
    fn what_has_an_end_of_its_own_keeps_it() {
        let (mut book, pod) = (Book::default(), object("a"));
        let killed = vec![firing(Trouble::OomKilled, "a", 0, Some(600))];
        assert_eq!(words(book.see(&pod, killed, at(1))), ["+a"]);
        assert!(book.see(&pod, Vec::new(), at(2)).is_empty());
        assert_eq!(words(book.tick(at(600))), ["-a"]);
    }

    #[test]
    fn a_new_list_ends_what_it_does_not_show_and_nothing_else() {
        let node = firing(Trouble::NodeNotReady, "n1", 0, None).sign;
        let node = Sign { key: Key { namespace: String::new(), ..node.key }, ..node };
        let known = ["a", "b"].map(|name| loops(name).remove(0).sign);
        let mut book = Book::with(known.into_iter().chain([node]), at(0));
        book.list(Sort::Pods);
        assert!(book.see(&object("a"), loops("a"), at(1)).is_empty(), "known already");
        assert_eq!(words(book.listed(Sort::Pods)), ["-b"]);
        assert_eq!(words(book.gone(&object("a"))), ["-a"]);
        assert_eq!(words(book.listed(Sort::Nodes)), ["-n1"]);
    }

    /// Said at this moment.
    fn said(trouble: Trouble, name: &str, second: i64) -> Firing {
        firing(trouble, name, second + 30, Some(second + trouble.holds().as_secs()))
    }

    #[test]
    fn what_is_only_said_ends_when_it_is_not_said_again() {
        let (mut book, pod) = (Book::default(), object("a"));
        assert_eq!(book.hear(said(Trouble::FailedMount, "a", 0), at(0)), None, "the next try may mend it");
        assert!(book.see(&pod, Vec::new(), at(1)).is_empty(), "its state does not tell");
        assert_eq!(words(book.tick(at(30))), ["+a"]);
        assert_eq!(book.hear(said(Trouble::FailedMount, "a", 300), at(300)), None);
        assert_eq!(book.hear(said(Trouble::FailedMount, "a", 200), at(301)), None, "told late");
        assert!(book.tick(at(899)).is_empty());
        assert_eq!(words(book.tick(at(900))), ["-a"]);
        // The next watcher waits as long.
        let mut book = Book::with([said(Trouble::FailedMount, "a", 0).sign], at(1000));
        assert!(book.see(&pod, Vec::new(), at(1001)).is_empty());
        assert!(book.tick(at(1599)).is_empty());
        assert_eq!(words(book.tick(at(1600))), ["-a"]);
        let mut book = Book::with([said(Trouble::FailedMount, "a", 0).sign], at(1000));
        assert_eq!(words(book.gone(&pod)), ["-a"], "or until its pod is gone");
    }

    #[test]
    fn what_is_only_said_ends_as_soon_as_it_is_seen_to_be_over() {
        let (mut book, pod) = (Book::default(), object("a"));
        let volumes: &[Trouble] = &[Trouble::FailedMount];
        book.hear(said(Trouble::FailedMount, "a", 0), at(0));
        assert!(book.relieve(&pod, volumes, at(20)).is_empty());
        assert!(book.tick(at(40)).is_empty(), "it never counted");
        let set = Object { sort: Sort::Controllers, ..object("app/a") };
        book.hear(said(Trouble::FailedCreate, "a", 100), at(100));
        assert_eq!(words(book.tick(at(130))), ["+a"]);
        let pods: &[Trouble] = &[Trouble::FailedCreate];
        assert!(book.relieve(&set, pods, at(99)).is_empty(), "a pod that was made before");
        assert!(book.relieve(&pod, pods, at(200)).is_empty(), "something else of the same name");
        assert_eq!(words(book.relieve(&set, pods, at(101))), ["-a"]);
        assert_eq!(book.count, 0);
        // The next watcher hears first when it was said last, also when that is no news, and then sees the pods.
        let known = Sign { since: at(100), ..said(Trouble::FailedCreate, "a", 100).sign };
        for (again, over) in [(None, true), (Some(500), false)] {
            let mut book = Book::with([known.clone()], at(1000));
            let heard =
                again.and_then(|second| book.hear(said(Trouble::FailedCreate, "a", second), at(1001)));
            assert_eq!(heard, None);
            assert_eq!(!book.relieve(&set, pods, at(400)).is_empty(), over, "{again:?}");
        }
    }

    #[test]
    fn what_was_said_long_ago_is_no_news() {
        let mut book = Book::default();
        assert_eq!(book.hear(said(Trouble::Evicted, "a", 0), at(121)), None);
        assert!(book.tick(at(200)).is_empty());
        assert_eq!(
            book.hear(Firing { from: at(200), ..said(Trouble::Evicted, "a", 100) }, at(200))
                .map(|one| words(vec![one])),
            Some(vec!["+a".to_string()])
        );
    }

    #[test]
    fn there_is_an_end_to_what_is_kept() {
        let mut book = Book::default();
        for n in 0..MOST + 10 {
            let name = format!("p{n}");
            book.see(&object(&name), loops(&name), at(0));
        }
        assert_eq!((book.count, book.full), (MOST, true));
        book.gone(&object("p0"));
        assert_eq!(words(book.see(&object("p5001"), loops("p5001"), at(1))), ["+p5001"]);
    }
}
