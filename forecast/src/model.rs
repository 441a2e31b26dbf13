//! A fitted model that answers, and follows its series as it grows.

use crate::fit::Fit;
use crate::spread::Spread;
use crate::{Backtest, Cleaning, Components, Errors, Forecast, Member, MemberKind, Options, Refusal, Series};

/// The longest horizon that can be asked.
const MOST_AHEAD: usize = 100_000;
/// The shortest history, whatever the horizon.
const LEAST_POINTS: usize = 16;
/// A new fit is due when the series has grown by one part in this many.
const REFIT: usize = 10;
/// A backtest error about as large as the load itself, where guessing the usual value does about as well, is no forecast.
const RANDOM: (f64, f64) = (0.9, 1.05);

/// A fitted model that can follow its series.
#[derive(Debug, Clone)]
pub struct Model {
    series: Series,
    options: Options,
    non_negative: bool,
    /// Nothing to fit where all values are the same.
    fit: Option<Fit>,
}

impl Model {
    /// Fits all members and their weights.
    pub fn fit(series: &Series, options: &Options) -> Result<Self, Refusal> {
        let total = series.values.len();
        let have = series.values.iter().filter(|v| v.is_finite()).count();
        if options.horizon == 0 || options.horizon > MOST_AHEAD {
            return Err(Refusal::Horizon { horizon: options.horizon, most: MOST_AHEAD });
        }
        let need = options.horizon.max(LEAST_POINTS);
        if have < need {
            return Err(Refusal::TooShort { have, need });
        }
        if have * 2 < total {
            return Err(Refusal::TooGappy { missing: total - have, total });
        }
        let never_below = || series.values.iter().all(|v| !v.is_finite() || *v >= 0.0);
        let non_negative = series.non_negative.unwrap_or_else(never_below);
        let values = series.values.iter().map(|&v| taken(v, non_negative)).collect();
        let series = Series { values, ..series.clone() };
        let fit = Fit::new(&series, options, non_negative);
        Ok(Model { series, options: options.clone(), non_negative, fit })
    }

    /// Takes the newest points into account, at far less than the cost of a new fit: what was learnt (seasons, trend, weights,
    /// widths) stays, levels move on. What is not a finite number is a gap. Once the series has grown by a tenth it is fitted
    /// anew, so that the cost per point stays small and what was learnt does not go stale.
    pub fn extend(&mut self, newest: &[f64]) {
        for &value in newest {
            let value = taken(value, self.non_negative);
            self.series.values.push(value);
            if let Some(fit) = &mut self.fit {
                fit.follow(value);
            }
        }
        let length = self.series.values.len();
        if self.fit.as_ref().is_none_or(|fit| (length - fit.learnt()) * REFIT >= fit.learnt()) {
            self.fit = Fit::new(&self.series, &self.options, self.non_negative);
        }
    }

    /// The forecast from the last point.
    pub fn forecast(&self) -> Result<Forecast, Refusal> {
        let Some(fit) = &self.fit else { return Ok(self.constant()) };
        let horizon = self.options.horizon;
        let floor = self.floor();
        let mean = fit.ahead(horizon).iter().map(|v| v.max(floor)).collect();
        let mut members = fit.records.clone();
        members.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        let forecast = Forecast {
            mean,
            components: fit.components(self.series.values.len() + horizon),
            members,
            backtest: fit.backtest.clone(),
            cleaning: Cleaning { gaps: self.gaps(), spikes: fit.spikes.clone() },
            spread: fit.spread.clone(),
            floor,
        };
        match fit.backtest.errors.wape {
            Some(wape) if wape > RANDOM.0 && fit.guess < RANDOM.1 => {
                Err(Refusal::TooRandom { wape, forecast: Box::new(forecast) })
            }
            _ => Ok(forecast),
        }
    }

    fn floor(&self) -> f64 {
        if self.non_negative { 0.0 } else { f64::MIN }
    }

    fn gaps(&self) -> usize {
        self.series.values.iter().filter(|v| v.is_nan()).count()
    }

    /// All values so far were the same: so will be the next.
    fn constant(&self) -> Forecast {
        let (horizon, length) = (self.options.horizon, self.series.values.len());
        let last = self.series.values.iter().rev().copied().find(|v| v.is_finite()).unwrap_or(0.0);
        let naive =
            Member { kind: MemberKind::Naive, cleaned: false, weight: 1.0, errors: Errors::default() };
        Forecast {
            mean: vec![last; horizon],
            components: Components { trend: vec![last; length + horizon], ..Components::default() },
            members: vec![naive],
            backtest: Backtest::default(),
            cleaning: Cleaning { gaps: self.gaps(), spikes: Vec::new() },
            spread: Spread::new(&[], horizon),
            floor: self.floor(),
        }
    }
}

/// A value as the model takes it: gaps are not numbers, and what cannot be negative is not.
fn taken(value: f64, non_negative: bool) -> f64 {
    match value {
        value if !value.is_finite() => f64::NAN,
        value if non_negative => value.max(0.0),
        value => value,
    }
}

#[cfg(test)]
mod test {
    use super::*;
    use crate::stat::LOOKED_AT;

    #[test]
    fn twice_the_history_costs_at_most_about_twice_and_following_costs_no_history_at_all() {
        let series = |n: usize| {
            let value = |t: usize| 50.0 + 10.0 * (t as f64 / 24.0).sin() + ((t * 7919) % 101) as f64 / 30.0;
            Series::new((0..n).map(value).collect())
        };
        let options = Options::horizon(24).seasons([24, 168]);
        let fit = |n: usize| {
            LOOKED_AT.set(0);
            let model = Model::fit(&series(n), &options).unwrap();
            (model, LOOKED_AT.get())
        };
        let mut before = fit(2000).1;
        for n in [4000, 8000, 16_000, 32_000] {
            let (mut model, cost) = fit(n);
            assert!(cost < before * 23 / 10, "{n}: {cost} after {before}");
            before = cost;
            LOOKED_AT.set(0);
            model.extend(&[51.0; 12]);
            model.fit.as_ref().unwrap().ahead(24);
            assert!(LOOKED_AT.get() < 20_000, "{}", LOOKED_AT.get());
        }
    }
}
