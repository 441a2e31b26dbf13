//! Which seasons a series has.
//!
//! Autocorrelation says how long a pattern takes to repeat, to the step, but also rises at every multiple and for every slow
//! drift; the periodogram says where the energy is, but only to a fraction of the length. Candidates must convince both
//! (Vlachos, Yu and Castelli 2005, "On periodicity detection and structural periodic similarity").

use crate::stat::{dot, mean, quantile};
use crate::{Seasons, Series};
use rustfft::{FftPlanner, num_complex::Complex};
use std::f64::consts::TAU;
use std::time::Duration;

/// Seconds of the calendar's seasons.
const CALENDAR: [u64; 2] = [86_400, 7 * 86_400];
/// A season must have been seen this often before it is believed, and a calendar season before it is tried.
const CYCLES: usize = 3;
/// Points looked at, the newest: a fortnight of minutes.
const MOST_POINTS: usize = 20_160;
/// Standard errors that the autocorrelation at a common length must have, and at any other.
const WEAK: f64 = 2.5;
const STRONG: f64 = 5.0;
/// How much better a multiple must correlate to take the place of a period.
const BETTER: f64 = 0.08;
/// Counts of steps that make a day, a week, a year or an hour for common steps. Among equals they win.
const COMMON: [usize; 16] = [7, 12, 24, 30, 48, 52, 60, 96, 144, 168, 288, 336, 672, 1440, 2016, 10_080];

/// The periods to fit, ascending, given values without gaps of which the members may learn from the first `learnt`.
pub(crate) fn periods(wanted: &Seasons, series: &Series, values: &[f64], learnt: usize) -> Vec<usize> {
    let (mut periods, cycles) = match wanted {
        Seasons::Fixed(periods) => (periods.clone(), 2),
        Seasons::Auto => {
            let mut periods: Vec<usize> = series.step.into_iter().flat_map(calendar).collect();
            let found = detect(values);
            // What was seen beats the calendar nearby: some days have 23 working hours.
            periods.retain(|&day| !found.iter().any(|&seen| seen != day && seen.abs_diff(day) * 8 <= day));
            periods.extend(found);
            (periods, CYCLES)
        }
    };
    periods.sort_unstable();
    periods.dedup();
    periods.retain(|&period| period >= 2 && period.saturating_mul(cycles) <= learnt);
    periods
}

/// The day and the week in steps, where they are whole.
fn calendar(step: Duration) -> impl Iterator<Item = usize> {
    let step = step.as_nanos();
    CALENDAR.into_iter().filter_map(move |seconds| {
        let length = Duration::from_secs(seconds).as_nanos();
        let whole = step > 0 && length.is_multiple_of(step) && length / step > 1;
        whole.then(|| usize::try_from(length / step).ok()).flatten()
    })
}

/// The shortest season that the values show, and a longer one made of several of it, if there is one.
pub(crate) fn detect(values: &[f64]) -> Vec<usize> {
    let values = &values[values.len().saturating_sub(MOST_POINTS)..];
    let level = tamed(values);
    if level.iter().all(|v| *v == 0.0) {
        return Vec::new();
    }
    let spectrum = Spectrum::of(&level);
    let Some(first) = spectrum.shortest_season() else { return Vec::new() };
    let second = spectrum.common_beside(first).or_else(|| longer(&level, first));
    [first].into_iter().chain(second).collect()
}

/// Without its straight line, and with outliers pulled in, so that neither drift nor spikes decide.
fn tamed(values: &[f64]) -> Vec<f64> {
    let n = values.len();
    let (around, middle) = (mean(values), (n as f64 - 1.0) / 2.0);
    let product: f64 = values.iter().enumerate().map(|(t, v)| (t as f64 - middle) * (v - around)).sum();
    let slope = product / (n as f64 * (n as f64 * n as f64 - 1.0) / 12.0).max(1.0);
    let mut out: Vec<f64> =
        values.iter().enumerate().map(|(t, v)| v - around - slope * (t as f64 - middle)).collect();
    let mut sorted = out.clone();
    let (low, high) = (quantile(&mut sorted, 0.02), quantile(&mut sorted, 0.98));
    if low < high {
        out.iter_mut().for_each(|v| *v = v.clamp(low, high));
    }
    let around = mean(&out);
    out.iter_mut().for_each(|v| *v -= around);
    out
}

struct Spectrum<'a> {
    values: &'a [f64],
    length: usize,
    /// By lag, up to a third of the length.
    correlation: Vec<f64>,
    /// By multiples of 1 / (2 length) or so: `power[k]` is at frequency `k / size`.
    power: Vec<f64>,
    size: usize,
}

impl<'a> Spectrum<'a> {
    fn of(values: &'a [f64]) -> Self {
        let length = values.len();
        // Twice the length, so that the end does not wrap around onto the start.
        let size = (2 * length).next_power_of_two();
        let mut planner = FftPlanner::new();
        let mut buffer: Vec<Complex<f64>> = values.iter().map(|&v| Complex::new(v, 0.0)).collect();
        buffer.resize(size, Complex::new(0.0, 0.0));
        planner.plan_fft_forward(size).process(&mut buffer);
        let power: Vec<f64> = buffer[..size / 2].iter().map(|c| c.norm_sqr()).collect();
        buffer.iter_mut().for_each(|c| *c = Complex::new(c.norm_sqr(), 0.0));
        // The spectrum is symmetric: forward and inverse transform are the same.
        planner.plan_fft_forward(size).process(&mut buffer);
        let all = buffer[0].re;
        let unbiased = |lag: usize| buffer[lag].re / all * length as f64 / (length - lag) as f64;
        let correlation = (0..=length / 2).map(unbiased).collect();
        Spectrum { values, length, correlation, power, size }
    }

    fn at(&self, lag: usize) -> f64 {
        self.correlation.get(lag).copied().unwrap_or(f64::NEG_INFINITY)
    }

    /// How far a lag stands above the lags half a period before and after.
    fn prominence(&self, lag: usize) -> f64 {
        let (before, after) = (lag / 2, lag + lag.div_ceil(2));
        let valley = if after < self.correlation.len() {
            (self.at(before) + self.at(after)) / 2.0
        } else {
            self.at(before)
        };
        self.at(lag) - valley
    }

    /// Whether nothing nearer than a quarter of the lag stands higher than `slack` above it: the shoulders of slow drifts fall to
    /// one side.
    fn is_peak(&self, lag: usize, slack: f64) -> bool {
        let reach = (lag / 4).max(1);
        (lag - reach..=lag + reach).all(|other| self.at(other) <= self.at(lag) + slack)
    }

    /// Energy near the frequency of a period and its first harmonics, over what is usual for energy at such frequencies.
    fn has_energy(&self, period: usize) -> bool {
        let near = |order: usize| {
            let k = (order * self.size) as f64 / period as f64;
            let half = self.size as f64 / self.length as f64;
            let slice = |from: f64, to: f64| {
                let (from, to) = (from.max(1.0) as usize, (to as usize + 1).min(self.power.len()));
                &self.power[from.min(to)..to]
            };
            let peak = slice(k - half, k + half).iter().copied().fold(0.0, f64::max);
            let mut around = slice(k / 1.6, k * 1.6).to_vec();
            (peak, quantile(&mut around, 0.5))
        };
        // Under noise the ratio of a peak to the median around it rarely passes this.
        (1..=3).filter(|order| 2 * order <= period).map(near).any(|(peak, usual)| peak > 8.0 * usual)
    }

    /// Lengths that people's lives have need less evidence than others.
    fn convinces(&self, lag: usize) -> bool {
        let needed = needed(lag, self.length);
        let slack = if COMMON.contains(&lag) { 1.0 / (self.length as f64).sqrt() } else { 0.0 };
        self.at(lag) > needed
            && self.prominence(lag) > needed
            && self.is_peak(lag, slack)
            && self.has_energy(lag)
    }

    fn longest(&self) -> usize {
        (self.length / CYCLES).min(self.correlation.len().saturating_sub(1) * 4 / 5)
    }

    fn shortest_season(&self) -> Option<usize> {
        let first = (2..=self.longest()).find(|&lag| self.convinces(lag))?;
        // A day with two rush hours repeats twice a day, but better once. Seven days are a season of their own.
        let mut period = self.refined(first);
        while let Some(better) = (2..7)
            .map(|factor| self.refined(factor * period))
            .filter(|p| !COMMON.contains(&period) || COMMON.contains(p) && *p < 3 * period)
            .find(|&p| p <= self.longest() && self.at(p) > self.at(period) + BETTER)
        {
            period = better;
        }
        Some(period)
    }

    /// A longer season of common length that is no multiple of the first.
    fn common_beside(&self, first: usize) -> Option<usize> {
        let longer =
            COMMON.into_iter().filter(|&p| 2 * p > 3 * first && p % first != 0 && p <= self.longest());
        longer.filter(|&p| self.convinces(p)).max_by(|&a, &b| self.at(a).total_cmp(&self.at(b)))
    }

    /// Autocorrelation has a blunt peak for long periods; the energy at exactly a period and its harmonics has a sharp one.
    fn sharpened(&self, period: usize) -> usize {
        let energy = |period: usize| -> f64 {
            let at = |order: usize| {
                let (sin, cos) = (TAU * order as f64 / period as f64).sin_cos();
                let turn = Complex::new(cos, sin);
                let mut sum = Complex::new(0.0, 0.0);
                // Horner's rule: the values are the coefficients of a polynomial in the rotation.
                self.values.iter().for_each(|&v| sum = sum * turn + v);
                sum.norm_sqr()
            };
            (1..=3).filter(|order| 2 * order <= period).map(at).sum()
        };
        // Uphill from the blunt peak, a few steps at most.
        let mut best = (period, energy(period));
        for _ in 0..8 {
            let beside = [best.0 - 1, best.0 + 1].map(|p| (p, energy(p)));
            match beside.into_iter().filter(|b| b.0 >= 2).max_by(|a, b| a.1.total_cmp(&b.1)) {
                Some(higher) if higher.1 > best.1 => best = higher,
                _ => break,
            }
        }
        best.0
    }

    /// A lag and its neighbours judged by their multiples too, which tell 24 from 23 where one lag cannot.
    fn refined(&self, lag: usize) -> usize {
        let repeats = |period: usize| {
            let count = ((self.correlation.len() - 1) / period).clamp(1, 8);
            mean(&(1..=count).map(|k| self.at(k * period)).collect::<Vec<_>>())
        };
        let reach = (lag / 24).max(1);
        let near = (lag.saturating_sub(reach).max(2)..=lag + reach).filter(|&p| p < self.correlation.len());
        let best = near.clone().max_by(|&a, &b| repeats(a).total_cmp(&repeats(b))).unwrap_or(lag);
        let common = near.filter(|p| COMMON.contains(p) && repeats(*p) > repeats(best) - 0.02);
        common.min_by_key(|p| p.abs_diff(best)).unwrap_or_else(|| self.sharpened(best))
    }
}

/// A season made of whole shorter ones (a week of days), in what the shorter one leaves.
fn longer(level: &[f64], period: usize) -> Option<usize> {
    let n = level.len();
    let mut sums = vec![(0.0, 0.0); period];
    level.iter().enumerate().for_each(|(t, v)| {
        let place = &mut sums[t % period];
        *place = (place.0 + v, place.1 + 1.0);
    });
    let rest: Vec<f64> =
        level.iter().enumerate().map(|(t, v)| v - sums[t % period].0 / sums[t % period].1).collect();
    let all = dot(&rest, &rest) / n as f64;
    if all <= 0.0 {
        return None;
    }
    let most = (n / CYCLES / period).min(60);
    let correlation: Vec<f64> = (0..=most + 1)
        .map(|k| dot(&rest[..n.saturating_sub(k * period)], &rest[(k * period).min(n)..]))
        .enumerate()
        .map(|(k, sum)| sum / n.saturating_sub(k * period).max(1) as f64 / all)
        .collect();
    let stands_out = |&k: &usize| {
        let beside = (correlation[k - 1] + correlation[k + 1]) / 2.0;
        // Seven days are expected; that any other number of them stands out is a chance taken many times.
        let usual = 1.0 / ((n - k * period) as f64).sqrt();
        let needed = if k == 7 { WEAK * usual } else { (STRONG * usual).max(0.2) };
        correlation[k] > needed && correlation[k] - beside > needed / 2.0
    };
    let found: Vec<usize> = (2..=most).filter(stands_out).collect();
    // Its multiples do as well or, by chance, a little better.
    let best = found.iter().map(|&k| correlation[k]).fold(0.0, f64::max);
    found.into_iter().find(|&k| correlation[k] > 0.8 * best).map(|k| k * period)
}

/// The autocorrelation that makes a season of a lag, seen over so many points: lengths that people's lives have need less evidence.
fn needed(lag: usize, points: usize) -> f64 {
    let noise = 1.0 / (points.max(1) as f64).sqrt();
    if COMMON.contains(&lag) { WEAK * noise } else { (STRONG * noise).max(0.2) }
}
