//! From rows to words. Whole rows of the smaller tables come as JSON, so that one statement (one snapshot) can bring a
//! request with all that belongs to it.

use super::time::timestamp;
use crate::*;
use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{Decode, Postgres, Row, Type};

/// A vote as JSON that `Vote` reads: bytea would come as `\x...`.
pub(super) const VOTE: &str = "to_jsonb(v) || jsonb_build_object('digest', encode(v.digest, 'hex'))";

fn get<'r, T>(row: &'r PgRow, column: &str) -> Result<T, LedgerError>
where
    T: Decode<'r, Postgres> + Type<Postgres>,
{
    row.try_get(column).map_err(|error| corrupt("read a request", error))
}

pub(super) fn corrupt(what: &'static str, why: impl std::fmt::Display) -> LedgerError {
    LedgerError::Corrupt { what, why: why.to_string() }
}

/// A column of type json.
pub(super) fn json<T: DeserializeOwned + 'static>(row: &PgRow, column: &str) -> Result<T, LedgerError> {
    let Json(value) = get::<Json<T>>(row, column)?;
    Ok(value)
}

/// From `request.*`.
pub(super) fn request(row: &PgRow) -> Result<Request, LedgerError> {
    let actor =
        |text: String| text.parse::<Actor>().map_err(|error| corrupt("read a request's actor", error));
    let state: &str = get(row, "state")?;
    let digest: &[u8] = get(row, "digest")?;
    let ask = Ask {
        key: get(row, "key")?,
        actor: actor(get(row, "actor")?)?,
        person: Person(get(row, "person")?),
        place: get::<Option<String>>(row, "place")?.map(Place),
        line: get(row, "line")?,
        action: get(row, "action")?,
        parameters: json(row, "parameters")?,
        target: Target {
            cluster: get(row, "cluster")?,
            namespace: get(row, "namespace")?,
            kind: get(row, "kind")?,
            name: get(row, "name")?,
            uid: None,
        },
        why: get(row, "why")?,
        break_glass: get(row, "break_glass")?,
        dry_run: get(row, "dry_run")?,
        with_person: get(row, "with_person")?,
    };
    Ok(Request {
        id: RequestId(get(row, "id")?),
        ask,
        revision: get::<i32>(row, "revision")? as u32,
        plan: json(row, "plan")?,
        digest: Digest(digest.try_into().map_err(|error| corrupt("read a request's digest", error))?),
        decision: json(row, "decision")?,
        policy: get(row, "policy")?,
        state: *RequestState::ALL
            .iter()
            .find(|known| known.as_str() == state)
            .ok_or_else(|| corrupt("read a request's state", state))?,
        note: get(row, "note")?,
        expires_at: get::<Option<DateTime<Utc>>>(row, "expires_at")?.map(timestamp),
        cancel: get::<Option<String>>(row, "cancel")?.map(actor).transpose()?,
        created_at: timestamp(get(row, "created_at")?),
        updated_at: timestamp(get(row, "updated_at")?),
    })
}

/// A column of type json that an outer join may leave empty.
pub(super) fn json_or_null<T: DeserializeOwned + 'static>(
    row: &PgRow,
    column: &str,
) -> Result<Option<T>, LedgerError> {
    Ok(get::<Option<Json<T>>>(row, column)?.map(|Json(value)| value))
}
