//! How many messages a minute: a bucket per intake, of this process.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// What each intake may still send; names come from the config, so there are few.
#[derive(Default)]
pub struct Rates {
    buckets: Mutex<HashMap<String, (f64, Instant)>>,
}

impl Rates {
    /// Takes one message of what `name` may send; false when nothing is left. A minute's worth may come at once.
    pub fn admit(&self, name: &str, per_minute: u32, now: Instant) -> bool {
        let full = f64::from(per_minute);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let (left, filled) = buckets.entry(name.to_string()).or_insert((full, now));
        let more = now.saturating_duration_since(*filled).as_secs_f64() * full / 60.0;
        (*left, *filled) = ((*left + more).min(full), now);
        if *left < 1.0 {
            return false;
        }
        *left -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_minutes_worth_may_come_at_once_and_no_more() {
        let (rates, now) = (Rates::default(), Instant::now());
        assert_eq!((0..100).filter(|_| rates.admit("a", 60, now)).count(), 60);
        assert!(rates.admit("b", 60, now), "another intake has its own");
        let later = now + Duration::from_secs(3);
        assert_eq!((0..100).filter(|_| rates.admit("a", 60, later)).count(), 3);
    }
}
