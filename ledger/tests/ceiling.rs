//! Ceilings hold exactly, whoever submits and votes at the same time.

use crate::support::*;
use futures::future::join_all;
use ledger::*;

fn ceiling(each: Share, at_once: u32) -> Ceiling {
    Ceiling { cap: "few at once".into(), each, at_once }
}

#[tokio::test]
async fn of_submits_and_votes_at_once_only_as_many_are_approved_as_there_is_room_for() {
    let (ledger, _) = fresh("ceilingrace").await;
    let ceilings = [ceiling(Share::Cluster, 4), ceiling(Share::Person, 5), ceiling(Share::Action, 6)];
    let mut waiting = Vec::new();
    for n in 0..8 {
        waiting.push(submitted(&ledger, &format!("waiting{n}"), needs(1)).await);
    }
    let votes = waiting.iter().map(async |request| {
        let outcome = ledger.vote_below(request.id, &vote(request, "bob"), &ceilings).await.unwrap();
        outcome.map(|request| assert_eq!(request.unwrap().state, RequestState::Approved))
    });
    let submits = (0..8).map(async |n| {
        let request = request(&format!("asked{n}"), allow());
        let outcome = ledger.submit_below(&request, &ceilings, &Along::Nothing).await.unwrap();
        outcome.map(|(request, fresh)| assert!(fresh && request.state == RequestState::Approved))
    });
    let (votes, submits) = tokio::join!(join_all(votes), join_all(submits));
    let outcomes: Vec<Result<(), Full>> = votes.into_iter().chain(submits).collect();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 4, "{outcomes:?}");
    for full in outcomes.into_iter().filter_map(Result::err) {
        assert_eq!(full, Full { ceiling: ceilings[0].clone(), at_work: 4 });
    }
    let approved =
        RequestFilter { states: vec![RequestState::Approved], limit: 100, ..RequestFilter::default() };
    assert_eq!(ledger.requests(&approved).await.unwrap().len(), 4);
}

#[tokio::test]
async fn each_ceiling_counts_what_it_names() {
    let (ledger, _) = fresh("ceilingshare").await;
    submitted(&ledger, "checkout", allow()).await;
    // Like what is at work, or different from it in one thing.
    type Change = fn(&mut Ask, &mut Plan);
    let changes: [(&str, Change); 4] = [
        ("nothing", |_, _| ()),
        ("person", |ask, _| ask.person = Person("cat".into())),
        ("action", |ask, _| ask.action = "restart".into()),
        ("cluster", |ask, plan| {
            ask.target.cluster = "lab".into();
            plan.target.cluster = "lab".into();
        }),
    ];
    for (each, has_room) in [
        (Share::Person, vec!["person"]),
        (Share::Action, vec!["action", "cluster"]),
        (Share::Cluster, vec!["cluster"]),
    ] {
        for (what, change) in changes {
            let (mut ask, mut plan) = (ask("cart"), plan("cart"));
            change(&mut ask, &mut plan);
            let request = Request::new(RequestId::new(), ask, plan, allow(), "policy-1".into(), NOW);
            let stored = ledger.submit_below(&request, &[ceiling(each, 1)], &Along::Nothing).await.unwrap();
            assert_eq!(stored.is_ok(), has_room.contains(&what), "{each:?}, another {what}");
            match stored {
                Ok(_) => drop(ledger.cancel(request.id, &actor("ann"), None, NOW).await.unwrap().unwrap()),
                Err(_) => assert_eq!(
                    ledger.view(request.id).await.unwrap(),
                    None,
                    "what there is no room for is not stored"
                ),
            }
        }
    }
}

#[tokio::test]
async fn what_is_not_approved_needs_no_room() {
    let (ledger, _) = fresh("ceilingroom").await;
    let none = [ceiling(Share::Cluster, 0)];
    let waiting = request("checkout", needs(2));
    let (waiting, _) = ledger.submit_below(&waiting, &none, &Along::Nothing).await.unwrap().unwrap();
    let first = ledger.vote_below(waiting.id, &vote(&waiting, "bob"), &none).await.unwrap().unwrap();
    assert_eq!(first.unwrap().state, RequestState::Awaiting);
    assert!(ledger.vote_below(waiting.id, &vote(&waiting, "cat"), &none).await.unwrap().is_err());
    let deny = Vote { verdict: Verdict::Deny, ..vote(&waiting, "cat") };
    let denied = ledger.vote_below(waiting.id, &deny, &none).await.unwrap().unwrap();
    assert_eq!(denied.unwrap().state, RequestState::Denied);
}
