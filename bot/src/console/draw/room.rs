//! The room as a page.

use super::{
    layout::{Here, page},
    message::{Reader, message, whisper},
};
use crate::{card::Card, console::session::Viewer, visible};
use jiff::Timestamp;
use ledger::RoomMessage;
use maud::{Markup, html};
use uuid::Uuid;

/// All that the page shows.
#[derive(Debug)]
pub struct Room<'a> {
    /// Who looks.
    pub viewer: &'a Viewer,
    /// This room's name.
    pub room: &'a str,
    /// All rooms' names.
    pub rooms: Vec<&'a str>,
    /// Meant when a command names none.
    pub cluster: Option<&'a str>,
    /// For the examples in an empty room.
    pub clusters: &'a [String],
    /// For the messages.
    pub reader: Reader<'a>,
    /// Oldest first.
    pub messages: &'a [RoomMessage],
    /// There are more before this message.
    pub older: Option<i64>,
    /// False on a page of older messages, which is not live.
    pub is_newest: bool,
    /// For this reader alone.
    pub whisper: Option<&'a Card>,
    /// Changes from this moment on come live.
    pub since: Timestamp,
}

impl Room<'_> {
    /// The page.
    pub fn draw(&self) -> Markup {
        page(
            &format!("#{}", self.room),
            Here::Room,
            self.viewer,
            html! {
                div.room-head {
                    h1 { "#" (self.room) }
                    @if self.rooms.len() > 1 {
                        nav.rooms aria-label="rooms" {
                            @for room in &self.rooms {
                                @if *room != self.room { a href={ "/?room=" (room) } { "#" (room) } }
                            }
                        }
                    }
                    @if let Some(cluster) = self.cluster { span.small { "commands without -c mean " (visible::line(cluster)) } }
                    @if self.is_newest { span.live data-live-state {} }
                }
                (self.stream())
                (self.composer())
            },
        )
    }

    fn stream(&self) -> Markup {
        let events = self.is_newest.then(|| format!("/events?room={}", self.room));
        html! {
            div.stream tabindex="0" role="region" aria-label={ "messages in " (self.room) } {
                div data-events=[events] data-since=(self.since.as_microsecond()) {
                    @if let Some(older) = self.older {
                        p.older data-older { a href={ "/?room=" (self.room) "&before=" (older) } { "Older messages" } }
                    }
                    ol.messages #messages role="log" aria-relevant="additions" aria-label="messages" {
                        @for one in self.messages { (message(one, &self.reader)) }
                        @if let Some(card) = self.whisper { (whisper(card)) }
                    }
                    @if self.messages.is_empty() { (self.welcome()) }
                    @if !self.is_newest { p.older { a href={ "/?room=" (self.room) } { "Newest messages" } } }
                }
            }
        }
    }

    fn welcome(&self) -> Markup {
        let cluster = self.clusters.first().map_or("prod-eu", String::as_str);
        html! {
            div.welcome {
                h2 { "Nothing has been said here yet" }
                p { "Type what you want done. Petrel shows what would happen, asks the right people, does it, checks that "
                    "it helped, and writes it all down." }
                code { "get pods -c " (visible::line(cluster)) " -A" }
                code { "restart deploy/checkout -n shop -c " (visible::line(cluster)) " --why \"stale cache\"" }
                code { "help" }
            }
        }
    }

    fn composer(&self) -> Markup {
        html! {
            div.composer {
                ul.complete #options role="listbox" aria-label="completions" hidden {}
                form method="post" action="/say" autocomplete="off" data-composer {
                    input type="hidden" name="csrf" value=(self.viewer.csrf);
                    input type="hidden" name="key" value=(Uuid::new_v4().simple());
                    input type="hidden" name="room" value=(self.room);
                    label.hush for="line" { "Command" }
                    input #line name="text" required maxlength="2000" placeholder="Type a command, or help"
                        role="combobox" aria-expanded="false" aria-controls="options" aria-autocomplete="list"
                        aria-describedby="keys" autocapitalize="none" autocorrect="off" spellcheck="false" enterkeyhint="send";
                    button.button.primary { "Send" }
                }
                p.hint #keys { kbd { "Tab" } " completes, " kbd { "↑" } " brings back what you typed, " kbd { "Enter" } " sends." }
                template #pending {
                    li.message.pending data-pending {
                        span.avatar aria-hidden="true" {}
                        div.said { p.by { strong { (visible::line(&self.viewer.name)) } span { "sending" } } p.line data-line {} }
                    }
                }
            }
        }
    }
}
