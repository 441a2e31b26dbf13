//! A channel as plain text, for snapshots; and what in a message would ping or link.

use super::{Content, Message, Slack};
use serde_json::Value;

impl Slack {
    /// What `user` sees of a channel: one line per thing, as it came over the wire.
    pub fn drawn(&self, user: &str, channel: &str) -> String {
        self.seen_by(user, channel).iter().map(Message::drawn).collect::<Vec<_>>().join("\n")
    }
}

impl Message {
    /// As plain text.
    pub fn drawn(&self) -> String {
        let who = match &self.only_for {
            Some(only_for) => format!("{} (only {only_for}):", self.user),
            None => format!("{}:", self.user),
        };
        format!("{who}\n{}", self.content.drawn())
    }
}

impl Content {
    /// As plain text.
    pub fn drawn(&self) -> String {
        let mut lines = Vec::new();
        if self.blocks.is_empty() && self.attachments.is_empty() {
            lines.push(self.text.clone());
        } else {
            lines.push(format!("(notification) {}", self.text));
        }
        for block in self.all_blocks() {
            block_lines(block, &mut lines);
        }
        lines.iter().flat_map(|line| line.lines()).map(|line| format!("  {line}\n")).collect()
    }

    /// Every text that a person reads, without the notification's.
    pub fn read(&self) -> String {
        match self.blocks.is_empty() && self.attachments.is_empty() {
            true => self.text.clone(),
            false => self.all_blocks().map(|block| plain(block).join("\n")).collect::<Vec<_>>().join("\n"),
        }
    }

    /// Every mrkdwn text: what Slack looks for mentions and links in.
    fn marked(&self) -> Vec<String> {
        let mut found = vec![self.text.clone()];
        for block in self.all_blocks() {
            marked(block, &mut found);
        }
        found
    }
}

fn plain(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => {
            let own = fields.get("text").and_then(Value::as_str).map(str::to_string);
            let inner =
                fields.iter().filter(|(_, value)| !value.is_string()).flat_map(|(_, value)| plain(value));
            own.into_iter().chain(inner).collect()
        }
        Value::Array(items) => items.iter().flat_map(plain).collect(),
        _ => Vec::new(),
    }
}

fn marked(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            if fields.get("type").is_some_and(|kind| kind == "mrkdwn")
                && let Some(text) = fields.get("text").and_then(Value::as_str)
            {
                found.push(text.to_string());
            }
            fields.values().for_each(|value| marked(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| marked(value, found)),
        _ => {}
    }
}

fn block_lines(block: &Value, lines: &mut Vec<String>) {
    let text = |value: &Value| value["text"].as_str().unwrap_or_default().to_string();
    match block["type"].as_str().unwrap_or_default() {
        "header" => lines.push(format!("# {}", text(&block["text"]))),
        "section" => {
            if block.get("text").is_some() {
                lines.push(text(&block["text"]));
            }
            for field in block["fields"].as_array().into_iter().flatten() {
                lines.push(format!("| {}", text(field).replace('\n', " / ")));
            }
        }
        "context" => {
            let texts: Vec<_> = block["elements"].as_array().into_iter().flatten().map(text).collect();
            lines.push(format!("~ {}", texts.join(" ~ ")));
        }
        "actions" => {}
        "divider" => lines.push("---".into()),
        "image" => lines.push(format!("(picture: {})", block["alt_text"].as_str().unwrap_or_default())),
        "rich_text" => lines.push(block["elements"].to_string()),
        other => lines.push(format!("({other}) {}", text(block))),
    }
    let elements = block["elements"].as_array().into_iter().flatten().chain(block.get("accessory"));
    let buttons: Vec<_> = elements
        .filter(|element| element["type"] == "button")
        .map(|button| {
            let mark = match (button.get("url"), button["style"].as_str()) {
                (Some(_), _) => "->",
                (None, Some("primary")) => "*",
                (None, Some("danger")) => "!",
                (None, _) => "",
            };
            format!("[{mark}{}]", text(&button["text"]))
        })
        .collect();
    if !buttons.is_empty() {
        lines.push(buttons.join(" "));
    }
}

/// What stands between `<` and `>` in Slack's markup.
fn marks(content: &Content) -> Vec<String> {
    let mut marks = Vec::new();
    for text in content.marked() {
        let mut rest = text.as_str();
        while let Some((_, after)) = rest.split_once('<') {
            let Some((mark, after)) = after.split_once('>') else { break };
            marks.push(mark.to_string());
            rest = after;
        }
    }
    marks
}

/// Everybody whom a message would ping: `@U..`, `!channel`, `!subteam^S..`, `#C..`.
pub fn pings(content: &Content) -> Vec<String> {
    marks(content)
        .into_iter()
        .filter(|mark| mark.starts_with(['@', '!', '#']) && !mark.starts_with("!date"))
        .collect()
}

/// Every address that a message links to.
pub fn links(content: &Content) -> Vec<String> {
    let is_link = |mark: &String| !mark.starts_with(['@', '!', '#']);
    marks(content)
        .into_iter()
        .filter(is_link)
        .map(|mark| mark.split('|').next().unwrap_or_default().into())
        .collect()
}
