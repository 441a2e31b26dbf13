//! Figures for `/metrics` and facts for `petrel check`, read when they are asked for.

use crate::*;

/// How much there is of what somebody should keep an eye on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gauges {
    /// Requests that are not over, by state.
    pub open_requests: Vec<(RequestState, u64)>,
    /// Runs that wait for a worker.
    pub queued_runs: u64,
    /// Runs that a worker has begun.
    pub held_runs: u64,
    /// Cards that are due in some place.
    pub undelivered_cards: u64,
    /// Cards that were given up in some place within the last day.
    pub given_up_cards: u64,
    /// Lines and clicks that are not handled.
    pub unhandled_events: u64,
    /// Events of intakes that are not folded into incidents yet.
    pub waiting_events: u64,
    /// Incidents that have not ended.
    pub open_incidents: u64,
    /// Rules that only a person lets go on somewhere.
    pub blocked_rules: u64,
    /// Clusters in which it storms.
    pub storms: u64,
    /// Age of the oldest entry that came after the newest seal, in seconds; 0 without one.
    pub unsealed_age_s: f64,
}

impl Ledger {
    /// One round trip over partial indexes; does not get slower as the record grows.
    pub async fn gauges(&self) -> Result<Gauges, LedgerError> {
        const WHAT: &str = "read gauges";
        let (counts, unsealed_age_s): (Vec<i64>, f64) = sqlx::query_as(
            "select array[
                (select count(*) from request where state = 'awaiting' and expires_at is not null),
                (select count(*) from request where state = 'approved' and expires_at is not null),
                (select count(*) from request join run on run.request = request.id where ended_at is null and state = 'running'),
                (select count(*) from request join run on run.request = request.id where ended_at is null and state = 'verifying'),
                (select count(*) from run where started_at is null and ended_at is null),
                (select count(*) from run where started_at is not null and ended_at is null),
                (select count(*) from delivery where shown < wanted and given_up_at is null),
                (select count(*) from delivery where given_up_at > clock_timestamp() - interval '1 day'),
                (select count(*) from inbox where handled_at is null),
                (select count(*) from event_waiting),
                (select count(*) from incident where ended_at is null),
                (select count(*) from brake where blocked_at is not null),
                (select count(*) from storm where rages)],
                (select coalesce(extract(epoch from clock_timestamp() - min(at)), 0)::float8 from entry
                 where id > coalesce((select entry_id[cardinality(entry_id)] from seal order by last_seq desc limit 1), 0))",
        )
        .fetch_one(&self.pool)
        .await
        .map_err(|source| LedgerError::Sql { what: WHAT, source })?;
        let [
            awaiting,
            approved,
            running,
            verifying,
            queued,
            held,
            undelivered,
            given_up,
            unhandled,
            waiting_events,
            open_incidents,
            blocked_rules,
            storms,
        ] = counts[..]
        else {
            return Err(LedgerError::Corrupt { what: WHAT, why: format!("{} counts", counts.len()) });
        };
        let count = |n: i64| u64::try_from(n).unwrap_or(0);
        Ok(Gauges {
            open_requests: vec![
                (RequestState::Awaiting, count(awaiting)),
                (RequestState::Approved, count(approved)),
                (RequestState::Running, count(running)),
                (RequestState::Verifying, count(verifying)),
            ],
            queued_runs: count(queued),
            held_runs: count(held),
            undelivered_cards: count(undelivered),
            given_up_cards: count(given_up),
            unhandled_events: count(unhandled),
            waiting_events: count(waiting_events),
            open_incidents: count(open_incidents),
            blocked_rules: count(blocked_rules),
            storms: count(storms),
            unsealed_age_s: unsealed_age_s.max(0.0),
        })
    }
}

impl Ledger {
    /// What the connected role could do to the record beside appending, as `UPDATE on entry`; empty is as it should be.
    pub async fn rights_on_record(&self) -> Result<Vec<String>, LedgerError> {
        sqlx::query_scalar(
            "select p || ' on ' || t from unnest(array['entry', 'seal']) t, unnest(array['UPDATE', 'DELETE', 'TRUNCATE']) p
             where has_table_privilege(t, p)
             union all
             select 'owner of ' || relname from pg_class
             where oid in ('entry'::regclass, 'seal'::regclass) and pg_has_role(relowner, 'USAGE')
             order by 1",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(|source| LedgerError::Sql { what: "look at the role's rights", source })
    }
}
