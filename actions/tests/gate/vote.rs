//! Votes through the gate (G1, G2, G3, G4).

use super::world::{RULES, World, ask, ballot};
use actions::gate::Ballot;
use ledger::{Refusal, RequestId, RequestState, Verdict};
use serde_json::json;

#[tokio::test]
async fn two_people_release_the_run_and_one_does_not() {
    let world = World::new("two", RULES).await;
    let request = world.awaiting().await;
    let first = world.click(&request, "console:ann", Verdict::Approve).await.unwrap();
    assert_eq!(first.state, RequestState::Awaiting);
    let second = world.click(&request, "console:bob", Verdict::Approve).await.unwrap();
    assert_eq!(second.state, RequestState::Approved);
    assert!(world.ledger.view(request.id).await.unwrap().unwrap().run.is_some());
}

#[tokio::test]
async fn nobody_votes_on_their_own_request_with_any_identity() {
    let world = World::new("own", RULES).await;
    let request = world.request(ask("console:ann", "scale", "checkout", json!({ "replicas": 5 }))).await;
    assert_eq!(request.state, RequestState::Awaiting);
    for identity in ["console:ann", "slack:T1:U2"] {
        assert_eq!(
            world.click(&request, identity, Verdict::Approve).await,
            Err(Refusal::OwnRequest),
            "{identity}"
        );
    }
}

#[tokio::test]
async fn strangers_outsiders_and_machines_are_refused_and_it_is_recorded() {
    let world = World::new("outsiders", RULES).await;
    let request = world.awaiting().await;
    let stranger = world.click(&request, "slack:T1:U9", Verdict::Approve).await.unwrap_err();
    assert!(stranger.to_string().contains("slack:T1:U9"), "{stranger}");
    let not_entitled = Err(Refusal::NotEntitled { groups: vec!["sre".to_string()] });
    for outsider in ["console:eve", "api:ci"] {
        for verdict in [Verdict::Approve, Verdict::Deny] {
            assert_eq!(world.click(&request, outsider, verdict).await, not_entitled, "{outsider}");
        }
    }
    assert_eq!(world.stored(request.id).await.state, RequestState::Awaiting);
    let refused = world.entries().await.into_iter().filter(|(kind, _)| kind == "vote.refused").count();
    assert_eq!(refused, 5);
}

#[tokio::test]
async fn two_identities_of_one_person_count_once() {
    let world = World::new("identities", RULES).await;
    let request = world.awaiting().await;
    world.click(&request, "console:ann", Verdict::Approve).await.unwrap();
    assert_eq!(world.click(&request, "slack:T1:U2", Verdict::Approve).await, Err(Refusal::VotedAlready));
    assert_eq!(world.click(&request, "console:ann", Verdict::Approve).await, Err(Refusal::VotedAlready));
    assert_eq!(world.stored(request.id).await.state, RequestState::Awaiting);
}

#[tokio::test]
async fn a_click_after_the_decision_is_told_so() {
    let world = World::new("late", RULES).await;
    let denied = world.awaiting().await;
    world.click(&denied, "console:ann", Verdict::Deny).await.unwrap();
    let late = world.click(&denied, "console:bob", Verdict::Approve).await.unwrap_err();
    assert!(
        matches!(&late, Refusal::TooLate { state, because } if state == "denied" && because.contains("ann")),
        "{late:?}"
    );
    assert_eq!(world.stored(denied.id).await.state, RequestState::Denied);
}

#[tokio::test]
async fn of_many_clicks_at_once_exactly_one_decides() {
    let world = World::new("race", RULES).await;
    for round in 0..5 {
        let request = world
            .request(ask(
                "console:joe",
                "set-image",
                "checkout",
                json!({ "images": { "app": format!("registry.example/app:{}", round + 2) } }),
            ))
            .await;
        let clicks = ["console:ann", "console:bob", "console:cat", "slack:T1:U2"]
            .into_iter()
            .enumerate()
            .map(|(index, actor)| {
                let verdict = if index % 2 == 0 { Verdict::Approve } else { Verdict::Deny };
                let ballot = Ballot { typed: Some("lab".to_string()), ..ballot(&request, actor, verdict) };
                let gate = world.gate.clone();
                async move { gate.vote(&ballot, world.now).await.unwrap() }
            });
        let outcomes = futures::future::join_all(clicks).await;
        let winners: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok()).collect();
        assert_eq!(winners.len(), 1, "{outcomes:?}");
        for refusal in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
            assert!(matches!(refusal, Refusal::TooLate { .. }), "{refusal:?}");
        }
        let stored = world.stored(request.id).await;
        assert_eq!(stored.state, winners[0].state);
        assert!(matches!(stored.state, RequestState::Approved | RequestState::Denied));
    }
}

#[tokio::test]
async fn a_vote_on_another_plan_than_the_one_that_stands_is_refused() {
    let world = World::new("changed", RULES).await;
    let request = world.awaiting().await;
    for digest in ["00".repeat(32), "not hex".to_string(), String::new()] {
        let ballot = Ballot { digest: Some(digest), ..ballot(&request, "console:ann", Verdict::Approve) };
        assert_eq!(world.gate.vote(&ballot, world.now).await.unwrap(), Err(Refusal::PlanChanged));
    }
    // Typed, without a card: the plan that stands.
    let typed = Ballot { digest: None, ..ballot(&request, "console:ann", Verdict::Approve) };
    assert!(world.gate.vote(&typed, world.now).await.unwrap().is_ok());
}

#[tokio::test]
async fn an_expired_request_cannot_be_approved_though_nobody_swept_it() {
    let world = World::new("expired", RULES).await;
    let request = world.awaiting().await;
    assert!(world.click_after(&request, "console:ann", 30 * 60 - 1).await.is_ok());
    let late = world.click_after(&request, "console:bob", 30 * 60).await.unwrap_err();
    assert!(matches!(&late, Refusal::TooLate { state, .. } if state == "expired"), "{late:?}");
    assert!(world.ledger.view(request.id).await.unwrap().unwrap().run.is_none());
}

#[tokio::test]
async fn the_clusters_name_must_be_typed_where_the_rule_asks_for_it() {
    let world = World::new("typed", RULES).await;
    let request = world
        .request(ask(
            "console:joe",
            "set-image",
            "checkout",
            json!({ "images": { "app": "registry.example/app:2" } }),
        ))
        .await;
    let typed = |typed: Option<&str>| Ballot {
        typed: typed.map(String::from),
        ..ballot(&request, "console:ann", Verdict::Approve)
    };
    for wrong in [None, Some(""), Some("LAB")] {
        let refusal = world.gate.vote(&typed(wrong), world.now).await.unwrap();
        assert_eq!(refusal, Err(Refusal::TypeCluster { cluster: "lab".to_string() }), "{wrong:?}");
    }
    assert_eq!(
        world.gate.vote(&typed(Some("lab")), world.now).await.unwrap().unwrap().state,
        RequestState::Approved
    );
}

#[tokio::test]
async fn a_vote_on_nothing_is_refused() {
    let world = World::new("nothing", RULES).await;
    let request = world.awaiting().await;
    for digest in [None, Some(request.digest.to_string())] {
        let ballot =
            Ballot { request: RequestId::new(), digest, ..ballot(&request, "console:ann", Verdict::Approve) };
        assert_eq!(world.gate.vote(&ballot, world.now).await.unwrap(), Err(Refusal::NoSuchRequest));
    }
}
