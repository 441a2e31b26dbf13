//! Regression of a series on itself, a few steps and a few seasons ago.

use crate::dense::Symmetric;
use crate::stat::{dot, robust_deviation};

/// Coefficients for certain lags; the series is taken to vary around zero.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Autoregression {
    lags: Vec<usize>,
    weights: Vec<f64>,
}

/// Residual deviations beyond which a value counts as an outlier.
const HUBER: f64 = 2.0;
/// Rounds of pulling outliers in.
const ROUNDS: usize = 3;
/// Ridge, as a share of the mean square of the columns.
const RIDGE: f64 = 1e-3;

/// The last two steps, and each season's place with its neighbours, as far as the history holds them three times.
pub(crate) fn seasonal_lags(periods: &[usize], length: usize) -> Vec<usize> {
    let mut lags = vec![1, 2];
    for &period in periods.iter().filter(|&&p| p > 3 && 3 * p < length) {
        lags.extend([period - 1, period, period + 1]);
    }
    lags.sort_unstable();
    lags.dedup();
    lags
}

impl Autoregression {
    /// Robust least squares: outlying residuals are pulled in to `HUBER` deviations and the same factored Gram matrix solves again
    /// (Huber and Dutter's modified residuals), so that a round costs no new factor.
    pub fn fit(series: &[f64], lags: &[usize]) -> Option<Self> {
        let (n, count) = (series.len(), lags.len());
        let deepest = *lags.iter().max()?;
        if n < deepest + 3 * count + 3 {
            return None;
        }
        let column = |lag: usize| &series[deepest - lag..n - lag];
        let target = &series[deepest..];
        let mut gram = Symmetric::zeros(count);
        for (i, &a) in lags.iter().enumerate() {
            for (j, &b) in lags.iter().enumerate().take(i + 1) {
                gram.set(i, j, dot(column(a), column(b)));
            }
        }
        let mean_diagonal = (0..count).map(|i| gram.at(i, i)).sum::<f64>() / count as f64;
        if mean_diagonal <= 0.0 {
            return None;
        }
        (0..count).for_each(|i| gram.add_to_diagonal(i, RIDGE * mean_diagonal));
        let factor = gram.cholesky();
        let mut weights: Vec<f64> = lags.iter().map(|&lag| dot(column(lag), target)).collect();
        factor.solve(&mut weights);

        let (mut errors, mut scratch) = (target.to_vec(), Vec::with_capacity(n));
        for _ in 0..ROUNDS {
            errors.copy_from_slice(target);
            for (&lag, &w) in lags.iter().zip(&weights) {
                for (e, &x) in errors.iter_mut().zip(column(lag)) {
                    *e -= w * x;
                }
            }
            let bound = HUBER * robust_deviation(&errors, &mut scratch);
            if bound <= 0.0 {
                break;
            }
            // What is cut off beyond the bound, as a change of the target.
            errors.iter_mut().for_each(|e| *e = e.clamp(-bound, bound));
            let mut step: Vec<f64> = lags.iter().map(|&lag| dot(column(lag), &errors)).collect();
            for (i, s) in step.iter_mut().enumerate() {
                *s -= RIDGE * mean_diagonal * weights[i];
            }
            factor.solve(&mut step);
            weights.iter_mut().zip(&step).for_each(|(w, s)| *w += s);
        }
        weights.iter().all(|w| w.is_finite()).then(|| Autoregression { lags: lags.to_vec(), weights })
    }

    /// The deepest lag: so much history is needed to go on.
    pub fn depth(&self) -> usize {
        self.lags.iter().copied().max().unwrap_or(0)
    }

    /// Goes on from a history of at least `depth` values, appending `steps`, none further from zero than `reach`.
    pub fn extend(&self, history: &mut Vec<f64>, steps: usize, reach: f64) {
        for _ in 0..steps {
            let n = history.len();
            let next: f64 = self.lags.iter().zip(&self.weights).map(|(&lag, &w)| w * history[n - lag]).sum();
            history.push(next.clamp(-reach, reach));
        }
    }
}
