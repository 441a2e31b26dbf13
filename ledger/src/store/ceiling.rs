//! Ceilings: at most so many requests at work at once, exactly, whatever the number of replicas that submit and vote at
//! the same time. Counted inside the transaction that would add one, one such transaction at a time per ceiling.

use super::error::sql;
use super::time::utc;
use crate::*;
use serde::Deserialize;
use sqlx::PgConnection;

/// What requests that count against one ceiling have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Share {
    /// The person who asked.
    Person,
    /// The action, on the same cluster.
    Action,
    /// The cluster.
    Cluster,
}

/// At most so many requests at work (approved, running, verifying) at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ceiling {
    /// The cap's name in the policy.
    pub cap: String,
    /// What is counted apart.
    pub each: Share,
    /// How many.
    pub at_once: u32,
}

/// A ceiling that leaves no room for one more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Full {
    /// Which.
    pub ceiling: Ceiling,
    /// How many are at work.
    pub at_work: u32,
}

/// The first ceiling that leaves no room for this request, if it is approved. The locks taken here end with the transaction, so that the next one
/// counts what this one adds.
pub(super) async fn full(
    tx: &mut PgConnection,
    ceilings: &[Ceiling],
    request: &Request,
) -> Result<Option<Full>, LedgerError> {
    if request.state != RequestState::Approved {
        return Ok(None);
    }
    let wrong = sql("count what is at work");
    let cluster = &request.plan.target.cluster;
    let mut keys: Vec<String> = ceilings
        .iter()
        .map(|ceiling| match ceiling.each {
            Share::Person => format!("person {}", request.ask.person),
            Share::Action => format!("action {} {cluster}", request.ask.action),
            Share::Cluster => format!("cluster {cluster}"),
        })
        .collect();
    // In one order everywhere, so that two never wait for each other.
    keys.sort();
    keys.dedup();
    for key in keys {
        let lock = sqlx::query("select pg_advisory_xact_lock(hashtextextended('petrel ceiling ' || $1, 0))")
            .bind(key);
        lock.execute(&mut *tx).await.map_err(wrong)?;
    }
    for ceiling in ceilings {
        let at_work: i64 = sqlx::query_scalar(
            "select count(*) from request join run on run.request = request.id
             where run.ended_at is null and (expires_at is null or expires_at > $1) and request.id <> $6
               and case $2 when 'person' then person = $3 when 'action' then cluster = $4 and action = $5 else cluster = $4 end",
        )
        .bind(utc(request.updated_at))
        .bind(match ceiling.each {
            Share::Person => "person",
            Share::Action => "action",
            Share::Cluster => "cluster",
        })
        .bind(&request.ask.person.0)
        .bind(cluster)
        .bind(&request.ask.action)
        // What is planned anew is at work already, and is not one more.
        .bind(request.id.0)
        .fetch_one(&mut *tx)
        .await
        .map_err(wrong)?;
        if at_work >= i64::from(ceiling.at_once) {
            return Ok(Some(Full { ceiling: ceiling.clone(), at_work: at_work as u32 }));
        }
    }
    Ok(None)
}
