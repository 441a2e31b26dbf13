//! Rules in force: which of them an event concerns, whether they apply, and what they would ask for.
//!
//! [`Rules::load`] compiles files, [`Rules::concerned`] finds the rules whose `on … where …` passes, by an index and not by
//! a walk over all of them, and [`Rule::judge`] says step by step whether one applies, given what is known. What somebody
//! found out becomes an [`Answer`] by `Condition::answer`. All three are
//! pure: answers to `when` conditions, past healings and the time are handed in.

mod answer;
mod index;
mod judge;
mod predicate;
mod proposal;

pub use answer::Found;
pub use judge::{Answer, Judgement, Known, Look, Outcome, Past, Verdict};
pub use proposal::{ANY, Proposal, Proposed, Target, Unresolved};

use crate::{
    event::Event,
    language::{
        Catalogue, Level, Problem, ast,
        ast::{Origin, Subject},
        check, parse,
    },
};
use index::Bucket;
use predicate::Predicate;
use proposal::Prepared;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};

/// A file of rules.
#[derive(Clone, Debug)]
pub struct RuleFile {
    /// As people call it.
    pub name: String,
    /// What it says.
    pub source: String,
}

/// Files that cannot come into force.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} mistakes in the rules", reports.len())]
pub struct Refused {
    /// One per mistake, as [`Problem::render`] shows it.
    pub reports: Vec<String>,
}

/// One rule, compiled.
#[derive(Debug)]
pub struct Rule {
    /// As it was written.
    pub text: ast::Rule,
    /// What limits, records and messages call it; no other rule has it.
    pub title: String,
    /// `shop.heal:12`
    pub place: String,
    filter: Option<Predicate>,
    then: Vec<Prepared>,
    otherwise: Vec<Prepared>,
}

/// All rules in force.
#[derive(Debug, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    index: HashMap<Origin, HashMap<String, Bucket>>,
    version: String,
    /// Of the files, as [`Problem::render`] shows them.
    pub warnings: Vec<String>,
}

impl Rules {
    /// Of these files, in the order of their names. All or nothing: one mistake refuses them all.
    pub fn load(files: &[RuleFile], catalogue: &Catalogue) -> Result<Rules, Refused> {
        let mut files: Vec<&RuleFile> = files.iter().collect();
        files.sort_by(|a, b| a.name.cmp(&b.name));
        let mut rules = Rules::default();
        let mut hash = Sha256::new();
        let mut reports = Vec::new();
        let mut places: BTreeMap<String, String> = BTreeMap::new();
        for file in files {
            for part in [&file.name, &file.source] {
                hash.update((part.len() as u64).to_be_bytes());
                hash.update(part);
            }
            let (tree, mut problems) = parse(&file.source);
            problems.extend(check(&tree, catalogue));
            for text in tree.rules.into_iter().map(|rule| rule.value) {
                let (line, _) = Problem::error(text.span, "").position(&file.source);
                let place = format!("{}:{line}", file.name);
                let title = text.title();
                // Twice in one file has been told.
                if let Some(first) =
                    places.get(&title).filter(|first| !first.starts_with(&format!("{}:", file.name)))
                {
                    problems.push(
                        Problem::error(text.span, format!("there is a rule \"{title}\" already, at {first}"))
                            .help("limits and records are kept by name: give it another one"),
                    );
                }
                places.entry(title.clone()).or_insert_with(|| place.clone());
                let filter = text.on.value.filter.as_ref().map(Predicate::compile);
                // A filter that does not compile has been told, too.
                let then = Prepared::all(&text.then.value, catalogue);
                let otherwise = text
                    .otherwise
                    .as_ref()
                    .map(|list| Prepared::all(&list.value, catalogue))
                    .unwrap_or_default();
                rules.add(Rule { title, place, filter: filter.flatten(), then, otherwise, text });
            }
            for problem in problems {
                let report = problem.render(&file.name, &file.source, false);
                match problem.level {
                    Level::Error => reports.push(report),
                    Level::Warning => rules.warnings.push(report),
                }
            }
        }
        rules.index.values_mut().flat_map(HashMap::values_mut).for_each(|bucket| bucket.seal(index::LARGEST));
        rules.version = hex::encode(&hash.finalize()[..6]);
        if reports.is_empty() { Ok(rules) } else { Err(Refused { reports }) }
    }

    fn add(&mut self, rule: Rule) {
        let on = &rule.text.on.value;
        let bucket = self.index.entry(on.origin.value).or_default().entry(on.name.value.clone()).or_default();
        bucket.add(self.rules.len(), rule.filter.as_ref());
        self.rules.push(rule);
    }

    /// The rules whose `on … where …` passes, in the order they are tried.
    pub fn concerned<'r>(&'r self, event: &Event) -> Vec<&'r Rule> {
        let Some(bucket) = self.index.get(&event.origin).and_then(|names| names.get(&event.name)) else {
            return Vec::new();
        };
        bucket
            .candidates(event)
            .into_iter()
            .map(|place| &self.rules[place])
            .filter(|rule| rule.filter_holds(event))
            .collect()
    }

    /// All, in the order they are tried.
    pub fn all(&self) -> &[Rule] {
        &self.rules
    }

    /// By title.
    pub fn by_title(&self, title: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.title == title)
    }

    /// Of names and texts of the files; stored with what the rules decided.
    pub fn version(&self) -> &str {
        &self.version
    }
}

impl Rule {
    /// Whether origin, name and `where` pass. What [`Rules::concerned`] finds without asking every rule.
    pub fn concerns(&self, event: &Event) -> bool {
        let on = &self.text.on.value;
        on.origin.value == event.origin && on.name.value == event.name && self.filter_holds(event)
    }

    fn filter_holds(&self, event: &Event) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.holds(event))
    }

    /// What of the event's subject its steps need to know: who acts looks it up before proposing.
    pub fn needs(&self) -> Vec<Subject> {
        let steps = self.then.iter().chain(&self.otherwise);
        let mut needs: Vec<Subject> = steps
            .filter_map(|step| match step {
                Prepared::Action { targets, .. } => Some(targets),
                Prepared::Wait(_) => None,
            })
            .flatten()
            .filter_map(|target| match target {
                ast::Given::Subject(subject) => Some(*subject),
                _ => None,
            })
            .collect();
        needs.sort_unstable();
        needs.dedup();
        needs
    }
}
