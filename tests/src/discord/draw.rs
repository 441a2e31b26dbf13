//! A channel as plain text, for snapshots; and what in a message would ping or link.

use super::{Content, Discord, Message, state::APP};
use serde_json::Value;

impl Discord {
    /// What `user` sees of a channel: one line per thing, as it came over the wire.
    pub fn drawn(&self, user: &str, channel: &str) -> String {
        self.seen_by(user, channel).iter().map(Message::drawn).collect::<Vec<_>>().join("\n")
    }
}

impl Message {
    /// As plain text.
    pub fn drawn(&self) -> String {
        let who = if self.author == APP { "petrel" } else { "somebody" };
        let to = if self.only_for.is_some() { " (only one sees it)" } else { "" };
        format!("{who}{to}:\n{}", self.content.drawn())
    }

    /// Everybody whom it would ping: mentions in what it says, as far as `allowed_mentions` lets them.
    pub fn pings(&self) -> Vec<String> {
        let text = self.content.marked().join("\n");
        let allowed = self.allowed_mentions.as_ref();
        let parses = |word: &str| {
            allowed.is_none_or(|allowed| {
                allowed["parse"].as_array().into_iter().flatten().any(|parse| parse == word)
            })
        };
        let named = |field: &str, id: &str| {
            allowed
                .is_some_and(|allowed| allowed[field].as_array().into_iter().flatten().any(|one| one == id))
        };
        let mut pings = Vec::new();
        for word in ["@everyone", "@here"] {
            if text.contains(word) && parses("everyone") {
                pings.push(word.to_string());
            }
        }
        let mut rest = text.as_str();
        while let Some((_, after)) = rest.split_once("<@") {
            let id: String =
                after.trim_start_matches(['!', '&']).chars().take_while(char::is_ascii_digit).collect();
            let role = after.starts_with('&');
            let (field, closed) = (if role { "roles" } else { "users" }, after.contains('>'));
            if !id.is_empty() && closed && (parses(field) || named(field, &id)) {
                pings.push(format!("@{id}"));
            }
            rest = after;
        }
        pings
    }
}

impl Content {
    /// As plain text.
    pub fn drawn(&self) -> String {
        let mut lines = Vec::new();
        if !self.content.is_empty() {
            lines.push(self.content.clone());
        }
        for embed in &self.embeds {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
            for (mark, value) in [("# ", &embed["title"]), ("", &embed["description"])] {
                if value.is_string() {
                    lines.push(format!("{mark}{}", text(value)));
                }
            }
            for field in embed["fields"].as_array().into_iter().flatten() {
                lines.push(format!("| {}: {}", text(&field["name"]), text(&field["value"])));
            }
            if embed["footer"]["text"].is_string() {
                lines.push(format!("~ {}", text(&embed["footer"]["text"])));
            }
        }
        self.components.iter().for_each(|component| component_lines(component, &mut lines));
        lines.iter().flat_map(|line| line.lines()).map(|line| format!("  {line}\n")).collect()
    }

    /// Every text that a person reads.
    pub fn read(&self) -> String {
        self.marked().join("\n")
    }

    /// Every text that Discord looks for markup in.
    fn marked(&self) -> Vec<String> {
        fn walk(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(fields) => {
                    for (key, value) in fields {
                        match value {
                            Value::String(text)
                                if ["title", "description", "name", "value", "text", "content"]
                                    .contains(&key.as_str()) =>
                            {
                                found.push(text.clone());
                            }
                            value => walk(value, found),
                        }
                    }
                }
                Value::Array(items) => items.iter().for_each(|value| walk(value, found)),
                _ => {}
            }
        }
        let mut found = vec![self.content.clone()];
        self.embeds.iter().chain(&self.components).for_each(|value| walk(value, &mut found));
        found
    }

    /// Every address that it links to: `[words](address)` and addresses as they are.
    pub fn links(&self) -> Vec<String> {
        let mut links: Vec<String> = Vec::new();
        for text in self.marked() {
            for (index, _) in text.match_indices("http") {
                let link: String = text[index..]
                    .chars()
                    .take_while(|c| !c.is_whitespace() && !")>]`".contains(*c))
                    .collect();
                if (link.starts_with("http://") || link.starts_with("https://")) && !in_code(&text, index) {
                    links.push(link);
                }
            }
        }
        links
    }
}

/// Whether a place in a text stands between backticks.
fn in_code(text: &str, index: usize) -> bool {
    let before = &text[..index];
    match before.matches("```").count() % 2 {
        1 => true,
        _ => before.rsplit('\n').next().unwrap_or_default().replace("```", "").matches('`').count() % 2 == 1,
    }
}

fn component_lines(component: &Value, lines: &mut Vec<String>) {
    let inner: Vec<&Value> = component["components"].as_array().into_iter().flatten().collect();
    match component["type"].as_u64() {
        Some(1) => {
            let buttons = inner.iter().map(|button| {
                let mark = match button["style"].as_u64() {
                    Some(1) => "*",
                    Some(3) => "+",
                    Some(4) => "!",
                    Some(5) => "->",
                    _ => "",
                };
                format!("[{mark}{}]", button["label"].as_str().unwrap_or_default())
            });
            lines.push(buttons.collect::<Vec<_>>().join(" "));
        }
        Some(10) => lines.push(component["content"].as_str().unwrap_or_default().to_string()),
        _ => inner.iter().for_each(|one| component_lines(one, lines)),
    }
}
