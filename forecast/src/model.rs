//! Fitting, following the series as it grows, and answering.

use crate::basis::Basis;
use crate::combine::{Plan, Trial, combine};
use crate::errors::{Tally, naive_error};
use crate::history::History;
use crate::member::{Fitted, learn};
use crate::scale::Scale;
use crate::spread::Spread;
use crate::structure::{Structure, Trend};
use crate::{
    Backtest, Changepoint, Cleaning, Components, Errors, Forecast, Member, MemberKind, Options, Refusal,
    Season, Series,
};

/// The longest horizon that can be asked.
const MOST_AHEAD: usize = 100_000;
/// The shortest history, whatever the horizon.
const LEAST_POINTS: usize = 16;

/// A fitted model that can follow its series.
#[derive(Debug, Clone)]
pub struct Model {
    options: Options,
    values: Vec<f64>,
    floor: f64,
    cleaning: Cleaning,
    /// Nothing to fit where all values are the same.
    fit: Option<Fit>,
}

#[derive(Debug, Clone)]
struct Fit {
    history: History,
    periods: Vec<usize>,
    structure: Structure,
    members: Vec<Fitted>,
    records: Vec<Member>,
    backtest: Backtest,
    spread: Spread,
    /// Backtest error of guessing the median, over that of the combination.
    guess: f64,
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
        let floor = if non_negative { 0.0 } else { f64::MIN };
        let values: Vec<f64> =
            series.values.iter().map(|&v| if v.is_finite() { v.max(floor) } else { f64::NAN }).collect();
        let cleaning = Cleaning { gaps: total - have, spikes: Vec::new() };
        let fit =
            Scale::of(&values, non_negative).map(|scale| Fit::new(series, options, &values, scale, floor));
        Ok(Model { options: options.clone(), values, floor, cleaning, fit })
    }

    /// Takes the newest points into account, at far less than the cost of a new fit: what was learnt (seasons, trend, weights)
    /// stays, levels move on. What is not a finite number is a gap.
    pub fn extend(&mut self, newest: &[f64]) {
        for &value in newest {
            let value = if value.is_finite() { value.max(self.floor) } else { f64::NAN };
            self.values.push(value);
            if let Some(fit) = &mut self.fit {
                let plain = fit.history.scale.inward(value);
                let back = fit.periods.first().copied().unwrap_or(1);
                let guess = fit.history.plain[fit.history.plain.len() - back];
                fit.history.push(if plain.is_nan() { guess } else { plain });
            }
        }
    }

    /// The forecast from the last point.
    pub fn forecast(&self) -> Result<Forecast, Refusal> {
        let Some(fit) = &self.fit else { return Ok(self.constant()) };
        let horizon = self.options.horizon;
        let scale = &fit.history.scale;
        let origin = fit.history.plain.len();
        let said: Vec<Vec<f64>> =
            fit.members.iter().map(|m| m.ahead(&fit.history, origin, horizon)).collect();
        let said: Vec<&[f64]> = said.iter().map(|s| &s[..]).collect();
        let weights: Vec<f64> = fit.records.iter().map(|r| r.weight).collect();
        let mean = combine(&said, &weights).iter().map(|&v| scale.outward(v).max(self.floor)).collect();
        let mut members = fit.records.clone();
        members.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        let forecast = Forecast {
            mean,
            components: fit.components(origin + horizon),
            members,
            backtest: fit.backtest.clone(),
            cleaning: self.cleaning.clone(),
            spread: fit.spread.clone(),
            floor: self.floor,
        };
        let wape = fit.backtest.errors.wape.unwrap_or(0.0);
        if wape > 1.0 && fit.guess < 1.05 {
            return Err(Refusal::TooRandom { wape, forecast: Box::new(forecast) });
        }
        Ok(forecast)
    }

    /// All values so far were the same: so will be the next.
    fn constant(&self) -> Forecast {
        let horizon = self.options.horizon;
        let last = self.values.iter().rev().copied().find(|v| v.is_finite()).unwrap_or(0.0);
        Forecast {
            mean: vec![last; horizon],
            components: Components {
                trend: vec![last; self.values.len() + horizon],
                ..Components::default()
            },
            members: vec![Member { kind: MemberKind::Naive, weight: 1.0, errors: Errors::default() }],
            backtest: Backtest::default(),
            cleaning: self.cleaning.clone(),
            spread: Spread::new(&[], horizon),
            floor: self.floor,
        }
    }
}

impl Fit {
    fn new(series: &Series, options: &Options, values: &[f64], scale: Scale, floor: f64) -> Self {
        let observed: Vec<f64> = values.iter().map(|&v| scale.inward(v)).collect();
        let filled = crate::clean::fill(&observed);
        let length = filled.len();
        let plan = Plan::new(length, options.horizon);
        let learnt = plan.origins[0];
        let periods = crate::season::periods(&options.seasons, series, &filled, learnt);
        let first: &[usize] = &periods[..periods.len().min(1)];
        let history = History::new(scale, filled);
        let damping = 1.0 - 2.0 / (options.horizon as f64 + 1.0).max(2.0);

        let mut early = learn(&history, learnt, &periods, &Basis::new(learnt, first), damping);
        let mut members = learn(&history, length, &periods, &Basis::new(length, first), damping);
        early.retain(|e| members.iter().any(|m| m.kind == e.kind));
        members.retain(|m| early.iter().any(|e| e.kind == m.kind));
        let inner_floor = if floor == 0.0 { history.scale.inward(0.0) } else { f64::NEG_INFINITY };
        let trial = Trial::run(&plan, &early, &history, &observed, inner_floor);
        let structure =
            Structure::fit(&Basis::new(length, &periods), &history.plain, Trend::Piecewise, damping);

        let season = periods.first().copied().unwrap_or(1);
        let naive = history.scale.outward_difference(naive_error(&observed[..learnt], season));
        let outward = |v: f64| history.scale.outward(v);
        let tally = |said: &[Vec<f64>]| {
            let mut tally = Tally::default();
            for (said, actual) in said.iter().zip(&trial.actual) {
                said.iter().zip(actual).for_each(|(&s, &a)| tally.add(outward(s), outward(a)));
            }
            tally.errors(naive)
        };
        let records: Vec<Member> = members
            .iter()
            .zip(&trial.weights)
            .zip(&trial.said)
            .map(|((member, &weight), said)| Member { kind: member.kind, weight, errors: tally(said) })
            .collect();
        let baseline = if periods.is_empty() { MemberKind::Naive } else { MemberKind::SeasonalNaive };
        let baseline = records.iter().find(|r| r.kind == baseline).map_or(Errors::default(), |r| r.errors);
        let errors: Vec<Vec<f64>> = trial
            .combined
            .iter()
            .zip(&trial.actual)
            .map(|(said, actual)| {
                said.iter().zip(actual).map(|(s, a)| history.scale.outward_difference(a - s)).collect()
            })
            .collect();
        let guess: Vec<Vec<f64>> = trial.actual.iter().map(|a| vec![0.0; a.len()]).collect();
        let own = tally(&trial.combined);
        let guess = match (tally(&guess).wape, own.wape) {
            (Some(guess), Some(own)) if own > 0.0 => guess / own,
            _ => f64::INFINITY,
        };
        let backtest = Backtest {
            origins: plan.origins.len(),
            steps: plan.steps,
            errors: own,
            baseline,
            coverage80: crate::spread::coverage(&errors, 0.8),
            coverage95: crate::spread::coverage(&errors, 0.95),
        };
        let spread = Spread::new(&errors, options.horizon);
        Fit { history, periods, structure, members, records, backtest, spread, guess }
    }

    fn components(&self, end: usize) -> Components {
        let scale = &self.history.scale;
        let trend = self.structure.trend(0, end).into_iter().map(|v| scale.outward(v)).collect();
        let seasons = self
            .structure
            .profiles
            .iter()
            .map(|(period, profile)| Season {
                period: *period,
                strength: 0.0,
                values: (0..end).map(|t| scale.outward_difference(profile[t % period])).collect(),
            })
            .collect();
        let mut slope = self.structure.slope;
        let changepoints = self
            .structure
            .turns
            .iter()
            .map(|&(index, change)| {
                let before = slope;
                slope += change;
                Changepoint {
                    index,
                    slope_before: scale.outward_difference(before),
                    slope_after: scale.outward_difference(slope),
                }
            })
            .collect();
        Components { trend, seasons, changepoints }
    }
}
