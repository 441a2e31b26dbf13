//! A parsed line in its one canonical form: nothing implied, everything quoted that needs it. It parses back to the same.

use super::{
    split::quote,
    tree::{ALL, CLUSTER, NAMESPACE},
};
use clap::{Arg, ArgAction, ArgMatches, parser::ValueSource};

/// The line of one command. `place` is the cluster and namespace meant, which may come from the room's defaults; None for
/// commands that have no such arguments, or use them as filters.
pub fn print(
    prefix: Option<&str>,
    command: &clap::Command,
    matches: &ArgMatches,
    place: Option<(&str, Option<&str>)>,
) -> String {
    let typed = |arg: &&Arg| matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
    let given: Vec<&Arg> = command.get_arguments().filter(typed).collect();
    let mut before = Vec::new();
    let mut after = Vec::new();
    for arg in given.iter().filter(|arg| arg.is_positional()) {
        let values: Vec<String> = raw(matches, arg).into_iter().flatten().collect();
        let late = arg.is_last_set()
            || arg.is_trailing_var_arg_set()
            || values.iter().any(|value| value.starts_with('-'));
        // Positionals keep their order, so one that must stand after `--` takes the following with it.
        if late || !after.is_empty() { after.extend(values) } else { before.extend(values) }
    }
    let mut words: Vec<String> = prefix.map(str::to_string).into_iter().collect();
    words.push(command.get_name().to_string());
    words.extend(before.iter().map(|value| quote(value)));
    for arg in given.iter().filter(|arg| !arg.is_positional()) {
        if place.is_none() || ![NAMESPACE, CLUSTER, ALL].contains(&arg.get_id().as_str()) {
            option(&mut words, matches, arg);
        }
    }
    if let Some((cluster, namespace)) = place {
        match namespace {
            Some(namespace) => words.extend(["-n".into(), quote(namespace)]),
            None if command.get_arguments().any(|arg| arg.get_id() == ALL) => words.push("-A".into()),
            None => {}
        }
        words.extend(["-c".into(), quote(cluster)]);
    }
    if !after.is_empty() {
        words.push("--".into());
        words.extend(after.iter().map(|value| quote(value)));
    }
    words.join(" ")
}

fn raw(matches: &ArgMatches, arg: &Arg) -> Vec<Vec<String>> {
    let occurrences = matches.get_raw_occurrences(arg.get_id().as_str()).into_iter().flatten();
    occurrences.map(|values| values.map(|value| value.to_string_lossy().into_owned()).collect()).collect()
}

fn option(words: &mut Vec<String>, matches: &ArgMatches, arg: &Arg) {
    let name = match (arg.get_long(), arg.get_short()) {
        (Some(long), _) => format!("--{long}"),
        (None, short) => format!("-{}", short.unwrap_or('?')),
    };
    match arg.get_action() {
        ArgAction::SetTrue | ArgAction::SetFalse => words.push(name),
        ArgAction::Count => {
            words.extend(std::iter::repeat_n(name, matches.get_count(arg.get_id().as_str()).into()))
        }
        _ => {
            for values in raw(matches, arg) {
                match (arg.get_value_delimiter(), values.as_slice()) {
                    (Some(delimiter), values) => {
                        words.extend([name.clone(), quote(&values.join(&delimiter.to_string()))]);
                    }
                    (None, [value]) if value.starts_with('-') || value.is_empty() => {
                        words.push(format!("{name}={}", quote(value)));
                    }
                    (None, values) => {
                        words.push(name.clone());
                        words.extend(values.iter().map(|value| quote(value)));
                    }
                }
            }
        }
    }
}
