//! Whether a proposal that was acted upon still deserves it: what came, beside what was foreseen.

use std::time::Duration;

/// What is still as foreseen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// How far the load may be from the forecast: weighted absolute percentage error, a share.
    pub error: f64,
    /// The share of the time in which the ready pods' requests may hold less than the load.
    pub short: f64,
    /// Before so much has come nothing is judged.
    pub after: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds { error: 0.30, short: 0.05, after: Duration::from_secs(1800) }
    }
}

/// What has come since.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Record {
    /// For how long it has been looked at.
    pub watched: Duration,
    /// Weighted absolute percentage error of the forecast, a share; undefined where there was no load, and none foreseen.
    pub error: Option<f64>,
    /// Minutes in which the ready pods' requests held less than the load.
    pub short_minutes: f64,
}

/// Why it should be put back.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Outside {
    /// The load is another than was foreseen.
    #[error("the load was off the forecast by {:.0} % over {:.1} h; up to {:.0} % is fine", error * 100.0, hours, most * 100.0)]
    Drifted {
        /// Share.
        error: f64,
        /// How long it was watched.
        hours: f64,
        /// The bound, a share.
        most: f64,
    },
    /// There were too few pods.
    #[error("capacity was short for {minutes:.0} min of {hours:.1} h; up to {:.0} % of the time is fine", most * 100.0)]
    Short {
        /// How long.
        minutes: f64,
        /// How long it was watched.
        hours: f64,
        /// The bound, a share.
        most: f64,
    },
}

/// The forecast at `offset` seconds after its first value, on the line between the values on both sides. Not a number beyond its end.
pub fn foreseen(mean: &[f64], step: Duration, offset: f64) -> f64 {
    let place = (offset / step.as_secs_f64()).max(0.0);
    let (left, part) = (place.floor(), place.fract());
    let value = |index: f64| mean.get(index as usize).copied().unwrap_or(f64::NAN);
    // The last value has nothing on its other side.
    if part == 0.0 { value(left) } else { value(left) * (1.0 - part) + value(left + 1.0) * part }
}

/// Compares what came with what was foreseen for the same moments, a step apart; `held` is the load that the ready pods' requests
/// held then. Moments at which one of them is not a number do not count.
pub fn compare(foreseen: &[f64], came: &[f64], held: &[f64], step: Duration) -> Record {
    let moments: Vec<(f64, f64, f64)> = foreseen
        .iter()
        .zip(came)
        .zip(held)
        .map(|((foreseen, came), held)| (*foreseen, *came, *held))
        .filter(|(foreseen, came, held)| foreseen.is_finite() && came.is_finite() && held.is_finite())
        .collect();
    // At about one, so that no sum overflows.
    let unit = moments.iter().fold(0.0_f64, |most, moment| most.max(moment.1.abs()).max(moment.0.abs()));
    let sum = |of: fn(f64, f64) -> f64| match unit > 0.0 {
        true => moments.iter().map(|moment| of(moment.0 / unit, moment.1 / unit).abs()).sum::<f64>(),
        false => 0.0,
    };
    let (all, off) = (sum(|_, came| came), sum(|foreseen, came| foreseen - came));
    let short = moments.iter().filter(|moment| moment.1 > moment.2).count();
    Record {
        watched: step.saturating_mul(moments.len() as u32),
        // No load at all where some was foreseen: all of it was wrong.
        error: Some(off / all).filter(|error| error.is_finite()).or((off > 0.0).then_some(1.0)),
        short_minutes: short as f64 * step.as_secs_f64() / 60.0,
    }
}

impl Record {
    /// What is outside the bounds, if anything is.
    pub fn outside(&self, bounds: &Bounds) -> Option<Outside> {
        if self.watched < bounds.after {
            return None;
        }
        let hours = self.watched.as_secs_f64() / 3600.0;
        if self.short_minutes > bounds.short * hours * 60.0 {
            return Some(Outside::Short { minutes: self.short_minutes, hours, most: bounds.short });
        }
        let error = self.error.filter(|error| *error > bounds.error)?;
        Some(Outside::Drifted { error, hours, most: bounds.error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STEP: Duration = Duration::from_secs(300);

    fn outside(foreseen: &[f64], came: &[f64], held: &[f64]) -> Option<Outside> {
        compare(foreseen, came, held, STEP).outside(&Bounds::default())
    }

    #[test]
    fn a_load_as_foreseen_stays() {
        let record = compare(&[10.0; 12], &[10.5; 12], &[12.0; 12], STEP);
        assert_eq!((record.watched, record.outside(&Bounds::default())), (Duration::from_secs(3600), None));
    }

    #[test]
    fn a_load_that_was_not_foreseen_is_outside_and_so_are_too_few_pods() {
        let lower = outside(&[10.0; 12], &[6.0; 12], &[12.0; 12]);
        assert!(
            matches!(lower, Some(Outside::Drifted { error, .. }) if (error - 4.0 / 6.0).abs() < 1e-9),
            "{lower:?}"
        );
        let short = outside(&[10.0; 12], &[11.0; 12], &[10.5; 12]).unwrap();
        assert_eq!(
            short.to_string(),
            "capacity was short for 60 min of 1.0 h; up to 5 % of the time is fine"
        );
    }

    #[test]
    fn a_load_that_stays_away_was_not_foreseen_either() {
        assert_eq!(compare(&[10.0; 12], &[0.0; 12], &[12.0; 12], STEP).error, Some(1.0));
        assert_eq!(compare(&[0.0; 12], &[0.0; 12], &[12.0; 12], STEP).error, None);
    }

    #[test]
    fn before_half_an_hour_there_is_nothing_to_judge() {
        assert_eq!(outside(&[10.0; 5], &[99.0; 5], &[1.0; 5]), None);
        assert_eq!(outside(&[10.0; 12], &[f64::NAN; 12], &[1.0; 12]), None);
    }

    #[test]
    fn between_its_steps_a_forecast_is_a_line_and_after_its_end_there_is_none() {
        let at = |offset: f64| foreseen(&[1.0, 3.0], STEP, offset);
        assert_eq!([at(-60.0), at(0.0), at(150.0), at(300.0)], [1.0, 1.0, 2.0, 3.0]);
        assert!(at(301.0).is_nan() && foreseen(&[], STEP, 0.0).is_nan());
    }

    proptest! {
        #[test]
        fn any_numbers_are_judged(moments in prop::collection::vec((any::<f64>(), any::<f64>(), any::<f64>()), 0..40)) {
            let of = |part: fn(&(f64, f64, f64)) -> f64| moments.iter().map(part).collect::<Vec<_>>();
            let record = compare(&of(|m| m.0), &of(|m| m.1), &of(|m| m.2), STEP);
            prop_assert!(record.error.is_none_or(|error| error.is_finite() && error >= 0.0));
            prop_assert!(record.short_minutes.is_finite());
        }
    }
}
