//! `/petrel`: its options, the line that they make, and keeping it registered.
//!
//! One command with options and no sub-commands, because a command with sub-commands cannot be used alone, and `/petrel` alone
//! shows what waits for you. The options make one line in the grammar that every door shares: whoever knows it may type the
//! whole line into `command`.

use super::{
    api::{Api, Failed},
    interaction::Options,
    tidy::{is_default, tidy},
};
use crate::grammar;
use serde_json::{Value, json};
use serenity::{
    all::{CommandOptionType, CommandType},
    builder::{CreateCommand, CreateCommandOption},
};

/// What people type after the slash.
const NAME: &str = "petrel";
/// The option with the command, or with a whole line.
pub const COMMAND: &str = "command";
/// `deploy/checkout`.
pub const TARGET: &str = "target";
/// What else the command takes: `6`, `--tail 20`.
pub const ARGUMENTS: &str = "arguments";
/// `-n`.
pub const NAMESPACE: &str = "namespace";
/// `-c`.
pub const CLUSTER: &str = "cluster";
/// `--why`.
pub const WHY: &str = "why";

/// As Discord is told of it.
pub fn definition() -> Value {
    let option = |name: &str, description: &str| {
        CreateCommandOption::new(CommandOptionType::String, name, description)
    };
    let options = vec![
        option(COMMAND, "scale, restart, get, approve, help, or a whole line; nothing: what waits for you")
            .set_autocomplete(true)
            .max_length(grammar_longest()),
        option(TARGET, "On what: deploy/checkout, a pod, or the id of a request")
            .set_autocomplete(true)
            .max_length(300),
        option(ARGUMENTS, "What else it takes: 6, image=shop:1.2, --tail 20").max_length(1_000),
        option(NAMESPACE, "Namespace; some channels have a default").set_autocomplete(true).max_length(63),
        option(CLUSTER, "Cluster; some channels have a default, and the card always shows it")
            .set_autocomplete(true)
            .max_length(100),
        option(WHY, "Why; shown to approvers and kept in the record").max_length(500),
    ];
    let command = CreateCommand::new(NAME)
        .kind(CommandType::ChatInput)
        .description("Ask for a change, look at a cluster, or decide on a request")
        .set_options(options);
    json!([tidy(json!(command))])
}

/// Discord takes at most 6,000 characters in an option.
fn grammar_longest() -> u16 {
    u16::try_from(grammar::LONGEST).unwrap_or(u16::MAX).min(6_000)
}

/// The line that the options make; empty when there are none.
pub fn line(options: &Options) -> String {
    let mut words: Vec<String> = Vec::new();
    // As typed, several words each. `command` may be there twice: the names of sub-commands go before.
    words.extend(
        options.given.iter().filter(|(name, _)| name == COMMAND).map(|(_, text)| text.trim().to_string()),
    );
    let one = |text: &str| grammar::join(&[text.to_string()]);
    words.extend(options.get(TARGET).map(one));
    words.extend(options.get(ARGUMENTS).map(str::to_string));
    words.extend(options.get(NAMESPACE).map(|text| format!("-n {}", one(text))));
    words.extend(options.get(CLUSTER).map(|text| format!("-c {}", one(text))));
    words.extend(options.get(WHY).map(|text| format!("--why={}", one(text))));
    words.retain(|text| !text.is_empty());
    words.join(" ")
}

/// Makes Discord know it as it is now; asks first, and writes only what has changed. Every replica may do so at once.
pub async fn register(api: &Api, guilds: &[String]) -> Result<bool, Failed> {
    let wanted = definition();
    let mut changed = false;
    let scopes: Vec<Option<&str>> = match guilds {
        [] => vec![None],
        guilds => guilds.iter().map(|guild| Some(guild.as_str())).collect(),
    };
    for scope in scopes {
        match api.commands(scope).await {
            Ok(there) if is_same(&there, &wanted) => continue,
            Err(failed) if !(failed.is_status(404) || failed.is_status(405)) => return Err(failed),
            // Other, or where it cannot be read.
            _ => api.set_commands(scope, &wanted).await?,
        }
        changed = true;
    }
    Ok(changed)
}

/// Discord gives back more than it was given (ids, versions, defaults): what was given is what counts.
pub fn is_same(registered: &[Value], wanted: &Value) -> bool {
    let Some(wanted) = wanted.as_array() else { return false };
    registered.len() == wanted.len()
        && wanted.iter().zip(registered).all(|(wanted, there)| covers(there, wanted))
}

fn covers(there: &Value, wanted: &Value) -> bool {
    match (there, wanted) {
        (Value::Object(there), Value::Object(wanted)) => {
            // Everything wanted is as it should be, and nothing that we leave out is set.
            wanted.iter().all(|(name, wanted)| there.get(name).is_some_and(|there| covers(there, wanted)))
                && ["required", "autocomplete", "choices", "options", "max_length", "min_length"]
                    .iter()
                    .all(|name| wanted.contains_key(*name) || there.get(*name).is_none_or(is_default))
        }
        (Value::Array(there), Value::Array(wanted)) => {
            there.len() == wanted.len()
                && there.iter().zip(wanted).all(|(there, wanted)| covers(there, wanted))
        }
        (there, wanted) => there == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::{Context, Line, parse};

    fn given(pairs: &[(&str, &str)]) -> Options {
        Options {
            given: pairs.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect(),
            focused: None,
        }
    }

    #[test]
    fn options_make_one_line_of_the_shared_grammar() {
        let options = given(&[
            (WHY, "it's the sale; rm -rf /"),
            (COMMAND, "scale"),
            (ARGUMENTS, "6"),
            (TARGET, "deploy/checkout"),
            (CLUSTER, "prod-eu"),
            (NAMESPACE, "shop"),
        ]);
        let clusters = ["prod-eu".to_string()];
        let Ok(Line::Ask(ask)) =
            parse(&line(&options), &Context { clusters: &clusters, ..Context::default() })
        else {
            panic!("{} parses", line(&options))
        };
        assert_eq!(
            (ask.target.name.as_str(), ask.why.as_deref()),
            ("checkout", Some("it's the sale; rm -rf /"))
        );
        assert_eq!(line(&given(&[])), "");
        assert_eq!(
            line(&given(&[(COMMAND, " restart deploy/checkout -n shop ")])),
            "restart deploy/checkout -n shop"
        );
    }

    #[test]
    fn an_option_stays_one_word_whatever_is_in_it() {
        let line =
            line(&given(&[(COMMAND, "restart"), (TARGET, "deploy/a -c prod"), (CLUSTER, "x --why=y")]));
        assert_eq!(line, "restart \"deploy/a -c prod\" -c \"x --why=y\"");
    }

    #[test]
    fn the_definition_keeps_discords_limits() {
        let definition = definition();
        let command = &definition[0];
        let options = command["options"].as_array().unwrap();
        let fits = |value: &Value| {
            let (name, text) = (value["name"].as_str().unwrap(), value["description"].as_str().unwrap());
            (1..=32).contains(&name.len())
                && (1..=100).contains(&text.chars().count())
                && name.bytes().all(|b| b.is_ascii_lowercase())
        };
        assert!(fits(command) && options.iter().all(fits) && options.len() <= 25);
        assert!(
            options
                .iter()
                .all(|option| option["max_length"].as_u64().is_none_or(|most| (1..=6_000).contains(&most)))
        );
        insta::assert_snapshot!(serde_json::to_string_pretty(&definition).unwrap());
    }

    #[test]
    fn what_discord_adds_is_no_change_and_what_it_lacks_is() {
        let wanted = definition();
        let mut there = wanted.as_array().unwrap().clone();
        there[0]["id"] = "1".into();
        there[0]["version"] = "2".into();
        there[0]["nsfw"] = false.into();
        there[0]["name_localizations"] = Value::Null;
        for option in there[0]["options"].as_array_mut().unwrap() {
            option["required"] = false.into();
        }
        assert!(is_same(&there, &wanted));
        let mut other = there.clone();
        other[0]["options"][1]["autocomplete"] = false.into();
        assert!(!is_same(&other, &wanted));
        there[0]["options"][2]["autocomplete"] = true.into();
        assert!(!is_same(&there, &wanted));
        assert!(!is_same(&[], &wanted));
    }
}
