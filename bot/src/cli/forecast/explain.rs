//! What a forecast is made of, for people at a terminal.

use actions::metric::account;
use forecast::{Forecast, Series};
use std::fmt::Write;

/// A few lines for one series.
pub fn text(name: &str, series: &Series, forecast: &Forecast) -> String {
    let mut out = format!("{name}: {} points, {} steps ahead\n", series.values().len(), forecast.mean.len());
    for (label, said) in account(series, forecast) {
        let _ = writeln!(out, "  {label:<12} {said}");
    }
    out
}
