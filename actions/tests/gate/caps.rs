//! Caps hold exactly, whoever submits and votes at the same time.

use super::world::{RULES, World, ask, ballot};
use actions::gate::Submitted;
use ledger::{Refusal, RequestState, Verdict};
use serde_json::json;

const TWO_AT_ONCE: &str =
    "[[cap]]\nname = \"two at once\"\neach = \"cluster\"\nat_once = 2\nexcept = [\"break-glass\"]\n";

#[tokio::test]
async fn of_twenty_submits_at_once_only_as_many_are_approved_as_the_cap_allows() {
    let world = World::new("cap", &format!("{TWO_AT_ONCE}{RULES}")).await;
    let submits =
        (0..20).map(|_| world.gate.submit(ask("console:joe", "restart", "checkout", json!({})), world.now));
    let mut approved = 0;
    for submitted in futures::future::join_all(submits).await {
        let Submitted::Request { request, fresh } = submitted.unwrap() else { panic!() };
        assert!(fresh);
        match request.state {
            RequestState::Approved => approved += 1,
            RequestState::Refused => {
                assert!(request.note.unwrap().contains("\"two at once\" allows 2"), "{:?}", request.decision)
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(approved, 2);
}

#[tokio::test]
async fn a_vote_that_would_start_one_too_many_is_not_counted_and_may_be_repeated() {
    let world = World::new("capvote", &format!("{TWO_AT_ONCE}{RULES}")).await;
    let request = world.awaiting().await;
    world.click(&request, "console:ann", Verdict::Approve).await.unwrap();
    let first = world.request(ask("console:joe", "restart", "cart", json!({}))).await;
    world.request(ask("console:joe", "restart", "mail", json!({}))).await;
    let full = world.click(&request, "console:bob", Verdict::Approve).await;
    assert!(matches!(&full, Err(Refusal::Policy { reason }) if reason.contains("two at once")), "{full:?}");
    assert_eq!(world.stored(request.id).await.state, RequestState::Awaiting);
    // One ends: now there is room.
    world.gate.cancel(first.id, &"console:joe".parse().unwrap(), None, world.now).await.unwrap().unwrap();
    assert_eq!(
        world.click(&request, "console:bob", Verdict::Approve).await.unwrap().state,
        RequestState::Approved
    );
}

#[tokio::test]
async fn a_full_cap_keeps_nobody_from_denying() {
    let world = World::new("capdeny", &format!("{TWO_AT_ONCE}{RULES}")).await;
    let request = world.awaiting().await;
    for deployment in ["cart", "mail"] {
        world.request(ask("console:joe", "restart", deployment, json!({}))).await;
    }
    assert_eq!(
        world.click(&request, "console:ann", Verdict::Deny).await.unwrap().state,
        RequestState::Denied
    );
}

#[tokio::test]
async fn an_approval_that_nobody_used_in_time_does_not_fill_a_cap() {
    let world = World::new("capexpired", &format!("{TWO_AT_ONCE}{RULES}")).await;
    let request = world.awaiting().await;
    for deployment in ["cart", "mail"] {
        let made = world.request(ask("console:joe", "restart", deployment, json!({}))).await;
        assert_eq!(made.state, RequestState::Approved);
    }
    world.click(&request, "console:ann", Verdict::Approve).await.unwrap();
    let now = world.now + jiff::SignedDuration::from_secs(ledger::APPROVAL_LASTS_S);
    let approved = world.gate.vote(&ballot(&request, "console:bob", Verdict::Approve), now).await.unwrap();
    assert_eq!(approved.unwrap().state, RequestState::Approved);
}
