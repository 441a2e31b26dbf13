//! Signing in with a token and out again. The token travels in a form's body only: never in a query, never in a log.

use super::{
    draw::{icon, layout},
    problem::Problem,
    session::{self, Signed},
};
use crate::app::App;
use axum::{
    Extension, Form,
    extract::{ConnectInfo, Query, State},
    http::{Extensions, HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Wrong tokens per address within `WINDOW` before it must wait.
const TRIES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses remembered at most.
const ADDRESSES: usize = 10_000;

/// Counts failed sign-ins per address.
#[derive(Debug, Default)]
pub struct Failures(Mutex<HashMap<IpAddr, (u32, Instant)>>);

impl Failures {
    fn too_many(&self, from: IpAddr, now: Instant) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&from).is_some_and(|(count, since)| *count >= TRIES && now.duration_since(*since) < WINDOW)
    }

    fn add(&self, from: IpAddr, now: Instant) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= ADDRESSES {
            all.retain(|_, (_, since)| now.duration_since(*since) < WINDOW);
        }
        if all.len() >= ADDRESSES && !all.contains_key(&from) {
            // Full of live ones: someone has very many addresses. Forgetting all is better than growing.
            all.clear();
        }
        let entry = all.entry(from).or_insert((0, now));
        if now.duration_since(entry.1) >= WINDOW {
            *entry = (0, now);
        }
        entry.0 += 1;
    }
}

#[derive(Deserialize)]
pub(super) struct Onward {
    to: Option<String>,
}

/// Only a path of this console: an absolute address would make the sign-in page a way to anywhere.
fn onward(to: Option<&str>) -> &str {
    let fits = |path: &&str| {
        path.starts_with('/')
            && !path.starts_with("//")
            && path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\')
    };
    to.filter(fits).unwrap_or("/")
}

/// `GET /sign-in`.
pub(super) async fn page(Query(query): Query<Onward>) -> Markup {
    draw(onward(query.to.as_deref()), None)
}

/// The page; `error` says what went wrong.
pub(super) fn draw(to: &str, error: Option<&str>) -> Markup {
    layout::bare(
        "Sign in",
        html! {
            (icon::petrel())
            div {
                h1 { "Sign in to Petrel" }
                p.small { "With the token you were given, or by the link that has it." }
            }
            @if let Some(error) = error { p.error role="alert" { (error) } }
            form method="post" action="/sign-in" data-sign-in {
                input type="hidden" name="to" value=(to);
                label {
                    span { "Token" }
                    input type="password" name="token" required autofocus autocomplete="current-password" spellcheck="false";
                }
                button.button.primary { "Sign in" }
            }
        },
    )
}

#[derive(Deserialize)]
pub(super) struct SignIn {
    token: String,
    to: Option<String>,
}

/// `POST /sign-in`.
pub(super) async fn submit(
    State(app): State<App>,
    Extension(failures): Extension<Arc<Failures>>,
    extensions: Extensions,
    headers: HeaderMap,
    Form(form): Form<SignIn>,
) -> Result<Response, Problem> {
    if !session::same_origin(&headers) {
        return Err(Problem::Forged);
    }
    // Behind a proxy all share its address; a header could be made up by whoever is guessing.
    let peer = extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip());
    let to = onward(form.to.as_deref());
    if failures.too_many(peer, Instant::now()) {
        let page = draw(to, Some("Too many wrong tokens from your address. Wait a minute."));
        return Ok((StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "60")], page).into_response());
    }
    let now = Timestamp::now();
    let from = json!({ "address": peer.to_string() });
    match session::person_of(&app, form.token.trim())
        .and_then(|person| Some((person, session::begin(&app, person, now)?)))
    {
        Some((person, cookie)) => {
            app.ledger.record("sign_in.accepted", &format!("console:{person}"), None, &from, now).await?;
            Ok(([(header::SET_COOKIE, cookie)], Redirect::to(to)).into_response())
        }
        None => {
            failures.add(peer, Instant::now());
            app.ledger.record("sign_in.refused", "console:unknown", None, &from, now).await?;
            let page = draw(to, Some("Nobody has this token. Check that you copied all of it."));
            Ok((StatusCode::FORBIDDEN, page).into_response())
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Nothing {}

/// `POST /sign-out`.
pub(super) async fn leave(State(app): State<App>, Signed(_, Nothing {}): Signed<Nothing>) -> Response {
    ([(header::SET_COOKIE, session::end(&app))], Redirect::to("/sign-in")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_goes_on_to_our_own_pages_only() {
        assert_eq!(onward(Some("/requests?state=open")), "/requests?state=open");
        for bad in
            ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:x", "", "/a\r\nb", "/ü"]
        {
            assert_eq!(onward(Some(bad)), "/", "{bad}");
        }
    }

    #[test]
    fn ten_wrong_tokens_in_a_minute_make_an_address_wait_and_no_other() {
        let (failures, start) = (Failures::default(), Instant::now());
        let (here, there) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        for _ in 0..TRIES {
            assert!(!failures.too_many(here, start));
            failures.add(here, start);
        }
        assert!(failures.too_many(here, start));
        assert!(!failures.too_many(there, start));
        assert!(!failures.too_many(here, start + WINDOW));
    }

    #[test]
    fn the_memory_of_failures_is_bounded() {
        let (failures, start) = (Failures::default(), Instant::now());
        for n in 0..(ADDRESSES as u32 + 10) {
            failures.add(IpAddr::from(n.to_be_bytes()), start);
        }
        assert!(failures.0.lock().unwrap().len() <= ADDRESSES);
    }
}
