//! Handles what came in through a door: once, whoever's process dies in between (G11). The door makes the event durable
//! (`Ledger::receive`), acknowledges it and calls [`handle`]; [`work`] takes over events whose process died.

use crate::{
    app::App,
    card::{Card, Tone},
    draw,
    healing::person::{self, Deed},
    line::{Reply, answer_line, cancel, vote},
};
use actions::gate::Ballot;
use jiff::SignedDuration;
use jiff::Timestamp;
use ledger::{Event, Inbound, IncidentId, LedgerError, Refusal, Verdict};
use std::time::{Duration, Instant};

/// How long a door's claim on an event lasts; pass it to `Ledger::receive`. Longer than any command may take.
pub const LEASE: Duration = Duration::from_secs(60);

/// Something is said after this long, even if it is only that the answer is on its way.
const FIRST_ANSWER: Duration = Duration::from_millis(2_500);

/// How long the button of an incident's card silences it.
const SILENCE: SignedDuration = SignedDuration::from_hours(1);

/// After so many an event is given up.
const TRIES: i64 = 10;

/// How often events of dead processes are looked for.
const RESCUE_EVERY: Duration = Duration::from_secs(2);

/// What became of a line or click.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one per event, and gone at once")]
pub enum Handled {
    /// The answer is in the room, or will be in a moment: a request's card, or something said.
    Shown,
    /// Show this to the person alone, now; it is not in the room.
    Private(Card),
}

/// What a door calls for a line or click right after `Ledger::receive` gave it. Marks the event as handled. Takes as
/// long as the slowest cluster asked; a door that must acknowledge within seconds spawns it.
pub async fn handle(app: &App, inbound: &Inbound) -> Handled {
    match attempt(app, inbound).await {
        Ok(handled) => handled,
        Err(error) => {
            put_back(app, inbound, &error).await;
            Handled::Private(Card {
                text: Some("It is kept, and will be tried again soon.".into()),
                ..Card::titled(Tone::Bad, "the database does not answer")
            })
        }
    }
}

/// For a door that has acknowledged the event and has nowhere to show an answer of its own: [`handle`] on its own task. What is
/// for the person alone goes through the outbox.
pub fn spawn(app: &App, inbound: Inbound) {
    let app = app.clone();
    tokio::spawn(async move {
        if let Err(error) = through_outbox(&app, &inbound).await {
            put_back(&app, &inbound, &error).await;
        }
    });
}

/// It will be tried again, ever more seldom; when even that cannot be written, as soon as the claim runs out.
async fn put_back(app: &App, inbound: &Inbound, error: &LedgerError) {
    tracing::warn!(inbox.id = %inbound.id, tries = inbound.token, %error, "could not handle an event; it will be tried again");
    let wait = Duration::from_secs(1 << inbound.token.clamp(1, 6));
    if let Err(error) = app.ledger.put_back(inbound, wait).await {
        tracing::debug!(inbox.id = %inbound.id, %error, "could not put an event back");
    }
}

/// Until the app stops: handles events that nobody handles. Their private answers go through the outbox.
pub async fn work(app: App) {
    let mut tick = tokio::time::interval(RESCUE_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        let claimed = match app.ledger.claim_inbox(&app.worker, LEASE, 16).await {
            Ok(claimed) => claimed,
            Err(error) => {
                tracing::warn!(%error, "could not look for events to rescue");
                continue;
            }
        };
        for inbound in claimed {
            tracing::info!(inbox.id = %inbound.id, tries = inbound.token, "took over an event that nobody has handled");
            let (id, task, event) = (inbound.id, app.clone(), inbound.clone());
            // On a task of its own: an event that breaks its handler must not break this worker as well.
            match tokio::spawn(async move { rescue(&task, &event).await }).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => put_back(&app, &inbound, &error).await,
                Err(_) => tracing::error!(inbox.id = %id, "an event broke its handler"),
            }
        }
    }
}

async fn rescue(app: &App, inbound: &Inbound) -> Result<(), LedgerError> {
    // Whoever reads the answer must see what was asked; its process may have died before the console showed the line.
    if let Event::Line { text } = &inbound.event
        && inbound.place.platform() == "console"
    {
        app.ledger.room_line(&inbound.key, &inbound.place, &inbound.actor, text, inbound.at).await?;
    }
    if inbound.token > TRIES {
        return give_up(app, inbound).await;
    }
    through_outbox(app, inbound).await
}

/// It has failed again and again; whoever did it is told so, and the record keeps it.
async fn give_up(app: &App, inbound: &Inbound) -> Result<(), LedgerError> {
    let why = format!("it could not be handled in {TRIES} tries");
    tracing::error!(inbox.id = %inbound.id, actor = %inbound.actor, place = %inbound.place, why, "gave an event up");
    let card = Card {
        text: Some(
            "It failed again and again, and is not tried any more. Whoever runs Petrel finds why in its log. Look at \
             `requests --by me` before you do it again."
                .into(),
        ),
        ..Card::titled(Tone::Bad, "What you did here could not be handled")
    };
    let key = format!("{}:given-up", key(inbound));
    app.ledger.say(&key, &inbound.place, Some(&inbound.actor), &draw::json(&card)).await?;
    app.ledger.give_up_event(inbound, &why, Timestamp::now()).await
}

async fn through_outbox(app: &App, inbound: &Inbound) -> Result<(), LedgerError> {
    if let Handled::Private(card) = attempt(app, inbound).await? {
        app.ledger.say(&key(inbound), &inbound.place, Some(&inbound.actor), &draw::json(&card)).await?;
    }
    Ok(())
}

fn key(inbound: &Inbound) -> String {
    format!("inbox:{}", inbound.id)
}

async fn attempt(app: &App, inbound: &Inbound) -> Result<Handled, LedgerError> {
    let started = Instant::now();
    let reply = reply(app, inbound);
    tokio::pin!(reply);
    let reply = match tokio::time::timeout(FIRST_ANSWER, &mut reply).await {
        Ok(reply) => reply?,
        Err(_) => {
            let card = Card::titled(Tone::Working, "Still looking; the answer follows.");
            let key = format!("{}:wait", key(inbound));
            app.ledger.say(&key, &inbound.place, Some(&inbound.actor), &draw::json(&card)).await?;
            reply.await?
        }
    };
    let handled = match reply {
        Reply::Said(card) | Reply::Trouble(card) => {
            app.ledger.say(&key(inbound), &inbound.place, None, &draw::json(&card)).await?;
            Handled::Shown
        }
        Reply::Request(request) => {
            // Its card is there already when it was asked or clicked here; a typed vote may come from another room.
            if request.ask.place.as_ref() != Some(&inbound.place) {
                app.ledger.show(request.id, &inbound.place).await?;
            }
            Handled::Shown
        }
        Reply::Private(card) | Reply::Wrong(card) => Handled::Private(*card),
        Reply::Refused(refusal) => Handled::Private(draw::refusal(&refusal)),
    };
    app.ledger.handled(inbound).await?;
    app.metrics.event(started.elapsed());
    Ok(handled)
}

async fn reply(app: &App, inbound: &Inbound) -> Result<Reply, LedgerError> {
    let (actor, now) = (&inbound.actor, inbound.at);
    match &inbound.event {
        Event::Line { text } => answer_line(app, actor, Some(&inbound.place), &key(inbound), text, now).await,
        Event::Click { button, request, digest, reason, typed } => {
            // The gate refuses a stranger's vote or cancel itself, and records it.
            let verdict = match button.as_str() {
                "approve" => Verdict::Approve,
                "deny" => Verdict::Deny,
                "cancel" => {
                    return cancel(app, actor, *request, reason.as_deref(), now).await;
                }
                "take" | "give-back" | "silence" => {
                    // The card of an incident, whose id stands where a request's does.
                    let deed = match button.as_str() {
                        "take" => Deed::Take,
                        "give-back" => Deed::GiveBack,
                        _ => Deed::Silence { lasts: SILENCE, why: "from its card".into() },
                    };
                    return person::act(app, actor, IncidentId(request.0), &deed, now).await;
                }
                "details" => {
                    if let Err(refusal) = app.gate.who(actor).await? {
                        return Ok(Reply::Refused(refusal));
                    }
                    return Ok(match app.ledger.view(*request).await? {
                        Some(view) => Reply::private(draw::details(
                            &view,
                            &app.labels(&view.request.plan.target.cluster),
                            now,
                        )),
                        None => Reply::Refused(Refusal::NoSuchRequest),
                    });
                }
                other => {
                    return Ok(Reply::wrong(Card::titled(
                        Tone::Bad,
                        format!("there is no button '{other}'"),
                    )));
                }
            };
            let ballot = Ballot {
                request: *request,
                actor: actor.clone(),
                verdict,
                digest: Some(digest.clone()),
                reason: reason.clone(),
                typed: typed.clone(),
            };
            vote(app, &ballot, now).await
        }
    }
}
