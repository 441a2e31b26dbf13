//! Rate limits: windows per route and channel, told in headers, and 50 a second for everything.

use super::{Discord, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where a window stands after a call.
pub(super) struct Window {
    limit: u32,
    remaining: u32,
    left: Duration,
    bucket: String,
    global: bool,
}

/// Whether a call may be made now.
pub(super) enum Paced {
    /// Yes; and what the headers say, where there is a limit.
    Free(Option<Window>),
    /// No.
    Limited(Window),
}

/// Calls and seconds of a route's window. Discord does not publish them; these were often seen.
fn route(method: &Method, parts: &[&str]) -> Option<(String, u32, f64)> {
    match (method.as_str(), parts) {
        ("POST", ["channels", id, "messages"]) => Some((format!("post:{id}"), 5, 5.0)),
        ("PATCH", ["channels", id, "messages", _]) => Some((format!("edit:{id}"), 5, 5.0)),
        ("DELETE", ["channels", id, "messages", _]) => Some((format!("delete:{id}"), 5, 1.0)),
        ("GET", ["channels", id, "messages", ..]) => Some((format!("read:{id}"), 5, 5.0)),
        (_, ["webhooks", _, token, ..]) => Some((format!("webhook:{token}"), 5, 2.0)),
        ("PUT", ["applications", ..]) => Some(("commands".into(), 2, 20.0)),
        _ => None,
    }
}

impl Discord {
    pub(super) fn pace(&self, state: &mut State, method: &Method, parts: &[&str]) -> Paced {
        let now = Instant::now();
        let faster = self.shared.rules.faster;
        let mut take = |key: &str, limit: u32, seconds: f64, global: bool| {
            let limit = (f64::from(limit) * faster) as u32;
            let length = Duration::from_secs_f64(seconds);
            let (began, used) = state.windows.entry(key.to_string()).or_insert((now, 0));
            if now.duration_since(*began) >= length {
                (*began, *used) = (now, 0);
            }
            let left = length - now.duration_since(*began);
            let bucket = key.split(':').next().unwrap_or_default().to_string();
            let free = *used < limit;
            *used += u32::from(free);
            let window = Window { limit, remaining: limit - *used, left, bucket, global };
            if free { Ok(window) } else { Err(window) }
        };
        // "Interaction endpoints are not bound to the bot's global rate limit."
        let interaction = matches!(parts.first(), Some(&("interactions" | "webhooks")));
        if !interaction && let Err(window) = take("global", 50, 1.0, true) {
            return Paced::Limited(window);
        }
        let Some((key, limit, seconds)) = route(method, parts) else { return Paced::Free(None) };
        match take(&key, limit, seconds, false) {
            Ok(window) => Paced::Free(Some(window)),
            Err(window) => Paced::Limited(window),
        }
    }
}

impl Paced {
    /// The body of a 429.
    pub fn body(&self) -> Value {
        let Paced::Limited(window) = self else { return Value::Null };
        json!({"message": "You are being rate limited.", "retry_after": window.left.as_secs_f64(), "global": window.global})
    }

    /// What every answer says about the limit.
    pub fn headers(&self, headers: &mut HeaderMap) {
        let (window, limited) = match self {
            Paced::Free(None) => return,
            Paced::Free(Some(window)) => (window, false),
            Paced::Limited(window) => (window, true),
        };
        let mut set = |name: &'static str, value: String| {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        let left = window.left.as_secs_f64();
        if !window.global {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
            set("x-ratelimit-limit", window.limit.to_string());
            set("x-ratelimit-remaining", window.remaining.to_string());
            set("x-ratelimit-reset", format!("{:.3}", now + left));
            set("x-ratelimit-reset-after", format!("{left:.3}"));
            set(
                "x-ratelimit-bucket",
                format!("{:032x}", window.bucket.bytes().map(u128::from).sum::<u128>()),
            );
        } else if limited {
            set("x-ratelimit-global", "true".into());
        }
        if limited {
            set("retry-after", (left.ceil() as u64).max(1).to_string());
            set("x-ratelimit-scope", if window.global { "global" } else { "user" }.into());
        }
    }
}
