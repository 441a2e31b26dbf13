//! `people`, as people and thieves use it. Bob is `console:bob` and `slack:T1:UBOB` by the policy file.

use crate::chat::World;
use bot::{draw, inbox, inbox::Handled};
use jiff::{SignedDuration, Timestamp};
use ledger::{Actor, Arrival, Event, LinkOffer, Person, Place, Redeemed, RequestFilter, RequestState};

const NEW: &str = "discord:G1:77";

/// Types a line in a chat; all that only this person sees, as text.
async fn types(world: &World, who: &str, line: &str) -> String {
    let actor: Actor = who.parse().unwrap();
    let place = Place(match actor.kind() {
        "discord" => "discord:G1:C7".into(),
        kind => format!("{kind}:ops"),
    });
    let key = ledger::RequestId::new().to_string();
    let arrival = Arrival { key, actor, place, event: Event::Line { text: line.into() }, reply_to: None };
    let app = &world.app;
    let inbound =
        app.ledger.receive(&arrival, &app.worker, inbox::LEASE, Timestamp::now()).await.unwrap().unwrap();
    match inbox::handle(app, &inbound).await {
        Handled::Shown => String::new(),
        Handled::Private(card) => draw::text(&card, str::to_string),
    }
}

async fn code(world: &World, who: &str) -> String {
    let shown = types(world, who, "people link").await;
    let code = shown.split('`').nth(1).and_then(|line| line.strip_prefix("people link "));
    code.unwrap_or_else(|| panic!("no code in {shown}")).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_linked_identity_is_its_person_everywhere_and_counts_once() {
    let world = World::new("people_link").await;
    let stranger = types(&world, NEW, "whoami").await;
    assert!(stranger.contains("I do not know") && stranger.contains("people link"), "{stranger}");
    let code = code(&world, "console:bob").await;
    let linked = types(&world, NEW, &format!("people link {}", code.to_lowercase())).await;
    assert!(linked.contains("You are bob here, too"), "{linked}");
    assert!(types(&world, NEW, "whoami").await.contains("You are bob"));
    let mine = types(&world, "slack:T1:UBOB", "people").await;
    assert!(mine.contains("console:bob") && mine.contains("discord:G1:77  linked by console:bob"), "{mine}");
    let told = world.cards("ops", "bob").await;
    assert!(
        told.iter().all(|card| !draw::json(card).to_string().contains(&code)),
        "the code is kept nowhere"
    );

    // One person, one vote.
    world.post("ann", "scale deploy/checkout 9").await;
    let card = world.card("ops", "awaiting 0 of 1").await;
    let id = card.request.unwrap();
    assert_eq!(types(&world, NEW, &format!("approve {id}")).await, "");
    let again = types(&world, "console:bob", &format!("approve {id}")).await;
    assert!(!again.is_empty(), "bob has voted");
    let view = world.app.ledger.view(id).await.unwrap().unwrap();
    assert_eq!((view.votes.len(), view.votes[0].person.0.as_str()), (1, "bob"));

    // And none on what the same person asked for.
    assert_eq!(types(&world, "console:bob", "scale deploy/cart 7 -n shop -c prod-eu").await, "");
    let his = RequestFilter { person: Some(Person("bob".into())), limit: 1, ..RequestFilter::default() };
    let own = world.app.ledger.requests(&his).await.unwrap().remove(0);
    assert_eq!(own.state, RequestState::Awaiting);
    let refused = types(&world, NEW, &format!("approve {}", own.id)).await;
    assert!(refused.contains("You asked for this yourself"), "{refused}");

    let unlinked = types(&world, "console:bob", &format!("people unlink {NEW}")).await;
    assert!(unlinked.contains("is not you any more"), "{unlinked}");
    assert!(types(&world, NEW, "whoami").await.contains("I do not know"));
    let kinds: Vec<String> =
        world.records("people.").await.into_iter().rev().map(|entry| entry.kind).collect();
    assert_eq!(kinds, ["people.offered", "people.linked", "people.unlinked"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thief_is_seen_at_once_cannot_go_further_and_is_out_with_one_line() {
    let world = World::new("people_thief").await;
    let code = code(&world, "console:bob").await;
    // Eve, whom we know, has read it over his shoulder and tries it out: that spoils it.
    let eve = types(&world, "console:eve", &format!("people link {code}")).await;
    assert!(eve.contains("You are eve already"), "{eve}");
    assert!(types(&world, NEW, &format!("people link {code}")).await.contains("still nobody"));

    // From an identity that nobody knows it works; bob is told where he asked for it.
    let code = self::code(&world, "console:bob").await;
    let thief = "discord:G1:666";
    assert!(types(&world, thief, &format!("people link {code}")).await.contains("You are bob"));
    let begun = std::time::Instant::now();
    let told = loop {
        let cards = world.cards("ops", "bob").await;
        if let Some(card) = cards.into_iter().find(|card| card.title.ends_with("is you now")) {
            break card;
        }
        assert!(begun.elapsed() < crate::chat::WITHIN, "bob is told");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    };
    assert!(told.text.unwrap().contains("people unlink discord:G1:666"));
    let none = world.cards("ops", "ann").await;
    assert!(none.iter().all(|card| !card.title.ends_with("is you now")), "nobody else");
    let further = types(&world, thief, "people link").await;
    assert!(further.contains("this identity was linked itself"), "no chain of thieves: {further}");
    let out = types(&world, thief, "people unlink console:bob").await;
    assert!(out.contains("by the policy file"), "{out}");
    types(&world, "slack:T1:UBOB", &format!("people unlink {thief}")).await;
    assert!(types(&world, thief, "get pods -n shop -c prod-eu").await.contains("I do not know"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_policy_file_says_of_an_identity_comes_before_a_link() {
    let world = World::new("people_policy").await;
    let (ledger, now) = (&world.app.ledger, Timestamp::now());
    // As if the file had named eve's identity only after bob had linked it.
    let offer = LinkOffer {
        person: Person("bob".into()),
        actor: "console:bob".parse().unwrap(),
        place: None,
        key: "k".into(),
    };
    assert!(ledger.offer_link(&offer, &[1; 32], SignedDuration::from_mins(1), now).await.unwrap());
    let eve: Actor = "console:eve".parse().unwrap();
    assert!(matches!(ledger.redeem_link(&[1; 32], &eve, now).await.unwrap(), Redeemed::Linked(_)));
    assert!(types(&world, "console:eve", "whoami").await.contains("You are eve"));
    let bobs = types(&world, "console:bob", "people").await;
    assert!(bobs.contains("linked, but the policy file says it is eve"), "{bobs}");

    // And one whose person the file does not name is nobody.
    let gone = LinkOffer { person: Person("zoe".into()), key: "z".into(), ..offer };
    assert!(ledger.offer_link(&gone, &[2; 32], SignedDuration::from_mins(1), now).await.unwrap());
    let theirs: Actor = NEW.parse().unwrap();
    assert!(matches!(ledger.redeem_link(&[2; 32], &theirs, now).await.unwrap(), Redeemed::Linked(_)));
    assert!(types(&world, NEW, "whoami").await.contains("I do not know"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_that_went_through_the_outbox_is_not_kept_there() {
    let world = World::new("people_outbox").await;
    // As Slack and Discord have it: the answer goes through the outbox.
    let place = Place("console:ops".into());
    let arrival = Arrival {
        key: "outbox-1".into(),
        actor: "console:bob".parse().unwrap(),
        place: place.clone(),
        event: Event::Line { text: "people link".into() },
        reply_to: None,
    };
    let app = &world.app;
    let inbound =
        app.ledger.receive(&arrival, &app.worker, inbox::LEASE, Timestamp::now()).await.unwrap().unwrap();
    inbox::spawn(app, inbound);
    let begun = std::time::Instant::now();
    loop {
        let cards = world.cards("ops", "bob").await;
        if let Some(card) = cards.first() {
            assert_eq!(card.title, "This was shown once", "the room's table keeps no code either");
            break;
        }
        assert!(begun.elapsed() < crate::chat::WITHIN, "bob gets an answer");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
