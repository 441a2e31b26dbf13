//! Requests and votes: what writes them. Each write is one short transaction.

use super::ceiling;
use super::change::{CARD, ENTRY, HELD, QUEUE};
use super::error::sql;
use super::rows::{self, VOTE, corrupt};
use super::time::utc;
use crate::*;
use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection, PgExecutor};

impl Ledger {
    /// ONE transaction: request + entry + card (shown in its place) + run, if it is allowed. By key: when the key is
    /// known the stored request is returned and nothing is written; `true` means this call made it.
    pub async fn submit(&self, request: &Request) -> Result<(Request, bool), LedgerError> {
        self.submit_along(request, &Along::Nothing).await
    }

    /// As [`Ledger::submit`], with what belongs to it in the same transaction.
    pub async fn submit_along(
        &self,
        request: &Request,
        along: &Along,
    ) -> Result<(Request, bool), LedgerError> {
        let stored = self.submit_below(request, &[], along).await?;
        stored.map_err(|full| {
            corrupt("submit a request", format!("no ceiling was given, and {full:?} is full"))
        })
    }

    /// As [`Ledger::submit_along`]; an approved request that one of the ceilings has no room for is not stored.
    pub async fn submit_below(
        &self,
        request: &Request,
        ceilings: &[Ceiling],
        along: &Along,
    ) -> Result<Result<(Request, bool), Full>, LedgerError> {
        let made = if ceilings.is_empty() || request.state != RequestState::Approved {
            insert(&self.pool, request, along).await?
        } else {
            let wrong = sql("submit a request");
            let mut tx = self.pool.begin().await.map_err(wrong)?;
            if let Some(full) = ceiling::full(&mut tx, ceilings, request).await? {
                return Ok(Err(full));
            }
            let made = insert(&mut *tx, request, along).await?;
            tx.commit().await.map_err(wrong)?;
            made
        };
        if !made {
            let stored = self.request_by_key(&request.ask.key).await?;
            return Ok(Ok((
                stored.ok_or_else(|| corrupt("submit a request", "its key is taken by nobody"))?,
                false,
            )));
        }
        self.wake(Wake::Asked(request.id));
        if request.state == RequestState::Approved {
            self.wake(Wake::Run);
        }
        Ok(Ok((request.clone(), true)))
    }

    /// ONE row-locked transaction: vote + entry + card bump + run, when quorum is reached. `Request::vote` decides.
    pub async fn vote(&self, id: RequestId, vote: &Vote) -> Result<Result<Request, Refusal>, LedgerError> {
        let outcome = self.vote_below(id, vote, &[]).await?;
        outcome.map_err(|full| corrupt("vote", format!("no ceiling was given, and {full:?} is full")))
    }

    /// As [`Ledger::vote`]; a vote that would release a run that one of the ceilings has no room for is not counted.
    pub async fn vote_below(
        &self,
        id: RequestId,
        vote: &Vote,
        ceilings: &[Ceiling],
    ) -> Result<Result<Result<Request, Refusal>, Full>, LedgerError> {
        let wrong = sql("vote");
        let mut tx = self.pool.begin().await.map_err(wrong)?;
        let Some(request) = locked(&mut tx, id).await? else { return Ok(Ok(Err(Refusal::NoSuchRequest))) };
        // Only now, with the row locked, does a snapshot hold every vote that was cast before this one (G1).
        let votes = votes(&mut tx, id, request.revision).await?;
        let request = match request.vote(&votes, vote) {
            Ok(request) => request,
            Err(refusal) => return Ok(Ok(Err(refusal))),
        };
        if let Some(full) = ceiling::full(&mut tx, ceilings, &request).await? {
            return Ok(Err(full));
        }
        sqlx::query(
            "insert into vote (request, revision, person, actor, groups, verdict, digest, reason, typed, at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(id.0)
        .bind(request.revision as i32)
        .bind(&vote.person.0)
        .bind(vote.actor.as_str())
        .bind(&vote.groups)
        .bind(vote.verdict.as_str())
        .bind(&vote.digest.0[..])
        .bind(&vote.reason)
        .bind(&vote.typed)
        .bind(utc(vote.at))
        .execute(&mut *tx)
        .await
        .map_err(wrong)?;
        let kind = match vote.verdict {
            Verdict::Approve => "vote.approved",
            Verdict::Deny => "vote.denied",
        };
        let body = json!({
            "person": vote.person, "groups": vote.groups, "revision": request.revision, "digest": vote.digest,
            "reason": vote.reason, "typed": vote.typed, "state": request.state, "note": request.note,
        });
        let entry = NewEntry { kind, actor: vote.actor.as_str(), body };
        update(&mut tx, "request.vote", &request, entry).await?;
        tx.commit().await.map_err(wrong)?;
        self.wake_for(&request);
        Ok(Ok(Ok(request)))
    }

    /// Row-locked: `Request::cancel` decides.
    pub async fn cancel(
        &self,
        id: RequestId,
        by: &Actor,
        why: Option<&str>,
        now: Timestamp,
    ) -> Result<Result<Request, Refusal>, LedgerError> {
        let wrong = sql("cancel a request");
        let mut tx = self.pool.begin().await.map_err(wrong)?;
        let Some(request) = locked(&mut tx, id).await? else { return Ok(Err(Refusal::NoSuchRequest)) };
        let request = match request.cancel(by, why, now) {
            Ok(request) => request,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let body = json!({"why": why, "state": request.state});
        let entry = NewEntry { kind: "request.cancelled", actor: by.as_str(), body };
        update(&mut tx, "request.cancel", &request, entry).await?;
        tx.commit().await.map_err(wrong)?;
        self.wake_for(&request);
        Ok(Ok(request))
    }

    /// Expires up to `limit` requests whose time is over; returns how many. Nothing depends on it being called (G2).
    pub async fn expire(&self, now: Timestamp, limit: u32) -> Result<u32, LedgerError> {
        let wrong = sql("expire requests");
        let mut tx = self.pool.begin().await.map_err(wrong)?;
        let rows = sqlx::query(
            "select * from request where expires_at <= $1 order by expires_at limit $2 for no key update skip locked",
        )
        .bind(utc(now))
        .bind(i64::from(limit))
        .fetch_all(&mut *tx)
        .await
        .map_err(wrong)?;
        let mut expired = Vec::new();
        for row in &rows {
            expired.push(expire(&mut tx, rows::request(row)?, now).await?);
        }
        tx.commit().await.map_err(wrong)?;
        expired.iter().for_each(|request| self.wake_for(request));
        Ok(expired.len() as u32)
    }

    /// The request that the caller's key made, if it has.
    pub async fn request_by_key(&self, key: &str) -> Result<Option<Request>, LedgerError> {
        let row =
            sqlx::query("select * from request where key = $1").bind(key).fetch_optional(&self.pool).await;
        row.map_err(sql("find a request by its key"))?.as_ref().map(rows::request).transpose()
    }

    /// After the commit that changed it.
    pub(super) fn wake_for(&self, request: &Request) {
        self.wake(Wake::Request(request.id));
        if request.state == RequestState::Approved {
            self.wake(Wake::Run);
        }
        if request.cancel.is_some() && !request.state.is_final() {
            self.wake(Wake::Cancelled(request.id));
        }
        // An incident may wait for it.
        if request.ask.actor.kind() == "alert" {
            self.wake(Wake::Incident);
        }
    }
}

/// What is written along with a request that is made now.
#[derive(Clone, Debug, PartialEq)]
pub enum Along {
    /// Nothing.
    Nothing,
    /// The card of this older request shows the new one from then on, wherever it is shown. The older one goes on until it is called off.
    Instead(RequestId),
    /// An incident waits for it.
    Heals(Waiting),
}

/// How an incident waits for its request.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    /// Which.
    pub incident: IncidentId,
    /// Where the request's card is shown.
    pub shown: Vec<Place>,
    /// When the incident is looked at again should its request not move on, unless it is due already.
    pub due_at: Timestamp,
}

/// SQL: the incident that waits for the request that is `changed`; parameters $31 to $33.
const HEALS: &str = ",
    waiting as (
        update incident set request_state = changed.state, due_at = case when due_at > changed.at then $32 else due_at end
        from changed where incident.id = $31 and incident.request = changed.request and ended_at is null returning incident.id),
    told as (update card set version = version + 1 from waiting where card.incident = waiting.id),
    shown_there as (insert into delivery (card, place, wanted) select made.id, place, version from made, unnest($33::text[]) place)";

/// What goes into the record with a change.
pub(super) struct NewEntry<'a> {
    pub kind: &'a str,
    pub actor: &'a str,
    pub body: Value,
}

/// Request, entry, card and, when it is approved, run. False when its key is known.
async fn insert(
    executor: impl PgExecutor<'_>,
    request: &Request,
    along: &Along,
) -> Result<bool, LedgerError> {
    let Request { ask, plan, .. } = request;
    let body = json!({
        "key": ask.key, "person": ask.person, "line": ask.line, "why": ask.why, "break_glass": ask.break_glass,
        "dry_run": ask.dry_run, "with_person": ask.with_person, "action": ask.action, "parameters": ask.parameters, "target": plan.target,
        "summary": plan.summary, "digest": request.digest, "decision": request.decision, "policy": request.policy,
        "state": request.state,
    });
    let heals = if let Along::Heals(_) = along { HEALS } else { "" };
    let old = if let Along::Instead(old) = along { Some(old.0) } else { None };
    let made = sqlx::query(AssertSqlSafe(format!(
        "/* request.submit */ with changed as (
            insert into request (id, key, actor, person, place, line, why, action, parameters, cluster, namespace, kind, name,
                target, break_glass, dry_run, revision, plan, digest, decision, policy, state, note, expires_at, created_at,
                updated_at, with_person)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9::json, $10, $11, $12, $13, $14, $15, $16, $17, $18::json, $19,
                $20::json, $21, $22, $23, $24, $25, $25, $29)
            on conflict (key) do nothing
            returning id as request, revision, {HELD}, state, place, 'request.submitted' as kind, actor, created_at as at,
                $26::json as body, $27::uuid as run),
         {ENTRY}, {QUEUE},
         -- Each has a card, shown somewhere or not yet: so whatever changes it waits for whoever shows it.
         moved as (update card set request = changed.request, version = version + 1 from changed where card.request = $30
             returning id, version),
         made as (insert into card (id, request) select $28, request from changed where not exists (select from moved)
             returning id, version),
         shown as (insert into delivery (card, place, wanted) select id, $5, version from made where $5 is not null){heals}
         select request from changed"
    )))
    .bind(request.id.0)
    .bind(&ask.key)
    .bind(ask.actor.as_str())
    .bind(&ask.person.0)
    .bind(ask.place.as_ref().map(|place| &place.0))
    .bind(&ask.line)
    .bind(&ask.why)
    .bind(&ask.action)
    .bind(ask.parameters.to_string())
    .bind(&ask.target.cluster)
    .bind(&ask.target.namespace)
    .bind(&ask.target.kind)
    .bind(&ask.target.name)
    .bind(plan.target.key())
    .bind(ask.break_glass)
    .bind(ask.dry_run)
    .bind(request.revision as i32)
    .bind(text("plan", plan)?)
    .bind(&request.digest.0[..])
    .bind(text("decision", &request.decision)?)
    .bind(&request.policy)
    .bind(request.state.as_str())
    .bind(&request.note)
    .bind(request.expires_at.map(utc))
    .bind(utc(request.created_at))
    .bind(body.to_string())
    .bind(RunId::new().0)
    .bind(CardId::new().0)
    .bind(&ask.with_person)
    .bind(old);
    let made = match along {
        Along::Heals(Waiting { incident, shown, due_at }) => made
            .bind(incident.0)
            .bind(utc(*due_at))
            .bind(shown.iter().map(|place| place.0.as_str()).collect::<Vec<_>>()),
        Along::Nothing | Along::Instead(_) => made,
    };
    let made = made.fetch_optional(executor).await.map_err(sql("submit a request"))?;
    Ok(made.is_some())
}

/// Holds its row until the transaction ends.
async fn locked(tx: &mut PgConnection, id: RequestId) -> Result<Option<Request>, LedgerError> {
    let row = sqlx::query("select * from request where id = $1 for no key update")
        .bind(id.0)
        .fetch_optional(tx)
        .await;
    row.map_err(sql("lock a request"))?.as_ref().map(rows::request).transpose()
}

async fn votes(tx: &mut PgConnection, id: RequestId, revision: u32) -> Result<Vec<Vote>, LedgerError> {
    let query = format!("select {VOTE} as vote from vote v where request = $1 and revision = $2 order by at");
    let rows = sqlx::query(AssertSqlSafe(query)).bind(id.0).bind(revision as i32).fetch_all(tx).await;
    rows.map_err(sql("read votes"))?.iter().map(|row| rows::json(row, "vote")).collect()
}

/// Writes where a request stands now, under the name of a commit boundary. What is approved is queued; what is called off
/// or expired before its run began leaves the queue.
async fn update(
    tx: &mut PgConnection,
    boundary: &'static str,
    request: &Request,
    entry: NewEntry<'_>,
) -> Result<(), LedgerError> {
    sqlx::query(AssertSqlSafe(format!(
        "/* {boundary} */ with changed as (
            update request set state = $2, note = $3, expires_at = $4, cancel = $5, updated_at = $6 where id = $1
            returning id as request, revision, {HELD}, state, $7::text as kind, $8::text as actor, updated_at as at,
                $9::json as body, $10::uuid as run),
         dequeued as (
            update run set phase = 'done', ended_at = at from changed
            where run.request = changed.request and started_at is null and ended_at is null
              and state in ('cancelled', 'expired')),
         {ENTRY}, {CARD}, {QUEUE}
         select request from changed"
    )))
    .bind(request.id.0)
    .bind(request.state.as_str())
    .bind(&request.note)
    .bind(request.expires_at.map(utc))
    .bind(request.cancel.as_ref().map(Actor::as_str))
    .bind(utc(request.updated_at))
    .bind(entry.kind)
    .bind(entry.actor)
    .bind(entry.body.to_string())
    .bind(RunId::new().0)
    .execute(tx)
    .await
    .map_err(sql("write a request"))?;
    Ok(())
}

/// Its row is locked and its time is over.
pub(super) async fn expire(
    tx: &mut PgConnection,
    request: Request,
    now: Timestamp,
) -> Result<Request, LedgerError> {
    let request = request.expire(now).map_err(|refusal| corrupt("expire a request", refusal))?;
    let entry = NewEntry { kind: "request.expired", actor: "petrel", body: json!({"note": request.note}) };
    update(tx, "request.expire", &request, entry).await?;
    Ok(request)
}

/// For a column of type json.
pub(super) fn text(what: &'static str, value: &impl serde::Serialize) -> Result<String, LedgerError> {
    serde_json::to_string(value).map_err(|error| corrupt(what, error))
}
