//! As a browser without scripts meets it.

use super::{Door, Said};
use crate::{console::Console, world::token};
use futures::future::BoxFuture;

/// The console.
pub struct ByConsole {
    /// `http://127.0.0.1:port`.
    pub base: String,
}

impl ByConsole {
    async fn console(&self, who: &str) -> Console {
        Console::sign_in(&self.base, &token(who)).await.expect("signed in")
    }
}

impl Door for ByConsole {
    fn say<'a>(&'a self, who: &'a str, line: &'a str) -> BoxFuture<'a, Said> {
        Box::pin(async move {
            let message = self.console(who).await.say(line).await.expect("an answer");
            Said { request: message.request, text: message.text }
        })
    }

    fn click<'a>(&'a self, who: &'a str, request: &'a str, button: &'a str) -> BoxFuture<'a, String> {
        Box::pin(async move {
            self.console(who).await.click(request, button, Some("because")).await.expect("an answer").1
        })
    }
}
