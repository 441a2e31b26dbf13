//! What of a structural fit does not depend on the values: columns, their cross products, their factors.
//!
//! All cross products come from closed forms (sums of powers, geometric sums of rotations), so a basis costs the same for a thousand
//! points and for a million. It is built once and shared by all fits of the same length and seasons.

use crate::dense::{Cholesky, Symmetric};
use crate::stat::{dot, looked_at};
use crate::structure::Structure;
use std::f64::consts::TAU;

/// Candidate changepoints, evenly spread. 8, 20 or 40 make no difference to forecasts.
const KNOTS: usize = 20;
/// No changepoint in this last share of the history: too few points tell a turn from noise there.
const FREE_END: f64 = 0.06;
/// Ridge on each harmonic, in observations.
const RIDGE: f64 = 1.0;
/// Harmonics of a season, unless its period allows fewer.
const HARMONICS: usize = 12;

/// Columns (level, slope, harmonics; hinges at the candidate changepoints) for one length and one set of periods.
#[derive(Debug, Clone)]
pub(crate) struct Basis {
    length: usize,
    pub knots: Vec<usize>,
    seasons: Vec<Harmonics>,
    /// Of level, slope and harmonics.
    factor: Cholesky,
    /// Of level and harmonics, with the slope held at zero.
    flat: Cholesky,
    /// Each hinge's cross products with level, slope and harmonics, solved: one row per hinge.
    pub solved: Vec<Vec<f64>>,
    /// Gram matrix of the hinges with the other columns projected out.
    pub profiled: Symmetric,
}

#[derive(Debug, Clone)]
struct Harmonics {
    period: usize,
    /// cos and sin of 2 pi k / period: any harmonic at any place is one of them.
    circle: Vec<(f64, f64)>,
    orders: Vec<usize>,
}

/// The sum over t in 0..n of exp(i w t), and of t exp(i w t): the Dirichlet kernel and its derivative.
fn rotations(w: f64, n: f64) -> [(f64, f64); 2] {
    let (half, half_cos) = (w / 2.0).sin_cos();
    if half.abs() < 1e-9 {
        return [(n, 0.0), (n * (n - 1.0) / 2.0, 0.0)];
    }
    let (top, top_cos) = (w * n / 2.0).sin_cos();
    let (sin, cos) = (w * (n - 1.0) / 2.0).sin_cos();
    let size = top / half;
    let change = (n * top_cos * half - top * half_cos) / (2.0 * half * half);
    let (re, im) = ((n - 1.0) / 2.0 * size, -change);
    [(size * cos, size * sin), (re * cos - im * sin, re * sin + im * cos)]
}

impl Harmonics {
    fn new(period: usize, shorter: &[Harmonics]) -> Self {
        let known = |order: usize| {
            shorter.iter().any(|s| s.orders.iter().any(|&known| known * period == order * s.period))
        };
        let orders = (1..=HARMONICS.min(period / 2)).filter(|&order| !known(order)).collect();
        let circle = (0..period)
            .map(|k| (TAU * k as f64 / period as f64).sin_cos())
            .map(|(sin, cos)| (cos, sin))
            .collect();
        Harmonics { period, circle, orders }
    }

    /// The products of one period of values with all columns. A cosine is the same before and behind the middle, a sine the
    /// opposite, so both halves are looked at together.
    fn project(&self, folded: &[f64], products: &mut Vec<f64>) {
        let behind = folded[1..].iter().rev();
        let pairs: Vec<(f64, f64)> =
            folded[1..].iter().zip(behind).take((self.period - 1) / 2).map(|(a, b)| (a + b, a - b)).collect();
        for &order in &self.orders {
            let (mut cosine, mut sine, mut place) = (folded[0], 0.0, order);
            for (sum, difference) in &pairs {
                let (cos, sin) = self.circle[place];
                cosine += sum * cos;
                sine += difference * sin;
                place += order;
                if place >= self.period {
                    place -= self.period;
                }
            }
            if self.period.is_multiple_of(2) {
                cosine += folded[self.period / 2] * self.circle[place].0;
            }
            products.push(cosine);
            if 2 * order < self.period {
                products.push(sine);
            }
        }
    }

    /// One period of the sum of all columns, each with its coefficient; the halves together here as well.
    fn profile<'a>(&self, coefficients: &mut impl Iterator<Item = &'a f64>) -> Vec<f64> {
        let mut halves = vec![(0.0, 0.0); self.period / 2 + 1];
        for &order in &self.orders {
            let cosine = coefficients.next().copied().unwrap_or_default();
            let sine = if 2 * order < self.period { coefficients.next().copied() } else { None };
            let (sine, mut place) = (sine.unwrap_or_default(), 0);
            for (same, opposite) in &mut halves {
                let (cos, sin) = self.circle[place];
                *same += cosine * cos;
                *opposite += sine * sin;
                place += order;
                if place >= self.period {
                    place -= self.period;
                }
            }
        }
        let mut profile = vec![0.0; self.period];
        for (k, (same, opposite)) in halves.into_iter().enumerate() {
            profile[(self.period - k) % self.period] = same - opposite;
            profile[k] = same + opposite;
        }
        profile
    }

    /// Order and whether it is the sine, which at half the period is zero everywhere.
    fn columns(&self) -> impl Iterator<Item = (usize, bool)> + '_ {
        let both = self.orders.iter().flat_map(|&order| [(order, false), (order, true)]);
        both.filter(|&(order, sine)| !sine || 2 * order < self.period)
    }
}

impl Basis {
    /// `periods` in ascending order, each at least 2.
    pub fn new(length: usize, periods: &[usize]) -> Self {
        let mut seasons: Vec<Harmonics> = Vec::new();
        for &period in periods {
            let season = Harmonics::new(period, &seasons);
            seasons.push(season);
        }
        let columns: Vec<(f64, bool)> = seasons
            .iter()
            .flat_map(|s| s.columns().map(|(order, sine)| (TAU * order as f64 / s.period as f64, sine)))
            .collect();
        let gram = fixed_gram(length, &columns);
        let factor = gram.cholesky();
        let mut held = gram;
        held.add_to_diagonal(1, 1e12 * length as f64);
        let flat = held.cholesky();

        let last = ((1.0 - FREE_END) * length as f64) as usize;
        let count = KNOTS.min(length / 12);
        let knots: Vec<usize> = (1..=count).map(|k| k * last / (count + 1)).collect();
        let cross: Vec<Vec<f64>> = knots.iter().map(|&knot| hinge_cross(length, knot, &columns)).collect();
        let mut solved = cross.clone();
        solved.iter_mut().for_each(|row| factor.solve(row));
        let mut profiled = Symmetric::zeros(knots.len());
        for (i, &a) in knots.iter().enumerate() {
            for (j, &b) in knots.iter().enumerate().take(i + 1) {
                profiled.set(i, j, hinge_product(length, a, b) - dot(&cross[i], &solved[j]));
            }
        }
        Basis { length, knots, seasons, factor, flat, solved, profiled }
    }

    /// Products of the values with all columns: level, slope and harmonics into `fixed`, the hinges into `hinges`. Each season is
    /// folded onto one period first, which makes this one addition per value and season.
    pub fn project(&self, values: &[f64], fixed: &mut Vec<f64>, hinges: &mut Vec<f64>) {
        looked_at(values.len() * (1 + self.seasons.len()));
        let n = self.length as f64;
        fixed.clear();
        hinges.clear();
        hinges.resize(self.knots.len(), 0.0);
        // Walking backwards, a sum of sums is the product with a ramp.
        let (mut sum, mut ramp, mut end) = (0.0, 0.0, self.length);
        for place in (0..=self.knots.len()).rev() {
            let start = if place == 0 { 0 } else { self.knots[place - 1] };
            for &value in values[start..end].iter().rev() {
                ramp += sum;
                sum += value;
            }
            end = start;
            if place > 0 {
                hinges[place - 1] = ramp / n;
            }
        }
        fixed.extend([sum, ramp / n]);
        let mut folded = Vec::new();
        for season in &self.seasons {
            folded.clear();
            folded.resize(season.period, 0.0);
            for chunk in values.chunks(season.period) {
                folded.iter_mut().zip(chunk).for_each(|(f, v)| *f += v);
            }
            season.project(&folded, fixed);
        }
    }

    /// Coefficients of level and harmonics alone.
    pub fn solve_flat(&self, fixed: &[f64]) -> Vec<f64> {
        let mut base = fixed.to_vec();
        self.flat.solve(&mut base);
        base[1] = 0.0;
        base
    }

    /// Coefficients of level, slope and harmonics, given those of the hinges.
    pub fn solve_trend(&self, fixed: &[f64], turns: &[f64]) -> Vec<f64> {
        let mut base = fixed.to_vec();
        self.factor.solve(&mut base);
        for (turn, solved) in turns.iter().zip(&self.solved).filter(|(turn, _)| **turn != 0.0) {
            base.iter_mut().zip(solved).for_each(|(b, s)| *b -= turn * s);
        }
        base
    }

    /// What coefficients mean.
    pub fn structure(&self, base: &[f64], turns: &[f64], damping: f64) -> Structure {
        let n = self.length as f64;
        let mut coefficients = base[2..].iter();
        Structure {
            length: self.length,
            level: base[0],
            slope: base[1] / n,
            turns: self.knots.iter().zip(turns).filter(|t| *t.1 != 0.0).map(|(&k, t)| (k, t / n)).collect(),
            profiles: self
                .seasons
                .iter()
                .map(|season| (season.period, season.profile(&mut coefficients)))
                .collect(),
            damping,
        }
    }
}

/// Cross products of level, slope (t / n) and harmonics.
fn fixed_gram(length: usize, columns: &[(f64, bool)]) -> Symmetric {
    let n = length as f64;
    let mut gram = Symmetric::zeros(2 + columns.len());
    gram.set(0, 0, n);
    gram.set(1, 0, (n - 1.0) / 2.0);
    gram.set(1, 1, (n - 1.0) * (2.0 * n - 1.0) / (6.0 * n));
    for (i, &(w, sine)) in columns.iter().enumerate() {
        let [sum, ramp] = rotations(w, n);
        gram.set(2 + i, 0, if sine { sum.1 } else { sum.0 });
        gram.set(2 + i, 1, if sine { ramp.1 } else { ramp.0 } / n);
        // The cosine and the sine of a frequency meet the same two rotations: once is enough.
        let mut last = (f64::NAN, (0.0, 0.0), (0.0, 0.0));
        for (j, &(v, other)) in columns.iter().enumerate().take(i + 1) {
            if last.0 != v {
                last = (v, rotations(w - v, n)[0], rotations(w + v, n)[0]);
            }
            let (_, minus, plus) = last;
            let product = match (sine, other) {
                (false, false) => minus.0 + plus.0,
                (true, true) => minus.0 - plus.0,
                (true, false) => plus.1 + minus.1,
                (false, true) => plus.1 - minus.1,
            };
            gram.set(2 + i, 2 + j, product / 2.0);
        }
        gram.add_to_diagonal(2 + i, RIDGE);
    }
    gram
}

/// Cross products of the hinge (t - knot)+ / n with level, slope and harmonics.
fn hinge_cross(length: usize, knot: usize, columns: &[(f64, bool)]) -> Vec<f64> {
    let (n, k, m) = (length as f64, knot as f64, (length - knot) as f64);
    let (first, second) = ((m - 1.0) * m / 2.0, (m - 1.0) * m * (2.0 * m - 1.0) / 6.0);
    let mut row = vec![first / n, (second + k * first) / (n * n)];
    let mut last = (f64::NAN, (0.0, 0.0));
    for &(w, sine) in columns {
        if last.0 != w {
            let (ramp, (sin, cos)) = (rotations(w, m)[1], (w * k).sin_cos());
            last = (w, (ramp.0 * cos - ramp.1 * sin, ramp.0 * sin + ramp.1 * cos));
        }
        row.push(if sine { last.1.1 } else { last.1.0 } / n);
    }
    row
}

/// The sum over t >= a of (t - a)(t - b) / n^2, for a >= b.
fn hinge_product(length: usize, a: usize, b: usize) -> f64 {
    let (n, m, gap) = (length as f64, (length - a) as f64, (a - b) as f64);
    ((m - 1.0) * m * (2.0 * m - 1.0) / 6.0 + gap * (m - 1.0) * m / 2.0) / (n * n)
}

#[cfg(test)]
mod test {
    use super::*;

    /// The columns themselves, by their definition.
    fn columns(basis: &Basis) -> Vec<Vec<f64>> {
        let n = basis.length;
        let mut columns = vec![vec![1.0; n], (0..n).map(|t| t as f64 / n as f64).collect()];
        for season in &basis.seasons {
            for (order, sine) in season.columns() {
                let angle = |t: usize| TAU * (order * t) as f64 / season.period as f64;
                columns.push((0..n).map(|t| if sine { angle(t).sin() } else { angle(t).cos() }).collect());
            }
        }
        let hinge = |knot: usize| (0..n).map(|t| t.saturating_sub(knot) as f64 / n as f64).collect();
        columns.extend(basis.knots.iter().map(|&knot| hinge(knot)));
        columns
    }

    #[test]
    fn closed_forms_equal_the_sums_they_stand_for() {
        for (length, periods) in [(300, vec![24, 168]), (97, vec![7]), (500, vec![10, 33]), (40, vec![])] {
            let basis = Basis::new(length, &periods);
            let columns = columns(&basis);
            let fixed = columns.len() - basis.knots.len();
            let frequencies: Vec<(f64, bool)> = basis
                .seasons
                .iter()
                .flat_map(|s| s.columns().map(|(o, sine)| (TAU * o as f64 / s.period as f64, sine)))
                .collect();
            let gram = fixed_gram(length, &frequencies);
            for i in 0..fixed {
                for j in 0..=i {
                    let ridge = if i == j && i >= 2 { RIDGE } else { 0.0 };
                    let sum = dot(&columns[i], &columns[j]) + ridge;
                    assert!(
                        (gram.at(i, j) - sum).abs() < 1e-7 * length as f64,
                        "{length} {periods:?} {i} {j}"
                    );
                }
            }
            for (h, &knot) in basis.knots.iter().enumerate() {
                let cross = hinge_cross(length, knot, &frequencies);
                for (j, product) in cross.iter().enumerate() {
                    let sum = dot(&columns[fixed + h], &columns[j]);
                    assert!((product - sum).abs() < 1e-7 * length as f64, "{length} {periods:?} {h} {j}");
                }
                let sum = dot(&columns[fixed + h], &columns[fixed]);
                assert!((hinge_product(length, knot, basis.knots[0]) - sum).abs() < 1e-9 * length as f64);
            }
            let values: Vec<f64> = (0..length).map(|t| ((t * t) % 17) as f64 - 3.0).collect();
            let (mut products, mut hinges) = (Vec::new(), Vec::new());
            basis.project(&values, &mut products, &mut hinges);
            products.extend(hinges);
            for (product, column) in products.iter().zip(&columns) {
                assert!((product - dot(column, &values)).abs() < 1e-8 * length as f64);
            }
        }
    }
}
