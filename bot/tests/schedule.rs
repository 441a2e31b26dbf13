//! Lines that Petrel types by itself, in a room.

use crate::chat::{WITHIN, World};
use bot::{card::Card, schedule};
use chrono::{DateTime, TimeDelta, Utc};
use jiff::Timestamp;
use ledger::{RequestFilter, RequestState};
use std::time::{Duration, Instant};

/// Due only when a test says so; in a room that hears what waits for approval.
const NIGHTLY: &str = "[[room]]\nplace = \"console:ops\"\ncluster = \"prod-eu\"\nnamespace = \"shop\"\n\
    notices = [\"approvals\"]\n[[schedule]]\nname = \"nightly\"\nat = \"0 0 3 1 1 * 2090\"\nplace = \"console:ops\"\n\
    line = \"scale deploy/checkout 9 -n shop -c prod-eu\"\n";

struct Nightly {
    world: World,
    tick: DateTime<Utc>,
}

impl Nightly {
    async fn new(name: &str) -> Nightly {
        let tick = "2026-11-21T03:00:00Z".parse().unwrap();
        Nightly { world: World::with(name, NIGHTLY).await, tick }
    }

    /// Its next time comes.
    async fn next(&mut self) {
        self.tick += TimeDelta::days(1);
        self.again().await;
    }

    async fn again(&self) {
        let app = &self.world.app;
        schedule::run(app, &app.config.schedules[0], self.tick, Timestamp::now()).await.unwrap();
    }

    async fn states(&self) -> Vec<RequestState> {
        let filter = RequestFilter { limit: 50, ..RequestFilter::default() };
        let all = self.world.app.ledger.requests(&filter).await.unwrap();
        all.into_iter().map(|request| request.state).collect()
    }

    /// Waits until the room's only card is about this many replicas so far.
    async fn card_from(&self, replicas: i64) -> Card {
        let begun = Instant::now();
        loop {
            let cards = self.world.cards("ops", "ann").await;
            assert!(cards.len() <= 1, "one card, edited in place: {cards:#?}");
            let words = format!("from {replicas} to 9");
            if let Some(card) = cards.iter().find(|card| format!("{card:?}").contains(&words)) {
                return card.clone();
            }
            assert!(begun.elapsed() < WITHIN, "no card {words}: {cards:#?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_proposal_has_one_card_that_follows_the_world() {
    let mut nightly = Nightly::new("schedule_card").await;
    let replicas = nightly.world.replicas();
    nightly.next().await;
    let first = nightly.card_from(replicas).await;
    nightly.again().await;
    nightly.next().await;
    assert_eq!(nightly.states().await, [RequestState::Awaiting], "it would say the same");

    nightly.world.meddle(replicas + 1);
    nightly.next().await;
    let second = nightly.card_from(replicas + 1).await;
    assert_ne!(first.request, second.request);
    assert_eq!(nightly.states().await, [RequestState::Awaiting, RequestState::Cancelled]);
    assert!(nightly.world.click("bob", "approve", &first).await.is_some(), "the old one is over");
    assert_eq!(nightly.world.click("bob", "approve", &second).await, None);
    nightly.world.card("ops", "succeeded").await;
    assert_eq!(nightly.world.replicas(), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_to_nothing_is_not_said_and_a_no_is_respected() {
    let mut nightly = Nightly::new("schedule_no").await;
    let replicas = nightly.world.replicas();
    nightly.world.meddle(9);
    nightly.next().await;
    assert_eq!(nightly.states().await, [], "there is nothing to do");
    nightly.world.meddle(replicas);
    nightly.next().await;
    let card = nightly.card_from(replicas).await;
    assert_eq!(nightly.world.click("bob", "deny", &card).await, None);
    nightly.world.card("ops", "denied").await;
    nightly.world.meddle(replicas + 1);
    nightly.next().await;
    assert_eq!(nightly.states().await, [RequestState::Denied]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_asks_for_already_is_not_asked_for_twice() {
    let mut nightly = Nightly::new("schedule_twice").await;
    nightly.world.post("ann", "scale deploy/checkout 7").await;
    nightly.next().await;
    assert_eq!(nightly.states().await, [RequestState::Awaiting]);
}
