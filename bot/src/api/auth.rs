//! Bearer tokens.

use super::Problem;
use crate::app::App;
use axum::{
    extract::FromRequestParts,
    http::{StatusCode, header, request::Parts},
};
use ledger::Actor;
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use utoipa::{
    Modify,
    openapi::{
        OpenApi,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

/// The script behind a token.
pub struct Bearer(pub Actor);

impl FromRequestParts<App> for Bearer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let header = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let unknown = || {
            Problem::new(
                StatusCode::UNAUTHORIZED,
                "Who are you?",
                "Send Authorization: Bearer with a token of the config's [[api.token]].",
            )
        };
        let (_, token) = token.ok_or_else(unknown)?;
        let name = find(app, token.trim()).ok_or_else(unknown)?;
        // Names are checked when the config is read, so this is an actor.
        format!("api:{name}").parse().map(Bearer).map_err(|_| unknown())
    }
}

/// Looks at every token in the same time, whichever fits: digests of equal length, compared without branches.
fn find<'a>(app: &'a App, token: &str) -> Option<&'a str> {
    let sent = Sha256::digest(token.as_bytes());
    let mut found = None;
    for known in &app.config.api {
        let digest = Sha256::digest(known.token.expose_secret().as_bytes());
        if bool::from(digest.as_slice().ct_eq(sent.as_slice())) {
            found = Some(known.name.as_str());
        }
    }
    found
}

/// Adds the scheme to the OpenAPI description.
pub struct Scheme;

impl Modify for Scheme {
    fn modify(&self, openapi: &mut OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        openapi.components.get_or_insert_default().add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}
