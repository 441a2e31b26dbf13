//! A card as Slack shows it: Block Kit, and a text that says the same for notifications and screen readers.
//!
//! What came from people and clusters stands in `plain_text` elements, where nothing is markup, or inside fences, and is
//! escaped in both. Only Petrel's own words and its link into the console are `mrkdwn`.

mod code;
mod form;
pub mod limit;

pub use form::form;

use super::payload;
use crate::{
    card::{Button, Card, Table, Tone},
    draw,
    press::Press,
    visible,
};
use code::Keep;
use slack_morphism::prelude::*;
use std::collections::BTreeSet;

/// A message, ready to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// For notifications, screen readers, and where blocks cannot be shown.
    pub text: String,
    /// What people see.
    pub blocks: Vec<SlackBlock>,
}

impl Message {
    /// Does it show a file of Slack's?
    pub fn has_picture(&self) -> bool {
        self.blocks.iter().any(|block| matches!(block, SlackBlock::Image(_)))
    }

    /// The same for a Slack that does not take its blocks: without its picture, then as text alone, which has all that there is to
    /// read and the way to the console, where the buttons are too. None: it cannot be said more plainly.
    pub fn plainer(&self) -> Option<Message> {
        let kept = |block: &&SlackBlock| self.has_picture() && !matches!(block, SlackBlock::Image(_));
        let blocks = self.blocks.iter().filter(kept).cloned().collect();
        (!self.blocks.is_empty()).then(|| Message { text: self.text.clone(), blocks })
    }
}

/// Room for one kind of text on one message.
const TEXT_ROOM: usize = limit::SECTION;
const FIELDS_ROOM: usize = 4_000;
const STEPS_ROOM: usize = 2_000;
/// Three sections of them.
const MOST_FIELDS: usize = 3 * limit::FIELDS;
const FOOTER_ROOM: usize = 600;
/// For where rows lead.
const WAYS_ROOM: usize = 2_000;

/// Draws a card. Links become absolute with `address`. `picture`: the file that its picture is at Slack; without one the card
/// says what is to be seen.
pub fn message(card: &Card, address: impl Fn(&str) -> String, picture: Option<&SlackFileId>) -> Message {
    let mut drawing = Drawing { blocks: Vec::new(), left: limit::MESSAGE, cut: false };
    drawing.head(card);
    if let Some(text) = &card.text {
        drawing.paragraph(text, TEXT_ROOM);
    }
    drawing.fields(&card.fields);
    // What stands below is drawn first: how it stands and who asked matters more than the whole of a log.
    let mut below = Drawing { blocks: Vec::new(), left: drawing.left, cut: false };
    below.steps(card);
    below.buttons(card);
    drawing.left = below.left.saturating_sub(FOOTER_ROOM);
    if let Some(table) = &card.table {
        drawing.code(&code::columns(table), Keep::Beginning);
        drawing.ways(table, &address);
    }
    drawing.picture(card, picture);
    if let Some(code) = &card.code {
        drawing.code(&code.text, if code.language == "diff" { Keep::Beginning } else { Keep::End });
    }
    drawing.cut |= below.cut;
    drawing.blocks.append(&mut below.blocks);
    drawing.foot(card, &address);
    Message { text: text(card, &address), blocks: drawing.blocks }
}

/// A sentence of Petrel's own.
pub fn words(sentence: &str) -> Message {
    let text = limit::block(sentence, limit::TEXT);
    Message { blocks: vec![SlackSectionBlock::new().with_text(plain(text.clone()).into()).into()], text }
}

/// Everything a reader needs who sees no blocks; without the long parts when there is not room for all.
fn text(card: &Card, address: &impl Fn(&str) -> String) -> String {
    let spoken = |card: &Card| visible::block(draw::text(card, address).trim_end()).into_owned();
    let mut all = spoken(card);
    if limit::length(&all) > limit::TEXT {
        all = spoken(&Card { table: None, code: None, ..card.clone() });
    }
    limit::block(&all, limit::TEXT)
}

struct Drawing {
    blocks: Vec<SlackBlock>,
    left: usize,
    cut: bool,
}

impl Drawing {
    /// Title, status, and always the cluster.
    fn head(&mut self, card: &Card) {
        let is_long = limit::total(&visible::line(&card.title)) > limit::HEADER;
        let title = limit::line(&card.title, limit::HEADER);
        self.spend(&title);
        self.blocks.push(SlackHeaderBlock::new(plain_text(title)).into());
        if is_long {
            self.paragraph(&card.title, limit::SECTION);
        }
        let mut marks = Vec::new();
        if let Some(cluster) = &card.cluster {
            if cluster.production {
                marks.push("⚠ PRODUCTION".to_string());
            }
            marks.push(format!("cluster {}", cluster.name));
        }
        if let Some(status) = &card.status {
            marks.push(format!("{} {status}", mark(card.tone)));
        }
        if !marks.is_empty() {
            self.paragraph(&visible::line(&marks.join("  ·  ")), 1_000);
        }
    }

    fn paragraph(&mut self, text: &str, room: usize) {
        let text = visible::block(text.trim_end());
        if !text.trim().is_empty() {
            let room = room.min(limit::SECTION).min(self.left);
            self.cut |= limit::total(&text) > room;
            let text = limit::block(&text, room);
            self.spend(&text);
            self.blocks.push(SlackSectionBlock::new().with_text(plain(text).into()).into());
        }
    }

    fn fields(&mut self, fields: &[(String, String)]) {
        let mut room = FIELDS_ROOM.min(self.left);
        let mut drawn = Vec::new();
        for (label, value) in fields {
            if room < 40 || drawn.len() >= MOST_FIELDS {
                self.cut = true;
                break;
            }
            let text = format!("{}\n{}", visible::line(label), visible::line(value));
            self.cut |= limit::total(&text) > limit::FIELD.min(room);
            let text = limit::block(&text, limit::FIELD.min(room));
            room -= limit::length(&text);
            self.spend(&text);
            drawn.push(SlackBlockText::Plain(plain(text)));
        }
        for some in drawn.chunks(limit::FIELDS) {
            self.blocks.push(SlackSectionBlock::new().with_fields(some.to_vec()).into());
        }
    }

    fn code(&mut self, text: &str, keep: Keep) {
        // The blocks below need their places: links, picture, buttons, footer, steps.
        let places = limit::BLOCKS.saturating_sub(self.blocks.len() + 6);
        let (mut blocks, missing) = code::fenced(text, self.left, keep);
        self.cut |= missing || blocks.len() > places;
        blocks.truncate(places);
        for fenced in blocks {
            self.left = self.left.saturating_sub(limit::length(&fenced));
            let text = SlackBlockMarkDownText::new(fenced).with_verbatim(true);
            self.blocks.push(SlackSectionBlock::new().with_text(text.into()).into());
        }
    }

    /// Where its rows lead: a link cannot stand in a fence.
    fn ways(&mut self, table: &Table, address: &impl Fn(&str) -> String) {
        let links = table.ways().map(|(says, path)| format!("<{}|{says}>", address(path)));
        let mut line = String::new();
        for link in links {
            if limit::length(&line) + limit::length(&link) + 3 > WAYS_ROOM.min(self.left) {
                self.cut = true;
                break;
            }
            line.push_str(if line.is_empty() { "" } else { " · " });
            line.push_str(&link);
        }
        if !line.is_empty() {
            self.spend(&line);
            let text = SlackBlockMarkDownText::new(line).with_verbatim(true);
            self.blocks.push(SlackSectionBlock::new().with_text(text.into()).into());
        }
    }

    fn picture(&mut self, card: &Card, file: Option<&SlackFileId>) {
        match (&card.picture, file) {
            (None, _) => {}
            (Some(picture), Some(file)) => {
                let alt = limit::line(&picture.alt, limit::FIELD);
                self.spend(&alt);
                let file = SlackImageUrlOrFile::SlackFile { slack_file: file.clone().into() };
                self.blocks.push(SlackImageBlock::new(file, alt).into());
            }
            (Some(picture), None) => self.paragraph(&format!("[picture: {}]", picture.alt), limit::FIELD),
        }
    }

    fn steps(&mut self, card: &Card) {
        let mark = |state: &str| match state {
            "done" => "✓ done",
            "working" => "▸ working",
            "failed" => "✗ failed",
            "waiting" => "· waiting",
            _ => "? unknown",
        };
        let lines: Vec<String> = card
            .steps
            .iter()
            .map(|step| format!("{}: {}", mark(&step.state), visible::line(&step.text)))
            .collect();
        self.paragraph(&lines.join("\n"), STEPS_ROOM);
    }

    fn buttons(&mut self, card: &Card) {
        let mut seen = BTreeSet::new();
        // Slack wants every action of a block to have a name of its own.
        let own = card.buttons.iter().filter(|button| seen.insert(&button.id));
        let buttons = own.filter_map(|button| self.button(card, button)).take(limit::BUTTONS);
        let buttons: Vec<SlackActionBlockElement> = buttons.map(Into::into).collect();
        if !buttons.is_empty() {
            self.blocks.push(SlackActionsBlock::new(buttons).into());
        }
    }

    fn button(&self, card: &Card, button: &Button) -> Option<SlackBlockButtonElement> {
        let press = Press::of(card, button)?;
        let carried = press.encode();
        // What would not come back as it went is not offered.
        if Press::decode(&carried).as_ref() != Ok(&press) || carried.len() > limit::VALUE {
            return None;
        }
        let action: String =
            format!("{}{}", payload::ACTION, press.button).chars().take(limit::ACTION_ID).collect();
        // Three dots: there is more to say before it counts.
        let more = if press.wants_reason || press.wants_typed { "…" } else { "" };
        let label = format!("{}{more}", limit::line(&button.label, limit::LABEL - 1));
        let drawn = SlackBlockButtonElement::new(plain_text(label)).with_action_id(action.into());
        let drawn = drawn.with_value(carried);
        Some(match button.style.as_str() {
            "primary" => drawn.with_style(SlackBlockButtonStyle::Primary),
            "danger" => drawn.with_style(SlackBlockButtonStyle::Danger),
            _ => drawn,
        })
    }

    /// Small print, and the way to the rest.
    fn foot(&mut self, card: &Card, address: &impl Fn(&str) -> String) {
        let mut elements: Vec<SlackContextBlockElement> = Vec::new();
        if let Some(footer) = card.footer.as_ref().filter(|footer| !footer.trim().is_empty()) {
            elements.push(plain(limit::line(footer, FOOTER_ROOM)).into());
        }
        let link = card.link.as_deref().and_then(local).map(|path| address(&path));
        let says = if self.cut { "Cut to fit; all of it is in the console" } else { "Open in the console" };
        match link {
            Some(link) if limit::length(&link) < 1_900 => {
                elements
                    .push(SlackBlockMarkDownText::new(format!("<{link}|{says}>")).with_verbatim(true).into());
            }
            _ if self.cut => elements.push(plain("Cut to fit; ask for less to see the rest.".into()).into()),
            _ => {}
        }
        if !elements.is_empty() {
            self.blocks.push(SlackContextBlock::new(elements).into());
        }
    }

    fn spend(&mut self, text: &str) {
        self.left = self.left.saturating_sub(limit::length(text));
    }
}

/// A path of the console, and nothing that leads elsewhere or out of the angle brackets it is put in.
fn local(link: &str) -> Option<String> {
    let is_local = link.starts_with('/') && !link.starts_with("//") && !link.contains('\\');
    let safe = |c: char| c.is_ascii_alphanumeric() || "/-_.~?=#%+:,;@!$'()*".contains(c);
    is_local.then(|| {
        let mut path = String::with_capacity(link.len());
        for c in link.chars() {
            match c {
                '&' => path.push_str("&amp;"),
                c if safe(c) => path.push(c),
                c => c.encode_utf8(&mut [0; 4]).bytes().for_each(|b| path.push_str(&format!("%{b:02X}"))),
            }
        }
        path
    })
}

/// Escaped text in which nothing is markup and `:bomb:` is no picture.
fn plain(escaped: String) -> SlackBlockPlainText {
    SlackBlockPlainText::new(escaped).with_emoji(false)
}

fn plain_text(escaped: String) -> SlackBlockPlainTextOnly {
    plain(escaped).into()
}

fn mark(tone: Tone) -> &'static str {
    match tone {
        Tone::Neutral => "⚪",
        Tone::Waiting => "🟡",
        Tone::Working => "🔵",
        Tone::Good => "🟢",
        Tone::Bad => "🔴",
        Tone::Urgent => "🚨",
    }
}
