//! Which of the gateway's events have been dispatched and are not taken in yet. A session that is gone on with must begin before
//! the first of them, or it would be lost.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The numbers of those events.
#[derive(Clone, Debug, Default)]
pub struct Unheard(Arc<Mutex<BTreeSet<u64>>>);

/// One of them; dropped when it has been taken in, or cannot be.
#[derive(Debug)]
pub struct Event {
    of: Unheard,
    seq: u64,
}

impl Unheard {
    /// An event with this number has come.
    pub fn begin(&self, seq: Option<u64>) -> Option<Event> {
        let seq = seq?;
        self.numbers().insert(seq);
        Some(Event { of: self.clone(), seq })
    }

    /// The last number up to which all has been taken in, when `seq` is the last that came.
    pub fn before(&self, seq: u64) -> u64 {
        self.numbers().first().map_or(seq, |first| first.saturating_sub(1).min(seq))
    }

    fn numbers(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        self.of.numbers().remove(&self.seq);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_is_kept_up_to_the_first_event_that_is_not_taken_in() {
        let unheard = Unheard::default();
        assert_eq!(unheard.before(5), 5);
        let (sixth, seventh) = (unheard.begin(Some(6)), unheard.begin(Some(7)));
        assert_eq!(unheard.before(8), 5);
        drop(seventh);
        assert_eq!(unheard.before(8), 5);
        drop(sixth);
        assert_eq!(unheard.before(8), 8);
    }
}
