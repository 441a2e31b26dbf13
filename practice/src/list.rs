//! Lists: selectors, pages, consistency.

use crate::failure::Failure;
use crate::object;
use crate::resource::Resource;
use crate::routes::Call;
use crate::selector::{Fields, Labels};
use crate::store::Store;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::sync::Arc;

/// Which objects of a table are meant.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    /// Empty: all.
    pub namespace: String,
    pub labels: Labels,
    pub fields: Fields,
}

impl Filter {
    pub fn read(call: &Call, resource: &Resource, namespace: &str) -> Result<Filter, Failure> {
        Ok(Filter {
            namespace: namespace.to_owned(),
            labels: Labels::parse(call.query("labelSelector"))?,
            fields: Fields::parse(call.query("fieldSelector"), resource)?,
        })
    }
    pub fn matches(&self, object: &Value) -> bool {
        (self.namespace.is_empty() || object::namespace(object) == self.namespace)
            && self.labels.matches(object::labels(object))
            && self.fields.matches(object)
    }
    fn selects(&self) -> bool {
        !self.labels.is_empty() || !self.fields.is_empty()
    }
}

/// Where the next page starts.
struct Token {
    version: u64,
    after: (String, String),
}

impl Token {
    fn write(&self) -> String {
        URL_SAFE_NO_PAD.encode(json!({"v": "meta.k8s.io/v1", "rv": self.version, "start": format!("{}/{}\0", self.after.0, self.after.1)}).to_string())
    }
    fn read(text: &str) -> Result<Token, Failure> {
        let parsed = || -> Option<Token> {
            let token: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
            let (namespace, name) = token["start"].as_str()?.strip_suffix('\0')?.split_once('/')?;
            Some(Token { version: token["rv"].as_u64()?, after: (namespace.to_owned(), name.to_owned()) })
        };
        parsed()
            .ok_or_else(|| Failure::bad_request("continue key is not valid: it was not made by this server"))
    }
}

/// The list object, as bytes.
pub(crate) fn answer(
    store: &Store,
    call: &Call,
    resource: &Resource,
    namespace: &str,
) -> Result<Vec<u8>, Failure> {
    let filter = Filter::read(call, resource, namespace)?;
    let limit: usize = match call.query("limit") {
        "" => 0,
        text => text.parse().map_err(|_| {
            Failure::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))
        })?,
    };
    let token = Some(call.query("continue")).filter(|text| !text.is_empty()).map(Token::read).transpose()?;
    let version = match &token {
        Some(token) => token.version,
        None => asked_version(store, call)?,
    };
    let id = resource.id();
    let current = version == store.version();
    // Only an older state has to be reconstructed; the current one is read in place.
    let view = if current {
        None
    } else {
        Some(store.view(&id, version).ok_or_else(|| too_old(store, token.as_ref()))?)
    };
    let all: Box<dyn Iterator<Item = &Arc<Value>>> = match &view {
        Some(view) => Box::new(view.values()),
        None => store.candidates(&id, namespace, &filter.labels),
    };
    let mut matching = all.filter(|object| filter.matches(object)).filter(|object| {
        token.as_ref().is_none_or(|token| {
            (object::namespace(object), object::name(object))
                > (token.after.0.as_str(), token.after.1.as_str())
        })
    });
    let mut items: Vec<&Arc<Value>> = Vec::new();
    while limit == 0 || items.len() < limit {
        let Some(object) = matching.next() else { break };
        items.push(object);
    }
    let left = if limit > 0 && items.len() == limit { matching.count() } else { 0 };
    let mut metadata = json!({"resourceVersion": version.to_string()});
    if let (true, Some(last)) = (left > 0, items.last()) {
        metadata["continue"] = json!(
            Token { version, after: (object::namespace(last).to_owned(), object::name(last).to_owned()) }
                .write()
        );
        if !filter.selects() {
            metadata["remainingItemCount"] = json!(left);
        }
    }
    Ok(write(resource, &metadata, &items))
}

/// Which version the client wants to see.
fn asked_version(store: &Store, call: &Call) -> Result<u64, Failure> {
    let (asked, matching) = (call.query("resourceVersion"), call.query("resourceVersionMatch"));
    if asked.is_empty() || asked == "0" {
        return Ok(store.version());
    }
    let version: u64 =
        asked.parse().map_err(|_| Failure::bad_request(format!("invalid resource version {asked:?}")))?;
    if version > store.version() {
        let mut late = Failure::new(
            504,
            "Timeout",
            format!("Too large resource version: {version}, current: {}", store.version()),
        );
        late.details = json!({"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}], "retryAfterSeconds": 1});
        return Err(late);
    }
    Ok(if matching == "Exact" { version } else { store.version() })
}

fn too_old(store: &Store, token: Option<&Token>) -> Failure {
    let Some(token) = token else {
        return Failure::expired("The resourceVersion for the provided list is too old.");
    };
    let mut failure = Failure::expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
    );
    failure.continue_ = Some(Token { version: store.version(), after: token.after.clone() }.write());
    failure
}

/// Entries of built-in lists carry no apiVersion and kind of their own, as on the real server.
pub(crate) fn write(resource: &Resource, metadata: &Value, items: &[&Arc<Value>]) -> Vec<u8> {
    let mut out = format!(
        "{{\"kind\":{},\"apiVersion\":{},\"metadata\":{metadata},\"items\":[",
        json!(format!("{}List", resource.kind)),
        json!(resource.api_version())
    )
    .into_bytes();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        if resource.custom {
            serde_json::to_writer(&mut out, &***item).expect("writing to memory");
            continue;
        }
        out.push(b'{');
        let mut first = true;
        for (field, value) in item
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(field, _)| *field != "apiVersion" && *field != "kind")
        {
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
            serde_json::to_writer(&mut out, field).expect("writing to memory");
            out.push(b':');
            serde_json::to_writer(&mut out, value).expect("writing to memory");
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"]}\n");
    out
}
