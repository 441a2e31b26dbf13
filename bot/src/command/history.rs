//! `history <TARGET>`: every request on one target.

use super::{Command, requests};
use crate::{
    app::App,
    grammar::OwnLine,
    line::{Caller, Reply, may_query},
};
use actions::catalogue::{Named, parse_target};
use futures::future::BoxFuture;
use ledger::{LedgerError, RequestFilter, Target};

/// See the module.
pub struct History;

impl Command for History {
    fn name(&self) -> &'static str {
        "history"
    }

    fn group(&self) -> &'static str {
        "Look"
    }

    fn command(&self) -> clap::Command {
        clap::Command::new("history")
            .about("Every request on one workload, newest first")
            .arg(
                clap::Arg::new("target")
                    .value_name("TARGET")
                    .required(true)
                    .value_parser(parse_target)
                    .help("kind/name, such as deploy/checkout"),
            )
            .after_help("Example: history deploy/checkout -n shop -c prod-eu")
    }

    fn wants_target(&self) -> bool {
        true
    }

    fn run<'a>(
        &'a self,
        app: &'a App,
        caller: &'a Caller,
        line: &'a OwnLine,
    ) -> BoxFuture<'a, Result<Reply, LedgerError>> {
        Box::pin(async move {
            // The grammar makes sure that both are there.
            let (Some(named), Some(cluster)) =
                (line.matches.get_one::<Named>("target"), line.cluster.clone())
            else {
                return Ok(Reply::wrong(crate::grammar::command_help(&Some(self.name().into()))));
            };
            if let Err(refusal) = may_query(app, caller, self.name(), &cluster) {
                return Ok(Reply::Refused(refusal));
            }
            let Named { kind, name } = named.clone();
            let target = Target { cluster, namespace: line.namespace.clone(), kind, name, uid: None };
            let filter = RequestFilter { target: Some(target.key()), limit: 20, ..RequestFilter::default() };
            let found = app.ledger.requests(&filter).await?;
            Ok(Reply::said(requests::draw(
                &format!("History of {target}"),
                &found,
                "Nobody has asked for anything on it yet.",
            )))
        })
    }
}
