//! Completion of the line being typed.

use super::{problem::Problem, room, session::Viewer};
use crate::{
    app::App,
    grammar::{self, Context, Names},
};
use axum::{
    Json,
    extract::{Query, State},
};
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
pub(super) async fn words(State(app): State<App>, _: Viewer, Query(typed): Query<Typed>) -> Result<Json<Vec<Choice>>, Problem> {
    let place = room::place(&app, &typed.room)?;
    let room = app.config.room(&place);
    let clusters = app.clusters.names();
    let context = Context {
        clusters: &clusters,
        cluster: room.and_then(|room| room.cluster.as_deref()),
        namespace: room.and_then(|room| room.namespace.as_deref()),
    };
    let words = grammar::complete(&typed.text, typed.text.len(), &context, &Names::default());
    Ok(Json(words.into_iter().map(|word| choice(&typed.text, word)).collect()))
}

fn choice(text: &str, word: String) -> Choice {
    let before = &text[..text.rfind(char::is_whitespace).map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8))];
    // After `deploy/` the name follows at once.
    let gap = if word.ends_with(['/', '=']) { "" } else { " " };
    let help = if before.trim().is_empty() { about(&word) } else { String::new() };
    Choice { line: format!("{before}{word}{gap}"), word, help }
}

fn about(command: &str) -> String {
    static ABOUT: LazyLock<HashMap<String, String>> =
        LazyLock::new(|| grammar::described().into_iter().map(|command| (command.name, command.about)).collect());
    ABOUT.get(command).cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_completion_replaces_the_word_at_the_end_and_keeps_the_rest() {
        assert_eq!(choice("scale dep", "deploy/".into()).line, "scale deploy/");
        assert_eq!(choice("get pods -c ", "prod-eu".into()).line, "get pods -c prod-eu ");
        assert_eq!(choice("sc", "scale".into()).line, "scale ");
        assert_eq!(choice("a\u{3000}b", "c".into()).line, "a\u{3000}c ");
    }
}
