//! Identities that people link themselves, by people who are in a hurry, mistaken, or up to something.

use crate::support::*;
use futures::future::join_all;
use jiff::SignedDuration;
use ledger::*;

const TEN_MINUTES: SignedDuration = SignedDuration::from_mins(10);

fn slack(user: &str) -> Actor {
    format!("slack:T1:{user}").parse().unwrap()
}

fn ann() -> Person {
    Person("ann".into())
}

fn offer(person: &str, key: &str) -> LinkOffer {
    let place = Some(Place("console:ops".into()));
    LinkOffer { person: Person(person.into()), actor: actor(person), place, key: key.into() }
}

/// Ann's code is `[n; 32]`.
async fn offered(ledger: &Ledger, n: u8) {
    let key = format!("k{n}");
    assert!(ledger.offer_link(&offer("ann", &key), &[n; 32], TEN_MINUTES, NOW).await.unwrap());
}

async fn kinds(ledger: &Ledger) -> Vec<String> {
    let filter = EntryFilter { kind: Some("people.".into()), limit: 50, ..EntryFilter::default() };
    ledger.entries(&filter).await.unwrap().into_iter().rev().map(|entry| entry.kind).collect()
}

#[tokio::test]
async fn a_code_makes_an_identity_a_person_until_it_is_unlinked_and_all_of_it_is_on_record() {
    let (ledger, _) = fresh("link").await;
    offered(&ledger, 1).await;
    let linked = ledger.redeem_link(&[1; 32], &slack("U1"), at(5)).await.unwrap();
    assert_eq!(linked, Redeemed::Linked(offer("ann", "k1")));
    assert_eq!(ledger.person_of(&slack("U1")).await.unwrap(), Some(ann()));
    let links = ledger.links(&ann()).await.unwrap();
    assert_eq!(links, [Link { actor: slack("U1"), by: actor("ann"), at: at(5) }]);
    let bob = Person("bob".into());
    assert!(!ledger.unlink(&bob, &slack("U1"), &actor("bob"), at(6)).await.unwrap(), "not his");
    assert!(ledger.unlink(&ann(), &slack("U1"), &actor("ann"), at(6)).await.unwrap());
    assert_eq!(ledger.person_of(&slack("U1")).await.unwrap(), None);
    let again = ledger.redeem_link(&[1; 32], &slack("U1"), at(7)).await.unwrap();
    assert_eq!(again, Redeemed::Wrong, "the code is not worth a second link");
    assert_eq!(
        kinds(&ledger).await,
        ["people.offered", "people.linked", "people.unlinked", "people.refused"]
    );
}

#[tokio::test]
async fn of_many_who_type_a_stolen_code_at_once_one_is_linked() {
    let (ledger, _) = fresh("stolen").await;
    offered(&ledger, 1).await;
    let tries = (0..12).map(|n| {
        let ledger = ledger.clone();
        async move { ledger.redeem_link(&[1; 32], &slack(&format!("U{n}")), at(1)).await.unwrap() }
    });
    let outcomes = join_all(tries).await;
    let linked = outcomes.iter().filter(|outcome| matches!(outcome, Redeemed::Linked(_))).count();
    let wrong = outcomes.iter().filter(|outcome| **outcome == Redeemed::Wrong).count();
    assert_eq!((linked, wrong), (1, 11));
    assert_eq!(ledger.links(&ann()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_same_identity_may_send_its_code_again_after_a_crash() {
    let (ledger, _) = fresh("again").await;
    offered(&ledger, 1).await;
    for _ in 0..8 {
        let linked = ledger.redeem_link(&[1; 32], &slack("U1"), at(1)).await.unwrap();
        assert!(matches!(linked, Redeemed::Linked(_)), "{linked:?}");
    }
    assert_eq!(ledger.links(&ann()).await.unwrap().len(), 1);
    assert_eq!(kinds(&ledger).await, ["people.offered", "people.linked"]);
    assert!(
        !ledger.offer_link(&offer("ann", "k1"), &[9; 32], TEN_MINUTES, NOW).await.unwrap(),
        "the same line"
    );
}

#[tokio::test]
async fn a_late_replaced_or_spoilt_code_counts_for_nobody() {
    let (ledger, _) = fresh("late").await;
    let redeem = async |n: u8, user: &str, seconds: i64| {
        ledger.redeem_link(&[n; 32], &slack(user), at(seconds)).await.unwrap()
    };
    offered(&ledger, 1).await;
    assert_eq!(redeem(1, "U1", 601).await, Redeemed::Wrong, "ten minutes are over");
    offered(&ledger, 2).await;
    offered(&ledger, 3).await;
    assert_eq!(redeem(2, "U2", 1).await, Redeemed::Wrong, "a newer one replaced it");
    ledger.spoil_link(&[3; 32], &actor("bob"), at(1)).await.unwrap();
    assert_eq!(redeem(3, "U3", 2).await, Redeemed::Wrong, "bob has seen it");
    assert_eq!(ledger.links(&ann()).await.unwrap(), []);
    offered(&ledger, 4).await;
    assert!(matches!(redeem(4, "U4", 1).await, Redeemed::Linked(_)));
    assert!(ledger.offer_link(&offer("bob", "b1"), &[5; 32], TEN_MINUTES, NOW).await.unwrap());
    assert_eq!(redeem(5, "U4", 2).await, Redeemed::Known(ann()), "an identity is one person");
    assert_eq!(redeem(5, "U5", 3).await, Redeemed::Wrong, "and that code has been seen");
}

#[tokio::test]
async fn whoever_guesses_is_stopped_for_an_hour_even_with_the_right_code() {
    let (ledger, _) = fresh("guess").await;
    offered(&ledger, 1).await;
    let guess =
        async |n: u8, seconds: i64| ledger.redeem_link(&[n; 32], &slack("U1"), at(seconds)).await.unwrap();
    let at_once = join_all((0..20).map(|n| guess(100 + n, 1))).await;
    let wrong = at_once.iter().filter(|outcome| **outcome == Redeemed::Wrong).count();
    assert_eq!((wrong, at_once.len() - wrong), (5, 15), "also when all come at once");
    assert_eq!(guess(1, 2).await, Redeemed::TooMany);
    let other = ledger.redeem_link(&[1; 32], &slack("U2"), at(3)).await.unwrap();
    assert!(matches!(other, Redeemed::Linked(_)), "others are not stopped");
    assert_eq!(guess(200, 3700).await, Redeemed::Wrong, "an hour later");
}

#[tokio::test]
async fn one_identity_has_one_vote_and_none_on_its_own_request_whoever_it_belongs_to() {
    let (ledger, sql) = fresh_with_sql("one_vote").await;
    let two = submitted(&ledger, "x", needs(2)).await;
    let by = |person: &str, identity: &str| Vote { actor: actor(identity), ..vote(&two, person) };
    ledger.vote(two.id, &by("bob", "shared")).await.unwrap().unwrap();
    let refused = ledger.vote(two.id, &by("cat", "shared")).await.unwrap();
    assert_eq!(refused, Err(Refusal::VotedAlready));
    let refused = ledger.vote(two.id, &by("cat", "ann")).await.unwrap();
    assert_eq!(refused, Err(Refusal::OwnRequest));
    // And the database itself, whoever writes.
    for identity in ["console:shared", "console:ann"] {
        let forged = sqlx::query(
            "insert into vote (request, revision, person, actor, groups, verdict, digest, at)
             select id, revision, 'cat', $2, array['sre'], 'approve', digest, now() from request where id = $1",
        )
        .bind(two.id.0)
        .bind(identity)
        .execute(&sql)
        .await
        .unwrap_err();
        assert!(forged.to_string().contains("does not count"), "{forged}");
    }
}
