//! What goes out through a door: to a platform of these tests, which keeps what it is given.

use crate::chat::{WITHIN, World};
use bot::{
    card::Card,
    door::{Door, Undelivered},
    draw,
    inbox::Handled,
    outbox,
    press::Press,
};
use futures::future::BoxFuture;
use jiff::Timestamp;
use ledger::{Arrival, Delivery, Ended, Event, Place};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

const ROOMS: &str = r#"
[[room]]
place = "console:ops"
cluster = "prod-eu"
namespace = "shop"
[[room]]
place = "slack:T1:C1"
cluster = "prod-eu"
namespace = "shop"
notices = ["approvals", "break-glass", "unknown"]
[[room]]
place = "slack:T1:C2"
commands = ["get"]
notices = []
[[room]]
place = "discord:G1:C7"
notices = ["approvals"]
notice_clusters = ["prod-eu"]
"#;

/// What a platform would do next in a room.
#[derive(Clone, Debug)]
enum Mood {
    Fine,
    /// Never answers.
    Hangs,
    /// The message to edit was deleted, so many times yet.
    Deleted(u32),
    /// Asks to be left alone.
    Busy(Duration),
}

/// Messages by room, in order; each with all that it has shown.
#[derive(Default)]
struct Platform {
    messages: Mutex<BTreeMap<String, Vec<Vec<Card>>>>,
    moods: Mutex<BTreeMap<String, Mood>>,
    tries: Mutex<BTreeMap<String, Vec<Instant>>>,
}

struct Fake(&'static str, Arc<Platform>);

impl Door for Fake {
    fn platform(&self) -> &'static str {
        self.0
    }

    fn deliver<'a>(
        &'a self,
        delivery: &'a Delivery,
        card: &'a Card,
    ) -> BoxFuture<'a, Result<String, Undelivered>> {
        Box::pin(async move {
            let room = delivery.place.0.clone();
            self.1.tries.lock().unwrap().entry(room.clone()).or_default().push(Instant::now());
            let mood = self.1.moods.lock().unwrap().get(&room).cloned().unwrap_or(Mood::Fine);
            match mood {
                Mood::Hangs => std::future::pending::<()>().await,
                Mood::Busy(wait) => return Err(Undelivered::paced(wait)),
                Mood::Deleted(times) if times > 0 && delivery.message.is_some() => {
                    self.1.moods.lock().unwrap().insert(room, Mood::Deleted(times - 1));
                    return Err(Undelivered::gone("message_not_found"));
                }
                Mood::Deleted(_) | Mood::Fine => {}
            }
            let mut messages = self.1.messages.lock().unwrap();
            let there = messages.entry(room).or_default();
            let index = match &delivery.message {
                Some(id) => id.parse::<usize>().unwrap(),
                None => {
                    there.push(Vec::new());
                    there.len() - 1
                }
            };
            there[index].push(card.clone());
            Ok(index.to_string())
        })
    }
}

impl Platform {
    fn mood(&self, room: &str, mood: Mood) {
        self.moods.lock().unwrap().insert(room.into(), mood);
    }

    fn tries(&self, room: &str) -> usize {
        self.tries.lock().unwrap().get(room).map_or(0, Vec::len)
    }

    /// What each message of a room shows now.
    fn room(&self, room: &str) -> Vec<Card> {
        let messages = self.messages.lock().unwrap();
        let shown = |message: &Vec<Card>| message.last().cloned();
        messages.get(room).into_iter().flatten().filter_map(shown).collect()
    }

    async fn until(&self, room: &str, what: &str, is: impl Fn(&[Card]) -> bool) -> Vec<Card> {
        let begun = Instant::now();
        loop {
            let cards = self.room(room);
            if is(&cards) {
                return cards;
            }
            assert!(begun.elapsed() < WITHIN, "waited in vain for {what} in {room}: {cards:#?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn status(&self, room: &str, status: &str) -> Card {
        let is = |cards: &[Card]| cards.len() == 1 && cards[0].status.as_deref() == Some(status);
        self.until(room, status, is).await.remove(0)
    }
}

async fn world(name: &str, more: &str) -> (World, Arc<Platform>) {
    let world = World::with(name, &format!("{ROOMS}{more}")).await;
    let platform = Arc::<Platform>::default();
    for name in ["slack", "discord"] {
        tokio::spawn(outbox::work(world.app.clone(), Arc::new(Fake(name, platform.clone()))));
    }
    (world, platform)
}

/// Something done on a platform, as its door hands it in; what only that person sees.
async fn does(world: &World, who: &str, room: &str, event: Event) -> Option<Card> {
    let arrival = Arrival {
        key: ledger::RequestId::new().to_string(),
        actor: who.parse().unwrap(),
        place: Place(room.into()),
        event,
        reply_to: None,
    };
    let app = &world.app;
    let inbound = app
        .ledger
        .receive(&arrival, &app.worker, bot::inbox::LEASE, Timestamp::now())
        .await
        .unwrap()
        .unwrap();
    match bot::inbox::handle(app, &inbound).await {
        Handled::Shown => None,
        Handled::Private(card) => Some(card),
    }
}

fn typed(text: &str) -> Event {
    Event::Line { text: text.into() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn approvers_hear_of_it_in_their_rooms_and_one_vote_moves_every_card() {
    let (world, platform) = world("doors_approve", "").await;
    let after = world.replicas() + 1;
    assert_eq!(world.post("ann", &format!("scale deploy/checkout {after}")).await, None);
    let card = platform.status("slack:T1:C1", "awaiting 0 of 1").await;
    platform.status("discord:G1:C7", "awaiting 0 of 1").await;
    assert!(platform.room("slack:T1:C2").is_empty(), "it asked for no notices");

    // The text in the button comes back from the platform hours later.
    let approve = card.buttons.iter().find(|button| button.id == "approve").unwrap();
    let press = Press::decode(&Press::of(&card, approve).unwrap().encode()).unwrap();
    let clicked = Instant::now();
    let event = Event::Click {
        button: press.button,
        request: press.request,
        digest: press.digest.to_string(),
        reason: None,
        typed: None,
    };
    assert_eq!(does(&world, "slack:T1:UBOB", "slack:T1:C1", event).await, None);
    let voted =
        |cards: &[Card]| cards.len() == 1 && cards[0].fields.iter().any(|(label, _)| label == "Votes");
    platform.until("discord:G1:C7", "the vote", voted).await;
    // A second on a machine that does nothing else; the figure is measured by the benchmarks.
    assert!(clicked.elapsed() < Duration::from_secs(3), "in step: {:?}", clicked.elapsed());
    for room in ["slack:T1:C1", "discord:G1:C7"] {
        platform.status(room, "succeeded").await;
    }
    world.card("ops", "succeeded").await;
    assert_eq!(world.replicas(), after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_of_unknown_end_is_a_message_of_its_own_where_people_look_and_where_it_was_asked() {
    let (world, platform) = world("doors_unknown", "[runner]\nconcurrency = 0\n").await;
    assert_eq!(
        does(&world, "slack:T1:UBOB", "slack:T1:C2", typed("get pods -n shop -c prod-eu")).await,
        None
    );
    platform.until("slack:T1:C2", "the answer", |cards| cards.len() == 1).await;
    assert_eq!(world.post("ann", "restart deploy/checkout").await, None);
    let app = &world.app;
    let claim = app.ledger.claim_runs("w", WITHIN, 1, Timestamp::now()).await.unwrap().pop().unwrap();
    let why = Ended::Unknown("the cluster did not answer".into());
    app.ledger.end_run(&claim.fence, &why, Timestamp::now()).await.unwrap();
    let cards = platform.until("slack:T1:C1", "the alarm", |cards| !cards.is_empty()).await;
    assert!(cards[0].title.starts_with("LOOK NOW: restart"), "{}", cards[0].title);
    assert_eq!(cards[0].link, Some(format!("/requests/{}", claim.request.id)));
    let begun = Instant::now();
    while world.cards("ops", "ann").await.len() < 2 {
        assert!(begun.elapsed() < WITHIN, "the room it was asked in hears of it, too");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(platform.room("slack:T1:C2").len(), 1, "its own answer and nothing more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_that_hangs_or_asks_for_peace_delays_no_other_and_catches_up() {
    let (world, platform) = world("doors_slow", "").await;
    platform.mood("slack:T1:HANGS", Mood::Hangs);
    platform.mood("slack:T1:BUSY", Mood::Busy(Duration::from_millis(400)));
    let say = async |room: &str, n: usize| {
        let card = draw::json(&Card::titled(bot::card::Tone::Neutral, format!("{n}")));
        world.app.ledger.say(&format!("{room}{n}"), &Place(room.into()), None, &card).await.unwrap();
    };
    let first = Instant::now();
    for n in 0..40 {
        say("slack:T1:HANGS", n).await;
        say("slack:T1:BUSY", n).await;
    }
    let begun = Instant::now();
    for n in 0..10 {
        say("slack:T1:FINE", n).await;
    }
    platform.until("slack:T1:FINE", "all ten", |cards| cards.len() == 10).await;
    // A door that hangs is let go after 8 s.
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    let so_far = first.elapsed();
    let tries = platform.tries("slack:T1:HANGS");
    assert!(tries <= 1 + so_far.as_secs() as usize / 8, "one place is held, not all: {tries} tries");
    let tries = platform.tries("slack:T1:BUSY");
    assert!(tries <= 1 + so_far.as_millis() as usize / 400, "left alone as asked: {tries} tries");
    platform.mood("slack:T1:BUSY", Mood::Fine);
    platform.until("slack:T1:BUSY", "all that waited", |cards| cards.len() == 40).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_card_is_posted_anew_once() {
    let (world, platform) = world("doors_deleted", "").await;
    let after = world.replicas() + 1;
    assert_eq!(world.post("ann", &format!("scale deploy/checkout {after}")).await, None);
    let card = platform.status("slack:T1:C1", "awaiting 0 of 1").await;
    platform.mood("slack:T1:C1", Mood::Deleted(1));
    assert_eq!(world.click("bob", "approve", &card).await, None);
    let two = |cards: &[Card]| cards.len() == 2 && cards[1].status.as_deref() == Some("succeeded");
    let cards = platform.until("slack:T1:C1", "a second message", two).await;
    assert_eq!(cards[0].status.as_deref(), Some("awaiting 0 of 1"), "the deleted one is edited no more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_takes_only_its_commands_and_says_which() {
    let (world, platform) = world("doors_commands", "").await;
    let refused =
        does(&world, "slack:T1:UBOB", "slack:T1:C2", typed("restart deploy/checkout -n shop -c prod-eu"));
    let refused = refused.await.unwrap();
    assert_eq!(refused.title, "`restart` is not for this room");
    assert!(refused.text.unwrap().starts_with("This room takes get."));
    let help = does(&world, "slack:T1:UBOB", "slack:T1:C2", typed("help")).await.unwrap();
    assert_eq!(help.title, "What you can type");
    assert_eq!(world.records("request.").await, []);
    assert!(platform.room("slack:T1:C2").is_empty(), "the room saw nothing of it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reason_that_the_database_cannot_keep_as_it_is_counts_all_the_same() {
    let (world, platform) = world("doors_nul", "").await;
    assert_eq!(world.post("ann", "scale deploy/checkout 9").await, None);
    let card = platform.status("slack:T1:C1", "awaiting 0 of 1").await;
    let event = Event::Click {
        button: "deny".into(),
        request: card.request.unwrap(),
        digest: card.digest.unwrap(),
        reason: Some("no\0way".into()),
        typed: Some("\0".into()),
    };
    assert_eq!(does(&world, "slack:T1:UBOB", "slack:T1:C1", event).await, None);
    let denied = platform.status("slack:T1:C1", "denied").await;
    assert!(denied.text.unwrap().contains("no\u{fffd}way"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bare_command_shows_what_waits_for_whoever_typed_it() {
    let (world, platform) = world("doors_waiting", "").await;
    let nothing = does(&world, "slack:T1:UBOB", "slack:T1:C1", typed("  ")).await.unwrap();
    assert_eq!(nothing.title, "Nothing waits for you");
    assert_eq!(world.post("ann", "scale deploy/checkout 9").await, None);
    let card = platform.status("slack:T1:C1", "awaiting 0 of 1").await;
    let id = card.request.unwrap();
    let waiting = does(&world, "slack:T1:UBOB", "slack:T1:C1", typed("")).await.unwrap();
    assert_eq!(waiting.title, "1 request waits for your vote");
    let table = waiting.table.unwrap();
    assert_eq!((table.rows.len(), &table.links), (1, &vec![format!("/requests/{id}")]));
    assert!(table.rows[0][1].starts_with("your vote until "), "{:?}", table.rows);
    let own = world.post("ann", "waiting").await.unwrap();
    assert!(own.contains("Your open requests") && own.contains("yours: awaiting"), "{own}");
    let guest = world.post("eve", "waiting").await.unwrap();
    assert!(guest.contains("Nothing waits for you"), "she may not vote: {guest}");
    assert_eq!(world.click("bob", "deny", &card).await, None);
    let voted = does(&world, "slack:T1:UBOB", "slack:T1:C1", typed("")).await.unwrap();
    assert_eq!(voted.title, "Nothing waits for you");
}
