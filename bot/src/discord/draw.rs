//! A card as a Discord message: one embed, and rows of buttons. Pure. Every limit of Discord's is kept before anything is
//! sent: <https://docs.discord.com/developers/resources/message#embed-object-embed-limits>.

use super::{
    escape::{code, length, line, markdown, plain},
    tidy::tidy,
};
use crate::{
    card::{Button, Card, StepLine, Table, Tone},
    press::Press,
};
use serde_json::{Value, json};
use serenity::{
    all::ButtonStyle,
    builder::{CreateActionRow, CreateButton, CreateEmbed, CreateEmbedAuthor, CreateEmbedFooter},
};

/// All texts of an embed together.
const WHOLE: usize = 6_000;
const TITLE: usize = 256;
const AUTHOR: usize = 256;
const DESCRIPTION: usize = 4_096;
const FIELDS: usize = 25;
const FIELD_NAME: usize = 256;
const FIELD_VALUE: usize = 1_024;
/// Discord takes 2,048; ours is small print.
const FOOTER: usize = 512;
const ROW: usize = 5;
const ROWS: usize = 5;
const LABEL: usize = 80;
/// What is to be seen in a picture.
const DESCRIBED: usize = 1_024;
/// For fields, so that a card with many of them still has its text.
const ALL_FIELDS: usize = 2_400;
/// For the text, so that a long one leaves room for the steps and the table.
const TEXT: usize = 1_500;
/// For the steps.
const STEPS: usize = 1_200;
/// For where the rows of a table lead.
const WAYS: usize = 1_500;
/// Said in the footer of a card that had to be cut.
const CUT_WITH_LINK: &str = "Cut; its title leads to all of it.";
const CUT: &str = "Cut; ask for less, or look in the console.";

/// The body that posts or edits a message. `address` makes a path of the console absolute.
pub fn message(card: &Card, address: &dyn Fn(&str) -> String) -> Value {
    json!({
        "embeds": [tidy(json!(embed(card, address)))],
        "components": rows(card),
        // Nobody is ever pinged, whatever a text says.
        "allowed_mentions": { "parse": [] },
    })
}

/// The same in words, should Discord not take it so: all there is to read, and the way to the console, where the buttons are too.
/// (As a bare embed: an edit that is drawn again takes its place.)
pub fn words(card: &Card, address: &dyn Fn(&str) -> String) -> Value {
    let way = card.link.as_deref().map(address).map(|link| format!("\n{link}")).unwrap_or_default();
    let said = crate::draw::text(&Card { link: None, ..card.clone() }, address);
    let text = markdown(said.trim_end(), DESCRIPTION.saturating_sub(length(&way)));
    json!({
        "embeds": [{ "description": not_empty(text) + &way }],
        "components": [],
        "attachments": [],
        "allowed_mentions": { "parse": [] },
    })
}

/// The name that a picture has in a message.
pub const PICTURE: &str = "picture.png";

/// Shows the attached [`PICTURE`] in the embed.
pub fn attach(message: &mut Value, alt: &str) {
    message["embeds"][0]["image"] = json!({ "url": format!("attachment://{PICTURE}") });
    message["attachments"] = json!([{ "id": 0, "filename": PICTURE, "description": plain(alt, DESCRIBED) }]);
}

fn embed(card: &Card, address: &dyn Fn(&str) -> String) -> CreateEmbed {
    let mut cut = false;
    let author = card.cluster.as_ref().map(|cluster| {
        let mark = if cluster.production { " · PRODUCTION" } else { "" };
        // The name may be cut, the mark may not.
        format!("{}{mark}", plain(&cluster.name, AUTHOR - mark.len()))
    });
    let status = card.status.as_ref().map(|status| format!("**{}**", line(status, 100)));
    let title = not_empty(line(&card.title, TITLE));
    let fields = fields(card, &mut cut);
    let mut left = WHOLE - FOOTER - length(&title) - author.as_deref().map_or(0, length);
    left -= fields.iter().map(|(name, value)| length(name) + length(value)).sum::<usize>();

    let mut description = Parts { left: left.min(DESCRIPTION), parts: Vec::new() };
    if let Some(status) = status {
        description.add(|_| status);
    }
    if let Some(text) = &card.text {
        description.add(|left| markdown(text, left.min(TEXT)));
    }
    if !card.steps.is_empty() {
        description.add(|left| steps(&card.steps, left.min(STEPS), &mut cut));
    }
    if let Some(table) = &card.table {
        description.block("", &columns(table), false, &mut cut);
        description.add(|left| ways(table, address, left.min(WAYS), &mut cut));
    }
    if let Some(block) = &card.code {
        let language = if block.language == "diff" { "diff" } else { "" };
        // The end of a log is what people look for.
        description.block(language, &block.text, block.language != "diff", &mut cut);
    }

    let link = card.link.as_deref().map(address);
    let note = cut.then_some(if link.is_some() { CUT_WITH_LINK } else { CUT });
    let footer = [card.footer.as_deref(), note].into_iter().flatten().collect::<Vec<_>>().join(" · ");

    let mut embed = CreateEmbed::new().title(title).colour(colour(card.tone));
    if let Some(author) = author {
        embed = embed.author(CreateEmbedAuthor::new(author));
    }
    if let Some(link) = link {
        embed = embed.url(link);
    }
    let description = description.parts.join("\n");
    if !description.is_empty() {
        embed = embed.description(description);
    }
    if !footer.is_empty() {
        embed = embed.footer(CreateEmbedFooter::new(plain(&footer, FOOTER)));
    }
    embed.fields(fields.into_iter().map(|(name, value)| {
        let short = length(&value) <= 40 && !value.contains('\n');
        (name, value, short)
    }))
}

/// The pieces of the description, each on lines of its own, within what is left.
struct Parts {
    left: usize,
    parts: Vec<String>,
}

impl Parts {
    /// The least room that is worth writing into.
    const LEAST: usize = 60;

    fn add(&mut self, part: impl FnOnce(usize) -> String) {
        if self.left < Self::LEAST {
            return;
        }
        let part = part(self.left - 1);
        if !part.is_empty() {
            self.left -= length(&part) + 1;
            self.parts.push(part);
        }
    }

    fn block(&mut self, language: &str, text: &str, tail: bool, cut: &mut bool) {
        if text.trim().is_empty() {
            return;
        }
        if self.left < Self::LEAST {
            *cut = true;
        }
        self.add(|left| {
            let (block, incomplete) = code(language, text, left, tail);
            *cut |= incomplete;
            block
        });
    }
}

fn fields(card: &Card, cut: &mut bool) -> Vec<(String, String)> {
    let mut left = ALL_FIELDS;
    let mut fields = Vec::new();
    for (name, value) in &card.fields {
        // An empty name or value is refused by Discord.
        let name = not_empty(line(name, FIELD_NAME.min(left / 2)));
        let value = not_empty(markdown(value, FIELD_VALUE.min(left.saturating_sub(length(&name)))));
        if fields.len() == FIELDS || left < Parts::LEAST {
            *cut = true;
            break;
        }
        left -= length(&name) + length(&value);
        fields.push((name, value));
    }
    fields
}

fn not_empty(text: String) -> String {
    if text.trim().is_empty() { "-".into() } else { text }
}

fn steps(steps: &[StepLine], limit: usize, cut: &mut bool) -> String {
    let drawn = |step: &StepLine| {
        let mark = match step.state.as_str() {
            "done" => "✅",
            "working" => "⏳",
            "failed" => "❌",
            "waiting" => "▫️",
            _ => "❓",
        };
        format!("{mark} {}", line(&step.text, 200))
    };
    let mut lines = Vec::new();
    let mut used = 0;
    for text in steps.iter().map(drawn) {
        used += length(&text) + 1;
        if used > limit {
            *cut = true;
            break;
        }
        lines.push(text);
    }
    lines.join("\n")
}

/// Columns that line up in a monospaced block.
fn columns(table: &Table) -> String {
    let rows = || std::iter::once(&table.header).chain(&table.rows);
    let cell = |text: &String| crate::visible::line(text).into_owned();
    let count = rows().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count)
        .map(|column| {
            rows().filter_map(|row| row.get(column)).map(|text| cell(text).chars().count()).max().unwrap_or(0)
        })
        .collect();
    let joined = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(text, width)| format!("{:width$}", cell(text)));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_string()
    };
    rows().map(joined).collect::<Vec<_>>().join("\n")
}

/// Where its rows lead: a link cannot stand in a block.
fn ways(table: &Table, address: &dyn Fn(&str) -> String, limit: usize, cut: &mut bool) -> String {
    let mut line = String::new();
    for link in table.ways().map(|(says, path)| format!("[{says}]({})", address(path))) {
        if length(&line) + length(&link) + 3 > limit {
            *cut = true;
            break;
        }
        line.push_str(if line.is_empty() { "" } else { " · " });
        line.push_str(&link);
    }
    line
}

fn rows(card: &Card) -> Vec<CreateActionRow> {
    let buttons: Vec<CreateButton> =
        card.buttons.iter().filter_map(|button| drawn(card, button)).take(ROW * ROWS).collect();
    buttons.chunks(ROW).map(|row| CreateActionRow::Buttons(row.to_vec())).collect()
}

fn drawn(card: &Card, button: &Button) -> Option<CreateButton> {
    let style = match button.style.as_str() {
        "primary" => ButtonStyle::Success,
        "danger" => ButtonStyle::Danger,
        _ => ButtonStyle::Secondary,
    };
    let press = Press::of(card, button)?;
    Some(CreateButton::new(press.encode()).style(style).label(not_empty(plain(&button.label, LABEL))))
}

fn colour(tone: Tone) -> u32 {
    match tone {
        Tone::Neutral => 0x5b_65_75,
        Tone::Waiting => 0xd9_9a_1c,
        Tone::Working => 0x2f_74_d0,
        Tone::Good => 0x2e_8b_57,
        Tone::Bad => 0xc0_39_2b,
        Tone::Urgent => 0xe0_1b_5d,
    }
}

#[cfg(test)]
#[path = "draw_tests.rs"]
mod tests;
