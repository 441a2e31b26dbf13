//! The load that customers put on a service: a day, a week, growth and noise. A function of time and a name only, so that what
//! was is known as well as what is, and everybody who asks gets the same.

use crate::object;
use std::f64::consts::TAU;

const DAY: f64 = 86_400.0;

/// What asks a service for answers.
#[derive(Clone, Debug)]
pub(crate) struct Demand {
    /// Tells one service's load from another's.
    pub seed: String,
    /// Requests a second on an average working day.
    pub usual: f64,
    /// When load was usual, in Unix seconds; it grows from there on, and was less before.
    pub origin: i64,
}

impl Demand {
    /// Requests a second at a moment (Unix seconds), as a share of what is usual.
    pub fn level(&self, second: f64) -> f64 {
        // The service's customers live an hour or so around UTC.
        let hour = (second / 3600.0 + 2.0 * self.chance(0) - 1.0).rem_euclid(24.0);
        let daily =
            1.0 + 0.45 * ((hour - 14.0) / 24.0 * TAU).cos() + 0.12 * ((hour - 20.0) / 12.0 * TAU).cos();
        // 1970 began on a Thursday.
        let weekday = ((second / DAY).floor() as i64 + 3).rem_euclid(7);
        let weekly = if weekday >= 5 { 0.72 } else { 1.0 };
        let growth = (1.0 + 0.008 * (second - self.origin as f64) / DAY).clamp(0.3, 4.0);
        daily * weekly * growth * (1.0 + 0.1 * self.wander(second, 1200.0) + 0.04 * self.wander(second, 60.0))
    }

    /// Between -0.5 and 0.5; changes all its mind every `pace` seconds, in a straight line.
    fn wander(&self, second: f64, pace: f64) -> f64 {
        let (place, along) = ((second / pace).floor() as i64, (second / pace).fract());
        let number = |place: i64| self.chance(place * 31 + pace as i64);
        number(place) + (number(place + 1) - number(place)) * along - 0.5
    }

    /// Between 0 and 1.
    fn chance(&self, number: i64) -> f64 {
        (object::fnv(format!("{}/{number}", self.seed).as_bytes()) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Monday, 00:00.
    const MONDAY: f64 = 1_767_571_200.0;

    fn demand(seed: &str) -> Demand {
        Demand { seed: seed.into(), usual: 100.0, origin: MONDAY as i64 }
    }

    fn mean(demand: &Demand, from_hour: f64, hours: f64) -> f64 {
        let steps = (hours * 60.0) as u32;
        let sum: f64 = (0..steps)
            .map(|minute| demand.level(MONDAY + from_hour * 3600.0 + f64::from(minute) * 60.0))
            .sum();
        sum / f64::from(steps)
    }

    #[test]
    fn load_has_a_day_a_week_and_growth() {
        let checkout = &demand("prod-eu/shop/checkout");
        assert!(mean(checkout, 13.0, 3.0) > 2.0 * mean(checkout, 2.0, 3.0), "day and night");
        assert!(mean(checkout, 5.0 * 24.0, 24.0) < 0.85 * mean(checkout, 0.0, 24.0), "a Saturday");
        let grown = mean(checkout, 28.0 * 24.0, 24.0) / mean(checkout, 0.0, 24.0);
        assert!((1.15..1.35).contains(&grown), "{grown}");
    }

    #[test]
    fn the_same_name_has_the_same_load_and_another_has_another() {
        let at = |seed| demand(seed).level(MONDAY + 12_345.0);
        assert_eq!(at("a"), at("a"));
        assert_ne!(at("a"), at("b"));
    }

    #[test]
    fn load_moves_without_jumps() {
        let checkout = demand("checkout");
        for second in 0..7200 {
            let (before, after) =
                (checkout.level(MONDAY + f64::from(second)), checkout.level(MONDAY + f64::from(second + 1)));
            assert!((before - after).abs() < 0.01, "{before} {after} at {second}");
        }
    }
}
