//! Conformal intervals: what the backtest's errors say about the next ones.

/// The distribution of outcomes around the forecast: scaled errors in one pool, and a scale per step.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Spread {
    /// Scaled errors (actual - forecast), ascending.
    signed: Vec<f64>,
    /// Their absolute values, ascending.
    absolute: Vec<f64>,
    /// What one unit is at each step, in the caller's units.
    pub scale: Vec<f64>,
    /// Origins behind the pool: its errors are alike within an origin, so these count as degrees of freedom.
    origins: usize,
}

impl Spread {
    /// From errors by origin and step (gaps are not numbers), for `horizon` steps, which may be more than were tried.
    pub fn new(errors: &[Vec<f64>], horizon: usize) -> Self {
        let steps = errors.first().map_or(0, Vec::len);
        let mean_size = |from: usize, to: usize| {
            let (mut sum, mut count) = (0.0, 0.0f64);
            for error in errors.iter().flat_map(|e| &e[from..to]).filter(|e| !e.is_nan()) {
                sum += error.abs();
                count += 1.0;
            }
            sum / count.max(1.0)
        };
        // Neighbouring steps lend each other their errors.
        let reach = steps / 8;
        let mut scale: Vec<f64> = (0..steps)
            .map(|step| mean_size(step.saturating_sub(reach), (step + reach + 1).min(steps)))
            .collect();
        let overall = mean_size(0, steps);
        // A step that never erred may still err a little.
        scale.iter_mut().for_each(|s| *s = s.max(1e-3 * overall));
        let scaled = errors.iter().flat_map(|e| e.iter().zip(&scale)).filter(|(e, _)| !e.is_nan());
        let mut signed: Vec<f64> = scaled.map(|(e, s)| if *s > 0.0 { e / s } else { 0.0 }).collect();
        signed.sort_unstable_by(f64::total_cmp);
        let mut absolute: Vec<f64> = signed.iter().map(|e| e.abs()).collect();
        absolute.sort_unstable_by(f64::total_cmp);
        // Beyond what could be tried, as a random walk would grow.
        let last = scale.last().copied().unwrap_or(0.0);
        scale.extend((steps..horizon).map(|step| last * ((step + 1) as f64 / steps.max(1) as f64).sqrt()));
        Spread { signed, absolute, scale, origins: errors.len() }
    }

    /// Units from the forecast to the `p`-quantile of outcomes. Never decreases with `p`, and is zero at one half.
    pub fn unit(&self, p: f64) -> f64 {
        if self.signed.is_empty() || p == 0.5 {
            return 0.0;
        }
        // Half from the errors on this side, half from errors on both: the pool is too small to trust its asymmetry.
        let both = at_rank(&self.absolute, (2.0 * p - 1.0).abs());
        let side =
            if p > 0.5 { at_rank(&self.signed, p).max(0.0) } else { at_rank(&self.signed, p).min(0.0).abs() };
        (both + side) / 2.0 * student_over_normal(p.max(1.0 - p), self.origins as f64) * (p - 0.5).signum()
    }
}

fn at_rank(sorted: &[f64], p: f64) -> f64 {
    let rank = p * (sorted.len() - 1) as f64;
    let below = rank as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + rank.fract() * (sorted[above] - sorted[below])
}

/// How much wider Student's t is than the normal at quantile `p` (above one half): the first terms of the Cornish-Fisher series
/// (Abramowitz and Stegun 26.7.5). Grows with `p`, so that intervals stay nested.
fn student_over_normal(p: f64, freedom: f64) -> f64 {
    let z2 = normal_quantile(p.min(0.9999)).powi(2);
    1.0 + (z2 + 1.0) / (4.0 * freedom) + (5.0 * z2 * z2 + 16.0 * z2 + 3.0) / (96.0 * freedom * freedom)
}

/// The standard normal quantile above one half, to 4.5e-4 (Abramowitz and Stegun 26.2.23).
fn normal_quantile(p: f64) -> f64 {
    let t = (-2.0 * (1.0 - p).ln()).sqrt();
    let top = 2.515517 + t * (0.802853 + t * 0.010328);
    let bottom = 1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308));
    (t - top / bottom).max(0.0)
}

/// The share of errors within the interval that the other origins' errors would have given.
pub(crate) fn coverage(errors: &[Vec<f64>], level: f64) -> f64 {
    let (mut within, mut count) = (0usize, 0usize);
    for (left_out, actual) in errors.iter().enumerate() {
        let others: Vec<Vec<f64>> =
            errors.iter().enumerate().filter(|(o, _)| *o != left_out).map(|(_, e)| e.clone()).collect();
        let spread = Spread::new(&others, actual.len());
        let (low, high) = (spread.unit((1.0 - level) / 2.0), spread.unit((1.0 + level) / 2.0));
        for (error, scale) in actual.iter().zip(&spread.scale).filter(|(e, _)| !e.is_nan()) {
            count += 1;
            within += usize::from(low * scale <= *error && *error <= high * scale);
        }
    }
    within as f64 / count.max(1) as f64
}
