//! A proposal for an autoscaler: bounds, target, and when to raise the floor before the load comes.

use super::foresight::{CONFIDENCE, floors, needed_now, reaction, rolling, upper};
use super::path::Path;
use super::replay::{Autoscaler, Floor, Outcome, replay};
use super::{Pod, Relation};
use crate::stat::quantile;
use crate::{Forecast, Model, Options, Refusal, Series};
use std::time::Duration;

/// A forecast whose backtest is off by more than this is not acted upon ahead of time.
pub const MOST_MAPE: f64 = 0.15;
/// Nor is one whose 95 % interval held less than this share of what came.
pub const LEAST_COVERAGE: f64 = 0.85;
/// Targets that are proposed, in percent; five apart.
const TARGETS: std::ops::RangeInclusive<u32> = 40..=85;
/// What an autoscaler steers for where there is none to keep.
const USUAL_TARGET: u32 = 70;
/// Minutes a day that any autoscaler may be short for without being called worse.
const FORGIVEN_MINUTES: f64 = 1.0;
/// A gain below this share of the cost is none.
const GAIN: f64 = 0.02;
/// What being short for less long may cost on top.
const MOST_EXTRA: f64 = 0.10;
/// Futures that are gone through for what is expected.
const FUTURES: u32 = 10;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// The load's history, newest last, with a known step.
    pub load: &'a Series,
    /// What it costs.
    pub relation: Relation,
    /// One replica.
    pub pod: Pod,
    /// Replicas now.
    pub replicas: u32,
    /// The autoscaler now, if there is one.
    pub current: Option<Autoscaler>,
    /// Replicas that must always be there.
    pub least: u32,
    /// How far to look.
    pub ahead: Duration,
}

/// The answer.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// Why nothing is done ahead of time; `proposed` then is what was there, or an autoscaler that only reacts.
    pub keep: Option<Keep>,
    /// How well the forecast did.
    pub record: Option<Record>,
    /// Of the load; `None` where there is none at all.
    pub forecast: Option<Forecast>,
    /// What it is compared with: the autoscaler now, or as many replicas as now.
    pub current: Autoscaler,
    /// What is proposed. Its `min` is the floor of now.
    pub proposed: Autoscaler,
    /// When the floor changes, from now on; empty where nothing is done ahead of time.
    pub schedule: Vec<Floor>,
    /// Replicas that carry the load until pods decided on now are ready.
    pub needed_now: u32,
    /// What both would have made of the newest part of the history, forecasts made from what came before.
    pub past: Comparison,
    /// What both are expected to make of the time ahead.
    pub expected: Comparison,
}

/// The autoscaler now, beside the one proposed.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Comparison {
    /// Now.
    pub current: Outcome,
    /// As proposed.
    pub proposed: Outcome,
}

impl Comparison {
    /// The share of the cost that is saved; below zero where it costs more.
    pub fn saving(&self) -> f64 {
        if self.current.requested > 0.0 {
            1.0 - self.proposed.requested / self.current.requested
        } else {
            0.0
        }
    }
}

/// Errors of the backtest; shares, not percent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Record {
    /// Mean absolute percentage error; undefined where the load was zero.
    pub mape: Option<f64>,
    /// Weighted absolute percentage error.
    pub wape: Option<f64>,
    /// Share of outcomes within the 95 % interval.
    pub coverage: f64,
}

/// Why the autoscaler should go on only reacting.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Keep {
    /// There is no forecast.
    #[error("no forecast: {0}")]
    Refused(Refusal),
    /// It errs too much.
    #[error("the forecast was off by {:.0} % (MAPE) in the backtest; above {:.0} % nothing is done ahead of time", mape * 100.0, MOST_MAPE * 100.0)]
    Inaccurate {
        /// Or the weighted one, where a load of zero leaves it undefined.
        mape: f64,
    },
    /// It is more sure than it may be.
    #[error("the 95 % interval held only {:.0} % of what came", coverage * 100.0)]
    Overconfident {
        /// Share held.
        coverage: f64,
    },
    /// It would not have helped.
    #[error(
        "over the last {hours:.0} h it would have been neither cheaper nor shorter of capacity for less long"
    )]
    NoGain {
        /// How long the replay was.
        hours: f64,
    },
}

/// Why there is no answer at all.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NoProposal {
    /// Times matter here.
    #[error("the step of the load's history is not known")]
    NoStep,
    /// Nothing was seen.
    #[error("the load's history holds no number above zero")]
    NoLoad,
    /// A pod cannot carry anything.
    #[error(
        "a pod requests {request} and uses {idle} of it when idle: it carries no load; raise its request first"
    )]
    NoRoom {
        /// Its request.
        request: f64,
        /// Its use without load.
        idle: f64,
    },
}

/// Whether such a record may be acted upon.
pub fn eligible(record: &Record) -> Result<(), Keep> {
    let mape = record.mape.or(record.wape).unwrap_or(f64::INFINITY);
    if mape.is_nan() || mape > MOST_MAPE {
        return Err(Keep::Inaccurate { mape });
    }
    if record.coverage.is_nan() || record.coverage < LEAST_COVERAGE {
        return Err(Keep::Overconfident { coverage: record.coverage });
    }
    Ok(())
}

/// Proposes an autoscaler. Never one that has fewer replicas than are needed now.
pub fn propose(question: &Question<'_>) -> Result<Proposal, NoProposal> {
    let step = question.load.step().filter(|step| !step.is_zero()).ok_or(NoProposal::NoStep)?;
    let pod = question.pod;
    if !(pod.request.is_finite() && pod.carries(*TARGETS.start() as f64 / 100.0) > 0.0) {
        return Err(NoProposal::NoRoom { request: pod.request, idle: pod.idle });
    }
    let demand = question.relation.demand(question.load);
    let values = demand.values();
    if !values.iter().any(|v| *v > 0.0) {
        return Err(NoProposal::NoLoad);
    }
    let steps = (question.ahead.as_secs() / step.as_secs().max(1)).max(1) as usize;
    let fitted = Model::fit(&demand, &Options::horizon(steps)).and_then(|model| model.forecast());
    let (forecast, mut keep) = match fitted {
        Ok(forecast) => (Some(forecast), None),
        Err(refusal) => (refusal.clone().anyway(), Some(Keep::Refused(refusal))),
    };
    let record = forecast.as_ref().map(Record::of);
    if keep.is_none() {
        keep = record.as_ref().and_then(|record| eligible(record).err());
    }
    let ahead = forecast.as_ref().map(|forecast| forecast.quantile(CONFIDENCE)).unwrap_or_default();
    let path = upper(values, &ahead);
    let needed_now = needed_now(&path, step, &pod);
    let current = question
        .current
        .clone()
        .unwrap_or_else(|| Autoscaler::new(question.replicas, question.replicas, 100));

    let tail = (values.len() - values.len().min(steps)).max(values.len() * 3 / 4);
    let before = Before { demand: &demand, from: tail, step, pod, replicas: question.replicas };
    let past_current = before.replay(&current, &[]);
    let mut schedule = Vec::new();
    let mut proposed = reactive(question, &demand, step, needed_now);
    let mut past_proposed = before.replay(&proposed, &[]);
    if keep.is_none() {
        match rolling(&demand, tail, steps, &pod, question.least) {
            Err(refusal) => keep = Some(Keep::Refused(refusal)),
            Ok(floors) => {
                let (target, outcome) = cheapest(&before, &proposed, &floors, &past_current, &current);
                if gains(&outcome, &past_current) {
                    proposed.target = target;
                    past_proposed = outcome;
                    schedule = self::floors(&path, step, &pod, question.least, step * steps as u32);
                } else {
                    keep = Some(Keep::NoGain { hours: outcome.hours });
                }
            }
        }
    }
    if keep.is_some()
        && let Some(current) = &question.current
    {
        proposed = current.clone();
        past_proposed = past_current;
    }
    if let Some(floor) = schedule.first() {
        proposed.min = floor.replicas.max(needed_now);
        proposed.max = most(&proposed, &ahead, &schedule, &pod).max(question.replicas);
    }
    let expected =
        expected(&forecast, values, step, &pod, question.replicas, [&current, &proposed], &schedule);
    let past = Comparison { current: past_current, proposed: past_proposed };
    Ok(Proposal { keep, record, forecast, current, proposed, schedule, needed_now, past, expected })
}

impl Record {
    fn of(forecast: &Forecast) -> Self {
        let backtest = &forecast.backtest;
        Record { mape: backtest.errors.mape, wape: backtest.errors.wape, coverage: backtest.coverage95 }
    }
}

/// An autoscaler that only reacts: what is there, or one for the loads that were seen.
fn reactive(question: &Question<'_>, demand: &Series, step: Duration, needed_now: u32) -> Autoscaler {
    if let Some(current) = &question.current {
        return Autoscaler { max: current.max.max(needed_now), ..current.clone() };
    }
    let target = USUAL_TARGET.min(steepest(demand, step, &question.pod));
    let share = f64::from(target) / 100.0;
    let mut seen: Vec<f64> = demand.values().iter().copied().filter(|v| v.is_finite()).collect();
    let low = question.pod.needed(quantile(&mut seen, 0.05), share);
    let high = question.pod.needed(quantile(&mut seen, 1.0), share);
    let min = low.max(question.least).max(1);
    Autoscaler::new(
        min,
        high.saturating_add(high / 2).max(min).max(needed_now).max(question.replicas),
        target,
    )
}

/// The highest target whose reserve outlasts 99 of 100 rises within the reaction time, were nothing foreseen.
fn steepest(demand: &Series, step: Duration, pod: &Pod) -> u32 {
    let values = demand.values();
    let usual = quantile(&mut values.iter().copied().filter(|v| v.is_finite()).collect::<Vec<_>>(), 0.5);
    let line = Path::new(values, step);
    let mut rises: Vec<f64> = (0..values.len().saturating_sub(1))
        .map(|index| index as f64 * step.as_secs_f64())
        .map(|at| line.most(at, at + reaction(pod).as_secs_f64()) / line.at(at).max(0.05 * usual))
        .filter(|rise| rise.is_finite())
        .collect();
    let rise = if rises.is_empty() { 1.0 } else { quantile(&mut rises, 0.99).max(1.0) };
    ((100.0 / rise) as u32 / 5 * 5).clamp(*TARGETS.start(), *TARGETS.end())
}

/// The newest part of the history, gone through again.
struct Before<'a> {
    demand: &'a Series,
    from: usize,
    step: Duration,
    pod: Pod,
    replicas: u32,
}

impl Before<'_> {
    fn replay(&self, spec: &Autoscaler, floors: &[Floor]) -> Outcome {
        let load = &self.demand.values()[self.from..];
        let begin = load.iter().copied().find(|v| v.is_finite()).unwrap_or(0.0);
        let replicas = self
            .pod
            .needed(begin, f64::from(spec.target.max(1)) / 100.0)
            .clamp(spec.min.min(spec.max), spec.max);
        // Without an autoscaler there are as many as now.
        let replicas = if spec.min == spec.max { self.replicas } else { replicas };
        replay(load, self.step, &self.pod, spec, floors, replicas)
    }
}

/// The best target: one that gains, with the lowest cost of those that are short for no longer than the autoscaler now, else
/// the one that is short for the least time.
fn cheapest(
    before: &Before<'_>,
    proposed: &Autoscaler,
    floors: &[Floor],
    now: &Outcome,
    current: &Autoscaler,
) -> (u32, Outcome) {
    let most = steepest(before.demand, before.step, &before.pod);
    let allowed = now.under_minutes.max(FORGIVEN_MINUTES * now.hours / 24.0);
    let low = floors.iter().map(|floor| floor.replicas).min().unwrap_or(current.min);
    let tried = TARGETS.step_by(5).filter(|&target| target <= most).map(|target| {
        let spec = Autoscaler { min: low, target, ..proposed.clone() };
        (target, before.replay(&spec, floors))
    });
    let order = |a: &Outcome, b: &Outcome| {
        let short = |outcome: &Outcome| outcome.under_minutes.max(allowed);
        let worse = gains(b, now).cmp(&gains(a, now));
        worse.then(short(a).total_cmp(&short(b))).then(a.requested.total_cmp(&b.requested))
    };
    tried.min_by(|a, b| order(&a.1, &b.1)).unwrap_or((*TARGETS.start(), *now))
}

/// Cheaper without being short for longer, or short for less long and not much dearer.
fn gains(proposed: &Outcome, current: &Outcome) -> bool {
    let forgiven = FORGIVEN_MINUTES * current.hours / 24.0;
    let no_worse = proposed.under_minutes <= current.under_minutes.max(forgiven);
    let cheaper = proposed.requested < current.requested * (1.0 - GAIN);
    let safer = proposed.under_minutes < current.under_minutes - forgiven;
    let affordable = proposed.requested <= current.requested * (1.0 + MOST_EXTRA);
    (no_worse && cheaper) || (safer && affordable)
}

/// Room for the highest load foreseen at the target, for what the floors ask, and never less than before: a maximum costs nothing
/// until it is needed.
fn most(proposed: &Autoscaler, ahead: &[f64], schedule: &[Floor], pod: &Pod) -> u32 {
    let peak = ahead.iter().copied().fold(0.0, f64::max);
    let foreseen = pod.needed(peak, f64::from(proposed.target) / 100.0);
    let floors = schedule.iter().map(|floor| floor.replicas).max().unwrap_or(0);
    foreseen.max(floors).max(proposed.max).max(proposed.min)
}

/// Both over equally likely futures: the forecast's quantiles as loads, since its errors last.
fn expected(
    forecast: &Option<Forecast>,
    past: &[f64],
    step: Duration,
    pod: &Pod,
    replicas: u32,
    [current, proposed]: [&Autoscaler; 2],
    schedule: &[Floor],
) -> Comparison {
    let Some(forecast) = forecast else { return Comparison::default() };
    let futures: Vec<Vec<f64>> = (0..FUTURES)
        .map(|i| upper(past, &forecast.quantile((f64::from(i) + 0.5) / f64::from(FUTURES))))
        .collect();
    let all = |spec: &Autoscaler, floors: &[Floor]| {
        let told: Vec<Outcome> =
            futures.iter().map(|load| replay(load, step, pod, spec, floors, replicas)).collect();
        Outcome::mean(&told)
    };
    // Of the proposed one the minimum follows the schedule; what is in force now is its first entry.
    let low = schedule.iter().map(|floor| floor.replicas).min().unwrap_or(proposed.min);
    let scheduled = Autoscaler { min: low.min(proposed.min), ..proposed.clone() };
    Comparison { current: all(current, &[]), proposed: all(&scheduled, schedule) }
}

#[cfg(test)]
#[path = "hpa_tests.rs"]
mod tests;
