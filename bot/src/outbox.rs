//! Delivers cards: claims what is due, draws a request's card from its state at that moment, and has the platform's door
//! post or edit it. One worker per platform: one that is down delays no other. Within a platform, a room that is slow or
//! told to wait holds at most one of its places, and delays no other room.

use crate::{
    app::App,
    card::Card,
    door::{Door, Kind, Undelivered},
    draw, healing, picture,
};
use futures::FutureExt;
use jiff::Timestamp;
use ledger::{CARD_RESTS, CardSubject, Delivery, LedgerError, Place, Take, Wake};
use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::broadcast::{
        Receiver,
        error::{RecvError, TryRecvError},
    },
    task::JoinSet,
};

/// A worker silent for so long is presumed dead, and its deliveries are taken over.
const LEASE: Duration = Duration::from_secs(10);
/// A door that takes longer is not waited for: the claim would run out.
const DEADLINE: Duration = Duration::from_secs(8);
/// The fallback when no wake arrives.
const POLL: Duration = Duration::from_secs(1);
/// Wakes that come within this of the last look are answered together: every step of every run wakes, and most change no
/// card of this platform.
const GATHER: Duration = Duration::from_millis(20);
/// Delivered at once.
const PARALLEL: usize = 16;
/// While more is due, half of the places are filled together, but not later than after this long.
const TOGETHER: Duration = Duration::from_millis(50);
/// The longest that a room is left alone because its platform said so; a longer wait is asked for again.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// What fails for so long is given up.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);
/// The same for a room that takes nothing until a person changes it.
const PATIENCE_NEVER: Duration = Duration::from_secs(3600);

/// Delivers to one platform until the app stops.
pub async fn work(app: App, door: Arc<dyn Door>) {
    let mut wakes = app.ledger.wakes();
    let mut rooms = Rooms::default();
    let mut tasks: JoinSet<Done> = JoinSet::new();
    while !app.stop.is_cancelled() {
        let (limit, looked) = (PARALLEL - tasks.len(), Instant::now());
        let claimed = match limit {
            0 => Vec::new(),
            _ => claim(&app, &*door, &rooms, limit).await,
        };
        rooms.looked(looked);
        let more = claimed.len() == limit;
        for delivery in claimed {
            rooms.begin(&delivery.place);
            let (app, door) = (app.clone(), door.clone());
            tasks.spawn(async move {
                let place = delivery.place.clone();
                // One card that cannot be drawn must not end the worker; its claim runs out.
                let pause = AssertUnwindSafe(deliver(&app, &*door, &delivery)).catch_unwind().await;
                Done { place, pause: pause.unwrap_or_default() }
            });
        }
        tokio::select! {
            () = app.stop.cancelled() => {}
            () = wait(&mut tasks, &mut rooms, &mut wakes, door.at_once(), more, looked) => {}
        }
    }
    // What was begun is ended; its outcome is noted.
    while tasks.join_next().await.is_some() {}
}

async fn claim(app: &App, door: &dyn Door, rooms: &Rooms, limit: usize) -> Vec<Delivery> {
    let at_once = door.at_once();
    let take = Take { limit: limit as u32, per_room: at_once, except: rooms.closed(at_once, Instant::now()) };
    app.ledger.claim_deliveries(door.platform(), &app.worker, LEASE, &take).await.unwrap_or_else(|error| {
        tracing::warn!(%error, platform = door.platform(), "could not claim cards to deliver");
        Vec::new()
    })
}

/// Until it is worth claiming again.
async fn wait(
    tasks: &mut JoinSet<Done>,
    rooms: &mut Rooms,
    wakes: &mut Receiver<Wake>,
    at_once: u32,
    more: bool,
    looked: Instant,
) {
    let together = tokio::time::sleep(TOGETHER);
    tokio::pin!(together);
    let mut is_late = false;
    loop {
        // What ends meanwhile may bring it forward.
        let at = rooms.next_look().map_or(looked + POLL, |at| at.min(looked + POLL));
        let poll = tokio::time::sleep_until(at.into());
        tokio::select! {
            Some(done) = tasks.join_next() => {
                let takes_more = done.is_ok_and(|done| rooms.end(done, at_once, Instant::now()));
                if (!more && takes_more) || (more && (is_late || tasks.len() <= PARALLEL / 2)) {
                    return;
                }
            }
            () = &mut together, if more && !is_late => {
                is_late = true;
                if tasks.len() < PARALLEL {
                    return;
                }
            }
            wake = wakes.recv(), if !more => match wake {
                Ok(Wake::Card | Wake::Lost) | Err(RecvError::Lagged(_)) => {
                    tokio::time::sleep((looked + GATHER).saturating_duration_since(Instant::now())).await;
                    while matches!(wakes.try_recv(), Ok(_) | Err(TryRecvError::Lagged(_))) {}
                    return;
                }
                Ok(_) => {}
                Err(RecvError::Closed) => std::future::pending().await,
            },
            () = poll, if !more => return,
        }
    }
}

/// One delivery has ended; the platform may have asked to leave the room alone for a while.
struct Done {
    place: Place,
    pause: Option<Duration>,
}

/// Which rooms are being delivered to, and which are to be left alone.
#[derive(Default)]
struct Rooms {
    busy: HashMap<Place, u32>,
    paused: HashMap<Place, Instant>,
    /// A card whose delivery has ended may be due again when it has rested: after the first since the last look, and after the last of all.
    rested: Option<(Instant, Instant)>,
}

impl Rooms {
    fn begin(&mut self, place: &Place) {
        *self.busy.entry(place.clone()).or_default() += 1;
    }

    /// Whether more can be delivered there than before.
    fn end(&mut self, Done { place, pause }: Done, at_once: u32, now: Instant) -> bool {
        let rested = now + CARD_RESTS;
        self.rested = Some((self.rested.map_or(rested, |(first, _)| first), rested));
        let was_full = self.busy.get(&place).is_some_and(|count| *count >= at_once);
        if let Some(pause) = pause {
            self.paused.insert(place.clone(), now + pause.min(LONGEST_PAUSE));
        }
        if let Some(count) = self.busy.get_mut(&place) {
            *count -= 1;
            if *count == 0 {
                self.busy.remove(&place);
            }
        }
        self.paused.retain(|_, until| *until > now);
        was_full
    }

    /// What was waited for until then is over.
    fn looked(&mut self, at: Instant) {
        self.paused.retain(|_, until| *until > at);
        self.rested = self.rested.and_then(|(first, last)| match (first <= at, last <= at) {
            (_, true) => None,
            (true, false) => Some((last, last)),
            (false, false) => Some((first, last)),
        });
    }

    /// Nothing more is claimed for these.
    fn closed(&self, at_once: u32, now: Instant) -> Vec<Place> {
        let full = self.busy.iter().filter(|(_, count)| **count >= at_once).map(|(place, _)| place);
        let paused = self.paused.iter().filter(|(_, until)| **until > now).map(|(place, _)| place);
        full.chain(paused).cloned().collect()
    }

    fn next_look(&self) -> Option<Instant> {
        let rested = self.rested.map(|(first, _)| first);
        self.paused.values().copied().chain(rested).min()
    }
}

/// How long the room is to be left alone.
async fn deliver(app: &App, door: &dyn Door, delivery: &Delivery) -> Option<Duration> {
    let started = Instant::now();
    let outcome = match draw_card(app, delivery).await {
        Ok(card) => match tokio::time::timeout(DEADLINE, door.deliver(delivery, &card)).await {
            Ok(outcome) => outcome.map(|message| (message, card.once)),
            Err(_) => Err(Undelivered::later(format!("no answer within {} s", DEADLINE.as_secs()))),
        },
        Err(why) => Err(Undelivered::later(why)),
    };
    let (noted, pause) = match outcome {
        Ok((message, once)) => {
            app.metrics.delivery(started.elapsed());
            (delivered(app, delivery, &message, once).await, None)
        }
        Err(undelivered) => {
            let pause = undelivered.after;
            (failed(app, delivery, undelivered).await, pause)
        }
    };
    if let Err(error) = noted {
        // The claim runs out and the card is delivered again; doors edit the same message then.
        tracing::warn!(card.id = %delivery.card, %error, "could not note a delivery");
    }
    pause
}

async fn delivered(app: &App, delivery: &Delivery, message: &str, once: bool) -> Result<(), LedgerError> {
    match once {
        true => app.ledger.delivered_once(delivery, message, &draw::json(&draw::shown_once())).await?,
        false => app.ledger.delivered(delivery, message).await?,
    };
    Ok(())
}

async fn failed(app: &App, delivery: &Delivery, undelivered: Undelivered) -> Result<(), LedgerError> {
    let Undelivered { why, after, kind } = undelivered;
    let (card, place, attempts) = (delivery.card, &delivery.place, delivery.attempts);
    if kind == Kind::Paced {
        tracing::debug!(card.id = %card, %place, ?after, "a card waits its turn");
        return app.ledger.postponed(delivery, after.unwrap_or(POLL)).await;
    }
    app.metrics.undelivered(place.platform());
    tracing::warn!(card.id = %card, %place, attempts, why, "could not deliver a card");
    let given_up = match kind {
        Kind::Gone => app.ledger.deleted(delivery, &why).await?,
        Kind::Never => {
            let wait = after.unwrap_or_else(|| seldom(attempts));
            app.ledger.undelivered(delivery, &why, wait, PATIENCE_NEVER).await?
        }
        Kind::Later | Kind::Paced => {
            let wait = after.unwrap_or_else(|| back_off(attempts));
            app.ledger.undelivered(delivery, &why, wait, PATIENCE).await?
        }
    };
    if given_up {
        tracing::error!(card.id = %card, %place, why, "gave a card up; the request's page and `petrel check` show it");
    }
    Ok(())
}

async fn draw_card(app: &App, delivery: &Delivery) -> Result<Card, String> {
    match &delivery.subject {
        CardSubject::Said(card) => serde_json::from_value(card.clone()).map_err(|error| error.to_string()),
        CardSubject::Request(id) => {
            let view = app.ledger.view(*id).await.map_err(|error| error.to_string())?;
            let view = view.ok_or("its request is not there")?;
            let labels = app.labels(&view.request.plan.target.cluster);
            let picture = picture::of_request(app, &view.request).await;
            Ok(Card { picture, ..draw::request(&view, &labels, Timestamp::now()) })
        }
        CardSubject::Incident(id) => {
            let card =
                healing::person::card(app, *id, Timestamp::now()).await.map_err(|error| error.to_string())?;
            card.ok_or_else(|| "its incident is not there".into())
        }
    }
}

/// 200 ms, doubling, at most a minute.
fn back_off(attempts: u32) -> Duration {
    Duration::from_millis(200).saturating_mul(1 << attempts.min(10)).min(Duration::from_secs(60))
}

/// A minute, doubling, at most a quarter of an hour.
fn seldom(attempts: u32) -> Duration {
    Duration::from_secs(60).saturating_mul(1 << attempts.min(10)).min(Duration::from_secs(900))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_from_a_fifth_of_a_second_to_a_minute() {
        assert_eq!(back_off(0), Duration::from_millis(200));
        assert_eq!(back_off(3), Duration::from_millis(1600));
        assert_eq!(back_off(u32::MAX), Duration::from_secs(60));
        assert_eq!((seldom(0), seldom(9)), (Duration::from_secs(60), Duration::from_secs(900)));
    }

    #[test]
    fn a_room_is_closed_while_it_is_full_or_told_to_wait() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let [a, b] = ["slack:T1:A", "slack:T1:B"].map(|place| Place(place.into()));
        let mut rooms = Rooms::default();
        rooms.begin(&a);
        assert_eq!(rooms.closed(1, now), std::slice::from_ref(&a));
        assert!(rooms.closed(2, now).is_empty());
        rooms.begin(&b);
        assert!(!rooms.end(Done { place: a.clone(), pause: Some(second) }, 2, now));
        assert!(rooms.end(Done { place: b, pause: None }, 1, now), "there is a place again");
        assert_eq!(rooms.closed(1, now), [a]);
        assert!(rooms.closed(1, now + second).is_empty());
        rooms.looked(now + second);
        assert_eq!(rooms.next_look(), None, "nothing is waited for any more");
    }

    #[test]
    fn it_is_looked_again_when_the_first_and_when_the_last_card_has_rested() {
        let (now, a) = (Instant::now(), Place("slack:T1:A".into()));
        let at = |ms| now + Duration::from_millis(ms);
        let mut rooms = Rooms::default();
        for ms in [0, 100, 200] {
            rooms.begin(&a);
            rooms.end(Done { place: a.clone(), pause: None }, 1, at(ms));
        }
        rooms.looked(at(210));
        assert_eq!(rooms.next_look(), Some(now + CARD_RESTS));
        rooms.looked(at(250));
        assert_eq!(rooms.next_look(), Some(at(200) + CARD_RESTS));
        rooms.looked(at(450));
        assert_eq!(rooms.next_look(), None);
    }
}
