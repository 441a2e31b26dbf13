//! From an ask to a request, or to a clear word why not.

use super::world::{RULES, World, ask, ballot};
use actions::gate::Submitted;
use ledger::{Decision, Refusal, RequestState, Verdict};
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test]
async fn an_allowed_ask_is_planned_approved_and_queued_at_once() {
    let world = World::new("allowed", RULES).await;
    let request = world.request(ask("console:joe", "restart", "checkout", json!({}))).await;
    assert_eq!(request.state, RequestState::Approved, "{:?}", request.note);
    assert_eq!(request.ask.person.0, "joe", "the policy file says who it is, not the door");
    assert_eq!(request.policy, world.gate.policy.current().version());
    assert!(request.plan.target.uid.is_some());
    assert!(world.ledger.view(request.id).await.unwrap().unwrap().run.is_some());
    let calls = world.practice.audit();
    assert!(calls.iter().all(|call| call.dry_run), "planning only reads: {calls:?}");
}

#[tokio::test]
async fn an_ask_that_needs_votes_waits_for_as_long_as_the_rule_says() {
    let world = World::new("needs", RULES).await;
    let request = world.awaiting().await;
    assert_eq!(request.state, RequestState::Awaiting);
    let waits = request.expires_at.unwrap() - request.created_at;
    assert_eq!(waits.total(jiff::Unit::Minute).unwrap(), 30.0);
    assert!(world.ledger.view(request.id).await.unwrap().unwrap().run.is_none());
}

#[tokio::test]
async fn a_refused_ask_is_stored_with_the_reason() {
    let world = World::new("refused", RULES).await;
    let request = world.request(ask("console:joe", "pause", "checkout", json!({}))).await;
    assert_eq!(world.stored(request.id).await.state, RequestState::Refused);
    let Decision::Refuse { rule, reason } = &request.decision else { panic!("{:?}", request.decision) };
    assert_eq!(rule, "default");
    assert_eq!(request.note.as_ref(), Some(reason));
}

#[tokio::test]
async fn twenty_submits_of_one_key_at_once_make_one_request() {
    let world = World::new("idempotent", RULES).await;
    let the_ask = ask("console:joe", "restart", "checkout", json!({}));
    let submits = (0..20).map(|_| world.gate.submit(the_ask.clone(), world.now));
    let all: Vec<(ledger::RequestId, bool)> = futures::future::join_all(submits)
        .await
        .into_iter()
        .map(|submitted| match submitted.unwrap() {
            Submitted::Request { request, fresh } => (request.id, fresh),
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(all.iter().all(|(id, _)| *id == all[0].0), "{all:?}");
    assert_eq!(all.iter().filter(|(_, fresh)| *fresh).count(), 1);
    let submitted = world.entries().await.into_iter().filter(|(kind, _)| kind == "request.submitted");
    assert_eq!(submitted.count(), 1);
}

#[tokio::test]
async fn a_known_key_is_answered_without_asking_the_cluster_again() {
    let world = World::new("known", RULES).await;
    let the_ask = ask("console:joe", "restart", "checkout", json!({}));
    let first = world.request(the_ask.clone()).await;
    world.practice.clone().stop().await;
    let again = world.gate.submit(the_ask, world.now).await.unwrap();
    assert_eq!(again, Submitted::Request { request: Box::new(world.stored(first.id).await), fresh: false });
}

#[tokio::test]
async fn a_stranger_is_refused_told_whom_to_ask_and_recorded_without_secrets() {
    let world = World::new("stranger", RULES).await;
    let mut the_ask = ask("slack:T1:U9", "restart", "checkout", json!({}));
    the_ask.line = "restart deploy/checkout --token hunter2".to_string();
    let Submitted::Refused(refusal) = world.gate.submit(the_ask, world.now).await.unwrap() else { panic!() };
    assert!(refusal.to_string().contains("the platform team"), "{refusal}");
    let entries = world.entries().await;
    let [(kind, body)] = &entries[..] else { panic!("{entries:?}") };
    assert_eq!(kind, "ask.rejected");
    assert_eq!(body["line"], "restart deploy/checkout --token (hidden)");
    assert!(!format!("{entries:?}").contains("hunter2"));
}

#[tokio::test]
async fn what_cannot_be_planned_is_said_in_words_and_recorded() {
    let world = World::new("noplan", RULES).await;
    let nothing = |ask| async { world.gate.submit(ask, world.now).await.unwrap() };
    let no_such = nothing(ask("console:joe", "restart", "chekout", json!({}))).await;
    assert!(matches!(&no_such, Submitted::NoPlan(why) if why.contains("chekout")), "{no_such:?}");
    let mut elsewhere = ask("console:joe", "restart", "checkout", json!({}));
    elsewhere.target.cluster = "labb".to_string();
    let no_cluster = nothing(elsewhere).await;
    assert!(
        matches!(&no_cluster, Submitted::NoPlan(why) if why.contains("did you mean 'lab'")),
        "{no_cluster:?}"
    );
    let no_action = nothing(ask("console:joe", "restrat", "checkout", json!({}))).await;
    assert!(
        matches!(&no_action, Submitted::Refused(Refusal::Policy { reason }) if reason.contains("'restart'")),
        "{no_action:?}"
    );
    let same = nothing(ask("console:joe", "scale", "checkout", json!({ "replicas": 3 }))).await;
    assert!(matches!(&same, Submitted::Nothing(why) if why.contains("nothing to do")), "{same:?}");
    let kinds: Vec<String> = world.entries().await.into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["ask.rejected"; 4]);
}

#[tokio::test]
async fn a_dead_cluster_gives_an_answer_in_time() {
    let world = World::new("dead", RULES).await;
    let mut the_ask = ask("console:joe", "restart", "checkout", json!({}));
    the_ask.target.cluster = "dead".to_string();
    let start = Instant::now();
    let answer = world.gate.submit(the_ask, world.now).await.unwrap();
    assert!(matches!(&answer, Submitted::NoPlan(why) if why.contains("dead")), "{answer:?}");
    assert!(start.elapsed() < Duration::from_secs(12), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_dry_run_is_planned_and_never_queued() {
    let world = World::new("dryrun", RULES).await;
    let mut the_ask = ask("console:joe", "restart", "checkout", json!({}));
    the_ask.dry_run = true;
    let request = world.request(the_ask).await;
    assert_eq!(request.state, RequestState::Planned);
    assert!(world.ledger.view(request.id).await.unwrap().unwrap().run.is_none());
}

#[tokio::test]
async fn an_explanation_writes_nothing() {
    let world = World::new("explain", RULES).await;
    let the_ask = ask("console:joe", "scale", "checkout", json!({ "replicas": 5 }));
    let (plan, explained) = world.gate.explain(&the_ask, world.now).await.unwrap().unwrap();
    assert!(plan.summary.contains("checkout"));
    assert!(matches!(explained.decision, Decision::Needs { .. }), "{explained:?}");
    assert_eq!(explained.trace.last().unwrap(), "rule \"scaling needs two\": matched");
    let stranger =
        world.gate.explain(&ask("slack:T1:U9", "restart", "checkout", json!({})), world.now).await.unwrap();
    assert!(stranger.unwrap_err().contains("slack:T1:U9"));
    assert_eq!(world.entries().await, []);
    assert_eq!(world.ledger.request_by_key(&the_ask.key).await.unwrap(), None);
}

#[tokio::test]
async fn reasons_are_kept_without_the_secrets_in_them() {
    let world = World::new("reasons", RULES).await;
    let mut the_ask = ask("console:joe", "scale", "checkout", json!({ "replicas": 5 }));
    the_ask.why = Some("apiKey=hunter2 leaked".to_string());
    let request = world.request(the_ask).await;
    assert_eq!(request.ask.why.as_deref(), Some("apiKey=(hidden) leaked"));
    let mut yes = ballot(&request, "console:ann", Verdict::Approve);
    yes.reason = Some("--token hunter2 was seen".to_string());
    world.gate.vote(&yes, world.now).await.unwrap().unwrap();
    let joe = "console:joe".parse().unwrap();
    let why = Some("now it is password: hunter2");
    let cancelled = world.gate.cancel(request.id, &joe, why, world.now).await.unwrap().unwrap();
    assert!(cancelled.note.unwrap().contains("password: (hidden)"));
    let view = world.ledger.view(request.id).await.unwrap().unwrap();
    assert_eq!(view.votes[0].reason.as_deref(), Some("--token (hidden) was seen"));
    let entries = format!("{:?}", world.entries().await);
    assert_eq!(entries.matches("(hidden)").count(), 3, "{entries}");
    assert!(!entries.contains("hunter2") && !format!("{view:?}").contains("hunter2"), "{entries}");
}
