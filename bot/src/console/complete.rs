//! Completion of the line being typed.

use super::{problem::Problem, room, session::Viewer};
use crate::{app::App, grammar, line, names};
use actions::policy::Who;
use axum::{
    Json,
    extract::{Query, State},
};
use jiff::Timestamp;
use ledger::Person;
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, sync::LazyLock};

#[derive(Deserialize)]
pub(super) struct Typed {
    room: String,
    text: String,
}

/// One way to go on.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(super) struct Choice {
    /// What is shown.
    word: String,
    /// The whole line with it.
    line: String,
    /// What it is.
    help: String,
}

/// `GET /complete?room=ops&text=sca`: at the end of the text.
pub(super) async fn words(
    State(app): State<App>,
    viewer: Viewer,
    Query(typed): Query<Typed>,
) -> Result<Json<Vec<Choice>>, Problem> {
    let place = room::place(&app, &typed.room)?;
    let clusters = app.clusters.names();
    let context = line::context(&app, Some(&place), &clusters);
    let who = Who { person: Person(viewer.name.clone()), groups: viewer.groups.clone() };
    let cluster = names::option(&typed.text, "-c", "--cluster").or(context.cluster);
    let namespace = names::option(&typed.text, "-n", "--namespace").or(context.namespace);
    let names = names::known(&app, &who, cluster, namespace, Timestamp::now()).await;
    let words = grammar::complete(&typed.text, typed.text.len(), &context, &names);
    Ok(Json(words.into_iter().map(|word| choice(&typed.text, word, about)).collect()))
}

fn choice(text: &str, word: String, about: impl Fn(&str) -> String) -> Choice {
    let before = &text[..text
        .rfind(char::is_whitespace)
        .map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8))];
    // After `deploy/` the name follows at once.
    let gap = if word.ends_with(['/', '=']) { "" } else { " " };
    let help = if before.trim().is_empty() { about(&word) } else { String::new() };
    Choice { line: format!("{before}{word}{gap}"), word, help }
}

fn about(command: &str) -> String {
    static ABOUT: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
        grammar::described().into_iter().map(|command| (command.name, command.about)).collect()
    });
    ABOUT.get(command).cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_completion_replaces_the_word_at_the_end_and_keeps_the_rest() {
        let line = |text, word: &str| choice(text, word.into(), |_| String::new()).line;
        assert_eq!(line("scale dep", "deploy/"), "scale deploy/");
        assert_eq!(line("get pods -c ", "prod-eu"), "get pods -c prod-eu ");
        assert_eq!(line("sc", "scale"), "scale ");
        assert_eq!(line("a\u{3000}b", "c"), "a\u{3000}c ");
    }

    #[test]
    fn commands_say_what_they_do_and_other_words_do_not() {
        let help = |text| choice(text, "logs".into(), |word| format!("about {word}")).help;
        assert_eq!((help("lo"), help("get lo")), ("about logs".to_string(), String::new()));
    }
}
