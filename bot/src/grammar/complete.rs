//! What could stand where the cursor is.

use super::{
    Context,
    split::split,
    tree::{CLUSTER, NAMESPACE, named, tree},
};
use clap::{Arg, ArgAction};

/// Names that only a cluster knows, as far as they are known now.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Namespaces of the cluster meant.
    pub namespaces: Vec<String>,
    /// `deploy/checkout`, in the namespace meant.
    pub targets: Vec<String>,
}

/// How people write kinds before the slash.
const KINDS: [&str; 6] = ["deploy/", "sts/", "ds/", "pod/", "job/", "cj/"];

/// At most so many are worth showing.
const MOST: usize = 20;

/// The words that could replace the one that ends at `cursor` (a byte offset), best first. A text that does not split
/// has none.
pub fn complete(text: &str, cursor: usize, context: &Context<'_>, names: &Names) -> Vec<String> {
    let before = &text[..text.floor_char_boundary(cursor.min(text.len()))];
    let Ok(mut words) = split(before) else { return Vec::new() };
    let current = match before.chars().next_back() {
        Some(last) if !last.is_whitespace() => words.pop().map(|word| word.text).unwrap_or_default(),
        _ => String::new(),
    };
    let words: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    let command = named(words.iter().copied());
    let candidates: Vec<String> = match command {
        None if words.is_empty() => {
            tree().get_subcommands().map(|command| command.get_name().to_string()).collect()
        }
        None => return Vec::new(),
        Some(command) if command.has_subcommands() => {
            command.get_subcommands().map(|command| command.get_name().to_string()).collect()
        }
        Some(command) => of_command(command, &words, &current, context, names),
    };
    let mut fitting: Vec<String> =
        candidates.into_iter().filter(|word| word.starts_with(&current) && *word != current).collect();
    fitting.dedup();
    fitting.truncate(MOST);
    fitting
}

fn of_command(
    command: &clap::Command,
    words: &[&str],
    current: &str,
    context: &Context<'_>,
    names: &Names,
) -> Vec<String> {
    let takes_value = |arg: &&Arg| matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    let option = |word: &str| {
        command.get_arguments().find(|arg| {
            let long = word.strip_prefix("--").is_some_and(|name| arg.get_long() == Some(name));
            let short = word.len() == 2 && word.starts_with('-') && arg.get_short() == word.chars().nth(1);
            long || short
        })
    };
    if let Some(arg) = words.last().and_then(|word| option(word)).filter(takes_value) {
        return values(arg, context, names);
    }
    if current.starts_with('-') {
        let unused = |arg: &&Arg| {
            matches!(arg.get_action(), ArgAction::Append)
                || !words.iter().any(|word| option(word).is_some_and(|used| used.get_id() == arg.get_id()))
        };
        let longs = command.get_arguments().filter(unused).filter_map(|arg| arg.get_long());
        return longs.map(|long| format!("--{long}")).collect();
    }
    let mut position = 0;
    let mut skip = words.iter().position(|word| *word == command.get_name()).map_or(1, |at| at + 1);
    while let Some(word) = words.get(skip) {
        match option(word) {
            Some(arg) if takes_value(&arg) => skip += 1,
            Some(_) => {}
            None if word.starts_with('-') => {}
            None => position += 1,
        }
        skip += 1;
    }
    match command.get_positionals().nth(position) {
        Some(arg) => values(arg, context, names),
        None => Vec::new(),
    }
}

fn values(arg: &Arg, context: &Context<'_>, names: &Names) -> Vec<String> {
    let possible = arg.get_possible_values();
    if !possible.is_empty() {
        return possible.iter().map(|value| value.get_name().to_string()).collect();
    }
    match arg.get_id().as_str() {
        CLUSTER | "typed" => context.clusters.to_vec(),
        NAMESPACE => names.namespaces.clone(),
        "command" => tree().get_subcommands().map(|command| command.get_name().to_string()).collect(),
        "target" if names.targets.is_empty() => KINDS.map(String::from).to_vec(),
        "target" => names.targets.clone(),
        _ => Vec::new(),
    }
}
