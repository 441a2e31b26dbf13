//! Help: the short list, one command, and the reference page `docs/COMMANDS.md`, all from the one tree.

use super::{
    tree::{BREAK_GLASS, Entry, GROUPS, entries, entry, example, tree},
    wrong::nearest,
};
use crate::card::{Card, Code, Tone};
use std::fmt::Write;

/// Help for one command, or the short list when there is no such command or none is named.
pub fn command_help(topic: &Option<String>) -> Card {
    let Some(topic) = topic else { return overview() };
    if topic == BREAK_GLASS {
        let about = about(tree().find_subcommand(BREAK_GLASS).unwrap_or(tree()));
        let text = format!("{about}. Put it before any command that changes something.");
        let code = Some(Code { language: "text".into(), text: BREAK_GLASS_EXAMPLE.into() });
        return Card { text: Some(text), code, ..Card::titled(Tone::Neutral, BREAK_GLASS) };
    }
    match entry(topic) {
        Some(entry) => {
            let command = entry.command();
            let title = format!("{}: {}", entry.name(), about(&command));
            let code = Some(Code { language: "text".into(), text: details(&entry) });
            Card { code, ..Card::titled(Tone::Neutral, title) }
        }
        None => {
            let near = nearest(topic, entries().iter().map(Entry::name));
            let near = near.map(|near| format!("Did you mean `help {near}`?"));
            Card {
                text: Some(near.unwrap_or_else(|| "`help` lists all commands.".into())),
                ..Card::titled(Tone::Bad, format!("there is no command '{topic}'"))
            }
        }
    }
}

const BREAK_GLASS_EXAMPLE: &str =
    "break-glass restart deploy/checkout -n shop -c prod-eu --why \"all pods hang\"";

/// The short list, by groups.
pub fn overview() -> Card {
    let width = entries().iter().map(|entry| entry.name().len()).max().unwrap_or(0).max(BREAK_GLASS.len());
    let mut text = String::new();
    for group in GROUPS {
        let _ = writeln!(text, "{group}");
        for entry in entries().iter().filter(|entry| entry.group() == group) {
            let _ = writeln!(text, "  {:width$}  {}", entry.name(), about(&entry.command()));
        }
        if group == "Change" {
            let _ = writeln!(
                text,
                "  {BREAK_GLASS:width$}  Any of these past the usual approvals, in an emergency"
            );
        }
    }
    Card {
        text: Some("`waiting` shows what waits for you; `help scale` tells all about one command.".into()),
        code: Some(Code { language: "text".into(), text: text.trim_end().to_string() }),
        ..Card::titled(Tone::Neutral, "What you can type")
    }
}

/// One command as the console's help page shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The heading it stands under.
    pub group: &'static str,
    /// What people type.
    pub name: String,
    /// One sentence.
    pub about: String,
    /// Usage, arguments and an example, as plain text.
    pub details: String,
}

/// Every command, by groups, in the order of `help`.
pub fn described() -> Vec<Described> {
    let describe = |entry: &Entry| Described {
        group: entry.group(),
        name: entry.name().to_string(),
        about: about(&entry.command()),
        details: details(entry),
    };
    let mut all = Vec::new();
    for group in GROUPS {
        all.extend(entries().iter().filter(|entry| entry.group() == group).map(describe));
        if group == "Change" {
            all.push(Described {
                group,
                name: BREAK_GLASS.to_string(),
                about: about(tree().find_subcommand(BREAK_GLASS).unwrap_or(tree())),
                details: format!(
                    "It goes before any command of this group.\n\nExample:\n  {BREAK_GLASS_EXAMPLE}"
                ),
            });
        }
    }
    all
}

fn about(command: &clap::Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

/// Usage, arguments and the example, as plain text.
fn details(entry: &Entry) -> String {
    let command = entry.command();
    let example = example(&command);
    let plain = command.about(None::<&str>).after_help(None::<&str>).disable_help_flag(true);
    let mut text = plain.bin_name(entry.name()).render_help().to_string().trim().to_string();
    if let Some(example) = example {
        let _ = write!(text, "\n\nExample:\n  {example}");
    }
    text
}

/// `docs/COMMANDS.md`.
pub fn reference() -> String {
    let mut page = String::from(
        "# Commands\n\n\
         Generated from the grammar by `petrel docs commands`; a test keeps it current. The same commands work in every\n\
         chat, in `petrel ask` and in the API.\n\n\
         Every target names its cluster; a room may have a default, and the card always shows which one is meant.\n",
    );
    for group in GROUPS {
        let _ = write!(page, "\n## {group}\n");
        for entry in entries().iter().filter(|entry| entry.group() == group) {
            let _ = write!(
                page,
                "\n### {}\n\n{}.\n\n```text\n{}\n```\n",
                entry.name(),
                about(&entry.command()),
                details(entry)
            );
        }
        if group == "Change" {
            let about = about(tree().find_subcommand(BREAK_GLASS).unwrap_or(tree()));
            let _ = write!(
                page,
                "\n### {BREAK_GLASS}\n\n{about}. It goes before any command of this group.\n\n\
                 ```text\nExample:\n  {BREAK_GLASS_EXAMPLE}\n```\n"
            );
        }
    }
    page
}
