//! Something is done about one incident.

use super::super::change::ENTRY;
use super::super::time::utc;
use super::{
    read::troubles_of,
    storm::{ARRIVALS_WITHIN, weather},
    *,
};
use sqlx::{Postgres, QueryBuilder};

impl Ledger {
    /// Claims open incidents that are due, or whose request has moved on (`SKIP LOCKED`), but none of those that the caller is at; until
    /// `now + lease` nobody else gets them. What has moved on is looked for among all of them, or only where something was heard of.
    pub async fn claim_incidents(
        &self,
        limit: u32,
        except: &[IncidentId],
        heard: Option<&Heard>,
        lease: SignedDuration,
        now: Timestamp,
    ) -> Result<Vec<StoredIncident>, LedgerError> {
        let nothing = Heard::default();
        let (due, heard) = match heard {
            None => ("true", &nothing),
            Some(heard) if heard.due => ("due_at <= $1", heard),
            Some(heard) => ("false", heard),
        };
        let rows: Vec<IncidentColumns> = sqlx::query_as(AssertSqlSafe(format!(
            "/* incident.claim */ with looked_at as (
                 select id from incident where ended_at is null and {due}
                 union select id from incident where ended_at is null and request = any ($5)
                 union select unnest($6::uuid[])
             ), due as (
                 select i.id from looked_at join incident i using (id) left join request r on r.id = i.request
                 where i.ended_at is null
                   and (i.due_at <= $1 or r.state is distinct from i.request_state and r.id is not null)
                   and i.id <> all ($4)
                 order by i.due_at limit $2 for update of i skip locked
             ), claimed as (
                 update incident i set due_at = $3, request_state = coalesce(r.state, i.request_state)
                 from due left join incident old on old.id = due.id left join request r on r.id = old.request
                 where i.id = due.id returning i.*)
             select {COLUMNS} from claimed i"
        )))
        .bind(utc(now))
        .bind(i64::from(limit))
        .bind(utc(now + lease))
        .bind(except.iter().map(|id| id.0).collect::<Vec<_>>())
        .bind(heard.requests.iter().map(|id| id.0).collect::<Vec<_>>())
        .bind(heard.incidents.iter().map(|id| id.0).collect::<Vec<_>>())
        .fetch_all(&self.pool)
        .await
        .map_err(sql("claim incidents"))?;
        rows.into_iter().map(IncidentColumns::stored).collect()
    }

    /// ONE transaction under the lock of the incident's cluster: `decide` sees everything that counts, and what it says is written
    /// with its entries. None of it: nothing is written. None: there is no such incident.
    pub async fn change_incident<T, E: From<LedgerError>>(
        &self,
        id: IncidentId,
        since: &Since,
        now: Timestamp,
        decide: impl FnOnce(HealingState) -> Result<(Option<HealingChange>, T), E>,
    ) -> Result<Option<T>, E> {
        let wrong = sql("change an incident");
        // Nobody closes it.
        let _turn = self.changing.acquire().await;
        let mut tx = self.pool.begin().await.map_err(wrong)?;
        // The cluster first, then the incident, which folding locks too: whoever has both sees all that was written before.
        let locked: Option<LockedRow> = sqlx::query_as(AssertSqlSafe(format!(
            "with cluster as materialized (
                 select pg_advisory_xact_lock(hashtext('petrel.heal'), hashtext(coalesce(cluster, ''))) from incident where id = $1)
             select {COLUMNS}, i.place, i.cluster from cluster, incident i where i.id = $1 for no key update of i"
        )))
        .bind(id.0)
        .fetch_optional(&mut *tx)
        .await
        .map_err(wrong)?;
        let Some(LockedRow { incident, place, cluster }) = locked else { return Ok(None) };
        let state = read_state(&mut tx, incident, &place, cluster.as_deref(), since, now).await?;
        let (change, outcome) = decide(state)?;
        if let Some(change) = change {
            write_change(&mut tx, id, &place, cluster.as_deref(), &change, now).await?;
            tx.commit().await.map_err(wrong)?;
            self.wake(Wake::Card);
            if change.due_at <= now {
                self.wake(Wake::Incident);
            }
        }
        Ok(Some(outcome))
    }

    /// What was seen of the trouble, the first time; shown, and nothing else about it changes. Not of one that has ended.
    pub async fn note_seen(&self, id: IncidentId, seen: Value) -> Result<(), LedgerError> {
        let wrong = sql("note what was seen of an incident");
        let mut tx = self.pool.begin().await.map_err(wrong)?;
        let handling: Option<String> = sqlx::query_scalar(
            "select handling::text from incident where id = $1 and ended_at is null for no key update",
        )
        .bind(id.0)
        .fetch_optional(&mut *tx)
        .await
        .map_err(wrong)?;
        // Here and not there: a line of a log may have a character that Postgres refuses to look into.
        let Some(mut handling) = handling.as_deref().map(value).transpose()? else { return Ok(()) };
        if !handling["seen"].is_null() {
            return Ok(());
        }
        handling["seen"] = seen;
        sqlx::query(
            "/* incident.seen */ with changed as (update incident set handling = $2::json where id = $1 returning id)
             update card set version = version + 1 from changed where card.incident = changed.id",
        )
        .bind(id.0)
        .bind(handling.to_string())
        .execute(&mut *tx)
        .await
        .map_err(wrong)?;
        tx.commit().await.map_err(wrong)?;
        self.wake(Wake::Card);
        Ok(())
    }

    /// Lets a rule go on at a place, as `decide` says of its brake; the entry in the same statement.
    pub async fn unblock<T, E: From<LedgerError>>(
        &self,
        rule: &str,
        place: &str,
        now: Timestamp,
        decide: impl FnOnce(Value) -> Result<(Option<(Value, HealingEntry)>, T), E>,
    ) -> Result<Option<T>, E> {
        let wrong = sql("unblock a rule");
        let mut tx = self.pool.begin().await.map_err(wrong)?;
        let doc: Option<String> =
            sqlx::query_scalar("select doc::text from brake where rule = $1 and place = $2 for update")
                .bind(rule)
                .bind(place)
                .fetch_optional(&mut *tx)
                .await
                .map_err(wrong)?;
        let Some(doc) = doc else { return Ok(None) };
        let (changed, outcome) = decide(value(&doc)?)?;
        if let Some((doc, entry)) = changed {
            sqlx::query(AssertSqlSafe(format!(
                "/* incident.unblock */ with changed as (
                     update brake set doc = $3::json, blocked_at = null where rule = $1 and place = $2
                     returning $4::text as kind, $5::text as actor, null::uuid as request, $6::timestamptz as at, $7::json as body),
                 woken as (update incident set due_at = $6 from changed where place = $2 and ended_at is null),
                 {ENTRY} select kind from changed"
            )))
            .bind(rule)
            .bind(place)
            .bind(doc.to_string())
            .bind(entry.kind)
            .bind(&entry.actor)
            .bind(utc(now))
            .bind(entry.body.to_string())
            .execute(&mut *tx)
            .await
            .map_err(wrong)?;
            tx.commit().await.map_err(wrong)?;
            self.wake(Wake::Incident);
        }
        Ok(Some(outcome))
    }
}

#[derive(FromRow)]
struct LockedRow {
    #[sqlx(flatten)]
    incident: IncidentColumns,
    place: String,
    cluster: Option<String>,
}

#[derive(FromRow)]
struct StateRow {
    brakes: Vec<String>,
    attempts: Vec<String>,
    silences: Vec<String>,
    nodes_down: Vec<String>,
    troubles: Vec<String>,
    events: Vec<String>,
    storm: Option<String>,
    open: i64,
    arrivals: i64,
}

/// All of it as of one moment, after the locks.
async fn read_state(
    tx: &mut PgConnection,
    incident: IncidentColumns,
    place: &str,
    cluster: Option<&str>,
    since: &Since,
    now: Timestamp,
) -> Result<HealingState, LedgerError> {
    let row: StateRow = sqlx::query_as(AssertSqlSafe(format!(
        "select array(select doc::text from brake where place = $1) as brakes,
             array(select doc::text from attempt where at > $2 and (cluster is not distinct from $3 or rule = any ($4)) order by at)
                 as attempts,
             array(select doc::text from silence where until > $5) as silences,
             array(select doc::text from trouble where going_on and cluster = $3 and name = any ($6)) as nodes_down,
             array(select doc::text {troubles}) as troubles, array(select event::text {troubles}) as events, w.*
         from ({}) w",
        weather("$3", "$8"),
        troubles = troubles_of("$7")
    )))
    .bind(place)
    .bind(utc(since.attempts.unwrap_or(now)))
    .bind(cluster)
    .bind(&since.rules)
    .bind(utc(now))
    .bind(&since.node_down)
    .bind(incident.id)
    .bind(utc(now - ARRIVALS_WITHIN))
    .fetch_one(tx)
    .await
    .map_err(sql("read an incident"))?;
    let troubles = row.troubles.iter().zip(&row.events);
    Ok(HealingState {
        incident: incident.stored()?,
        troubles: troubles
            .map(|(doc, event)| Ok((value(doc)?, value(event)?)))
            .collect::<Result<_, LedgerError>>()?,
        brakes: values(row.brakes)?,
        attempts: values(row.attempts)?,
        silences: values(row.silences)?,
        storm: row.storm.as_deref().map(value).transpose()?,
        open: row.open as u32,
        arrivals: row.arrivals as u32,
        nodes_down: values(row.nodes_down)?,
    })
}

/// One statement, of the parts that the change has.
async fn write_change(
    tx: &mut PgConnection,
    id: IncidentId,
    place: &str,
    cluster: Option<&str>,
    change: &HealingChange,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let mut query =
        QueryBuilder::<Postgres>::new("/* incident.change */ with changed as (update incident set doc = ");
    query
        .push_bind(change.doc.to_string())
        .push("::json, handling = ")
        .push_bind(change.handling.to_string());
    query.push("::json, ended_at = ").push_bind(change.ended_at.map(utc));
    query.push(", request = ").push_bind(change.waits_for.map(|(request, _)| request.0));
    let seen = change.waits_for.and_then(|(_, state)| state);
    query.push(", request_state = ").push_bind(seen.map(RequestState::as_str));
    query.push(", due_at = ").push_bind(utc(change.due_at));
    query.push(" where id = ").push_bind(id.0).push(" returning id)");
    if !change.shown.is_empty() {
        query.push(", made as (insert into card (id, incident) select ").push_bind(CardId::new().0);
        query.push(
            ", id from changed on conflict (incident) do nothing returning id),
             shown as (insert into delivery (card, place, wanted)
                 select coalesce(made.id, card.id), place, coalesce(card.version, 1) from changed
                 left join made on true left join card on card.incident = changed.id cross join unnest(",
        );
        query.push_bind(change.shown.iter().map(|place| place.0.as_str()).collect::<Vec<_>>());
        query.push("::text[]) place on conflict do nothing)");
    }
    if let Some(BrakeRow { rule, doc, blocked_at }) = &change.brake {
        query.push(", braked as (insert into brake (rule, place, cluster, doc, blocked_at) values (");
        query.push_bind(rule).push(", ").push_bind(place).push(", ").push_bind(cluster);
        query.push(", ").push_bind(doc.to_string()).push("::json, ").push_bind(blocked_at.map(utc));
        query.push(
            ") on conflict (rule, place) do update set doc = excluded.doc, blocked_at = excluded.blocked_at)",
        );
    }
    if let Some((attempt, rule, doc)) = &change.begun {
        query.push(", begun as (insert into attempt (id, incident, rule, cluster, doc, at) values (");
        query.push_bind(attempt).push(", ").push_bind(id.0).push(", ").push_bind(rule);
        query.push(", ").push_bind(cluster).push(", ").push_bind(doc.to_string()).push("::json, ");
        query.push_bind(utc(now)).push("))");
    }
    if let Some((attempt, result, doc)) = &change.ended {
        query.push(", ended as (update attempt set doc = ").push_bind(doc.to_string());
        query.push("::json, result = ").push_bind(*result).push(", ended_at = ").push_bind(utc(now));
        query.push(" where id = ").push_bind(attempt).push(" and ended_at is null)");
    }
    if let Some((silence, doc, until)) = &change.silence {
        query.push(", silenced as (insert into silence (id, doc, until) values (");
        query.push_bind(silence).push(", ").push_bind(doc.to_string()).push("::json, ");
        query.push_bind(utc(*until)).push(") on conflict (id) do nothing)");
    }
    let said = &change.said;
    if !said.is_empty() {
        query.push(", given as (select * from unnest(");
        query.push_bind(said.iter().map(|_| CardId::new().0).collect::<Vec<_>>()).push("::uuid[], ");
        query.push_bind(said.iter().map(|(key, ..)| key.as_str()).collect::<Vec<_>>()).push("::text[], ");
        query.push_bind(said.iter().map(|(_, place, _)| place.0.as_str()).collect::<Vec<_>>());
        query
            .push("::text[], ")
            .push_bind(said.iter().map(|(.., card)| card.to_string()).collect::<Vec<_>>());
        query.push(
            "::text[]) as g (id, key, place, said)),
             told as (insert into card (id, said, key) select id, said::json, key from given
                 on conflict (key) do nothing returning id),
             due as (insert into delivery (card, place, wanted) select id, place, 1 from told join given using (id))",
        );
    }
    if !change.entries.is_empty() {
        query.push(", recorded as (insert into entry (at, kind, actor, request, body) select ");
        query.push_bind(utc(now)).push(", kind, actor, request, body::json from unnest(");
        let entries = &change.entries;
        query.push_bind(entries.iter().map(|entry| entry.kind).collect::<Vec<_>>()).push("::text[], ");
        query.push_bind(entries.iter().map(|entry| entry.actor.as_str()).collect::<Vec<_>>());
        query.push("::text[], ");
        query.push_bind(entries.iter().map(|entry| entry.request.map(|id| id.0)).collect::<Vec<_>>());
        query.push("::uuid[], ");
        query.push_bind(entries.iter().map(|entry| entry.body.to_string()).collect::<Vec<_>>());
        query.push("::text[]) as g (kind, actor, request, body))");
    }
    query.push(" update card set version = version + 1 from changed where card.incident = changed.id");
    query.build().execute(tx).await.map_err(sql("change an incident"))?;
    Ok(())
}
