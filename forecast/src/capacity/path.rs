//! A load over time between its samples.

use std::time::Duration;

/// Values at a regular step from offset zero, straight lines between them, level beyond either end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Path<'a> {
    values: &'a [f64],
    step: f64,
}

impl<'a> Path<'a> {
    pub fn new(values: &'a [f64], step: Duration) -> Self {
        Path { values, step: step.as_secs_f64().max(1.0) }
    }

    /// The value so many seconds after the first.
    pub fn at(&self, seconds: f64) -> f64 {
        let Some(last) = self.values.len().checked_sub(1) else { return 0.0 };
        let place = (seconds / self.step).clamp(0.0, last as f64);
        let (low, part) = (place as usize, place.fract());
        let (from, to) = (self.values[low], self.values[(low + 1).min(last)]);
        if part == 0.0 { from } else { from * (1.0 - part) + to * part }
    }

    /// The largest value in `[from, to]` seconds.
    pub fn most(&self, from: f64, to: f64) -> f64 {
        let inner = (from / self.step).ceil().max(0.0) as usize;
        let end = ((to / self.step).floor().max(-1.0) + 1.0) as usize;
        let end = end.min(self.values.len());
        let within = self.values.get(inner.min(end)..end).unwrap_or_default();
        within.iter().copied().fold(self.at(from).max(self.at(to)), f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_join_the_samples_and_the_ends_go_on() {
        let path = Path::new(&[1.0, 3.0, 2.0], Duration::from_secs(60));
        assert_eq!([-5.0, 0.0, 30.0, 60.0, 90.0, 500.0].map(|t| path.at(t)), [1.0, 1.0, 2.0, 3.0, 2.5, 2.0]);
        assert_eq!(path.most(30.0, 90.0), 3.0);
        assert_eq!(path.most(0.0, 30.0), 2.0);
        assert_eq!(path.most(130.0, 400.0), 2.0);
        assert_eq!(Path::new(&[], Duration::from_secs(1)).most(0.0, 9.0), 0.0);
    }

    proptest! {
        #[test]
        fn the_most_of_a_stretch_is_at_least_each_of_its_values(
            values in prop::collection::vec(0.0..1e6f64, 1..20), from in 0.0..900.0f64, long in 0.0..300.0f64, part in 0.0..1.0f64,
        ) {
            let path = Path::new(&values, Duration::from_secs(60));
            prop_assert!(path.most(from, from + long) >= path.at(from + part * long) * (1.0 - 1e-12));
        }
    }
}
