//! The work queue for runs: `SKIP LOCKED` claims, leases with fencing tokens, rescue guarded by state and attempt.
//!
//! Leases use the database's clock, because replicas must agree on it; what decides something uses `now`.

use super::change::{CARD, ENTRY};
use super::error::sql;
use super::request::expire;
use super::rows::{self, corrupt};
use super::time::utc;
use crate::*;
use jiff::Timestamp;
use serde_json::json;
use sqlx::{AssertSqlSafe, PgConnection, Row};
use std::time::Duration;

/// What one look at the queue brought.
enum Found {
    Claim(Box<Claim>),
    /// An expired request, or another worker was faster: look again.
    Again,
    Nothing,
}

impl Ledger {
    /// Claims the oldest run that is queued, or whose lease ran out, and whose target no other live run holds. A first
    /// claim moves the request to `running` through `Request::start` (an expired one is expired instead and the next is
    /// tried, G2); a rescue keeps the state and adds to `attempt`. None: nothing to do.
    pub async fn claim_run(
        &self,
        worker: &str,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Option<Claim>, LedgerError> {
        loop {
            match self.look_for_run(worker, lease, now).await? {
                Found::Claim(claim) => return Ok(Some(*claim)),
                Found::Again => {}
                Found::Nothing => return Ok(None),
            }
        }
    }

    async fn look_for_run(
        &self,
        worker: &str,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Found, LedgerError> {
        let wrong = sql("claim a run");
        let mut tx = self.pool.begin().await.map_err(wrong)?;
        let row = sqlx::query("select (next.request).*, next.run from next_run() next")
            .fetch_optional(&mut *tx)
            .await
            .map_err(wrong)?;
        let Some(row) = row else { return Ok(Found::Nothing) };
        let (run, mut request) = (rows::json::<Run>(&row, "run")?, rows::request(&row)?);

        if run.attempt == 0 {
            request = match request.clone().start(now) {
                Ok(request) => request,
                Err(_) => {
                    let expired = expire(&mut tx, request, now).await?;
                    tx.commit().await.map_err(wrong)?;
                    self.wake_for(&expired);
                    return Ok(Found::Again);
                }
            };
        }
        let body = json!({"run": run.id, "attempt": run.attempt + 1, "revision": run.revision, "digest": request.digest});
        let claimed = sqlx::query(AssertSqlSafe(format!(
            "/* run.claim */ with started as (
                update request set state = $5, note = $6, expires_at = null, updated_at = $7 where id = $8 and $9),
             claimed as (
                update run set worker = $2, lease_until = now() + make_interval(secs => $3), token = token + 1,
                    attempt = attempt + 1, started_at = coalesce(started_at, $4)
                where id = $1 returning *),
             changed as (
                select request, 'run.claimed' as kind, 'runner:' || worker as actor, $4::timestamptz as at, $10::json as body
                from claimed),
             {ENTRY}, {CARD}
             select token, row_to_json(claimed) as run from claimed"
        )))
        .bind(run.id.0)
        .bind(worker)
        .bind(lease.as_secs_f64())
        .bind(utc(now))
        .bind(request.state.as_str())
        .bind(&request.note)
        .bind(utc(request.updated_at))
        .bind(request.id.0)
        .bind(run.attempt == 0)
        .bind(body.to_string())
        .fetch_one(&mut *tx)
        .await;
        let claimed = match claimed {
            Ok(row) => row,
            // Between our look and our claim another worker began a run on the same target.
            Err(sqlx::Error::Database(error)) if error.constraint() == Some("run_one_per_target") => {
                return Ok(Found::Again);
            }
            Err(error) => return Err(wrong(error)),
        };
        let fence = Fence { run: run.id, token: claimed.try_get("token").map_err(wrong)? };
        let run: Run = rows::json(&claimed, "run")?;
        let steps = if run.attempt > 1 { steps(&mut tx, run.id).await? } else { Vec::new() };
        tx.commit().await.map_err(wrong)?;
        self.wake(Wake::Request(request.id));
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
        cancel
            .map(|actor| actor.parse().map_err(|error| corrupt("read who called it off", error)))
            .transpose()
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

async fn steps(tx: &mut PgConnection, run: RunId) -> Result<Vec<StepRecord>, LedgerError> {
    let rows = sqlx::query("select row_to_json(s) as step from step s where run = $1 order by phase, index")
        .bind(run.0)
        .fetch_all(tx)
        .await;
    rows.map_err(sql("read steps"))?.iter().map(|row| rows::json(row, "step")).collect()
}
