//! `request <ID>`: all about one request, as it stands now.

use super::{Command, id_argument, named_request};
use crate::{
    app::App,
    grammar::OwnLine,
    line::{Caller, Reply},
};
use futures::future::BoxFuture;
use ledger::{LedgerError, Refusal};

/// See the module.
pub struct Request;

impl Command for Request {
    fn name(&self) -> &'static str {
        "request"
    }

    fn group(&self) -> &'static str {
        "Look"
    }

    fn command(&self) -> clap::Command {
        clap::Command::new("request")
            .about("One request: its plan, votes, steps and result")
            .arg(id_argument())
            .after_help("Example: request 1f3c9a2b")
    }

    fn run<'a>(
        &'a self,
        app: &'a App,
        caller: &'a Caller,
        line: &'a OwnLine,
    ) -> BoxFuture<'a, Result<Reply, LedgerError>> {
        Box::pin(async move {
            let id = match named_request(app, line).await? {
                Ok(id) => id,
                Err(card) => return Ok(Reply::Wrong(card)),
            };
            Ok(match app.ledger.view(id).await? {
                Some(view) => Reply::said(crate::draw::details(
                    &view,
                    &app.labels(&view.request.plan.target.cluster),
                    caller.now,
                )),
                None => Reply::Refused(Refusal::NoSuchRequest),
            })
        })
    }
}
