//! Requests as cards, pages and policy look at them.

use super::error::sql;
use super::rows::{self, VOTE};
use super::time::utc;
use crate::*;
use jiff::{SignedDuration, Timestamp};
use sqlx::{AssertSqlSafe, Postgres, QueryBuilder, Row};

/// Counting for caps stops here: no cap is higher.
const COUNTED: i64 = 10_000;

/// Which requests to list; every field narrows.
#[derive(Clone, Debug, Default)]
pub struct RequestFilter {
    /// In one of these states; empty: all.
    pub states: Vec<RequestState>,
    /// On this cluster.
    pub cluster: Option<String>,
    /// On this `Target::key`.
    pub target: Option<String>,
    /// Asked by this person.
    pub person: Option<Person>,
    /// Of this action.
    pub action: Option<String>,
    /// Words that the line, the summary, the note or the reason must contain.
    pub text: Option<String>,
    /// Made before this (for paging).
    pub before: Option<Timestamp>,
    /// At most this many, newest first.
    pub limit: u32,
}

/// What a card and a page show of one request.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestView {
    /// The request.
    pub request: Request,
    /// Votes on the standing revision, oldest first.
    pub votes: Vec<Vote>,
    /// The standing revision's run, if there is one.
    pub run: Option<Run>,
    /// Its checkpoints, in order.
    pub steps: Vec<StepRecord>,
}

/// Which counts are wanted: those of which policy has a cap. The others cost nothing and are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// [`Activity::person_last_hour`].
    pub person_last_hour: bool,
    /// [`Activity::action_last_hour`].
    pub action_last_hour: bool,
    /// [`Activity::cluster_last_hour`].
    pub cluster_last_hour: bool,
    /// The three `running` ones.
    pub running: bool,
}

/// Counts that policy's caps need, from the database, as of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Requests by this person in the last hour.
    pub person_last_hour: u32,
    /// Requests of this action on this cluster in the last hour.
    pub action_last_hour: u32,
    /// Requests on this cluster in the last hour.
    pub cluster_last_hour: u32,
    /// Requests by this person that are at work now (approved, running, verifying).
    pub person_running: u32,
    /// Requests of this action on this cluster that are at work now.
    pub action_running: u32,
    /// Requests on this cluster that are at work now.
    pub cluster_running: u32,
    /// The request that is approved, running or verifying on this very target, if any.
    pub target_busy: Option<RequestId>,
}

impl Ledger {
    /// By full id; all of it as of one moment.
    pub async fn view(&self, id: RequestId) -> Result<Option<RequestView>, LedgerError> {
        let row = sqlx::query(AssertSqlSafe(format!(
            "select r.*,
                (select coalesce(json_agg({VOTE} order by v.at), '[]') from vote v
                 where v.request = r.id and v.revision = r.revision) as votes,
                row_to_json(u) as run,
                (select coalesce(json_agg(s order by s.phase, s.index), '[]') from step s where s.run = u.id) as steps
             from request r left join run u on u.request = r.id and u.revision = r.revision
             where r.id = $1"
        )))
        .bind(id.0)
        .fetch_optional(&self.pool)
        .await
        .map_err(sql("view a request"))?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(RequestView {
            request: rows::request(&row)?,
            votes: rows::json(&row, "votes")?,
            run: rows::json_or_null(&row, "run")?,
            steps: rows::json(&row, "steps")?,
        }))
    }

    /// By the short form people type (`RequestId::short`); several when it is ambiguous. Newest first, at most 5.
    pub async fn find_request(&self, short: &str) -> Result<Vec<RequestId>, LedgerError> {
        let ids = sqlx::query_scalar(
            "select id from request where right(id::text, 8) = lower($1) order by created_at desc limit 5",
        )
        .bind(short)
        .fetch_all(&self.pool)
        .await
        .map_err(sql("find a request"))?;
        Ok(ids.into_iter().map(RequestId).collect())
    }

    /// Newest first.
    pub async fn requests(&self, filter: &RequestFilter) -> Result<Vec<Request>, LedgerError> {
        // Only what is asked for stands in the statement, so that each combination gets the index that suits it.
        let mut query = QueryBuilder::<Postgres>::new("select * from request where true");
        if !filter.states.is_empty() {
            let states: Vec<&str> = filter.states.iter().map(|state| state.as_str()).collect();
            query.push(" and state = any(").push_bind(states).push(")");
        }
        let person = filter.person.as_ref().map(|person| &person.0);
        let equal = [
            ("cluster", filter.cluster.as_ref()),
            ("target", filter.target.as_ref()),
            ("person", person),
            ("action", filter.action.as_ref()),
        ];
        for (column, value) in equal {
            if let Some(value) = value {
                query.push(" and ").push(column).push(" = ").push_bind(value);
            }
        }
        if let Some(before) = filter.before {
            query.push(" and created_at < ").push_bind(utc(before));
        }
        for word in filter.text.iter().flat_map(|text| text.split_whitespace()) {
            query.push(" and position(").push_bind(word.to_lowercase());
            query.push(" in lower(concat_ws(' ', line, plan ->> 'summary', note, why))) > 0");
        }
        query.push(" order by created_at desc limit ").push(filter.limit);
        let rows =
            query.build().persistent(false).fetch_all(&self.pool).await.map_err(sql("list requests"))?;
        rows.iter().map(rows::request).collect()
    }

    /// For policy's caps.
    pub async fn activity(
        &self,
        person: &Person,
        action: &str,
        target: &Target,
        counted: Counted,
        now: Timestamp,
    ) -> Result<Activity, LedgerError> {
        let wrong = sql("count what is going on");
        // A limit of 0 and a condition that is false are not even begun.
        let most = |wanted: bool| if wanted { COUNTED } else { 0 };
        let row = sqlx::query(
            "select
                (select count(*) from (select from request where person = $1 and created_at > $5 limit $6) c) as person_last_hour,
                (select count(*) from (select from request where cluster = $3 and action = $2 and created_at > $5 limit $7) c)
                    as action_last_hour,
                (select count(*) from (select from request where cluster = $3 and created_at > $5 limit $8) c)
                    as cluster_last_hour,
                live.*,
                coalesce((select request from run where target = $4 and started_at is not null and ended_at is null),
                         (select request from run where target = $4 and started_at is null and ended_at is null
                          order by queued_at limit 1)) as target_busy
             from (select count(*) filter (where person = $1) as person_running,
                          count(*) filter (where cluster = $3 and action = $2) as action_running,
                          count(*) filter (where cluster = $3) as cluster_running
                   from request join run on run.request = request.id where $9 and run.ended_at is null) live",
        )
        .bind(&person.0)
        .bind(action)
        .bind(&target.cluster)
        .bind(target.key())
        .bind(utc(now - SignedDuration::from_hours(1)))
        .bind(most(counted.person_last_hour))
        .bind(most(counted.action_last_hour))
        .bind(most(counted.cluster_last_hour))
        .bind(counted.running)
        .fetch_one(&self.pool)
        .await
        .map_err(wrong)?;
        let count = |column: &str| row.try_get::<i64, _>(column).map(|count| count as u32).map_err(wrong);
        Ok(Activity {
            person_last_hour: count("person_last_hour")?,
            action_last_hour: count("action_last_hour")?,
            cluster_last_hour: count("cluster_last_hour")?,
            person_running: count("person_running")?,
            action_running: count("action_running")?,
            cluster_running: count("cluster_running")?,
            target_busy: row.try_get::<Option<uuid::Uuid>, _>("target_busy").map_err(wrong)?.map(RequestId),
        })
    }
}
