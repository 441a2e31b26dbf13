//! Events become troubles and incidents.

use super::super::time::utc;
use super::*;

/// What one fold is about.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fold {
    /// Events.
    pub events: Vec<i64>,
    /// Their fingerprints.
    pub fingerprints: Vec<String>,
    /// Their places.
    pub places: Vec<String>,
}

impl Ledger {
    /// ONE transaction: events are folded into troubles and incidents, as `decide` says; each event once, whoever folds. False:
    /// another replica folds just now.
    pub async fn fold_events<E: From<LedgerError>>(
        &self,
        fold: &Fold,
        now: Timestamp,
        decide: impl FnOnce(FoldState) -> Result<Folded, E>,
    ) -> Result<bool, E> {
        let wrong = sql("fold events");
        let mut tx = self.pool.begin().await.map_err(wrong)?;
        let mine: bool = sqlx::query_scalar("select pg_try_advisory_xact_lock(hashtext('petrel.fold'))")
            .fetch_one(&mut *tx)
            .await
            .map_err(wrong)?;
        if !mine {
            return Ok(false);
        }
        // Locked, in one order: what is being done about them must not be lost, nor what is read here be old.
        let incidents: Vec<String> = sqlx::query_scalar(
            "select doc::text from incident where ended_at is null and (place = any ($2) or id = any (array(
                 select incident from trouble where fingerprint = any ($1) or settle_at <= $3)))
             order by id for no key update",
        )
        .bind(&fold.fingerprints)
        .bind(&fold.places)
        .bind(utc(now))
        .fetch_all(&mut *tx)
        .await
        .map_err(wrong)?;
        let (events, troubles, storms): (Vec<i64>, Vec<String>, Vec<String>) = sqlx::query_as(
            "select array(select id from event_waiting where id = any ($1) order by id),
                 array(select doc::text from trouble where fingerprint = any ($2) or settle_at <= $3),
                 array(select cluster from storm where rages)",
        )
        .bind(&fold.events)
        .bind(&fold.fingerprints)
        .bind(utc(now))
        .fetch_one(&mut *tx)
        .await
        .map_err(wrong)?;
        let state = FoldState {
            events: events.clone(),
            troubles: values(troubles)?,
            incidents: values(incidents)?,
            storms,
        };
        let folded = decide(state)?;
        let cards = !folded.incidents.is_empty();
        write_incidents(&mut tx, &folded.incidents, now).await?;
        write_troubles(&mut tx, &folded.troubles, now).await?;
        record_all(&mut tx, &folded.entries, now).await?;
        sqlx::query("/* incident.fold */ delete from event_waiting where id = any ($1)")
            .bind(&events)
            .execute(&mut *tx)
            .await
            .map_err(wrong)?;
        tx.commit().await.map_err(wrong)?;
        if cards {
            self.wake(Wake::Card);
            self.wake(Wake::Incident);
        }
        Ok(true)
    }
}

async fn write_incidents(
    tx: &mut PgConnection,
    rows: &[IncidentRow],
    now: Timestamp,
) -> Result<(), LedgerError> {
    if rows.is_empty() {
        return Ok(());
    }
    let texts = |of: fn(&IncidentRow) -> String| rows.iter().map(of).collect::<Vec<String>>();
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id.0).collect();
    sqlx::query(
        "with given as (
             select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])
                 as g (id, place, cluster, doc, handling, ended_at))
         insert into incident as i (id, place, cluster, doc, handling, opened_at, ended_at, due_at)
         select id, place, cluster, doc::json, handling::json, $7, ended_at, $7 from given
         on conflict (id) do update set doc = excluded.doc, ended_at = excluded.ended_at,
             due_at = least(i.due_at, excluded.due_at)",
    )
    .bind(&ids)
    .bind(texts(|row| row.place.clone()))
    .bind(rows.iter().map(|row| row.cluster.clone()).collect::<Vec<_>>())
    .bind(texts(|row| row.doc.to_string()))
    .bind(texts(|row| row.handling.to_string()))
    .bind(rows.iter().map(|row| row.ended_at.map(utc)).collect::<Vec<_>>())
    .bind(utc(now))
    .execute(&mut *tx)
    .await
    .map_err(sql("write incidents"))?;
    sqlx::query("update card set version = version + 1 where incident = any ($1)")
        .bind(&ids)
        .execute(&mut *tx)
        .await
        .map_err(sql("redraw incidents"))?;
    let shown = rows.iter().flat_map(|row| row.shown.iter().map(move |place| (row.id.0, &place.0)));
    let (ids, places): (Vec<Uuid>, Vec<&String>) = shown.unzip();
    sqlx::query(
        "with given as (select * from unnest($1::uuid[], $2::text[]) as g (incident, place)),
         made as (insert into card (id, incident) select gen_random_uuid(), incident from (select distinct incident from given) i
             on conflict (incident) do nothing returning id, incident, version)
         insert into delivery (card, place, wanted) select made.id, given.place, made.version
         from given join made using (incident) on conflict do nothing",
    )
    .bind(ids)
    .bind(places)
    .execute(tx)
    .await
    .map_err(sql("show incidents"))?;
    Ok(())
}

async fn write_troubles(
    tx: &mut PgConnection,
    rows: &[TroubleRow],
    now: Timestamp,
) -> Result<(), LedgerError> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into trouble as t (fingerprint, cluster, name, incident, going_on, settle_at, began_at, doc, event, at)
         select fingerprint, cluster, name, incident, going_on, settle_at, began_at, doc::json, coalesce(event, 'null')::json, $10
         from unnest($1::text[], $2::text[], $3::text[], $4::uuid[], $5::bool[], $6::timestamptz[], $7::timestamptz[], $8::text[],
             $9::text[]) as g (fingerprint, cluster, name, incident, going_on, settle_at, began_at, doc, event)
         on conflict (fingerprint) do update set incident = excluded.incident, going_on = excluded.going_on,
             settle_at = excluded.settle_at, began_at = coalesce(excluded.began_at, t.began_at), doc = excluded.doc,
             event = case when excluded.event::text = 'null' then t.event else excluded.event end, at = excluded.at",
    )
    .bind(rows.iter().map(|row| row.fingerprint.clone()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.cluster.clone()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.name.clone()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.incident.map(|id| id.0)).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.going_on).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.settle_at.map(utc)).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.began_at.map(utc)).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.doc.to_string()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.event.as_ref().map(Value::to_string)).collect::<Vec<_>>())
    .bind(utc(now))
    .execute(tx)
    .await
    .map_err(sql("write troubles"))?;
    Ok(())
}
