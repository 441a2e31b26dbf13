//! The form that asks for more before a click counts: why it is denied, or the name of the cluster it is approved for.

use super::{limit, plain_text};
use crate::slack::payload::{FORM, Form, INPUT, Memo};
use slack_morphism::prelude::*;

/// The longest reason; as in the console.
const REASON: u64 = 500;
/// The longest name of a cluster.
const NAME: u64 = 100;

/// The form for one click.
pub fn form(asked: &Form) -> SlackView {
    let verb = capital(&asked.press.button);
    // One input: a button that wants both would be two clicks.
    let (label, hint, most) = match asked.press.wants_reason {
        true => ("Reason", "Everybody who sees the request sees it too.", REASON),
        false => {
            let hint = "It stands beside the title of the card. This is asked so that nobody changes production by accident.";
            ("Type the cluster's name to go on", hint, NAME)
        }
    };
    let input = SlackBlockPlainTextInputElement::new()
        .with_action_id(INPUT.1.into())
        .with_min_length(1)
        .with_max_length(most)
        .with_focus_on_load(true);
    let input =
        SlackInputBlock::new(words(label), input.into()).with_block_id(INPUT.0.into()).with_hint(words(hint));
    let mut blocks: Vec<SlackBlock> = Vec::new();
    if !asked.headline.trim().is_empty() {
        let headline = plain_text(limit::line(&asked.headline, limit::SECTION));
        blocks.push(SlackSectionBlock::new().with_text(headline.into()).into());
    }
    blocks.push(input.into());
    let title: String = verb.chars().take(limit::FORM_TITLE).collect();
    let memo = |memo: &Memo| serde_json::json!(memo).to_string();
    let mut metadata = memo(&asked.memo);
    if limit::length(&metadata) > limit::PRIVATE_METADATA {
        // Without the click's response_url the answer is posted as an ephemeral message.
        metadata = memo(&Memo { url: None, ..asked.memo.clone() });
    }
    SlackView::Modal(
        SlackModalView::new(words(&title), blocks)
            .with_submit(words(&title))
            .with_close(words("Back"))
            .with_callback_id(FORM.into())
            .with_private_metadata(metadata),
    )
}

fn words(text: &str) -> SlackBlockPlainTextOnly {
    plain_text(text.to_string())
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
