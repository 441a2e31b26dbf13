//! Who is signed in. Sessions are stateless: a cookie signed with a key derived from the person's own token, so they
//! survive restarts, work on every replica, need no further secret, and end when the token is changed or taken away.

use super::problem::Problem;
use crate::app::App;
use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, Method, header, request::Parts},
};
use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use ledger::Actor;
use rand::Rng;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// A shift; then one signs in again.
pub const SESSION_LASTS: SignedDuration = SignedDuration::from_hours(12);

/// Someone who is signed in and whom policy knows.
#[derive(Clone, Debug)]
pub struct Viewer {
    /// `console:ann`.
    pub actor: Actor,
    /// The person's name in the policy file.
    pub name: String,
    /// Their groups.
    pub groups: Vec<String>,
    /// Goes with every form; worthless in another session.
    pub csrf: String,
    /// When the session ends.
    pub expires: Timestamp,
}

/// Whose token it is that somebody has signed in with, whether policy knows them or not.
#[derive(Clone, Debug)]
pub struct Holder {
    /// `console:ann`.
    pub actor: Actor,
    /// As [`Viewer::csrf`].
    pub csrf: String,
    /// As [`Viewer::expires`].
    expires: Timestamp,
}

/// What a cookie says, once its signature has been found good.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Session {
    person: String,
    expires: i64,
    nonce: String,
}

impl Session {
    /// `person.expires.nonce.signature`.
    fn sign(&self, token: &SecretString) -> String {
        let signature = hex::encode(self.mac(token, "session"));
        format!("{}.{}.{}.{signature}", self.person, self.expires, self.nonce)
    }

    fn csrf(&self, token: &SecretString) -> String {
        hex::encode(self.mac(token, "form"))
    }

    fn mac(&self, token: &SecretString, purpose: &str) -> [u8; 32] {
        let mut mac = hmac(token.expose_secret().as_bytes());
        mac.update(
            format!("petrel console 1\0{purpose}\0{}\0{}\0{}", self.person, self.expires, self.nonce)
                .as_bytes(),
        );
        mac.finalize().into_bytes().into()
    }

    /// Reads a cookie; `token` gives a person's token, if they have one.
    fn verify<'a>(
        cookie: &str,
        now: Timestamp,
        token: impl Fn(&str) -> Option<&'a SecretString>,
    ) -> Option<(Session, &'a SecretString)> {
        let mut parts = cookie.split('.');
        let (person, expires, nonce, signature) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let session = Session { person: person.into(), expires: expires.parse().ok()?, nonce: nonce.into() };
        let token = token(person)?;
        let good: bool = session.mac(token, "session").ct_eq(&hex::decode(signature).ok()?).into();
        (good && now.as_second() < session.expires).then_some((session, token))
    }
}

fn hmac(key: &[u8]) -> Hmac<Sha256> {
    // Hashed to fit one block, whatever the token's length.
    let mut block = [0u8; 64];
    block[..32].copy_from_slice(&Sha256::digest(key));
    Hmac::<Sha256>::new(&block.into())
}

/// The person whose token this is. Every token is compared, each in constant time, so that timing says nothing.
pub fn person_of<'a>(app: &'a App, offered: &str) -> Option<&'a str> {
    let offered = Sha256::digest(offered.as_bytes());
    let mut found = None;
    for known in &app.config.people {
        if Sha256::digest(known.token.expose_secret().as_bytes()).ct_eq(&offered).into() {
            found = Some(known.person.as_str());
        }
    }
    found
}

fn is_https(app: &App) -> bool {
    app.config.server.public_url.as_deref().is_some_and(|url| url.starts_with("https://"))
}

/// Over https the browser itself guarantees that nobody but this host, over https, has set it.
fn cookie_name(app: &App) -> &'static str {
    if is_https(app) { "__Host-petrel" } else { "petrel" }
}

fn cookie(app: &App, value: &str, seconds: i64) -> String {
    let secure = if is_https(app) { "; Secure" } else { "" };
    format!("{}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}", cookie_name(app))
}

/// The cookie of a new session. None: nobody by that name has a token.
pub fn begin(app: &App, person: &str, now: Timestamp) -> Option<String> {
    let token = token_of(app, person)?;
    let mut nonce = [0u8; 16];
    rand::rng().fill_bytes(&mut nonce);
    let expires = now.as_second() + SESSION_LASTS.as_secs();
    let session = Session { person: person.into(), expires, nonce: hex::encode(nonce) };
    Some(cookie(app, &session.sign(token), SESSION_LASTS.as_secs()))
}

/// The cookie that takes a session away.
pub fn end(app: &App) -> String {
    cookie(app, "", 0)
}

fn token_of<'a>(app: &'a App, person: &str) -> Option<&'a SecretString> {
    app.config.people.iter().find(|known| known.person == person).map(|known| &known.token)
}

fn cookie_value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut pairs =
        headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

impl FromRequestParts<App> for Holder {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Holder, Problem> {
        let now = Timestamp::now();
        let session = cookie_value(&parts.headers, cookie_name(app))
            .and_then(|cookie| Session::verify(cookie, now, |person| token_of(app, person)));
        let Some((session, token)) = session else { return Err(sign_in_first(parts)) };
        let Ok(actor) = format!("console:{}", session.person).parse() else {
            return Err(Problem::Bad(format!("{} cannot be a name in the console", session.person)));
        };
        let expires = Timestamp::from_second(session.expires).unwrap_or(now);
        Ok(Holder { actor, csrf: session.csrf(token), expires })
    }
}

impl FromRequestParts<App> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Viewer, Problem> {
        let holder = Holder::from_request_parts(parts, app).await?;
        // Asked each time: whoever is taken out of the policy file is out at once.
        let Ok(who) = app.gate.who(&holder.actor).await? else { return Err(Problem::Stranger(holder)) };
        let Holder { actor, csrf, expires } = holder;
        Ok(Viewer { actor, name: who.person.0, groups: who.groups, csrf, expires })
    }
}

fn sign_in_first(Parts { headers, uri, method, .. }: &Parts) -> Problem {
    // What was posted is gone; after signing in one begins at the room.
    let here = uri.path_and_query().filter(|_| method == Method::GET);
    let to = here.map_or("/", |path| path.as_str()).to_string();
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    if !header("accept").contains("text/html") {
        Problem::SignedOut
    } else if header("sec-fetch-site") == "cross-site" {
        Problem::Hop(to)
    } else {
        Problem::SignIn(to)
    }
}

/// A form that came from a page of this session: same origin, and with the session's own token.
#[derive(Debug)]
pub struct Signed<T, By = Viewer>(pub By, pub T);

/// Whoever has a session, and so forms of their own.
pub trait SignedIn: FromRequestParts<App, Rejection = Problem> + Send {
    /// What goes with their forms.
    fn csrf(&self) -> &str;
}

impl SignedIn for Viewer {
    fn csrf(&self) -> &str {
        &self.csrf
    }
}

impl SignedIn for Holder {
    fn csrf(&self) -> &str {
        &self.csrf
    }
}

#[derive(Deserialize)]
struct Form<T> {
    csrf: String,
    #[serde(flatten)]
    fields: T,
}

impl<T: DeserializeOwned, By: SignedIn> FromRequest<App> for Signed<T, By> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        if !same_origin(request.headers()) {
            return Err(Problem::Forged);
        }
        let (mut parts, body) = request.into_parts();
        let by = By::from_request_parts(&mut parts, app).await?;
        let body = Bytes::from_request(Request::from_parts(parts.clone(), body), app);
        let body = body.await.map_err(|error| Problem::Bad(error.to_string()))?;
        // As axum's own Form does it.
        let form = axum::Form::<Form<T>>::from_request(Request::from_parts(parts, body.into()), app).await;
        let axum::Form(form) = form.map_err(|error| Problem::Bad(error.to_string()))?;
        if !bool::from(form.csrf.as_bytes().ct_eq(by.csrf().as_bytes())) {
            return Err(Problem::Forged);
        }
        Ok(Signed(by, form.fields))
    }
}

/// A browser says where a request comes from; what it says cannot be set by a page. Other programs say nothing.
pub fn same_origin(headers: &HeaderMap) -> bool {
    let header = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    match (header(header::HeaderName::from_static("sec-fetch-site")), header(header::ORIGIN)) {
        (Some(site), _) => site == "same-origin" || site == "none",
        (None, Some(origin)) => {
            let host = origin.split_once("://").map(|(_, host)| host);
            host.is_some() && host == header(header::HOST)
        }
        (None, None) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn session() -> Session {
        Session { person: "ann".into(), expires: 1_000, nonce: "n0".into() }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn verify(cookie: &str, token: &SecretString, now: i64) -> bool {
        Session::verify(cookie, at(now), |person| (person == "ann").then_some(token)).is_some()
    }

    #[test]
    fn a_session_holds_until_it_expires() {
        let token = SecretString::from("0123456789abcdef");
        let cookie = session().sign(&token);
        assert!(verify(&cookie, &token, 999));
        assert!(!verify(&cookie, &token, 1_000));
    }

    #[test]
    fn a_changed_token_ends_the_sessions_made_with_the_old_one() {
        let cookie = session().sign(&"0123456789abcdef".into());
        assert!(!verify(&cookie, &"0123456789abcdeF".into(), 1));
    }

    #[test]
    fn the_form_token_is_not_the_cookie_and_differs_between_sessions() {
        let token = SecretString::from("0123456789abcdef");
        let other = Session { nonce: "n1".into(), ..session() };
        assert!(!session().sign(&token).contains(&session().csrf(&token)));
        assert_ne!(session().csrf(&token), other.csrf(&token));
    }

    proptest! {
        #[test]
        fn no_changed_cookie_passes(at in 0usize..120, with in any::<char>()) {
            let token = SecretString::from("0123456789abcdef");
            let good = session().sign(&token);
            let mut chars: Vec<char> = good.chars().collect();
            let at = at % chars.len();
            // A signature is the same number in upper case.
            prop_assume!(!chars[at].eq_ignore_ascii_case(&with));
            chars[at] = with;
            prop_assert!(!verify(&chars.into_iter().collect::<String>(), &token, 1));
        }

        #[test]
        fn no_text_is_a_session(text in any::<String>()) {
            prop_assert!(!verify(&text, &"0123456789abcdef".into(), 0));
        }
    }

    #[test]
    fn only_our_own_pages_may_post() {
        let headers = |pairs: &[(&'static str, &'static str)]| {
            pairs
                .iter()
                .map(|(k, v)| (header::HeaderName::from_static(k), v.parse().unwrap()))
                .collect::<HeaderMap>()
        };
        assert!(same_origin(&headers(&[("sec-fetch-site", "same-origin")])));
        assert!(!same_origin(&headers(&[("sec-fetch-site", "same-site")])));
        assert!(!same_origin(&headers(&[
            ("sec-fetch-site", "cross-site"),
            ("origin", "http://a"),
            ("host", "a")
        ])));
        assert!(same_origin(&headers(&[("origin", "http://a:1"), ("host", "a:1")])));
        assert!(!same_origin(&headers(&[("origin", "http://b"), ("host", "a")])));
        assert!(!same_origin(&headers(&[("origin", "null"), ("host", "a")])));
        assert!(same_origin(&headers(&[("host", "a")])));
    }
}
