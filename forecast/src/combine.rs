//! The rolling-origin backtest, the weights that follow from it, and the combination.

use crate::history::History;
use crate::member::Fitted;
use crate::stat::{central_mean, mean};

/// How strongly a smaller error counts: weights go with error to the power of minus this.
const SHARPNESS: f64 = 3.5;
/// Errors below this, in units of the series' mean deviation, are all the same.
const NEGLIGIBLE: f64 = 1e-6;

/// From where the past is forecast, and how far.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Plan {
    /// Ascending; the members learn up to the first only.
    pub origins: Vec<usize>,
    pub steps: usize,
}

impl Plan {
    /// Half-overlapping windows over the last four horizons, less where the history is short.
    pub fn new(length: usize, horizon: usize) -> Self {
        let steps = horizon.min(length / 6).max(1);
        let span = (4 * steps).min(length / 3).max(steps);
        let stride = steps.div_ceil(2);
        let count = (span - steps) / stride + 1;
        let origins = (0..count).rev().map(|back| length - steps - back * stride).collect();
        Plan { origins, steps }
    }
}

/// What the members said in the backtest, and what it teaches.
#[derive(Debug, Clone)]
pub(crate) struct Trial {
    /// By origin and step; a gap is not a number.
    pub actual: Vec<Vec<f64>>,
    /// By member, origin and step.
    pub said: Vec<Vec<Vec<f64>>>,
    /// By origin and step: the combination whose weights have not seen that origin.
    pub combined: Vec<Vec<f64>>,
    /// By member.
    pub weights: Vec<f64>,
}

impl Trial {
    /// `observed` is the history with its gaps; `floor` the least value possible.
    pub fn run(plan: &Plan, members: &[Fitted], histories: &[History], observed: &[f64], floor: f64) -> Self {
        let actual: Vec<Vec<f64>> =
            plan.origins.iter().map(|&origin| observed[origin..origin + plan.steps].to_vec()).collect();
        let ahead = |member: &Fitted, origin| {
            let mut said = member.ahead(histories, origin, plan.steps);
            said.iter_mut().for_each(|v| *v = v.max(floor));
            said
        };
        let said: Vec<Vec<Vec<f64>>> =
            members.iter().map(|m| plan.origins.iter().map(|&origin| ahead(m, origin)).collect()).collect();
        let log_errors: Vec<Vec<f64>> = said
            .iter()
            .map(|member| member.iter().zip(&actual).map(|(said, actual)| log_error(said, actual)).collect())
            .collect();
        let origins = plan.origins.len();
        let combined = (0..origins)
            .map(|origin| {
                // Windows overlap by half: the neighbours have seen this one too.
                let unseen = |other: usize| other.abs_diff(origin) > 1 || origins <= 3 && other != origin;
                let weights = weights(members, &log_errors, unseen);
                let said: Vec<&[f64]> = said.iter().map(|member| &member[origin][..]).collect();
                combine(&said, &weights)
            })
            .collect();
        let weights = weights(members, &log_errors, |_| true);
        Trial { actual, said, combined, weights }
    }
}

fn log_error(said: &[f64], actual: &[f64]) -> f64 {
    let errors: Vec<f64> =
        said.iter().zip(actual).map(|(s, a)| (s - a).abs()).filter(|e| !e.is_nan()).collect();
    (mean(&errors) + NEGLIGIBLE).ln()
}

/// Weights from the geometric mean of the errors at the chosen origins, which one bad origin does not decide. Of the two candidates
/// for a member, taught with and without spikes, only the better one takes part.
fn weights(members: &[Fitted], log_errors: &[Vec<f64>], chosen: impl Fn(usize) -> bool) -> Vec<f64> {
    let mean_of = |errors: &Vec<f64>| {
        let chosen: Vec<f64> =
            errors.iter().enumerate().filter(|(o, _)| chosen(*o)).map(|(_, e)| *e).collect();
        mean(&chosen)
    };
    let means: Vec<f64> = log_errors.iter().map(mean_of).collect();
    let best = means.iter().copied().fold(f64::INFINITY, f64::min);
    let beaten = |k: usize| {
        let rival = (0..members.len()).find(|&r| r != k && members[r].kind == members[k].kind);
        rival.is_some_and(|r| means[r] < means[k] || means[r] == means[k] && r < k)
    };
    let weight = |k: usize| if beaten(k) { 0.0 } else { (-SHARPNESS * (means[k] - best)).exp() };
    let raw: Vec<f64> = (0..members.len()).map(weight).collect();
    let sum: f64 = raw.iter().sum();
    raw.iter().map(|w| w / sum).collect()
}

/// The weighted central mean of the members, step by step.
pub(crate) fn combine(said: &[&[f64]], weights: &[f64]) -> Vec<f64> {
    let mut pairs = Vec::with_capacity(said.len());
    (0..said.first().map_or(0, |s| s.len()))
        .map(|step| {
            pairs.clear();
            pairs.extend(said.iter().zip(weights).map(|(s, &w)| (s[step], w)));
            central_mean(&mut pairs)
        })
        .collect()
}
