//! Ways in, as people use them: each types lines and clicks buttons on the card of a request, whatever is beneath.

mod api;
mod console;
mod discord;
mod slack;

pub use api::ByApi;
pub use console::ByConsole;
pub use discord::{ByDiscord, request_of as discord_request};
pub use slack::{BySlack, request_of as slack_request};

use futures::future::BoxFuture;
use std::time::Duration;

/// How long a person waits for an answer.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What came back to a line.
#[derive(Clone, Debug)]
pub struct Said {
    /// The request that it made, or that is shown.
    pub request: Option<String>,
    /// What there is to read.
    pub text: String,
}

/// A way in. People are named as in the policy.
pub trait Door: Send + Sync {
    /// `who` types a line; what they see next.
    fn say<'a>(&'a self, who: &'a str, line: &'a str) -> BoxFuture<'a, Said>;

    /// `who` clicks `approve`, `deny`, `cancel` or `details` on a request's card, gives a reason where one is wanted; what they are
    /// told, or what the card then says.
    fn click<'a>(&'a self, who: &'a str, request: &'a str, button: &'a str) -> BoxFuture<'a, String>;
}

/// The request that a text links to: `.../requests/<id>`.
pub fn request_in(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("/requests/")?;
    let id: String = rest.chars().take(36).collect();
    uuid::Uuid::try_parse(&id).ok().map(|_| id)
}

/// What somebody puts into a field of a modal that is called so.
pub fn fill(label: &str) -> String {
    let label = label.to_lowercase();
    match label.contains("reason") || label.contains("why") {
        true => "because".into(),
        // The only other thing that is asked for is the cluster's name.
        false => "test".into(),
    }
}

/// "Still looking": the answer follows.
fn is_placeholder(text: &str) -> bool {
    text.contains("Still looking")
}
