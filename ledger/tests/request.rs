//! Requests and votes.

use crate::support::*;
use futures::future::join_all;
use ledger::*;
use serde_json::json;
use std::time::Duration;

const LEASE: Duration = Duration::from_secs(30);

async fn state(ledger: &Ledger, id: RequestId) -> RequestState {
    ledger.view(id).await.unwrap().unwrap().request.state
}

async fn count(sql: &sqlx::PgPool, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(sql).await.unwrap()
}

async fn kinds(sql: &sqlx::PgPool, id: RequestId) -> Vec<String> {
    sqlx::query_scalar("select kind from entry where request = $1 order by id")
        .bind(id.0)
        .fetch_all(sql)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_request_comes_back_as_it_was_submitted() {
    let (ledger, _) = fresh("comesback").await;
    for decision in
        [allow(), needs(2), Decision::Refuse { rule: "default".into(), reason: "no rule allows it".into() }]
    {
        let request = submitted(&ledger, "checkout", decision).await;
        let view = ledger.view(request.id).await.unwrap().unwrap();
        assert_eq!(view.request, request);
        assert_eq!(view.request.plan.digest(), request.digest);
        assert_eq!(view.run.is_some(), request.state == RequestState::Approved);
        assert_eq!(ledger.request_by_key(&request.ask.key).await.unwrap(), Some(request));
    }
    assert_eq!(ledger.view(RequestId::new()).await.unwrap(), None);
}

#[tokio::test]
async fn the_same_key_submits_once_whatever_the_number_of_calls() {
    let (ledger, sql) = fresh_with_sql("samekey").await;
    let ask = ask("checkout");
    let tries = (0..20).map(|_| {
        let request =
            Request::new(RequestId::new(), ask.clone(), plan("checkout"), allow(), "policy-1".into(), NOW);
        let ledger = ledger.clone();
        async move { ledger.submit(&request).await.unwrap() }
    });
    let made = join_all(tries).await;
    assert_eq!(made.iter().filter(|(_, fresh)| *fresh).count(), 1);
    assert!(made.iter().all(|(request, _)| *request == made[0].0));
    for query in [
        "select count(*) from request",
        "select count(*) from run",
        "select count(*) from entry",
        "select count(*) from card",
    ] {
        assert_eq!(count(&sql, query).await, 1, "{query}");
    }
}

#[tokio::test]
async fn fifty_clicks_at_once_make_one_decision_and_at_most_one_run() {
    let (ledger, sql) = fresh_with_sql("fiftyclicks").await;
    let request = submitted(&ledger, "checkout", needs(1)).await;
    let clicks = (0..50).map(|n| {
        let verdict = if n % 2 == 0 { Verdict::Approve } else { Verdict::Deny };
        let vote = Vote { verdict, ..vote(&request, &format!("p{n}")) };
        let ledger = ledger.clone();
        async move { ledger.vote(request.id, &vote).await.unwrap() }
    });
    let answers = join_all(clicks).await;
    let (counted, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.is_ok());
    assert_eq!(counted.len(), 1);
    assert!(refused.iter().all(|answer| matches!(answer, Err(Refusal::TooLate { .. }))), "{refused:?}");
    let decided = counted[0].as_ref().unwrap().state;
    assert_eq!(state(&ledger, request.id).await, decided);
    assert_eq!(count(&sql, "select count(*) from run").await, i64::from(decided == RequestState::Approved));
    assert_eq!(count(&sql, "select count(*) from vote").await, 1);
    assert_eq!(count(&sql, "select count(*) from entry where kind like 'vote.%'").await, 1);
}

#[tokio::test]
async fn two_approvers_at_once_release_one_run() {
    let (ledger, sql) = fresh_with_sql("twoapprovers").await;
    for round in 0..10 {
        let request = submitted(&ledger, &format!("checkout{round}"), needs(2)).await;
        let (bob, cat) = (vote(&request, "bob"), vote(&request, "cat"));
        let (a, b) = tokio::join!(ledger.vote(request.id, &bob), ledger.vote(request.id, &cat));
        let states = [a.unwrap().unwrap().state, b.unwrap().unwrap().state];
        assert!(
            states.contains(&RequestState::Awaiting) && states.contains(&RequestState::Approved),
            "{states:?}"
        );
        assert_eq!(ledger.view(request.id).await.unwrap().unwrap().votes.len(), 2);
    }
    assert_eq!(count(&sql, "select count(*) from run").await, 10);
}

#[tokio::test]
async fn an_expired_request_cannot_run_though_no_sweeper_ran() {
    let (ledger, sql) = fresh_with_sql("expired").await;
    let approved = submitted(&ledger, "checkout", allow()).await;
    let late = at(APPROVAL_LASTS_S);
    assert_eq!(ledger.claim_runs("w1", LEASE, 1, late).await.unwrap().pop(), None);
    assert_eq!(state(&ledger, approved.id).await, RequestState::Approved);
    assert_eq!(ledger.expire(late, 10).await.unwrap(), 1);
    assert_eq!(state(&ledger, approved.id).await, RequestState::Expired);
    assert_eq!(kinds(&sql, approved.id).await, ["request.submitted", "request.expired"]);
    assert_eq!(ledger.queue_depth().await.unwrap(), (0, 0));

    let awaiting = submitted(&ledger, "cart", needs(1)).await;
    let vote = Vote { at: at(600), ..vote(&awaiting, "bob") };
    assert!(matches!(ledger.vote(awaiting.id, &vote).await.unwrap(), Err(Refusal::TooLate { .. })));
}

#[tokio::test]
async fn the_sweeper_expires_what_is_over_and_only_that() {
    let (ledger, _) = fresh("sweeper").await;
    let old = submitted(&ledger, "checkout", needs(1)).await;
    let approved = submitted(&ledger, "cart", allow()).await;
    assert_eq!(ledger.expire(at(599), 10).await.unwrap(), 0);
    assert_eq!(ledger.expire(at(600), 10).await.unwrap(), 1);
    assert_eq!(state(&ledger, old.id).await, RequestState::Expired);
    assert_eq!(state(&ledger, approved.id).await, RequestState::Approved);
}

#[tokio::test]
async fn what_is_called_off_never_runs() {
    let (ledger, _) = fresh("calledoff").await;
    let approved = submitted(&ledger, "checkout", allow()).await;
    let cancelled =
        ledger.cancel(approved.id, &actor("bob"), Some("wrong cluster"), at(1)).await.unwrap().unwrap();
    assert_eq!(cancelled.note.as_deref(), Some("called off by console:bob: wrong cluster"));
    assert_eq!(ledger.claim_runs("w1", LEASE, 1, at(2)).await.unwrap().pop(), None);
    let again = ledger.cancel(approved.id, &actor("cat"), None, at(3)).await.unwrap();
    assert!(matches!(again, Err(Refusal::TooLate { .. })), "{again:?}");
    assert_eq!(
        ledger.cancel(RequestId::new(), &actor("cat"), None, at(3)).await.unwrap(),
        Err(Refusal::NoSuchRequest)
    );

    let running = submitted(&ledger, "cart", allow()).await;
    let claim = ledger.claim_runs("w1", LEASE, 1, at(2)).await.unwrap().pop().unwrap();
    assert_eq!(ledger.heartbeat(&claim.fence, LEASE).await.unwrap(), None);
    let marked = ledger.cancel(running.id, &actor("bob"), None, at(3)).await.unwrap().unwrap();
    assert_eq!((marked.state, marked.cancel), (RequestState::Running, Some(actor("bob"))));
    assert_eq!(ledger.heartbeat(&claim.fence, LEASE).await.unwrap(), Some(actor("bob")));
}

#[tokio::test]
async fn cancel_and_claim_at_once_agree() {
    let (ledger, _) = fresh("cancelclaim").await;
    for round in 0..10 {
        let request = submitted(&ledger, &format!("checkout{round}"), allow()).await;
        let bob = actor("bob");
        let (cancelled, claimed) = tokio::join!(
            ledger.cancel(request.id, &bob, None, at(1)),
            ledger.claim_runs("w1", LEASE, 1, at(1))
        );
        let (cancelled, claimed) = (cancelled.unwrap().unwrap(), claimed.unwrap());
        match claimed.first() {
            // The claim came first: the runner will hear of it. Or the row was locked for a moment, and nothing was claimed.
            Some(_) => assert_eq!((cancelled.state, cancelled.cancel), (RequestState::Running, Some(bob))),
            None => assert_eq!(cancelled.state, RequestState::Cancelled),
        }
    }
}

#[tokio::test]
async fn requests_are_found_by_what_people_remember() {
    let (ledger, _) = fresh("found").await;
    let checkout = submitted(&ledger, "checkout", allow()).await;
    let cart = submitted(&ledger, "cart", needs(1)).await;
    let found = async |filter: RequestFilter| {
        let requests = ledger.requests(&RequestFilter { limit: 10, ..filter }).await.unwrap();
        requests.into_iter().map(|request| request.id).collect::<Vec<_>>()
    };
    let all = RequestFilter::default;
    assert_eq!(found(all()).await.len(), 2);
    assert_eq!(found(RequestFilter { states: vec![RequestState::Awaiting], ..all() }).await, [cart.id]);
    assert_eq!(found(RequestFilter { target: Some(target("checkout").key()), ..all() }).await, [checkout.id]);
    assert_eq!(found(RequestFilter { text: Some("SALE cart 3".into()), ..all() }).await, [cart.id]);
    assert_eq!(found(RequestFilter { text: Some("%".into()), ..all() }).await, []);
    assert_eq!(found(RequestFilter { cluster: Some("prod-us".into()), ..all() }).await, []);
    assert_eq!(found(RequestFilter { person: Some(Person("bob".into())), ..all() }).await, []);
    assert_eq!(found(RequestFilter { action: Some("scale".into()), before: Some(NOW), ..all() }).await, []);
    assert_eq!(ledger.find_request(&cart.id.short()).await.unwrap(), [cart.id]);
    assert_eq!(ledger.find_request("00000000").await.unwrap(), []);
}

const ALL: Counted =
    Counted { person_last_hour: true, action_last_hour: true, cluster_last_hour: true, running: true };

#[tokio::test]
async fn activity_counts_what_caps_need() {
    let (ledger, _) = fresh("activity").await;
    let checkout = submitted(&ledger, "checkout", allow()).await;
    submitted(&ledger, "cart", needs(1)).await;
    let now =
        ledger.activity(&Person("ann".into()), "scale", &target("checkout"), ALL, at(10)).await.unwrap();
    let expected = Activity {
        person_last_hour: 2,
        action_last_hour: 2,
        cluster_last_hour: 2,
        person_running: 1,
        action_running: 1,
        cluster_running: 1,
        target_busy: Some(checkout.id),
    };
    assert_eq!(now, expected);
    let other = Target { cluster: "prod-us".into(), ..target("checkout") };
    let elsewhere = ledger.activity(&Person("bob".into()), "scale", &other, ALL, at(10)).await.unwrap();
    assert_eq!(elsewhere, Activity::default());
    let later =
        ledger.activity(&Person("ann".into()), "scale", &target("cart"), ALL, at(3601)).await.unwrap();
    assert_eq!((later.person_last_hour, later.cluster_running, later.target_busy), (0, 1, None));
    let none = Counted::default();
    let uncounted =
        ledger.activity(&Person("ann".into()), "scale", &target("checkout"), none, at(10)).await.unwrap();
    assert_eq!(uncounted, Activity { target_busy: Some(checkout.id), ..Activity::default() });
}

#[tokio::test]
async fn the_database_itself_refuses_what_must_not_be() {
    let (ledger, sql) = fresh_with_sql("refuses").await;
    let denied = submitted(&ledger, "denied", needs(1)).await;
    let deny = Vote { verdict: Verdict::Deny, ..vote(&denied, "bob") };
    ledger.vote(denied.id, &deny).await.unwrap().unwrap();
    let awaiting = submitted(&ledger, "awaiting", needs(2)).await;
    ledger.vote(awaiting.id, &vote(&awaiting, "bob")).await.unwrap().unwrap();
    let dry = Ask { dry_run: true, ..ask("dry") };
    ledger.submit(&Request::new(RequestId::new(), dry, plan("dry"), allow(), "p".into(), NOW)).await.unwrap();

    for query in [
        "update request set state = 'running', expires_at = null where state = 'denied'",
        "update request set note = 'never happened' where state = 'denied'",
        "update request set state = 'running', expires_at = null where state = 'awaiting'",
        "update request set expires_at = null where state = 'awaiting'",
        "update request set state = 'approved', expires_at = now() where state = 'planned'",
        "update request set plan = '{}' where state = 'awaiting'",
        "update request set revision = 2, plan = '{}' where state = 'awaiting'",
        "update request set person = 'bob' where state = 'awaiting'",
        "update request set cancel = 'console:bob' where state = 'awaiting'",
        "delete from request",
        "truncate request cascade",
        "update vote set verdict = 'deny'",
        "delete from vote",
        "insert into vote select request, revision, 'bob', actor, groups, verdict, digest, reason, typed, at from vote",
        "insert into vote select id, revision, person, actor, '{sre}', 'approve', digest, null, null, now() from request
         where state = 'awaiting'",
        "insert into vote select id, revision, 'cat', 'console:cat', '{sre}', 'approve', '\\x00', null, null, now() from request
         where state = 'awaiting'",
        "insert into vote select id, revision, 'cat', 'console:cat', '{sre}', 'approve', digest, null, null, now() from request
         where state = 'denied'",
    ] {
        let result = sqlx::query(query).execute(&sql).await;
        let code = result.as_ref().err().and_then(|error| error.as_database_error()?.code().map(String::from));
        assert!(
            code.as_deref().is_some_and(|code| ["23514", "23505", "42501"].contains(&code)),
            "{query}: {result:?}"
        );
    }
    assert_eq!(json!(state(&ledger, denied.id).await), json!("denied"));
}
