//! The console's rooms: a chat platform whose messages live in Postgres. Delivered to through the outbox like any other.

use super::time::{timestamp, utc};
use crate::*;
use chrono::{DateTime, Utc};
use jiff::Timestamp;
use serde_json::Value;
use sqlx::{AssertSqlSafe, FromRow};
use uuid::Uuid;

/// One message in a console room.
#[derive(Clone, Debug, PartialEq)]
pub struct RoomMessage {
    /// Grows.
    pub id: i64,
    /// Which room.
    pub place: Place,
    /// Who typed it; None: Petrel.
    pub author: Option<Actor>,
    /// Only this actor may see it.
    pub only_for: Option<Actor>,
    /// What was typed, or
    pub text: Option<String>,
    /// the bot's platform-neutral card as JSON.
    pub card: Option<Value>,
    /// Whose card.
    pub request: Option<RequestId>,
    /// First shown.
    pub at: Timestamp,
    /// Last edit.
    pub edited_at: Option<Timestamp>,
}

#[derive(FromRow)]
struct MessageRow {
    id: i64,
    place: String,
    author: Option<String>,
    only_for: Option<String>,
    text: Option<String>,
    card: Option<String>,
    request: Option<Uuid>,
    at: DateTime<Utc>,
    edited_at: Option<DateTime<Utc>>,
}

impl MessageRow {
    fn message(self) -> Result<RoomMessage, LedgerError> {
        let corrupt = |why: String| LedgerError::Corrupt { what: "read a room", why };
        let actor = |text: Option<String>| {
            text.map(|text| text.parse()).transpose().map_err(|error: NotAnActor| corrupt(error.to_string()))
        };
        let card = self.card.map(|card| serde_json::from_str(&card)).transpose();
        Ok(RoomMessage {
            id: self.id,
            place: Place(self.place),
            author: actor(self.author)?,
            only_for: actor(self.only_for)?,
            text: self.text,
            card: card.map_err(|error| corrupt(error.to_string()))?,
            request: self.request.map(RequestId),
            at: timestamp(self.at),
            edited_at: self.edited_at.map(timestamp),
        })
    }
}

impl Ledger {
    /// A line that a person typed, by the inbox key: shown once.
    pub async fn room_line(
        &self,
        key: &str,
        place: &Place,
        author: &Actor,
        text: &str,
        now: Timestamp,
    ) -> Result<i64, LedgerError> {
        let failed = sql("write a line in a room");
        let new: Option<i64> = sqlx::query_scalar(
            "/* room.line */ with line as (
                 insert into room_message (key, place, author, text, at) values ($1, $2, $3, $4, $5)
                 on conflict (key) do nothing returning id
             )
             select id from line",
        )
        .bind(key)
        .bind(&place.0)
        .bind(author.as_str())
        // The one character that Postgres cannot store.
        .bind(text.replace('\0', "\u{fffd}"))
        .bind(utc(now))
        .fetch_optional(&self.pool)
        .await
        .map_err(&failed)?;
        match new {
            Some(id) => {
                self.wake(Wake::Room { place: place.clone(), message: id });
                Ok(id)
            }
            None => sqlx::query_scalar("select id from room_message where key = $1")
                .bind(key)
                .fetch_one(&self.pool)
                .await
                .map_err(&failed),
        }
    }

    /// Posts or edits a card: at most one message per card and place, whatever the number of tries. Returns its id. A worker
    /// whose claim was overtaken changes nothing.
    pub async fn room_card(
        &self,
        delivery: &Delivery,
        card: &Value,
        now: Timestamp,
    ) -> Result<i64, LedgerError> {
        let failed = sql("put a card in a room");
        let drawn: Option<i64> = sqlx::query_scalar(
            "/* room.card */ with drawn as (
                 insert into room_message as m (place, only_for, card, card_id, request, token, at)
                 values ($1, $2, $3::json, $4, $5, $6, $7)
                 on conflict (card_id, place) do update set card = excluded.card, token = excluded.token, edited_at = excluded.at
                 where m.token <= excluded.token
                 returning id
             )
             select id from drawn",
        )
        .bind(&delivery.place.0)
        .bind(delivery.only_for.as_ref().map(Actor::as_str))
        .bind(card.to_string())
        .bind(delivery.card.0)
        .bind(match delivery.subject {
            CardSubject::Request(id) => Some(id.0),
            // Its buttons carry its id in the place of a request's.
            CardSubject::Incident(id) => Some(id.0),
            CardSubject::Said(_) => None,
        })
        .bind(delivery.token)
        .bind(utc(now))
        .fetch_optional(&self.pool)
        .await
        .map_err(&failed)?;
        match drawn {
            Some(id) => {
                self.wake(Wake::Room { place: delivery.place.clone(), message: id });
                Ok(id)
            }
            None => sqlx::query_scalar("select id from room_message where card_id = $1 and place = $2")
                .bind(delivery.card.0)
                .bind(&delivery.place.0)
                .fetch_one(&self.pool)
                .await
                .map_err(&failed),
        }
    }

    /// The newest `limit` messages before `before`, oldest first, that `viewer` may see.
    pub async fn room(
        &self,
        place: &Place,
        viewer: &Actor,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<RoomMessage>, LedgerError> {
        let rows: Vec<MessageRow> = sqlx::query_as(AssertSqlSafe(format!(
            "select id, place, author, only_for, text, card::text, request, at, edited_at from room_message
             where place = $1 and (only_for is null or only_for = $2) and id < $3 order by id desc limit {limit}",
        )))
        .bind(&place.0)
        .bind(viewer.as_str())
        .bind(before.unwrap_or(i64::MAX))
        .fetch_all(&self.pool)
        .await
        .map_err(sql("read a room"))?;
        rows.into_iter().rev().map(MessageRow::message).collect()
    }

    /// One message, if `viewer` may see it.
    pub async fn room_message(&self, id: i64, viewer: &Actor) -> Result<Option<RoomMessage>, LedgerError> {
        let row: Option<MessageRow> = sqlx::query_as(
            "select id, place, author, only_for, text, card::text, request, at, edited_at from room_message
             where id = $1 and (only_for is null or only_for = $2)",
        )
        .bind(id)
        .bind(viewer.as_str())
        .fetch_optional(&self.pool)
        .await
        .map_err(sql("read a room"))?;
        row.map(MessageRow::message).transpose()
    }
}
