//! The input: values at a regular step.

use std::time::Duration;

/// Values at a regular step, oldest first. What is not a finite number is a gap.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub(crate) values: Vec<f64>,
    pub(crate) step: Option<Duration>,
    pub(crate) start: Option<i64>,
    pub(crate) non_negative: Option<bool>,
}

/// Why samples do not make a series.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotASeries {
    /// Fewer than two different times.
    #[error("a regular step cannot be told from fewer than two different times")]
    NoStep,
    /// Placing the samples on their step would make far more gaps than points.
    #[error(
        "the {samples} samples would lie on a grid of {grid} steps of {step:?}; resample them to a regular step first"
    )]
    Irregular {
        /// How many samples there are.
        samples: usize,
        /// How many steps they would span.
        grid: u64,
        /// The step that fits most of them.
        step: Duration,
    },
}

impl Series {
    /// A series whose step is not known: seasons are told from the values alone.
    pub fn new(values: Vec<f64>) -> Self {
        Series { values, step: None, start: None, non_negative: None }
    }

    /// The same with a known step, so that a day and a week have a length.
    pub fn every(self, step: Duration) -> Self {
        Series { step: Some(step), ..self }
    }

    /// The same with the time of its first value, in Unix seconds, so that changepoints have dates.
    pub fn starting_at(self, start: i64) -> Self {
        Series { start: Some(start), ..self }
    }

    /// Says whether values below zero are possible. Left unsaid, a series that never was below zero never will be.
    pub fn non_negative(self, non_negative: bool) -> Self {
        Series { non_negative: Some(non_negative), ..self }
    }

    /// Samples with Unix seconds, in any order: the step is the most common distance, holes become gaps, and of several
    /// samples within one step the last wins.
    pub fn from_samples(samples: impl IntoIterator<Item = (i64, f64)>) -> Result<Self, NotASeries> {
        let mut samples: Vec<(i64, f64)> = samples.into_iter().collect();
        samples.sort_by_key(|&(at, _)| at);
        let mut distances: Vec<i64> =
            samples.windows(2).map(|pair| pair[1].0.saturating_sub(pair[0].0)).filter(|&d| d > 0).collect();
        distances.sort_unstable();
        let step = distances
            .chunk_by(|a, b| a == b)
            .max_by_key(|alike| (alike.len(), std::cmp::Reverse(alike[0])))
            .ok_or(NotASeries::NoStep)?[0];
        let (first, last) = (samples[0].0, samples[samples.len() - 1].0);
        let grid = last.abs_diff(first) / step.unsigned_abs() + 1;
        let step_length = Duration::from_secs(step.unsigned_abs());
        if grid > 1_000 + 100 * samples.len() as u64 {
            return Err(NotASeries::Irregular { samples: samples.len(), grid, step: step_length });
        }
        let mut values = vec![f64::NAN; grid as usize];
        for (at, value) in samples {
            // The nearest step; jitter of scrapes must not open holes.
            let place = (at.abs_diff(first) + step.unsigned_abs() / 2) / step.unsigned_abs();
            values[(place as usize).min(grid as usize - 1)] = value;
        }
        Ok(Series::new(values).every(step_length).starting_at(first))
    }

    /// The values as given.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The distance between values, where known.
    pub fn step(&self) -> Option<Duration> {
        self.step
    }

    /// Unix seconds of the value at `index`, which may lie beyond the last; unknown without a start and a step.
    pub fn time_at(&self, index: usize) -> Option<i64> {
        let passed = self.step?.checked_mul(u32::try_from(index).ok()?)?;
        self.start?.checked_add(i64::try_from(passed.as_secs()).ok()?)
    }
}
