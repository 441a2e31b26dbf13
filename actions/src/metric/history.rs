//! What a workload used, as a series that a forecast of a given length needs.

use super::{client::Prometheus, error::MetricError, range::Range, template::Scope};
use crate::query::age::duration;
use forecast::{Forecast, Options, Refusal, Series, forecast};
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

/// Why there is no number to rely on; says what to do.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NoForecast {
    /// Not one sample.
    #[error("there is no sample of it: {promql}")]
    Missing {
        /// As asked.
        promql: String,
    },
    /// The load since then is not known; a forecast from there would be an old number.
    #[error("the newest sample is {age} old; look at whether Prometheus scrapes it")]
    Stale {
        /// `3h`.
        age: String,
    },
    /// Less than this horizon needs.
    #[error("{have} of history is too short, {horizon} ahead needs {need}")]
    TooShort {
        /// `3h`.
        have: String,
        /// `24h`.
        horizon: String,
        /// `2d`.
        need: String,
    },
    /// Too many holes.
    #[error("{missing} of {total} samples are missing; look at whether Prometheus could scrape")]
    TooGappy {
        /// Steps without a sample.
        missing: usize,
        /// Steps in all.
        total: usize,
    },
    /// Anything else, as the forecast says it.
    #[error("{0}")]
    Refused(String),
}

/// Samples older than this many steps are too old to start from.
const STALE_STEPS: u64 = 12;

impl History {
    /// What will probably follow. Some tens of milliseconds of arithmetic, which async threads are not for.
    pub fn forecast(self, horizon: Duration, now: Timestamp) -> Result<(Series, Forecast), NoForecast> {
        let (_, step) = resolution(horizon);
        let (Some(series), Some(newest)) = (self.series, self.newest) else {
            return Err(NoForecast::Missing { promql: self.promql });
        };
        let age = now.as_second() - newest;
        if age > (STALE_STEPS * step.as_secs()) as i64 {
            return Err(NoForecast::Stale { age: duration(age) });
        }
        let steps = (horizon.as_secs() / step.as_secs()) as usize;
        match forecast(&series, &Options::horizon(steps)) {
            Ok(forecast) => Ok((series, forecast)),
            // In the words of somebody who did not choose the step.
            Err(Refusal::TooShort { have, need }) => {
                let lasting = |points: usize| duration((points as u64 * step.as_secs()) as i64);
                let horizon = duration(horizon.as_secs() as i64);
                Err(NoForecast::TooShort { have: lasting(have), horizon, need: lasting(need) })
            }
            Err(Refusal::TooGappy { missing, total }) => Err(NoForecast::TooGappy { missing, total }),
            Err(refusal) => Err(NoForecast::Refused(refusal.to_string())),
        }
    }
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
