//! What is around every page.

use super::icon;
use crate::{
    console::{assets, session::Viewer},
    visible,
};
use maud::{DOCTYPE, Markup, html};

/// The page that is shown, for the menu.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Here {
    Room,
    Requests,
    Incidents,
    Drills,
    Clusters,
    Audit,
    Help,
}

const MENU: [(Here, &str, &str); 7] = [
    (Here::Room, "/", "Room"),
    (Here::Requests, "/requests", "Requests"),
    (Here::Incidents, "/incidents", "Incidents"),
    (Here::Drills, "/drills", "Drills"),
    (Here::Clusters, "/clusters", "Clusters"),
    (Here::Audit, "/audit", "Audit"),
    (Here::Help, "/help", "Help"),
];

/// A whole page for someone who is signed in.
pub fn page(title: &str, here: Here, viewer: &Viewer, main: Markup) -> Markup {
    let class = if here == Here::Room { "page room-page" } else { "page" };
    document(
        title,
        class,
        html! {
            a.skip href="#main" { "Skip to content" }
            header.rail {
                a.brand href="/" { (icon::petrel()) span { "Petrel" } }
                nav aria-label="main" {
                    @for (place, path, name) in MENU {
                        a href=(path) aria-current=[(place == here).then_some("page")] { (name) }
                    }
                }
                form.me method="post" action="/sign-out" {
                    input type="hidden" name="csrf" value=(viewer.csrf);
                    p {
                        strong data-me { (visible::line(&viewer.name)) }
                        @if !viewer.groups.is_empty() { span { (visible::line(&viewer.groups.join(", "))) } }
                    }
                    button.button.quiet { "Sign out" }
                }
            }
            main id="main" tabindex="-1" { (main) }
        },
    )
}

/// A whole page for anyone.
pub fn bare(title: &str, main: Markup) -> Markup {
    document(title, "bare", html! { main id="main" { (main) } })
}

/// A page that leads on at once. A session cookie is `SameSite=Strict`, so it does not come along when someone follows a
/// link from a chat; one step from our own page brings it.
pub fn hop(to: &str) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; meta http-equiv="refresh" content={ "0;url=" (to) }; title { "Petrel" } }
            body { a href=(to) { "Go on" } }
        }
    }
}

fn document(title: &str, class: &str, body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (visible::line(title)) " · Petrel" }
                link rel="stylesheet" href=(assets::path("console.css"));
                link rel="icon" type="image/svg+xml" href=(assets::path("petrel.svg"));
                script src=(assets::path("console.js")) defer {}
            }
            body class=(class) { (body) }
        }
    }
}
