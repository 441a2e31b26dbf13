//! Something is done about one incident.

use super::super::change::ENTRY;
use super::super::time::utc;
use super::{read::troubles, storm::weather, *};

impl Ledger {
    /// Claims open incidents that are due, or whose request has moved on (`SKIP LOCKED`); until `now + lease` nobody else gets them.
    pub async fn claim_incidents(
        &self,
        limit: u32,
        lease: SignedDuration,
        now: Timestamp,
    ) -> Result<Vec<StoredIncident>, LedgerError> {
        let rows: Vec<IncidentColumns> = sqlx::query_as(AssertSqlSafe(format!(
            "/* incident.claim */ with due as (
                 select i.id from incident i left join request r on r.id = i.request
                 where i.ended_at is null
                   and (i.due_at <= $1 or r.state is distinct from i.request_state and r.id is not null)
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
        let mut tx = self.pool.begin().await.map_err(wrong)?;
        let place: Option<(String, Option<String>)> = sqlx::query_as(
            "with i as (select place, cluster from incident where id = $1)
             select i.* from i, (select pg_advisory_xact_lock(hashtext('petrel.heal'), hashtext(coalesce(cluster, ''))) from i) l",
        )
        .bind(id.0)
        .fetch_optional(&mut *tx)
        .await
        .map_err(wrong)?;
        let Some((place, cluster)) = place else { return Ok(None) };
        let state = read_state(&mut tx, id, &place, cluster.as_deref(), since, now).await?;
        let (change, outcome) = decide(state)?;
        if let Some(change) = change {
            write_change(&mut tx, id, &place, cluster.as_deref(), &change, now).await?;
            tx.commit().await.map_err(wrong)?;
            self.wake(Wake::Card);
            self.wake(Wake::Incident);
        }
        Ok(Some(outcome))
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

async fn read_state(
    tx: &mut PgConnection,
    id: IncidentId,
    place: &str,
    cluster: Option<&str>,
    since: &Since,
    now: Timestamp,
) -> Result<HealingState, LedgerError> {
    let wrong = sql("read an incident");
    let row: IncidentColumns = sqlx::query_as(AssertSqlSafe(format!(
        "select {COLUMNS} from incident i where i.id = $1 for no key update"
    )))
    .bind(id.0)
    .fetch_one(&mut *tx)
    .await
    .map_err(wrong)?;
    let (brakes, attempts, silences, nodes_down): (Vec<String>, Vec<String>, Vec<String>, Vec<String>) =
        sqlx::query_as(
            "select array(select doc::text from brake where place = $1),
                 array(select doc::text from attempt where at > $2 and (cluster is not distinct from $3 or rule = any ($4)) order by at),
                 array(select doc::text from silence where until > $5),
                 array(select doc::text from trouble where going_on and cluster = $3 and name = any ($6))",
        )
        .bind(place)
        .bind(utc(since.attempts.unwrap_or(now)))
        .bind(cluster)
        .bind(&since.rules)
        .bind(utc(now))
        .bind(&since.node_down)
        .fetch_one(&mut *tx)
        .await
        .map_err(wrong)?;
    let troubles = troubles(tx, id).await?;
    let (storm, open, arrivals) = weather(tx, cluster, now).await?;
    Ok(HealingState {
        incident: row.stored()?,
        troubles,
        brakes: values(brakes)?,
        attempts: values(attempts)?,
        silences: values(silences)?,
        storm,
        open,
        arrivals,
        nodes_down: values(nodes_down)?,
    })
}

async fn write_change(
    tx: &mut PgConnection,
    id: IncidentId,
    place: &str,
    cluster: Option<&str>,
    change: &HealingChange,
    now: Timestamp,
) -> Result<(), LedgerError> {
    let wrong = sql("change an incident");
    if let Some(BrakeRow { rule, doc, blocked_at }) = &change.brake {
        sqlx::query(
            "insert into brake (rule, place, cluster, doc, blocked_at) values ($1, $2, $3, $4::json, $5)
             on conflict (rule, place) do update set doc = excluded.doc, blocked_at = excluded.blocked_at",
        )
        .bind(rule)
        .bind(place)
        .bind(cluster)
        .bind(doc.to_string())
        .bind(blocked_at.map(utc))
        .execute(&mut *tx)
        .await
        .map_err(wrong)?;
    }
    if let Some((attempt, rule, doc)) = &change.begun {
        sqlx::query("insert into attempt (id, incident, rule, cluster, doc, at) values ($1, $2, $3, $4, $5::json, $6)")
            .bind(attempt)
            .bind(id.0)
            .bind(rule)
            .bind(cluster)
            .bind(doc.to_string())
            .bind(utc(now))
            .execute(&mut *tx)
            .await
            .map_err(wrong)?;
    }
    if let Some((attempt, result, doc)) = &change.ended {
        sqlx::query("update attempt set doc = $2::json, result = $3, ended_at = $4 where id = $1 and ended_at is null")
            .bind(attempt)
            .bind(doc.to_string())
            .bind(result)
            .bind(utc(now))
            .execute(&mut *tx)
            .await
            .map_err(wrong)?;
    }
    if let Some((silence, doc, until)) = &change.silence {
        sqlx::query(
            "insert into silence (id, doc, until) values ($1, $2::json, $3) on conflict (id) do nothing",
        )
        .bind(silence)
        .bind(doc.to_string())
        .bind(utc(*until))
        .execute(&mut *tx)
        .await
        .map_err(wrong)?;
    }
    sqlx::query(
        "/* incident.change */ with changed as (
             update incident set doc = $2::json, handling = $3::json, ended_at = $4, request = $5, request_state = $6, due_at = $7
             where id = $1 returning id),
         made as (insert into card (id, incident) select $8, id from changed where cardinality($9::text[]) > 0
             on conflict (incident) do nothing returning id),
         shown as (insert into delivery (card, place, wanted)
             select coalesce(made.id, card.id), place, coalesce(card.version, 1) from changed
             left join made on true left join card on card.incident = changed.id cross join unnest($9::text[]) place
             on conflict do nothing)
         update card set version = version + 1 from changed where card.incident = changed.id",
    )
    .bind(id.0)
    .bind(change.doc.to_string())
    .bind(change.handling.to_string())
    .bind(change.ended_at.map(utc))
    .bind(change.waits_for.map(|(request, _)| request.0))
    .bind(change.waits_for.and_then(|(_, state)| state).map(RequestState::as_str))
    .bind(utc(change.due_at))
    .bind(CardId::new().0)
    .bind(change.shown.iter().map(|place| place.0.as_str()).collect::<Vec<_>>())
    .execute(&mut *tx)
    .await
    .map_err(wrong)?;
    let said = &change.said;
    if !said.is_empty() {
        sqlx::query(
            "with given as (select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) as g (id, key, place, said)),
             made as (insert into card (id, said, key) select id, said::json, key from given on conflict (key) do nothing returning id)
             insert into delivery (card, place, wanted) select id, place, 1 from made join given using (id)",
        )
        .bind(said.iter().map(|_| CardId::new().0).collect::<Vec<_>>())
        .bind(said.iter().map(|(key, ..)| key.as_str()).collect::<Vec<_>>())
        .bind(said.iter().map(|(_, place, _)| place.0.as_str()).collect::<Vec<_>>())
        .bind(said.iter().map(|(.., card)| card.to_string()).collect::<Vec<_>>())
        .execute(&mut *tx)
        .await
        .map_err(wrong)?;
    }
    record_all(tx, &change.entries, now).await
}
