//! The circuit breaker of one cluster: after a few unanswered calls in a row nobody waits for its timeout any more; one
//! probe at a time finds out when it is back. Pure: time and chance are parameters.

use std::time::{Duration, Instant};

/// Unanswered calls in a row that open it.
const OPENS_AFTER: u32 = 3;
/// First wait before a probe; doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// No wait is longer, before jitter.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// Calls pass.
    Closed {
        /// Unanswered in a row.
        silent: u32,
    },
    /// No call passes before `until`.
    Open { until: Instant, wait: Duration },
    /// One probe is under way. One that has not reported by `until` was dropped by its caller, and another may try.
    Probing { until: Instant, wait: Duration },
}

/// Whether a call may be tried.
#[derive(Clone, Debug)]
pub struct Breaker {
    state: State,
}

impl Breaker {
    /// Closed.
    pub fn new() -> Breaker {
        Breaker { state: State::Closed { silent: 0 } }
    }

    /// May a call be tried now? If not: how long to wait. `probe_lasts` is the longest that a call can take.
    pub fn admit(&mut self, now: Instant, probe_lasts: Duration) -> Result<(), Duration> {
        match self.state {
            State::Closed { .. } => Ok(()),
            State::Open { until, .. } | State::Probing { until, .. } if now < until => Err(until - now),
            State::Open { wait, .. } | State::Probing { wait, .. } => {
                self.state = State::Probing { until: now + probe_lasts, wait };
                Ok(())
            }
        }
    }

    /// The cluster answered, whatever it said.
    pub fn answered(&mut self) {
        self.state = State::Closed { silent: 0 };
    }

    /// The cluster did not answer. `chance` in 0..=1 spreads the probes of many replicas: the wait becomes 80 to 120 %.
    /// True when this opened it.
    pub fn silent(&mut self, now: Instant, chance: f64) -> bool {
        let was_closed = matches!(self.state, State::Closed { .. });
        let wait = match self.state {
            State::Closed { silent } if silent + 1 < OPENS_AFTER => {
                self.state = State::Closed { silent: silent + 1 };
                return false;
            }
            State::Closed { .. } => FIRST_WAIT,
            // A call that was admitted before it opened: nothing new.
            State::Open { .. } => return false,
            State::Probing { wait, .. } => (wait * 2).min(LONGEST_WAIT),
        };
        let until = now + wait.mul_f64(0.8 + 0.4 * chance.clamp(0.0, 1.0));
        self.state = State::Open { until, wait };
        was_closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: Duration = Duration::from_secs(10);

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::new();
        for _ in 0..OPENS_AFTER {
            breaker.admit(now, CALL).unwrap();
            breaker.silent(now, 0.5);
        }
        breaker
    }

    #[test]
    fn it_opens_only_after_three_silences_in_a_row() {
        let now = Instant::now();
        let mut breaker = Breaker::new();
        breaker.silent(now, 0.5);
        breaker.silent(now, 0.5);
        breaker.answered();
        breaker.silent(now, 0.5);
        breaker.silent(now, 0.5);
        assert_eq!(breaker.admit(now, CALL), Ok(()));
        assert!(breaker.silent(now, 0.5));
        assert_eq!(breaker.admit(now, CALL), Err(FIRST_WAIT));
    }

    #[test]
    fn one_probe_at_a_time_passes_and_its_answer_closes_it() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let later = now + FIRST_WAIT;
        assert_eq!(breaker.admit(later, CALL), Ok(()));
        assert_eq!(breaker.admit(later, CALL), Err(CALL));
        breaker.answered();
        assert_eq!(breaker.admit(later, CALL), Ok(()));
        assert_eq!(breaker.admit(later, CALL), Ok(()));
    }

    #[test]
    fn the_wait_doubles_up_to_a_limit() {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        let mut waits = Vec::new();
        for _ in 0..7 {
            let wait = breaker.admit(now, CALL).unwrap_err();
            waits.push(wait.as_secs());
            now += wait;
            breaker.admit(now, CALL).unwrap();
            breaker.silent(now, 0.5);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
    }

    #[test]
    fn a_probe_that_never_reports_does_not_keep_it_shut_for_ever() {
        let now = Instant::now();
        let mut breaker = opened(now);
        breaker.admit(now + FIRST_WAIT, CALL).unwrap();
        assert_eq!(breaker.admit(now + FIRST_WAIT + CALL, CALL), Ok(()));
    }

    #[test]
    fn late_silences_of_old_calls_do_not_lengthen_the_wait() {
        let now = Instant::now();
        let mut breaker = opened(now);
        breaker.silent(now + Duration::from_millis(900), 1.0);
        assert_eq!(breaker.admit(now + FIRST_WAIT, CALL), Ok(()));
    }

    #[test]
    fn chance_spreads_the_wait_by_a_fifth_each_way() {
        let now = Instant::now();
        for (chance, millis) in [(0.0, 800), (1.0, 1200)] {
            let mut breaker = Breaker::new();
            for _ in 0..OPENS_AFTER {
                breaker.silent(now, chance);
            }
            assert_eq!(breaker.admit(now, CALL).unwrap_err().as_millis(), millis);
        }
    }
}
