//! Rooms: who hears of what, one room that is slow, messages that are deleted, rooms that take nothing, and what is over.

use crate::support::*;
use jiff::{SignedDuration, Timestamp};
use ledger::*;
use serde_json::json;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(600);
/// Over at once.
const NOW_DUE: Duration = Duration::ZERO;

fn place(name: &str) -> Place {
    Place(format!("slack:T1:{name}"))
}

async fn claim(ledger: &Ledger, take: Take) -> Vec<Delivery> {
    ledger.claim_deliveries("slack", "w", LONG, &take).await.unwrap()
}

/// What is due when every card has rested.
async fn rested(ledger: &Ledger, take: Take) -> Vec<Delivery> {
    tokio::time::sleep(CARD_RESTS).await;
    claim(ledger, take).await
}

async fn notices(ledger: &Ledger, request: &Request) -> Vec<(u32, Notice)> {
    let mut due = ledger.claim_notices(NOW_DUE, 100).await.unwrap();
    due.retain(|due| due.request == request.id);
    due.into_iter().map(|due| (due.revision, due.notice)).collect()
}

#[tokio::test]
async fn a_request_that_waits_and_one_past_the_rules_and_one_of_unknown_end_are_each_told_once() {
    let (ledger, _) = fresh("notices").await;
    let waits = submitted(&ledger, "waits", needs(1)).await;
    assert_eq!(notices(&ledger, &waits).await, [(1, Notice::Approvals)]);
    assert_eq!(notices(&ledger, &waits).await, [(1, Notice::Approvals)], "due again: its worker died");
    let due = ledger.claim_notices(LONG, 9).await.unwrap().remove(0);
    assert_eq!(ledger.claim_notices(LONG, 9).await.unwrap(), [], "one worker at a time");
    ledger.posted(&due).await.unwrap();

    let mut loud = request("loud", allow());
    loud.ask.break_glass = true;
    ledger.submit(&loud).await.unwrap();
    assert_eq!(notices(&ledger, &loud).await, [(1, Notice::BreakGlass)]);
    let quiet = submitted(&ledger, "quiet", allow()).await;
    assert_eq!(notices(&ledger, &quiet).await, []);
    for _ in 0..2 {
        let claim = ledger.claim_runs("w", LONG, 1, at(2)).await.unwrap().pop().unwrap();
        ledger.end_run(&claim.fence, &Ended::Unknown("no answer".into()), at(3)).await.unwrap();
    }
    assert_eq!(notices(&ledger, &quiet).await, [(1, Notice::Unknown)]);
    let mut of_loud = notices(&ledger, &loud).await;
    of_loud.sort();
    assert_eq!(of_loud, [(1, Notice::BreakGlass), (1, Notice::Unknown)]);
}

#[tokio::test]
async fn a_full_room_leaves_room_for_the_others() {
    let (ledger, _) = fresh("share").await;
    for n in 0..30 {
        ledger.say(&format!("a{n}"), &place("A"), None, &json!(n)).await.unwrap();
    }
    ledger.say("b", &place("B"), None, &json!("b")).await.unwrap();
    let first = claim(&ledger, Take { limit: 8, per_room: 1, except: Vec::new() }).await;
    let rooms: Vec<&str> = first.iter().map(|delivery| delivery.place.0.as_str()).collect();
    assert_eq!(rooms, ["slack:T1:A", "slack:T1:B"]);
    assert_eq!(first[0].subject, CardSubject::Said(json!(0)), "the oldest of each");
    let rest = claim(&ledger, Take { limit: 8, per_room: 1, except: vec![place("A")] }).await;
    assert_eq!(rest, [], "A is left alone");
    ledger.postponed(&first[0], NOW_DUE).await.unwrap();
    let again = claim(&ledger, Take { limit: 40, per_room: 40, except: Vec::new() }).await;
    let put_off = again.iter().find(|delivery| delivery.card == first[0].card).unwrap();
    assert_eq!((again.len(), put_off.attempts), (30, 0), "waiting its turn was no try");
}

#[tokio::test]
async fn a_deleted_message_is_posted_anew_once_and_showing_it_again_begins_anew() {
    let (ledger, _) = fresh("deleted").await;
    let request = submitted(&ledger, "x", needs(1)).await;
    let (room, all) = (place("A"), Take::of(9));
    ledger.show(request.id, &room).await.unwrap();
    let posted = claim(&ledger, all.clone()).await.remove(0);
    assert!(ledger.delivered(&posted, "m1").await.unwrap());
    ledger.vote(request.id, &vote(&request, "bob")).await.unwrap().unwrap();
    let edit = rested(&ledger, all.clone()).await.remove(0);
    assert_eq!(edit.message.as_deref(), Some("m1"));
    assert!(!ledger.deleted(&edit, "message_not_found").await.unwrap(), "not given up");
    let anew = claim(&ledger, all.clone()).await.remove(0);
    assert_eq!(anew.message, None, "posted, not edited");
    assert!(ledger.delivered(&anew, "m2").await.unwrap());
    let run = ledger.claim_runs("w", LONG, 1, at(2)).await.unwrap().pop().unwrap();
    let edit = rested(&ledger, all.clone()).await.remove(0);
    assert_eq!(edit.message.as_deref(), Some("m2"));
    assert!(ledger.deleted(&edit, "message_not_found").await.unwrap(), "whoever deletes it twice means it");
    ledger.progress(&run.fence, "4 of 6 pods ready").await.unwrap();
    assert_eq!(claim(&ledger, all.clone()).await, []);
    assert_eq!(ledger.given_up(request.id).await.unwrap(), [(room.clone(), "message_not_found".into())]);
    ledger.show(request.id, &room).await.unwrap();
    assert_eq!(claim(&ledger, all).await.remove(0).message, None);
    assert_eq!(ledger.given_up(request.id).await.unwrap(), []);
}

#[tokio::test]
async fn a_change_that_waited_for_a_further_place_is_shown_there_too() {
    let (ledger, sql) = fresh_with_sql("further_place").await;
    let request = submitted(&ledger, "x", needs(1)).await;
    // Shown in a further place, not committed yet.
    let mut showing = sql.begin().await.unwrap();
    sqlx::query("select from card where request = $1 for update")
        .bind(request.id.0)
        .execute(&mut *showing)
        .await
        .unwrap();
    sqlx::query("insert into delivery (card, place, wanted) select id, 'slack:T1:A', version from card where request = $1")
        .bind(request.id.0)
        .execute(&mut *showing)
        .await
        .unwrap();
    let voting = tokio::spawn({
        let (ledger, vote) = (ledger.clone(), vote(&request, "bob"));
        async move { ledger.vote(request.id, &vote).await.unwrap().unwrap() }
    });
    let waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    while sqlx::query_scalar::<_, i64>(waits).fetch_one(&sql).await.unwrap() == 0 {
        assert!(!voting.is_finished(), "the vote waits for the card");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    showing.commit().await.unwrap();
    voting.await.unwrap();
    let delivery = claim(&ledger, Take::of(9)).await.remove(0);
    assert_eq!((delivery.place, delivery.version), (place("A"), 2));
}

#[tokio::test]
async fn what_fails_for_too_long_is_given_up_and_counted_and_a_success_between_begins_anew() {
    let (ledger, _) = fresh("dead_letter").await;
    let request = submitted(&ledger, "x", needs(1)).await;
    ledger.show(request.id, &place("A")).await.unwrap();
    let fail = async |patience: Duration| {
        let delivery = rested(&ledger, Take::of(9)).await.remove(0);
        ledger.undelivered(&delivery, "channel_is_archived", NOW_DUE, patience).await.unwrap()
    };
    assert!(!fail(LONG).await);
    let delivery = claim(&ledger, Take::of(9)).await.remove(0);
    ledger.delivered(&delivery, "m1").await.unwrap();
    ledger.vote(request.id, &vote(&request, "bob")).await.unwrap().unwrap();
    assert!(!fail(LONG).await, "failing since a moment");
    assert!(fail(Duration::ZERO).await);
    assert_eq!(claim(&ledger, Take::of(9)).await, []);
    let rooms = ledger.rooms_given_up().await.unwrap();
    assert_eq!(rooms, [(place("A"), 1, "channel_is_archived".into())]);
    let gauges = ledger.gauges().await.unwrap();
    assert_eq!((gauges.given_up_cards, gauges.undelivered_cards), (1, 1), "its own room's is due still");
}

/// A line that somebody typed in a room.
fn a_line() -> Arrival {
    Arrival {
        key: "k".into(),
        actor: actor("ann"),
        place: place("A"),
        event: Event::Line { text: "get pods".into() },
        reply_to: None,
    }
}

#[tokio::test]
async fn an_event_that_was_put_back_is_claimed_when_its_time_has_come_and_an_overtaken_worker_changes_nothing()
 {
    let (ledger, _) = fresh("put_back").await;
    let first = ledger.receive(&a_line(), "w", LONG, NOW).await.unwrap().unwrap();
    ledger.put_back(&first, LONG).await.unwrap();
    assert_eq!(ledger.claim_inbox("x", LONG, 9).await.unwrap(), []);
    ledger.put_back(&first, Duration::ZERO).await.unwrap();
    let second = ledger.claim_inbox("x", LONG, 9).await.unwrap().remove(0);
    assert_eq!(second.token, 2);
    ledger.put_back(&first, Duration::ZERO).await.unwrap();
    assert_eq!(ledger.claim_inbox("y", LONG, 9).await.unwrap(), [], "overtaken");
}

#[tokio::test]
async fn an_event_that_is_given_up_is_on_record_and_never_claimed_again() {
    let (ledger, _) = fresh("given_up").await;
    let first = ledger.receive(&a_line(), "w", NOW_DUE, NOW).await.unwrap().unwrap();
    let second = ledger.claim_inbox("x", NOW_DUE, 9).await.unwrap().remove(0);
    ledger.give_up_event(&first, "late", NOW).await.unwrap();
    let third = ledger.claim_inbox("x", NOW_DUE, 9).await.unwrap().remove(0);
    assert_eq!((second.token, third.token), (2, 3), "the overtaken one changed nothing");
    ledger.give_up_event(&third, "ten tries", NOW).await.unwrap();
    assert_eq!(ledger.claim_inbox("x", NOW_DUE, 9).await.unwrap(), []);
    let filter = EntryFilter { kind: Some("event.given_up".into()), limit: 9, ..EntryFilter::default() };
    let entries = ledger.entries(&filter).await.unwrap();
    assert_eq!((entries.len(), &entries[0].actor[..]), (1, "console:ann"));
    assert_eq!(entries[0].body["because"], "ten tries");
}

#[tokio::test]
async fn only_what_is_over_and_old_is_taken_away_and_never_the_record() {
    let (ledger, sql) = fresh_with_sql("prune").await;
    let over = submitted(&ledger, "over", needs(1)).await;
    let open = submitted(&ledger, "open", needs(1)).await;
    ledger.cancel(over.id, &actor("ann"), None, at(9)).await.unwrap().unwrap();
    let console = Place("console:ops".into());
    ledger.say("old", &console, None, &json!("said")).await.unwrap();
    ledger.say("stuck", &place("A"), None, &json!("not delivered yet")).await.unwrap();
    ledger.room_line("line", &console, &actor("ann"), "hello", NOW).await.unwrap();
    for delivery in ledger.claim_deliveries("console", "w", LONG, &Take::of(9)).await.unwrap() {
        let message = ledger.room_card(&delivery, &json!({}), NOW).await.unwrap();
        ledger.delivered(&delivery, &message.to_string()).await.unwrap();
    }
    let picture = Picture { id: PictureId::new(), alt: "load".into(), svg: "<svg/>".into(), png: vec![1] };
    ledger.keep_picture(&picture, NOW).await.unwrap();
    assert_eq!(ledger.picture(picture.id).await.unwrap().as_ref(), Some(&picture));

    // Ids and deliveries bear the real time, requests and lines ours; a moment after both, with nothing kept.
    let later = Timestamp::now().max(at(100)) + SignedDuration::from_hours(1);
    let keep = Retention { rooms: SignedDuration::ZERO, events: SignedDuration::ZERO };
    assert_eq!(ledger.prune(Retention::default(), 100, at(100)).await.unwrap(), 0, "nothing is old");
    let mut batches = 0;
    while ledger.prune(keep, 1, later).await.unwrap() > 0 {
        batches += 1;
    }
    assert!(batches > 1, "a batch is small");
    let count = async |table: &str| -> i64 {
        let query = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
        sqlx::query_scalar(query).fetch_one(&sql).await.unwrap()
    };
    assert_eq!(count("request").await, 2);
    assert_eq!(count("entry").await, 3, "two asked, one called off");
    let left: Vec<Option<uuid::Uuid>> =
        sqlx::query_scalar("select request from card order by request nulls last")
            .fetch_all(&sql)
            .await
            .unwrap();
    assert_eq!(left, [Some(open.id.0), None], "what is open, and what was never delivered");
    assert_eq!(ledger.room(&console, &actor("ann"), None, 9).await.unwrap().len(), 1);
    assert_eq!(ledger.picture(picture.id).await.unwrap(), None);
    for table in ["entry", "seal", "request", "vote", "run", "step", "identity", "link_offer"] {
        let query = sqlx::AssertSqlSafe(format!("delete from {table}"));
        let refused = sqlx::query(query).execute(&sql).await.unwrap_err();
        assert!(refused.to_string().contains("permission denied"), "{table}: {refused}");
    }
}
