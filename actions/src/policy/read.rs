//! From the file as written to a policy that can decide. Everything that can be known to be wrong is found here, with
//! its place in the file.

use super::{
    Policy, PolicyError,
    check::{self, IDENTITY_KINDS, which},
    condition::{Condition, environment},
    file::{self, Verdict, Words},
    freeze::Freeze,
    rule::{BREAK_GLASS, Cap, Limit, QUERY, Rule, Then},
    source::Source,
};
use cel::Env;
use chrono::TimeDelta;
use ledger::{Actor, Person, Quorum};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use toml::Spanned;

/// Larger than any policy that people keep.
const LARGEST: usize = 1 << 20;

/// Anyone whom the file names.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub person: Person,
    pub identities: Vec<Actor>,
    pub groups: Vec<String>,
    /// False for machines, which never vote.
    pub human: bool,
}

/// Reads a file; `actions` are the catalogue's names.
pub(super) fn read(source: &Source<'_>, actions: &[&str]) -> Result<Policy, PolicyError> {
    if source.text.len() > LARGEST {
        return Err(
            source.error(0, format!("a policy may have {LARGEST} bytes, this one has {}", source.text.len()))
        );
    }
    let file: file::File = toml::from_str(source.text).map_err(|error| {
        source.error(error.span().map_or(0, |span| span.start), error.message().replace('\n', " "))
    })?;
    let members = members(source, &file)?;
    let groups = members.iter().flat_map(|member| &member.groups).map(String::as_str).collect();
    let people = members.iter().map(|member| member.person.0.as_str()).collect();
    let reader = Reader { source, actions, members: &members, groups, people, env: environment() };
    let zone = file.timezone.as_ref().map_or(Ok(chrono_tz::UTC), |name| reader.zone(name))?;
    let rules = reader.rules(&file.rule)?;
    let freezes = reader.freezes(&file.freeze, zone)?;
    let caps = reader.caps(&file.cap)?;
    let by_identity = members
        .iter()
        .enumerate()
        .flat_map(|(index, member)| member.identities.iter().map(move |identity| (identity.clone(), index)))
        .collect();
    let version = hex::encode(Sha256::digest(source.text.as_bytes()))[..12].to_string();
    let (env, contact) = (Arc::clone(&reader.env), file.contact);
    Ok(Policy { version, contact, zone, members, by_identity, rules, freezes, caps, env })
}

/// People and machines, their identities checked.
fn members(source: &Source<'_>, file: &file::File) -> Result<Vec<Member>, PolicyError> {
    let mut owners: BTreeMap<Actor, String> = BTreeMap::new();
    let mut members: Vec<Member> = Vec::new();
    let people = file.person.iter().map(|somebody| (somebody, true));
    for (somebody, human) in people.chain(file.machine.iter().map(|somebody| (somebody, false))) {
        let name = word(source, &somebody.name, "a name")?;
        if members.iter().any(|member| member.person.0 == name) {
            return Err(at(
                source,
                &somebody.name,
                format!("there is already a person or machine named '{name}'"),
            ));
        }
        if somebody.identities.is_empty() {
            let message = format!(
                "'{name}' has no identity; add one, such as {}",
                if human { "console:ann" } else { "api:ci" }
            );
            return Err(at(source, &somebody.name, message));
        }
        let mut identities = Vec::new();
        for text in &somebody.identities {
            let identity: Actor = text
                .get_ref()
                .parse()
                .map_err(|error: ledger::NotAnActor| at(source, text, error.to_string()))?;
            let kind = identity.kind();
            if !IDENTITY_KINDS.contains(&kind) {
                return Err(at(
                    source,
                    text,
                    format!("there is no kind of identity '{kind}'{}", which(kind, IDENTITY_KINDS)),
                ));
            }
            let is_alone = matches!(kind, "alert" | "schedule" | "forecast");
            let is_chat = matches!(kind, "slack" | "discord" | "console");
            if (human && is_alone) || (!human && is_chat) {
                let (is, table) =
                    if human { ("a machine", "[[machine]]") } else { ("a person", "[[person]]") };
                return Err(at(source, text, format!("{identity} is {is}; write it under {table}")));
            }
            if let Some(owner) = owners.insert(identity.clone(), name.clone()) {
                return Err(at(
                    source,
                    text,
                    format!("{identity} is held by '{owner}' already; an identity is one person's"),
                ));
            }
            identities.push(identity);
        }
        let mut groups = Vec::new();
        for group in &somebody.groups {
            let group = word(source, group, "a group")?;
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        members.push(Member { person: Person(name), identities, groups, human });
    }
    Ok(members)
}

/// What the sections after the people refer to.
struct Reader<'a> {
    source: &'a Source<'a>,
    actions: &'a [&'a str],
    members: &'a [Member],
    groups: BTreeSet<&'a str>,
    people: BTreeSet<&'a str>,
    env: Arc<Env>,
}

impl Reader<'_> {
    fn rules(&self, written: &[file::Rule]) -> Result<Vec<Rule>, PolicyError> {
        let mut rules = Vec::new();
        let mut names = BTreeSet::new();
        // Actions that an earlier rule without a condition takes wholly, and that rule.
        let mut taken: BTreeMap<String, String> = BTreeMap::new();
        for raw in written {
            let name = self.name(&raw.name, &mut names)?;
            let actions = self.actions(&raw.action, &[QUERY, BREAK_GLASS])?;
            if let Some(earlier) = actions.iter().map(|action| taken.get(action)).collect::<Option<Vec<_>>>()
            {
                let earlier = earlier.first().map_or("", |name| name.as_str());
                let message = format!(
                    "this rule is never reached: '{earlier}' before it has no condition; move that one down"
                );
                return Err(at(self.source, &raw.name, message));
            }
            let when = self.condition(raw.when.as_ref(), actions.contains(QUERY))?;
            if when.is_none() {
                taken.extend(actions.iter().map(|action| (action.clone(), name.clone())));
            }
            let then = self.then(raw)?;
            if actions.contains(QUERY) && (matches!(then, Then::Approve(_)) || raw.needs_why.is_some()) {
                let message = "a question is answered at once: a rule for \"query\" can only allow or refuse";
                return Err(at(self.source, &raw.decide, message));
            }
            let needs_why = raw.needs_why.as_ref().is_some_and(|needs| *needs.get_ref());
            rules.push(Rule { name, actions, when, then, needs_why });
        }
        Ok(rules)
    }

    /// What a rule does, and that it has the keys for that and no others.
    fn then(&self, raw: &file::Rule) -> Result<Then, PolicyError> {
        let verdict = *raw.decide.get_ref();
        let voting = [
            ("votes", raw.votes.as_ref().map(Spanned::span)),
            ("from", raw.from.as_ref().map(Spanned::span)),
            ("within", raw.within.as_ref().map(Spanned::span)),
            ("type_cluster", raw.type_cluster.as_ref().map(Spanned::span)),
        ];
        if let Some((key, span)) = voting
            .iter()
            .find_map(|(key, span)| Some((key, span.clone()?)))
            .filter(|_| verdict != Verdict::Approve)
        {
            return Err(self
                .source
                .error(span.start, format!("'{key}' goes with decide = \"approve\" only")));
        }
        if let Some(message) = raw.message.as_ref().filter(|_| verdict != Verdict::Refuse) {
            return Err(at(self.source, message, "'message' goes with decide = \"refuse\" only"));
        }
        if let Some(needs) = raw.needs_why.as_ref().filter(|_| verdict == Verdict::Refuse) {
            return Err(at(self.source, needs, "'needs_why' has no use where the rule refuses"));
        }
        Ok(match verdict {
            Verdict::Allow => Then::Allow,
            Verdict::Refuse => {
                Then::Refuse { message: raw.message.as_ref().map(|message| message.get_ref().clone()) }
            }
            Verdict::Approve => Then::Approve(self.quorum(raw)?),
        })
    }

    fn quorum(&self, raw: &file::Rule) -> Result<Quorum, PolicyError> {
        let Some(from) = raw.from.as_ref().filter(|from| !from.get_ref().is_empty()) else {
            return Err(at(self.source, &raw.decide, "say who may approve: from = [\"a group\"]"));
        };
        let mut groups = Vec::new();
        for group in from.get_ref() {
            if !self.groups.contains(group.get_ref().as_str()) {
                let known = self.groups.iter().copied().collect::<Vec<_>>();
                let message =
                    format!("nobody is in a group '{0}'{1}", group.get_ref(), which(group.get_ref(), &known));
                return Err(at(self.source, group, message));
            }
            groups.push(group.get_ref().clone());
        }
        let votes = raw.votes.as_ref().map_or(1, |votes| *votes.get_ref());
        let voters = self.members.iter().filter(|member| member.may_vote(&groups)).count();
        if votes == 0 || voters < votes as usize {
            let place = raw.votes.as_ref().map_or(from.span().start, |votes| votes.span().start);
            let message = if votes == 0 {
                "at least one vote is needed; to let it happen at once write decide = \"allow\"".to_string()
            } else {
                format!("{votes} votes are needed, and only {voters} people are in {}", groups.join(" or "))
            };
            return Err(self.source.error(place, message));
        }
        let within =
            raw.within.as_ref().map_or(Ok(TimeDelta::minutes(30)), |within| self.duration(within))?;
        let within_s = u32::try_from(within.num_seconds()).unwrap_or(u32::MAX);
        let type_cluster = raw.type_cluster.as_ref().is_some_and(|guarded| *guarded.get_ref());
        Ok(Quorum { votes, groups, within_s, type_cluster })
    }

    fn freezes(
        &self,
        written: &[file::Freeze],
        default_zone: chrono_tz::Tz,
    ) -> Result<Vec<Freeze>, PolicyError> {
        let mut names = BTreeSet::new();
        let mut freezes = Vec::new();
        for raw in written {
            let starts = raw.from.get_ref().parse().map_err(|error: cron::error::Error| {
                let why = error.to_string().replace('\n', " ");
                let message = format!("not a schedule ({why}); write second minute hour day month weekday, such as 0 0 18 * * Fri");
                at(self.source, &raw.from, message)
            })?;
            freezes.push(Freeze {
                name: self.name(&raw.name, &mut names)?,
                starts,
                lasts: self.duration(&raw.lasts)?,
                zone: raw.timezone.as_ref().map_or(Ok(default_zone), |name| self.zone(name))?,
                when: self.condition(raw.when.as_ref(), false)?,
                except: self.except(raw.except.as_ref())?,
            });
        }
        Ok(freezes)
    }

    fn caps(&self, written: &[file::Cap]) -> Result<Vec<Cap>, PolicyError> {
        let mut names = BTreeSet::new();
        let mut caps = Vec::new();
        for raw in written {
            let limit = match (raw.per_hour, raw.at_once) {
                (Some(most), None) => Limit::PerHour(most),
                (None, Some(most)) => Limit::AtOnce(most),
                _ => {
                    return Err(at(
                        self.source,
                        &raw.name,
                        "a cap has either per_hour = a number or at_once = a number",
                    ));
                }
            };
            caps.push(Cap {
                name: self.name(&raw.name, &mut names)?,
                each: *raw.each.get_ref(),
                limit,
                when: self.condition(raw.when.as_ref(), false)?,
                except: self.except(raw.except.as_ref())?,
            });
        }
        Ok(caps)
    }

    /// A rule's, freeze's or cap's name: unique among its kind.
    fn name(&self, name: &Spanned<String>, seen: &mut BTreeSet<String>) -> Result<String, PolicyError> {
        let text = name.get_ref();
        if text.trim().is_empty() || text.len() > 100 || text.chars().any(char::is_control) {
            return Err(at(self.source, name, "a name is one line of 1 to 100 bytes"));
        }
        if !seen.insert(text.clone()) {
            return Err(at(self.source, name, format!("there is already one named '{text}'")));
        }
        Ok(text.clone())
    }

    /// Action names, `*` spelled out; `special` are the words allowed besides the catalogue's.
    fn actions(&self, words: &Spanned<Words>, special: &[&str]) -> Result<BTreeSet<String>, PolicyError> {
        let known = [self.actions, special].concat();
        let mut actions = BTreeSet::new();
        for word in &words.get_ref().0 {
            if word == "*" {
                actions.extend(self.actions.iter().map(|name| name.to_string()));
            } else if known.contains(&word.as_str()) {
                actions.insert(word.clone());
            } else {
                return Err(at(
                    self.source,
                    words,
                    format!("there is no action '{word}'{}", which(word, &known)),
                ));
            }
        }
        if actions.is_empty() {
            return Err(at(self.source, words, "name at least one action, or write \"*\" for every one"));
        }
        Ok(actions)
    }

    fn except(&self, words: Option<&Spanned<Words>>) -> Result<BTreeSet<String>, PolicyError> {
        words.map_or(Ok(BTreeSet::new()), |words| self.actions(words, &[BREAK_GLASS]))
    }

    fn condition(
        &self,
        text: Option<&Spanned<String>>,
        for_queries: bool,
    ) -> Result<Option<Condition>, PolicyError> {
        let Some(text) = text else { return Ok(None) };
        let words =
            check::Words { actions: self.actions, people: &self.people, groups: &self.groups, for_queries };
        Condition::compile(text.get_ref(), &words, &self.env)
            .map(Some)
            .map_err(|fault| self.source.error(self.source.inside(&text.span(), fault.offset), fault.message))
    }

    fn zone(&self, name: &Spanned<String>) -> Result<chrono_tz::Tz, PolicyError> {
        let wrong = |_| {
            at(
                self.source,
                name,
                format!("there is no time zone '{}'; write one such as Europe/Berlin", name.get_ref()),
            )
        };
        name.get_ref().parse().map_err(wrong)
    }

    /// `90s`, `30m`, `2h`, `14d`: from a second to a year.
    fn duration(&self, text: &Spanned<String>) -> Result<TimeDelta, PolicyError> {
        let wrong = || {
            at(
                self.source,
                text,
                format!("'{}' is not a duration; write 90s, 30m, 2h or 14d", text.get_ref()),
            )
        };
        let unit = text.get_ref().chars().last().ok_or_else(wrong)?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return Err(wrong()),
        };
        let digits = text
            .get_ref()
            .strip_suffix(unit)
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()));
        let count: u32 = digits.and_then(|digits| digits.parse().ok()).ok_or_else(wrong)?;
        let total = i64::from(count) * seconds;
        if !(1..=366 * 86_400).contains(&total) {
            return Err(at(self.source, text, "a duration is at least a second and at most a year (366d)"));
        }
        Ok(TimeDelta::seconds(total))
    }
}

impl Member {
    /// Would this member's vote count for a quorum from these groups?
    pub fn may_vote(&self, groups: &[String]) -> bool {
        self.human && self.groups.iter().any(|group| groups.contains(group))
    }
}

/// A name that people type: no white space.
fn word(source: &Source<'_>, text: &Spanned<String>, what: &str) -> Result<String, PolicyError> {
    let value = text.get_ref();
    if value.is_empty()
        || value.len() > 64
        || !value.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    {
        return Err(at(
            source,
            text,
            format!("{what} has 1 to 64 letters, digits, dots, dashes and underscores"),
        ));
    }
    Ok(value.clone())
}

fn at<T>(source: &Source<'_>, what: &Spanned<T>, message: impl Into<String>) -> PolicyError {
    source.error(what.span().start, message)
}
