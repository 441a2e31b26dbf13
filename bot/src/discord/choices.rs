//! What could stand in the option of `/petrel` that is being typed: commands, clusters, and what is in them.

use super::{command, interaction::Options};
use crate::{app::App, grammar, names};
use jiff::Timestamp;
use ledger::{Actor, Place};

/// The choices, best first; none for strangers.
pub async fn choices(
    app: &App,
    actor: &Actor,
    place: &Place,
    options: &Options,
    now: Timestamp,
) -> Vec<String> {
    let Ok(Ok(who)) = app.gate.who(actor).await else { return Vec::new() };
    let clusters = app.clusters.names();
    let context = crate::line::context(app, Some(place), &clusters);
    let focused = options.focused.as_deref().unwrap_or_default();
    let typed = options.get(focused).unwrap_or_default();
    let line = command::line(options);
    let cluster = names::option(&line, "-c", "--cluster").or(context.cluster);
    let namespace = names::option(&line, "-n", "--namespace").or(context.namespace);
    let known = async { names::known(app, &who, cluster, namespace, now).await };
    match focused {
        command::CLUSTER => fitting(clusters.clone(), typed),
        command::NAMESPACE => fitting(known.await.namespaces, typed),
        command::TARGET => {
            let mut targets = known.await.targets;
            if targets.is_empty() {
                targets = grammar::complete(
                    &format!("{} ", options.get(command::COMMAND).unwrap_or("restart")),
                    usize::MAX,
                    &context,
                    &grammar::Names::default(),
                );
            }
            fitting(targets, typed)
        }
        command::COMMAND => {
            // As typed, with the blank at its end that says that a new word begins.
            let raw =
                options.given.iter().find(|(name, _)| name == command::COMMAND).map_or("", |(_, text)| text);
            let names = known.await;
            let words = grammar::complete(raw, raw.len(), &context, &names);
            let before = &raw[..raw
                .rfind(char::is_whitespace)
                .map_or(0, |at| at + raw[at..].chars().next().map_or(1, char::len_utf8))];
            words.into_iter().map(|word| format!("{before}{word}")).collect()
        }
        _ => Vec::new(),
    }
}

/// Those that begin with what is typed, then those that have it anywhere.
fn fitting(all: Vec<String>, typed: &str) -> Vec<String> {
    let typed = typed.to_lowercase();
    let (first, rest): (Vec<String>, Vec<String>) =
        all.into_iter().partition(|text| text.to_lowercase().starts_with(&typed));
    let within = rest.into_iter().filter(|text| text.to_lowercase().contains(&typed));
    first.into_iter().chain(within).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_with_the_typed_letters_comes_first() {
        let all = ["deploy/cart", "deploy/checkout", "sts/orders-check"].map(String::from).to_vec();
        assert_eq!(fitting(all.clone(), "check"), ["deploy/checkout", "sts/orders-check"]);
        assert_eq!(fitting(all.clone(), "deploy/ca"), ["deploy/cart"]);
        assert_eq!(fitting(all, "").len(), 3);
    }
}
