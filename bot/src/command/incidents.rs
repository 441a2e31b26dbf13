//! `incidents`, `incident <ID>`: what is wrong.

use super::Command;
use crate::{
    app::App,
    card::{Card, Table, Tone},
    draw,
    grammar::OwnLine,
    healing::{self, decide, known, person},
    line::{Caller, Reply},
};
use clap::{Arg, ArgAction};
use futures::future::BoxFuture;
use ledger::{IncidentId, LedgerError};

/// Rows of the list.
const MOST: u32 = 50;

/// See the module.
pub struct Incidents;

impl Command for Incidents {
    fn name(&self) -> &'static str {
        "incidents"
    }

    fn group(&self) -> &'static str {
        "Heal"
    }

    fn command(&self) -> clap::Command {
        clap::Command::new("incidents")
            .about("What is wrong, newest first, and which rules are blocked where")
            .arg(Arg::new("all").long("all").action(ArgAction::SetTrue).help("Also those that are over"))
            .after_help("Example: incidents --all")
    }

    fn run<'a>(
        &'a self,
        app: &'a App,
        _: &'a Caller,
        line: &'a OwnLine,
    ) -> BoxFuture<'a, Result<Reply, LedgerError>> {
        Box::pin(async move {
            let stored = app.ledger.incidents(!line.matches.get_flag("all"), MOST).await?;
            let mut rows = Vec::new();
            for stored in &stored {
                let (incident, handling) = known::incident(stored)?;
                let names: Vec<&str> = incident.names.iter().map(String::as_str).collect();
                let state = match (&incident.end, &incident.taken, &handling.course) {
                    (Some(end), ..) => draw::incident_end(end),
                    (_, Some((by, _)), _) => format!("{by} has it"),
                    (.., Some(course)) => format!("rule \"{}\"", course.rule),
                    _ => "open".into(),
                };
                rows.push(vec![
                    stored.id.short(),
                    draw::time(incident.times.began),
                    incident.severity.to_string(),
                    incident.group.cluster().unwrap_or("?").to_string(),
                    decide::place(&incident.group),
                    names.join(", "),
                    state,
                ]);
            }
            let blocked = app.ledger.blocked().await?;
            let mut fields = Vec::new();
            for (rule, _, doc) in blocked {
                let target = doc["target"].clone();
                let group: Result<heal::incident::Group, _> = serde_json::from_value(target);
                fields.push((
                    "Blocked".to_string(),
                    format!("\"{rule}\" at {}", group.map_or_else(|_| "?".into(), |group| group.to_string())),
                ));
            }
            let header = ["id", "since", "severity", "cluster", "where", "what", "state"];
            let title = format!("Incidents ({})", rows.len());
            let none = rows.is_empty().then(|| "None.".to_string());
            let table = (!rows.is_empty()).then(|| Table {
                header: header.map(String::from).to_vec(),
                rows,
                links: Vec::new(),
            });
            let footer = Some("`incident <ID>` shows one.".into());
            Ok(Reply::said(Card { table, fields, text: none, footer, ..Card::titled(Tone::Neutral, title) }))
        })
    }
}

/// See the module.
pub struct Incident;

impl Command for Incident {
    fn name(&self) -> &'static str {
        "incident"
    }

    fn group(&self) -> &'static str {
        "Heal"
    }

    fn command(&self) -> clap::Command {
        clap::Command::new("incident")
            .about("All about an incident: what, where, since when, and what was tried")
            .arg(id_argument())
            .after_help("Example: incident 1f3c9a2b")
    }

    fn run<'a>(
        &'a self,
        app: &'a App,
        caller: &'a Caller,
        line: &'a OwnLine,
    ) -> BoxFuture<'a, Result<Reply, LedgerError>> {
        Box::pin(async move {
            let id = match named(app, line).await? {
                Ok(id) => id,
                Err(card) => return Ok(Reply::Wrong(card)),
            };
            let Some(stored) = app.ledger.incident(id).await? else {
                return Ok(Reply::wrong(person::no_such()));
            };
            let (incident, handling) = known::incident(&stored)?;
            let troubles = known::troubles(app.ledger.troubles(id).await?)?;
            let request = match handling.request {
                Some(request) => app.ledger.view(ledger::RequestId(request)).await?,
                None => None,
            };
            let labels = app.labels(incident.group.cluster().unwrap_or_default());
            let card = draw::incident_details(
                &incident,
                &handling,
                &troubles,
                request.as_ref(),
                &labels,
                caller.now,
            );
            Ok(Reply::said(card))
        })
    }
}

/// `<ID>`: the eight characters on the card, or all of it.
pub(super) fn id_argument() -> Arg {
    Arg::new("id")
        .value_name("ID")
        .required(true)
        .value_parser(super::id_text)
        .help("The incident, as its card shows it")
}

/// The incident that `<ID>` names, or a card that says why there is none.
pub(super) async fn named(app: &App, line: &OwnLine) -> Result<Result<IncidentId, Box<Card>>, LedgerError> {
    let text = line.matches.get_one::<String>("id").map(String::as_str).unwrap_or_default();
    if let Ok(id) = text.parse::<IncidentId>() {
        return Ok(Ok(id));
    }
    let found = app.ledger.find_incident(text).await?;
    Ok(match found.as_slice() {
        [id] => Ok(*id),
        [] => Err(Box::new(healing::person::no_such())),
        several => Err(Box::new(Card {
            text: Some("Name one of them in full.".into()),
            fields: several.iter().map(|id| (id.short(), id.to_string())).collect(),
            ..Card::titled(Tone::Bad, format!("{text} is the short name of several incidents"))
        })),
    })
}
