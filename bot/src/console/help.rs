//! What can be typed, from the grammar.

use super::{
    draw::layout::{Here, page},
    session::Viewer,
};
use crate::{grammar, visible};
use maud::{Markup, html};

/// `GET /help`.
pub(super) async fn page_of(viewer: Viewer) -> Markup {
    page(
        "Help",
        Here::Help,
        &viewer,
        html! {
            h1 { "What you can type" }
            p { "In the room, in every chat, in " code { "petrel ask" } " and in the API. Every target names its cluster with "
                code { "-c" } "; a room may have a default, and the card always shows which one is meant." }
            div.help {
                @for group in grammar::described().chunk_by(|a, b| a.group == b.group) {
                    section {
                        h2 { (group[0].group) }
                        @for command in group {
                            article id=(command.name) {
                                details {
                                    summary { code { (command.name) } " " (visible::line(&command.about)) }
                                    pre.code tabindex="0" { (visible::block(&command.details)) }
                                }
                            }
                        }
                    }
                }
            }
        },
    )
}
