//! What the worker that holds a run writes: steps, verification, undo, the end.
//!
//! Every write names its fence, and locks the run's row to compare it: a worker that lost its lease writes nothing. Writes
//! may be tried again when their answer was lost. A worker reads without a lock, decides, and writes in one statement that
//! holds only while what it read still stands.

use super::ceiling;
use super::change::{CARD, ENTRY, HELD, QUEUE};
use super::error::sql;
use super::request::text;
use super::rows::{self, corrupt};
use super::time::{timestamp, utc};
use crate::*;
use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Row};

/// A run and its request, as they stood when they were read.
struct Held {
    run: Run,
    request: Request,
}

/// Where they shall stand.
struct Next {
    run: Run,
    request: Request,
    /// Goes into the record.
    body: Value,
    /// The worker gives the run back.
    release: bool,
}

/// SQL: nothing but this fence has written since state $3 was read, and nobody called it off ($4: nobody had).
const STILL: &str = "
    still as (
        select u.id as run, u.worker, r.id as request
        from run u join request r on r.id = u.request
        where u.id = $1 and u.token = $2 and u.worker is not null and r.state = $3 and (r.cancel is null) = $4
        for no key update of r, u)";

impl Ledger {
    /// Commits the intent before the effect is tried. An intent without an outcome may be intended anew.
    pub async fn intend_step(
        &self,
        fence: &Fence,
        phase: Phase,
        index: u32,
        intent: &Value,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let body =
            json!({"run": fence.run, "token": fence.token, "phase": phase, "index": index, "intent": intent});
        let row = sqlx::query(AssertSqlSafe(format!(
            "/* step.intend */ with changed as (
                select request, 'step.intended' as kind, 'runner:' || worker as actor, $6::timestamptz as at, $7::json as body
                from run where id = $1 and token = $2 and worker is not null for no key update),
             written as (
                insert into step (run, phase, index, state, intent, intended_at)
                select $1, $3, $4, 'intended', $5::json, $6 from changed
                on conflict (run, phase, index) do update set intent = excluded.intent, intended_at = excluded.intended_at),
             {ENTRY}, {CARD}
             select request from changed"
        )))
        .bind(fence.run.0)
        .bind(fence.token)
        .bind(phase.as_str())
        .bind(index as i32)
        .bind(intent.to_string())
        .bind(utc(now))
        .bind(body.to_string())
        .fetch_optional(&self.pool)
        .await
        .map_err(sql("write a step's intent"))?;
        self.wake_fenced(fence, row)
    }

    /// Commits the outcome that was read back.
    pub async fn finish_step(
        &self,
        fence: &Fence,
        phase: Phase,
        index: u32,
        state: StepState,
        outcome: &Value,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let wrong = sql("write a step's outcome");
        let body = json!({"run": fence.run, "token": fence.token, "phase": phase, "index": index, "outcome": outcome});
        let row = sqlx::query(AssertSqlSafe(format!(
            "/* step.finish */ with fence as (
                select request, worker from run where id = $1 and token = $2 and worker is not null for no key update),
             written as (
                update step set state = $5, outcome = $6::json, ended_at = $7 from fence
                where run = $1 and phase = $3 and index = $4 and state = 'intended' returning 1),
             changed as (
                select request, 'step.' || $5 as kind, 'runner:' || worker as actor, $7::timestamptz as at, $8::json as body
                from fence where exists (select from written)),
             {ENTRY}, {CARD}
             select request, exists (select from written) as written,
                    (select state from step where run = $1 and phase = $3 and index = $4) as was
             from fence"
        )))
        .bind(fence.run.0)
        .bind(fence.token)
        .bind(phase.as_str())
        .bind(index as i32)
        .bind(state.as_str())
        .bind(outcome.to_string())
        .bind(utc(now))
        .bind(body.to_string())
        .fetch_optional(&self.pool)
        .await
        .map_err(wrong)?;
        if let Some(row) = &row
            && !row.try_get::<bool, _>("written").map_err(wrong)?
        {
            let was: Option<String> = row.try_get("was").map_err(wrong)?;
            if was.as_deref() != Some(state.as_str()) {
                let was = was.as_deref().unwrap_or("not intended");
                return Err(corrupt("write a step's outcome", format!("it is {was}")));
            }
        }
        self.wake_fenced(fence, row)
    }

    /// The last step is done: commits its outcome, and the request verifies from now until the time that comes back. As
    /// [`Ledger::finish_step`] and [`Ledger::begin_verify`], in one write and one flush.
    pub async fn finish_last_step(
        &self,
        claim: &Claim,
        index: u32,
        outcome: &Value,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Timestamp, LedgerError> {
        let wrong = sql("write the last step's outcome");
        let (fence, until) = (&claim.fence, timestamp(utc(until)));
        // While it runs only this fence moves it, and being called off does not keep it from verifying.
        let request =
            claim.request.clone().verify(now).map_err(|refusal| corrupt("begin to verify", refusal))?;
        let done = json!({
            "run": fence.run, "token": fence.token, "phase": Phase::Act, "index": index, "outcome": outcome
        });
        let row = sqlx::query(AssertSqlSafe(format!(
            "/* step.finish_last */ with still as (
                select u.id as run, u.worker, r.id as request
                from run u join request r on r.id = u.request
                where u.id = $1 and u.token = $2 and u.worker is not null and r.state = 'running' and u.phase = 'act'
                for no key update of r, u),
             written as (
                update step set state = 'done', outcome = $4::json, ended_at = $5 from still
                where step.run = still.run and phase = 'act' and index = $3 and state = 'intended'
                returning still.run, still.worker, still.request),
             moved as (
                update run set phase = 'verify', verify_until = $6, progress = null from written where id = run),
             verifying as (
                update request set state = $7, note = $8, updated_at = $9 from written where id = request),
             changed as (
                select request, kind, 'runner:' || worker as actor, $5::timestamptz as at, body
                from written, (values (1, 'step.done', $10::json), (2, 'run.verifying', $11::json)) e (nth, kind, body)
                order by nth),
             {ENTRY}, {CARD}
             select request from written"
        )))
        .bind(fence.run.0)
        .bind(fence.token)
        .bind(index as i32)
        .bind(outcome.to_string())
        .bind(utc(now))
        .bind(utc(until))
        .bind(request.state.as_str())
        .bind(&request.note)
        .bind(utc(request.updated_at))
        .bind(done.to_string())
        .bind(json!({"run": fence.run, "until": until}).to_string())
        .fetch_optional(&self.pool)
        .await
        .map_err(wrong)?;
        if row.is_some() {
            self.wake_for(&request);
            return Ok(until);
        }
        // Not for the first time, or not ours any more: one after the other finds out.
        self.finish_step(fence, Phase::Act, index, StepState::Done, outcome, now).await?;
        self.begin_verify(fence, until, now).await
    }

    /// All steps done: the request verifies from now until `until`. A rescue that calls it again gets the first `until`.
    pub async fn begin_verify(
        &self,
        fence: &Fence,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Timestamp, LedgerError> {
        let until = timestamp(utc(until));
        let held = self
            .advance(fence, "run.verify", "run.verifying", now, |Held { run, request }| {
                if run.verify_until.is_some() {
                    return Ok(None);
                }
                let request = request.verify(now).map_err(|refusal| corrupt("begin to verify", refusal))?;
                let body = json!({"run": run.id, "until": until});
                let run = Run { phase: Phase::Verify, verify_until: Some(until), ..run };
                Ok(Some(Next { run, request, body, release: false }))
            })
            .await?;
        Ok(held.run.verify_until.unwrap_or(until))
    }

    /// Verification failed, or a step did after others were done: the undo steps follow. The request stays as it is.
    pub async fn begin_undo(&self, fence: &Fence, because: &str, now: Timestamp) -> Result<(), LedgerError> {
        self.advance(fence, "run.undo", "run.undoing", now, |Held { run, request }| {
            if run.phase == Phase::Undo {
                return Ok(None);
            }
            let body = json!({"run": run.id, "because": because});
            let run = Run { phase: Phase::Undo, undo_because: Some(because.into()), ..run };
            Ok(Some(Next { run, request, body, release: false }))
        })
        .await?;
        Ok(())
    }

    /// A line of live progress for the card (`4 of 6 pods ready`); kept on the run, not in the ledger. Bumps the card. A line
    /// that a crash of the database loses is no loss, so nobody waits for the disk.
    pub async fn progress(&self, fence: &Fence, line: &str) -> Result<(), LedgerError> {
        let row = sqlx::query(AssertSqlSafe(format!(
            "/* run.progress */ with changed as (
                update run set progress = $3 where id = $1 and token = $2 and worker is not null returning request),
             {CARD}
             select request, set_config('synchronous_commit', 'off', true) from changed"
        )))
        .bind(fence.run.0)
        .bind(fence.token)
        .bind(line)
        .fetch_optional(&self.pool)
        .await
        .map_err(sql("write progress"))?;
        self.wake_fenced(fence, row)
    }

    /// Before the first effect the world had moved: this run is over, the request has a new plan, revision and
    /// decision (`Request::replan`), and a new run if it is allowed at once. When it was called off meanwhile nothing is
    /// written, and the request comes back as it stands, still running.
    pub async fn replan(
        &self,
        fence: &Fence,
        plan: &Plan,
        decision: &Decision,
        policy: &str,
        now: Timestamp,
    ) -> Result<Request, LedgerError> {
        let outcome = self.replan_below(fence, plan, decision, policy, &[], now).await?;
        outcome.map_err(|full| corrupt("plan anew", format!("no ceiling was given, and {full:?} is full")))
    }

    /// As [`Ledger::replan`]; a plan that is allowed at once and that one of the ceilings has no room for is not stored.
    pub async fn replan_below(
        &self,
        fence: &Fence,
        plan: &Plan,
        decision: &Decision,
        policy: &str,
        ceilings: &[Ceiling],
        now: Timestamp,
    ) -> Result<Result<Request, Full>, LedgerError> {
        let wrong = sql("plan anew");
        loop {
            let Held { run, request: was } = self.held(fence).await?;
            if run.phase == Phase::Done || was.cancel.is_some() {
                return Ok(Ok(was));
            }
            let request = was
                .clone()
                .replan(plan.clone(), decision.clone(), policy.into(), now)
                .map_err(|refusal| corrupt("plan anew", refusal))?;
            let mut tx = self.pool.begin().await.map_err(wrong)?;
            if let Some(full) = ceiling::full(&mut tx, ceilings, &request).await? {
                return Ok(Err(full));
            }
            let body = json!({
                "run": run.id, "revision": request.revision, "was": was.digest, "digest": request.digest,
                "summary": plan.summary, "decision": decision, "policy": policy, "state": request.state,
            });
            let written = sqlx::query(AssertSqlSafe(format!(
                "/* run.replan */ with {STILL},
                 ended as (
                    update run set phase = 'done', worker = null, lease_until = null, ended_at = $13
                    from still where run.id = still.run),
                 changed as (
                    update request set revision = $5, plan = $6::json, digest = $7, decision = $8::json, policy = $9,
                        state = $10, note = $11, expires_at = $12, updated_at = $13
                    from still where id = still.request
                    returning id as request, revision, {HELD}, state, 'request.replanned' as kind,
                        'runner:' || worker as actor, updated_at as at, $14::json as body, $15::uuid as run),
                 {ENTRY}, {CARD}, {QUEUE}
                 select request from changed"
            )))
            .bind(fence.run.0)
            .bind(fence.token)
            .bind(was.state.as_str())
            .bind(was.cancel.is_none())
            .bind(request.revision as i32)
            .bind(text("plan", &request.plan)?)
            .bind(&request.digest.0[..])
            .bind(text("decision", &request.decision)?)
            .bind(&request.policy)
            .bind(request.state.as_str())
            .bind(&request.note)
            .bind(request.expires_at.map(utc))
            .bind(utc(request.updated_at))
            .bind(body.to_string())
            .bind(RunId::new().0)
            .fetch_optional(&mut *tx)
            .await
            .map_err(wrong)?;
            tx.commit().await.map_err(wrong)?;
            if written.is_some() {
                self.wake_for(&request);
                return Ok(Ok(request));
            }
        }
    }

    /// The end (`Request::end`); frees the target and the lease.
    pub async fn end_run(
        &self,
        fence: &Fence,
        ended: &Ended,
        now: Timestamp,
    ) -> Result<Request, LedgerError> {
        let held = self
            .advance(fence, "run.end", "run.ended", now, |Held { run, request }| {
                let request = request.end(ended.clone(), now).map_err(|refusal| corrupt("end a run", refusal))?;
                let body = json!({"run": run.id, "attempt": run.attempt, "state": request.state, "note": request.note});
                let run = Run { phase: Phase::Done, ended_at: Some(now), ..run };
                Ok(Some(Next { run, request, body, release: true }))
            })
            .await?;
        Ok(held.request)
    }

    /// Gives the claim back at once, for a clean stop: another replica may take it without waiting for the lease.
    pub async fn release_run(&self, fence: &Fence) -> Result<(), LedgerError> {
        self.advance(fence, "run.release", "run.released", Timestamp::now(), |Held { run, request }| {
            let body = json!({"run": run.id});
            Ok(Some(Next { run, request, body, release: true }))
        })
        .await?;
        self.wake(Wake::Run);
        Ok(())
    }

    /// Reads, decides, and writes if what was decided on still stands; looks again if it does not. `decide` says `None`
    /// when all is as it should be already. Returns how things stand in the end.
    async fn advance(
        &self,
        fence: &Fence,
        boundary: &'static str,
        kind: &'static str,
        now: Timestamp,
        decide: impl Fn(Held) -> Result<Option<Next>, LedgerError>,
    ) -> Result<Held, LedgerError> {
        let wrong = sql("write where a run stands");
        loop {
            let was = self.held(fence).await?;
            let (state, nobody_cancelled) = (was.request.state, was.request.cancel.is_none());
            if was.run.phase == Phase::Done {
                // This very fence has ended it: the answer was lost, and it asks again.
                return if boundary == "run.end" { Ok(was) } else { Err(LedgerError::Fenced(fence.run)) };
            }
            let Some(Next { run, request, body, release }) = decide(was)? else {
                return self.held(fence).await;
            };
            let written = sqlx::query(AssertSqlSafe(format!(
                "/* {boundary} */ with {STILL},
                 moved as (
                    update run set phase = $5, verify_until = $6, undo_because = $7, progress = null, ended_at = $8,
                        worker = case when $9 then null else run.worker end,
                        lease_until = case when $9 then null else run.lease_until end
                    from still where run.id = still.run),
                 changed as (
                    update request set state = $10, note = $11, updated_at = $12 from still where id = still.request
                    returning id as request, $13::text as kind, 'runner:' || worker as actor, $14::timestamptz as at,
                        $15::json as body),
                 {ENTRY}, {CARD}
                 select exists (select from run where target = $16 and started_at is null and ended_at is null) as waiting
                 from changed"
            )))
            .bind(fence.run.0)
            .bind(fence.token)
            .bind(state.as_str())
            .bind(nobody_cancelled)
            .bind(run.phase.as_str())
            .bind(run.verify_until.map(utc))
            .bind(&run.undo_because)
            .bind(run.ended_at.map(utc))
            .bind(release)
            .bind(request.state.as_str())
            .bind(&request.note)
            .bind(utc(request.updated_at))
            .bind(kind)
            .bind(utc(now))
            .bind(body.to_string())
            .bind(request.plan.target.key())
            .fetch_optional(&self.pool)
            .await
            .map_err(wrong)?;
            if let Some(row) = written {
                self.wake_for(&request);
                if run.phase == Phase::Done && row.try_get("waiting").map_err(wrong)? {
                    self.wake(Wake::Run);
                }
                return Ok(Held { run, request });
            }
        }
    }

    /// What this fence holds, or has ended.
    async fn held(&self, fence: &Fence) -> Result<Held, LedgerError> {
        let row = sqlx::query(
            "select r.*, row_to_json(u) as run
             from run u join request r on r.id = u.request
             where u.id = $1 and u.token = $2 and (u.worker is not null or u.ended_at is not null)",
        )
        .bind(fence.run.0)
        .bind(fence.token)
        .fetch_optional(&self.pool)
        .await
        .map_err(sql("check a lease"))?
        .ok_or(LedgerError::Fenced(fence.run))?;
        Ok(Held { run: rows::json(&row, "run")?, request: rows::request(&row)? })
    }

    /// After a fenced write that answers with its request, if it was written.
    fn wake_fenced(&self, fence: &Fence, row: Option<PgRow>) -> Result<(), LedgerError> {
        let row = row.ok_or(LedgerError::Fenced(fence.run))?;
        self.wake(Wake::Request(RequestId(
            row.try_get("request").map_err(sql("read which request changed"))?,
        )));
        Ok(())
    }
}
