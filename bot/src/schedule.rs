//! `[[schedule]]`: actions that Petrel asks for by itself, such as a proposal every hour. One replica does it. What comes to nothing
//! ("nothing to do") is not said. A request gets its card in the schedule's room; while nobody answers, the next one takes over that
//! card, and only when it says something else.

use crate::{
    app::App,
    config::Scheduled,
    grammar::{Context, Line, parse},
    line::own_ask,
};
use actions::gate::Submitted;
use chrono::{DateTime, TimeDelta, Utc};
use jiff::{SignedDuration, Timestamp};
use ledger::{Actor, Along, LedgerError, Request, RequestFilter, RequestId, RequestState};
use std::{collections::HashMap, time::Duration};

/// How often it is looked whether something is due.
const EVERY: Duration = Duration::from_secs(5);
/// One replica at a time.
const LEASE: Duration = Duration::from_secs(30);
/// A time that was missed, because nobody ran, is made up for within this; the newest one only.
const GRACE: TimeDelta = TimeDelta::minutes(30);
/// For so long a no is respected, and a card that nobody has answered is taken over.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(24);
/// The newest requests for the same that are looked at.
const MOST: u32 = 20;

/// Until the app stops.
pub async fn work(app: App) {
    let mut done: HashMap<String, DateTime<Utc>> = HashMap::new();
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        if app.config.schedules.is_empty() {
            continue;
        }
        match app.ledger.take_lease("schedule", &app.worker, LEASE).await {
            Ok(Some(_)) => {}
            Ok(None) => continue,
            Err(error) => {
                tracing::warn!(%error, "could not look whether a schedule is due");
                continue;
            }
        }
        let now = Utc::now();
        for scheduled in &app.config.schedules {
            let Some(tick) = due(scheduled, now, done.get(&scheduled.name).copied()) else { continue };
            match run(&app, scheduled, tick, Timestamp::now()).await {
                Ok(()) => drop(done.insert(scheduled.name.clone(), tick)),
                Err(error) => {
                    tracing::warn!(%error, schedule = scheduled.name, "a scheduled line was not run");
                }
            }
        }
    }
}

/// The newest time of the schedule that has come, jitter included, is not done and not too long ago.
fn due(scheduled: &Scheduled, now: DateTime<Utc>, done: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
    let jitter = TimeDelta::from_std(scheduled.jitter).unwrap_or(TimeDelta::MAX);
    let oldest = now.checked_sub_signed(GRACE).and_then(|time| time.checked_sub_signed(jitter))?;
    let from = done.map_or(oldest, |done| done.max(oldest));
    let times = scheduled.at.after(&from.with_timezone(&scheduled.zone)).map(|time| time.with_timezone(&Utc));
    times
        .take_while(|time| *time <= now)
        .filter(|time| *time + delay(&scheduled.name, *time, scheduled.jitter) <= now)
        .last()
}

/// The same for a schedule and a time wherever it is worked out, and spread over the jitter.
fn delay(name: &str, time: DateTime<Utc>, jitter: Duration) -> TimeDelta {
    // FNV: any spread will do, and it must not change with the compiler.
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in name.bytes().chain(time.timestamp().to_be_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    TimeDelta::seconds((hash % (jitter.as_secs() + 1)) as i64)
}

/// What is to be done at one of its times.
#[derive(Debug, PartialEq)]
enum Turn<'a> {
    /// Nothing, and why.
    Rest(&'static str),
    /// A request of its own.
    Ask,
    /// A request that takes over the card of this one, if it says something else.
    Renew(&'a Request),
}

/// `earlier`: requests for the same action on the same target, newest first.
fn turn<'a>(earlier: &'a [Request], actor: &Actor, now: Timestamp) -> Turn<'a> {
    if let Some(open) = earlier.iter().find(|request| !request.state.is_final()) {
        return match open.state {
            RequestState::Awaiting if open.ask.actor == *actor => Turn::Renew(open),
            _ => Turn::Rest("somebody else's request for the same, or one that runs, is not over yet"),
        };
    }
    let last = earlier.iter().find(|request| request.ask.actor == *actor);
    let Some(last) = last.filter(|last| now.duration_since(last.updated_at) < REMEMBERED) else {
        return Turn::Ask;
    };
    match last.state {
        RequestState::Denied | RequestState::Cancelled => Turn::Rest("somebody said no today"),
        RequestState::Expired => Turn::Renew(last),
        _ => Turn::Ask,
    }
}

/// One time of one schedule. The same time twice is one request.
pub async fn run(
    app: &App,
    scheduled: &Scheduled,
    tick: DateTime<Utc>,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let clusters = app.clusters.names();
    let context = Context { clusters: &clusters, cluster: None, namespace: None };
    // Checked when the config was read.
    let Ok(Line::Ask(line)) = parse(&scheduled.line, &context) else { return Ok(()) };
    let filter = RequestFilter {
        action: Some(line.action.to_string()),
        target: Some(line.target.key()),
        limit: MOST,
        ..RequestFilter::default()
    };
    let earlier = app.ledger.requests(&filter).await?;
    let key = format!("schedule/{}/{}", scheduled.name, tick.timestamp());
    // This very time has been asked for, by whoever may have died before it was shown.
    if let Some(request) = earlier.iter().find(|request| request.ask.key == key) {
        if request.state != RequestState::Refused {
            show(app, scheduled, request, &earlier, now).await?;
        }
        return Ok(());
    }
    let mut ask = own_ask(&scheduled.actor, key, line);
    ask.why = ask.why.or_else(|| Some(format!("schedule {}", scheduled.name)));
    let renewed = match turn(&earlier, &scheduled.actor, now) {
        Turn::Rest(why) => {
            tracing::debug!(schedule = scheduled.name, why, "a scheduled line rests");
            return Ok(());
        }
        Turn::Ask => None,
        Turn::Renew(old) => Some(old),
    };
    if let Some(old) = renewed.filter(|old| old.state == RequestState::Awaiting) {
        match app.gate.explain(&ask, now).await? {
            Ok((plan, _)) if plan.summary != old.plan.summary => {}
            // It expires by itself, and nothing of it runs that would not be planned today.
            Ok(_) | Err(_) => return Ok(()),
        }
    }
    let submitted = match renewed {
        Some(old) => app.gate.submit_with(RequestId::new(), ask, &Along::Instead(old.id), now).await?,
        None => app.gate.submit(ask, now).await?,
    };
    match submitted {
        Submitted::Request { request, .. } if request.state == RequestState::Refused => {
            let why = request.note.unwrap_or_default();
            tracing::warn!(why, schedule = scheduled.name, "policy refuses what is scheduled");
        }
        Submitted::Request { request, .. } => show(app, scheduled, &request, &earlier, now).await?,
        Submitted::NoPlan(why) | Submitted::Nothing(why) => {
            tracing::info!(why, schedule = scheduled.name, "nothing came of it")
        }
        Submitted::Refused(refusal) => {
            tracing::warn!(%refusal, schedule = scheduled.name, "a scheduled line was refused");
        }
    }
    Ok(())
}

/// One proposal waits at a time: it stands in the place of earlier ones that nobody has answered.
async fn show(
    app: &App,
    scheduled: &Scheduled,
    request: &Request,
    earlier: &[Request],
    now: Timestamp,
) -> Result<(), LedgerError> {
    let waits = |old: &&Request| {
        old.id != request.id
            && old.ask.actor == scheduled.actor
            && old.created_at <= request.created_at
            && old.state == RequestState::Awaiting
    };
    for old in earlier.iter().filter(waits) {
        let why = format!("{} stands in its place", request.id.short());
        if let Err(refusal) = app.gate.cancel(old.id, &scheduled.actor, Some(&why), now).await? {
            // Somebody was faster. Both are shown then, each with what became of it.
            tracing::info!(%refusal, request.id = %old.id, "an older proposal goes on");
            app.ledger.show(old.id, &scheduled.place).await?;
        }
    }
    app.ledger.show(request.id, &scheduled.place).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::Place;

    fn nightly(jitter: u64) -> Scheduled {
        Scheduled {
            name: "nightly".into(),
            actor: "schedule:nightly".parse().unwrap(),
            at: "0 0 3 * * * *".parse().unwrap(),
            zone: chrono_tz::Europe::Berlin,
            jitter: Duration::from_secs(jitter),
            place: Place("console:ops".into()),
            line: "hpa propose deploy/checkout -n shop -c prod".into(),
        }
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_time_is_due_once_and_by_the_clock_of_its_zone() {
        let three = at("2026-11-21T02:00:00Z");
        assert_eq!(due(&nightly(0), at("2026-11-21T01:59:59Z"), None), None);
        assert_eq!(due(&nightly(0), three, None), Some(three));
        assert_eq!(due(&nightly(0), at("2026-11-21T02:00:05Z"), Some(three)), None);
        let summer = at("2026-07-01T01:00:00Z");
        assert_eq!(due(&nightly(0), summer, None), Some(summer));
    }

    #[test]
    fn a_time_that_was_missed_is_made_up_for_soon_or_never() {
        assert_eq!(due(&nightly(0), at("2026-11-21T02:20:00Z"), None), Some(at("2026-11-21T02:00:00Z")));
        assert_eq!(due(&nightly(0), at("2026-11-21T02:40:00Z"), None), None);
        let minutely = Scheduled { at: "0 * * * * * *".parse().unwrap(), ..nightly(0) };
        let newest = at("2026-11-21T02:20:00Z");
        assert_eq!(due(&minutely, at("2026-11-21T02:20:30Z"), None), Some(newest), "the newest only");
    }

    #[test]
    fn jitter_delays_and_is_always_the_same() {
        let tick = at("2026-11-21T02:00:00Z");
        let jitter = Duration::from_secs(600);
        let late = delay("nightly", tick, jitter);
        assert!(late > TimeDelta::zero() && late <= TimeDelta::seconds(600));
        assert_eq!(late, delay("nightly", tick, jitter));
        assert_ne!(late, delay("other", tick, jitter));
        assert_eq!(due(&nightly(600), tick + late - TimeDelta::seconds(1), None), None);
        assert_eq!(due(&nightly(600), tick + late, None), Some(tick));
    }
}
