//! Live pages: server-sent events. The process listens to the database once (`Ledger::wakes`); a stream asks it only for the
//! message that changed, or for all that changed since a moment after a gap.

use super::{
    draw::{card::Clicks, message, message::Reader},
    incidents,
    problem::Problem,
    requests,
    session::Viewer,
};
use crate::app::App;
use axum::{
    Extension,
    extract::{Query, State},
    http::{HeaderMap, HeaderName, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use jiff::{SignedDuration, Timestamp};
use ledger::{IncidentId, LedgerError, Place, RequestId, RoomMessage, Wake};
use serde::Deserialize;
use serde_json::json;
use std::{
    collections::{BTreeSet, HashMap},
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::{
    broadcast::{self, error::RecvError},
    mpsc,
};
use tokio_stream::wrappers::ReceiverStream;

/// Streams one person may have open at once, over all tabs and devices.
const STREAMS: usize = 12;
/// A change may be stamped by another replica's clock and committed a moment later: look back so far after a gap.
/// Drawing something again does no harm.
const LOOK_BACK: SignedDuration = SignedDuration::from_secs(60);
/// Changes drawn after a gap at most; who was away for longer reloads.
const CATCH_UP: u32 = 200;
/// That something happened to an incident does not say to which; so many wakes are one look.
const TOGETHER: Duration = Duration::from_millis(300);

/// Counts open streams per person.
#[derive(Debug, Default)]
pub struct Streams(Mutex<HashMap<String, usize>>);

/// One open stream; counted until it is dropped.
#[derive(Debug)]
struct Seat {
    streams: Arc<Streams>,
    who: String,
}

impl Streams {
    fn seat(self: &Arc<Self>, who: &str) -> Option<Seat> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(who.to_string()).or_default();
        if *count >= STREAMS {
            return None;
        }
        *count += 1;
        Some(Seat { streams: self.clone(), who: who.to_string() })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.streams.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.who) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.who);
            }
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Subject {
    room: Option<String>,
    request: Option<RequestId>,
    incident: Option<IncidentId>,
    /// Microseconds since 1970 of the newest change the page has.
    since: Option<i64>,
}

/// `GET /events?room=ops&since=...`, or `request=...` or `incident=...` in place of the room.
pub(super) async fn events(
    State(app): State<App>,
    Extension(streams): Extension<Arc<Streams>>,
    viewer: Viewer,
    headers: HeaderMap,
    Query(subject): Query<Subject>,
) -> Result<Response, Problem> {
    let watched = match (&subject.room, subject.request, subject.incident) {
        (Some(room), None, None) => Watched::Room(super::room::place(&app, room)?),
        (None, Some(request), None) => Watched::Request(request),
        (None, None, Some(incident)) => Watched::Incident(incident),
        _ => return Err(Problem::Bad("say what to watch: ?room=, ?request= or ?incident=".into())),
    };
    let seat =
        streams.seat(&viewer.name).ok_or(Problem::TooMany("You have too many pages open; close some."))?;
    // After a cut the browser sends the id of the last event it got.
    let resumed = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let seen = resumed.or(subject.since).and_then(|micros| Timestamp::from_microsecond(micros).ok());
    // Subscribe before reading, so that nothing falls in between.
    let wakes = app.ledger.wakes();
    let (out, events) = mpsc::channel(16);
    let seen = seen.unwrap_or_else(Timestamp::now);
    let feed = Feed { app, viewer, watched, seen, shown: None, wakes, out };
    tokio::spawn(async move {
        feed.run().await;
        drop(seat);
    });
    let stream =
        Sse::new(ReceiverStream::new(events)).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)));
    // A buffering proxy would hold back what should be live.
    let headers = [(header::CACHE_CONTROL, "no-store"), (HeaderName::from_static("x-accel-buffering"), "no")];
    Ok((headers, stream).into_response())
}

enum Watched {
    Room(Place),
    Request(RequestId),
    Incident(IncidentId),
}

struct Feed {
    app: App,
    viewer: Viewer,
    watched: Watched,
    seen: Timestamp,
    /// Of an incident, what was drawn last.
    shown: Option<incidents::Shown>,
    wakes: broadcast::Receiver<Wake>,
    out: mpsc::Sender<Result<Event, Infallible>>,
}

/// The reader is gone.
struct Gone;

impl Feed {
    /// Until the reader leaves, the session or the process ends, or the database fails; then the browser comes back
    /// and gets what it missed.
    async fn run(mut self) {
        let stop = self.app.stop.clone();
        let left = self.viewer.expires.duration_since(Timestamp::now());
        let over = tokio::time::sleep(Duration::try_from(left).unwrap_or_default());
        let out = self.out.clone();
        tokio::select! {
            () = stop.cancelled() => {}
            () = over => {}
            () = out.closed() => {}
            ended = self.feed() => {
                if let Err(error) = ended {
                    tracing::warn!(error = &error as &dyn std::error::Error, "a live page lost the database and will come back");
                }
            }
        }
    }

    async fn feed(&mut self) -> Result<(), LedgerError> {
        let hello = Event::default().retry(Duration::from_secs(2)).comment("here");
        if self.out.send(Ok(hello)).await.is_err() || self.catch_up().await?.is_err() {
            return Ok(());
        }
        loop {
            let sent = match self.changed().await {
                None => return Ok(()),
                Some(Changed::Anything) => self.catch_up().await?,
                Some(Changed::Messages(ids)) => self.messages(ids).await?,
                Some(Changed::Request) => self.request().await?,
                Some(Changed::Incident) => {
                    tokio::time::sleep(TOGETHER).await;
                    // Before reading, so that nothing falls in between.
                    self.wakes = self.wakes.resubscribe();
                    self.incident().await?
                }
            };
            if sent.is_err() || self.app.gate.who(&self.viewer.actor).await?.is_err() {
                return Ok(());
            }
        }
    }

    /// Waits for what this page shows to change; takes all wakes that have come in by then together.
    async fn changed(&mut self) -> Option<Changed> {
        let mut ids = BTreeSet::new();
        let mut wake = self.wakes.recv().await;
        loop {
            match (wake, &self.watched) {
                (Err(RecvError::Closed), _) => return None,
                (Err(RecvError::Lagged(_)) | Ok(Wake::Lost), _) => return Some(Changed::Anything),
                (Ok(Wake::Room { place, message }), Watched::Room(mine)) if place == *mine => {
                    ids.insert(message);
                }
                (Ok(Wake::Request(changed)), Watched::Request(mine)) if changed == *mine => {
                    return Some(Changed::Request);
                }
                (Ok(Wake::Event | Wake::Card), Watched::Incident(_)) => return Some(Changed::Incident),
                (Ok(_), _) => {}
            }
            wake = match self.wakes.try_recv() {
                Ok(next) => Ok(next),
                Err(broadcast::error::TryRecvError::Lagged(n)) => Err(RecvError::Lagged(n)),
                Err(_) if ids.is_empty() => self.wakes.recv().await,
                Err(_) => return Some(Changed::Messages(ids)),
            };
        }
    }

    async fn catch_up(&mut self) -> Result<Result<(), Gone>, LedgerError> {
        match &self.watched {
            Watched::Request(_) => self.request().await,
            Watched::Incident(_) => self.incident().await,
            Watched::Room(place) => {
                let since = self.seen.saturating_sub(LOOK_BACK).unwrap_or(self.seen);
                let missed = self.app.ledger.room_changed(place, &self.viewer.actor, since, CATCH_UP).await?;
                self.messages(missed).await
            }
        }
    }

    async fn messages(
        &mut self,
        ids: impl IntoIterator<Item = i64>,
    ) -> Result<Result<(), Gone>, LedgerError> {
        for id in ids {
            if let Some(one) = self.app.ledger.room_message(id, &self.viewer.actor).await?
                && self.message(&one).await.is_err()
            {
                return Ok(Err(Gone));
            }
        }
        Ok(Ok(()))
    }

    async fn message(&mut self, one: &RoomMessage) -> Result<(), Gone> {
        let clicks =
            Clicks { csrf: self.viewer.csrf.clone(), room: one.place.room().to_string(), from: "room" };
        let reader = Reader { actor: &self.viewer.actor, clicks, notice: None };
        let html = message::message(one, &reader).into_string();
        self.draw(changed_at(one), html).await
    }

    async fn request(&mut self) -> Result<Result<(), Gone>, LedgerError> {
        let Watched::Request(id) = self.watched else { return Ok(Ok(())) };
        let Some(html) = requests::live(&self.app, &self.viewer, id, None).await? else { return Ok(Ok(())) };
        Ok(self.draw(Timestamp::now(), html.into_string()).await)
    }

    async fn incident(&mut self) -> Result<Result<(), Gone>, LedgerError> {
        let Watched::Incident(id) = self.watched else { return Ok(Ok(())) };
        let now = Timestamp::now();
        let shown = incidents::read(&self.app, id, now).await?;
        let Some(fresh) = shown.filter(|fresh| self.shown.as_ref() != Some(fresh)) else { return Ok(Ok(())) };
        let html = incidents::live(&self.app, &self.viewer, &fresh);
        self.shown = Some(fresh);
        Ok(self.draw(now, html.into_string()).await)
    }

    async fn draw(&mut self, at: Timestamp, html: String) -> Result<(), Gone> {
        self.seen = self.seen.max(at);
        let data = json!({ "html": html }).to_string();
        let event = Event::default().event("draw").id(self.seen.as_microsecond().to_string()).data(data);
        self.out.send(Ok(event)).await.map_err(|_| Gone)
    }
}

enum Changed {
    Anything,
    Messages(BTreeSet<i64>),
    Request,
    Incident,
}

/// When a message last changed.
fn changed_at(one: &RoomMessage) -> Timestamp {
    one.edited_at.unwrap_or(one.at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_has_so_many_streams_and_closing_one_frees_a_seat() {
        let streams = Arc::new(Streams::default());
        let mut seats: Vec<Seat> = (0..STREAMS).map(|_| streams.seat("ann").unwrap()).collect();
        assert!(streams.seat("ann").is_none());
        assert!(streams.seat("bob").is_some());
        seats.pop();
        assert!(streams.seat("ann").is_some());
        drop(seats);
        assert!(streams.0.lock().unwrap().is_empty(), "who has left is forgotten");
    }
}
