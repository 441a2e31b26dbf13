//! Which entries are new since a moment, exactly, although ids become visible out of order.
//!
//! Every entry stores the id of the transaction that wrote it. What a snapshot sees of them is everything below its
//! `xmin`, and below its `xmax` everything that is not in its list of transactions still in progress. So what it did not
//! see and is committed now is exactly: transaction at or above `xmax`, or in that list. Both are index look-ups, and
//! it does not matter how long a transaction stays open.

use std::{fmt, str::FromStr};

/// A `pg_snapshot`: which transactions were finished at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    xmin: u64,
    /// The first transaction id not given out yet.
    pub xmax: u64,
    /// In progress then.
    xip: Vec<u64>,
}

impl Snapshot {
    /// Before the first transaction.
    pub fn beginning() -> Snapshot {
        Snapshot { xmin: 1, xmax: 1, xip: Vec::new() }
    }

    /// SQL over table `entry`: this snapshot did not see it. Made of numbers only.
    pub fn unseen(&self) -> String {
        let late: String = self.xip.iter().map(|xid| format!(" or xid = '{xid}'::xid8")).collect();
        format!("(xid >= '{}'::xid8{late})", self.xmax)
    }

    /// SQL over table `entry`: this snapshot saw it.
    pub fn seen(&self) -> String {
        format!("pg_visible_in_snapshot(xid, '{self}'::pg_snapshot)")
    }
}

/// As Postgres writes it: `xmin:xmax:xip,xip`.
impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let xip: Vec<String> = self.xip.iter().map(u64::to_string).collect();
        write!(f, "{}:{}:{}", self.xmin, self.xmax, xip.join(","))
    }
}

impl FromStr for Snapshot {
    type Err = String;
    fn from_str(text: &str) -> Result<Snapshot, String> {
        let parsed = || {
            let (xmin, rest) = text.split_once(':')?;
            let (xmax, xip) = rest.split_once(':')?;
            let xip = xip
                .split(',')
                .filter(|xid| !xid.is_empty())
                .map(|xid| xid.parse().ok())
                .collect::<Option<_>>()?;
            Some(Snapshot { xmin: xmin.parse().ok()?, xmax: xmax.parse().ok()?, xip })
        };
        parsed().ok_or_else(|| format!("'{text}' is not a snapshot"))
    }
}

/// How far sealing has come: what the last seal says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    /// Seen by this and not by `since`, and up to `cut`: sealed.
    pub snapshot: Snapshot,
    /// Seen by this: sealed by earlier seals.
    pub since: Snapshot,
    /// The batch was full here: entries of the same two snapshots with a larger id are not sealed yet.
    pub cut: Option<i64>,
    /// Entries up to this id are settled whatever their transaction: they were written before the database was
    /// restored from a dump, where transactions were counted differently.
    pub floor: i64,
}

impl Progress {
    /// Nothing is sealed.
    pub fn beginning() -> Progress {
        Progress { snapshot: Snapshot::beginning(), since: Snapshot::beginning(), cut: None, floor: 0 }
    }

    /// SQL over table `entry`: not sealed yet.
    pub fn unsealed(&self) -> String {
        let new = self.snapshot.unseen();
        let rest = self.rest().map_or_else(String::new, |rest| format!(" or {rest}"));
        format!("(id > {} and ({new}{rest}))", self.floor)
    }

    /// SQL over table `entry`: left over from the last batch, which was full.
    pub fn rest(&self) -> Option<String> {
        self.cut.map(|cut| format!("(id > {cut} and {} and {})", self.since.unseen(), self.snapshot.seen()))
    }

    /// SQL over table `entry`: new since the last batch.
    pub fn added(&self) -> String {
        format!("(id > {} and {})", self.floor, self.snapshot.unseen())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_read_and_written_as_postgres_does() {
        for text in ["1:1:", "10:20:10,14,15"] {
            assert_eq!(text.parse::<Snapshot>().unwrap().to_string(), text);
        }
        for text in ["", "1:2", "1:2:x", "1:2:3;drop", "-1:2:"] {
            assert!(text.parse::<Snapshot>().is_err(), "{text}");
        }
    }

    #[test]
    fn unseen_is_what_came_later_or_was_in_progress() {
        let snapshot: Snapshot = "10:20:10,14".parse().unwrap();
        assert_eq!(snapshot.unseen(), "(xid >= '20'::xid8 or xid = '10'::xid8 or xid = '14'::xid8)");
    }
}
