//! As a script uses it.

use super::{Door, Said};
use crate::{api::Api, world::token};
use futures::future::BoxFuture;
use serde_json::{Value, json};

/// The HTTP API.
pub struct ByApi {
    /// `http://127.0.0.1:port`.
    pub base: String,
}

impl Door for ByApi {
    fn say<'a>(&'a self, who: &'a str, line: &'a str) -> BoxFuture<'a, Said> {
        Box::pin(async move {
            let key = uuid::Uuid::new_v4().to_string();
            let body = Some(json!({"line": line}));
            let api = Api::new(&self.base, &token(who));
            let (_, answer) =
                api.call(reqwest::Method::POST, "/ask", Some(&key), body).await.expect("an answer");
            let request = answer["request"]["id"].as_str().map(str::to_string);
            Said { request, text: plain(&answer) }
        })
    }

    fn click<'a>(&'a self, who: &'a str, request: &'a str, button: &'a str) -> BoxFuture<'a, String> {
        Box::pin(async move {
            let api = Api::new(&self.base, &token(who));
            let (_, answer) = match button {
                "cancel" => api.cancel(request).await,
                verdict => api.vote(request, verdict, Some("because")).await,
            }
            .expect("an answer");
            plain(&answer)
        })
    }
}

/// All texts of an answer, one after the other.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        Value::Object(fields) => fields.values().map(plain).collect::<Vec<_>>().join(" "),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
