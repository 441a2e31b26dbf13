//! Rules on one event, by what they want to see in one of its fields.

use super::predicate::{Field, Key, Predicate};
use crate::event::Event;
use regex::{RegexSet, RegexSetBuilder};
use std::collections::HashMap;

/// What all expressions on one field may take together, compiled; beyond it each is asked by itself.
pub(super) const LARGEST: usize = 16 * 1024 * 1024;

/// Fields that one event's rules are found by; each costs every event a look, so rules that use yet others are asked.
const MOST_FIELDS: usize = 16;

/// Numbers are places of rules.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    texts: Vec<(Field, HashMap<String, Vec<usize>>)>,
    patterns: Vec<Patterns>,
    /// To be asked in any case.
    rest: Vec<usize>,
}

/// Expressions on one field, matched all at once.
#[derive(Debug)]
struct Patterns {
    field: Field,
    sources: Vec<String>,
    places: Vec<usize>,
    set: RegexSet,
}

impl Bucket {
    /// Before [`Bucket::seal`].
    pub fn add(&mut self, place: usize, filter: Option<&Predicate>) {
        match filter.and_then(Predicate::key) {
            None => self.rest.push(place),
            Some(Key::Texts(field, texts)) => {
                let known = self.texts.iter().position(|(known, _)| known == field);
                if known.is_none() && self.texts.len() == MOST_FIELDS {
                    return self.rest.push(place);
                }
                let at = known.unwrap_or_else(|| {
                    self.texts.push((field.clone(), HashMap::new()));
                    self.texts.len() - 1
                });
                for text in texts {
                    self.texts[at].1.entry(text.to_string()).or_default().push(place);
                }
            }
            Some(Key::Pattern(field, source)) => {
                let at = self.patterns.iter().position(|known| known.field == *field).unwrap_or_else(|| {
                    let set = RegexSet::empty();
                    self.patterns.push(Patterns {
                        field: field.clone(),
                        sources: vec![],
                        places: vec![],
                        set,
                    });
                    self.patterns.len() - 1
                });
                self.patterns[at].sources.push(source.to_string());
                self.patterns[at].places.push(place);
            }
        }
    }

    /// Compiles the expressions, once, when all rules are in.
    pub fn seal(&mut self, largest: usize) {
        for patterns in &mut self.patterns {
            let set = RegexSetBuilder::new(std::mem::take(&mut patterns.sources))
                .size_limit(largest)
                .dfa_size_limit(largest)
                .build();
            match set {
                Ok(set) => patterns.set = set,
                Err(_) => self.rest.append(&mut patterns.places),
            }
        }
    }

    /// Rules that may pass, and all that do, in order.
    pub fn candidates(&self, event: &Event) -> Vec<usize> {
        let mut places = self.rest.clone();
        for (field, texts) in &self.texts {
            places.extend(texts.get(field.of(event)).into_iter().flatten());
        }
        for Patterns { field, places: all, set, .. } in &self.patterns {
            places.extend(set.matches(field.of(event)).into_iter().filter_map(|at| all.get(at)));
        }
        places.sort_unstable();
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::Context, language::ast::Rule, language::parse};

    #[test]
    fn expressions_that_are_too_large_together_are_asked_one_by_one() {
        let source = "on alert \"A\" where labels.app =~ \"a.*\" { then [] }\non alert \"A\" where labels.app =~ \"b.*\" { then [] }";
        let rules: Vec<Rule> = parse(source).0.rules.into_iter().map(|rule| rule.value).collect();
        let body =
            br#"{"specversion": "1.0", "id": "1", "source": "/", "type": "A", "data": {"app": "bird"}}"#;
        let context = Context { cluster: None, received: jiff::Timestamp::UNIX_EPOCH };
        let event = &crate::event::read(body, context).unwrap().events[0];
        let candidates = |largest| {
            let mut bucket = Bucket::default();
            for (place, rule) in rules.iter().enumerate() {
                let filter = Predicate::compile(rule.on.value.filter.as_ref().unwrap()).unwrap();
                bucket.add(place, Some(&filter));
            }
            bucket.seal(largest);
            bucket.candidates(event)
        };
        assert_eq!(candidates(LARGEST), [1]);
        assert_eq!(candidates(10), [0, 1]);
    }
}
