//! All that is learnt from a series.

use crate::basis::Basis;
use crate::clean::{fill, fill_along, spikes, without};
use crate::combine::{Plan, Trial, combine};
use crate::decompose::components;
use crate::errors::{Tally, naive_error};
use crate::history::History;
use crate::member::{Fitted, learn};
use crate::scale::Scale;
use crate::season::periods;
use crate::spread::{Spread, coverage};
use crate::structure::Structure;
use crate::{Backtest, Components, Decomposer, Errors, Member, MemberKind, Options, Series};

/// Members, weights, backtest and spread, in plain units until they leave.
#[derive(Debug, Clone)]
pub(crate) struct Fit {
    /// As given, and without spikes where there were any.
    histories: Vec<History>,
    periods: Vec<usize>,
    structure: Structure,
    members: Vec<Fitted>,
    /// Of the members, in the same order.
    pub records: Vec<Member>,
    pub backtest: Backtest,
    pub spread: Spread,
    /// Indices.
    pub spikes: Vec<usize>,
    /// Backtest error of guessing the usual value, over that of the combination.
    pub guess: f64,
}

impl Fit {
    /// `None` where all values are the same. What is not a number is a gap.
    pub fn new(series: &Series, options: &Options, non_negative: bool) -> Option<Self> {
        let scale = Scale::of(&series.values, non_negative)?;
        let observed: Vec<f64> = series.values.iter().map(|&v| scale.inward(v)).collect();
        let mut filled = fill(&observed);
        let length = filled.len();
        let plan = Plan::new(length, options.horizon);
        let learnt = plan.origins[0];
        let periods = periods(&options.seasons, series, &filled, learnt);
        let damping = 1.0 - 2.0 / (options.horizon as f64 + 1.0).max(2.0);
        let structure = Decomposer::new(length, &periods).structure(&filled, damping);
        let shape = structure.values(0, length);
        if observed.iter().any(|v| v.is_nan()) {
            filled = fill_along(&observed, &shape);
        }
        let spikes = spikes(&filled, &shape);
        let mut histories = Vec::with_capacity(2);
        if !spikes.is_empty() {
            histories.push(History::new(scale.clone(), without(&spikes, &filled, &shape)));
        }
        histories.insert(0, History::new(scale, filled));

        let shortest = &periods[..periods.len().min(1)];
        let taught = |upto: usize| {
            let basis = Basis::new(upto, shortest);
            let members = histories.iter().enumerate();
            members.flat_map(|(k, history)| learn(history, k > 0, upto, &periods, &basis, damping)).collect()
        };
        let (mut early, mut members): (Vec<Fitted>, Vec<Fitted>) = (taught(learnt), taught(length));
        early.retain(|e| members.iter().any(|m| m.is(e)));
        members.retain(|m| early.iter().any(|e| e.is(m)));
        let floor = if non_negative { histories[0].scale.inward(0.0) } else { f64::NEG_INFINITY };
        let trial = Trial::run(&plan, &early, &histories, &observed, floor);

        let scale = &histories[0].scale;
        let naive = naive_error(&observed[..learnt], periods.first().copied().unwrap_or(1));
        let tally = |said: &[Vec<f64>]| {
            let mut tally = Tally::default();
            for (said, actual) in said.iter().zip(&trial.actual) {
                said.iter().zip(actual).for_each(|(&s, &a)| tally.add(scale.outward(s), scale.outward(a)));
            }
            tally.errors(scale.outward_difference(naive))
        };
        let record = |((member, &weight), said): ((&Fitted, &f64), &Vec<Vec<f64>>)| Member {
            kind: member.kind,
            cleaned: member.cleaned,
            weight,
            errors: tally(said),
        };
        let records: Vec<Member> = members.iter().zip(&trial.weights).zip(&trial.said).map(record).collect();
        let baseline = if periods.is_empty() { MemberKind::Naive } else { MemberKind::SeasonalNaive };
        let baseline = records.iter().find(|r| r.kind == baseline).map_or(Errors::default(), |r| r.errors);
        let own = tally(&trial.combined);
        let usual: Vec<Vec<f64>> = trial.actual.iter().map(|a| vec![0.0; a.len()]).collect();
        let guess = match (tally(&usual).wape, own.wape) {
            (Some(guess), Some(own)) if own > 0.0 => guess / own,
            _ => f64::INFINITY,
        };
        let missed = |(said, actual): (&Vec<f64>, &Vec<f64>)| {
            said.iter().zip(actual).map(|(s, a)| scale.outward_difference(a - s)).collect()
        };
        let errors: Vec<Vec<f64>> = trial.combined.iter().zip(&trial.actual).map(missed).collect();
        let backtest = Backtest {
            origins: plan.origins.len(),
            steps: plan.steps,
            errors: own,
            baseline,
            coverage80: coverage(&errors, 0.8),
            coverage95: coverage(&errors, 0.95),
        };
        let spread = Spread::new(&errors, options.horizon);
        Some(Fit { histories, periods, structure, members, records, backtest, spread, spikes, guess })
    }

    /// How many values it has learnt from.
    pub fn learnt(&self) -> usize {
        self.structure.length
    }

    /// Moves on by one value in the caller's units; a gap repeats the last season.
    pub fn follow(&mut self, value: f64) {
        for history in &mut self.histories {
            let back = self.periods.first().copied().unwrap_or(1);
            let before = history.plain[history.plain.len() - back];
            let plain = history.scale.inward(value);
            history.push(if plain.is_nan() { before } else { plain });
        }
    }

    /// The combination from the last value on, in the caller's units.
    pub fn ahead(&self, horizon: usize) -> Vec<f64> {
        let origin = self.histories[0].plain.len();
        let said: Vec<Vec<f64>> =
            self.members.iter().map(|m| m.ahead(&self.histories, origin, horizon)).collect();
        let said: Vec<&[f64]> = said.iter().map(|s| &s[..]).collect();
        let weights: Vec<f64> = self.records.iter().map(|r| r.weight).collect();
        combine(&said, &weights).iter().map(|&v| self.histories[0].scale.outward(v)).collect()
    }

    /// In the caller's units.
    pub fn components(&self, end: usize) -> Components {
        let scale = &self.histories[0].scale;
        let mut out = components(&self.structure, &self.histories[0].plain[..self.structure.length], end);
        out.trend.iter_mut().for_each(|v| *v = scale.outward(*v));
        for season in &mut out.seasons {
            season.values.iter_mut().for_each(|v| *v = scale.outward_difference(*v));
        }
        for turn in &mut out.changepoints {
            turn.slope_before = scale.outward_difference(turn.slope_before);
            turn.slope_after = scale.outward_difference(turn.slope_after);
        }
        out
    }
}
