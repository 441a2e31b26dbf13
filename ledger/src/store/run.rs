//! The work queue for runs: `SKIP LOCKED` claims, leases with fencing tokens, rescue guarded by state and attempt.
//!
//! Leases use the database's clock; what decides something uses `now`. Every write names its fence, and locks the run's row
//! to compare it: a worker that lost its lease writes nothing. Writes may be tried again when their answer was lost.

use super::audit::append;
use super::error::sql;
use super::notify::wake_runners;
use super::outbox::bump_card;
use super::request::{expire, queue_run, text, update};
use super::rows::{self, corrupt};
use super::time::utc;
use crate::*;
use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::{PgConnection, Row};
use std::time::Duration;

/// What one look at the queue brought.
enum Found {
    Claim(Box<Claim>),
    /// An expired request, or another worker was faster: look again.
    Again,
    Nothing,
}

/// A run and its request, both rows locked.
struct Held {
    run: Run,
    request: Request,
    /// For the record: `runner:<worker>`.
    actor: String,
}

impl Ledger {
    /// Claims the oldest run that is queued, or whose lease ran out, and whose target no other live run holds. A first
    /// claim moves the request to `running` through `Request::start` (an expired one is expired instead and the next is
    /// tried, G2); a rescue keeps the state and adds to `attempt`. None: nothing to do.
    pub async fn claim_run(&self, worker: &str, lease: Duration, now: Timestamp) -> Result<Option<Claim>, LedgerError> {
        loop {
            match self.look_for_run(worker, lease, now).await? {
                Found::Claim(claim) => return Ok(Some(*claim)),
                Found::Again => {}
                Found::Nothing => return Ok(None),
            }
        }
    }

    async fn look_for_run(&self, worker: &str, lease: Duration, now: Timestamp) -> Result<Found, LedgerError> {
        let wrong = sql("claim a run");
        let mut tx = self.pool.begin().await.map_err(wrong)?;
        let row = sqlx::query(
            "select r.*, row_to_json(u) as run
             from run u join request r on r.id = u.request
             where u.ended_at is null and (u.lease_until is null or u.lease_until < now())
               and r.state in ('approved', 'running', 'verifying')
               and not exists (
                   select from run other where other.target = u.target and other.id <> u.id
                     and other.started_at is not null and other.ended_at is null)
             order by u.queued_at limit 1
             for no key update of r, u skip locked",
        )
        .fetch_optional(&mut *tx)
        .await
        .map_err(wrong)?;
        let Some(row) = row else { return Ok(Found::Nothing) };
        let (run, mut request) = (rows::json::<Run>(&row, "run")?, rows::request(&row)?);

        if run.attempt == 0 {
            request = match request.clone().start(now) {
                Ok(request) => request,
                Err(_) => {
                    expire(&mut tx, request, now).await?;
                    tx.commit().await.map_err(wrong)?;
                    return Ok(Found::Again);
                }
            };
        }
        let claimed = sqlx::query(
            "/* run.claim */ with started as (
                update request set state = $5, note = $6, expires_at = null, updated_at = $7 where id = $8 and $9)
             update run set worker = $2, lease_until = now() + make_interval(secs => $3), token = token + 1,
                 attempt = attempt + 1, started_at = coalesce(started_at, $4)
             where id = $1 returning token, row_to_json(run) as run",
        )
        .bind(run.id.0)
        .bind(worker)
        .bind(lease.as_secs_f64())
        .bind(utc(now))
        .bind(request.state.as_str())
        .bind(&request.note)
        .bind(utc(request.updated_at))
        .bind(request.id.0)
        .bind(run.attempt == 0)
        .fetch_one(&mut *tx)
        .await;
        let claimed = match claimed {
            Ok(row) => row,
            // Between our look and our claim another worker began a run on the same target.
            Err(sqlx::Error::Database(error)) if error.constraint() == Some("run_one_per_target") => return Ok(Found::Again),
            Err(error) => return Err(wrong(error)),
        };
        let fence = Fence { run: run.id, token: claimed.try_get("token").map_err(wrong)? };
        let run: Run = rows::json(&claimed, "run")?;
        let steps = if run.attempt > 1 { steps(&mut tx, run.id).await? } else { Vec::new() };
        let body = json!({"run": run.id, "attempt": run.attempt, "revision": run.revision, "digest": request.digest});
        append(&mut tx, "run.claimed", &format!("runner:{worker}"), Some(request.id), &body, now).await?;
        bump_card(&mut tx, request.id).await?;
        tx.commit().await.map_err(wrong)?;
        Ok(Found::Claim(Box::new(Claim { fence, run, request, steps })))
    }

    /// Keeps the lease. Returns the request's `cancel`, so that a call every few seconds also hears of it.
    pub async fn heartbeat(&self, fence: &Fence, lease: Duration) -> Result<Option<Actor>, LedgerError> {
        let wrong = sql("keep a lease");
        let row = sqlx::query(
            "with kept as (
                update run set lease_until = now() + make_interval(secs => $3)
                where id = $1 and token = $2 and worker is not null returning request)
             select cancel from request join kept on kept.request = request.id",
        )
        .bind(fence.run.0)
        .bind(fence.token)
        .bind(lease.as_secs_f64())
        .fetch_optional(&self.pool)
        .await
        .map_err(wrong)?
        .ok_or(LedgerError::Fenced(fence.run))?;
        let cancel: Option<String> = row.try_get("cancel").map_err(wrong)?;
        cancel.map(|actor| actor.parse().map_err(|error| corrupt("read who called it off", error))).transpose()
    }

    /// Commits the intent before the effect is tried. An intent without an outcome may be intended anew.
    pub async fn intend_step(&self, fence: &Fence, phase: Phase, index: u32, intent: &Value, now: Timestamp) -> Result<(), LedgerError> {
        let wrong = sql("write a step's intent");
        let mut tx = self.pool.begin().await.map_err(wrong)?;
        let row = sqlx::query(
            "/* step.intend */ with fence as (
                select id, request, worker from run where id = $1 and token = $2 and worker is not null for no key update),
             written as (
                insert into step (run, phase, index, state, intent, intended_at)
                select id, $3, $4, 'intended', $5::json, $6 from fence
                on conflict (run, phase, index) do update set intent = excluded.intent, intended_at = excluded.intended_at)
             select request, worker from fence",
        )
        .bind(fence.run.0)
        .bind(fence.token)
        .bind(phase.as_str())
        .bind(index as i32)
        .bind(intent.to_string())
        .bind(utc(now))
        .fetch_optional(&mut *tx)
        .await
        .map_err(wrong)?
        .ok_or(LedgerError::Fenced(fence.run))?;
        let request = RequestId(row.try_get("request").map_err(wrong)?);
        let actor = format!("runner:{}", row.try_get::<&str, _>("worker").map_err(wrong)?);
        let body = json!({"run": fence.run, "token": fence.token, "phase": phase, "index": index, "intent": intent});
        append(&mut tx, "step.intended", &actor, Some(request), &body, now).await?;
        bump_card(&mut tx, request).await?;
        tx.commit().await.map_err(wrong)
    }

    /// Commits the outcome that was read back.
    pub async fn finish_step(&self, fence: &Fence, phase: Phase, index: u32, state: StepState, outcome: &Value, now: Timestamp) -> Result<(), LedgerError> {
        let wrong = sql("write a step's outcome");
        let mut tx = self.pool.begin().await.map_err(wrong)?;
        let row = sqlx::query(
            "/* step.finish */ with fence as (
                select id, request, worker from run where id = $1 and token = $2 and worker is not null for no key update),
             written as (
                update step set state = $5, outcome = $6::json, ended_at = $7 from fence
                where run = fence.id and phase = $3 and index = $4 and state = 'intended' returning 1)
             select request, worker, exists (select from written) as written,
                    (select state from step where run = fence.id and phase = $3 and index = $4) as was
             from fence",
        )
        .bind(fence.run.0)
        .bind(fence.token)
        .bind(phase.as_str())
        .bind(index as i32)
        .bind(state.as_str())
        .bind(outcome.to_string())
        .bind(utc(now))
        .fetch_optional(&mut *tx)
        .await
        .map_err(wrong)?
        .ok_or(LedgerError::Fenced(fence.run))?;
        if !row.try_get::<bool, _>("written").map_err(wrong)? {
            let was: Option<String> = row.try_get("was").map_err(wrong)?;
            return match was {
                Some(was) if was == state.as_str() => Ok(()),
                was => Err(corrupt("write a step's outcome", format!("it is {}", was.as_deref().unwrap_or("not intended")))),
            };
        }
        let request = RequestId(row.try_get("request").map_err(wrong)?);
        let actor = format!("runner:{}", row.try_get::<&str, _>("worker").map_err(wrong)?);
        let body = json!({"run": fence.run, "token": fence.token, "phase": phase, "index": index, "outcome": outcome});
        append(&mut tx, &format!("step.{}", state.as_str()), &actor, Some(request), &body, now).await?;
        bump_card(&mut tx, request).await?;
        tx.commit().await.map_err(wrong)
    }

    /// All steps done: the request verifies from now until `until`. A rescue that calls it again gets the first `until`.
    pub async fn begin_verify(&self, fence: &Fence, until: Timestamp, now: Timestamp) -> Result<Timestamp, LedgerError> {
        let wrong = sql("begin to verify");
        let mut tx = self.pool.begin().await.map_err(wrong)?;
        let Held { run, request, actor } = held(&mut tx, fence).await?;
        if let Some(first) = run.verify_until {
            return Ok(first);
        }
        let request = request.verify(now).map_err(|refusal| corrupt("begin to verify", refusal))?;
        sqlx::query("update run set phase = 'verify', verify_until = $2, progress = null where id = $1")
            .bind(run.id.0)
            .bind(utc(until))
            .execute(&mut *tx)
            .await
            .map_err(wrong)?;
        update(&mut tx, "run.verify", &request).await?;
        append(&mut tx, "run.verifying", &actor, Some(request.id), &json!({"run": run.id, "until": until}), now).await?;
        bump_card(&mut tx, request.id).await?;
        tx.commit().await.map_err(wrong)?;
        Ok(super::time::timestamp(utc(until)))
    }

    /// Verification failed, or a step did after others were done: the undo steps follow. The request stays as it is.
    pub async fn begin_undo(&self, fence: &Fence, because: &str, now: Timestamp) -> Result<(), LedgerError> {
        let wrong = sql("begin to undo");
        let mut tx = self.pool.begin().await.map_err(wrong)?;
        let Held { run, request, actor } = held(&mut tx, fence).await?;
        if run.phase == Phase::Undo {
            return Ok(());
        }
        sqlx::query("/* run.undo */ update run set phase = 'undo', undo_because = $2, progress = null where id = $1")
            .bind(run.id.0)
            .bind(because)
            .execute(&mut *tx)
            .await
            .map_err(wrong)?;
        append(&mut tx, "run.undoing", &actor, Some(request.id), &json!({"run": run.id, "because": because}), now).await?;
        bump_card(&mut tx, request.id).await?;
        tx.commit().await.map_err(wrong)
    }

    /// A line of live progress for the card (`4 of 6 pods ready`); kept on the run, not in the ledger. Bumps the card.
    pub async fn progress(&self, fence: &Fence, line: &str) -> Result<(), LedgerError> {
        let wrong = sql("write progress");
        let mut tx = self.pool.begin().await.map_err(wrong)?;
        let request = sqlx::query_scalar(
            "/* run.progress */ update run set progress = $3 where id = $1 and token = $2 and worker is not null returning request",
        )
        .bind(fence.run.0)
        .bind(fence.token)
        .bind(line)
        .fetch_optional(&mut *tx)
        .await
        .map_err(wrong)?
        .ok_or(LedgerError::Fenced(fence.run))?;
        bump_card(&mut tx, RequestId(request)).await?;
        tx.commit().await.map_err(wrong)
    }

    /// Before the first effect the world had moved: this run is over, the request has a new plan, revision and
    /// decision (`Request::replan`), and a new run if it is allowed at once. When it was called off meanwhile nothing is
    /// written, and the request comes back as it stands, still running.
    pub async fn replan(&self, fence: &Fence, plan: &Plan, decision: &Decision, policy: &str, now: Timestamp) -> Result<Request, LedgerError> {
        let wrong = sql("plan anew");
        let mut tx = self.pool.begin().await.map_err(wrong)?;
        let Held { run, request, actor } = held_or_ended(&mut tx, fence).await?;
        if run.phase == Phase::Done || request.cancel.is_some() {
            return Ok(request);
        }
        let before = request.digest;
        let request = request
            .replan(plan.clone(), decision.clone(), policy.into(), now)
            .map_err(|refusal| corrupt("plan anew", refusal))?;
        sqlx::query(
            "/* run.replan */ with ended as (
                update run set phase = 'done', worker = null, lease_until = null, ended_at = $10 where id = $11)
             update request set revision = $2, plan = $3::json, digest = $4, decision = $5::json, policy = $6, state = $7,
                 note = $8, expires_at = $9, updated_at = $10
             where id = $1",
        )
        .bind(request.id.0)
        .bind(request.revision as i32)
        .bind(text("plan", &request.plan)?)
        .bind(&request.digest.0[..])
        .bind(text("decision", &request.decision)?)
        .bind(&request.policy)
        .bind(request.state.as_str())
        .bind(&request.note)
        .bind(request.expires_at.map(utc))
        .bind(utc(request.updated_at))
        .bind(run.id.0)
        .execute(&mut *tx)
        .await
        .map_err(wrong)?;
        if request.state == RequestState::Approved {
            queue_run(&mut tx, &request).await?;
        }
        let body = json!({
            "run": run.id, "revision": request.revision, "was": before, "digest": request.digest, "summary": plan.summary,
            "decision": request.decision, "policy": request.policy, "state": request.state,
        });
        append(&mut tx, "request.replanned", &actor, Some(request.id), &body, now).await?;
        bump_card(&mut tx, request.id).await?;
        tx.commit().await.map_err(wrong)?;
        Ok(request)
    }

    /// The end (`Request::end`); frees the target and the lease.
    pub async fn end_run(&self, fence: &Fence, ended: &Ended, now: Timestamp) -> Result<Request, LedgerError> {
        let wrong = sql("end a run");
        let mut tx = self.pool.begin().await.map_err(wrong)?;
        let Held { run, request, actor } = held_or_ended(&mut tx, fence).await?;
        if run.phase == Phase::Done {
            return Ok(request);
        }
        let request = request.end(ended.clone(), now).map_err(|refusal| corrupt("end a run", refusal))?;
        let waiting: bool = sqlx::query_scalar(
            "with ended as (
                update run set phase = 'done', worker = null, lease_until = null, ended_at = $2 where id = $1 returning target)
             select exists (select from run join ended using (target) where started_at is null and ended_at is null)",
        )
        .bind(run.id.0)
        .bind(utc(now))
        .fetch_one(&mut *tx)
        .await
        .map_err(wrong)?;
        if waiting {
            wake_runners(&mut tx).await?;
        }
        update(&mut tx, "run.end", &request).await?;
        let body = json!({"run": run.id, "attempt": run.attempt, "state": request.state, "note": request.note});
        append(&mut tx, "run.ended", &actor, Some(request.id), &body, now).await?;
        bump_card(&mut tx, request.id).await?;
        tx.commit().await.map_err(wrong)?;
        Ok(request)
    }

    /// Gives the claim back at once, for a clean stop: another replica may take it without waiting for the lease.
    pub async fn release_run(&self, fence: &Fence) -> Result<(), LedgerError> {
        let wrong = sql("release a run");
        let mut tx = self.pool.begin().await.map_err(wrong)?;
        let Held { run, request, actor } = held(&mut tx, fence).await?;
        sqlx::query("/* run.release */ update run set worker = null, lease_until = null where id = $1")
            .bind(run.id.0)
            .execute(&mut *tx)
            .await
            .map_err(wrong)?;
        append(&mut tx, "run.released", &actor, Some(request.id), &json!({"run": run.id}), Timestamp::now()).await?;
        wake_runners(&mut tx).await?;
        tx.commit().await.map_err(wrong)
    }

    /// Runs waiting and held, for metrics: (queued, held).
    pub async fn queue_depth(&self) -> Result<(u64, u64), LedgerError> {
        let (queued, held): (i64, i64) = sqlx::query_as(
            "select count(*) filter (where lease_until is null or lease_until < now()),
                    count(*) filter (where lease_until >= now())
             from run where ended_at is null",
        )
        .fetch_one(&self.pool)
        .await
        .map_err(sql("count the queue"))?;
        Ok((queued as u64, held as u64))
    }
}

/// Only for the worker that holds the fence.
async fn held(tx: &mut PgConnection, fence: &Fence) -> Result<Held, LedgerError> {
    let held = held_or_ended(tx, fence).await?;
    if held.run.phase == Phase::Done { Err(LedgerError::Fenced(fence.run)) } else { Ok(held) }
}

/// The same, or what this very fence has ended already: its answer was lost, and it asks again.
async fn held_or_ended(tx: &mut PgConnection, fence: &Fence) -> Result<Held, LedgerError> {
    let row = sqlx::query(
        "select r.*, row_to_json(u) as run, coalesce(u.worker, '-') as worker
         from run u join request r on r.id = u.request
         where u.id = $1 and u.token = $2 and (u.worker is not null or u.ended_at is not null)
         for no key update of r, u",
    )
    .bind(fence.run.0)
    .bind(fence.token)
    .fetch_optional(tx)
    .await
    .map_err(sql("check a lease"))?
    .ok_or(LedgerError::Fenced(fence.run))?;
    let worker: &str = row.try_get("worker").map_err(sql("check a lease"))?;
    Ok(Held { run: rows::json(&row, "run")?, request: rows::request(&row)?, actor: format!("runner:{worker}") })
}

async fn steps(tx: &mut PgConnection, run: RunId) -> Result<Vec<StepRecord>, LedgerError> {
    let rows = sqlx::query("select row_to_json(s) as step from step s where run = $1 order by phase, index").bind(run.0).fetch_all(tx).await;
    rows.map_err(sql("read steps"))?.iter().map(|row| rows::json(row, "step")).collect()
}
