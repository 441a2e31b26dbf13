//! What Slack takes as Block Kit. Each limit is that of the block's, element's or object's reference page.

use serde_json::Value;
use std::collections::BTreeSet;

/// Where blocks stand decides how many there may be and of which kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Surface {
    Message,
    Modal,
}

/// Why Slack would not take it, as its `response_metadata.messages` would say.
pub(super) type Wrong = String;

/// Checks a list of blocks.
pub(super) fn blocks(blocks: &Value, surface: Surface) -> Result<Vec<Value>, Wrong> {
    let list = blocks.as_array().ok_or("must provide an array of blocks")?;
    let most = if surface == Surface::Message { 50 } else { 100 };
    if list.len() > most {
        return Err(format!("no more than {most} items allowed [json-pointer:/blocks]"));
    }
    let mut ids = BTreeSet::new();
    for (index, block) in list.iter().enumerate() {
        let at = |why: String| format!("{why} [json-pointer:/blocks/{index}]");
        if let Some(id) = block.get("block_id") {
            let id = text_of(id, "block_id", 0, 255).map_err(at)?;
            if !ids.insert(id.clone()) {
                return Err(at(format!("`block_id` {id} already exists in the list")));
            }
        }
        one(block, surface).map_err(at)?;
    }
    Ok(list.clone())
}

fn one(block: &Value, surface: Surface) -> Result<(), Wrong> {
    let kind = block["type"].as_str().ok_or("missing required field: type")?;
    match kind {
        "section" => section(block),
        "divider" => Ok(()),
        "header" => composition(need(block, "text")?, Some("plain_text"), 150),
        "context" => {
            let elements = array(block, "elements", 1, 10)?;
            elements.iter().try_for_each(|element| match element["type"].as_str() {
                Some("image") => image(element),
                _ => composition(element, None, 2000),
            })
        }
        "actions" => {
            let elements = array(block, "elements", 1, 25)?;
            let mut ids = BTreeSet::new();
            for one in elements {
                element(one)?;
                if let Some(id) = one["action_id"].as_str()
                    && !ids.insert(id)
                {
                    return Err(format!("`action_id` {id} already exists in the block"));
                }
            }
            Ok(())
        }
        "image" => image(block),
        "markdown" if surface == Surface::Message => {
            text_of(need(block, "text")?, "text", 1, 12_000).map(|_| ())
        }
        "rich_text" => array(block, "elements", 0, 1000).map(|_| ()),
        "input" => input(block),
        other => Err(format!("unsupported block type: {other}")),
    }
}

fn section(block: &Value) -> Result<(), Wrong> {
    match (block.get("text"), block.get("fields")) {
        (None, None) => return Err("a section needs text or fields".into()),
        (text, fields) => {
            if let Some(text) = text {
                composition(text, None, 3000)?;
            }
            if fields.is_some() {
                let fields = array(block, "fields", 1, 10)?;
                fields.iter().try_for_each(|field| composition(field, None, 2000))?;
            }
        }
    }
    match block.get("accessory") {
        Some(accessory) if accessory["type"] == "image" => image(accessory),
        Some(accessory) => element(accessory),
        None => Ok(()),
    }
}

fn image(block: &Value) -> Result<(), Wrong> {
    text_of(need(block, "alt_text")?, "alt_text", 1, 2000)?;
    match (block.get("image_url"), block.get("slack_file")) {
        (Some(url), None) => text_of(url, "image_url", 1, 3000).map(|_| ()),
        (None, Some(_)) => Ok(()),
        _ => Err("an image needs one of image_url and slack_file".into()),
    }
}

fn input(block: &Value) -> Result<(), Wrong> {
    composition(need(block, "label")?, Some("plain_text"), 2000)?;
    if let Some(hint) = block.get("hint") {
        composition(hint, Some("plain_text"), 2000)?;
    }
    let element = need(block, "element")?;
    if element["type"] == "button" {
        return Err("a button is no input".into());
    }
    self::element(element)
}

fn element(element: &Value) -> Result<(), Wrong> {
    if let Some(id) = element.get("action_id") {
        text_of(id, "action_id", 0, 255)?;
    }
    if let Some(placeholder) = element.get("placeholder") {
        composition(placeholder, Some("plain_text"), 150)?;
    }
    if let Some(confirm) = element.get("confirm") {
        composition(need(confirm, "title")?, Some("plain_text"), 100)?;
        composition(need(confirm, "text")?, None, 300)?;
        composition(need(confirm, "confirm")?, Some("plain_text"), 30)?;
        composition(need(confirm, "deny")?, Some("plain_text"), 30)?;
    }
    match element["type"].as_str() {
        Some("button") => {
            composition(need(element, "text")?, Some("plain_text"), 75)?;
            if let Some(value) = element.get("value") {
                text_of(value, "value", 0, 2000)?;
            }
            if let Some(url) = element.get("url") {
                let url = text_of(url, "url", 0, 3000)?;
                if !url.contains("://") {
                    return Err(format!("invalid url {url}"));
                }
            }
            match element.get("style").map(Value::as_str) {
                None | Some(Some("primary" | "danger")) => Ok(()),
                Some(other) => Err(format!("invalid style {other:?}")),
            }
        }
        Some("plain_text_input") => {
            let most = element["max_length"].as_u64().unwrap_or(3000);
            let least = element["min_length"].as_u64().unwrap_or(0);
            if !(1..=3000).contains(&most) || least > 3000 || least > most {
                return Err("min_length and max_length are out of range".into());
            }
            match element.get("initial_value") {
                Some(value) => text_of(value, "initial_value", 0, 3000).map(|_| ()),
                None => Ok(()),
            }
        }
        Some("static_select") => array(element, "options", 1, 100).map(|_| ()),
        Some("overflow") => array(element, "options", 1, 5).map(|_| ()),
        Some("checkboxes" | "radio_buttons") => array(element, "options", 1, 10).map(|_| ()),
        other => Err(format!("unsupported element type: {other:?}")),
    }
}

/// A text object.
fn composition(text: &Value, kind: Option<&str>, most: usize) -> Result<(), Wrong> {
    let is = text["type"].as_str().unwrap_or_default();
    if !["plain_text", "mrkdwn"].contains(&is) || kind.is_some_and(|kind| kind != is) {
        return Err(format!("a text of type {} is wanted, not {is}", kind.unwrap_or("plain_text or mrkdwn")));
    }
    let allowed: &[&str] =
        if is == "mrkdwn" { &["type", "text", "verbatim"] } else { &["type", "text", "emoji"] };
    for key in text.as_object().into_iter().flat_map(|text| text.keys()) {
        if !allowed.contains(&key.as_str()) {
            return Err(format!("invalid additional property: {key}"));
        }
    }
    text_of(need(text, "text")?, "text", 1, most).map(|_| ())
}

fn need<'a>(value: &'a Value, field: &str) -> Result<&'a Value, Wrong> {
    value.get(field).ok_or_else(|| format!("missing required field: {field}"))
}

fn array<'a>(value: &'a Value, field: &str, least: usize, most: usize) -> Result<&'a Vec<Value>, Wrong> {
    let list = need(value, field)?.as_array().ok_or_else(|| format!("{field} must be an array"))?;
    if list.len() < least {
        return Err(format!("no fewer than {least} items allowed in {field}"));
    }
    if list.len() > most {
        return Err(format!("no more than {most} items allowed in {field}"));
    }
    Ok(list)
}

fn text_of(value: &Value, field: &str, least: usize, most: usize) -> Result<String, Wrong> {
    let text = value.as_str().ok_or_else(|| format!("{field} must be a string"))?;
    let length = text.chars().count();
    if length < least {
        return Err(format!("must be more than {} characters: {field}", least.saturating_sub(1)));
    }
    if length > most {
        return Err(format!("must be less than {} characters: {field}", most + 1));
    }
    Ok(text.to_string())
}

/// Attachments may hold blocks too.
pub(super) fn attachments(attachments: &Value) -> Result<Vec<Value>, Wrong> {
    let list = attachments.as_array().ok_or("attachments must be an array")?;
    if list.len() > 100 {
        return Err("too_many_attachments".into());
    }
    for attachment in list {
        if let Some(inner) = attachment.get("blocks") {
            blocks(inner, Surface::Message)?;
        }
    }
    Ok(list.clone())
}

/// A modal, as `views.open` takes it.
pub(super) fn modal(view: &Value) -> Result<(), Wrong> {
    if view["type"] != "modal" {
        return Err(format!("unsupported view type: {}", view["type"]));
    }
    composition(need(view, "title")?, Some("plain_text"), 24)?;
    for field in ["submit", "close"] {
        if let Some(text) = view.get(field).filter(|text| !text.is_null()) {
            composition(text, Some("plain_text"), 24)?;
        }
    }
    for (field, most) in [("private_metadata", 3000), ("callback_id", 255), ("external_id", 255)] {
        if let Some(text) = view.get(field).filter(|text| !text.is_null()) {
            text_of(text, field, 0, most)?;
        }
    }
    let list = blocks(need(view, "blocks")?, Surface::Modal)?;
    let inputs = list.iter().any(|block| block["type"] == "input");
    if inputs && view.get("submit").is_none_or(Value::is_null) {
        return Err("missing required field: submit (there is an input)".into());
    }
    Ok(())
}
