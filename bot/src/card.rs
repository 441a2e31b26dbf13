//! A platform-neutral chat message. Each door draws it in its own way and escapes it in its own way: everything in here is
//! plain text that came, in part, from people and clusters.

use serde::{Deserialize, Serialize};

/// What colour and mark a card gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tone {
    /// An answer.
    Neutral,
    /// Waits for a person.
    Waiting,
    /// In progress.
    Working,
    /// Went well.
    Good,
    /// Did not.
    Bad,
    /// A person must look now.
    Urgent,
}

/// The cluster a card is about; always shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterBadge {
    /// Name in the registry.
    pub name: String,
    /// Marked and guarded.
    pub production: bool,
}

/// A line of live progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepLine {
    /// `waiting`, `working`, `done`, `failed`, `unknown`.
    pub state: String,
    /// What it is: `patch Deployment checkout`.
    pub text: String,
}

/// Rows under a header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Column names.
    pub header: Vec<String>,
    /// One text per column.
    pub rows: Vec<Vec<String>>,
    /// Paths in the console, one per row: the row's first text leads there. Empty: nowhere.
    #[serde(default)]
    pub links: Vec<String>,
}

impl Table {
    /// The rows that lead somewhere: what each says first, and the path. Only plain words and paths, which mean nothing else in
    /// any platform's markup: for doors whose tables cannot hold links.
    pub fn ways(&self) -> impl Iterator<Item = (&str, &str)> {
        let plain = |text: &str, also: &str| {
            (1..=200).contains(&text.len())
                && text.chars().all(|c| c.is_ascii_alphanumeric() || also.contains(c))
        };
        let rows = self.rows.iter().zip(&self.links);
        let pairs = rows.filter_map(|(row, path)| Some((row.first()?.as_str(), path.as_str())));
        pairs.filter(move |(says, path)| plain(says, "-") && path.starts_with('/') && plain(path, "/-"))
    }
}

/// A drawing that the ledger keeps (`Ledger::picture`) as SVG and as PNG.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// Which.
    pub id: ledger::PictureId,
    /// What is to be seen, for who cannot see it.
    pub alt: String,
}

/// A monospaced block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    /// `diff` or `text`.
    pub language: String,
    /// The text.
    pub text: String,
}

/// Something to click.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Button {
    /// `approve`, `deny`, `cancel`, `details`.
    pub id: String,
    /// What it says.
    pub label: String,
    /// `primary`, `danger`, `plain`.
    pub style: String,
    /// Ask for a reason first (deny).
    pub wants_reason: bool,
    /// Ask for this text to be typed first (a guarded cluster's name).
    pub wants_typed: Option<String>,
}

/// A chat message that any door can draw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Colour and mark.
    pub tone: Tone,
    /// One line.
    pub title: String,
    /// State in a word or two, drawn as a pill: `awaiting 1 of 2`.
    pub status: Option<String>,
    /// Where.
    pub cluster: Option<ClusterBadge>,
    /// A sentence or two.
    pub text: Option<String>,
    /// Label and value.
    pub fields: Vec<(String, String)>,
    /// Rows.
    pub table: Option<Table>,
    /// Diff, logs.
    pub code: Option<Code>,
    /// A chart.
    #[serde(default)]
    pub picture: Option<Picture>,
    /// Live steps.
    pub steps: Vec<StepLine>,
    /// To click.
    pub buttons: Vec<Button>,
    /// Small print: id, who, when.
    pub footer: Option<String>,
    /// Path in the console: `/requests/<id>`.
    pub link: Option<String>,
    /// Whose card; buttons act on it. The card of an incident has its id here.
    pub request: Option<ledger::RequestId>,
    /// Hex digest of the plan shown; goes with every click (G3).
    pub digest: Option<String>,
    /// It holds a secret: once delivered, its text is forgotten.
    #[serde(default)]
    pub once: bool,
}

impl Card {
    /// A card with a title and nothing else yet.
    pub fn titled(tone: Tone, title: impl Into<String>) -> Card {
        Card {
            tone,
            title: title.into(),
            status: None,
            cluster: None,
            text: None,
            fields: Vec::new(),
            table: None,
            code: None,
            picture: None,
            steps: Vec::new(),
            buttons: Vec::new(),
            footer: None,
            link: None,
            request: None,
            digest: None,
            once: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_no_markup_anywhere_leads_somewhere() {
        let rows =
            ["019a-b", "<b>", "[x](y)", "019c", "", "019d"].map(|cell| vec![cell.to_string()]).to_vec();
        let links = ["/requests/1", "/requests/2", "/requests/3", "//evil.example)", "/requests/5"];
        let table = Table { header: Vec::new(), rows, links: links.map(String::from).to_vec() };
        assert_eq!(table.ways().collect::<Vec<_>>(), [("019a-b", "/requests/1")]);
    }
}
