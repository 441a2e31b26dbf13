//! Incidents and what belongs to them. What they mean is decided by pure functions of the crate `heal`, which are handed in: here
//! are the locks they are asked under, and the statements that write what they say together with the entries of it (G10).
//!
//! Two kinds of change, each one transaction. [`Ledger::fold_events`]: events change troubles and incidents; one at a time among all
//! replicas. [`Ledger::change_incident`]: something is done about one incident; one at a time in its cluster, because caps and
//! storms count all of a cluster.

use super::change::ENTRY;
use super::rows::corrupt;
use super::time::{timestamp, utc};
use crate::*;
use chrono::{DateTime, Utc};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use sqlx::{AssertSqlSafe, FromRow, PgConnection};
use uuid::Uuid;

/// An incident as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredIncident {
    /// Which.
    pub id: IncidentId,
    /// What it is.
    pub doc: Value,
    /// What is being done about it.
    pub handling: Value,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// What belongs into the record along with a change.
#[derive(Clone, Debug, PartialEq)]
pub struct HealingEntry {
    /// `incident.opened`.
    pub kind: &'static str,
    /// Who or what did it.
    pub actor: String,
    /// Of which request.
    pub request: Option<RequestId>,
    /// What there is to know.
    pub body: Value,
}

/// What folding may look at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FoldState {
    /// Of the events asked for, those that nobody has folded meanwhile.
    pub events: Vec<i64>,
    /// Troubles of their fingerprints, and those that come and go and may have calmed down.
    pub troubles: Vec<Value>,
    /// Open incidents of their places, and those that the troubles belong to.
    pub incidents: Vec<Value>,
    /// Clusters in which it storms.
    pub storms: Vec<String>,
}

/// A trouble to be stored.
#[derive(Clone, Debug, PartialEq)]
pub struct TroubleRow {
    /// Its name for life.
    pub fingerprint: String,
    /// Where.
    pub cluster: Option<String>,
    /// The event's name.
    pub name: String,
    /// To which it belongs.
    pub incident: Option<IncidentId>,
    /// Whether it does.
    pub going_on: bool,
    /// While it comes and goes.
    pub settle_at: Option<Timestamp>,
    /// When its episode was first heard of, if that is now.
    pub began_at: Option<Timestamp>,
    /// What it is.
    pub doc: Value,
    /// The event that says so; None keeps the one there is.
    pub event: Option<Value>,
}

/// An incident to be stored.
#[derive(Clone, Debug, PartialEq)]
pub struct IncidentRow {
    /// Which.
    pub id: IncidentId,
    /// Of which only one is open.
    pub place: String,
    /// Where.
    pub cluster: Option<String>,
    /// What it is.
    pub doc: Value,
    /// For a new one: what is being done about it, which is nothing yet.
    pub handling: Value,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// For a new one: where its card is shown.
    pub shown: Vec<Place>,
}

/// What folding has decided.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Folded {
    /// New or changed.
    pub troubles: Vec<TroubleRow>,
    /// New or changed.
    pub incidents: Vec<IncidentRow>,
    /// For the record.
    pub entries: Vec<HealingEntry>,
}

/// Everything that decides about one incident, read under the lock of its cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct HealingState {
    /// It.
    pub incident: StoredIncident,
    /// Its troubles that go on, each with the last event that said so; the oldest ones, at most 20.
    pub troubles: Vec<(Value, Value)>,
    /// Of its place.
    pub brakes: Vec<Value>,
    /// Begun since the moment asked for, of its cluster and of the rules asked for.
    pub attempts: Vec<Value>,
    /// That have not ended.
    pub silences: Vec<Value>,
    /// The weather of its cluster, where there was any.
    pub storm: Option<Value>,
    /// Open incidents of its cluster.
    pub open: u32,
    /// Troubles of its cluster that began within the last minute.
    pub arrivals: u32,
    /// Troubles of nodes of its cluster that go on, by the names asked for.
    pub nodes_down: Vec<Value>,
}

/// What belongs to the place of the incident.
#[derive(Clone, Debug, PartialEq)]
pub struct BrakeRow {
    /// Which rule.
    pub rule: String,
    /// The brake.
    pub doc: Value,
    /// Since when only a person can let it go on.
    pub blocked_at: Option<Timestamp>,
}

/// What has been decided about one incident.
#[derive(Clone, Debug, PartialEq)]
pub struct HealingChange {
    /// It.
    pub doc: Value,
    /// What is being done about it.
    pub handling: Value,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// The request it waits for, and the state that was seen of it.
    pub waits_for: Option<(RequestId, Option<RequestState>)>,
    /// When to look again.
    pub due_at: Timestamp,
    /// Changed or new.
    pub brake: Option<BrakeRow>,
    /// A healing that begins: its id, its rule, and what caps count.
    pub begun: Option<(Uuid, String, Value)>,
    /// A healing that ended: its id, its result, and what caps count.
    pub ended: Option<(Uuid, &'static str, Value)>,
    /// A silence that begins: its id, itself, its end.
    pub silence: Option<(Uuid, Value, Timestamp)>,
    /// For the record.
    pub entries: Vec<HealingEntry>,
    /// Where its card is shown, besides where it is.
    pub shown: Vec<Place>,
    /// What is said along, once by its key: key, place, card.
    pub said: Vec<(String, Place, Value)>,
}

/// What a change is asked for with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Since {
    /// Attempts since then count.
    pub attempts: Option<Timestamp>,
    /// Attempts of these rules count in other clusters too.
    pub rules: Vec<String>,
    /// Names of events that say that a node is down.
    pub node_down: Vec<String>,
}

/// How a rule has done.
#[derive(Clone, Debug, PartialEq, FromRow)]
pub struct RuleFigures {
    /// Its title.
    pub rule: String,
    /// Healings begun.
    pub begun: i64,
    /// That helped.
    pub healed: i64,
    /// That did not.
    pub ineffective: i64,
    /// That were denied, expired or cancelled.
    pub not_done: i64,
    /// Median seconds from detection to the first request, of incidents it healed.
    pub propose_s: Option<f64>,
    /// From there to the approval.
    pub approve_s: Option<f64>,
    /// From the approval to the first step.
    pub act_s: Option<f64>,
    /// From detection until it was over.
    pub recover_s: Option<f64>,
}

#[derive(FromRow)]
struct IncidentColumns {
    id: Uuid,
    doc: String,
    handling: String,
    ended_at: Option<DateTime<Utc>>,
}

const COLUMNS: &str = "i.id, i.doc::text, i.handling::text, i.ended_at";

impl IncidentColumns {
    fn stored(self) -> Result<StoredIncident, LedgerError> {
        Ok(StoredIncident {
            id: IncidentId(self.id),
            doc: value(&self.doc)?,
            handling: value(&self.handling)?,
            ended_at: self.ended_at.map(timestamp),
        })
    }
}

fn value(text: &str) -> Result<Value, LedgerError> {
    serde_json::from_str(text).map_err(|error| corrupt("read an incident", error))
}

fn values(texts: Vec<String>) -> Result<Vec<Value>, LedgerError> {
    texts.iter().map(|text| value(text)).collect()
}

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
            "select array(select id from event where id = any ($1) and handled_at is null order by id),
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
        sqlx::query("/* incident.fold */ update event set handled_at = $2 where id = any ($1)")
            .bind(&events)
            .bind(utc(now))
            .execute(&mut *tx)
            .await
            .map_err(wrong)?;
        tx.commit().await.map_err(wrong)?;
        if cards {
            self.wake(Wake::Card);
        }
        Ok(true)
    }

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
            self.wake(Wake::Event);
        }
        Ok(Some(outcome))
    }

    /// How it looks in a cluster, for `decide` to say whether it storms; None writes nothing.
    pub async fn change_storm<T, E: From<LedgerError>>(
        &self,
        cluster: &str,
        now: Timestamp,
        decide: impl FnOnce(
            Option<Value>,
            u32,
            u32,
        ) -> Result<(Option<(Value, bool, Option<HealingEntry>)>, T), E>,
    ) -> Result<T, E> {
        let wrong = sql("look at the weather");
        let mut tx = self.pool.begin().await.map_err(wrong)?;
        sqlx::query("select pg_advisory_xact_lock(hashtext('petrel.heal'), hashtext($1))")
            .bind(cluster)
            .execute(&mut *tx)
            .await
            .map_err(wrong)?;
        let (storm, open, arrivals) = weather(&mut tx, Some(cluster), now).await?;
        let (changed, outcome) = decide(storm, open, arrivals)?;
        if let Some((doc, rages, entry)) = changed {
            sqlx::query(
                "/* incident.storm */ insert into storm (cluster, doc, rages) values ($1, $2::json, $3)
                 on conflict (cluster) do update set doc = excluded.doc, rages = excluded.rages",
            )
            .bind(cluster)
            .bind(doc.to_string())
            .bind(rages)
            .execute(&mut *tx)
            .await
            .map_err(wrong)?;
            record_all(&mut tx, entry.as_slice(), now).await?;
            tx.commit().await.map_err(wrong)?;
        }
        Ok(outcome)
    }

    /// Clusters with open incidents or a storm.
    pub async fn troubled_clusters(&self) -> Result<Vec<String>, LedgerError> {
        sqlx::query_scalar(
            "select cluster from storm where rages
             union select cluster from incident where ended_at is null and cluster is not null",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(sql("list clusters in trouble"))
    }

    /// One incident.
    pub async fn incident(&self, id: IncidentId) -> Result<Option<StoredIncident>, LedgerError> {
        let row: Option<IncidentColumns> =
            sqlx::query_as(AssertSqlSafe(format!("select {COLUMNS} from incident i where i.id = $1")))
                .bind(id.0)
                .fetch_optional(&self.pool)
                .await
                .map_err(sql("read an incident"))?;
        row.map(IncidentColumns::stored).transpose()
    }

    /// The open ones, or the last ones; newest first.
    pub async fn incidents(&self, open: bool, limit: u32) -> Result<Vec<StoredIncident>, LedgerError> {
        let rows: Vec<IncidentColumns> = sqlx::query_as(AssertSqlSafe(format!(
            "select {COLUMNS} from incident i
             where not $1 or i.ended_at is null order by i.opened_at desc, i.id limit $2"
        )))
        .bind(open)
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(sql("list incidents"))?;
        rows.into_iter().map(IncidentColumns::stored).collect()
    }

    /// Incidents whose id ends so, newest first, at most 5.
    pub async fn find_incident(&self, short: &str) -> Result<Vec<IncidentId>, LedgerError> {
        let ids = sqlx::query_scalar(
            "select id from incident where right(id::text, 8) = lower($1) order by opened_at desc limit 5",
        )
        .bind(short)
        .fetch_all(&self.pool)
        .await
        .map_err(sql("find an incident"))?;
        Ok(ids.into_iter().map(IncidentId).collect())
    }

    /// Troubles of an incident that go on, each with the last event that said so; the oldest ones, at most 20.
    pub async fn troubles(&self, id: IncidentId) -> Result<Vec<(Value, Value)>, LedgerError> {
        troubles(&mut *self.pool.acquire().await.map_err(sql("read troubles"))?, id).await
    }

    /// One trouble.
    pub async fn trouble(&self, fingerprint: &str) -> Result<Option<Value>, LedgerError> {
        let doc: Option<String> = sqlx::query_scalar("select doc::text from trouble where fingerprint = $1")
            .bind(fingerprint)
            .fetch_optional(&self.pool)
            .await
            .map_err(sql("read a trouble"))?;
        doc.as_deref().map(value).transpose()
    }

    /// The last event that said that a trouble goes on.
    pub async fn trouble_event(&self, fingerprint: &str) -> Result<Option<Value>, LedgerError> {
        let doc: Option<String> =
            sqlx::query_scalar("select event::text from trouble where fingerprint = $1")
                .bind(fingerprint)
                .fetch_optional(&self.pool)
                .await
                .map_err(sql("read a trouble"))?;
        Ok(doc.as_deref().map(value).transpose()?.filter(|event| !event.is_null()))
    }

    /// The weather of a cluster, where there was any.
    pub async fn storm(&self, cluster: &str) -> Result<Option<Value>, LedgerError> {
        let doc: Option<String> = sqlx::query_scalar("select doc::text from storm where cluster = $1")
            .bind(cluster)
            .fetch_optional(&self.pool)
            .await
            .map_err(sql("look at the weather"))?;
        doc.as_deref().map(value).transpose()
    }

    /// Rules that only a person lets go on: rule, where, and the brake.
    pub async fn blocked(&self) -> Result<Vec<(String, String, Value)>, LedgerError> {
        let rows: Vec<(String, String, String)> = sqlx::query_as(
            "select rule, place, doc::text from brake where blocked_at is not null order by blocked_at desc limit 100",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(sql("read brakes"))?;
        rows.into_iter().map(|(rule, place, doc)| Ok((rule, place, value(&doc)?))).collect()
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
            self.wake(Wake::Event);
        }
        Ok(Some(outcome))
    }

    /// How rules have done with incidents that opened since.
    pub async fn rule_figures(&self, since: Timestamp) -> Result<Vec<RuleFigures>, LedgerError> {
        sqlx::query_as(
            "with a as (
                 select a.rule, a.result, i.doc -> 'times' as times, a.result = 'effective' as helped
                 from attempt a join incident i on i.id = a.incident where a.at >= $1),
             s as (
                 select *, extract(epoch from (times ->> 'proposed')::timestamptz - (times ->> 'detected')::timestamptz)::float8 as propose,
                     extract(epoch from (times ->> 'approved')::timestamptz - (times ->> 'proposed')::timestamptz)::float8 as approve,
                     extract(epoch from (times ->> 'acted')::timestamptz - (times ->> 'approved')::timestamptz)::float8 as act,
                     extract(epoch from (times ->> 'recovered')::timestamptz - (times ->> 'detected')::timestamptz)::float8 as recover
                 from a)
             select rule, count(*) as begun, count(*) filter (where helped) as healed,
                 count(*) filter (where result = 'ineffective') as ineffective,
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

async fn troubles(connection: &mut PgConnection, id: IncidentId) -> Result<Vec<(Value, Value)>, LedgerError> {
    let rows: Vec<(String, String)> = sqlx::query_as(
        "select doc::text, event::text from trouble where incident = $1 and going_on order by began_at limit 20",
    )
    .bind(id.0)
    .fetch_all(connection)
    .await
    .map_err(sql("read troubles"))?;
    rows.into_iter().map(|(doc, event)| Ok((value(&doc)?, value(&event)?))).collect()
}

async fn weather(
    tx: &mut PgConnection,
    cluster: Option<&str>,
    now: Timestamp,
) -> Result<(Option<Value>, u32, u32), LedgerError> {
    let (storm, open, arrivals): (Option<String>, i64, i64) = sqlx::query_as(
        "select (select doc::text from storm where cluster = $1),
             (select count(*) from incident where cluster = $1 and ended_at is null),
             (select count(*) from trouble where cluster = $1 and began_at > $2)",
    )
    .bind(cluster)
    .bind(utc(now - SignedDuration::from_mins(1)))
    .fetch_one(tx)
    .await
    .map_err(sql("look at the weather"))?;
    Ok((storm.as_deref().map(value).transpose()?, open as u32, arrivals as u32))
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
             on conflict do nothing),
         bumped as (update card set version = version + 1 from changed where card.incident = changed.id returning card.id, version)
         update delivery set wanted = bumped.version, attempts = 0, due_at = greatest(due_at, clock_timestamp())
         from bumped where delivery.card = bumped.id",
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
    sqlx::query(
        "with bumped as (update card set version = version + 1 where incident = any ($1) returning id, version)
         update delivery set wanted = bumped.version, attempts = 0, due_at = greatest(due_at, clock_timestamp())
         from bumped where delivery.card = bumped.id",
    )
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

async fn record_all(
    tx: &mut PgConnection,
    entries: &[HealingEntry],
    now: Timestamp,
) -> Result<(), LedgerError> {
    if entries.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into entry (at, kind, actor, request, body)
         select $1, kind, actor, request, body::json
         from unnest($2::text[], $3::text[], $4::uuid[], $5::text[]) as g (kind, actor, request, body)",
    )
    .bind(utc(now))
    .bind(entries.iter().map(|entry| entry.kind).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.actor.as_str()).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.request.map(|id| id.0)).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.body.to_string()).collect::<Vec<_>>())
    .execute(tx)
    .await
    .map_err(sql("record healing"))?;
    Ok(())
}
