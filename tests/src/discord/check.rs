//! What Discord takes as a message, modal or command. Each limit is that of the object's reference page; what is wrong is told as
//! the API does: `50035` with the path of each fault.

use super::state::{COMPONENTS_V2, Content};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Faults by path: `embeds.0.title`.
#[derive(Default)]
pub(super) struct Faults(Vec<(String, String, String)>);

impl Faults {
    fn add(&mut self, path: &str, code: &str, message: impl Into<String>) {
        self.0.push((path.to_string(), code.to_string(), message.into()));
    }

    fn length(&mut self, path: &str, value: Option<&Value>, least: usize, most: usize) -> usize {
        let Some(value) = value.filter(|value| !value.is_null()) else {
            if least > 0 {
                self.add(path, "BASE_TYPE_REQUIRED", "This field is required");
            }
            return 0;
        };
        let Some(text) = value.as_str() else {
            self.add(path, "STRING_TYPE_CONVERT", "Could not interpret as a string");
            return 0;
        };
        let length = text.trim().chars().count();
        if !(least..=most).contains(&length) {
            let wanted = match least {
                0 => format!("Must be {most} or fewer in length."),
                _ => format!("Must be between {least} and {most} in length."),
            };
            self.add(path, "BASE_TYPE_BAD_LENGTH", wanted);
        }
        length
    }

    /// The body of a 400, when there are faults.
    pub fn body(self) -> Result<(), Value> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut errors = Value::Object(Map::new());
        for (path, code, message) in self.0 {
            let mut at = &mut errors;
            for part in path.split('.') {
                at = &mut at[part];
            }
            at["_errors"] = json!([{"code": code, "message": message}]);
        }
        Err(json!({"code": 50035, "message": "Invalid Form Body", "errors": errors}))
    }
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A message to be written, or one to be edited: what is not given is kept.
pub(super) fn message(body: &Value, before: Option<(&Content, u64)>) -> Result<(Content, u64), Value> {
    let mut faults = Faults::default();
    let flags = body["flags"].as_u64().unwrap_or(0) | before.map_or(0, |(_, flags)| flags & COMPONENTS_V2);
    let v2 = flags & COMPONENTS_V2 != 0;
    let given = |field: &str| body.get(field);
    faults.length("content", given("content"), 0, 2000);
    let embeds = list(body, "embeds");
    if embeds.len() > 10 {
        faults.add("embeds", "BASE_TYPE_MAX_LENGTH", "Must be 10 or fewer in length.");
    }
    let mut total = 0;
    for (index, embed) in embeds.iter().enumerate() {
        total += self::embed(&mut faults, &format!("embeds.{index}"), embed);
    }
    if total > 6000 {
        faults.add("embeds", "MAX_EMBED_SIZE_EXCEEDED", "Embed size exceeds maximum size of 6000");
    }
    components(&mut faults, list(body, "components"), v2);
    if v2
        && (given("content").is_some_and(|text| text.as_str().is_some_and(|text| !text.is_empty()))
            || !embeds.is_empty())
    {
        let path = if embeds.is_empty() { "content" } else { "embeds" };
        faults.add(
            path,
            "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2",
            "The field cannot be used when using MessageFlags.IS_COMPONENTS_V2",
        );
    }
    if let Some(nonce) = given("nonce").filter(|nonce| !nonce.is_null()) {
        let length = nonce.as_str().map_or_else(|| nonce.to_string().len(), |nonce| nonce.chars().count());
        if length > 25 {
            faults.add("nonce", "NONCE_TYPE_TOO_LONG", "Nonce must be 25 or fewer in length.");
        }
    }
    mentions(&mut faults, body);
    faults.body()?;
    let before = before.map(|(content, _)| content.clone()).unwrap_or_default();
    let rows = |field: &str, before: Vec<Value>| match given(field) {
        Some(Value::Array(list)) => list.clone(),
        Some(Value::Null) => Vec::new(),
        _ => before,
    };
    let content = Content {
        content: match given("content") {
            Some(Value::String(text)) => text.clone(),
            Some(_) => String::new(),
            None => before.content,
        },
        embeds: rows("embeds", before.embeds),
        components: rows("components", before.components),
    };
    let has_files = !list(body, "attachments").is_empty();
    if content == Content::default() && !has_files {
        return Err(json!({"code": 50006, "message": "Cannot send an empty message"}));
    }
    Ok((content, flags))
}

fn mentions(faults: &mut Faults, body: &Value) {
    let allowed = &body["allowed_mentions"];
    for (field, word) in [("users", "users"), ("roles", "roles")] {
        let named = list(allowed, field).len();
        if named > 100 {
            faults.add(
                &format!("allowed_mentions.{field}"),
                "BASE_TYPE_MAX_LENGTH",
                "Must be 100 or fewer in length.",
            );
        }
        if named > 0 && list(allowed, "parse").iter().any(|parse| parse == word) {
            faults.add(
                "allowed_mentions",
                "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
                format!("parse:[\"{word}\"] and {word}: [ids...] are mutually exclusive."),
            );
        }
    }
}

/// The number of characters that count towards 6,000.
fn embed(faults: &mut Faults, path: &str, embed: &Value) -> usize {
    let mut total = faults.length(&format!("{path}.title"), embed.get("title"), 0, 256);
    total += faults.length(&format!("{path}.description"), embed.get("description"), 0, 4096);
    total += faults.length(&format!("{path}.footer.text"), embed["footer"].get("text"), 0, 2048);
    total += faults.length(&format!("{path}.author.name"), embed["author"].get("name"), 0, 256);
    let fields = list(embed, "fields");
    if fields.len() > 25 {
        faults.add(&format!("{path}.fields"), "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.");
    }
    for (index, field) in fields.iter().enumerate() {
        total += faults.length(&format!("{path}.fields.{index}.name"), field.get("name"), 1, 256);
        total += faults.length(&format!("{path}.fields.{index}.value"), field.get("value"), 1, 1024);
    }
    for url in [&embed["url"], &embed["image"]["url"], &embed["thumbnail"]["url"]] {
        let good =
            |url: &str| ["http://", "https://", "attachment://"].iter().any(|scheme| url.starts_with(scheme));
        if url.as_str().is_some_and(|url| !good(url)) {
            faults.add(
                &format!("{path}.url"),
                "URL_TYPE_INVALID_SCHEME",
                "Scheme must be one of ('http', 'https').",
            );
        }
    }
    if embed["color"].as_u64().is_some_and(|color| color > 0xff_ffff) {
        faults.add(
            &format!("{path}.color"),
            "NUMBER_TYPE_MAX",
            "int value should be less than or equal to 16777215.",
        );
    }
    total
}

fn components(faults: &mut Faults, rows: &[Value], v2: bool) {
    let (mut ids, mut count, mut text) = (BTreeSet::new(), 0, 0);
    if !v2 && rows.len() > 5 {
        faults.add("components", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 5 in length.");
    }
    for (index, row) in rows.iter().enumerate() {
        let path = format!("components.{index}");
        if !v2 && row["type"] != 1 {
            faults.add(
                &format!("{path}.type"),
                "UNION_TYPE_CHOICES",
                "Value of field \"type\" must be one of (1,).",
            );
        }
        component(faults, &path, row, &mut ids, &mut count, &mut text);
    }
    if count > 40 {
        faults.add(
            "components",
            "COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED",
            "Total number of components may not exceed 40",
        );
    }
    if text > 4000 {
        faults.add(
            "components",
            "COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED",
            "Displayable text size in components exceeds maximum size of 4000",
        );
    }
}

fn component(
    faults: &mut Faults,
    path: &str,
    component: &Value,
    ids: &mut BTreeSet<String>,
    count: &mut usize,
    text: &mut usize,
) {
    *count += 1;
    let inner = list(component, "components");
    match component["type"].as_u64() {
        Some(1) => {
            if inner.is_empty() || inner.len() > 5 {
                faults.add(
                    &format!("{path}.components"),
                    "BASE_TYPE_BAD_LENGTH",
                    "Must be between 1 and 5 in length.",
                );
            }
        }
        Some(2) => button(faults, path, component, ids),
        Some(3) => {
            id(faults, path, component, ids);
            if !(1..=25).contains(&list(component, "options").len()) {
                faults.add(
                    &format!("{path}.options"),
                    "BASE_TYPE_BAD_LENGTH",
                    "Must be between 1 and 25 in length.",
                );
            }
        }
        Some(9) => {
            if !(1..=3).contains(&inner.len()) {
                faults.add(
                    &format!("{path}.components"),
                    "BASE_TYPE_BAD_LENGTH",
                    "Must be between 1 and 3 in length.",
                );
            }
            match component.get("accessory") {
                Some(accessory) => {
                    self::component(faults, &format!("{path}.accessory"), accessory, ids, count, text);
                }
                None => {
                    faults.add(&format!("{path}.accessory"), "BASE_TYPE_REQUIRED", "This field is required")
                }
            }
        }
        Some(10) => {
            *text += faults.length(&format!("{path}.content"), component.get("content"), 1, 4000);
        }
        Some(11..=14 | 17) => {}
        other => faults.add(
            &format!("{path}.type"),
            "UNION_TYPE_CHOICES",
            format!("unknown component type {other:?}"),
        ),
    }
    for (index, one) in inner.iter().enumerate() {
        let path = format!("{path}.components.{index}");
        if component["type"] == 1 && !(2..=8).contains(&one["type"].as_u64().unwrap_or(0)) {
            faults.add(
                &format!("{path}.type"),
                "UNION_TYPE_CHOICES",
                "Value of field \"type\" must be one of (2, 3, 5, 6, 7, 8).",
            );
        }
        self::component(faults, &path, one, ids, count, text);
    }
}

fn id(faults: &mut Faults, path: &str, component: &Value, ids: &mut BTreeSet<String>) {
    faults.length(&format!("{path}.custom_id"), component.get("custom_id"), 1, 100);
    if let Some(id) = component["custom_id"].as_str()
        && !ids.insert(id.to_string())
    {
        faults.add(
            &format!("{path}.custom_id"),
            "COMPONENT_CUSTOM_ID_DUPLICATED",
            "Component custom id cannot be duplicated",
        );
    }
}

fn button(faults: &mut Faults, path: &str, button: &Value, ids: &mut BTreeSet<String>) {
    faults.length(&format!("{path}.label"), button.get("label"), 0, 80);
    if button["label"].as_str().unwrap_or_default().is_empty() && button.get("emoji").is_none() {
        faults.add(path, "BUTTON_COMPONENT_INVALID", "A button needs a label or an emoji");
    }
    match button["style"].as_u64() {
        Some(1..=4) if button.get("url").is_none() => id(faults, path, button, ids),
        Some(5) if button.get("custom_id").is_none() => {
            let length = faults.length(&format!("{path}.url"), button.get("url"), 1, 512);
            let url = button["url"].as_str().unwrap_or_default();
            if length > 0
                && !["http://", "https://", "discord://"].iter().any(|scheme| url.starts_with(scheme))
            {
                faults.add(
                    &format!("{path}.url"),
                    "URL_TYPE_INVALID_SCHEME",
                    "Scheme must be one of ('discord', 'http', 'https').",
                );
            }
        }
        Some(1..=5) => faults.add(
            path,
            "BUTTON_COMPONENT_CUSTOM_ID_URL_MUTUALLY_EXCLUSIVE",
            "A custom id and url cannot both be specified",
        ),
        _ => {
            faults.add(&format!("{path}.style"), "BASE_TYPE_CHOICES", "Value must be one of {1, 2, 3, 4, 5}.")
        }
    }
}

/// A modal: `data` of a callback of type 9.
pub(super) fn modal(data: &Value) -> Result<(), Value> {
    let mut faults = Faults::default();
    faults.length("data.custom_id", data.get("custom_id"), 1, 100);
    faults.length("data.title", data.get("title"), 1, 45);
    let parts = list(data, "components");
    if !(1..=5).contains(&parts.len()) {
        faults.add("data.components", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 5 in length.");
    }
    let mut ids = BTreeSet::new();
    for (index, part) in parts.iter().enumerate() {
        let path = format!("data.components.{index}");
        let input = match part["type"].as_u64() {
            Some(1) => match list(part, "components") {
                [input] => {
                    faults.length(&format!("{path}.components.0.label"), input.get("label"), 1, 45);
                    input
                }
                _ => {
                    faults.add(&format!("{path}.components"), "BASE_TYPE_BAD_LENGTH", "Must be 1 in length.");
                    continue;
                }
            },
            Some(18) => {
                faults.length(&format!("{path}.label"), part.get("label"), 1, 45);
                faults.length(&format!("{path}.description"), part.get("description"), 0, 100);
                &part["component"]
            }
            Some(10) => continue,
            other => {
                faults.add(
                    &format!("{path}.type"),
                    "UNION_TYPE_CHOICES",
                    format!("{other:?} is not for modals"),
                );
                continue;
            }
        };
        id(&mut faults, &path, input, &mut ids);
        faults.length(&format!("{path}.placeholder"), input.get("placeholder"), 0, 100);
        if input["type"] == 4 && !matches!(input["style"].as_u64(), Some(1 | 2)) {
            faults.add(&format!("{path}.style"), "BASE_TYPE_CHOICES", "Value must be one of {1, 2}.");
        }
        let (least, most) =
            (input["min_length"].as_u64().unwrap_or(0), input["max_length"].as_u64().unwrap_or(4000));
        if least > 4000 || !(1..=4000).contains(&most) || least > most {
            faults.add(
                &format!("{path}.max_length"),
                "NUMBER_TYPE_MAX",
                "min_length and max_length are out of range",
            );
        }
        faults.length(&format!("{path}.value"), input.get("value"), 0, most as usize);
    }
    faults.body()
}

/// Choices of an autocomplete.
pub(super) fn choices(data: &Value) -> Result<(), Value> {
    let mut faults = Faults::default();
    let choices = list(data, "choices");
    if choices.len() > 25 {
        faults.add("data.choices", "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.");
    }
    for (index, choice) in choices.iter().enumerate() {
        faults.length(&format!("data.choices.{index}.name"), choice.get("name"), 1, 100);
        if choice["value"].is_string() {
            faults.length(&format!("data.choices.{index}.value"), choice.get("value"), 1, 100);
        }
    }
    faults.body()
}

/// All commands at once.
pub(super) fn commands(commands: &Value) -> Result<(), Value> {
    let mut faults = Faults::default();
    let Some(all) = commands.as_array() else {
        return Err(json!({"code": 50035, "message": "Invalid Form Body", "errors": {"_errors": []}}));
    };
    if all.len() > 100 {
        faults.add(
            "_",
            "APPLICATION_COMMANDS_TOO_MANY",
            "Maximum number of application commands reached (100)",
        );
    }
    let mut names = BTreeSet::new();
    for (index, command) in all.iter().enumerate() {
        let path = index.to_string();
        if !names.insert(command["name"].to_string()) {
            faults.add(
                &format!("{path}.name"),
                "APPLICATION_COMMANDS_DUPLICATE_NAME",
                "Application command names must be unique",
            );
        }
        let mut size = 0;
        if command["type"].as_u64().unwrap_or(1) == 1 {
            option(&mut faults, &path, command, 0, &mut size);
        }
        if size > 8000 {
            faults.add(&path, "APPLICATION_COMMAND_TOO_LARGE", "Command exceeds maximum size (8000)");
        }
    }
    faults.body()
}

/// A command, subcommand or option: name, description, options, choices.
fn option(faults: &mut Faults, path: &str, one: &Value, depth: u32, size: &mut usize) {
    let name = one["name"].as_str().unwrap_or_default();
    let fits = |c: char| c.is_alphanumeric() || "-_'".contains(c);
    if name.is_empty() || name.chars().count() > 32 || !name.chars().all(fits) || name != name.to_lowercase()
    {
        faults.add(&format!("{path}.name"), "APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid");
    }
    *size +=
        name.chars().count() + faults.length(&format!("{path}.description"), one.get("description"), 1, 100);
    let options = list(one, "options");
    if options.len() > 25 {
        faults.add(&format!("{path}.options"), "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.");
    }
    let choices = list(one, "choices");
    if choices.len() > 25 {
        faults.add(&format!("{path}.choices"), "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.");
    }
    for choice in choices {
        *size += choice["name"].as_str().map_or(0, |text| text.chars().count());
        *size += choice["value"].as_str().map_or(0, |text| text.chars().count());
    }
    if !choices.is_empty() && one["autocomplete"] == true {
        faults.add(
            path,
            "APPLICATION_COMMAND_AUTOCOMPLETE_CHOICES",
            "Choices and autocomplete are mutually exclusive",
        );
    }
    let (mut names, mut optional, mut kinds) = (BTreeSet::new(), false, BTreeSet::new());
    for (index, inner) in options.iter().enumerate() {
        let path = format!("{path}.options.{index}");
        if !names.insert(inner["name"].to_string()) {
            faults.add(
                &format!("{path}.name"),
                "APPLICATION_COMMAND_OPTIONS_NAME_ALREADY_EXISTS",
                "Option name already exists",
            );
        }
        let kind = inner["type"].as_u64().unwrap_or(0);
        kinds.insert(kind <= 2);
        match kind {
            1 | 2 if depth + kind as u32 <= 2 => {}
            3..=11 => {
                let required = inner["required"] == true;
                if required && optional {
                    faults.add(
                        &path,
                        "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID",
                        "Required options must be placed before non-required options",
                    );
                }
                optional |= !required;
            }
            _ => faults.add(
                &format!("{path}.type"),
                "BASE_TYPE_CHOICES",
                "Sub-command option type cannot be used here",
            ),
        }
        option(faults, &path, inner, depth + 1, size);
    }
    if kinds.len() > 1 {
        faults.add(
            &format!("{path}.options"),
            "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID",
            "Sub-command and sub-command group option types are mutually exclusive to all other types",
        );
    }
}
