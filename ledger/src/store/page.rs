//! Questions that only the console's pages ask.

use super::{error::sql, time::utc};
use crate::*;
use jiff::Timestamp;

/// The end of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The last sealed position.
    pub seq: i64,
    /// Hex of the chain's hash there.
    pub hash: String,
}

impl Ledger {
    /// Where the chain ends; None while nothing is sealed.
    pub async fn head(&self) -> Result<Option<Head>, LedgerError> {
        // A seal holds the running hash after each of its entries; the last 32 bytes are the last entry's.
        let row: Option<(i64, Vec<u8>)> = sqlx::query_as(
            "select last_seq, substring(hash from octet_length(hash) - 31 for 32) from seal order by last_seq desc limit 1",
        )
        .fetch_optional(&self.pool)
        .await
        .map_err(sql("read the head of the chain"))?;
        Ok(row.map(|(seq, hash)| Head { seq, hash: hex::encode(hash) }))
    }

    /// Ids of the messages in a room that are new or edited since a moment and that `viewer` may see, oldest first; of more
    /// than `limit`, those that changed last.
    pub async fn room_changed(
        &self,
        place: &Place,
        viewer: &Actor,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<i64>, LedgerError> {
        sqlx::query_scalar(
            "select id from (
                 select id from room_message
                 where place = $1 and (only_for is null or only_for = $2) and coalesce(edited_at, at) >= $3
                 order by coalesce(edited_at, at) desc limit $4
             ) changed order by id",
        )
        .bind(&place.0)
        .bind(viewer.as_str())
        .bind(utc(since))
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(sql("read what changed in a room"))
    }
}
