//! What is asked of a forecast.

/// How far to look, and which seasons to look for.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Steps to forecast beyond the last point.
    pub horizon: usize,
    /// Which seasons the series may have.
    pub seasons: Seasons,
}

/// Which seasons a series may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seasons {
    /// Detected; where the step is known the calendar's day and week are candidates too.
    Auto,
    /// These periods, in steps. None at all is a valid choice.
    Fixed(Vec<usize>),
}

impl Options {
    /// `steps` ahead, seasons detected.
    pub fn horizon(steps: usize) -> Self {
        Options { horizon: steps, seasons: Seasons::Auto }
    }

    /// The same with these periods instead of detected ones.
    pub fn seasons(self, periods: impl Into<Vec<usize>>) -> Self {
        Options { seasons: Seasons::Fixed(periods.into()), ..self }
    }
}
