//! The output: numbers, how sure they are, and everything a person needs to judge them.

use crate::spread::Spread;

/// A forecast with its intervals and its reasons.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// The expected value (a median) of each step ahead.
    pub mean: Vec<f64>,
    /// What the history is made of, and how that goes on.
    pub components: Components,
    /// The members of the combination, heaviest first.
    pub members: Vec<Member>,
    /// How such forecasts of the recent past did.
    pub backtest: Backtest,
    /// What was found in the input before fitting.
    pub cleaning: Cleaning,
    pub(crate) spread: Spread,
    /// No outcome lies below it.
    pub(crate) floor: f64,
}

/// An interval for each step ahead.
#[derive(Debug, Clone, PartialEq)]
pub struct Interval {
    /// The share of outcomes it should hold: 0.95 for 95 %.
    pub level: f64,
    /// Lower ends.
    pub lower: Vec<f64>,
    /// Upper ends.
    pub upper: Vec<f64>,
}

/// Trend and seasons, over history and horizon: `history + horizon` values each. They explain the structural members; the
/// combination also knows the most recent level and so need not be their sum.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Components {
    /// Level and growth.
    pub trend: Vec<f64>,
    /// What repeats, shortest period first.
    pub seasons: Vec<Season>,
    /// Where the trend turned, oldest first.
    pub changepoints: Vec<Changepoint>,
}

/// One repeating pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct Season {
    /// Its length in steps.
    pub period: usize,
    /// The share of the detrended variance that it explains, 0 to 1.
    pub strength: f64,
    /// Its values over history and horizon, around zero.
    pub values: Vec<f64>,
}

/// Where the trend turned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Changepoint {
    /// Index in the history.
    pub index: usize,
    /// Growth per step before it.
    pub slope_before: f64,
    /// Growth per step after it.
    pub slope_after: f64,
}

/// A way to forecast that takes part in the combination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MemberKind {
    /// The last value.
    Naive,
    /// The median of the last `window` values.
    Recent {
        /// How many.
        window: usize,
    },
    /// The last value at the same place of the shortest season.
    SeasonalNaive,
    /// The median of the same place in the last few seasons.
    SeasonalMedian {
        /// The season's length in steps.
        period: usize,
    },
    /// Exponential smoothing of the level under a profile of medians.
    Smoothing,
    /// The theta method on the seasonally adjusted series.
    Theta,
    /// Seasons on a flat level, autoregression on the residuals.
    FlatTrend,
    /// Piecewise-linear trend and seasons, autoregression on the residuals.
    Trend,
    /// The same on the log scale.
    LogTrend,
    /// Autoregression of the differences to the season before.
    Differenced {
        /// The season's length in steps.
        period: usize,
        /// On the log scale.
        log: bool,
    },
}

impl std::fmt::Display for MemberKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            MemberKind::Naive => f.write_str("naive"),
            MemberKind::Recent { window } => write!(f, "median of the last {window}"),
            MemberKind::SeasonalNaive => f.write_str("seasonal naive"),
            MemberKind::SeasonalMedian { period } => write!(f, "median of seasons of {period}"),
            MemberKind::Smoothing => f.write_str("exponential smoothing"),
            MemberKind::Theta => f.write_str("theta"),
            MemberKind::FlatTrend => f.write_str("seasons, flat trend"),
            MemberKind::Trend => f.write_str("trend and seasons"),
            MemberKind::LogTrend => f.write_str("log trend and seasons"),
            MemberKind::Differenced { period, log: false } => write!(f, "differences at {period}"),
            MemberKind::Differenced { period, log: true } => write!(f, "log differences at {period}"),
        }
    }
}

/// One member, its say in the combination and its own record.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Which.
    pub kind: MemberKind,
    /// Whether it learns from the history without its spikes instead of the history as it was.
    pub cleaned: bool,
    /// Its share of the combination; all shares add up to 1.
    pub weight: f64,
    /// Its own errors in the backtest.
    pub errors: Errors,
}

/// Mean errors over all points forecast; `None` where the measure is undefined.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Errors {
    /// Mean absolute percentage error as a fraction (0.15 is 15 %); undefined where an actual value is zero.
    pub mape: Option<f64>,
    /// Sum of absolute errors over sum of absolute values, a fraction; undefined for all-zero actual values.
    pub wape: Option<f64>,
    /// Mean absolute error over that of the seasonal naive method within the history before (Hyndman and Koehler 2006);
    /// undefined where that never errs.
    pub mase: Option<f64>,
}

/// Forecasts made from earlier origins, against what then came.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Backtest {
    /// From how many origins.
    pub origins: usize,
    /// Steps ahead that could be checked from each origin; fewer than the horizon where history is short.
    pub steps: usize,
    /// The combination's errors.
    pub errors: Errors,
    /// The errors of the baseline, the seasonal naive method (naive, where there is no season), on the same points.
    pub baseline: Errors,
    /// Share of the points that fell within the 80 % interval made without them.
    pub coverage80: f64,
    /// The same for 95 %.
    pub coverage95: f64,
}

/// What was found in the input.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cleaning {
    /// How many points were missing.
    pub gaps: usize,
    /// Where single points or short bursts stood so far out that some members are fitted without them.
    pub spikes: Vec<usize>,
}

impl Forecast {
    /// The central interval that should hold `level` (0 to 1) of the outcomes. A wider level always contains a narrower one,
    /// and all contain the mean.
    pub fn interval(&self, level: f64) -> Interval {
        let level = if level.is_finite() { level.clamp(0.0, 1.0) } else { 0.0 };
        let tail = (1.0 - level) / 2.0;
        let lower = self.quantile(tail).into_iter().zip(&self.mean).map(|(q, &m)| q.min(m)).collect();
        let upper = self.quantile(1.0 - tail).into_iter().zip(&self.mean).map(|(q, &m)| q.max(m)).collect();
        Interval { level, lower, upper }
    }

    /// The value of each step that a share `p` (0 to 1) of the outcomes stays below. To plan capacity, ask for a high one.
    pub fn quantile(&self, p: f64) -> Vec<f64> {
        let p = if p.is_finite() { p.clamp(0.0, 1.0) } else { 0.5 };
        let unit = self.spread.unit(p);
        let step = |(mean, scale): (&f64, &f64)| (mean + unit * scale).clamp(self.floor, f64::MAX);
        self.mean.iter().zip(&self.spread.scale).map(step).collect()
    }
}
