//! What a workload used, as a series that a forecast of a given length needs.

use super::{client::Prometheus, error::MetricError, range::Range, template::Scope};
use forecast::Series;
use jiff::Timestamp;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

/// The measured past of one metric.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    /// As asked.
    pub promql: String,
    /// Up to the step that was the last one when it was asked; None: there is no sample at all.
    pub series: Option<Series>,
    /// Of the newest sample, in Unix seconds.
    pub newest: Option<i64>,
    /// Not every store answered: parts may be missing.
    pub warnings: Vec<String>,
}

/// How far back to look and in what steps, for a forecast of this length: at most 300 steps ahead, weeks enough to know a week, and
/// six horizons, because that is how far a forecast can be checked.
pub fn resolution(horizon: Duration) -> (Duration, Duration) {
    let fits = |step: &u64| horizon.as_secs() <= 300 * step;
    let step = Duration::from_secs([60, 300, 900, 1800].into_iter().find(fits).unwrap_or(3600));
    let weeks = if step.as_secs() == 60 { 14 * DAY } else { 28 * DAY };
    (weeks.max(6 * horizon), step)
}

impl Prometheus {
    /// Asks for as much of the past as a forecast of `horizon` needs.
    pub async fn history(
        &self,
        metric: &str,
        scope: Scope<'_>,
        horizon: Duration,
        now: Timestamp,
    ) -> Result<History, MetricError> {
        let (length, step) = resolution(horizon);
        let promql = self.metric(metric, scope, step)?.promql;
        let range = Range::before(now, length, step);
        let answer = self.line(&promql, range).await?;
        let newest = answer.data.iter().rev().find(|(_, value)| value.is_finite()).map(|(at, _)| *at);
        Ok(History { promql, series: range.series(&answer.data), newest, warnings: answer.warnings })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_forecast_takes_longer_steps_and_looks_further_back() {
        let hours = |hours: u64| {
            let (length, step) = resolution(Duration::from_secs(hours * 3600));
            (length.as_secs() / 86_400, step.as_secs() / 60)
        };
        assert_eq!(
            [hours(1), hours(24), hours(7 * 24), hours(30 * 24)],
            [(14, 1), (28, 5), (42, 60), (180, 60)]
        );
    }
}
