//! Why there is no forecast to rely on.

use crate::Forecast;

/// A reason not to forecast, with what was found.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// Too few points to fit anything and to check it.
    #[error("too short: {have} points, and this horizon needs {need}; collect more or ask for less")]
    TooShort {
        /// Points that are numbers.
        have: usize,
        /// Points that this horizon needs.
        need: usize,
    },
    /// Too many holes.
    #[error("too gappy: {missing} of {total} points are missing; fill the gaps or use a coarser step")]
    TooGappy {
        /// Points without a number.
        missing: usize,
        /// Points in all.
        total: usize,
    },
    /// Nothing to ask for.
    #[error("a forecast of {horizon} steps was asked; ask for 1 to {most}")]
    Horizon {
        /// What was asked.
        horizon: usize,
        /// The most that can be asked.
        most: usize,
    },
    /// In the backtest nothing did better than guessing the usual value, and that was off by more than the load itself.
    #[error("too random: past forecasts were off by {:.0} % of the load, no better than guessing the usual value", wape * 100.0)]
    TooRandom {
        /// Mean absolute error of the backtest over the mean absolute value.
        wape: f64,
        /// What would have been said, for who wants to see it all the same.
        forecast: Box<Forecast>,
    },
}

impl Refusal {
    /// The forecast that is not to be relied on, where there is one.
    pub fn anyway(self) -> Option<Forecast> {
        match self {
            Refusal::TooRandom { forecast, .. } => Some(*forecast),
            _ => None,
        }
    }
}
