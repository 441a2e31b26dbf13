//! The console as a browser without scripts meets it: pages, forms, cookies.

use crate::wait;
use anyhow::{Context, Result, ensure};
use reqwest::StatusCode;
use std::time::Duration;

/// Somebody who signed in.
pub struct Console {
    base: String,
    http: reqwest::Client,
}

/// A message of the room, as the page shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Grows.
    pub id: i64,
    /// Whose card.
    pub request: Option<String>,
    /// What a person reads, without markup.
    pub text: String,
    /// The page's own markup of it.
    pub html: String,
}

impl Console {
    /// Signs in with a token.
    pub async fn sign_in(base: &str, token: &str) -> Result<Console> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().cookie_store(true).timeout(Duration::from_secs(20)).build()?;
        let answer =
            http.post(format!("{base}/sign-in")).form(&[("token", token), ("to", "/")]).send().await?;
        ensure!(answer.status().is_success(), "sign in: {}", answer.status());
        Ok(Console { base: base.to_string(), http })
    }

    /// A page.
    pub async fn page(&self, path: &str) -> Result<String> {
        let answer = self.http.get(format!("{}{path}", self.base)).send().await?;
        ensure!(answer.status().is_success(), "{path}: {}", answer.status());
        Ok(answer.text().await?)
    }

    /// The room, oldest first.
    pub async fn room(&self) -> Result<Vec<Message>> {
        let page = self.page("/?room=ops").await?;
        Ok(page.split("<li class=\"message").skip(1).filter_map(message).collect())
    }

    /// Types a line and waits for Petrel's next message.
    pub async fn say(&self, line: &str) -> Result<Message> {
        let before = self.room().await?.last().map_or(0, |message| message.id);
        let page = self.page("/?room=ops").await?;
        let form = [
            ("csrf", hidden(&page, "csrf")?),
            ("key", uuid::Uuid::new_v4().simple().to_string()),
            ("room", "ops".into()),
            ("text", line.into()),
        ];
        let answer = self.http.post(format!("{}/say", self.base)).form(&form).send().await?;
        ensure!(answer.status().is_success(), "say '{line}': {}", answer.status());
        // What is for the typist alone is not in the room: the page that answers the form shows it.
        let page = answer.text().await?;
        if let Some((_, whisper)) = page.split_once("data-whisper") {
            let whisper = whisper.split("</li>").next().unwrap_or_default();
            return Ok(Message {
                id: before,
                request: None,
                text: readable(whisper),
                html: whisper.to_string(),
            });
        }
        Ok(wait::until(&format!("an answer to '{line}'"), Duration::from_secs(20), || async {
            let room = self.room().await.ok()?;
            room.into_iter().find(|message| message.id > before && message.text.contains("Petrel"))
        })
        .await)
    }

    /// Clicks a button on the request's card; what the page then says to the clicker.
    pub async fn click(
        &self,
        request: &str,
        button: &str,
        reason: Option<&str>,
    ) -> Result<(StatusCode, String)> {
        let page = self.page("/?room=ops").await?;
        let card = self
            .room()
            .await?
            .into_iter()
            .rev()
            .find(|message| message.request.as_deref() == Some(request))
            .context("the card")?;
        let form = [
            ("csrf", hidden(&page, "csrf")?),
            ("key", uuid::Uuid::new_v4().simple().to_string()),
            ("room", "ops".into()),
            ("from", "room".into()),
            ("request", request.into()),
            ("digest", hidden(&card.html, "digest").unwrap_or_default()),
            ("button", button.into()),
            ("reason", reason.unwrap_or_default().into()),
        ];
        let answer = self.http.post(format!("{}/click", self.base)).form(&form).send().await?;
        Ok((answer.status(), readable(&answer.text().await?)))
    }
}

/// `<input type="hidden" name="csrf" value="...">`.
fn hidden(page: &str, name: &str) -> Result<String> {
    let marker = format!("name=\"{name}\" value=\"");
    let rest = page.split(&marker).nth(1).with_context(|| format!("no field {name}"))?;
    Ok(rest.split('"').next().unwrap_or_default().to_string())
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let rest = tag.split(&format!("{name}=\"")).nth(1)?;
    rest.split('"').next().map(str::to_string)
}

fn message(html: &str) -> Option<Message> {
    let tag = html.split('>').next()?;
    Some(Message {
        id: attribute(tag, "data-message")?.parse().ok()?,
        request: attribute(tag, "data-request"),
        text: readable(html.split_once('>')?.1),
        html: html.to_string(),
    })
}

/// The text between the tags.
fn readable(html: &str) -> String {
    let mut text = String::new();
    let mut tag = false;
    for c in html.chars() {
        match c {
            '<' => {
                tag = true;
                text.push(' ');
            }
            '>' => tag = false,
            c if !tag => text.push(c),
            _ => {}
        }
    }
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.replace("&quot;", "\"")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}
