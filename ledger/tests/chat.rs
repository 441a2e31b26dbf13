//! What Petrel says and hears: nothing is lost, nothing is said or done twice.

use crate::support::{eventually, fresh, owner};
use jiff::Timestamp;
use ledger::{
    Actor, Arrival, CardSubject, Connect, Delivery, Event, GatewaySession, Ledger, Place, RequestId, Take,
    Wake,
    private::{PrivatePostgres, test_dir},
};
use serde_json::json;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(600);
/// Over at once: a worker that died.
const DEAD: Duration = Duration::ZERO;

fn ann() -> Actor {
    "console:ann".parse().unwrap()
}

fn bob() -> Actor {
    "console:bob".parse().unwrap()
}

fn ops() -> Place {
    Place("console:ops".into())
}

fn line(text: &str) -> Event {
    Event::Line { text: text.into() }
}

async fn claim(ledger: &Ledger, worker: &str, lease: Duration) -> Vec<Delivery> {
    ledger.claim_deliveries("console", worker, lease, &Take::of(10)).await.unwrap()
}

#[tokio::test]
async fn the_same_key_says_it_once_also_when_said_by_many_at_once() {
    let (ledger, _) = fresh("say").await;
    let card = json!({ "title": "hello \u{0} <b>" });
    let said = futures::future::join_all(
        (0..16).map(|_| async { ledger.say("k1", &ops(), None, &card).await.unwrap() }),
    )
    .await;
    assert!(said.iter().all(|id| *id == said[0]));
    let due = claim(&ledger, "w", LONG).await;
    assert_eq!(due.len(), 1);
    assert_eq!(
        (due[0].card, &due[0].subject, due[0].version, due[0].attempts),
        (said[0], &CardSubject::Said(card), 1, 0)
    );
    assert!(ledger.delivered(&due[0], "m1").await.unwrap());
    assert_eq!(claim(&ledger, "w", LONG).await, []);
}

#[tokio::test]
async fn a_delivery_survives_its_worker_and_the_overtaken_one_can_mark_nothing() {
    let (ledger, _) = fresh("outbox").await;
    let request = RequestId::new();
    ledger.show(request, &ops()).await.unwrap();
    let first = claim(&ledger, "dies", DEAD).await.remove(0);
    let second = claim(&ledger, "lives", LONG).await.remove(0);
    assert_eq!((first.attempts, second.attempts, &second.subject), (0, 1, &CardSubject::Request(request)));
    assert_eq!(claim(&ledger, "third", LONG).await, [], "held");
    ledger.undelivered(&first, "late", Duration::ZERO, LONG).await.unwrap();
    assert_eq!(claim(&ledger, "third", LONG).await, [], "still held");
    assert!(!ledger.delivered(&first, "wrong").await.unwrap());
    assert!(ledger.delivered(&second, "right").await.unwrap());
    assert_eq!(claim(&ledger, "third", LONG).await, [], "delivered");
}

#[tokio::test]
async fn what_could_not_be_delivered_waits_and_then_is_tried_again() {
    let (ledger, _) = fresh("wait").await;
    ledger.say("k", &ops(), Some(&ann()), &json!(1)).await.unwrap();
    let first = claim(&ledger, "w", LONG).await.remove(0);
    assert_eq!(first.only_for, Some(ann()));
    ledger.undelivered(&first, "platform is down", LONG, LONG).await.unwrap();
    assert_eq!(claim(&ledger, "w", LONG).await, []);
    ledger.undelivered(&first, "it is back", Duration::ZERO, LONG).await.unwrap();
    let again = claim(&ledger, "w", LONG).await.remove(0);
    assert_eq!((again.card, again.attempts), (first.card, 1));
}

#[tokio::test]
async fn a_card_is_shown_in_many_places_each_by_its_own_platform() {
    let (ledger, _) = fresh("places").await;
    let request = RequestId::new();
    let slack = Place("slack:T1:C9".into());
    let card = ledger.show(request, &ops()).await.unwrap();
    for place in [&ops(), &slack, &slack] {
        assert_eq!(ledger.show(request, place).await.unwrap(), card, "one card per request");
    }
    let here = claim(&ledger, "w", LONG).await;
    let there = ledger.claim_deliveries("slack", "w", LONG, &Take::of(10)).await.unwrap();
    assert_eq!((here.len(), &here[0].place, there.len(), &there[0].place), (1, &ops(), 1, &slack));
}

#[tokio::test]
async fn deliveries_are_claimed_oldest_first_and_by_one_worker_each() {
    let (ledger, _) = fresh("order").await;
    for n in 0..40 {
        ledger.say(&format!("k{n}"), &ops(), None, &json!(n)).await.unwrap();
    }
    let first = ledger.claim_deliveries("console", "w", LONG, &Take::of(8)).await.unwrap();
    let expected: Vec<CardSubject> = (0..8).map(|n| CardSubject::Said(json!(n))).collect();
    assert_eq!(first.iter().map(|delivery| delivery.subject.clone()).collect::<Vec<_>>(), expected);
    let claims = futures::future::join_all((0..8).map(|_| claim(&ledger, "w", LONG))).await;
    let mut cards: Vec<_> = claims.iter().flatten().map(|delivery| delivery.card).collect();
    cards.sort();
    cards.dedup();
    assert_eq!((claims.iter().map(Vec::len).sum::<usize>(), cards.len()), (32, 32));
}

fn arrival(key: &str, event: &Event) -> Arrival {
    Arrival { key: key.into(), actor: ann(), place: ops(), event: event.clone(), reply_to: None }
}

#[tokio::test]
async fn an_event_comes_in_once_whatever_the_number_of_retries() {
    let (ledger, _) = fresh("inbox").await;
    let receive = async || {
        ledger.receive(&arrival("slack:E1", &line("get pods")), "w", LONG, Timestamp::now()).await.unwrap()
    };
    let received: Vec<_> =
        futures::future::join_all((0..16).map(|_| receive())).await.into_iter().flatten().collect();
    assert_eq!(received.len(), 1);
    assert_eq!(
        (&received[0].actor, &received[0].place, &received[0].event),
        (&ann(), &ops(), &line("get pods"))
    );
    assert_eq!(ledger.claim_inbox("other", LONG, 10).await.unwrap(), [], "the receiver holds it");
    ledger.handled(&received[0]).await.unwrap();
    assert_eq!(receive().await, None, "the key is known after it was handled, too");
}

#[tokio::test]
async fn an_event_whose_handler_died_is_taken_over_oldest_first() {
    let (ledger, _) = fresh("takeover").await;
    let now: Timestamp = "2026-01-02T03:04:05.123456Z".parse().unwrap();
    let click = Event::Click {
        button: "approve".into(),
        request: RequestId::new(),
        digest: "ab".into(),
        reason: Some("ok".into()),
        typed: None,
    };
    let mut dead = Vec::new();
    for (key, event) in [("1", &line("one")), ("2", &click), ("3", &line("three"))] {
        dead.extend(ledger.receive(&arrival(key, event), "dies", DEAD, now).await.unwrap());
    }
    let taken = ledger.claim_inbox("lives", LONG, 2).await.unwrap();
    assert_eq!(taken.iter().map(|event| event.key.as_str()).collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!((&taken[1].event, taken[1].at, taken[1].id), (&click, now, dead[1].id));
    ledger.handled(&taken[0]).await.unwrap();
    // The dead one was only slow: what it says now must not hide that the other one is at work.
    ledger.handled(&dead[1]).await.unwrap();
    ledger.handled(&dead[2]).await.unwrap();
    assert_eq!(ledger.claim_inbox("third", LONG, 10).await.unwrap(), []);
    assert!(taken[1].token > dead[1].token);
}

#[tokio::test]
async fn what_this_build_cannot_read_holds_up_nothing_else() {
    let (ledger, owner_url) = fresh("unreadable").await;
    for key in ["1", "2"] {
        ledger.say(key, &ops(), None, &json!(key)).await.unwrap();
        ledger.receive(&arrival(key, &line(key)), "dies", DEAD, Timestamp::now()).await.unwrap();
    }
    let newer = "update inbox set event = '{\"did\": \"waved\"}' where key = '1';
                 update delivery set only_for = 'nobody' where card = (select id from card where key = '1')";
    sqlx::raw_sql(newer).execute(&owner(&owner_url).await).await.unwrap();
    let events = ledger.claim_inbox("w", LONG, 9).await.unwrap();
    assert_eq!(events.iter().map(|event| event.key.as_str()).collect::<Vec<_>>(), ["2"]);
    let due = claim(&ledger, "w", LONG).await;
    assert_eq!(
        due.iter().map(|delivery| &delivery.subject).collect::<Vec<_>>(),
        [&CardSubject::Said(json!("2"))]
    );
}

#[tokio::test]
async fn a_typed_line_is_shown_once_and_only_in_its_room() {
    let (ledger, _) = fresh("rooms").await;
    let dev = Place("console:dev".into());
    let now = Timestamp::now();
    let id = ledger.room_line("k1", &ops(), &ann(), "scale <b>\0", now).await.unwrap();
    assert_eq!(ledger.room_line("k1", &ops(), &ann(), "scale <b>\0", now).await.unwrap(), id);
    ledger.room_line("k2", &dev, &bob(), "get pods", now).await.unwrap();
    let room = ledger.room(&ops(), &bob(), None, 10).await.unwrap();
    assert_eq!(room.len(), 1);
    assert_eq!(
        (room[0].id, room[0].author.clone(), room[0].text.as_deref(), &room[0].card),
        (id, Some(ann()), Some("scale <b>\u{fffd}"), &None)
    );
    assert_eq!(ledger.room(&dev, &ann(), None, 10).await.unwrap()[0].text.as_deref(), Some("get pods"));
}

#[tokio::test]
async fn a_room_is_read_page_by_page_oldest_first() {
    let (ledger, _) = fresh("pages").await;
    for n in 0..7 {
        ledger.room_line(&format!("k{n}"), &ops(), &ann(), &n.to_string(), Timestamp::now()).await.unwrap();
    }
    let texts = |room: &[ledger::RoomMessage]| {
        room.iter().filter_map(|message| message.text.clone()).collect::<String>()
    };
    let newest = ledger.room(&ops(), &ann(), None, 4).await.unwrap();
    let older = ledger.room(&ops(), &ann(), Some(newest[0].id), 4).await.unwrap();
    assert_eq!((texts(&newest), texts(&older)), ("3456".into(), "012".into()));
}

#[tokio::test]
async fn a_card_is_one_message_that_is_edited_and_an_overtaken_worker_changes_nothing() {
    let (ledger, _) = fresh("roomcard").await;
    let request = RequestId::new();
    ledger.show(request, &ops()).await.unwrap();
    let slow = claim(&ledger, "slow", DEAD).await.remove(0);
    let quick = claim(&ledger, "quick", LONG).await.remove(0);
    let now = Timestamp::now();
    let id = ledger.room_card(&quick, &json!("old"), now).await.unwrap();
    let shown = ledger.room_message(id, &bob()).await.unwrap().unwrap();
    assert_eq!(
        (shown.card, shown.edited_at, shown.request, shown.author),
        (Some(json!("old")), None, Some(request), None)
    );
    assert_eq!(ledger.room_card(&quick, &json!("new"), now).await.unwrap(), id);
    assert_eq!(ledger.room_card(&slow, &json!("stale"), now).await.unwrap(), id);
    let room = ledger.room(&ops(), &bob(), None, 10).await.unwrap();
    assert_eq!((room.len(), &room[0].card, room[0].edited_at.is_some()), (1, &Some(json!("new")), true));
}

#[tokio::test]
async fn a_private_card_is_seen_by_its_actor_alone() {
    let (ledger, _) = fresh("private").await;
    ledger.say("k", &ops(), Some(&ann()), &json!("only you")).await.unwrap();
    let delivery = claim(&ledger, "w", LONG).await.remove(0);
    let id = ledger.room_card(&delivery, &json!("only you"), Timestamp::now()).await.unwrap();
    assert_eq!(ledger.room(&ops(), &ann(), None, 10).await.unwrap().len(), 1);
    assert_eq!(ledger.room(&ops(), &bob(), None, 10).await.unwrap(), []);
    assert!(ledger.room_message(id, &ann()).await.unwrap().is_some());
    assert_eq!(ledger.room_message(id, &bob()).await.unwrap(), None);
}

#[tokio::test]
async fn a_lease_has_one_holder_and_its_epoch_grows_with_each_change() {
    let (ledger, _) = fresh("lease").await;
    let take = async |holder: &str, lasts| ledger.take_lease("checkpoint", holder, lasts).await.unwrap();
    let held: Vec<_> = futures::future::join_all(["a", "b", "c", "d"].map(|holder| take(holder, LONG)))
        .await
        .into_iter()
        .flatten()
        .collect();
    assert_eq!(held.len(), 1);
    let held = &held[0];
    assert_eq!(take(&held.holder, LONG).await.as_ref(), Some(held), "renewed");
    assert_eq!(take("other", LONG).await, None);
    ledger.give_lease(held).await.unwrap();
    let other = take("other", LONG).await.expect("it was given back");
    assert_eq!(other.epoch, held.epoch + 1);
    ledger.give_lease(held).await.unwrap();
    assert_eq!(take("third", LONG).await, None, "a lost lease cannot be given back");
    take("other", DEAD).await.expect("renewed for no time at all");
    assert_eq!(take("third", LONG).await.expect("it ran out").epoch, other.epoch + 1);
}

#[tokio::test]
async fn what_a_dead_process_took_in_is_claimed_at_once_and_what_a_living_one_handles_is_not() {
    let server = PrivatePostgres::join(&test_dir()).await.unwrap();
    let (url, _) = server.database("orphaned").await.unwrap();
    let connect = async || Ledger::connect(&Connect { url: url.clone(), connections: 2 }).await.unwrap();
    let (first, heir) = (connect().await, connect().await);
    let arrival =
        Arrival { key: "k".into(), actor: ann(), place: ops(), event: line("help"), reply_to: None };
    let inbound = first.receive(&arrival, "first", LONG, Timestamp::UNIX_EPOCH).await.unwrap().unwrap();
    assert_eq!(heir.claim_inbox("heir", LONG, 9).await.unwrap(), [], "it is being handled");
    first.close().await;
    let claimed = eventually("the first one's connections to be gone", async || {
        heir.claim_inbox("heir", LONG, 9).await.unwrap().pop()
    })
    .await;
    assert_eq!((claimed.id, claimed.token), (inbound.id, inbound.token + 1));
    assert_eq!(heir.claim_inbox("third", LONG, 9).await.unwrap(), [], "it is handled again");
}

#[tokio::test]
async fn the_lease_of_a_process_that_is_gone_is_inherited_at_once_and_of_no_other() {
    let server = PrivatePostgres::join(&test_dir()).await.unwrap();
    let (url, _) = server.database("inherited").await.unwrap();
    let connect = async || Ledger::connect(&Connect { url: url.clone(), connections: 2 }).await.unwrap();
    let (listener, heir) = (connect().await, connect().await);
    let held = listener.take_lease("gateway", "listener", LONG).await.unwrap().expect("nobody holds it");
    assert_eq!(heir.inherit_lease("gateway", "heir", LONG).await.unwrap(), None, "it lives");
    assert_eq!(heir.inherit_lease("other", "heir", LONG).await.unwrap(), None, "there is nothing to inherit");
    let session = |seq| GatewaySession {
        session: "s".into(),
        bot: "9".into(),
        url: Some("wss://resume.example".into()),
        seq: Some(seq),
    };
    assert!(listener.keep_gateway_session(&held, "app", &session(7)).await.unwrap());
    let late = listener.clone();
    listener.close().await;
    let inherited = eventually("the listener's connections to be gone", async || {
        heir.inherit_lease("gateway", "heir", LONG).await.unwrap()
    })
    .await;
    assert_eq!((inherited.holder.as_str(), inherited.epoch), ("heir", held.epoch + 1));
    assert!(late.ping().await.is_err());
    assert!(!heir.keep_gateway_session(&held, "app", &session(9)).await.unwrap(), "that lease is over");
    assert_eq!(heir.gateway_session("app").await.unwrap(), Some(session(7)));
    assert!(heir.keep_gateway_session(&inherited, "app", &session(8)).await.unwrap());
    assert_eq!(heir.gateway_session("app").await.unwrap(), Some(session(8)));
    assert_eq!(heir.gateway_session("another").await.unwrap(), None);
}

#[tokio::test]
async fn whoever_listens_hears_of_cards_and_rooms_and_of_a_lost_connection() {
    let (ledger, owner_url) = fresh("wakes").await;
    let url = owner_url.replace("petrel_owner", "petrel");
    let other = Ledger::connect(&Connect { url: url.clone(), connections: 4 }).await.unwrap();
    let _listening = ledger.listen().await.unwrap();
    let (mut wakes, mut deaf) = (ledger.wakes(), other.wakes());
    for (n, by) in [&ledger, &other].into_iter().enumerate() {
        by.say(&format!("k{n}"), &ops(), None, &json!(1)).await.unwrap();
        assert_eq!(wakes.recv().await, Ok(Wake::Card), "its own at once, others' by the database");
        let message =
            by.room_line(&format!("m{n}"), &ops(), &ann(), "hello", Timestamp::now()).await.unwrap();
        assert_eq!(wakes.recv().await, Ok(Wake::Room { place: ops(), message }));
    }
    assert_eq!(deaf.recv().await, Ok(Wake::Card), "its own it hears without listening");
    assert!(wakes.is_empty(), "nothing twice");

    let same_role = owner(&url).await;
    let cut = "select count(pg_terminate_backend(pid)) from pg_stat_activity
               where datname = current_database() and query ilike 'listen%' and pid <> pg_backend_pid()";
    assert_eq!(sqlx::query_scalar::<_, i64>(cut).fetch_one(&same_role).await.unwrap(), 1);
    assert_eq!(wakes.recv().await, Ok(Wake::Lost));
    eventually("wakes to come again", async || {
        other.say(&RequestId::new().to_string(), &ops(), None, &json!(2)).await.unwrap();
        (listening(&same_role).await == 1).then_some(())
    })
    .await;
    other.say("again", &ops(), None, &json!(2)).await.unwrap();
    assert_eq!(wakes.recv().await, Ok(Wake::Card));
}

async fn listening(pool: &sqlx::PgPool) -> i64 {
    sqlx::query_scalar(
        "select count(*) from pg_stat_activity where datname = current_database() and query ilike 'listen%'",
    )
    .fetch_one(pool)
    .await
    .unwrap()
}
