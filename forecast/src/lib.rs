//! Forecasts of regular series of load: where it is going, how sure that is, and why.
//!
//! ```
//! use forecast::{Options, Series, forecast};
//! use std::time::Duration;
//!
//! let load = (0..14 * 24).map(|hour| 100.0 + 40.0 * (f64::from(hour % 24) / 24.0 * std::f64::consts::TAU).sin());
//! let series = Series::new(load.collect()).every(Duration::from_secs(3600));
//! let answer = forecast(&series, &Options::horizon(48)).expect("two weeks are enough");
//! let band = answer.interval(0.95);
//! assert_eq!(answer.mean.len(), 48);
//! assert!(band.lower[0] <= answer.mean[0] && answer.mean[0] <= band.upper[0]);
//! ```
//!
//! It promises: the same input gives the same bits; finite numbers out for any input; intervals that are ordered, nested, and
//! never below zero for a series that cannot be; cost that grows linearly with length; a [`Refusal`] with its reason instead
//! of a number nobody should trust. The method, its sources and its limits stand in `docs/FORECAST.md`.
//!
//! [`capacity`] goes on from there: how many replicas, how large, on how many nodes.
//!
//! Deliberately not here: I/O, clocks, threads (callers forecast many series in parallel), time zones, charts, Kubernetes types, and
//! (outside of [`capacity`]) any knowledge of what the numbers measure.

mod answer;
mod autoregression;
mod basis;
pub mod capacity;
mod clean;
mod combine;
mod decompose;
mod dense;
mod errors;
mod fit;
mod history;
mod lasso;
mod member;
mod model;
mod options;
mod refusal;
mod scale;
mod season;
mod series;
mod spread;
mod stat;
mod structure;

pub use answer::{
    Backtest, Changepoint, Cleaning, Components, Errors, Forecast, Interval, Member, MemberKind, Season,
};
pub use decompose::Decomposer;
pub use model::Model;
pub use options::{Options, Seasons};
pub use refusal::Refusal;
pub use series::{NotASeries, Series};

/// Forecasts a series in one go. [`Model`] does the same and can then follow the series as it grows.
pub fn forecast(series: &Series, options: &Options) -> Result<Forecast, Refusal> {
    Model::fit(series, options)?.forecast()
}
