//! How healing has done.

use super::super::time::utc;
use super::*;

impl Ledger {
    /// How rules have done with incidents that opened since.
    pub async fn rule_figures(&self, since: Timestamp) -> Result<Vec<RuleFigures>, LedgerError> {
        sqlx::query_as(
            "with a as (
                 select a.rule, a.result, i.doc -> 'times' as times, a.result = 'effective' as helped,
                     coalesce((a.doc ->> 'rolled_back')::boolean, false) as rolled_back
                 from attempt a join incident i on i.id = a.incident where a.at >= $1),
             s as (
                 select *, extract(epoch from (times ->> 'proposed')::timestamptz - (times ->> 'detected')::timestamptz)::float8 as propose,
                     extract(epoch from (times ->> 'approved')::timestamptz - (times ->> 'proposed')::timestamptz)::float8 as approve,
                     extract(epoch from (times ->> 'acted')::timestamptz - (times ->> 'approved')::timestamptz)::float8 as act,
                     extract(epoch from (times ->> 'recovered')::timestamptz - (times ->> 'detected')::timestamptz)::float8 as recover
                 from a)
             select rule, count(*) as begun, count(*) filter (where helped) as healed,
                 count(*) filter (where result = 'ineffective') as ineffective,
                 count(*) filter (where rolled_back) as rolled_back,
                 count(*) filter (where result = 'not_done') as not_done,
                 percentile_cont(0.5) within group (order by propose) filter (where helped) as propose_s,
                 percentile_cont(0.5) within group (order by approve) filter (where helped) as approve_s,
                 percentile_cont(0.5) within group (order by act) filter (where helped) as act_s,
                 percentile_cont(0.5) within group (order by recover) filter (where helped) as recover_s
             from s group by rule order by begun desc, rule",
        )
        .bind(utc(since))
        .fetch_all(&self.pool)
        .await
        .map_err(sql("count healings"))
    }

    /// How incidents that opened since have ended: the word of the end (`open` without one), and how many.
    pub async fn incident_figures(&self, since: Timestamp) -> Result<Vec<(String, i64)>, LedgerError> {
        sqlx::query_as(
            "select coalesce(case json_typeof(doc -> 'end') when 'string' then doc ->> 'end'
                        when 'object' then (select key from json_object_keys(doc -> 'end') key limit 1) end, 'open') as word,
                    count(*)
             from incident where opened_at >= $1 group by 1 order by 2 desc",
        )
        .bind(utc(since))
        .fetch_all(&self.pool)
        .await
        .map_err(sql("count incidents"))
    }
}
