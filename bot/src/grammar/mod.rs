//! What people type, parsed: the same grammar for every door. Pure: no clock, no cluster, no database; and no text in it
//! ever reaches a shell (G12).

mod complete;
mod print;
mod reference;
mod split;
mod tree;
mod wrong;

pub use complete::{Names, complete};
pub use reference::{Described, command_help, described, overview, reference};
pub use split::LONGEST;
pub use tree::why;
pub(crate) use tree::{BREAK_GLASS, CLUSTER, NAMESPACE, WHY};

use crate::{card::Card, command::Command};
use actions::{cluster::by_word, query::Query};
use clap::ArgMatches;
use ledger::Target;
use serde_json::Value;
use split::{Word, split};
use tree::{ALL, DRY_RUN, Entry, entry, tree};
use wrong::Wrong;

/// What a line may leave out, and what it may name.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context<'a> {
    /// Names in the registry.
    pub clusters: &'a [String],
    /// Meant when there is no `-c`.
    pub cluster: Option<&'a str>,
    /// Meant when there is no `-n`.
    pub namespace: Option<&'a str>,
}

/// A line that makes sense.
#[derive(Clone)]
pub enum Line {
    /// For the gate.
    Ask(AskLine),
    /// For a cluster.
    Query(QueryLine),
    /// For Petrel itself.
    Own(OwnLine),
}

impl Line {
    /// The line with nothing implied; it parses to the same.
    pub fn canonical(&self) -> &str {
        match self {
            Line::Ask(line) => &line.canonical,
            Line::Query(line) => &line.canonical,
            Line::Own(line) => &line.canonical,
        }
    }
}

/// An action asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct AskLine {
    /// Catalogue name.
    pub action: &'static str,
    /// Typed parameters.
    pub parameters: Value,
    /// Without uid.
    pub target: Target,
    /// Why.
    pub why: Option<String>,
    /// Only plan and show.
    pub dry_run: bool,
    /// Past the usual approvals.
    pub break_glass: bool,
    /// Nothing implied.
    pub canonical: String,
}

/// A question to a cluster.
#[derive(Clone)]
pub struct QueryLine {
    /// Which.
    pub query: &'static dyn Query,
    /// Where; known to the registry.
    pub cluster: String,
    /// None: all, where that makes sense.
    pub namespace: Option<String>,
    /// Its arguments.
    pub matches: ArgMatches,
    /// Nothing implied.
    pub canonical: String,
}

/// A command that Petrel answers itself.
#[derive(Clone)]
pub struct OwnLine {
    /// Which.
    pub command: &'static dyn Command,
    /// Where, for commands that name a target.
    pub cluster: Option<String>,
    /// Where, for commands that name a target.
    pub namespace: Option<String>,
    /// Its arguments.
    pub matches: ArgMatches,
    /// Nothing implied.
    pub canonical: String,
}

/// Reads one line. The error is a card for the person who typed it, and points at the word that is wrong.
pub fn parse(text: &str, context: &Context<'_>) -> Result<Line, Box<Card>> {
    let words = split(text).map_err(|error| Box::new(wrong::unreadable(text, &error)))?;
    understand(&words, context).map_err(|wrong| {
        Box::new(match wrong {
            Failed::Help(topic) => command_help(&topic),
            Failed::Wrong(wrong) => wrong.card(text, &words),
        })
    })
}

/// Is there a command of this name? `break-glass` counts as one.
pub fn is_command(name: &str) -> bool {
    name == BREAK_GLASS || entry(name).is_some()
}

/// Is it about Petrel itself, such as help?
pub fn is_about(name: &str) -> bool {
    entry(name).is_some_and(|entry| entry.group() == "About")
}

/// A line that gives no command.
enum Failed {
    /// `--help`, or nothing at all.
    Help(Option<String>),
    Wrong(Wrong),
}

impl From<Wrong> for Failed {
    fn from(wrong: Wrong) -> Self {
        Failed::Wrong(wrong)
    }
}

fn understand(words: &[Word], context: &Context<'_>) -> Result<Line, Failed> {
    let mut texts: Vec<String> = words.iter().map(|word| word.text.clone()).collect();
    match texts.first_mut() {
        // Phones begin a line with a capital letter.
        Some(first) => first.make_ascii_lowercase(),
        None => return Err(Failed::Help(None)),
    }
    let matches = tree().clone().try_get_matches_from(&texts).map_err(|error| match error.kind() {
        clap::error::ErrorKind::DisplayHelp
        | clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let topic = texts.iter().find(|text| entry(text).is_some()).cloned();
            Failed::Help(topic.or_else(|| (texts[0] == BREAK_GLASS).then(|| BREAK_GLASS.to_string())))
        }
        _ => Failed::Wrong(wrong::clap(&error, words)),
    })?;
    // Required by the tree, so there is one.
    let Some((name, inner)) = matches.subcommand() else { return Err(Failed::Help(None)) };
    let (name, inner, break_glass) = match inner.subcommand() {
        Some((action, deeper)) if name == BREAK_GLASS => (action, deeper, true),
        _ => (name, inner, false),
    };
    let Some(entry) = entry(name) else { return Err(Failed::Help(None)) };
    let command = entry.command();
    match entry {
        Entry::Action(action) => {
            let (named, parameters) = action.parse(inner).map_err(|message| Wrong::quoted(message, words))?;
            let cluster = cluster(inner, words, context)?;
            let namespace = match by_word(&named.kind.to_ascii_lowercase()) {
                // A node, say.
                Some(kind) if !kind.namespaced => None,
                _ => Some(
                    namespace(inner, context)
                        .ok_or_else(|| Wrong::missing("which namespace? Add -n NAMESPACE"))?,
                ),
            };
            let why = inner.get_one::<String>(WHY).cloned().filter(|why| !why.trim().is_empty());
            if break_glass && why.is_none() {
                return Err(
                    Wrong::missing("break-glass needs a reason that is not empty: --why \"...\"").into()
                );
            }
            let canonical = print::print(
                break_glass.then_some(BREAK_GLASS),
                &command,
                inner,
                Some((&cluster, namespace.as_deref())),
            );
            let target = Target { cluster, namespace, kind: named.kind, name: named.name, uid: None };
            let dry_run = inner.get_flag(DRY_RUN);
            Ok(Line::Ask(AskLine {
                action: action.name(),
                parameters,
                target,
                why,
                dry_run,
                break_glass,
                canonical,
            }))
        }
        Entry::Query(query) => {
            let cluster = cluster(inner, words, context)?;
            let namespace = if inner.get_flag(ALL) { None } else { namespace(inner, context) };
            let canonical = print::print(None, &command, inner, Some((&cluster, namespace.as_deref())));
            Ok(Line::Query(QueryLine { query, cluster, namespace, matches: inner.clone(), canonical }))
        }
        Entry::Own(own) if own.wants_target() => {
            let cluster = cluster(inner, words, context)?;
            let namespace = namespace(inner, context)
                .ok_or_else(|| Wrong::missing("which namespace? Add -n NAMESPACE"))?;
            let canonical = print::print(None, &command, inner, Some((&cluster, Some(&namespace))));
            let (cluster, namespace) = (Some(cluster), Some(namespace));
            Ok(Line::Own(OwnLine { command: own, cluster, namespace, matches: inner.clone(), canonical }))
        }
        Entry::Own(own) => {
            let canonical = print::print(None, &command, inner, None);
            Ok(Line::Own(OwnLine {
                command: own,
                cluster: None,
                namespace: None,
                matches: inner.clone(),
                canonical,
            }))
        }
    }
}

/// The cluster meant; it must be in the registry, so that no typing error reaches another one.
fn cluster(matches: &ArgMatches, words: &[Word], context: &Context<'_>) -> Result<String, Wrong> {
    let typed = matches.get_one::<String>(CLUSTER);
    let name = match (typed, context.cluster) {
        (Some(name), _) => name.as_str(),
        (None, Some(name)) => name,
        (None, None) => {
            let known = if context.clusters.is_empty() {
                "none is configured".into()
            } else {
                context.clusters.join(", ")
            };
            return Err(Wrong::missing(format!("which cluster? Add -c CLUSTER: {known}")));
        }
    };
    if context.clusters.iter().any(|known| known == name) {
        return Ok(name.to_string());
    }
    let hint = wrong::nearest(name, context.clusters.iter().map(String::as_str)).map_or_else(
        || format!("Known clusters: {}.", context.clusters.join(", ")),
        |near| format!("Did you mean {near}?"),
    );
    Err(Wrong::at(name, words, format!("there is no cluster '{name}'")).hint(hint))
}

fn namespace(matches: &ArgMatches, context: &Context<'_>) -> Option<String> {
    matches.get_one::<String>(NAMESPACE).cloned().or_else(|| context.namespace.map(str::to_string))
}

/// Words that need no quoting as one line.
pub fn join(words: &[String]) -> String {
    words.iter().map(|word| split::quote(word)).collect::<Vec<_>>().join(" ")
}

/// The line with a reason added. A line that does not split stays as it is: parsing it says what is wrong.
pub fn with_why(line: &str, why: &str) -> String {
    let Ok(words) = split(line) else { return line.to_string() };
    let skip =
        if words.first().is_some_and(|word| word.text.eq_ignore_ascii_case(BREAK_GLASS)) { 2 } else { 1 };
    let at = words.get(skip - 1).map_or(line.len(), |word| word.span.end);
    format!("{} --why={}{}", &line[..at], split::quote(why), &line[at..])
}
