//! Freeze windows: they begin by a cron schedule and last a while.

use super::{condition::Condition, vocabulary::local};
use chrono::{NaiveDateTime, TimeDelta};
use cron::Schedule;
use jiff::Timestamp;
use std::collections::BTreeSet;

/// A time in which nothing is changed.
#[derive(Debug)]
pub(super) struct Freeze {
    pub name: String,
    pub starts: Schedule,
    pub lasts: TimeDelta,
    pub zone: chrono_tz::Tz,
    pub when: Option<Condition>,
    /// Actions that may pass, `break-glass` among them.
    pub except: BTreeSet<String>,
}

impl Freeze {
    /// When the window that `now` is in ends, by the clock on the wall; None outside.
    ///
    /// Both ends are wall-clock times: a window of 62 h from Friday 18:00 ends on Monday at 8:00 also when the clocks
    /// are changed in between, and one that begins in the hour that does not exist begins all the same.
    pub fn until(&self, now: Timestamp) -> Option<NaiveDateTime> {
        let now = local(now, self.zone);
        // The schedule is asked in the wall clock's own numbers. The latest start before the next second is the one
        // that matters: all windows last equally long, so it ends last.
        let next_second = now.and_utc() + TimeDelta::seconds(1);
        let start = self.starts.after(&next_second).next_back()?.naive_utc();
        let end = start + self.lasts;
        (end > now).then_some(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weekend() -> Freeze {
        Freeze {
            name: "weekend".to_string(),
            starts: "0 0 18 * * Fri *".parse().unwrap(),
            lasts: TimeDelta::hours(62),
            zone: chrono_tz::Europe::Berlin,
            when: None,
            except: BTreeSet::new(),
        }
    }

    fn until(freeze: &Freeze, now: &str) -> Option<String> {
        freeze.until(now.parse().unwrap()).map(|end| end.to_string())
    }

    #[test]
    fn a_window_is_half_open_and_by_the_wall_clock() {
        let freeze = weekend();
        assert_eq!(until(&freeze, "2026-11-20T16:59:59.9Z"), None);
        assert_eq!(until(&freeze, "2026-11-20T17:00:00Z"), Some("2026-11-23 08:00:00".to_string()));
        assert_eq!(until(&freeze, "2026-11-23T06:59:59.9Z"), Some("2026-11-23 08:00:00".to_string()));
        assert_eq!(until(&freeze, "2026-11-23T07:00:00Z"), None);
    }

    #[test]
    fn a_window_over_a_change_of_clocks_ends_when_the_wall_says_so() {
        // Clocks go back on Sunday 25 October 2026: the weekend has 63 hours.
        let freeze = weekend();
        assert_eq!(until(&freeze, "2026-10-23T16:00:00Z"), Some("2026-10-26 08:00:00".to_string()));
        assert_eq!(until(&freeze, "2026-10-26T06:59:00Z"), Some("2026-10-26 08:00:00".to_string()));
        assert_eq!(until(&freeze, "2026-10-26T07:00:00Z"), None);
    }

    #[test]
    fn a_window_that_begins_in_the_skipped_hour_begins_all_the_same() {
        // On 29 March 2026 the clocks jump from 2:00 to 3:00.
        let freeze =
            Freeze { starts: "0 30 2 * * * *".parse().unwrap(), lasts: TimeDelta::hours(1), ..weekend() };
        assert_eq!(until(&freeze, "2026-03-29T01:10:00Z"), Some("2026-03-29 03:30:00".to_string()));
    }

    #[test]
    fn a_schedule_that_never_comes_is_never_in_force() {
        let freeze = Freeze { starts: "0 0 0 30 2 * *".parse().unwrap(), ..weekend() };
        assert_eq!(until(&freeze, "2026-03-02T00:00:00Z"), None);
    }
}
