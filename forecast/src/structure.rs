//! The structural fit: piecewise-linear trend plus Fourier seasons, robust, and sparse in its changepoints.

use crate::basis::Basis;
use crate::stat::{dot, looked_at, robust_deviation};

/// Residual deviations beyond which a point counts as an outlier.
const HUBER: f64 = 2.0;
/// Rounds of pulling outliers in.
const ROUNDS: usize = 3;
/// Price of a change of slope, in residual deviations. Between 1 and 3 makes no difference to forecasts; 10 is worse.
const PENALTY: f64 = 3.0;

/// How the trend may move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trend {
    /// A level only.
    Flat,
    /// Straight lines that meet at changepoints.
    Piecewise,
}

/// What a fit found.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Structure {
    /// How many values it saw.
    pub length: usize,
    pub level: f64,
    /// Growth per step before the first turn.
    pub slope: f64,
    /// Index and change of slope per step, oldest first.
    pub turns: Vec<(usize, f64)>,
    /// Period and its profile by `index % period`.
    pub profiles: Vec<(usize, Vec<f64>)>,
    /// The share of the last slope that is left one step after the last value, two steps after, and so on.
    pub damping: f64,
}

impl Structure {
    /// Fits values without gaps; `values` must be as long as the basis.
    ///
    /// Robust by modified residuals (Huber and Dutter 1974): what lies beyond the bound is cut off from the values and the same
    /// factored Gram matrix solves again, so that a round costs a pass over the values and no new factor.
    pub fn fit(basis: &Basis, values: &[f64], trend: Trend, damping: f64) -> Self {
        let mut working = values.to_vec();
        let (mut fixed, mut hinges) = (Vec::new(), Vec::new());
        let mut scratch = Vec::with_capacity(values.len());
        let mut turns = vec![0.0; basis.knots.len()];
        let mut structure = Structure::default();
        let mut deviation = f64::INFINITY;
        for round in 0..=ROUNDS {
            basis.project(&working, &mut fixed, &mut hinges);
            let base = match trend {
                Trend::Flat => basis.solve_flat(&fixed),
                Trend::Piecewise => {
                    if round > 0 {
                        let pull: Vec<f64> =
                            hinges.iter().zip(&basis.solved).map(|(h, s)| h - dot(s, &fixed)).collect();
                        crate::lasso::active_set(&basis.profiled, &pull, PENALTY * deviation, &mut turns);
                    }
                    basis.solve_trend(&fixed, &turns)
                }
            };
            structure = basis.structure(&base, &turns, damping);
            if round == ROUNDS {
                break;
            }
            let fitted = structure.values(0, values.len());
            working.clear();
            working.extend(values.iter().zip(&fitted).map(|(v, f)| v - f));
            deviation = robust_deviation(&working, &mut scratch);
            if deviation <= 0.0 {
                break;
            }
            let bound = HUBER * deviation;
            working.iter_mut().zip(&fitted).for_each(|(w, f)| *w = f + w.clamp(-bound, bound));
        }
        structure
    }

    /// Growth per step at the end.
    pub fn last_slope(&self) -> f64 {
        self.slope + self.turns.iter().map(|t| t.1).sum::<f64>()
    }

    /// Trend at an index; beyond the fitted values it goes on with the damped last slope.
    pub fn trend_at(&self, index: usize) -> f64 {
        let end = self.length.saturating_sub(1);
        let t = index.min(end) as f64;
        let turned: f64 = self.turns.iter().map(|&(k, change)| change * (t - k as f64).max(0.0)).sum();
        let beyond = index.saturating_sub(end);
        let damped = if self.damping < 1.0 && beyond > 0 {
            self.damping * (1.0 - self.damping.powi(beyond as i32)) / (1.0 - self.damping)
        } else {
            beyond as f64
        };
        self.level + self.slope * t + turned + self.last_slope() * damped
    }

    /// Trend from one index up to another.
    pub fn trend(&self, from: usize, to: usize) -> Vec<f64> {
        let mut out: Vec<f64> = Vec::with_capacity(to.saturating_sub(from));
        let mut at = from;
        // Straight from turn to turn.
        for &(knot, _) in self.turns.iter().chain([&(self.length, 0.0)]) {
            let stop = knot.min(to);
            if at < stop {
                let start = self.trend_at(at);
                let slope = if at + 1 < stop { self.trend_at(at + 1) - start } else { 0.0 };
                out.extend((0..stop - at).map(|k| start + slope * k as f64));
                at = stop;
            }
        }
        out.extend((at..to).map(|index| self.trend_at(index)));
        out
    }

    /// Trend plus seasons from one index up to another.
    pub fn values(&self, from: usize, to: usize) -> Vec<f64> {
        looked_at((to - from) * (1 + self.profiles.len()));
        let mut out = self.trend(from, to);
        for (period, profile) in &self.profiles {
            add_profile(&mut out, profile, from % period);
        }
        out
    }
}

/// Adds a repeating profile to values of which the first lies at `place` in the profile.
pub(crate) fn add_profile(values: &mut [f64], profile: &[f64], place: usize) {
    let first = values.len().min(profile.len() - place);
    let (head, tail) = values.split_at_mut(first);
    head.iter_mut().zip(&profile[place..]).for_each(|(v, p)| *v += p);
    for chunk in tail.chunks_mut(profile.len()) {
        chunk.iter_mut().zip(profile).for_each(|(v, p)| *v += p);
    }
}
