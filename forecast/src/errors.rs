//! Error measures.

use crate::Errors;

/// Sums from which the measures follow.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    count: f64,
    absolute: f64,
    actual: f64,
    relative: f64,
    zeros: bool,
}

impl Tally {
    /// Takes in a forecast and what came; gaps are passed over.
    pub fn add(&mut self, said: f64, actual: f64) {
        if actual.is_nan() {
            return;
        }
        let error = (said - actual).abs();
        self.count += 1.0;
        self.absolute += error;
        self.actual += actual.abs();
        if actual == 0.0 {
            self.zeros = true;
        } else {
            self.relative += error / actual.abs();
        }
    }

    /// `naive` is the mean absolute error of the seasonal naive method within the history before.
    pub fn errors(&self, naive: f64) -> Errors {
        let defined = |top: f64, bottom: f64| Some(top / bottom).filter(|e| e.is_finite());
        let mape = if self.zeros { None } else { defined(self.relative, self.count) };
        Errors {
            mape,
            wape: defined(self.absolute, self.actual),
            mase: defined(self.absolute / self.count, naive),
        }
    }
}

/// Mean absolute error of repeating the last season, over values that may have gaps.
pub(crate) fn naive_error(values: &[f64], period: usize) -> f64 {
    let pairs = values.iter().zip(values.iter().skip(period));
    let (mut sum, mut count) = (0.0, 0.0);
    for error in pairs.map(|(before, after)| (after - before).abs()).filter(|e| !e.is_nan()) {
        sum += error;
        count += 1.0;
    }
    sum / count
}
