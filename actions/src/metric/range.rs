//! A stretch of time, in steps.

use forecast::Series;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// Samples younger than this may still be on their way: what a plan asks for must be the same whenever it is asked.
pub(crate) const SETTLED: SignedDuration = SignedDuration::from_secs(120);
/// Points that one question asks for; Prometheus refuses more than 11,000 for one series.
const POINTS_AT_ONCE: i64 = 10_000;

/// From `start` to `end`, both included, in Unix seconds and multiples of `step`: the same moments whenever it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    start: i64,
    end: i64,
    step: i64,
}

impl Range {
    /// The steps that lie within `length` before `now`. A step is at least a second.
    pub fn before(now: Timestamp, length: Duration, step: Duration) -> Range {
        let step = i64::try_from(step.as_secs()).unwrap_or(i64::MAX).max(1);
        let length = i64::try_from(length.as_secs()).unwrap_or(i64::MAX);
        let end = now.as_second().div_euclid(step) * step;
        Range { start: end.saturating_sub(length.div_euclid(step).saturating_mul(step)), end, step }
    }
    /// Of the first step.
    pub fn start(&self) -> i64 {
        self.start
    }
    /// Of the last step.
    pub fn end(&self) -> i64 {
        self.end
    }
    /// Seconds.
    pub fn step(&self) -> i64 {
        self.step
    }

    /// First and last moments of the questions that together ask for all of it, each once.
    pub(super) fn pieces(self) -> impl Iterator<Item = (i64, i64)> {
        let length = (POINTS_AT_ONCE - 1).saturating_mul(self.step);
        let next = move |&(_, end): &(i64, i64)| self.piece(end.checked_add(self.step)?, length);
        std::iter::successors(self.piece(self.start, length), next)
    }

    fn piece(&self, start: i64, length: i64) -> Option<(i64, i64)> {
        (start <= self.end).then(|| (start, start.saturating_add(length).min(self.end)))
    }

    /// What was measured as a series for a forecast: from the first point to the end, with gaps where nothing was. None
    /// without any point.
    pub fn series(&self, points: &[(i64, f64)]) -> Option<Series> {
        let first = points.iter().find(|(_, value)| value.is_finite())?.0;
        let place = |at: i64| usize::try_from((at - first).div_euclid(self.step)).ok();
        let mut values = vec![f64::NAN; place(self.end)? + 1];
        for (at, value) in points {
            if let Some(slot) = place(*at).and_then(|place| values.get_mut(place)) {
                *slot = *value;
            }
        }
        Some(Series::new(values).every(Duration::from_secs(self.step.unsigned_abs())).starting_at(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_same_moments_are_asked_for_whenever_one_asks() {
        let (hour, minute) = (Duration::from_secs(3600), Duration::from_secs(60));
        let range = Range::before(at(1_000_000_045), hour, minute);
        assert_eq!(range, Range::before(at(1_000_000_070), hour, minute));
        assert_eq!((range.start() % 60, range.end() - range.start()), (0, 3600));
    }

    #[test]
    fn pieces_ask_for_every_moment_once() {
        for points in [1, 9_999, 10_000, 10_001, 20_000, 25_000] {
            let range = Range { start: 600, end: 600 + (points - 1) * 15, step: 15 };
            let mut moments = Vec::new();
            for (start, end) in range.pieces() {
                let piece: Vec<i64> = (start..=end).step_by(15).collect();
                assert!(piece.len() <= 10_000);
                moments.extend(piece);
            }
            assert_eq!(moments, (0..points).map(|point| 600 + point * 15).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_missing_is_a_gap_and_what_came_before_the_first_point_is_not() {
        let range = Range { start: 0, end: 60, step: 10 };
        let series = range.series(&[(10, f64::NAN), (20, 1.0), (40, 2.0)]).unwrap();
        let gaps: Vec<bool> = series.values().iter().map(|value| value.is_nan()).collect();
        assert_eq!(gaps, [false, true, false, true, true]);
        assert_eq!((series.time_at(0), series.values()[2]), (Some(20), 2.0));
        assert_eq!(range.series(&[(10, f64::NAN)]), None);
    }
}
