//! Every command that can be typed, as one clap tree: the catalogue's actions, the queries, and the bot's own.

use crate::command::{self, Command};
use actions::{
    catalogue::{Action, catalogue},
    query::{Query, queries},
};
use clap::{Arg, ArgAction, ColorChoice};
use std::sync::OnceLock;

/// Who answers a command.
#[derive(Clone, Copy)]
pub enum Entry {
    /// The gate.
    Action(&'static dyn Action),
    /// A cluster.
    Query(&'static dyn Query),
    /// Petrel itself.
    Own(&'static dyn Command),
}

impl Entry {
    /// What people type.
    pub fn name(&self) -> &'static str {
        match self {
            Entry::Action(action) => action.name(),
            Entry::Query(query) => query.name(),
            Entry::Own(own) => own.name(),
        }
    }

    /// The heading it stands under in `help`.
    pub fn group(&self) -> &'static str {
        match self {
            Entry::Action(_) => "Change",
            Entry::Query(_) => "Look",
            Entry::Own(own) => own.group(),
        }
    }

    /// Its clap command with the common arguments added.
    pub fn command(&self) -> clap::Command {
        let command = match self {
            Entry::Action(action) => common_of_actions(common_place(action.command())),
            Entry::Query(query) => common_place(query.command()).arg(
                Arg::new(ALL)
                    .short('A')
                    .long("all-namespaces")
                    .help("In all namespaces, also when the room has a default")
                    .conflicts_with(NAMESPACE)
                    .action(ArgAction::SetTrue),
            ),
            Entry::Own(own) if own.wants_target() => common_place(own.command()),
            Entry::Own(own) => own.command(),
        };
        command.name(self.name()).color(ColorChoice::Never).term_width(88)
    }
}

/// `help` shows groups in this order.
pub const GROUPS: [&str; 5] = ["Change", "Look", "Heal", "Decide", "About"];

/// Ids of the common arguments.
pub const NAMESPACE: &str = "namespace";
/// `-c`.
pub const CLUSTER: &str = "cluster";
/// `--why`.
pub const WHY: &str = "why";
/// `--dry-run`.
pub const DRY_RUN: &str = "dry_run";
/// `-A`.
pub const ALL: &str = "all_namespaces";
/// The command that asks for policy's louder path.
pub const BREAK_GLASS: &str = "break-glass";

fn common_place(command: clap::Command) -> clap::Command {
    command
        .arg(
            Arg::new(NAMESPACE)
                .short('n')
                .long("namespace")
                .value_name("NAMESPACE")
                .value_parser(label)
                .help("Namespace; some rooms have a default"),
        )
        .arg(
            Arg::new(CLUSTER)
                .short('c')
                .long("cluster")
                .value_name("CLUSTER")
                .help("Cluster; some rooms have a default, and the card always shows it"),
        )
}

fn common_of_actions(command: clap::Command) -> clap::Command {
    command.arg(why()).arg(
        Arg::new(DRY_RUN)
            .long("dry-run")
            .help("Only plan and show; nothing is asked for")
            .action(ArgAction::SetTrue),
    )
}

/// `--why "..."`, for whoever takes a reason.
pub fn why() -> Arg {
    Arg::new(WHY).long("why").value_name("REASON").help("Why; shown to approvers and kept in the record")
}

/// An RFC 1123 label, which is what namespaces are.
fn label(text: &str) -> Result<String, String> {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let fits = (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-');
    if fits {
        Ok(text.to_string())
    } else {
        Err("a namespace is lower case letters, digits and dashes".into())
    }
}

/// Every command, in the order of `help`.
pub fn entries() -> &'static [Entry] {
    static ENTRIES: OnceLock<Vec<Entry>> = OnceLock::new();
    ENTRIES.get_or_init(|| {
        let actions = catalogue().iter().map(|action| Entry::Action(*action));
        let queries = queries().iter().map(|query| Entry::Query(*query));
        let own = command::commands().iter().map(|own| Entry::Own(*own));
        actions.chain(queries).chain(own).collect()
    })
}

/// By name; `break-glass` is not an entry of its own, it goes before one.
pub fn entry(name: &str) -> Option<Entry> {
    entries().iter().find(|entry| entry.name() == name).copied()
}

/// The whole tree. Clone it to match: matching changes it.
pub fn tree() -> &'static clap::Command {
    static TREE: OnceLock<clap::Command> = OnceLock::new();
    TREE.get_or_init(|| {
        let actions = entries().iter().filter(|entry| matches!(entry, Entry::Action(_)));
        root("petrel").subcommands(entries().iter().map(Entry::command)).subcommand(
            root(BREAK_GLASS)
                .about(
                    "Ask past the usual approvals in an emergency: needs a reason, and everybody hears of it",
                )
                .after_help(
                    "Example: break-glass restart deploy/checkout -n shop -c prod-eu --why \"all pods hang\"",
                )
                .subcommands(actions.map(|entry| entry.command().mut_arg(WHY, |why| why.required(true)))),
        )
    })
}

fn root(name: &'static str) -> clap::Command {
    clap::Command::new(name)
        .no_binary_name(true)
        .subcommand_required(true)
        .disable_help_subcommand(true)
        .color(ColorChoice::Never)
        .term_width(88)
}

/// The example in a command's `after_help`, without the word `Example:`.
pub fn example(command: &clap::Command) -> Option<String> {
    let text = command.get_after_help()?.to_string();
    let text = text.trim().strip_prefix("Example:").unwrap_or(&text).trim();
    (!text.is_empty()).then(|| text.lines().next().unwrap_or_default().trim().to_string())
}

/// The command a line begins with, `break-glass` looked through.
pub fn named<'a>(words: impl IntoIterator<Item = &'a str>) -> Option<&'static clap::Command> {
    let mut at = tree();
    for word in words.into_iter().take(2) {
        match at.find_subcommand(word) {
            Some(next) => at = next,
            None => break,
        }
    }
    (!std::ptr::eq(at, tree())).then_some(at)
}
