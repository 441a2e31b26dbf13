//! The work queue for runs: `SKIP LOCKED` claims, leases with fencing tokens, rescue guarded by state and attempt.
//!
//! Leases use the database's clock, because replicas must agree on it; what decides something uses `now`.

use super::change::{CARD, ENTRY};
use super::error::sql;
use super::rows::{self, corrupt};
use super::time::utc;
use crate::*;
use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Row};
use std::time::Duration;

impl Ledger {
    /// Claims runs, `most` at most, whose lease ran out or that are queued and whose target no other live run holds, oldest first. A first
    /// claim moves the request to `running` as `Request::start` does (an expired one is left to [`Ledger::expire`], G2); a
    /// rescue keeps the state and adds to `attempt`. Fewer than `most`: there is nothing more to do.
    pub async fn claim_runs(
        &self,
        worker: &str,
        lease: Duration,
        most: usize,
        now: Timestamp,
    ) -> Result<Vec<Claim>, LedgerError> {
        let wrong = sql("claim runs");
        let query = format!(
            "/* run.claim */ with next as materialized (select request, run from next_runs($1, $2)),
             claimed as (
                update run u set worker = $3, lease_until = now() + make_interval(secs => $4), token = u.token + 1,
                    attempt = u.attempt + 1, started_at = coalesce(u.started_at, $1)
                from next where u.id = (next.run).id returning u.*),
             -- Only of what is claimed: `next` looks a moment later than this statement, which does not see a run that came in between.
             started as (
                update request r set state = 'running', expires_at = null, updated_at = $1
                from claimed where r.id = claimed.request and claimed.attempt = 1),
             changed as (
                select claimed.request, 'run.claimed' as kind, 'runner:' || worker as actor, $1::timestamptz as at,
                    json_build_object('run', id, 'attempt', attempt, 'revision', revision,
                        'digest', encode((next.request).digest, 'hex')) as body
                from claimed join next on (next.run).id = claimed.id),
             {ENTRY}, {CARD}
             select (next.request).*, claimed.token, row_to_json(claimed) as run from claimed join next on (next.run).id = claimed.id"
        );
        let rows = loop {
            let claimed = sqlx::query(AssertSqlSafe(query.as_str()))
                .bind(utc(now))
                .bind(i32::try_from(most).unwrap_or(i32::MAX))
                .bind(worker)
                .bind(lease.as_secs_f64())
                .fetch_all(&self.pool)
                .await;
            match claimed {
                Ok(rows) => break rows,
                // Between our look and our claim another worker began a run on the same target: look again.
                Err(sqlx::Error::Database(error)) if error.constraint() == Some("run_one_per_target") => {}
                Err(error) => return Err(wrong(error)),
            }
        };
        let mut claims = Vec::with_capacity(rows.len());
        for row in &rows {
            let (run, mut request) = (rows::json::<Run>(row, "run")?, rows::request(row)?);
            if run.attempt == 1 {
                request = request.start(now).map_err(|refusal| corrupt("claim a run", refusal))?;
            }
            let steps = if run.attempt > 1 { self.steps(run.id).await? } else { Vec::new() };
            self.wake(Wake::Request(request.id));
            let token = row.try_get("token").map_err(wrong)?;
            claims.push(Claim { fence: Fence { run: run.id, token }, run, request, steps });
        }
        Ok(claims)
    }

    async fn steps(&self, run: RunId) -> Result<Vec<StepRecord>, LedgerError> {
        let rows =
            sqlx::query("select row_to_json(s) as step from step s where run = $1 order by phase, index")
                .bind(run.0)
                .fetch_all(&self.pool)
                .await;
        rows.map_err(sql("read steps"))?.iter().map(|row| rows::json(row, "step")).collect()
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
