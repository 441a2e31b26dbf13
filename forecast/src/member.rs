//! The members of the combination: each learns from a history and can then forecast from any later origin of the same series, at a
//! cost that depends on the horizon only. So one fit serves all origins of the backtest, and following a growing series is cheap.

use crate::MemberKind;
use crate::autoregression::{Autoregression, seasonal_lags};
use crate::basis::Basis;
use crate::history::History;
use crate::stat::{mean, median};
use crate::structure::{Structure, Trend, add_profile};

/// A member after learning.
#[derive(Debug, Clone)]
pub(crate) struct Fitted {
    pub kind: MemberKind,
    /// Whether it sees the history without its spikes.
    pub cleaned: bool,
    way: Way,
}

#[derive(Debug, Clone)]
enum Way {
    /// The median of the last few values.
    Recent { window: usize },
    /// The median of the same place in the last few seasons.
    Seasonal { period: usize, seasons: usize },
    /// A seasonal profile on a smoothed level that moves on by a drift.
    Smoothed { profile: Vec<f64>, alpha: f64, drift: f64, level: f64, upto: usize },
    /// Structure, and autoregression on what it leaves.
    Structural {
        log: bool,
        structure: Structure,
        residual: Option<Autoregression>,
        reach: f64,
        bounds: (f64, f64),
    },
    /// Autoregression of the differences to the season before.
    Differenced { log: bool, period: usize, change: Autoregression, reach: f64, bounds: (f64, f64) },
}

/// Smoothing of the level under a robust profile; between 0.1 and 0.4 makes little difference.
const LEVEL_SMOOTHING: f64 = 0.3;
/// What the theta method may choose from.
const THETA_SMOOTHING: [f64; 6] = [0.05, 0.1, 0.2, 0.4, 0.7, 1.0];
/// Windows of the recent level. One value is the naive method.
const WINDOWS: [usize; 4] = [1, 6, 24, 72];
/// How many seasons back a seasonal median looks: a week of days, a month of weeks.
const DAYS: usize = 7;
const WEEKS: usize = 4;

/// All members that the first `upto` values can teach; of a cleaned history those only that its spikes would lead astray. `periods`
/// ascend; the basis is for that length and the shortest period.
pub(crate) fn learn(
    history: &History,
    cleaned: bool,
    upto: usize,
    periods: &[usize],
    basis: &Basis,
    damping: f64,
) -> Vec<Fitted> {
    let plain = &history.plain[..upto];
    let logged = history.has_log();
    let mut members = Vec::new();
    let mut add = |kind, way: Option<Way>| members.extend(way.map(|way| Fitted { kind, cleaned, way }));

    let flat = Structure::fit(basis, plain, Trend::Flat, damping);
    let season = flat.profiles.first().map(|p| p.1.clone());
    add(MemberKind::Theta, Some(theta(plain, season.unwrap_or_else(|| vec![0.0]))));
    add(MemberKind::FlatTrend, structural(plain, false, flat, periods));
    let values = &history.values(logged)[..upto];
    let trend = Structure::fit(basis, values, Trend::Piecewise, damping);
    add(
        if logged { MemberKind::LogTrend } else { MemberKind::Trend },
        structural(values, logged, trend, periods),
    );
    for window in WINDOWS.into_iter().filter(|_| !cleaned) {
        let kind = if window == 1 { MemberKind::Naive } else { MemberKind::Recent { window } };
        add(kind, Some(Way::Recent { window }));
    }
    if let (Some(&shortest), Some(&longest)) = (periods.first(), periods.last()) {
        add(MemberKind::Smoothing, Some(smoothing(plain, shortest)));
        add(
            MemberKind::Differenced { period: longest, log: false },
            differenced(plain, false, longest, periods),
        );
        if logged || shortest != longest {
            let kind = MemberKind::Differenced { period: shortest, log: logged };
            add(kind, differenced(values, logged, shortest, periods));
        }
        if cleaned {
            return members;
        }
        add(MemberKind::SeasonalNaive, Some(Way::Seasonal { period: shortest, seasons: 1 }));
        for (place, &period) in periods.iter().enumerate() {
            let seasons = (upto / period).min(if place == 0 { DAYS } else { WEEKS });
            if seasons >= 2 {
                add(MemberKind::SeasonalMedian { period }, Some(Way::Seasonal { period, seasons }));
            }
        }
    }
    members
}

/// Smallest and largest value, and half the distance more on either side: no forecast of a regression goes beyond.
fn bounds(values: &[f64]) -> (f64, f64) {
    let (low, high) =
        values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |b, &v| (b.0.min(v), b.1.max(v)));
    (low - (high - low) / 2.0, high + (high - low) / 2.0)
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most, v| most.max(v.abs()))
}

fn structural(values: &[f64], log: bool, structure: Structure, periods: &[usize]) -> Option<Way> {
    let mut rest = structure.values(0, values.len());
    rest.iter_mut().zip(values).for_each(|(r, v)| *r = v - *r);
    let residual = Autoregression::fit(&rest, &seasonal_lags(periods, values.len()));
    Some(Way::Structural { log, structure, residual, reach: 1.5 * largest(&rest), bounds: bounds(values) })
}

fn differenced(values: &[f64], log: bool, period: usize, periods: &[usize]) -> Option<Way> {
    let changes: Vec<f64> =
        values.iter().zip(values.get(period..)?).map(|(before, after)| after - before).collect();
    let change = Autoregression::fit(&changes, &seasonal_lags(periods, changes.len()))?;
    Some(Way::Differenced { log, period, change, reach: largest(&changes), bounds: bounds(values) })
}

/// Exponential smoothing of the level under a profile of medians, which neither outliers nor a level shift bend.
fn smoothing(values: &[f64], period: usize) -> Way {
    let n = values.len();
    let mut sums = Vec::with_capacity(n + 1);
    sums.push(0.0);
    let mut sum = 0.0;
    sums.extend(values.iter().map(|v| {
        sum += v;
        sum
    }));
    let from_level = |t: usize| {
        // One whole period around t, or the nearest within the history.
        let end = (t.saturating_sub(period / 2) + period).min(n);
        let start = end.saturating_sub(period);
        values[t] - (sums[end] - sums[start]) / (end - start) as f64
    };
    let mut places = Vec::new();
    let mut profile: Vec<f64> = (0..period)
        .map(|place| {
            places.clear();
            places.extend((place..n).step_by(period).map(from_level));
            median(&mut places)
        })
        .collect();
    let around = mean(&profile);
    profile.iter_mut().for_each(|p| *p -= around);
    let mut way = Way::Smoothed { profile, alpha: LEVEL_SMOOTHING, drift: 0.0, level: values[0], upto: 0 };
    way.follow(values);
    way
}

/// The theta method (Assimakopoulos and Nikolopoulos 2000) as simple exponential smoothing with half the slope of the
/// regression line as drift (Hyndman and Billah 2003), on the seasonally adjusted series.
fn theta(values: &[f64], profile: Vec<f64>) -> Way {
    let n = values.len() as f64;
    let mut adjusted = values.to_vec();
    let negative: Vec<f64> = profile.iter().map(|p| -p).collect();
    add_profile(&mut adjusted, &negative, 0);
    let around = mean(&adjusted);
    let product: f64 =
        adjusted.iter().enumerate().map(|(t, v)| (t as f64 - (n - 1.0) / 2.0) * (v - around)).sum();
    let slope = if n > 1.0 { product / (n * (n * n - 1.0) / 12.0) } else { 0.0 };
    let (mut levels, mut errors) = ([adjusted[0]; THETA_SMOOTHING.len()], [0.0; THETA_SMOOTHING.len()]);
    for v in &adjusted {
        for (k, alpha) in THETA_SMOOTHING.iter().enumerate() {
            let error = v - levels[k];
            errors[k] += error.abs();
            levels[k] += alpha * error;
        }
    }
    let best = (0..errors.len()).min_by(|&a, &b| errors[a].total_cmp(&errors[b])).unwrap_or(0);
    Way::Smoothed {
        profile,
        alpha: THETA_SMOOTHING[best],
        drift: slope / 2.0,
        level: levels[best],
        upto: values.len(),
    }
}

impl Way {
    /// Moves a smoothed level on to the end of the values.
    fn follow(&mut self, values: &[f64]) {
        if let Way::Smoothed { profile, alpha, level, upto, .. } = self {
            *level = smooth_on(profile, *alpha, *level, *upto, values);
            *upto = values.len();
        }
    }
}

fn smooth_on(profile: &[f64], alpha: f64, mut level: f64, from: usize, values: &[f64]) -> f64 {
    let mut place = from % profile.len();
    for value in &values[from..] {
        level += alpha * (value - profile[place] - level);
        place += 1;
        if place == profile.len() {
            place = 0;
        }
    }
    level
}

impl Fitted {
    /// Whether both are the same member, taught by different histories.
    pub fn is(&self, other: &Fitted) -> bool {
        self.kind == other.kind && self.cleaned == other.cleaned
    }

    /// Forecasts from `origin`, which may not lie before what was learnt, in plain units.
    pub fn ahead(&self, histories: &[History], origin: usize, steps: usize) -> Vec<f64> {
        let history = &histories[usize::from(self.cleaned)];
        let plain = &history.plain[..origin];
        match &self.way {
            Way::Recent { window } => {
                let mut last = plain[origin.saturating_sub(*window)..].to_vec();
                vec![median(&mut last); steps]
            }
            Way::Seasonal { period, seasons } => {
                let mut same = Vec::with_capacity(*seasons);
                let mut cycle: Vec<f64> = Vec::with_capacity(steps);
                for step in 0..steps.min(*period) {
                    same.clear();
                    same.extend((1..=*seasons).map(|back| plain[origin - back * period + step]));
                    cycle.push(median(&mut same));
                }
                (0..steps).map(|step| cycle[step % period]).collect()
            }
            Way::Smoothed { profile, alpha, drift, level, upto } => {
                let level = smooth_on(profile, *alpha, *level, *upto, plain);
                let mut out: Vec<f64> = (1..=steps).map(|step| level + drift * step as f64).collect();
                add_profile(&mut out, profile, origin % profile.len());
                out
            }
            Way::Structural { log, structure, residual, reach, bounds } => {
                let values = &history.values(*log)[..origin];
                let depth = residual.as_ref().map_or(0, Autoregression::depth);
                let base = structure.values(origin - depth, origin + steps);
                let mut rest: Vec<f64> = Vec::with_capacity(depth + steps);
                rest.extend(values[origin - depth..].iter().zip(&base).map(|(v, b)| v - b));
                match residual {
                    Some(residual) => residual.extend(&mut rest, steps, *reach),
                    None => rest.resize(steps, 0.0),
                }
                let sum =
                    rest[depth..].iter().zip(&base[depth..]).map(|(r, b)| (r + b).clamp(bounds.0, bounds.1));
                history.to_plain(*log, sum.collect())
            }
            Way::Differenced { log, period, change, reach, bounds } => {
                let values = &history.values(*log)[..origin];
                let start = origin - change.depth();
                let mut changes: Vec<f64> = Vec::with_capacity(change.depth() + steps);
                changes.extend((start..origin).map(|t| values[t] - values[t - period]));
                change.extend(&mut changes, steps, *reach);
                let mut out: Vec<f64> = Vec::with_capacity(steps);
                for step in 0..steps {
                    let before =
                        if step < *period { values[origin + step - period] } else { out[step - period] };
                    out.push((before + changes[change.depth() + step]).clamp(bounds.0, bounds.1));
                }
                history.to_plain(*log, out)
            }
        }
    }
}
