//! Trend, seasons and changepoints of a series: the explanation beside a forecast, and useful on its own.

use crate::basis::Basis;
use crate::clean::fill;
use crate::dense::{Cholesky, Symmetric};
use crate::stat::{mean, median, robust_deviation};
use crate::structure::{Structure, Trend, add_profile};
use crate::{Changepoint, Components, Season};

/// A change of slope must be this many standard errors.
const SIGNIFICANT: f64 = 4.0;

/// What a decomposition needs that does not depend on the values: built once for a length and its periods, shared by any number
/// of series.
#[derive(Debug, Clone)]
pub struct Decomposer {
    basis: Basis,
    length: usize,
}

impl Decomposer {
    /// For series of `length` values with these seasons. Periods below 2 or above half the length are passed over.
    pub fn new(length: usize, periods: &[usize]) -> Self {
        let mut periods: Vec<usize> =
            periods.iter().copied().filter(|&p| p >= 2 && p <= length / 2).collect();
        periods.sort_unstable();
        periods.dedup();
        Decomposer { basis: Basis::new(length, &periods), length }
    }

    /// Trend, seasons and changepoints of values, of which those that are not finite are gaps. `None` when there are not as many
    /// values as this was made for, or no finite one among them.
    pub fn decompose(&self, values: &[f64]) -> Option<Components> {
        if values.len() != self.length || values.iter().all(|v| !v.is_finite()) {
            return None;
        }
        let mut finite: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
        let level = median(&mut finite);
        let gappy: Vec<f64> =
            values.iter().map(|v| if v.is_finite() { v - level } else { f64::NAN }).collect();
        let filled = fill(&gappy);
        let mut components = components(&self.structure(&filled, 0.0), &filled, self.length);
        components.trend.iter_mut().for_each(|v| *v += level);
        Some(components)
    }

    /// The structural fit of values without gaps, its turns at their best places and free of the penalty's shrinkage.
    pub(crate) fn structure(&self, values: &[f64], damping: f64) -> Structure {
        let structure = Structure::fit(&self.basis, values, Trend::Piecewise, damping);
        if structure.turns.is_empty() { structure } else { with_best_turns(structure, values) }
    }
}

/// What a structure means over a history and beyond, in the units of the values.
pub(crate) fn components(structure: &Structure, values: &[f64], end: usize) -> Components {
    let fitted = structure.values(0, values.len());
    let rest: Vec<f64> = values.iter().zip(&fitted).map(|(v, f)| v - f).collect();
    let noise = variance(&rest);
    let season = |(period, profile): &(usize, Vec<f64>)| {
        let mut with = rest.clone();
        add_profile(&mut with, profile, 0);
        let with = variance(&with);
        let mut values = vec![0.0; end];
        add_profile(&mut values, profile, 0);
        // Wang, Smith and Hyndman 2006.
        let strength = if with > 0.0 { (1.0 - noise / with).clamp(0.0, 1.0) } else { 0.0 };
        Season { period: *period, strength, values }
    };
    let mut slope = structure.slope;
    let turn = |&(index, change): &(usize, f64)| {
        let slope_before = slope;
        slope += change;
        Changepoint { index, slope_before, slope_after: slope }
    };
    Components {
        trend: structure.trend(0, end),
        seasons: structure.profiles.iter().map(season).collect(),
        changepoints: structure.turns.iter().map(turn).collect(),
    }
}

fn variance(values: &[f64]) -> f64 {
    let around = mean(values);
    values.iter().map(|v| (v - around).powi(2)).sum::<f64>() / values.len().max(1) as f64
}

/// The grid places turns roughly, often two neighbours for one, and the penalty makes them too small. Here neighbours are merged,
/// each is moved to where it fits best, and those that are within the noise are dropped.
fn with_best_turns(structure: Structure, values: &[f64]) -> Structure {
    let n = values.len();
    let mut adjusted = values.to_vec();
    for (_, profile) in &structure.profiles {
        let negative: Vec<f64> = profile.iter().map(|p| -p).collect();
        add_profile(&mut adjusted, &negative, 0);
    }
    let trend = structure.trend(0, n);
    let rest: Vec<f64> = adjusted.iter().zip(&trend).map(|(a, t)| a - t).collect();
    let deviation = robust_deviation(&rest, &mut Vec::new());
    let tamed =
        rest.iter().zip(&trend).map(|(r, t)| t + r.clamp(-2.0 * deviation, 2.0 * deviation)).collect();
    // Neighbouring residuals are alike, so that fewer than `n` of them are worth counting.
    let alike = rest.windows(2).map(|w| w[0] * w[1]).sum::<f64>()
        / rest.iter().map(|r| r * r).sum::<f64>().max(1e-300);
    let alike = alike.clamp(0.0, 0.95);
    let error = deviation * ((1.0 + alike) / (1.0 - alike)).sqrt();

    let lines = Lines::new(tamed);
    let spacing = (n / 20).max(1);
    let mut knots: Vec<usize> = Vec::new();
    for &(knot, _) in &structure.turns {
        match knots.last_mut() {
            Some(last) if knot - *last <= spacing * 3 / 2 => *last = (*last + knot) / 2,
            _ => knots.push(knot),
        }
    }
    loop {
        let mut reach = spacing;
        let mut gain = lines.fit(&knots).1;
        while reach > 0 {
            for place in 0..knots.len() {
                let low = if place == 0 { 2 } else { knots[place - 1] + 2 };
                let high = knots.get(place + 1).map_or(n - 2, |next| next - 2);
                let stays = knots[place];
                let mut best = stays;
                for knot in [stays.saturating_sub(reach).max(low), (stays + reach).min(high)] {
                    knots[place] = knot;
                    let moved = lines.fit(&knots).1;
                    // It stays among equals.
                    if moved > gain {
                        (best, gain) = (knot, moved);
                    }
                }
                knots[place] = best;
            }
            reach /= 2;
        }
        let (coefficients, _, factor) = lines.fit(&knots);
        let weakest = (0..knots.len())
            .map(|k| {
                (k, coefficients[2 + k].abs() / (error * unit_error(&factor, knots.len(), k)).max(1e-300))
            })
            .min_by(|a, b| a.1.total_cmp(&b.1));
        match weakest {
            Some((k, size)) if size < SIGNIFICANT => {
                knots.remove(k);
            }
            _ => {
                let turns = knots.iter().zip(&coefficients[2..]).map(|(&k, &c)| (k, c)).collect();
                return Structure { level: coefficients[0], slope: coefficients[1], turns, ..structure };
            }
        }
    }
}

/// The standard error of the change at one of `count` turns, per unit of noise.
fn unit_error(factor: &Cholesky, count: usize, turn: usize) -> f64 {
    let mut unit = vec![0.0; 2 + count];
    unit[2 + turn] = 1.0;
    factor.solve(&mut unit);
    unit[2 + turn].max(0.0).sqrt()
}

/// Least squares by connected lines, from sums that make each try independent of the length.
struct Lines {
    length: usize,
    /// Sums of the values, and of those sums, from each index to the end.
    after: Vec<(f64, f64)>,
}

impl Lines {
    fn new(values: Vec<f64>) -> Self {
        let mut after = vec![(0.0, 0.0); values.len() + 1];
        for t in (0..values.len()).rev() {
            let (sum, ramp) = after[t + 1];
            after[t] = (sum + values[t], ramp + sum);
        }
        Lines { length: values.len(), after }
    }

    /// Coefficients of level, slope and the turns; the fitted sum of squares; the factored Gram matrix.
    fn fit(&self, knots: &[usize]) -> (Vec<f64>, f64, Cholesky) {
        let size = 2 + knots.len();
        let starts: Vec<usize> = [0].into_iter().chain(knots.iter().copied()).collect();
        // Sum over t >= a of (t - a)(t - b), and of (t - a), for a >= b.
        let product = |a: usize, b: usize| {
            let (m, gap) = ((self.length - a) as f64, (a - b) as f64);
            (m - 1.0) * m * (2.0 * m - 1.0) / 6.0 + gap * (m - 1.0) * m / 2.0
        };
        let sum = |a: usize| {
            let m = (self.length - a) as f64;
            (m - 1.0) * m / 2.0
        };
        let mut gram = Symmetric::zeros(size);
        gram.set(0, 0, self.length as f64);
        for (i, &a) in starts.iter().enumerate() {
            gram.set(1 + i, 0, sum(a));
            for (j, &b) in starts.iter().enumerate().take(i + 1) {
                gram.set(1 + i, 1 + j, product(a, b));
            }
        }
        let factor = gram.cholesky();
        let mut right = vec![self.after[0].0];
        right.extend(starts.iter().map(|&a| self.after[a].1));
        let mut coefficients = right.clone();
        factor.solve(&mut coefficients);
        let explained = coefficients.iter().zip(&right).map(|(c, r)| c * r).sum();
        (coefficients, explained, factor)
    }
}

#[cfg(test)]
mod test {
    use super::*;

    fn noise(seed: u64, n: usize) -> Vec<f64> {
        let mut state = seed;
        let mut uniform = move || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
        };
        (0..n).map(|_| (0..4).map(|_| uniform()).sum()).collect()
    }

    #[test]
    fn changepoints_are_found_within_a_few_steps_and_nowhere_else() {
        for seed in 0..20 {
            let season = |t: usize| 3.0 * (t as f64 / 24.0 * std::f64::consts::TAU).sin();
            let trend = |t: usize| {
                0.02 * t as f64 + 0.1 * t.saturating_sub(300) as f64 - 0.2 * t.saturating_sub(650) as f64
            };
            let values: Vec<f64> =
                noise(seed, 1000).iter().enumerate().map(|(t, e)| trend(t) + season(t) + e).collect();
            let found = Decomposer::new(1000, &[24]).decompose(&values).unwrap();
            let at: Vec<usize> = found.changepoints.iter().map(|c| c.index).collect();
            assert_eq!(at.len(), 2, "seed {seed}: {at:?}");
            assert!(at[0].abs_diff(300) <= 5 && at[1].abs_diff(650) <= 3, "seed {seed}: {at:?}");
            assert!((found.changepoints[1].slope_after + 0.08).abs() < 0.004, "seed {seed}: {found:?}");
            assert!(found.seasons[0].strength > 0.9);
        }
    }

    #[test]
    fn noise_alone_has_no_changepoints() {
        let found = (0..50).filter(|&seed| {
            let values = noise(1000 + seed, 800);
            !Decomposer::new(800, &[24]).decompose(&values).unwrap().changepoints.is_empty()
        });
        assert!(found.count() <= 2);
    }
}
