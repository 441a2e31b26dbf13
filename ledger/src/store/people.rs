//! Identities that people link themselves: a one-time code is shown to one identity of a person and typed by another, which
//! is that person from then on. What the policy file says about an identity comes first; that is the caller's part.

use super::time::{timestamp, utc};
use crate::*;
use chrono::{DateTime, Utc};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use sqlx::PgConnection;

/// Wrong codes that one identity may type within [`ATTEMPTS_WITHIN`].
const ATTEMPTS: i32 = 5;
/// See [`ATTEMPTS`].
const ATTEMPTS_WITHIN: SignedDuration = SignedDuration::from_hours(1);

/// SHA-256 of a code, all that is kept of it.
pub type CodeHash = [u8; 32];

/// An identity that its person linked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Which.
    pub actor: Actor,
    /// The identity that the code was shown to.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
}

/// A code that was given out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkOffer {
    /// To whom.
    pub person: Person,
    /// To which of their identities.
    pub actor: Actor,
    /// Where; None: not in a chat.
    pub place: Option<Place>,
    /// The key of the line that asked for it: the same line gives out one code.
    pub key: String,
}

/// What became of a code that was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redeemed {
    /// The identity is this person now.
    Linked(LinkOffer),
    /// No such code, or it is used, replaced or too old. Nobody is told which.
    Wrong,
    /// Too many wrong ones of late.
    TooMany,
    /// It was somebody already.
    Known(Person),
}

type OfferRow = (String, String, Option<String>, String);

fn offer((person, actor, place, key): OfferRow) -> Result<LinkOffer, LedgerError> {
    Ok(LinkOffer { person: Person(person), actor: read(&actor)?, place: place.map(Place), key })
}

fn read(actor: &str) -> Result<Actor, LedgerError> {
    let corrupt =
        |error: NotAnActor| LedgerError::Corrupt { what: "read an identity", why: error.to_string() };
    actor.parse().map_err(corrupt)
}

impl Ledger {
    /// Whose linked identity it is. Read anew each time, so that what is unlinked is nobody at once, on every replica.
    pub async fn person_of(&self, actor: &Actor) -> Result<Option<Person>, LedgerError> {
        let person: Option<String> =
            sqlx::query_scalar("select person from identity where actor = $1 and unlinked_at is null")
                .bind(actor.as_str())
                .fetch_optional(&self.pool)
                .await
                .map_err(sql("look up an identity"))?;
        Ok(person.map(Person))
    }

    /// A person's linked identities, oldest first.
    pub async fn links(&self, person: &Person) -> Result<Vec<Link>, LedgerError> {
        let rows: Vec<(String, String, DateTime<Utc>)> = sqlx::query_as(
            "select actor, by_actor, linked_at from identity where person = $1 and unlinked_at is null
             order by linked_at, actor",
        )
        .bind(&person.0)
        .fetch_all(&self.pool)
        .await
        .map_err(sql("list identities"))?;
        let link = |(actor, by, at): (String, String, DateTime<Utc>)| {
            Ok(Link { actor: read(&actor)?, by: read(&by)?, at: timestamp(at) })
        };
        rows.into_iter().map(link).collect()
    }

    /// Keeps the hash of a new code, in place of the person's last one. False: this key's code was kept before, and is lost.
    pub async fn offer_link(
        &self,
        offer: &LinkOffer,
        code: &CodeHash,
        lasts: SignedDuration,
        now: Timestamp,
    ) -> Result<bool, LedgerError> {
        let kept: Option<String> = sqlx::query_scalar(
            "/* people.offer */ with kept as (
                 insert into link_offer as o (person, actor, place, key, code, expires_at)
                 values ($1, $2, $3, $4, $5, $6)
                 on conflict (person) do update set actor = excluded.actor, place = excluded.place, key = excluded.key,
                     code = excluded.code, expires_at = excluded.expires_at, used_by = null, used_at = null
                 where o.key <> excluded.key
                 returning person
             ), recorded as (
                 insert into entry (at, kind, actor, body) select $7, 'people.offered', $2, $8::json from kept)
             select person from kept",
        )
        .bind(&offer.person.0)
        .bind(offer.actor.as_str())
        .bind(offer.place.as_ref().map(|place| &place.0))
        .bind(&offer.key)
        .bind(&code[..])
        .bind(utc(now + lasts))
        .bind(utc(now))
        .bind(json!({ "person": offer.person, "place": offer.place }).to_string())
        .fetch_optional(&self.pool)
        .await
        .map_err(sql("offer a link"))?;
        Ok(kept.is_some())
    }

    /// A code typed by an identity that the policy file does not know. One transaction: of many who type the same code at
    /// once, one is linked. The same identity may send it again.
    pub async fn redeem_link(
        &self,
        code: &CodeHash,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Redeemed, LedgerError> {
        let failed = sql("redeem a link");
        let mut tx = self.pool.begin().await.map_err(failed)?;
        // Counted first: its row lock makes one identity's tries wait for each other.
        let failures: i32 = sqlx::query_scalar(
            "insert into link_attempt as a (actor, failures, since) values ($1, 1, $2)
             on conflict (actor) do update set
                 failures = case when a.since < $3 then 1 else a.failures + 1 end,
                 since = case when a.since < $3 then $2 else a.since end
             returning failures",
        )
        .bind(actor.as_str())
        .bind(utc(now))
        .bind(utc(now - ATTEMPTS_WITHIN))
        .fetch_one(&mut *tx)
        .await
        .map_err(failed)?;
        if failures > ATTEMPTS {
            tx.commit().await.map_err(failed)?;
            return Ok(Redeemed::TooMany);
        }
        let before: Option<OfferRow> = sqlx::query_as(
            "select o.person, o.actor, o.place, o.key from link_offer o
             join identity i on i.actor = o.used_by and i.person = o.person and i.unlinked_at is null
             where o.code = $1 and o.used_by = $2",
        )
        .bind(&code[..])
        .bind(actor.as_str())
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed)?;
        if let Some(row) = before {
            return Ok(Redeemed::Linked(offer(row)?));
        }
        let known: Option<String> =
            sqlx::query_scalar("select person from identity where actor = $1 and unlinked_at is null")
                .bind(actor.as_str())
                .fetch_optional(&mut *tx)
                .await
                .map_err(failed)?;
        let used = spend(&mut tx, code, actor, now).await.map_err(failed)?;
        let (kind, body, redeemed) = match (known, used) {
            (Some(person), _) => {
                let body = json!({ "because": "known already", "person": person });
                ("people.refused", body, Redeemed::Known(Person(person)))
            }
            (None, None) => ("people.refused", json!({ "because": "no such code" }), Redeemed::Wrong),
            (None, Some(row)) => {
                let offer = offer(row)?;
                let body = json!({ "person": offer.person, "by": offer.actor, "place": offer.place });
                ("people.linked", body, Redeemed::Linked(offer))
            }
        };
        if let Redeemed::Linked(offer) = &redeemed {
            sqlx::query(
                "insert into identity (actor, person, by_actor, linked_at) values ($1, $2, $3, $4)
                 on conflict (actor) do update set person = excluded.person, by_actor = excluded.by_actor,
                     linked_at = excluded.linked_at, unlinked_at = null",
            )
            .bind(actor.as_str())
            .bind(&offer.person.0)
            .bind(offer.actor.as_str())
            .bind(utc(now))
            .execute(&mut *tx)
            .await
            .map_err(failed)?;
            sqlx::query("update link_attempt set failures = 0 where actor = $1")
                .bind(actor.as_str())
                .execute(&mut *tx)
                .await
                .map_err(failed)?;
        }
        sqlx::query(
            "/* people.redeem */ insert into entry (at, kind, actor, body) values ($1, $2, $3, $4::json)",
        )
        .bind(utc(now))
        .bind(kind)
        .bind(actor.as_str())
        .bind(body.to_string())
        .execute(&mut *tx)
        .await
        .map_err(failed)?;
        tx.commit().await.map_err(failed)?;
        Ok(redeemed)
    }

    /// A code that somebody typed whom the policy file knows: it has been seen, so it is worth nothing any more.
    pub async fn spoil_link(
        &self,
        code: &CodeHash,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        sqlx::query(
            "/* people.spoil */ with spoilt as (
                 update link_offer set used_by = $2, used_at = $3 where code = $1 and used_at is null returning person)
             insert into entry (at, kind, actor, body)
             select $3, 'people.refused', $2, json_build_object('because', 'known already', 'offered_to', person) from spoilt",
        )
        .bind(&code[..])
        .bind(actor.as_str())
        .bind(utc(now))
        .execute(&self.pool)
        .await
        .map_err(sql("spoil a code"))?;
        Ok(())
    }

    /// Takes a linked identity from its person; it is nobody from then on. False: it was not linked to them.
    pub async fn unlink(
        &self,
        person: &Person,
        actor: &Actor,
        by: &Actor,
        now: Timestamp,
    ) -> Result<bool, LedgerError> {
        let done: Option<String> = sqlx::query_scalar(
            "/* people.unlink */ with taken as (
                 update identity set unlinked_at = $4 where actor = $2 and person = $1 and unlinked_at is null
                 returning actor
             ), recorded as (
                 insert into entry (at, kind, actor, body) select $4, 'people.unlinked', $3, $5::json from taken)
             select actor from taken",
        )
        .bind(&person.0)
        .bind(actor.as_str())
        .bind(by.as_str())
        .bind(utc(now))
        .bind(json!({ "person": person, "identity": actor }).to_string())
        .fetch_optional(&self.pool)
        .await
        .map_err(sql("unlink an identity"))?;
        Ok(done.is_some())
    }
}

/// Uses up the code if it still counts; whose it was.
async fn spend(
    tx: &mut PgConnection,
    code: &CodeHash,
    actor: &Actor,
    now: Timestamp,
) -> Result<Option<OfferRow>, sqlx::Error> {
    sqlx::query_as(
        "update link_offer set used_by = $2, used_at = $3
         where code = $1 and used_at is null and expires_at > $3 returning person, actor, place, key",
    )
    .bind(&code[..])
    .bind(actor.as_str())
    .bind(utc(now))
    .fetch_optional(tx)
    .await
}
