//! The policy file as it is written: TOML tables, unknown keys refused. What the values mean is for [`super::read`].

use ledger::Share;
use serde::{Deserialize, Deserializer, de};
use std::fmt;
use toml::Spanned;

/// The whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub timezone: Option<Spanned<String>>,
    pub contact: Option<String>,
    #[serde(default)]
    pub person: Vec<Somebody>,
    #[serde(default)]
    pub machine: Vec<Somebody>,
    #[serde(default)]
    pub rule: Vec<Rule>,
    #[serde(default)]
    pub freeze: Vec<Freeze>,
    #[serde(default)]
    pub cap: Vec<Cap>,
}

/// `[[person]]` and `[[machine]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Somebody {
    pub name: Spanned<String>,
    pub identities: Vec<Spanned<String>>,
    #[serde(default)]
    pub groups: Vec<Spanned<String>>,
}

/// `[[rule]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    pub name: Spanned<String>,
    pub action: Spanned<Words>,
    pub when: Option<Spanned<String>>,
    pub decide: Spanned<Verdict>,
    pub votes: Option<Spanned<u32>>,
    pub from: Option<Spanned<Vec<Spanned<String>>>>,
    pub within: Option<Spanned<String>>,
    pub type_cluster: Option<Spanned<bool>>,
    pub needs_why: Option<Spanned<bool>>,
    pub message: Option<Spanned<String>>,
}

/// `decide = ...`.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Allow,
    Refuse,
    Approve,
}

/// `[[freeze]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Freeze {
    pub name: Spanned<String>,
    pub from: Spanned<String>,
    pub lasts: Spanned<String>,
    pub timezone: Option<Spanned<String>>,
    pub when: Option<Spanned<String>>,
    pub except: Option<Spanned<Words>>,
}

/// `[[cap]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cap {
    pub name: Spanned<String>,
    pub each: Spanned<Share>,
    pub per_hour: Option<u32>,
    pub at_once: Option<u32>,
    pub when: Option<Spanned<String>>,
    pub except: Option<Spanned<Words>>,
}

/// One word, or a list of them.
pub(super) struct Words(pub Vec<String>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;
        impl<'de> de::Visitor<'de> for OneOrMore {
            type Value = Words;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a word or a list of words")
            }
            fn visit_str<E: de::Error>(self, word: &str) -> Result<Words, E> {
                Ok(Words(vec![word.to_string()]))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Words, A::Error> {
                let mut words = Vec::new();
                while let Some(word) = list.next_element()? {
                    words.push(word);
                }
                Ok(Words(words))
            }
        }
        deserializer.deserialize_any(OneOrMore)
    }
}
