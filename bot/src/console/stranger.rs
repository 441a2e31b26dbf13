//! Somebody has a token for the console, and policy does not know who they are: nothing is shown to them but how to become
//! somebody. A code of `people link` is the one thing that is read from them, as in every chat.

use super::{
    draw::{icon, layout},
    problem::Problem,
    session::{Holder, Signed},
};
use crate::{app::App, command::people, line::Reply};
use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;

/// The page; `error` says why a code did not count.
pub(super) fn draw(holder: &Holder, error: Option<&str>) -> Markup {
    layout::bare(
        "Not in the policy file",
        html! {
            (icon::petrel())
            div {
                h1 { "Not in the policy file" }
                p {
                    "The policy file names nobody with the identity " code { (crate::visible::line(holder.actor.as_str())) }
                    ". Ask whoever keeps it to add you; or, where Petrel knows you (Slack, Discord), type "
                    code { "people link" } " and bring the code here."
                }
            }
            @if let Some(error) = error { p.error role="alert" { (crate::visible::line(error)) } }
            form method="post" action="/people/link" {
                input type="hidden" name="csrf" value=(holder.csrf);
                label {
                    span { "Code" }
                    input name="code" required autofocus autocomplete="off" spellcheck="false" maxlength="64";
                }
                button.button.primary { "This is me" }
            }
        },
    )
}

#[derive(Deserialize)]
pub(super) struct Typed {
    code: String,
}

/// `POST /people/link`.
pub(super) async fn link(
    State(app): State<App>,
    Signed(holder, typed): Signed<Typed, Holder>,
) -> Result<Response, Problem> {
    if app.gate.who(&holder.actor).await?.is_ok() {
        return Ok(Redirect::to("/").into_response());
    }
    let why = match people::redeem(&app, &holder.actor, typed.code.trim(), Timestamp::now()).await? {
        Reply::Private(_) => return Ok(Redirect::to("/").into_response()),
        Reply::Wrong(card) => card.text.unwrap_or(card.title),
        _ => "That code does not count.".into(),
    };
    let page = draw(&holder, Some(&why));
    Ok((StatusCode::FORBIDDEN, [(header::CACHE_CONTROL, "no-store")], page).into_response())
}
