//! The domain speaks jiff, the driver chrono; Postgres keeps microseconds.

use chrono::{DateTime, Utc};
use jiff::Timestamp;

/// As Postgres will store it: whole microseconds, rounded down.
pub(crate) fn utc(at: Timestamp) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros(at)).unwrap_or(DateTime::UNIX_EPOCH)
}

/// Back from Postgres.
pub(crate) fn timestamp(at: DateTime<Utc>) -> Timestamp {
    Timestamp::from_microsecond(at.timestamp_micros()).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Microseconds since 1970, rounded down.
pub(crate) fn micros(at: Timestamp) -> i64 {
    at.as_nanosecond().div_euclid(1000) as i64
}
