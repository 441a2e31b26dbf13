//! Which signs there are just now. Pure: objects as they are seen go in, what began and what ended comes out.

use super::sign::{Firing, Key, Sign};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// Signs that are kept for one cluster. Beyond that they are not taken up, until there is room and their object is seen again.
const MOST: usize = 5_000;

/// What changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Something is wrong.
    Began(Sign),
    /// It is no longer.
    Ended(Sign),
}

/// Objects of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sort {
    Pods,
    Nodes,
}

impl Sort {
    fn of((namespace, _): &Object) -> Sort {
        if namespace.is_empty() { Sort::Nodes } else { Sort::Pods }
    }
}

/// Namespace (empty for a node) and name.
pub(super) type Object = (String, String);

#[derive(Debug)]
struct Open {
    sign: Sign,
    /// None: it was said to have begun.
    begins: Option<Timestamp>,
    ends: Option<Timestamp>,
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
    pub fn with(known: impl IntoIterator<Item = Sign>) -> Book {
        let mut book = Book::default();
        for sign in known {
            book.put(Open { sign, begins: None, ends: None });
        }
        book
    }

    fn put(&mut self, open: Open) {
        let key = open.sign.key.clone();
        let object = (key.namespace.clone(), key.object.clone());
        self.count += usize::from(self.open.entry(object).or_default().insert(key, open).is_none());
    }

    /// An object was seen, with all that is wrong with it.
    pub fn see(&mut self, object: &Object, firing: Vec<Firing>, now: Timestamp) -> Vec<Change> {
        let (mut changes, mut fires) = (Vec::new(), BTreeSet::new());
        for Firing { sign, from, until } in firing {
            fires.insert(sign.key.clone());
            let known = self.open.get_mut(object).and_then(|open| open.get_mut(&sign.key));
            if let Some(open) = known {
                open.ends = until;
            } else if self.count >= MOST {
                self.full = true;
            } else {
                let begins = (from > now).then_some(from);
                if begins.is_none() {
                    changes.push(Change::Began(sign.clone()));
                }
                self.put(Open { sign, begins, ends: until });
            }
        }
        let Some(open) = self.open.get_mut(object) else { return changes };
        for (key, open) in open.iter_mut().filter(|(key, _)| !fires.contains(*key)) {
            let end = now.saturating_add(key.trouble.holds()).unwrap_or(Timestamp::MAX);
            // What never began is simply forgotten.
            open.ends = Some(if open.begins.is_some() { now } else { open.ends.unwrap_or(end) });
        }
        if let Some(listed) = self.listed.get_mut(&Sort::of(object)) {
            listed.insert(object.clone());
        }
        changes.extend(self.close(|at, open| at == object && open.ends.is_some_and(|end| end <= now)));
        changes
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
        self.close(|object, _| Sort::of(object) == sort && !listed.contains(object))
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

#[cfg(test)]
mod tests {
    use super::{
        super::sign::{Key, Trouble},
        *,
    };
    use crate::owner::Home;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn object(name: &str) -> Object {
        ("shop".into(), name.into())
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
        let mut book = Book::with(known.into_iter().chain([node]));
        book.list(Sort::Pods);
        assert!(book.see(&object("a"), loops("a"), at(1)).is_empty(), "known already");
        assert_eq!(words(book.listed(Sort::Pods)), ["-b"]);
        assert_eq!(words(book.gone(&object("a"))), ["-a"]);
        assert_eq!(words(book.listed(Sort::Nodes)), ["-n1"]);
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
