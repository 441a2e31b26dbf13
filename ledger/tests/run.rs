//! The queue: claims, leases, fences and the life of a run.

use crate::support::*;
use futures::future::join_all;
use ledger::*;
use serde_json::json;
use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

const LEASE: Duration = Duration::from_secs(30);
/// Runs out at once: its holder is presumed dead.
const NO_LEASE: Duration = Duration::ZERO;

async fn claimed(ledger: &Ledger, worker: &str, lease: Duration) -> Claim {
    ledger.claim_runs(worker, lease, 1, at(2)).await.unwrap().pop().expect("something to do")
}

fn fenced<T: std::fmt::Debug>(result: Result<T, LedgerError>) {
    assert!(matches!(result, Err(LedgerError::Fenced(_))), "{result:?}");
}

#[tokio::test]
async fn a_run_lives_from_claim_to_end_and_every_change_is_on_record() {
    let (ledger, sql) = fresh_with_sql("life").await;
    let request = submitted(&ledger, "checkout", needs(1)).await;
    ledger.vote(request.id, &vote(&request, "bob")).await.unwrap().unwrap();

    let Claim { fence, run, request: started, steps } = claimed(&ledger, "w1", LEASE).await;
    assert_eq!((run.attempt, run.phase, run.started_at), (1, Phase::Act, Some(at(2))));
    assert_eq!((started.state, started.expires_at, steps), (RequestState::Running, None, vec![]));
    assert_eq!(ledger.view(request.id).await.unwrap().unwrap().request, started);
    assert_eq!(ledger.queue_depth().await.unwrap(), (0, 1));

    ledger.intend_step(&fence, Phase::Act, 0, &json!({"resourceVersion": "41"}), at(3)).await.unwrap();
    ledger
        .finish_step(&fence, Phase::Act, 0, StepState::Done, &json!({"resourceVersion": "42"}), at(4))
        .await
        .unwrap();
    assert_eq!(ledger.begin_verify(&fence, at(300), at(5)).await.unwrap(), at(300));
    ledger.progress(&fence, "4 of 6 pods ready").await.unwrap();
    ledger.begin_undo(&fence, "pods crash", at(6)).await.unwrap();
    ledger.intend_step(&fence, Phase::Undo, 0, &json!({}), at(7)).await.unwrap();
    ledger.finish_step(&fence, Phase::Undo, 0, StepState::Done, &json!({}), at(8)).await.unwrap();
    let ended = ledger
        .end_run(&fence, &Ended::RolledBack("pods crash; back to 3 replicas".into()), at(9))
        .await
        .unwrap();

    let view = ledger.view(request.id).await.unwrap().unwrap();
    assert_eq!((view.request.state, &view.request), (RequestState::RolledBack, &ended));
    let run = view.run.unwrap();
    assert_eq!(
        (run.phase, run.ended_at, run.undo_because.as_deref()),
        (Phase::Done, Some(at(9)), Some("pods crash"))
    );
    let steps: Vec<_> =
        view.steps.iter().map(|step| (step.phase, step.index, step.state, step.ended_at)).collect();
    assert_eq!(
        steps,
        [(Phase::Act, 0, StepState::Done, Some(at(4))), (Phase::Undo, 0, StepState::Done, Some(at(8)))]
    );
    assert_eq!(view.steps[0].outcome, Some(json!({"resourceVersion": "42"})));
    assert_eq!(ledger.queue_depth().await.unwrap(), (0, 0));

    let kinds: Vec<String> = sqlx::query_scalar("select kind from entry where request = $1 order by id")
        .bind(request.id.0)
        .fetch_all(&sql)
        .await
        .unwrap();
    assert_eq!(
        kinds,
        [
            "request.submitted",
            "vote.approved",
            "run.claimed",
            "step.intended",
            "step.done",
            "run.verifying",
            "run.undoing",
            "step.intended",
            "step.done",
            "run.ended",
        ]
    );
}

#[tokio::test]
async fn many_workers_claim_each_run_once() {
    let (ledger, _) = fresh("manyworkers").await;
    for n in 0..30 {
        submitted(&ledger, &format!("d{n}"), allow()).await;
    }
    let workers = (0..10).map(|n| {
        let ledger = ledger.clone();
        async move {
            let mut mine = Vec::new();
            while let Some(claim) = ledger.claim_runs(&format!("w{n}"), LEASE, 1, at(2)).await.unwrap().pop()
            {
                mine.push(claim.run.id);
            }
            mine
        }
    });
    let claims: Vec<RunId> = join_all(workers).await.into_iter().flatten().collect();
    assert_eq!(claims.len(), 30);
    assert_eq!(claims.iter().collect::<HashSet<_>>().len(), 30);
}

/// A run may come in between the beginning of a claim and its look: then it is claimed by the next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_approved_while_others_claim_is_claimed() {
    let (ledger, _) = fresh("meanwhile").await;
    let mut waiting = Vec::new();
    for n in 0..200 {
        waiting.push(submitted(&ledger, &format!("d{n}"), needs(1)).await);
    }
    let voting = async {
        for request in &waiting {
            ledger.vote(request.id, &vote(request, "bob")).await.unwrap().unwrap();
        }
    };
    let claimed = Mutex::new(HashSet::new());
    let claiming = join_all((0..4).map(|n| {
        let (ledger, claimed) = (&ledger, &claimed);
        async move {
            while claimed.lock().unwrap().len() < 200 {
                let claims = ledger.claim_runs(&format!("w{n}"), LEASE, 8, at(2)).await.unwrap();
                claimed.lock().unwrap().extend(claims.iter().map(|claim| claim.run.id));
            }
        }
    }));
    let both = async { tokio::join!(voting, claiming) };
    let over = tokio::time::timeout(Duration::from_secs(30), both).await;
    assert!(over.is_ok(), "{} of 200 were claimed", claimed.lock().unwrap().len());
}

#[tokio::test]
async fn a_target_has_one_live_run_at_a_time() {
    let (ledger, sql) = fresh_with_sql("onetarget").await;
    for _ in 0..5 {
        submitted(&ledger, "checkout", allow()).await;
    }
    for left in (0..5).rev() {
        let tries = (0..5).map(|n| {
            let ledger = ledger.clone();
            async move { ledger.claim_runs(&format!("w{n}"), LEASE, 1, at(2)).await.unwrap().pop() }
        });
        let claims: Vec<Claim> = join_all(tries).await.into_iter().flatten().collect();
        assert_eq!(claims.len(), 1);
        assert_eq!(ledger.queue_depth().await.unwrap(), (left, 1));
        ledger.end_run(&claims[0].fence, &Ended::Failed("no".into()), at(3)).await.unwrap();
    }

    submitted(&ledger, "checkout", allow()).await;
    submitted(&ledger, "checkout", allow()).await;
    claimed(&ledger, "w1", LEASE).await;
    let second = sqlx::query(
        "update run set started_at = now(), attempt = 1 where started_at is null and ended_at is null",
    );
    assert!(second.execute(&sql).await.is_err(), "the database itself refuses a second one");
}

#[tokio::test]
async fn a_rescue_knows_the_steps_and_fences_every_write_of_the_lost_worker() {
    let (ledger, _) = fresh("rescue").await;
    submitted(&ledger, "checkout", allow()).await;
    let lost = claimed(&ledger, "w1", NO_LEASE).await;
    ledger.intend_step(&lost.fence, Phase::Act, 0, &json!({"try": 1}), at(3)).await.unwrap();
    let rescue = claimed(&ledger, "w2", LEASE).await;
    assert_eq!(
        (rescue.run.id, rescue.run.attempt, rescue.request.state),
        (lost.run.id, 2, RequestState::Running)
    );
    assert_eq!((rescue.steps.len(), rescue.steps[0].state), (1, StepState::Intended));
    assert!(rescue.fence.token > lost.fence.token);
    assert_eq!(rescue.run.started_at, lost.run.started_at);

    let old = &lost.fence;
    fenced(ledger.heartbeat(old, LEASE).await);
    fenced(ledger.intend_step(old, Phase::Act, 1, &json!({}), at(4)).await);
    fenced(ledger.finish_step(old, Phase::Act, 0, StepState::Done, &json!({}), at(4)).await);
    fenced(ledger.finish_last_step(&lost, 0, &json!({}), at(300), at(4)).await);
    fenced(ledger.begin_verify(old, at(300), at(4)).await);
    fenced(ledger.begin_undo(old, "no", at(4)).await);
    fenced(ledger.progress(old, "no").await);
    fenced(ledger.replan(old, &plan("checkout"), &allow(), "p", at(4)).await);
    fenced(ledger.end_run(old, &Ended::Failed("no".into()), at(4)).await);
    fenced(ledger.release_run(old).await);
    let view = ledger.view(lost.request.id).await.unwrap().unwrap();
    assert_eq!((view.request, view.steps), (rescue.request, rescue.steps), "and nothing was written");
}

#[tokio::test]
async fn the_last_step_and_the_beginning_of_verification_are_one_write_that_may_be_repeated() {
    let (ledger, sql) = fresh_with_sql("last_step").await;
    let request = submitted(&ledger, "checkout", allow()).await;
    let claim = claimed(&ledger, "w1", LEASE).await;
    ledger.intend_step(&claim.fence, Phase::Act, 0, &json!({}), at(3)).await.unwrap();
    let outcome = json!({});
    let finish = |until, now| ledger.finish_last_step(&claim, 0, &outcome, until, now);
    assert_eq!(finish(at(300), at(4)).await.unwrap(), at(300));
    assert_eq!(finish(at(400), at(5)).await.unwrap(), at(300), "the first time stands");
    let view = ledger.view(request.id).await.unwrap().unwrap();
    assert_eq!((view.request.state, view.steps[0].state), (RequestState::Verifying, StepState::Done));
    let kinds: Vec<String> =
        sqlx::query_scalar("select kind from entry where request = $1 order by id desc limit 2")
            .bind(request.id.0)
            .fetch_all(&sql)
            .await
            .unwrap();
    assert_eq!(kinds, ["run.verifying", "step.done"], "once each, in this order");
}

#[tokio::test]
async fn a_heartbeat_keeps_the_claim() {
    let (ledger, _) = fresh("heartbeat").await;
    submitted(&ledger, "checkout", allow()).await;
    let claim = claimed(&ledger, "w1", NO_LEASE).await;
    ledger.heartbeat(&claim.fence, LEASE).await.unwrap();
    assert_eq!(ledger.claim_runs("w2", LEASE, 1, at(3)).await.unwrap().pop(), None);
}

#[tokio::test]
async fn a_released_run_is_free_at_once_but_its_target_is_not() {
    let (ledger, _) = fresh("released").await;
    let first = submitted(&ledger, "checkout", allow()).await;
    submitted(&ledger, "checkout", allow()).await;
    let claim = claimed(&ledger, "w1", LEASE).await;
    ledger.release_run(&claim.fence).await.unwrap();
    fenced(ledger.heartbeat(&claim.fence, LEASE).await);
    fenced(ledger.end_run(&claim.fence, &Ended::Failed("no".into()), at(3)).await);
    let next = claimed(&ledger, "w2", LEASE).await;
    assert_eq!((next.request.id, next.run.attempt), (first.id, 2));
    assert_eq!(ledger.claim_runs("w3", LEASE, 1, at(3)).await.unwrap().pop(), None);
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_may_be_repeated() {
    let (ledger, sql) = fresh_with_sql("repeated").await;
    let request = submitted(&ledger, "checkout", allow()).await;
    let Claim { fence, .. } = claimed(&ledger, "w1", LEASE).await;
    for rv in ["41", "42"] {
        ledger.intend_step(&fence, Phase::Act, 0, &json!({"resourceVersion": rv}), at(3)).await.unwrap();
    }
    for _ in 0..2 {
        ledger.finish_step(&fence, Phase::Act, 0, StepState::Done, &json!({}), at(4)).await.unwrap();
    }
    let other = ledger.finish_step(&fence, Phase::Act, 0, StepState::Failed, &json!({}), at(4)).await;
    assert!(matches!(other, Err(LedgerError::Corrupt { .. })), "an outcome is final: {other:?}");
    assert!(
        ledger.intend_step(&fence, Phase::Act, 0, &json!({}), at(4)).await.is_err(),
        "what is done is not intended anew"
    );
    assert_eq!(ledger.begin_verify(&fence, at(300), at(5)).await.unwrap(), at(300));
    assert_eq!(ledger.begin_verify(&fence, at(400), at(6)).await.unwrap(), at(300));
    let ended = ledger.end_run(&fence, &Ended::Succeeded, at(7)).await.unwrap();
    assert_eq!(ledger.end_run(&fence, &Ended::Succeeded, at(8)).await.unwrap(), ended);
    assert_eq!(
        ledger.view(request.id).await.unwrap().unwrap().steps[0].intent,
        json!({"resourceVersion": "42"})
    );
    let entries: i64 = sqlx::query_scalar(
        "select count(*) from entry where kind in ('step.done', 'run.verifying', 'run.ended')",
    )
    .fetch_one(&sql)
    .await
    .unwrap();
    assert_eq!(entries, 3);
}

#[tokio::test]
async fn only_what_was_verified_succeeds() {
    let (ledger, _) = fresh("verified").await;
    let request = submitted(&ledger, "checkout", allow()).await;
    let claim = claimed(&ledger, "w1", LEASE).await;
    assert!(ledger.end_run(&claim.fence, &Ended::Succeeded, at(3)).await.is_err());
    assert_eq!(ledger.view(request.id).await.unwrap().unwrap().request.state, RequestState::Running);
}

#[tokio::test]
async fn a_new_plan_needs_new_votes_and_makes_a_new_run() {
    let (ledger, _) = fresh("replan").await;
    let request = submitted(&ledger, "checkout", needs(1)).await;
    ledger.vote(request.id, &vote(&request, "bob")).await.unwrap().unwrap();
    let first = claimed(&ledger, "w1", LEASE).await;
    let moved = Plan { diff: "another".into(), ..plan("checkout") };
    let again = ledger.replan(&first.fence, &moved, &needs(1), "policy-2", at(3)).await.unwrap();
    assert_eq!((again.state, again.revision, again.digest), (RequestState::Awaiting, 2, moved.digest()));
    assert_eq!(
        ledger.replan(&first.fence, &moved, &needs(1), "policy-2", at(3)).await.unwrap(),
        again,
        "its answer was lost"
    );
    let view = ledger.view(request.id).await.unwrap().unwrap();
    assert_eq!((view.request, view.votes, view.run), (again.clone(), vec![], None));
    assert_eq!(ledger.claim_runs("w1", LEASE, 1, at(4)).await.unwrap().pop(), None);

    let stale = Vote { at: at(5), ..vote(&request, "bob") };
    assert_eq!(ledger.vote(request.id, &stale).await.unwrap(), Err(Refusal::PlanChanged));
    let vote = Vote { at: at(5), ..vote(&again, "bob") };
    ledger.vote(request.id, &vote).await.unwrap().unwrap();
    let second = claimed(&ledger, "w1", LEASE).await;
    assert_eq!((second.run.revision, second.run.attempt), (2, 1));
    assert_ne!(second.run.id, first.run.id);

    let third = ledger.replan(&second.fence, &plan("checkout"), &allow(), "policy-3", at(6)).await.unwrap();
    assert_eq!((third.state, third.revision), (RequestState::Approved, 3));
    assert_eq!(claimed(&ledger, "w1", LEASE).await.run.revision, 3);
}

#[tokio::test]
async fn a_new_plan_runs_at_once_only_below_the_ceilings_and_does_not_count_itself() {
    let (ledger, _) = fresh("replanceiling").await;
    let request = submitted(&ledger, "checkout", allow()).await;
    let claim = claimed(&ledger, "w1", LEASE).await;
    submitted(&ledger, "cart", allow()).await;
    let ceiling = |at_once| [Ceiling { cap: "few".into(), each: Share::Cluster, at_once }];
    let (moved, decision) = (Plan { diff: "another".into(), ..plan("checkout") }, allow());
    let below = |at_once| {
        let (ledger, claim, moved, decision) = (&ledger, &claim, &moved, &decision);
        async move {
            ledger.replan_below(&claim.fence, moved, decision, "p", &ceiling(at_once), at(3)).await.unwrap()
        }
    };
    let full = below(1).await.unwrap_err();
    assert_eq!((full.ceiling.at_once, full.at_work), (1, 1));
    let stands = ledger.view(request.id).await.unwrap().unwrap().request;
    assert_eq!((stands.state, stands.revision), (RequestState::Running, 1), "nothing is stored");
    let again = below(2).await.unwrap();
    assert_eq!((again.state, again.revision), (RequestState::Approved, 2));
}

#[tokio::test]
async fn a_run_that_was_called_off_is_not_planned_anew() {
    let (ledger, _) = fresh("replancancel").await;
    let request = submitted(&ledger, "checkout", allow()).await;
    let claim = claimed(&ledger, "w1", LEASE).await;
    ledger.cancel(request.id, &actor("bob"), None, at(3)).await.unwrap().unwrap();
    let same = ledger.replan(&claim.fence, &plan("checkout"), &allow(), "p", at(4)).await.unwrap();
    assert_eq!((same.state, same.revision, same.cancel), (RequestState::Running, 1, Some(actor("bob"))));
    let ended =
        ledger.end_run(&claim.fence, &Ended::Cancelled("nothing was done".into()), at(5)).await.unwrap();
    assert_eq!((ended.state, ended.note.as_deref()), (RequestState::Cancelled, Some("nothing was done")));
}

#[tokio::test]
async fn the_database_itself_guards_runs_and_steps() {
    let (ledger, sql) = fresh_with_sql("guards").await;
    submitted(&ledger, "ended", allow()).await;
    let ended = claimed(&ledger, "w1", LEASE).await;
    ledger.intend_step(&ended.fence, Phase::Act, 0, &json!({}), at(3)).await.unwrap();
    ledger.finish_step(&ended.fence, Phase::Act, 0, StepState::Unknown, &json!({}), at(4)).await.unwrap();
    ledger.end_run(&ended.fence, &Ended::Unknown("look".into()), at(5)).await.unwrap();
    submitted(&ledger, "live", allow()).await;
    claimed(&ledger, "w1", LEASE).await;
    for query in [
        "update run set phase = 'act', ended_at = null where phase = 'done'",
        "update run set token = token - 1 where phase = 'act'",
        "update run set attempt = 0, started_at = null where phase = 'act'",
        "update run set phase = 'done', ended_at = now() where phase = 'act'",
        "update run set phase = 'verify' where phase = 'act'",
        "update run set target = 'other' where phase = 'act'",
        "insert into run (id, request, revision, target, phase, queued_at)
         select gen_random_uuid(), request, revision, target, 'act', now() from run where phase = 'act'",
        "update step set state = 'done'",
        "delete from step",
        "delete from run",
    ] {
        let result = sqlx::query(query).execute(&sql).await;
        let code =
            result.as_ref().err().and_then(|error| error.as_database_error()?.code().map(String::from));
        assert!(
            code.as_deref().is_some_and(|code| ["23514", "23505", "42501"].contains(&code)),
            "{query}: {result:?}"
        );
    }
}
