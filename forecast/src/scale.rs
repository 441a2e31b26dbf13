//! The units in which everything is fitted: values around zero of about one, and their logarithms.

use crate::stat::{mean, median};

/// Between the caller's units and ours.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scale {
    /// A power of two as large as the values, so that neither the largest nor the smallest floats overflow on the way.
    magnitude: f64,
    center: f64,
    unit: f64,
    /// For values that cannot be negative: `ln(value / usual + offset)`.
    log: Option<LogScale>,
}

#[derive(Debug, Clone, PartialEq)]
struct LogScale {
    usual: f64,
    offset: f64,
}

/// The smallest value that the log scale tells from zero, as a share of the usual value.
const LOG_FLOOR: f64 = 0.01;
/// Values that differ by less than this share of their size are all the same.
const PRECISION: f64 = 1e-12;

impl Scale {
    /// From the values that are numbers; `None` when they are all the same.
    pub fn of(values: &[f64], non_negative: bool) -> Option<Self> {
        let largest = values.iter().filter(|v| v.is_finite()).fold(0.0f64, |most, v| most.max(v.abs()));
        if largest < f64::MIN_POSITIVE {
            return None;
        }
        // The exponent alone.
        let magnitude = f64::from_bits(largest.to_bits() & 0x7ff0_0000_0000_0000);
        let mut sized: Vec<f64> = values.iter().filter(|v| v.is_finite()).map(|v| v / magnitude).collect();
        let center = median(&mut sized);
        let unit = mean(&sized.iter().map(|v| (v - center).abs()).collect::<Vec<_>>());
        if unit < PRECISION {
            return None;
        }
        let log = non_negative.then(|| {
            let usual = center.max(0.1 * mean(&sized));
            let least = sized.iter().copied().fold(f64::INFINITY, f64::min);
            LogScale { usual, offset: (LOG_FLOOR - least / usual).max(0.0) }
        });
        Some(Scale { magnitude, center, unit, log })
    }

    pub fn has_log(&self) -> bool {
        self.log.is_some()
    }

    /// From the caller's units.
    pub fn inward(&self, value: f64) -> f64 {
        (value / self.magnitude - self.center) / self.unit
    }

    /// To the caller's units, the largest float where it would be beyond.
    pub fn outward(&self, value: f64) -> f64 {
        ((self.center + value * self.unit) * self.magnitude).clamp(-f64::MAX, f64::MAX)
    }

    /// A difference, to the caller's units.
    pub fn outward_difference(&self, value: f64) -> f64 {
        (value * self.unit * self.magnitude).clamp(-f64::MAX, f64::MAX)
    }

    /// From plain units to logarithms, where there are any.
    pub fn plain_to_log(&self, value: f64) -> f64 {
        let sized = self.center + value * self.unit;
        self.log.as_ref().map_or(value, |log| (sized / log.usual + log.offset).max(1e-3 * LOG_FLOOR).ln())
    }

    /// From logarithms to plain units.
    pub fn log_to_plain(&self, value: f64) -> f64 {
        self.log
            .as_ref()
            .map_or(value, |log| ((value.exp() - log.offset) * log.usual - self.center) / self.unit)
    }
}
